/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"
#include "table.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- what inner runs said ---- */

struct figure {
    char name[64];
    double ours, yardstick;
};
struct run {
    struct figure figures[64];
    int count;
};

static void self_path(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    path[n > 0 ? n : 0] = '\0';
}

static FILE *start_ranks(int ranks, const char *what)
{
    char self[4096], command[8192];
    self_path(self, sizeof self);
    snprintf(command, sizeof command, "timeout 600 mpirun --oversubscribe --bind-to none -np %d '%s' %s", ranks, self,
             what);
    return popen(command, "r");
}

static bool run_inner(int ranks, const char *parts, struct run *run)
{
    char what[256], line[256];
    snprintf(what, sizeof what, "--inner %s", parts);
    fprintf(stderr, "bench: measuring with %d rank%s\n", ranks, ranks == 1 ? "" : "s");
    FILE *out = start_ranks(ranks, what);
    if (!out)
        return false;
    while (fgets(line, sizeof line, out)) {
        struct figure *f = &run->figures[run->count];
        if (run->count < 64 && sscanf(line, "figure %63s %lf %lf", f->name, &f->ours, &f->yardstick) == 3)
            run->count++;
    }
    return pclose(out) == 0;
}

static const struct figure *find(const struct run *run, const char *name)
{
    for (int i = 0; i < run->count; i++)
        if (strcmp(run->figures[i].name, name) == 0)
            return &run->figures[i];
    return NULL;
}

/* ---- start-up and memory, against an empty MPI program ---- */

struct start {
    double ms, pss_kib;
};

static struct start start_once(const char *what)
{
    struct start start = {0};
    double began = bench_now_s();
    FILE *out = start_ranks(2, what);
    char line[256];
    double kib;
    while (out && fgets(line, sizeof line, out))
        if (sscanf(line, "pss %lf", &kib) == 1)
            start.pss_kib = kib;
    if (out)
        pclose(out);
    start.ms = (bench_now_s() - began) * 1e3;
    return start;
}

/* Differences of pairs, so that drift of the machine cancels. */
static struct start start_over_empty(void)
{
    enum { PAIRS = 9 };
    double ms[PAIRS], kib[PAIRS];
    fprintf(stderr, "bench: measuring start-up\n");
    start_once("--empty-mpi");
    for (int i = 0; i < PAIRS; i++) {
        struct start mpi = start_once("--empty-mpi"), muster = start_once("--empty-muster");
        ms[i] = muster.ms - mpi.ms;
        kib[i] = muster.pss_kib - mpi.pss_kib;
    }
    return (struct start){bench_median(ms, PAIRS), bench_median(kib, PAIRS)};
}

/* ---- the table ---- */

/* ours is a time: `at most target times the yardstick` */
static void time_row(struct table *table, const struct run *run, const char *name, const char *what,
                     const char *yardstick_name, double yardstick, double target)
{
    const struct figure *f = find(run, name);
    if (f)
        table_add(table, (struct row){what, "us", yardstick_name, f->ours, yardstick ? yardstick : f->yardstick, 0,
                                      target, false});
}

/* ours is a time, told as a speed: `at least target times as fast as the yardstick` */
static void speed_row(struct table *table, const struct run *run, const char *name, const char *what,
                      const char *yardstick_name, double yardstick, double target)
{
    const struct figure *f = find(run, name);
    yardstick = f && !yardstick ? f->yardstick : yardstick;
    if (f && yardstick != 0)
        table_add(table, (struct row){what, "us", yardstick_name, f->ours, yardstick, 0, target, true});
}

static void pool_rows(struct table *t, const struct run *run, const struct yardsticks *y, bool isolated)
{
    struct {
        const char *in_rank, *alone, *what;
        const char *yardstick_name;
        double yardstick, target;
    } rows[] = {
        {"map_one", "isolated_map_one", "map, one item a task", "0.06 us", 0.06, 1},
        {"map_chosen_100ns", "isolated_map_chosen_100ns", "map, chosen chunk, 100 ns items", "serial loop / workers", 0,
         1.1},
        {"map_chosen_empty", "isolated_map_chosen_empty", "map, chosen chunk, empty items", "serial loop / workers", 0,
         1.1},
        {"map_array_empty", "isolated_map_array_empty", "map of an array, empty items", "serial loop / workers", 0, 2},
        {"submit_awake", "isolated_submit_awake", "submit, get; worker awake", "1.5 us", 1.5, 1},
        {"submit_asleep", "isolated_submit_asleep", "submit, get; worker asleep", "futex round trip", y->futex, 1.5},
        {"submit_many", "isolated_submit_many", "100,000 submits, get all", "0.25 us", 0.25, 1},
        {"child_task", "isolated_child_task", "task of a task, run locally", "0.05 us", 0.05, 1},
    };
    static char names[sizeof rows / sizeof *rows][96];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(names[i], sizeof names[i], "  isolated: %s", rows[i].what);
        time_row(t, run, isolated ? rows[i].alone : rows[i].in_rank, isolated ? names[i] : rows[i].what,
                 rows[i].yardstick_name, rows[i].yardstick, rows[i].target);
    }
}

