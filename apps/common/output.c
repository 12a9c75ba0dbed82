/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_one(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : -1;
}

int output_directory(const char *path)
{
    char part[OUTPUT_PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part - 32) {
        errno = length ? ENAMETOOLONG : ENOENT;
        return -1;
    }
    memcpy(part, path, length + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (make_one(part) != 0)
            return -1;
        *slash = '/';
    }
    if (make_one(part) != 0)
        return -1;
    struct output_file probe;
    if (output_begin(&probe, path, "probe") != 0)
        return -1;
    fclose(probe.stream);
    return unlink(probe.temporary);
}

int output_path(char path[OUTPUT_PATH_MAX], const char *directory, const char *name)
{
    int length = snprintf(path, OUTPUT_PATH_MAX, "%s/%s", directory, name);
    if (length >= OUTPUT_PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

int output_begin(struct output_file *file, const char *directory, const char *name)
{
    char hidden[256];
    snprintf(hidden, sizeof hidden, ".%s.%ld.tmp", name, (long)getpid());
    if (output_path(file->path, directory, name) != 0 || output_path(file->temporary, directory, hidden) != 0)
        return -1;
    file->stream = fopen(file->temporary, "w");
    return file->stream ? 0 : -1;
}

int output_commit(struct output_file *file)
{
    int failed = ferror(file->stream);
    errno = failed ? EIO : 0;
    failed |= fclose(file->stream);
    if (!failed && rename(file->temporary, file->path) == 0)
        return 0;
    int saved = errno ? errno : EIO;
    unlink(file->temporary);
    errno = saved;
    return -1;
}
