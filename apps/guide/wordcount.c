/* Counts the words of the files named: paths go in, tables of any size come out, and the caller merges them. */
#include <muster/must.h>
#include <muster/muster.h>

#include "words.h"

static int count_words(const void *path, void *result, const void *user)
{
    struct word word = {.count = 1};
    struct words words = {0};
    FILE *file = fopen(path, "r");
    (void)result, (void)user;
    if (!file)
        return muster_task_fail(1, "%s cannot be read", (const char *)path);
    while (fscanf(file, "%23s", word.text) == 1)
        words_add(&words, &word);
    fclose(file);
    muster_err err = muster_task_return(words.at, words.n * sizeof word);
    free(words.at);
    return err;
}

int main(int argc, char **argv)
{
    must(muster_init(&argc, &argv, NULL));
    muster_pool pool;
    muster_span paths[argc], *tables;
    must(muster_pool_create(&pool, NULL));
    for (int i = 1; i < argc; i++)
        paths[i] = (muster_span){argv[i], strlen(argv[i]) + 1};
    must(muster_pool_map_list(pool, count_words, paths + 1, argc - 1, &tables, NULL));
    must(muster_pool_destroy(pool));

    struct words all = {0};
    for (int i = 0; i < argc - 1; i++)
        for (size_t k = 0; k < tables[i].size_bytes / sizeof(struct word); k++)
            words_add(&all, (const struct word *)tables[i].bytes + k);
    for (size_t i = 0; i < all.n; i++)
        printf("%lld %s\n", (long long)all.at[i].count, all.at[i].text);
    free(tables);
    free(all.at);
    return muster_finalize();
}
