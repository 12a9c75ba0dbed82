/* SPDX-License-Identifier: BSD-3-Clause */
/* Has an OpenMP team before muster_init, and one in each task of ranks and of isolated workers. */
#include <muster/must.h>
#include <muster/muster.h>

static int add_up(const void *item, void *result, const void *user)
{
    long sum = 0, to = *(const int *)item;
    (void)user;
#pragma omp parallel for num_threads(3) reduction(+ : sum)
    for (long i = 1; i <= to; i++)
        sum += i;
    *(long *)result = sum;
    return 0;
}

int main(int argc, char **argv)
{
    int items[] = {10, 100, 1000, 10000};
    long sums[4];
    for (int i = 0; i < 4; i++)
        add_up(&items[i], &sums[i], NULL);
    must(muster_init(&argc, &argv, NULL));
    for (int isolated = 0; isolated < 2; isolated++) {
        muster_pool pool;
        must(muster_pool_create(&pool, &(muster_pool_options){.isolated = isolated, .workers = 2}));
        must(muster_pool_map(pool, add_up, items, 4, sizeof *items, sums, sizeof *sums, NULL));
        must(muster_pool_destroy(pool));
        printf("sums %ld %ld %ld %ld\n", sums[0], sums[1], sums[2], sums[3]);
    }
    return muster_finalize();
}
