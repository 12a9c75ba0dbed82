/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/stdout.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/progress.h"

#define BUFFER_BYTES ((size_t)64 << 10)

static void take_from_mpirun(void)
{
#if defined SYS_pidfd_open && defined SYS_pidfd_getfd
    int process = progress_under_mpirun() ? (int)syscall(SYS_pidfd_open, getppid(), 0) : -1;
    if (process < 0)
        return;
    int fd = (int)syscall(SYS_pidfd_getfd, process, STDOUT_FILENO, 0);
    close(process);
    if (fd < 0)
        return;
    dup2(fd, STDOUT_FILENO);
    close(fd);
#endif
}

/* mpirun may have made it non-blocking, for both. */
static ssize_t write_all(void *cookie, const char *bytes, size_t size)
{
    (void)cookie;
    for (size_t done = 0; done < size;) {
        ssize_t n = write(STDOUT_FILENO, bytes + done, size - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
        else if (errno != EINTR)
            return 0; /* an error, for fopencookie */
    }
    return (ssize_t)size;
}

FILE *stdout_open(void)
{
    signal(SIGPIPE, SIG_IGN);
    fflush(stdout);
    take_from_mpirun();
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_all});
    if (stream)
        setvbuf(stream, NULL, _IOFBF, BUFFER_BYTES);
    return stream;
}
