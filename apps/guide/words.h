#ifndef GUIDE_WORDS_H
#define GUIDE_WORDS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* how often a word came */
struct word {
    int64_t count;
    char text[24];
};

/* each word once; freed by free(words->at) */
struct words {
    struct word *at;
    size_t n;
};

static inline void words_add(struct words *words, const struct word *word)
{
    size_t i = 0;
    while (i < words->n && strcmp(words->at[i].text, word->text) != 0)
        i++;
    if (i < words->n) {
        words->at[i].count += word->count;
        return;
    }
    words->at = realloc(words->at, (i + 1) * sizeof *word);
    if (!words->at)
        abort();
    words->at[words->n++] = *word;
}

#endif
