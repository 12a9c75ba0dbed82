/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For unit tests of what may die between any two instructions: a participant, the victim, is killed at each instruction
 * of an operation, swept as a nursery would, and what it left behind is checked. Suites are registered as STEPPED.
 *
 * Each kill is a run of its own: a fresh segment, the same preparation, a forked victim that is single-stepped by
 * ptrace up to its last instruction, SIGKILL, the sweep, the check. So the operation has to go the same way each time:
 * nobody spins (there are no free cores), and others move only when the victim sleeps or was in a system call.
 *
 * What survivors see of the dead is the contents of shared memory and who was woken. So the operation is first
 * recorded: a kill is worth a run only after an instruction that changed a byte of that or was a system call. (Of an
 * instruction that repeats itself, as copies do, only after its first and before its last round.) A case that says
 * `every` is killed after each instruction, and then the outcome has to change only where the memory did.
 *
 * A case with more places than MUSTER_STEPS_KILLS is killed at a part of them: at each k-th, from a place on that comes
 * of the seed, which is printed (MUSTER_SEED repeats it), and at the first and the last.
 *
 * Steps in the vDSO do not count: how many there are depends on the clock, and they touch nothing of ours.
 *
 * MUSTER_STEPS=all: all places, and `every`, in all cases; MUSTER_STEPS=<n>: just the kill after n steps. A failure
 * says which it was.
 */
#ifndef MUSTER_TESTS_STEP_CASE_H
#define MUSTER_TESTS_STEP_CASE_H

#include "shared_case.h"

#include <dlfcn.h>
#include <sys/ptrace.h>
#include <sys/user.h>

enum { STEP_VICTIM = 1, STEP_OTHERS = 2, STEP_MAX = 1 << 16, STEP_TRIES = 5 };

struct step_case {
    void *arg; /* of all the functions below */
    /** In the parent: makes what the operation works on. The segment is fresh, the parent its only caller. */
    void (*prepare)(void *arg);
    /** In the victim, before it is stepped (NULL: nothing). */
    void (*before)(void *arg);
    /** In the victim: the operation. 0: it went as it should. */
    int (*operation)(void *arg);
    /** Each in a process of its own, once the victim is ready to begin, which it does when all of them sleep (in
     * muster) or have ended. NULL: nobody. */
    int (*beside)(void *arg);
    uint32_t besides;
    /** In the parent, whenever the victim has gone to sleep: does what wakes it. */
    void (*asleep)(void *arg);
    /** In the parent: the victim is dead, but not swept yet (NULL: nothing). */
    void (*dead)(void *arg);
    /**
     * In the parent, after the sweep: checks everything, with cmocka's assertions, and joins all others. Returns the
     * outcome: 0, as if the operation had not begun, up to `last`, as if it had ended. From kill to kill it never goes
     * back.
     */
    int (*check)(void *arg);
    int last;
    bool every;
};

/* How things stand after a number of steps. */
struct step_place {
    uintptr_t next; /* address of the next instruction */
    bool enters;    /* it is a system call */
    bool sleeps;    /* which puts the victim to sleep */
    bool changed;   /* what others can see is another than a step before */
};

/* Where to kill. */
struct step_point {
    uint32_t steps;
    bool asleep; /* in the next instruction */
};

static struct step_world {
    const struct step_case *c;
    struct {
        _Atomic uint32_t begun, ended;
        int code;
    } * told; /* by the victim, outside of the segment */
    void *shared;
    size_t shared_bytes;
    uint32_t others, killed; /* how many were started; which of them were killed */
    struct step_place places[STEP_MAX + 1];
    uint32_t n; /* steps of the whole operation */
    struct step_point at;
    const char *doing; /* NULL: nothing that could fail */
    uintptr_t vdso, vdso_end;
} step;

/* What a failure says of where it was; addr2line knows the line. */
static inline int step_describe(char *line, size_t size)
{
    uintptr_t next = step.places[step.at.steps].next;
    Dl_info module = {0};
    dladdr((void *)next, &module);
    const char *name = module.dli_fname ? strrchr(module.dli_fname, '/') : NULL;
    return snprintf(line, size, "%s; the victim was %s after step %u of %u (MUSTER_STEPS=%u), at %s+%#lx\n", step.doing,
                    step.at.asleep ? "asleep" : "stopped", step.at.steps, step.n, step.at.steps, name ? name + 1 : "?",
                    (unsigned long)(next - (uintptr_t)module.dli_fbase));
}

