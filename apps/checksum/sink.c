/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/sink.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/stdout.h"

int sink_open(struct sink *sink, const char *path)
{
    char folder[OUTPUT_PATH_MAX] = ".";
    *sink = (struct sink){.path = path};
    if (!path) {
        sink->stream = stdout_open();
        return sink->stream ? 0 : -1;
    }
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) { /* a device, say: nothing takes its place */
        sink->direct = true;
        sink->stream = fopen(path, "w");
        return sink->stream ? 0 : -1;
    }
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (name > path && snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path) >= (int)sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (output_begin(&sink->file, folder, name) != 0)
        return -1;
    sink->stream = sink->file.stream;
    return 0;
}

bool sink_is_file(const struct sink *sink, struct stat *st)
{
    return fstat(sink->path ? fileno(sink->stream) : STDOUT_FILENO, st) == 0 && S_ISREG(st->st_mode);
}

int sink_close(struct sink *sink)
{
    FILE *stream = sink->stream;
    sink->stream = NULL;
    if (!stream)
        return 0;
    if (sink->path && !sink->direct)
        return output_commit(&sink->file);
    bool failed = ferror(stream);
    return fclose(stream) != 0 || failed ? -1 : 0;
}
