/* Two processes that print in turn, because of a lock. */
#include <muster/must.h>
#include <muster/muster.h>

static int print_numbers(const void *arg, size_t size_bytes)
{
    (void)size_bytes;
    muster_lock lock = *(const muster_lock *)arg;
    must(muster_lock_acquire(lock, MUSTER_FOREVER));
    for (int i = 0; i < 5; i++)
        printf("Number: %d\n", i);
    fflush(stdout); /* what was printed must be out before the other's turn */
    must(muster_lock_release(lock));
    return 0;
}

int main(int argc, char **argv)
{
    must(muster_init(&argc, &argv, NULL));
    muster_lock lock;
    must(muster_lock_create(&lock, NULL));
    muster_process both[2];
    for (int i = 0; i < 2; i++) {
        must(muster_process_create(&both[i], print_numbers, &lock, sizeof lock, NULL));
        must(muster_process_start(both[i]));
    }
    for (int i = 0; i < 2; i++)
        must(muster_process_join(both[i], NULL, MUSTER_FOREVER));
    printf("Both processes completed.\n");
    return muster_finalize();
}
