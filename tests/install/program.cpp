/* SPDX-License-Identifier: BSD-3-Clause */
#include <cstdio>
#include <numeric>
#include <vector>

#include <muster/muster.h>

static int square(const void *item, void *result, const void *)
{
    int n = *static_cast<const int *>(item);
    *static_cast<int *>(result) = n * n;
    return 0;
}

int main(int argc, char **argv)
{
    if (muster_init(&argc, &argv, nullptr) != MUSTER_OK)
        return 1;
    muster_pool_options options = muster_pool_options();
    options.isolated = true;
    muster_pool pool;
    if (muster_pool_create(&pool, &options) != MUSTER_OK)
        return 1;
    std::vector<int> numbers(10), squares(10);
    std::iota(numbers.begin(), numbers.end(), 0);
    if (muster_pool_map(pool, square, numbers.data(), 10, sizeof(int), squares.data(), sizeof(int), nullptr) !=
        MUSTER_OK)
        return 1;
    std::printf("sum of squares %d, version %s\n", std::accumulate(squares.begin(), squares.end(), 0),
                muster_version());
    muster_pool_destroy(pool);
    return muster_finalize();
}
