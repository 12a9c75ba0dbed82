/* A function in a process of its own. */
#include <muster/must.h>
#include <muster/muster.h>

static int print_numbers(const void *arg, size_t size_bytes)
{
    (void)arg, (void)size_bytes;
    for (int i = 0; i < 5; i++)
        printf("Number: %d\n", i);
    return 0;
}

int main(int argc, char **argv)
{
    must(muster_init(&argc, &argv, NULL));
    muster_process process;
    must(muster_process_create(&process, print_numbers, NULL, 0, NULL));
    must(muster_process_start(process));
    must(muster_process_join(process, NULL, MUSTER_FOREVER));
    printf("Process completed.\n");
    return muster_finalize();
}
