/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/*
 * What Open MPI leaves behind when its processes are killed: 4 MiB a rank in /dev/shm, and a job's session directory.
 * The next program of the same user removes what is provably dead, by two proofs that both must hold:
 *
 *   - its owner is no more: the process that its name or its contents tell is gone, or has begun after it was made;
 *   - nobody has it open or mapped, which the kernel says in granting a lease for writing. That holds for processes of
 *     other containers too, of which /proc tells nothing, and when somebody has set the clock.
 *
 * Whatever cannot be found out is left alone. Two that tidy up at once do not hinder each other.
 */

struct place {
    int dir;
    const char *name;
};

/* ---- the owner ---- */

/* When the process began, in the time of files; 0: it has ended, -1: it cannot be told. */
static double began(pid_t pid)
{
    char path[32], text[1024];
    struct timespec now, up;
    unsigned long long ticks;
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *rest = strrchr(text, ')');
    if (!rest ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks) != 1)
        return -1;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (double)(now.tv_sec - up.tv_sec) + 1e-9 * (double)(now.tv_nsec - up.tv_nsec) +
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* The owner was there when it was changed last, so a process that is younger than that is another one. */
static bool owner_gone(pid_t owner, const struct stat *file)
{
    static const double margin = 1; /* ticks are coarse, and clocks are slewed */
    double when = owner > 0 ? began(owner) : -1;
    return when == 0 || when > (double)file->st_mtim.tv_sec + 1e-9 * (double)file->st_mtim.tv_nsec + margin;
}

/* ---- open or mapped ---- */

