/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include <muster/muster.h>

static int square(const void *item, void *result, const void *user)
{
    (void)user;
    *(int *)result = *(const int *)item * *(const int *)item;
    return 0;
}

int main(int argc, char **argv)
{
    int numbers[10], squares[10], sum = 0;
    muster_pool pool;
    if (muster_init(&argc, &argv, NULL) != MUSTER_OK || muster_pool_create(&pool, NULL) != MUSTER_OK)
        return 1;
    for (int i = 0; i < 10; i++)
        numbers[i] = i;
    if (muster_pool_map(pool, square, numbers, 10, sizeof *numbers, squares, sizeof *squares, NULL) != MUSTER_OK)
        return 1;
    for (int i = 0; i < 10; i++)
        sum += squares[i];
    printf("sum of squares %d, version %s\n", sum, muster_version());
    muster_pool_destroy(pool);
    return muster_finalize();
}
