/*
 * Agents without MPI, on three hosts whose mail is late and comes in any order that mail may: rules 2 to 5 of the
 * remote layer, queues and locks between hosts, the loss of a host.
 */
#include "process_hosts.h"

enum { ITEMS = 3000, ROUNDS = 60, TURNS = 400, LARGE = 150000 };

#define LATE_NS INT64_C(400000)

static size_t size_of(int32_t number)
{
    static const size_t sizes[] = {4, 4, 3000, 20000, 4, 4, LARGE};
    return number % 97 < 7 ? sizes[number % 97] : sizeof number;
}

static void put(muster_queue queue, int32_t number)
{
    static unsigned char item[LARGE];
    memcpy(item, &number, sizeof number);
    HOSTS_CHECK(muster_queue_put(queue, item, size_of(number), MUSTER_FOREVER) == MUSTER_OK);
}

static muster_err get(muster_queue queue, int32_t *number, int64_t timeout_ms)
{
    static unsigned char item[LARGE];
    size_t size;
    muster_err err = muster_queue_get(queue, item, sizeof item, &size, timeout_ms);
    memcpy(number, item, sizeof *number);
    HOSTS_CHECK(err || size == size_of(*number));
    return err;
}

static void make_queues(int host)
{
    if (host == 0)
        for (int i = 0; i < 4; i++)
            HOSTS_CHECK(muster_queue_create(&hosts_shared->queue[i], NULL) == MUSTER_OK);
    hosts_meet();
}

/* ---- from one host to another over a third ---- */

static void order_part(int host)
{
    muster_queue queue;
    make_queues(host);
    queue = hosts_shared->queue[0];
    for (int32_t i = 0; i < ITEMS && host == 1; i++)
        put(queue, i);
    for (int32_t i = 0, number; i < ITEMS && host == 2; i++) {
        HOSTS_CHECK(get(queue, &number, MUSTER_FOREVER) == MUSTER_OK);
        HOSTS_CHECK(number == i);
    }
    hosts_meet();
}

static void items_stay_in_order(void **state)
{
    (void)state;
    hosts_run(order_part, 0, -1);
    hosts_run(order_part, LATE_NS, -1);
}

/* ---- what was put is there, whoever asks ---- */

static void seen_part(int host)
{
    make_queues(host);
    muster_queue queue = hosts_shared->queue[0];
    int32_t number, next = 0;
    int64_t items;
    for (int round = 0; round < ROUNDS; round++) {
        int32_t n = 1 + round * 5 % 30;
        for (int32_t i = 0; i < n && host == 1; i++)
            put(queue, next + i);
        hosts_meet();
        if (host == round % 3) {
            HOSTS_CHECK(muster_queue_size(queue, &items) == MUSTER_OK);
            HOSTS_CHECK(items == n);
        }
        hosts_meet();
        for (int32_t i = 0; i < n && host == round / 4 % 3; i++) {
            HOSTS_CHECK(get(queue, &number, MUSTER_NOWAIT) == MUSTER_OK);
            HOSTS_CHECK(number == next + i);
        }
        next += n;
        hosts_meet();
        HOSTS_CHECK(get(queue, &number, MUSTER_NOWAIT) == MUSTER_ERR_EMPTY);
        hosts_meet();
    }
}

static void put_is_seen_at_once(void **state)
{
    (void)state;
    hosts_run(seen_part, LATE_NS, -1);
}

/* ---- locks ---- */

