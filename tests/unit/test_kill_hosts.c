/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random kills on three hosts (process_hosts.h): workers on each use an object of one of them, SIGKILL ends them at
 * random moments, and their host's process does what a nursery does, and starts others in their place. What the kinds
 * promise is checked all the time (kill_queue.h, kill_sync.h), nobody waits for ever, and nothing is left on any host.
 *
 * MUSTER_KILLS: how many; MUSTER_SEED draws the same rounds again: what is used, from where, by how many, how late mail
 * is.
 */
#include "kill_queue.h"
#include "kill_sync.h"

#ifdef __SANITIZE_ADDRESS__
enum { KILLS = 1000 };
#else
enum { KILLS = 10000 };
#endif

enum { STUCK_S = 25, OPS_MAX = 12, NAPS_MAX = 20, SPINS_MAX = 4000 };

static const struct kind *const kinds[] = {&kind_queue, &kind_lock,    &kind_queue,     &kind_rwlock,
                                           &kind_queue, &kind_barrier, &kind_semaphore, &kind_lock};
enum { KINDS = sizeof kinds / sizeof *kinds };

static uint32_t seed, kills_wanted;
static pid_t pids[WORKERS];
static bool dies[WORKERS]; /* it was killed and not swept yet */

static void phase(const char *name)
{
    shared->phase[hosts_self] = name;
}

/* ---- a round as it is drawn ---- */

static void draw_hosts(void)
{
    uint32_t producers = 0, all = 0;
    for (int host = 0; host < HOSTS; host++) {
        all += round.workers[host] = 1 + draw(WORKERS);
        round.kills[host] = 10 + draw(20);
    }
    for (int host = 0; host < HOSTS; host++)
        producers += round.producers[host] = draw(round.workers[host] + 1);
    if (producers == 0)
        round.producers[0]++;
    else if (producers == all)
        round.producers[0]--;
}

static void draw_round(uint32_t number)
{
    static const int64_t late_us[] = {0, 0, 30, 300};
    draws = ((uint64_t)seed << 32) + number;
    for (int i = 0; i < 4; i++)
        draw(2);
    round = (struct round){.number = number, .kind = kinds[number % KINDS]};
    round.home = (int)draw(HOSTS);
    round.maker = (int)draw(HOSTS);
    round.late_ns = late_us[draw(4)] * 1000;
    round.stalls = draw(3) ? 0 : 64 << draw(4);
    round.size_class = draw(6) < 3 ? 0 : 1 + draw(3) / 2;
    round.maxsize = draw(3) ? 0 : 1 + draw(20);
    round.permits = 1 + draw(3);
    draw_hosts();
    draws += (uint64_t)hosts_self << 20;
}

static void clear(void)
{
    uint32_t lives = atomic_load(&shared->lives);
    memset(shared->life, 0, lives * sizeof *shared->life);
    memset((void *)&shared->worker, 0, offsetof(struct shared, life) - offsetof(struct shared, worker));
    atomic_store(&shared->lives, 1);
    shared->round = round;
    hosts_shared->late_ns = round.late_ns;
    hosts_shared->stalls = round.stalls;
}

/* ---- workers ---- */

static void worker_main(uint32_t member)
{
    struct worker *self = &shared->worker[hosts_self][member - 1];
    draws = (draws ^ (uint64_t)getpid() << 24) + member;
    becomes(self, IDLE, 0);
    while (round.kind->work(self))
        ;
}

static void start_worker(uint32_t i)
{
    struct worker *worker = &shared->worker[hosts_self][i];
    atomic_store(&worker->word, NEW);
    atomic_store(&worker->ops, 0);
    draw(2);
    pids[i] = start(i + 1, worker_main);
}

/* Whoever ends by itself before its time has said why. */
static void nobody_failed(void)
{
    siginfo_t info = {0};
    HOSTS_CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno == ECHILD);
    if (info.si_pid && info.si_code != CLD_KILLED && info.si_status != 0)
        _exit(9);
}

static void rest(void)
{
    nobody_failed();
    if (hosts_self == round.home && round.kind->tend)
        round.kind->tend();
    nap();
}

/* All hosts have come so far; meanwhile they look after what is theirs. */
static void meet(const char *next)
{
    uint32_t reached = atomic_fetch_add(&shared->arrived, 1) / HOSTS * HOSTS + HOSTS;
    while (atomic_load(&shared->arrived) < reached)
        rest();
    phase(next);
}

