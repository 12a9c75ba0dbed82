/* Processes that share an array, a number and a map, wherever they run. */
#include <muster/must.h>
#include <muster/muster.h>

enum { ITEMS = 8, WORKERS = 4 };

struct shared {
    muster_array squares;
    muster_value_i64 sum;
    muster_dict settings;
};

/* Takes every WORKERS-th item; a dict's get waits until somebody has set it. */
static int work(const void *arg, size_t size_bytes)
{
    (void)size_bytes;
    const struct shared *shared = arg;
    int64_t from, me;
    must(muster_dict_get(shared->settings, "from", &from, sizeof from, NULL, MUSTER_FOREVER));
    must(muster_dict_add(shared->settings, "workers", 1, &me));
    for (int64_t i = me - 1; i < ITEMS; i += WORKERS) {
        int64_t square = (from + i) * (from + i);
        must(muster_array_write(shared->squares, i, 1, &square));
        must(muster_value_i64_add(shared->sum, square, NULL));
    }
    return 0;
}

int main(int argc, char **argv)
{
    must(muster_init(&argc, &argv, NULL));
    struct shared shared;
    must(muster_array_create(&shared.squares, ITEMS, sizeof(int64_t), NULL));
    must(muster_value_i64_create(&shared.sum, 0, NULL));
    must(muster_dict_create(&shared.settings, NULL));
    muster_process workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        must(muster_process_create(&workers[i], work, &shared, sizeof shared, NULL));
        must(muster_process_start(workers[i]));
    }
    int64_t from = 1, squares[ITEMS], sum;
    must(muster_dict_set(shared.settings, "from", &from, sizeof from));
    for (int i = 0; i < WORKERS; i++)
        must(muster_process_join(workers[i], NULL, MUSTER_FOREVER));
    must(muster_array_read(shared.squares, 0, ITEMS, squares));
    must(muster_value_i64_load(shared.sum, &sum));
    for (int i = 0; i < ITEMS; i++)
        printf("%lld squared is %lld\n", (long long)(from + i), (long long)squares[i]);
    printf("Together: %lld\n", (long long)sum);
    return muster_finalize();
}