/* Gives the file with a lease on it, or -1. Who opens it meanwhile has us signalled, by what is ignored by default. */
static int open_alone(struct place place, struct stat *file)
{
    int fd = openat(place.dir, place.name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    if (fstat(fd, file) == 0 && S_ISREG(file->st_mode) && file->st_uid == geteuid() &&
        fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
        return fd;
    close(fd);
    return -1;
}

/* ---- /dev/shm ---- */

/* As Open MPI begins each of its segments (opal_shmem_seg_hdr_t). */
struct segment_header {
    int32_t latch;
    pid_t creator;
};

static void remove_segment(struct place place)
{
    struct segment_header header;
    struct stat file;
    int fd = open_alone(place, &file);
    if (fd < 0)
        return;
    if (pread(fd, &header, sizeof header, 0) == sizeof header && owner_gone(header.creator, &file))
        unlinkat(place.dir, place.name, 0);
    close(fd);
}

/* "vader_segment.<host>...." */
static bool is_segment(const char *name, const char *host)
{
    static const char *const kinds[] = {"vader_segment.", "osc_sm."};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t kind = strlen(kinds[i]), length = strlen(host);
        if (strncmp(name, kinds[i], kind) == 0 && strncmp(name + kind, host, length) == 0 && name[kind + length] == '.')
            return true;
    }
    return false;
}

/* A directory of ours, not of somebody who would lead us elsewhere. */
static DIR *open_dir(struct place place, bool ours)
{
    struct stat dir;
    int fd = openat(place.dir, place.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &dir) == 0 && (!ours || dir.st_uid == geteuid())) {
        DIR *opened = fdopendir(fd);
        if (opened)
            return opened;
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void tidy_memory(const char *host)
{
    DIR *dir = open_dir((struct place){AT_FDCWD, "/dev/shm"}, false);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_segment(entry->d_name, host))
            remove_segment((struct place){dirfd(dir), entry->d_name});
    if (dir)
        closedir(dir);
}

/* ---- session directories: pid.<of mpirun>, jf.<number> of a daemon's, which holds pmix_dstor_..._<its pid> ---- */

static const char ours[] = "muster.gone."; /* what is being removed, by <pid> */

static pid_t number_behind(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    bool is_it = strncmp(name, prefix, length) == 0 && isdigit((unsigned char)name[length]);
    long number = is_it ? strtol(name + length, NULL, 10) : 0;
    return number > 0 && number < INT_MAX ? (pid_t)number : 0;
}

static bool is_self(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static const char store[] = "pmix_dstor_"; /* a daemon has its files mapped from when they are there to its end */

struct proof {
    bool owner_gone, nobody_has;
};

/* Whether nothing speaks against that it is dead; notes what speaks for it. */
static bool may_be_dead(struct place place, int depth, bool in_store, struct proof *proof)
{
    DIR *dir = open_dir(place, true);
    bool may = dir && depth < 8;
    for (struct dirent *entry; may && (entry = readdir(dir));) {
        struct place in = {dirfd(dir), entry->d_name};
        struct stat file;
        if (is_self(entry->d_name))
            continue;
        may = fstatat(in.dir, in.name, &file, AT_SYMLINK_NOFOLLOW) == 0;
        if (may && S_ISREG(file.st_mode)) {
            int fd = open_alone(in, &file);
            may = fd >= 0;
            if (may)
                close(fd);
            proof->nobody_has |= may && in_store;
        } else if (may && S_ISDIR(file.st_mode)) {
            bool is_store = strncmp(in.name, store, strlen(store)) == 0;
            if (is_store) {
                may = owner_gone(number_behind(strrchr(in.name, '_'), "_"), &file);
                proof->owner_gone |= may;
            }
            may = may && may_be_dead(in, depth + 1, in_store || is_store, proof);
        }
    }
    if (dir)
        closedir(dir);
    return may;
}

/* One that has just been made, in another container, holds nothing yet of which to prove that nobody has it. What was
 * begun to be removed has been proven to be dead. */
static bool is_dead(struct place place, pid_t owner, bool begun)
{
    struct stat dir;
    if (fstatat(place.dir, place.name, &dir, AT_SYMLINK_NOFOLLOW) != 0 || (owner && !owner_gone(owner, &dir)))
        return false;
    struct proof proof = {.owner_gone = owner, .nobody_has = begun};
    return may_be_dead(place, 0, false, &proof) && proof.owner_gone && proof.nobody_has;
}

static void remove_tree(struct place place)
{
    DIR *dir = open_dir(place, true);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct place in = {dirfd(dir), entry->d_name};
        if (!is_self(entry->d_name) && unlinkat(in.dir, in.name, 0) != 0 && errno == EISDIR)
            remove_tree(in);
    }
    if (dir)
        closedir(dir);
    unlinkat(place.dir, place.name, AT_REMOVEDIR);
}

/* Its name may become another's at any time: so it is first given one that is nobody else's, and looked at again. */
static void remove_session(struct place place)
{
    static unsigned count;
    char name[64];
    struct place apart = {place.dir, name};
    bool begun = strncmp(place.name, ours, strlen(ours)) == 0;
    pid_t owner = number_behind(place.name, begun ? ours : "pid.");
    if (!(owner || number_behind(place.name, "jf.")) || !is_dead(place, owner, begun))
        return;
    snprintf(name, sizeof name, "%s%d.%u", ours, (int)getpid(), count++);
    if (renameat(place.dir, place.name, apart.dir, apart.name) != 0)
        return;
    if (is_dead(apart, owner, begun))
        remove_tree(apart);
    else
        renameat2(apart.dir, apart.name, place.dir, place.name, RENAME_NOREPLACE);
}

static void tidy_sessions(const char *host)
{
    const char *temporary = getenv("TMPDIR"), *told = getenv("OMPI_MCA_orte_top_session_dir");
    char path[PATH_MAX];
    if (told)
        snprintf(path, sizeof path, "%s", told);
    else
        snprintf(path, sizeof path, "%s/ompi.%s.%u", temporary && *temporary ? temporary : "/tmp", host,
                 (unsigned)geteuid());
    DIR *dir = open_dir((struct place){AT_FDCWD, path}, true);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        remove_session((struct place){dirfd(dir), entry->d_name});
    if (dir)
        closedir(dir);
}

/* ---- */

/* As Open MPI calls it: without its domain. */
static bool host_name(char *name, size_t size)
{
    struct utsname system;
    if (uname(&system) != 0)
        return false;
    snprintf(name, size, "%.*s", (int)strcspn(system.nodename, "."), system.nodename);
    return *name;
}

void transport_tidy(void)
{
    char host[80];
    if (muster__launcher()->local > 0 || !host_name(host, sizeof host))
        return;
    int saved = errno;
    tidy_memory(host);
    tidy_sessions(host);
    errno = saved;
}

/* What Open MPI 4 would unlink in MPI_Finalize: 4 MiB a rank. */
void transport_unlink_own(void)
{
    const struct muster__launcher *told = muster__launcher();
    char host[80], path[160];
    if (!*told->pmix_job || told->local < 0 || !host_name(host, sizeof host))
        return;
    snprintf(path, sizeof path, "/dev/shm/vader_segment.%s.%u.%lx.%d", host, (unsigned)geteuid(),
             strtoul(told->pmix_job, NULL, 10), told->local);
    unlink(path);
}
