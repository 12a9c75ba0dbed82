/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the scripts start that try what is around a program, by its first argument: item (a gigabyte through a queue),
 * full (the same, when somebody has filled /dev/shm since muster_init), read (says how many lines it is given), inside
 * and isolated (has a task run the shell command that follows), leave (tasks and processes start what runs longer than
 * they), stay (a process starts that, and all wait), told (waits until it is told to stop, says by what, and goes on
 * for ten seconds; has handlers of its own), early (makes a thread before muster_init), places (shows where ranks and
 * isolated workers sit, says which processes the workers are, and waits for a line).
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

static void must(muster_err err)
{
    if (err == MUSTER_OK)
        return;
    printf("%s: %s\n", muster_err_name(err), muster_err_detail());
    exit(1);
}

/* The first and the last byte of each page are looked at. */
static void pass_item(void)
{
    enum { SIZE = 1 << 30, PAGE = 4096 };
    size_t size = 0, wrong = 0;
    unsigned char *item = malloc(SIZE);
    muster_queue queue;
    must(muster_queue_create(&queue, NULL));
    for (size_t i = 0; i < SIZE; i += PAGE)
        item[i] = item[i + PAGE - 1] = (unsigned char)(i / PAGE * 7);
    must(muster_queue_put(queue, item, SIZE, MUSTER_FOREVER));
    for (size_t i = 0; i < SIZE; i += PAGE)
        item[i] = item[i + PAGE - 1] = 0;
    must(muster_queue_get(queue, item, SIZE, &size, MUSTER_FOREVER));
    for (size_t i = 0; i < SIZE; i += PAGE)
        wrong += item[i] != (unsigned char)(i / PAGE * 7) || item[i + PAGE - 1] != item[i];
    printf("item of %zu bytes, %zu pages wrong\n", size, wrong);
    free(item);
}

static void fill_shm(void)
{
    if (system("cat /dev/zero >/dev/shm/all 2>/dev/null") == 0)
        printf("there was no end to it\n");
}

static void count_lines(void)
{
    char line[100];
    int lines = 0;
    while (fgets(line, sizeof line, stdin))
        lines++;
    printf("lines %d\n", lines);
}

static int run_command(const void *item, void *result, const void *user)
{
    (void)item;
    *(int *)result = system(user);
    return 0;
}

static void command_in_task(const char *command, bool isolated)
{
    muster_pool pool;
    int item = 0, status = -1;
    must(muster_pool_create(&pool, &(muster_pool_options){.isolated = isolated}));
    must(muster_pool_map(pool, run_command, &item, 1, sizeof item, &status, sizeof status,
                         &(muster_map_options){.user = command, .user_bytes = strlen(command) + 1}));
    printf("command: %d\n", status);
}

static int start_in_background(const void *arg, size_t size_bytes)
{
    (void)size_bytes;
    /* the second one has said that it is in a session of its own before this goes on */
    if (system("sleep 3125 & { setsid sh -c 'echo; exec sleep 3126 >/dev/null 2>&1' & } | read -r line"))
        return 1;
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    while (*(const bool *)arg)
        pause();
    return 0;
}

static void start_process(bool stays)
{
    muster_process process;
    must(muster_process_create(&process, start_in_background, &stays, sizeof stays, NULL));
    must(muster_process_start(process));
    must(muster_process_join(process, NULL, MUSTER_FOREVER));
}

static int start_in_foreground(const void *item, void *result, const void *user)
{
    (void)item, (void)result, (void)user;
    return system("sleep 3125");
}

static void leave_behind(void)
{
    muster_pool pool;
    char item = 0;
    start_process(false);
    must(muster_pool_create(&pool, &(muster_pool_options){.isolated = true}));
    muster_err err =
        muster_pool_map(pool, start_in_foreground, &item, 1, 1, NULL, 0, &(muster_map_options){.time_limit_ms = 200});
    printf("map: %s\n", muster_err_name(err));
    must(muster_pool_destroy(pool));
}

static const int handled[] = {SIGINT, SIGTERM, SIGUSR1};

static void say_handled(int signal)
{
    char text[] = "handler 00\n";
    text[8] += (char)(signal / 10);
    text[9] += (char)(signal % 10);
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
}

/* To a file: mpirun may not bring any more what is printed while it ends its ranks. */
static void wait_until_told(const char *file)
{
    muster_event never;
    must(muster_event_create(&never, NULL));
    if (file && !freopen(file, "a", stdout))
        exit(1);
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    muster_err err = muster_event_wait(never, 3000);
    printf("wait: %s: %s\n", muster_err_name(err), muster_err_detail());
    fflush(stdout);
    for (int i = 0; err == MUSTER_ERR_INTERRUPTED && i < 100; i++)
        usleep(100000);
}

static int say_worker(const void *item, void *result, const void *user)
{
    (void)item, (void)result;
    printf("worker %d %d\n", muster_task_worker(), (int)getpid());
    fflush(stdout);
    return muster_semaphore_release(*(const muster_semaphore *)user, 1) ? 1 : 0;
}

static void show_places(void)
{
    muster_semaphore said;
    muster_pool pool;
    int workers;
    must(muster_semaphore_create(&said, 0, 0, NULL));
    must(muster_pool_create(&pool, &(muster_pool_options){.isolated = true,
                                                          .workers = muster_ranks(),
                                                          .initializer = say_worker,
                                                          .user = &said,
                                                          .user_bytes = sizeof said}));
    must(muster_pool_workers(pool, &workers));
    for (int i = 0; i < workers; i++)
        must(muster_semaphore_acquire(said, MUSTER_FOREVER));
    must(muster_topology_print(stdout));
    printf("placed %d\n", workers);
    fflush(stdout);
    while (getchar() != '\n')
        continue;
    must(muster_pool_destroy(pool));
}

static void *rest(void *unused)
{
    (void)unused;
    pause();
    return NULL;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "told") == 0)
        for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
            signal(handled[i], say_handled);
    pthread_t thread;
    if (strcmp(what, "early") == 0 && pthread_create(&thread, NULL, rest, NULL))
        return 1;
    must(muster_init(&argc, &argv, NULL));
    if (strcmp(what, "full") == 0)
        fill_shm();
    if (strcmp(what, "item") == 0 || strcmp(what, "full") == 0)
        pass_item();
    if (strcmp(what, "read") == 0)
        count_lines();
    if (argc > 2 && (strcmp(what, "inside") == 0 || strcmp(what, "isolated") == 0))
        command_in_task(argv[2], strcmp(what, "isolated") == 0);
    if (strcmp(what, "leave") == 0)
        leave_behind();
    if (strcmp(what, "stay") == 0)
        start_process(true);
    if (strcmp(what, "told") == 0)
        wait_until_told(argc > 2 ? argv[2] : NULL);
    if (strcmp(what, "places") == 0)
        show_places();
    printf("ranks %d\n", muster_ranks());
    return muster_finalize();
}
