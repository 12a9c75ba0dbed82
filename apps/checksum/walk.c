/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checksum/digest.h"

#define LISTING_BYTES ((size_t)64 << 10)

/* A directory that was read. */
struct walk_level {
    int fd;
    dev_t device;
    ino_t inode;
    size_t path_bytes; /* of its path, with a slash at its end */
    char *names;       /* a byte with the type, the name, a zero byte */
    size_t names_used, names_room;
    size_t *order; /* of names, where each begins */
    size_t n, n_room, next;
};

void walk_begin(struct walk *walk, bool follow)
{
    *walk = (struct walk){.follow = follow};
}

static int grow(void *array, size_t *room, size_t needed, size_t each)
{
    if (needed <= *room)
        return 0;
    size_t more = *room * 2 > needed ? *room * 2 : needed + 16;
    void *bytes = realloc(*(void **)array, more * each);
    if (!bytes)
        return ENOMEM;
    *(void **)array = bytes;
    *room = more;
    return 0;
}

static int add_name(struct walk_level *level, const char *name, unsigned char type)
{
    size_t bytes = strlen(name) + 2;
    int error = grow(&level->names, &level->names_room, level->names_used + bytes, 1);
    if (!error)
        error = grow(&level->order, &level->n_room, level->n + 1, sizeof *level->order);
    if (error)
        return error;
    level->order[level->n++] = level->names_used;
    level->names[level->names_used] = (char)type;
    memcpy(level->names + level->names_used + 1, name, bytes - 1);
    level->names_used += bytes;
    return 0;
}

static int by_name(const void *a, const void *b, void *names)
{
    return strcmp((const char *)names + *(const size_t *)a + 1, (const char *)names + *(const size_t *)b + 1);
}

static int list(struct walk_level *level)
{
    int error = 0;
    char *bytes = malloc(LISTING_BYTES);
    if (!bytes)
        return ENOMEM;
    while (!error) {
        ssize_t n = getdents64(level->fd, bytes, LISTING_BYTES);
        if (n <= 0) {
            error = n < 0 ? errno : 0;
            break;
        }
        for (ssize_t at = 0; at < n && !error;) {
            const struct dirent64 *d = (const void *)(bytes + at);
            if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
                error = add_name(level, d->d_name, d->d_type);
            at += d->d_reclen;
        }
    }
    free(bytes);
    if (level->n > 0)
        qsort_r(level->order, level->n, sizeof *level->order, by_name, level->names);
    return error;
}

static void free_level(struct walk_level *level)
{
    if (level->fd >= 0)
        close(level->fd);
    free(level->names);
    free(level->order);
}

static bool is_above(const struct walk *walk, const struct walk_level *level)
{
    for (size_t i = 0; i < walk->depth; i++)
        if (walk->levels[i].device == level->device && walk->levels[i].inode == level->inode)
            return true;
    return false;
}

/* Takes fd, of the directory that walk->path names; or, where it is -1, errno. */
static int push(struct walk *walk, int fd)
{
    struct walk_level level = {.fd = fd, .path_bytes = strlen(walk->path)};
    struct stat st;
    int error = fd < 0 || fstat(fd, &st) != 0 ? errno : 0;
    if (!error) {
        level.device = st.st_dev;
        level.inode = st.st_ino;
        error = is_above(walk, &level) ? OUTCOME_LOOP : 0;
    }
    if (!error)
        error = grow(&walk->levels, &walk->levels_room, walk->depth + 1, sizeof level);
    if (!error)
        error = grow(&walk->path, &walk->room, level.path_bytes + 2, 1);
    if (!error)
        error = list(&level);
    if (error) {
        free_level(&level);
        return error;
    }
    if (level.path_bytes > 0 && walk->path[level.path_bytes - 1] != '/')
        strcpy(walk->path + level.path_bytes++, "/");
    walk->levels[walk->depth++] = level;
    return 0;
}

int walk_enter(struct walk *walk, const char *path)
{
    int error = grow(&walk->path, &walk->room, strlen(path) + 2, 1);
    if (error)
        return error;
    strcpy(walk->path, path);
    return push(walk, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* What a name is, where the directory does not say, or it is a link that is followed. A mode's type, or 0: *error. */
static mode_t look(const struct walk *walk, const struct walk_level *level, const char *name, int *error)
{
    struct stat st;
    if (fstatat(level->fd, name, &st, walk->follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0)
        return st.st_mode & S_IFMT;
    *error = errno;
    return 0;
}

walk_state walk_next(struct walk *walk, const char **path, int *error)
{
    while (walk->depth > 0) {
        struct walk_level *level = &walk->levels[walk->depth - 1];
        if (level->next == level->n) {
            free_level(level);
            walk->depth--;
            continue;
        }
        const char *name = level->names + level->order[level->next++];
        unsigned char type = (unsigned char)*name++;
        if (grow(&walk->path, &walk->room, level->path_bytes + strlen(name) + 2, 1) != 0) {
            walk->path[level->path_bytes] = '\0';
            *path = walk->path;
            *error = ENOMEM;
            return WALK_FAILED;
        }
        strcpy(walk->path + level->path_bytes, name);
        *path = walk->path;
        *error = 0;
        mode_t mode =
            type == DT_UNKNOWN || (type == DT_LNK && walk->follow) ? look(walk, level, name, error) : DTTOIF(type);
        if (S_ISDIR(mode))
            *error = push(
                walk, openat(level->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (walk->follow ? 0 : O_NOFOLLOW)));
        if (*error)
            return WALK_FAILED;
        if (S_ISREG(mode))
            return WALK_FILE;
    }
    return WALK_END;
}

void walk_end(struct walk *walk)
{
    while (walk->depth > 0)
        free_level(&walk->levels[--walk->depth]);
    free(walk->levels);
    free(walk->path);
    *walk = (struct walk){0};
}
