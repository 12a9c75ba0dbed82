/* Two processes that talk through a queue. */
#include <muster/must.h>
#include <muster/muster.h>

static int producer(const void *arg, size_t size_bytes)
{
    (void)size_bytes;
    muster_queue queue = *(const muster_queue *)arg;
    for (int i = 0; i < 5; i++) {
        must(muster_queue_put(queue, &i, sizeof i, MUSTER_FOREVER));
        printf("Produced: %d\n", i);
    }
    must(muster_queue_close(queue)); /* nothing more will come: ends the consumer's loop */
    return 0;
}

/* The guide loops while not queue.empty(), which races: a consumer that comes first finds it empty and leaves. */
static int consumer(const void *arg, size_t size_bytes)
{
    (void)size_bytes;
    muster_queue queue = *(const muster_queue *)arg;
    muster_err err;
    int item;
    while ((err = muster_queue_get(queue, &item, sizeof item, NULL, MUSTER_FOREVER)) == MUSTER_OK)
        printf("Consumed: %d\n", item);
    return err == MUSTER_ERR_CLOSED ? 0 : 1;
}

int main(int argc, char **argv)
{
    must(muster_init(&argc, &argv, NULL));
    muster_queue queue;
    must(muster_queue_create(&queue, NULL));
    muster_process both[2];
    for (int i = 0; i < 2; i++) {
        must(muster_process_create(&both[i], i == 0 ? producer : consumer, &queue, sizeof queue, NULL));
        must(muster_process_start(both[i]));
    }
    for (int i = 0; i < 2; i++)
        must(muster_process_join(both[i], NULL, MUSTER_FOREVER));
    printf("All items have been processed.\n");
    return muster_finalize();
}