static void told(const struct worker *worker)
{
    atomic_fetch_add(&shared->told, (uint32_t)(atomic_load(&worker->word) >> 32));
}

static void join_workers(bool consumers)
{
    for (uint32_t i = 0; i < round.workers[hosts_self]; i++) {
        int status;
        if (is_consumer(&shared->worker[hosts_self][i]) != consumers)
            continue;
        while (waitpid(pids[i], &status, WNOHANG) == 0)
            rest();
        HOSTS_CHECK(status == 0);
        told(&shared->worker[hosts_self][i]);
    }
}

/* ---- kills ---- */

static void let_it_work(const struct worker *worker)
{
    while (atomic_load(&worker->ops) == 0)
        rest();
    uint32_t until = atomic_load(&worker->ops) + draw(OPS_MAX);
    for (uint32_t naps = draw(NAPS_MAX); naps && atomic_load(&worker->ops) < until; naps--)
        rest();
    for (uint32_t spins = draw(SPINS_MAX); spins; spins--)
        muster__cpu_relax();
}

/* Returns what it was doing. */
static enum doing bury(uint32_t i)
{
    struct worker *worker = &shared->worker[hosts_self][i];
    int status;
    HOSTS_CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFSIGNALED(status));
    uint64_t word = atomic_load(&worker->word);
    told(worker);
    atomic_fetch_add(&shared->in_hand, (int64_t)(word >> 8 & 0xff));
    atomic_store(&worker->word, NEW);
    if (round.kind->died)
        round.kind->died((enum doing)(word & 0xff));
    muster__sweep_member(i + 1, muster__self_number());
    dies[i] = false;
    atomic_fetch_add(&shared->kills, 1);
    return (enum doing)(word & 0xff);
}

/* One, or two at once. */
static uint32_t kill_some(void)
{
    uint32_t workers = round.workers[hosts_self], first = draw(workers), n = workers > 1 && !draw(4) ? 2 : 1;
    uint32_t victims[2] = {first, (first + 1 + draw(workers)) % workers};
    if (victims[1] == first)
        n = 1;
    let_it_work(&shared->worker[hosts_self][first]);
    for (uint32_t i = 0; i < n; i++) {
        dies[victims[i]] = true;
        kill(pids[victims[i]], SIGKILL);
    }
    for (uint32_t i = 0; i < n; i++)
        bury(victims[i]);
    for (uint32_t i = 0; i < n; i++)
        start_worker(victims[i]);
    return n;
}