/** In dead and check: whether the operation had ended. */
static inline bool step_ended(void)
{
    return atomic_load(&step.told->ended);
}

/** Zeroed memory, besides the segment, that all participants share; once in a test. */
static inline void *step_share(size_t bytes)
{
    step.shared_bytes = bytes;
    return step.shared = case_map(bytes);
}

/* ---- others ---- */

/* Who sleeps for as long as it takes looks around twice a second: in the midst of a recording, say, that then goes
 * another way than all others. Here nobody does. */
enum muster__wake __real_muster__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
enum muster__wake __wrap_muster__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    const struct muster__caller *caller = muster__self_state.caller;
    bool forever = caller && word == &caller->bell && atomic_load(&caller->forever);
    return __real_muster__futex_wait(word, expected, forever ? MUSTER__NEVER : deadline_ns);
}

/* As /proc tells it: S asleep, R on its way, Z ended, t stopped by the tracer. */
static inline char step_state(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end ? name_end[2] : 'Z';
}

static inline bool step_settled(uint32_t number)
{
    pid_t pid = case_pids[STEP_OTHERS + number];
    return !pid || strchr("SZ", step_state(pid));
}

/* Who was woken is on its way (R) from that moment on. One that slept when it was looked at may be woken by another
 * that was still on its way then, and that one by a third: so nobody was, so often in turn. */
static inline void step_settle(void)
{
    for (uint32_t still = 0, i; still <= step.others; still = i == step.others ? still + 1 : 0) {
        for (i = 0; i < step.others && step_settled(i); i++)
            ;
        if (i < step.others)
            sched_yield();
    }
}

/** Starts another participant; returns when it sleeps or has ended. They are counted from 0. */
static inline uint32_t step_start(int (*body)(void *), void *arg)
{
    uint32_t number = step.others++;
    case_fork(STEP_OTHERS + number, body, arg);
    step_settle();
    return number;
}

static inline bool step_sleeps(uint32_t number)
{
    return step_state(case_pids[STEP_OTHERS + number]) == 'S';
}

/** What it returned; 0 also for who was joined before. */
static inline int step_join(uint32_t number)
{
    return case_pids[STEP_OTHERS + number] ? case_join(STEP_OTHERS + number) : 0;
}

/** All returned 0. */
static inline void step_join_all(void)
{
    for (uint32_t number = 0; number < step.others; number++)
        assert_int_equal(step_join(number), 0);
}

/** Kills one of them, too, to be swept after the victim. */
static inline void step_kill(uint32_t number)
{
    kill(case_pids[STEP_OTHERS + number], SIGKILL);
    assert_int_equal(case_join(STEP_OTHERS + number), 128 + SIGKILL);
    step.killed |= UINT32_C(1) << number;
}

/* ---- the victim ---- */

static inline int step_victim(void *arg)
{
    if (step.c->before)
        step.c->before(arg);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0)
        _exit(96);
    atomic_store(&step.told->begun, 1);
    step.told->code = step.c->operation(arg);
    atomic_store(&step.told->ended, 1);
    for (;;)
        pause();
}

static inline pid_t step_pid(void)
{
    return case_pids[STEP_VICTIM];
}

static inline uintptr_t step_next(void)
{
    errno = 0;
    long next = ptrace(PTRACE_PEEKUSER, step_pid(), offsetof(struct user, regs.rip), NULL);
    assert_int_equal(errno, 0);
    return (uintptr_t)next;
}

static inline bool step_enters(uintptr_t next)
{
    long code = ptrace(PTRACE_PEEKTEXT, step_pid(), next, NULL);
    return (code & 0xffff) == 0x050f;
}

static inline void step_stopped(int status)
{
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        fail_msg("the victim ended or was sent a signal: wait status %#x", (unsigned)status);
}

static inline void step_begin_one(void)
{
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, step_pid(), NULL, NULL), 0);
}

