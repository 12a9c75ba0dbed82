/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One command: started, listened to, held to its limits, and ended with all that it has started. Knows nothing of
 * muster; runs in a worker, which is a process of its own.
 */
#ifndef FARM_CHILD_H
#define FARM_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct child_request {
    const char *shell;        /**< path of the shell that runs text */
    const char *text;         /**< the command */
    char *const *argv;        /**< its words where it needs no shell; NULL: it does */
    char *const *environment; /**< NULL-terminated, "NAME=value" */
    const char *directory;    /**< NULL: stay here */
    double timeout_s;         /**< 0: none */
    int64_t memory_bytes;     /**< of all its processes together; 0: no limit */
};

enum child_end {
    CHILD_ENDED,       /**< by itself: code, or signal */
    CHILD_NOT_STARTED, /**< error says why */
    CHILD_TIMEOUT,
    CHILD_MEMORY,    /**< more than memory_bytes */
    CHILD_OOM,       /**< killed by the kernel for want of memory */
    CHILD_CALLED_OFF /**< the listener said so */
};

struct child_outcome {
    enum child_end end;
    int code, signal; /**< of the command's first process; code 126 or 127 as of a shell when it could not be started */
    int error;        /**< errno when it was not started */
    double begin;     /**< seconds since 1970 */
    double seconds;   /**< how long it ran */
    int64_t bytes[2]; /**< how much it has said: on stdout, on stderr */
    int64_t peak_bytes; /**< most memory seen; only where that was limited */
};

/** Who hears what a command says. stream: 0 stdout, 1 stderr. */
struct child_listener {
    void (*heard)(void *arg, int stream, const char *bytes, size_t n);
    /** Called from time to time, first after half a second; returns whether to end the command. May be NULL. */
    bool (*called_off)(void *arg, double seconds);
    void *arg;
};

/** Once in a process: what its commands start and leave behind comes to it, to be ended. */
void child_prepare(void);

/** Runs a command to its end. On return nothing that it has started is left, but for what hides from its parents. */
void child_run(const struct child_request *request, const struct child_listener *listener,
               struct child_outcome *outcome);

#endif