/* A sweeper that waits for a latch asks this about its owner, whom it may have to sweep itself. */
static bool is_dead(uint32_t member)
{
    siginfo_t info = {0};
    return muster__self_number() == 1 && member && dies[member - 1] &&
           waitid(P_PID, (id_t)pids[member - 1], &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

static void kill_workers(void)
{
    for (uint32_t kills = 0; kills < round.kills[hosts_self];)
        kills += kill_some();
}

/* ---- the barrier's: one kill an epoch ---- */

static void kill_party(uint32_t i)
{
    struct worker *worker = &shared->worker[hosts_self][i];
    let_it_work(worker);
    kill(pids[i], SIGKILL);
    barrier_lost(bury(i));
}

static void all_are_told(uint32_t but)
{
    for (uint32_t i = 0; i < round.workers[hosts_self]; i++)
        while (i != but && !barrier_told(&shared->worker[hosts_self][i]))
            rest();
}

static void break_barriers(void)
{
    enum { NOBODY = WORKERS };
    uint64_t common = round.number;
    for (uint32_t kills = 0; kills < round.kills[0]; kills++) {
        int of = (int)(case_random(&common) % HOSTS);
        uint32_t party = case_random(&common) % round.workers[of], victim = of == hosts_self ? party : NOBODY;
        if (victim != NOBODY)
            kill_party(victim);
        all_are_told(victim);
        meet("kills");
        if (hosts_self == round.home)
            barrier_again();
        meet("kills");
        if (victim != NOBODY)
            start_worker(victim);
    }
    meet("the barrier's end");
    if (hosts_self == round.home) {
        atomic_store(&shared->stop, 1);
        HOSTS_CHECK(muster_barrier_abort(the_barrier()) == MUSTER_OK);
    }
}

/* ---- a round ---- */

static void make(void)
{
    if (hosts_self == round.maker) {
        clear();
        HOSTS_CHECK(round.kind->make(muster_on_rank(round.home)) == MUSTER_OK);
    }
    hosts_meet();
    phase("kills");
}

static void nothing_is_left(void)
{
    const char *left = what_stays_left();
    if (left) {
        fprintf(stderr, "host%d: %s is left (%lld bytes)\n", hosts_self, left,
                (long long)(muster__heap_used() - used_before));
        _exit(9);
    }
}

static void play(void)
{
    make();
    for (uint32_t i = 0; i < round.workers[hosts_self]; i++)
        start_worker(i);
    if (round.kind == &kind_barrier)
        break_barriers();
    else
        kill_workers();
    meet("workers end");
    atomic_store(&shared->stop, 1);
    join_workers(false);
    meet("consumers end");
    if (hosts_self == round.home && round.kind == &kind_queue)
        HOSTS_CHECK(muster_queue_close(the_queue()) == MUSTER_OK);
    join_workers(true);
    meet("looks");
    if (hosts_self == round.home && round.kind->look)
        round.kind->look();
    meet("ends");
    if (hosts_self == round.maker)
        HOSTS_CHECK(round.kind->end() == MUSTER_OK);
    hosts_meet();
    phase("what is left");
    nothing_is_left();
    hosts_meet();
}

/* Tables that are made then stay. */
static void use_another_hosts(void)
{
    muster_lock *lock = &hosts_shared->lock[0];
    HOSTS_CHECK(muster_lock_create(&lock[hosts_self], NULL) == MUSTER_OK);
    hosts_meet();
    HOSTS_CHECK(muster_lock_acquire(lock[(hosts_self + 1) % HOSTS], MUSTER_FOREVER) == MUSTER_OK);
    HOSTS_CHECK(muster_lock_release(lock[(hosts_self + 1) % HOSTS]) == MUSTER_OK);
    hosts_meet();
    HOSTS_CHECK(muster_lock_destroy(lock[hosts_self]) == MUSTER_OK);
    used_before = UINT64_MAX;
    hosts_meet();
    nothing_is_left();
    used_before = muster__heap_used();
}

static void part(int host)
{
    (void)host;
    muster__member_dead = is_dead;
    use_another_hosts();
    for (uint32_t number = 0; atomic_load(&shared->kills) < kills_wanted; number++) {
        hosts_meet();
        draw_round(number);
        play();
        hosts_meet();
    }
}

/* ---- the suite ---- */

static void tell_workers(int host)
{
    for (uint32_t i = 0; i < shared->round.workers[host]; i++) {
        const struct worker *worker = &shared->worker[host][i];
        fprintf(stderr, "    worker %u: %s, operation %u, round %u\n", i, doing_names[doing_of(worker)],
                atomic_load(&worker->ops), atomic_load(&worker->at));
    }
}

/* Nobody was killed for long: something hangs. The kernel ends the hosts with this process, and workers with them. */
static void look_for_progress(int signal)
{
    static int64_t before = -1;
    int64_t now = atomic_load(&shared->kills);
    (void)signal;
    alarm(STUCK_S);
    if (now != before) {
        before = now;
        return;
    }
    fprintf(stderr, "stuck: MUSTER_SEED=%u, round %u: %s at home on host%d, after %lld kills\n", seed,
            shared->round.number, shared->round.kind->name, shared->round.home, (long long)now);
    for (int host = 0; host < HOSTS; host++) {
        fprintf(stderr, "  host%d: %s\n", host, shared->phase[host]);
        tell_workers(host);
    }
    _exit(1);
}

static void objects_survive_kills_of_their_users(void **state)
{
    (void)state;
    int64_t began = case_ms();
    hosts_run(part, 0, -1);
    printf("%lld kills, %u rounds, %lld ms\n", (long long)atomic_load(&shared->kills), shared->round.number + 1,
           (long long)(case_ms() - began));
}

static uint32_t setting(const char *name, uint32_t otherwise)
{
    const char *text = getenv(name);
    return text ? (uint32_t)strtoul(text, NULL, 0) : otherwise;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_survive_kills_of_their_users),
    };
    seed = setting("MUSTER_SEED", (uint32_t)getpid());
    kills_wanted = setting("MUSTER_KILLS", KILLS);
    printf("MUSTER_SEED=%u\n", seed);
    fflush(stdout);
    shared = case_map(sizeof *shared);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (unsigned char)mix((uint32_t)i);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = look_for_progress, .sa_flags = SA_RESTART}, NULL);
    alarm(STUCK_S);
    return cmocka_run_group_tests_name("kill_hosts", tests, NULL, NULL);
}