static void lock_part(int host)
{
    if (host == 1)
        HOSTS_CHECK(muster_lock_create(&hosts_shared->lock[0], NULL) == MUSTER_OK);
    hosts_meet();
    for (int i = 0; i < TURNS; i++) {
        HOSTS_CHECK(muster_lock_acquire(hosts_shared->lock[0], MUSTER_FOREVER) == MUSTER_OK);
        int64_t value = atomic_load_explicit(&hosts_shared->value[0], memory_order_relaxed);
        if (i % 16 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
        atomic_store_explicit(&hosts_shared->value[0], value + 1, memory_order_relaxed);
        HOSTS_CHECK(muster_lock_release(hosts_shared->lock[0]) == MUSTER_OK);
    }
    hosts_meet();
    HOSTS_CHECK(atomic_load(&hosts_shared->value[0]) == HOSTS * TURNS);
}

static void lock_excludes(void **state)
{
    (void)state;
    hosts_run(lock_part, 0, -1);
    hosts_run(lock_part, LATE_NS, -1);
}

/* ---- a host is lost ---- */

enum { LOST = 2 };

static void lost_part(int host)
{
    int32_t number;
    make_queues(host);
    if (host == 0)
        HOSTS_CHECK(muster_lock_create(&hosts_shared->lock[0], NULL) == MUSTER_OK);
    if (host == LOST)
        HOSTS_CHECK(muster_queue_create(&hosts_shared->queue[3], NULL) == MUSTER_OK);
    hosts_meet();
    if (host == LOST) {
        HOSTS_CHECK(muster_lock_acquire(hosts_shared->lock[0], MUSTER_FOREVER) == MUSTER_OK);
        put(hosts_shared->queue[0], 11);
    }
    hosts_meet();
    if (host == LOST) {
        atomic_store(&hosts_shared->gone[LOST], 1);
        atomic_store(&hosts_shared->cut[LOST], 1);
        for (;;)
            pause(); /* its agent ends it: rank 0's host does not answer */
    }
    HOSTS_CHECK(get(hosts_shared->queue[3], &number, MUSTER_FOREVER) == MUSTER_ERR_PEER);
    HOSTS_CHECK(strstr(muster_err_detail(), "host2"));
    if (host == 1) {
        HOSTS_CHECK(muster_lock_acquire(hosts_shared->lock[0], MUSTER_FOREVER) == MUSTER_ERR_OWNER_DEAD);
        HOSTS_CHECK(muster_lock_release(hosts_shared->lock[0]) == MUSTER_OK);
        HOSTS_CHECK(get(hosts_shared->queue[0], &number, MUSTER_FOREVER) == MUSTER_OK);
        HOSTS_CHECK(number == 11);
    }
    hosts_meet();
}

static void others_go_on_without_a_host(void **state)
{
    (void)state;
    setenv("MUSTER_PEER_LIMIT_MS", "700", 1);
    hosts_run(lost_part, 0, LOST);
    hosts_run(lost_part, LATE_NS, LOST);
    unsetenv("MUSTER_PEER_LIMIT_MS");
}

/* ---- what is parked ---- */

enum { TELLER, CALLED_OFF }; /* of hosts_shared's values: a count, how many waits for it were called off */

static uint32_t _Atomic asking[HOSTS]; /* at home: stand-ins */

/* Tells the count once it is as high as asked. */
static muster_err teller(struct muster__work *work)
{
    int64_t wanted;
    memcpy(&wanted, work->bytes, sizeof wanted);
    HOSTS_CHECK(work->timeout_ms == MUSTER_NOWAIT);
    if (work->ends) {
        HOSTS_CHECK(work->parked);
        atomic_fetch_add(&hosts_shared->value[CALLED_OFF], 1);
        return MUSTER_ERR_INTERRUPTED;
    }
    atomic_store(&asking[work->host], work->self);
    work->number = atomic_load(&hosts_shared->value[TELLER]);
    work->parks = true;
    return work->number < wanted ? MUSTER_ERR_EMPTY : MUSTER_OK;
}

static struct muster__call call_teller(const int64_t *wanted)
{
    return (struct muster__call){.object = muster__host_handle(0, MUSTER__POOL),
                                 .timeout_ms = MUSTER_FOREVER,
                                 .bytes = wanted,
                                 .size = sizeof *wanted};
}

static void await_called_off(int64_t count)
{
    while (atomic_load(&hosts_shared->value[CALLED_OFF]) < count)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    HOSTS_CHECK(atomic_load(&hosts_shared->value[CALLED_OFF]) == count);
}

static void count_up(void)
{
    for (int i = 0; i < TURNS; i++) {
        atomic_fetch_add(&hosts_shared->value[TELLER], 1);
        for (int host = 1; host < HOSTS; host++)
            if (atomic_load(&asking[host]))
                muster__ring(atomic_load(&asking[host]));
        nanosleep(&(struct timespec){.tv_nsec = i % 3 * 20000}, NULL);
    }
}

static void park_part(int host)
{
    muster__remote_register(MUSTER__POOL, teller);
    hosts_meet();
    if (host == 0)
        count_up();
    for (int64_t wanted = 1; wanted <= TURNS && host > 0; wanted++) {
        struct muster__call call = call_teller(&wanted);
        HOSTS_CHECK(muster__remote_call(&call, "teller") == MUSTER_OK);
        HOSTS_CHECK(call.number >= wanted);
    }
    hosts_meet();
    int64_t never = TURNS + 1;
    struct muster__call call = call_teller(&never);
    if (host > 0) {
        HOSTS_CHECK(muster__remote_begin(&call, "teller") == MUSTER_OK);
        muster__remote_cancel(&call);
        HOSTS_CHECK(muster__remote_end(&call) == MUSTER_ERR_INTERRUPTED);
    }
    hosts_meet();
    await_called_off(HOSTS - 1);
}

static void parked_calls_are_tried_when_rung(void **state)
{
    (void)state;
    hosts_run(park_part, 0, -1);
    hosts_run(park_part, LATE_NS, -1);
}

static void park_lost_part(int host)
{
    int64_t now = 0, never = 1;
    struct muster__call first = call_teller(&now), call = call_teller(&never);
    muster__remote_register(MUSTER__POOL, teller);
    hosts_meet();
    HOSTS_CHECK(muster__remote_call(&first, "teller") == MUSTER_OK);
    hosts_meet();
    atomic_store(&asking[LOST], 0);
    hosts_meet();
    if (host == LOST) {
        HOSTS_CHECK(muster__remote_begin(&call, "teller") == MUSTER_OK);
        for (;;)
            pause();
    }
    while (host == 0 && !atomic_load(&asking[LOST]))
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    atomic_store(&hosts_shared->gone[LOST], 1);
    hosts_meet();
    atomic_store(&hosts_shared->cut[LOST], 1);
    await_called_off(1);
}

static void parked_calls_end_with_their_host(void **state)
{
    (void)state;
    setenv("MUSTER_PEER_LIMIT_MS", "700", 1);
    hosts_run(park_lost_part, 0, LOST);
    unsetenv("MUSTER_PEER_LIMIT_MS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stay_in_order),
        cmocka_unit_test(put_is_seen_at_once),
        cmocka_unit_test(lock_excludes),
        cmocka_unit_test(others_go_on_without_a_host),
        cmocka_unit_test(parked_calls_are_tried_when_rung),
        cmocka_unit_test(parked_calls_end_with_their_host),
    };
    alarm(100);
    return cmocka_run_group_tests_name("agents", tests, NULL, NULL);
}
