/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
    _Alignas(128) _Atomic uint32_t ping;
    _Alignas(128) _Atomic uint32_t pong;
    _Alignas(128) pthread_mutex_t mutex;
    long counter;
};

double bench_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

static void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set); /* where there is one core only, it stays unpinned */
}

/* Runs `side` in this process (0) and a child (1) on two cores, and gives the first one's result. */
static double both(double (*side)(struct shared *shared, int which), struct shared *shared)
{
    atomic_store(&shared->ping, 0);
    atomic_store(&shared->pong, 0);
    fflush(NULL);
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    pid_t child = fork();
    if (child == 0) {
        pin(1);
        side(shared, 1);
        _exit(0);
    }
    pin(0);
    double result = side(shared, 0);
    waitpid(child, NULL, 0);
    sched_setaffinity(0, sizeof before, &before);
    return result;
}

static double cache_line(struct shared *s, int which)
{
    enum { ROUNDS = 300000 };
    double began = bench_now_s();
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        if (which == 0)
            atomic_store_explicit(&s->ping, i, memory_order_release);
        while (atomic_load_explicit(which ? &s->ping : &s->pong, memory_order_acquire) < i)
            if (i % 1024 == 0)
                sched_yield();
        if (which == 1)
            atomic_store_explicit(&s->pong, i, memory_order_release);
    }
    return (bench_now_s() - began) / ROUNDS * 1e6;
}

static void sleep_until(_Atomic uint32_t *word, uint32_t wanted)
{
    uint32_t seen;
    while ((seen = atomic_load(word)) < wanted)
        syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static double futex(struct shared *s, int which)
{
    enum { ROUNDS = 20000 };
    double began = bench_now_s();
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        if (which == 0)
            wake(&s->ping, i);
        sleep_until(which ? &s->ping : &s->pong, i);
        if (which == 1)
            wake(&s->pong, i);
    }
    return (bench_now_s() - began) / ROUNDS * 1e6;
}

static double mutex_loop(struct shared *s)
{
    enum { ROUNDS = 2000000 };
    double began = bench_now_s();
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&s->mutex);
        s->counter++;
        pthread_mutex_unlock(&s->mutex);
    }
    return (bench_now_s() - began) / ROUNDS * 1e6;
}

/* Both sides begin together. */
static double mutex_contended(struct shared *s, int which)
{
    atomic_store(which ? &s->pong : &s->ping, 1);
    while (!atomic_load(which ? &s->ping : &s->pong))
        sched_yield();
    return mutex_loop(s);
}

static double fork_reap(void)
{
    enum { ROUNDS = 200 };
    double began = bench_now_s();
    for (int i = 0; i < ROUNDS; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
    return (bench_now_s() - began) / ROUNDS * 1e6;
}

static double python_process(void)
{
    static const char command[] = "/usr/bin/env python3 -c 'import multiprocessing as m,time\n"
                                  "def f(): pass\n"
                                  "t=time.perf_counter()\n"
                                  "for _ in range(100):\n"
                                  "  p=m.get_context(\"fork\").Process(target=f); p.start(); p.join()\n"
                                  "print((time.perf_counter()-t)/100*1e6)' 2>/dev/null";
    double us = 0;
    FILE *out = popen(command, "r");
    if (!out)
        return 0;
    if (fscanf(out, "%lf", &us) != 1)
        us = 0;
    pclose(out);
    return us;
}

static double median_of(double (*side)(struct shared *, int), struct shared *shared)
{
    double values[5];
    for (int i = 0; i < 5; i++)
        values[i] = both(side, shared);
    return bench_median(values, 5);
}

struct yardsticks yardsticks_measure(void)
{
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t shared;
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->mutex, &shared);
    struct yardsticks y = {.cache_line = median_of(cache_line, s),
                           .futex = median_of(futex, s),
                           .fork_reap = fork_reap(),
                           .mutex = mutex_loop(s),
                           .mutex_contended = median_of(mutex_contended, s),
                           .python_process = python_process()};
    munmap(s, sizeof *s);
    return y;
}