static inline void step_end_one(void)
{
    int status;
    while (waitpid(step_pid(), &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    step_stopped(status);
}

/* After step_begin_one: whether the victim sleeps in it. False: it has been done. */
static inline bool step_falls_asleep(void)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(step_pid(), &status, WNOHANG);
        assert_true(pid >= 0);
        if (pid > 0) {
            step_stopped(status);
            return false;
        }
        if (step_state(step_pid()) == 'S')
            return true;
        sched_yield();
    }
}

/* Goes on until what comes next is not in the vDSO. */
static inline uintptr_t step_leave_vdso(void)
{
    uintptr_t next = step_next();
    while (next >= step.vdso && next < step.vdso_end) {
        step_begin_one();
        step_end_one();
        next = step_next();
    }
    return next;
}

/* One step on from a place that was recorded. False: the victim did not fall asleep, as it did then. */
static inline bool step_on(const struct step_place *place)
{
    step_begin_one();
    if (place->sleeps) {
        if (!step_falls_asleep())
            return false;
        step.c->asleep(step.c->arg);
    }
    step_end_one();
    if (place->enters)
        step_settle();
    step_leave_vdso();
    return true;
}

/* ---- a run ---- */

static inline void step_prepare(const struct step_case *c)
{
    step.doing = "preparing";
    alarm(60);
    step.c = c;
    step.others = step.killed = 0;
    memset(step.told, 0, sizeof *step.told);
    case_segment(MUSTER__SEGMENT_MIN, 1);
    atomic_store(&muster__segment->cores, 0); /* nobody spins: how long that takes depends on the clock */
    c->prepare(c->arg);
    int status;
    pid_t pid = case_fork(STEP_VICTIM, step_victim, c->arg);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    for (uint32_t i = 0; c->beside && i < c->besides; i++)
        step_start(c->beside, c->arg);
    while (!atomic_load(&step.told->begun)) {
        step_begin_one();
        step_end_one();
    }
    step_leave_vdso();
}

static inline int step_finish(const struct step_case *c)
{
    step.doing = "before the sweep";
    kill(step_pid(), SIGKILL);
    assert_int_equal(case_join(STEP_VICTIM), 128 + SIGKILL);
    step_settle();
    if (c->dead)
        c->dead(c->arg);
    step.doing = "sweeping";
    muster__sweep_member(STEP_VICTIM, muster__self_number());
    for (uint32_t i = 0; i < step.others; i++)
        if (step.killed >> i & 1)
            muster__sweep_member(STEP_OTHERS + i, muster__self_number());
    step_settle();
    step.doing = "checking";
    int outcome = c->check(c->arg);
    for (uint32_t i = 0; i < step.others; i++)
        assert_int_equal(case_pids[STEP_OTHERS + i], 0); /* the check joins all */
    case_teardown(NULL);
    step.doing = NULL;
    return outcome;
}

/* The run that is killed there. False: it went another way than the recorded one. */
static inline bool step_run_to(const struct step_case *c, struct step_point point, int *outcome)
{
    step_prepare(c);
    step.doing = "stepping";
    step.at = point;
    bool same = true;
    for (uint32_t i = 0; same && i < point.steps; i++)
        same = !atomic_load(&step.told->ended) && step_on(&step.places[i]);
    same = same && step_next() == step.places[point.steps].next;
    if (same && point.asleep) {
        step_begin_one();
        same = step_falls_asleep();
        step_settle();
    }
    *outcome = step_finish(c);
    return same;
}

/* ---- the recording ---- */

/* What of the segment was ever touched, and a copy of it and of the memory shared besides. */
static struct step_shadow {
    size_t pages, *page;
    char *copy, *shared;
} step_shadow;

enum { STEP_PAGE = 4096 };

static inline void step_shadow_free(void)
{
    free(step_shadow.page);
    free(step_shadow.copy);
    free(step_shadow.shared);
    step_shadow = (struct step_shadow){0};
}

