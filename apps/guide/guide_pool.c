/* A function applied to each item of a list, by four workers. */
#include <muster/must.h>
#include <muster/muster.h>

static int square_number(const void *item, void *result, const void *user)
{
    (void)user;
    int n = *(const int *)item;
    *(int *)result = n * n;
    return 0;
}

int main(int argc, char **argv)
{
    must(muster_init(&argc, &argv, NULL));
    muster_pool pool;
    must(muster_pool_create(&pool, &(muster_pool_options){.workers = 4}));
    int numbers[] = {1, 2, 3, 4, 5}, results[5];
    must(muster_pool_map(pool, square_number, numbers, 5, sizeof *numbers, results, sizeof *results, NULL));
    must(muster_pool_destroy(pool));

    printf("Squared numbers: [");
    for (int i = 0; i < 5; i++)
        printf("%s%d", i ? ", " : "", results[i]);
    printf("]\n");
    return muster_finalize();
}
