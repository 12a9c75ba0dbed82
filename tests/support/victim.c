/* SPDX-License-Identifier: BSD-3-Clause */
/* For victim.sh, in a cgroup with little memory: what is said of workers that the kernel ends, and of those that others
 * end. Exit code 0: what should be. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <muster/muster.h>

enum { ROUNDS = 3 };

static int eat(const void *item, void *result, const void *user)
{
    const size_t bytes = (size_t)1 << 30;
    (void)item;
    (void)result;
    (void)user;
    char *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return 1;
    for (size_t at = 0; at < bytes; at += 4096)
        all[at] = 1;
    return 2;
}

static int die(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    return raise(SIGKILL);
}

/* Returns 0 if the task dies, and its error says the word, or does not. */
static int expect(muster_pool pool, muster_task_fn fn, bool victim)
{
    muster_task task;
    if (muster_pool_submit(pool, &task, fn, NULL, 0, 0, NULL))
        return 1;
    muster_err err = muster_task_get(task, NULL, 0, MUSTER_FOREVER);
    const char *text = err == MUSTER_ERR_CRASHED ? muster_pool_last_error()->text : "";
    printf("%s: %s\n", muster_err_text(err), muster_err_detail());
    return err != MUSTER_ERR_CRASHED || muster_pool_last_error()->code != SIGKILL ||
           (strstr(text, "out-of-memory killer") != NULL) != victim || (victim && !strstr(text, " MiB"));
}

int main(int argc, char **argv)
{
    muster_pool pool;
    int wrong = 0;
    if (muster_init(&argc, &argv, NULL))
        return 1;
    if (muster_pool_create(&pool, &(muster_pool_options){.isolated = true}))
        wrong = 1;
    for (int round = 0; round < ROUNDS && !wrong; round++)
        wrong = expect(pool, die, false) || expect(pool, eat, true) || expect(pool, die, false) ||
                expect(pool, eat, true) || expect(pool, eat, true);
    if (!wrong)
        wrong = muster_pool_destroy(pool) != MUSTER_OK;
    int code = muster_finalize();
    return wrong ? wrong : code;
}