static void sync_rows(struct table *t, const struct run *run)
{
    static const struct {
        const char *name, *what, *yardstick_name;
        double target;
    } rows[] = {
        {"event_free", "event: set, wait, clear", "mutex, condition", 2},
        {"semaphore_free", "semaphore, free", "sem_wait, sem_post", 2},
        {"semaphore_contended", "semaphore, 2 contenders", "sem_wait, sem_post", 2},
        {"semaphore_hand", "semaphores, from one to another", "sem_wait, sem_post", 2},
        {"barrier", "barrier, 2 parties", "pthread_barrier", 2},
        {"condition", "condition, in turns", "pthread_cond", 2},
        {"rwlock_read", "rwlock, free, read", "pthread_rwlock", 2},
        {"rwlock_write", "rwlock, free, a tenth writes", "pthread_rwlock", 2},
        {"rwlock_contended", "rwlock, 2 processes, a tenth writes", "pthread_rwlock", 2},
        {"value_add", "value add", "atomic add", 1.5},
        {"value_add_contended", "value add, 2 processes", "atomic add", 1.5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        time_row(t, run, rows[i].name, rows[i].what, rows[i].yardstick_name, 0, rows[i].target);
}

/* More processes than cores at one lock, 100 ns of work between their sections. */
static void contend_rows(struct table *t, const struct run *run)
{
    static const int crowds[] = {4, 8, 16};
    static const struct {
        const char *name, *what, *unit;
        double target;
    } rows[] = {
        {"crowd", "an acquisition", "us", 1.1},
        {"worst", "longest wait", "ms", 1.5},
        {"row", "in a row by one", "", 0},
        {"fairness", "least / most", "", 0},
    };
    enum { CROWDS = sizeof crowds / sizeof *crowds, ROWS = sizeof rows / sizeof *rows };
    static char titles[CROWDS * ROWS][64];
    for (int i = 0; i < CROWDS * ROWS; i++) {
        int n = crowds[i / ROWS], which = i % ROWS;
        char name[64];
        snprintf(name, sizeof name, "lock_%d_%s", n, rows[which].name);
        snprintf(titles[i], sizeof titles[i], "lock, %d processes: %s", n, rows[which].what);
        const struct figure *f = find(run, name);
        if (f)
            table_add(t, (struct row){titles[i], rows[which].unit, "pthread mutex", f->ours, f->yardstick, 0,
                                      rows[which].target, false});
    }
}

/* Fork and join, per node, where every node is a task. */
static void fork_rows(struct table *t, const struct run *run)
{
    time_row(t, run, "fib_omp", "fork, join: fib(32)", "OpenMP tasks", 0, 1);
    time_row(t, run, "fib_tbb", "fork, join: fib(32)", "oneTBB", 0, 1);
    time_row(t, run, "tree_omp", "fork, join: uneven tree", "OpenMP tasks", 0, 1);
    time_row(t, run, "tree_tbb", "fork, join: uneven tree", "oneTBB", 0, 1);
    time_row(t, run, "stolen", "task stolen on the host", "0.3 us", 0.3, 1);
}

static void main_rows(struct table *t, const struct run *run, const struct yardsticks *y)
{
    speed_row(t, run, "process_start_join", "process start, join", "Python's", y->python_process, 5);
    speed_row(t, run, "process_spare", "process start, join; spare ready", "Python's", y->python_process, 20);
    time_row(t, run, "process_start_join", "process start, join", "fork, reap", y->fork_reap, 0);
    pool_rows(t, run, y, false);
    pool_rows(t, run, y, true);
    speed_row(t, run, "queue_8B", "queue 8 B, 1 to 1", "raw MPI stream", 0, 1);
    const struct figure *small = find(run, "queue_8B");
    speed_row(t, run, "queue_2x2", "queue 8 B, 2 to 2", "raw MPI stream", small ? small->yardstick : 0, 0.5);
    speed_row(t, run, "queue_1MiB", "queue 1 MiB", "raw MPI stream", 0, 1);
    time_row(t, run, "ring_one", "queue 8 B, 1 to 1", "bare ring", 0, 3);
    time_row(t, run, "ring_many", "queue 8 B, 256 at a time", "bare ring", 0, 1.5);
    time_row(t, run, "lock_free", "lock, free", "pthread mutex", y->mutex, 2);
    time_row(t, run, "lock_contended", "lock, 2 contenders", "pthread mutex", y->mutex_contended, 1.3);
    const struct figure *fair = find(run, "lock_fairness"), *idle = find(run, "idle");
    if (fair)
        table_add(t, (struct row){"lock, 4 contenders: least / most", "", "1", fair->ours, 1, 0, 0.5, false});
    if (fair)
        t->rows[t->count - 1].at_least = true;
    contend_rows(t, run);
    sync_rows(t, run);
    fork_rows(t, run);
    if (idle)
        table_add(t, (struct row){"idle rank and its nursery", "% cpu", "1 %", idle->ours, 1, 0, 1, false});
}

/* Throughputs with 16 ranks beside those with 2. */
static void crowd_rows(struct table *t, const struct run *two, const struct run *sixteen)
{
    static const char *const names[] = {"map_one",    "map_chosen_100ns", "map_chosen_empty", "submit_many",
                                        "child_task", "isolated_map_one", "queue_8B",         "queue_2x2",
                                        "queue_1MiB", "lock_free",        "lock_contended"};
    static char titles[sizeof names / sizeof *names][96];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct figure *few = find(two, names[i]);
        snprintf(titles[i], sizeof titles[i], "  16 ranks: %s", names[i]);
        if (few)
            speed_row(t, sixteen, names[i], titles[i], "2 ranks", few->ours, 2.0 / 3);
    }
}

#define PARTS "process,pool,queue,ring,lock,contend,sync,idle,forkjoin,start"
#define CROWD "pool,queue,lock" /* what is measured with 16 ranks, too */

static void help(void)
{
    puts("usage: bench [--json] [--only PARTS] [--no-crowd]\n"
         "       mpirun -np 2 --map-by node bench --between [--json]\n\n"
         "Prints ours, a yardstick measured in the same run, and their ratio. A ratio marked > is ours' speed in "
         "yardstick's speeds, one\n"
         "marked < ours' time in yardstick's times.\n\n"
         "  --json        as JSON\n"
         "  --only PARTS  of " PARTS "\n"
         "  --no-crowd    without the run with 16 ranks\n"
         "  --between     what goes between two hosts; one rank on each\n");
}

static bool parts_known(const char *only)
{
    for (const char *part = only; part; part = strchr(part, ',') ? strchr(part, ',') + 1 : NULL) {
        char name[16];
        snprintf(name, sizeof name, ",%.*s,", (int)strcspn(part, ","), part);
        if (name[1] == ',' || !strstr("," PARTS ",", name)) {
            fprintf(stderr, "bench: --only %s: known are " PARTS "\n", only);
            return false;
        }
    }
    return true;
}

static int outer_main(int argc, char **argv)
{
    static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"no-crowd", no_argument, NULL, 'n'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    const char *only = NULL;
    bool json = false, crowd = true;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == '?' || c == 'h') {
            help();
            return c == 'h' ? 0 : 2;
        }
        json |= c == 'j';
        crowd &= c != 'n';
        only = c == 'o' ? optarg : only;
    }
    if (!parts_known(only))
        return 2;
    static struct run two, sixteen;
    static struct table table;
    struct yardsticks y = yardsticks_measure();
    bool ok = run_inner(2, only ? only : PARTS, &two);
    main_rows(&table, &two, &y);
    if (!only || strstr(only, "start")) {
        struct start start = start_over_empty();
        table_add(&table,
                  (struct row){"init, finalize over an empty MPI program", "ms", "20 ms", start.ms, 20, 0, 1, false});
        table_add(&table, (struct row){"memory a rank over an empty MPI program", "KiB", "4 MiB", start.pss_kib, 4096,
                                       0, 1, false});
    }
    if (crowd) {
        ok &= run_inner(16, only ? only : CROWD, &sixteen);
        crowd_rows(&table, &two, &sixteen);
    }
    if (json)
        table_print_json(&table);
    else
        table_print(&table);
    return ok && table.count ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--inner") == 0)
        return inner_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--empty-mpi") == 0)
        return empty_mpi_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--empty-muster") == 0)
        return empty_muster_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--between") == 0)
        return between_main(argc, argv);
    return outer_main(argc, argv);
}