static inline void step_shadow_make(void)
{
    static unsigned char resident[MUSTER__SEGMENT_MIN / STEP_PAGE];
    step_shadow_free();
    assert_int_equal(mincore(muster__segment, case_bytes, resident), 0);
    step_shadow.page = calloc(sizeof resident, sizeof *step_shadow.page);
    for (size_t page = 0; page < sizeof resident; page++)
        if (resident[page] & 1)
            step_shadow.page[step_shadow.pages++] = page;
    step_shadow.copy = calloc(step_shadow.pages, STEP_PAGE);
    step_shadow.shared = calloc(1, step.shared_bytes + 1);
}

static inline bool step_differs(char *then, const void *now, size_t bytes)
{
    if (!bytes || memcmp(now, then, bytes) == 0)
        return false;
    memcpy(then, now, bytes);
    return true;
}

/* Whether it differs from the copy, which is brought up to date. */
static inline bool step_shadow_changes(void)
{
    bool changes = step_differs(step_shadow.shared, step.shared, step.shared_bytes);
    for (size_t i = 0; i < step_shadow.pages; i++)
        changes |= step_differs(step_shadow.copy + i * STEP_PAGE,
                                (const char *)muster__segment + step_shadow.page[i] * STEP_PAGE, STEP_PAGE);
    return changes;
}

/* One step, and what kind it was. */
static inline void step_record_one(struct step_place *place)
{
    place->enters = step_enters(place->next);
    place->sleeps = false;
    step_begin_one();
    if (!place->enters) {
        step_end_one();
        return;
    }
    place->sleeps = step_falls_asleep();
    if (!place->sleeps)
        return;
    assert_non_null(step.c->asleep);
    step.c->asleep(step.c->arg);
    step_end_one();
}

/* Twice: what is touched at all is known after the first time. */
static inline void step_record(const struct step_case *c, bool watches)
{
    step.n = 0;
    step.at = (struct step_point){0};
    step_prepare(c);
    step.doing = "recording";
    step.places[0] = (struct step_place){.next = step_next(), .changed = true};
    if (watches)
        step_shadow_changes();
    while (!atomic_load(&step.told->ended)) {
        struct step_place *place = &step.places[step.n];
        step_record_one(place);
        step_settle();
        place++;
        place->next = step_leave_vdso();
        place->changed = watches && (step_shadow_changes() || place[-1].enters);
        step.at.steps = ++step.n;
        assert_true(step.n < STEP_MAX);
    }
    step.places[step.n].changed = true;
    assert_int_equal(step.told->code, 0);
    if (!watches)
        step_shadow_make();
    assert_int_equal(step_finish(c), c->last);
}

/* In the midst of an instruction that repeats itself: there are as many such places as there are bytes in a copy. */
static inline bool step_repeats(uint32_t steps)
{
    const struct step_place *place = &step.places[steps];
    return steps && steps < step.n && place[-1].next == place->next && place[1].next == place->next;
}

/* ---- all of it ---- */

/* next: after the last one there is no other place. */
static inline void step_kill_at(const struct step_case *c, struct step_point point, bool next, int *outcome)
{
    int before = *outcome, tries = 0;
    while (!step_run_to(c, point, outcome))
        if (++tries == STEP_TRIES)
            fail_msg("the operation goes another way each time");
    step.doing = "comparing outcomes";
    if (*outcome < before)
        fail_msg("the outcome went back from %d to %d", before, *outcome);
    if (*outcome != before && next && !point.asleep && !step.places[point.steps].changed)
        fail_msg("the outcome is another, %d, though shared memory is as a step before", *outcome);
    step.doing = NULL;
}

/* What is asked for by the environment. */
static struct step_wishes {
    bool read, all, one;
    uint32_t which, kills, seed;
} step_wishes;

enum { STEP_KILLS = 60 };

static inline void step_read_wishes(void)
{
    const char *steps = getenv("MUSTER_STEPS"), *kills = getenv("MUSTER_STEPS_KILLS"), *seed = getenv("MUSTER_SEED");
    if (step_wishes.read)
        return;
    step_wishes = (struct step_wishes){.read = true,
                                       .all = steps && strcmp(steps, "all") == 0,
                                       .one = steps && strcmp(steps, "all") != 0,
                                       .which = steps ? (uint32_t)strtoul(steps, NULL, 0) : 0,
                                       .kills = kills ? (uint32_t)strtoul(kills, NULL, 0) : STEP_KILLS,
                                       .seed = seed ? (uint32_t)strtoul(seed, NULL, 0) : (uint32_t)getpid()};
    printf("MUSTER_SEED=%u\n", step_wishes.seed);
}

