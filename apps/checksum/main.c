/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * checksum: checksums of files and of trees, over ranks and hosts. See options.c for its use.
 */
#include <stdio.h>
#include <sys/resource.h>

#include <muster/muster.h>

#include "checksum/run.h"
#include "checksum/source.h"

#define PREPARED (-1) /* nothing is wrong so far */

/* Returns PREPARED, or the exit status if that is all. */
static int prepare(struct options *options, int argc, char **argv)
{
    options_outcome outcome = options_parse(argc, argv, options);
    if (outcome == OPTIONS_RUN && source_check(options) == 0)
        return PREPARED;
    return outcome == OPTIONS_DONE ? 0 : EXIT_BAD;
}

/* A deep tree has as many directories open. */
static void allow_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Before any rank is started, where that is still to be done: --help and mistakes need none. */
int main(int argc, char **argv)
{
    struct options options = {0};
    bool launched = muster_launched();
    int status = launched ? PREPARED : prepare(&options, argc, argv);
    if (status == PREPARED) {
        muster_err err = muster_init(&argc, &argv, NULL);
        if (err != MUSTER_OK) {
            fprintf(stderr, "checksum: muster does not start: %s (%s)\n", muster_err_text(err), muster_err_detail());
            return EXIT_FAILED;
        }
        if (launched)
            status = prepare(&options, argc, argv);
        if (status == PREPARED) {
            allow_files();
            status = run_all(&options);
        }
        fflush(stdout);
        int end = muster_finalize();
        status = end ? end : status;
    }
    options_free(&options);
    return status;
}
