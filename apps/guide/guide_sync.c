/* Workers that meet at a barrier each round, print in turn by a condition, and stop when an event says so. */
#include <muster/must.h>
#include <muster/muster.h>

enum { WORKERS = 3, ROUNDS = 2 };

struct shared {
    muster_barrier round;
    muster_lock lock;
    muster_condition changed; /* turn has, under the lock */
    muster_value_i64 turn, numbers;
    muster_event stop;
};

struct wanted {
    const struct shared *shared;
    int64_t turn;
};

static bool is_turn(void *arg)
{
    const struct wanted *wanted = arg;
    int64_t turn;
    must(muster_value_i64_load(wanted->shared->turn, &turn));
    return turn == wanted->turn;
}

static int work(const void *arg, size_t size_bytes)
{
    (void)size_bytes;
    const struct shared *shared = arg;
    int64_t me;
    must(muster_value_i64_add(shared->numbers, 1, &me));
    for (int64_t round = 0; round < ROUNDS; round++) {
        struct wanted wanted = {shared, round * WORKERS + me};
        must(muster_barrier_wait(shared->round, NULL, MUSTER_FOREVER));
        must(muster_lock_acquire(shared->lock, MUSTER_FOREVER));
        must(muster_condition_wait_for(shared->changed, is_turn, &wanted, MUSTER_FOREVER));
        printf("Round %lld, worker %lld\n", (long long)round, (long long)me);
        fflush(stdout); /* what was printed must be out before the next one's turn */
        must(muster_value_i64_add(shared->turn, 1, NULL));
        must(muster_condition_notify_all(shared->changed, NULL));
        must(muster_lock_release(shared->lock));
    }
    must(muster_event_wait(shared->stop, MUSTER_FOREVER));
    return 0;
}

int main(int argc, char **argv)
{
    must(muster_init(&argc, &argv, NULL));
    struct shared shared;
    must(muster_barrier_create(&shared.round, WORKERS, NULL));
    must(muster_lock_create(&shared.lock, NULL));
    must(muster_condition_create(&shared.changed, shared.lock, NULL));
    must(muster_value_i64_create(&shared.turn, 0, NULL));
    must(muster_value_i64_create(&shared.numbers, 0, NULL));
    must(muster_event_create(&shared.stop, NULL));
    muster_process workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        must(muster_process_create(&workers[i], work, &shared, sizeof shared, NULL));
        must(muster_process_start(workers[i]));
    }
    struct wanted all = {&shared, ROUNDS * WORKERS};
    must(muster_lock_acquire(shared.lock, MUSTER_FOREVER));
    must(muster_condition_wait_for(shared.changed, is_turn, &all, MUSTER_FOREVER));
    must(muster_lock_release(shared.lock));
    must(muster_event_set(shared.stop));
    for (int i = 0; i < WORKERS; i++)
        must(muster_process_join(workers[i], NULL, MUSTER_FOREVER));
    printf("All have stopped.\n");
    return muster_finalize();
}