/* Where a kill is worth a run, in the order of steps. */
static struct step_point step_points[2 * STEP_MAX];

static inline uint32_t step_find_points(bool every)
{
    uint32_t n = 0;
    for (uint32_t steps = 0; steps <= step.n; steps++) {
        const struct step_place *place = &step.places[steps];
        bool wanted = step_wishes.one ? steps == step_wishes.which : every || (place->changed && !step_repeats(steps));
        if (wanted)
            step_points[n++] = (struct step_point){.steps = steps};
        if (place->sleeps && (wanted || !step_wishes.one))
            step_points[n++] = (struct step_point){.steps = steps, .asleep = true};
    }
    return n;
}

/** Kills the operation everywhere, or at many places. */
static inline void step_run(const char *name, const struct step_case *c)
{
    step_read_wishes();
    int64_t begin_ns = muster__now_ns();
    int outcome = 0;
    step_record(c, false);
    step_record(c, true);
    uint32_t n = step_find_points(c->every || step_wishes.all), kills = 0;
    uint32_t stride = step_wishes.all || step_wishes.one || n < step_wishes.kills ? 1 : n / step_wishes.kills + 1;
    for (uint32_t i = 0; i < n; i++) {
        if (i % stride != step_wishes.seed % stride && i > 0 && i < n - 1)
            continue;
        step_kill_at(c, step_points[i], i > 0 && stride == 1, &outcome);
        kills++;
        if (i == 0 && !step_wishes.one)
            assert_int_equal(outcome, 0);
    }
    if (!step_wishes.one)
        assert_int_equal(outcome, c->last);
    printf("%-44s %5u steps, %4u of %4u kills, %5lld ms\n", name, step.n, kills, n,
           (long long)(muster__now_ns() - begin_ns) / 1000000);
    fflush(stdout);
}

/* ---- around a test ---- */

static inline void step_alarm(int signal)
{
    char line[256];
    (void)signal;
    int size = step_describe(line, sizeof line);
    if (write(STDERR_FILENO, "hangs: ", 7) < 0 || write(STDERR_FILENO, line, (size_t)size) < 0)
        _exit(95);
    _exit(94);
}

static inline void step_find_vdso(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        char *rest;
        uintptr_t begin = strtoul(line, &rest, 16);
        if (!strstr(line, "[vdso]"))
            continue;
        step.vdso = begin;
        step.vdso_end = strtoul(rest + 1, NULL, 16);
    }
    fclose(maps);
}

static inline int step_setup(void **state)
{
    (void)state;
    step.told = case_map(sizeof *step.told);
    step_find_vdso();
    signal(SIGALRM, step_alarm);
    return 0;
}

/* After a failure there may be participants left. */
static inline int step_teardown(void **state)
{
    (void)state;
    char line[256];
    if (step.doing && step_describe(line, sizeof line))
        fprintf(stderr, "%s", line);
    step.doing = NULL;
    for (uint32_t member = STEP_VICTIM; member < CASE_MEMBERS; member++) {
        if (!case_pids[member])
            continue;
        kill(case_pids[member], SIGKILL);
        waitpid(case_pids[member], NULL, 0);
        case_pids[member] = 0;
    }
    if (muster__segment)
        case_teardown(NULL);
    munmap(step.told, sizeof *step.told);
    if (step.shared)
        munmap(step.shared, step.shared_bytes);
    step.shared = NULL;
    step.shared_bytes = 0;
    step_shadow_free();
    signal(SIGALRM, SIG_DFL);
    return 0;
}

/** Whether processes can be stepped here: where containers forbid it, they cannot. */
static inline bool step_possible(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(1);
        raise(SIGSTOP);
        _exit(0);
    }
    bool stopped = pid > 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
    bool steps = stopped && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
                 WIFSTOPPED(status);
    if (stopped) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (!steps)
        fprintf(stderr, "processes may not be traced here\n");
    return steps;
}

#endif
