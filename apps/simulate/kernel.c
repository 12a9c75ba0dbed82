/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packing: the lattice is cut into 8 x 8 square blocks of b x b sites (b = L / 8). Word (i, j), 0 <= i, j < b, holds
 * site (i, j) of every block: bit 8 * (block row) + (block column). Inside a block a neighbour is simply the
 * neighbouring word; across a block's edge it is the word on the opposite side, turned by one block. So the torus
 * stays exactly periodic, unlike with the helical boundaries many multi-spin codes settle for, which Kaufman's
 * solution does not cover.
 *
 * For even b all sites of a word have one colour, (i + j) mod 2. Each colour is a plane of b rows of b / 2 words with a
 * ghost row above and below (the turned last and first row), so that neighbour sums need no case distinction but the
 * one at the end of a row. L = 8 is a single word of both colours and is done with masks.
 *
 * Random numbers: Philox4x64-10 (Salmon, Moraes, Dror, Shaw, SC11) by Random123. A site's number u is drawn digit by
 * digit, 64 sites at once, and compared with the binary digits of its acceptance probability; the drawing stops when
 * every site of the word is decided, at about 9 words for 64 sites. (Bit-wise comparison: Kikuchi, Okabe,
 * J. Stat. Phys. 41, 845 (1985); multi-spin sums: Jacobs, Rebbi, J. Comput. Phys. 41, 203 (1981).)
 */
#include "simulate/kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <Random123/philox.h>

#define GRID        8 /* blocks a side */
#define HALF_MAX    (LATTICE_SIZE_MAX / GRID / 2)
#define BATCH_WORDS 64 /* words whose random digits are drawn together */
#define EAGER       2  /* blocks of four digits drawn before looking whether they are needed */
#define DIGITS      64
#define STREAM_TAG  UINT64_C(0x6d75737465722d31) /* "muster-1" */
#define EVEN_SITES  UINT64_C(0xaa55aa55aa55aa55) /* of an 8 x 8 word: row + column even */

/* Only the counting of bits profits; results are the same. Sanitizers run before the resolver is ready. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define WITH_POPCOUNT __attribute__((target_clones("popcnt", "default")))
#else
#define WITH_POPCOUNT
#endif

_Static_assert(HALF_MAX <= BATCH_WORDS, "a row must fit a batch");

struct lattice {
    int size;
    int block;          /* sites along a block's side, b */
    int half;           /* words a row of one colour, b / 2 */
    uint64_t *plane[2]; /* [colour]: (b + 2) x half words, row 0 of the block at offset half; L = 8: one word */
    uint64_t store[];
};

/* Sites that need a random number, word by word: those that agree with three and with all four neighbours. */
struct batch {
    uint64_t three[BATCH_WORDS];
    uint64_t four[BATCH_WORDS];
    uint64_t flips[BATCH_WORDS];
    uint64_t open[BATCH_WORDS]; /* sites not yet decided */
    int words;
    uint64_t first_word;
};

struct half_sweep {
    const struct acceptance *accept;
    const struct chain_stream *stream;
    uint64_t number; /* 2 * sweep + colour */
};

/* The same sites' neighbour one row up / down, one column left / right, when that lies in another block. */
static inline uint64_t block_above(uint64_t w)
{
    return w << 8 | w >> 56;
}

static inline uint64_t block_below(uint64_t w)
{
    return w >> 8 | w << 56;
}

static inline uint64_t block_left(uint64_t w)
{
    return (w << 1 & UINT64_C(0xfefefefefefefefe)) | (w >> 7 & UINT64_C(0x0101010101010101));
}

static inline uint64_t block_right(uint64_t w)
{
    return (w >> 1 & UINT64_C(0x7f7f7f7f7f7f7f7f)) | (w << 7 & UINT64_C(0x8080808080808080));
}

struct acceptance acceptance_at(double temperature)
{
    /* exp(-4/T) <= 1 - 2^-53 for every finite T that is allowed, so the product fits */
    return (struct acceptance){(uint64_t)ldexp(exp(-4 / temperature), 64), (uint64_t)ldexp(exp(-8 / temperature), 64)};
}

bool lattice_size_allowed(long size)
{
    return size == GRID || (size >= 2 * GRID && size <= LATTICE_SIZE_MAX && size % (2 * GRID) == 0);
}

lattice *lattice_create(int size)
{
    if (!lattice_size_allowed(size))
        return NULL;
    int block = size / GRID, half = block / 2;
    size_t plane_words = size == GRID ? 1 : (size_t)(block + 2) * (size_t)half;
    lattice *l = malloc(sizeof *l + 2 * plane_words * sizeof *l->store);
    if (!l)
        return NULL;
    *l = (lattice){.size = size, .block = block, .half = half};
    memset(l->store, 0xff, 2 * plane_words * sizeof *l->store);
    l->plane[0] = l->store;
    l->plane[1] = l->store + plane_words;
    return l;
}

void lattice_destroy(lattice *l)
{
    free(l);
}

static inline uint64_t *row_of(const lattice *l, int colour, int i)
{
    return l->plane[colour] + (size_t)(i + 1) * (size_t)l->half;
}

static inline philox4x64_ctr_t draw(const struct chain_stream *stream, uint64_t word, uint64_t half_sweep,
                                    uint64_t block)
{
    philox4x64_ctr_t counter = {{word, half_sweep, stream->task, block}};
    philox4x64_key_t key = {{stream->seed, STREAM_TAG}};
    return philox4x64(counter, key);
}

void chain_stream_planes(const struct chain_stream *stream, uint64_t word, uint64_t half_sweep, uint64_t block,
                         uint64_t planes[4])
{
    philox4x64_ctr_t r = draw(stream, word, half_sweep, block);
    memcpy(planes, r.v, sizeof r.v);
}

/* All ones when binary digit d (0: one half) of a probability is 1. */
static inline uint64_t digit(uint64_t probability, int d)
{
    return -(probability >> (DIGITS - 1 - d) & 1);
}

/* One more digit r of the sites' random numbers: where it differs from the threshold's, the comparison is decided. */
static inline void compare(struct batch *b, int w, uint64_t r, uint64_t three_digit, uint64_t four_digit)
{
    uint64_t threshold = (b->three[w] & three_digit) | (b->four[w] & four_digit);
    b->flips[w] |= b->open[w] & ~r & threshold;
    b->open[w] &= ~(r ^ threshold);
}

/* Digits beyond the eager ones, for the few words that still have undecided sites. */
static void decide_rest(struct batch *b, int w, const struct half_sweep *h)
{
    for (int block = EAGER; b->open[w] && block < DIGITS / 4; block++) {
        philox4x64_ctr_t r = draw(h->stream, b->first_word + (uint64_t)w, h->number, (uint64_t)block);
        for (int k = 0; k < 4; k++)
            compare(b, w, r.v[k], digit(h->accept->three, 4 * block + k), digit(h->accept->four, 4 * block + k));
    }
}

/* From three and four makes flips: moves that cost nothing always happen, the others with their probability. */
static void decide(struct batch *b, const struct half_sweep *h)
{
    uint64_t digits[4 * EAGER][BATCH_WORDS];
    for (int w = 0; w < b->words; w++)
        for (int block = 0; block < EAGER; block++) {
            philox4x64_ctr_t r = draw(h->stream, b->first_word + (uint64_t)w, h->number, (uint64_t)block);
            for (int k = 0; k < 4; k++)
                digits[4 * block + k][w] = r.v[k];
        }
    for (int w = 0; w < b->words; w++) {
        b->open[w] = b->three[w] | b->four[w];
        b->flips[w] = ~b->open[w];
    }
    for (int d = 0; d < 4 * EAGER; d++) {
        uint64_t three_digit = digit(h->accept->three, d), four_digit = digit(h->accept->four, d);
        for (int w = 0; w < b->words; w++)
            compare(b, w, digits[d][w], three_digit, four_digit);
    }
    for (int w = 0; w < b->words; w++)
        if (b->open[w])
            decide_rest(b, w, h);
}

/* Bit-sliced count of agreeing neighbours. */
static inline void count_agreeing(uint64_t s, uint64_t n0, uint64_t n1, uint64_t n2, uint64_t n3, uint64_t *three,
                                  uint64_t *four)
{
    uint64_t a = ~(s ^ n0), b = ~(s ^ n1), c = ~(s ^ n2), d = ~(s ^ n3);
    uint64_t both_ab = a & b, both_cd = c & d;
    *three = (both_ab & (c ^ d)) | (both_cd & (a ^ b));
    *four = both_ab & both_cd;
}

/* The fourth neighbours of row i's words of one colour: they lie left in one row, right in the next. */
static void side_neighbours(const lattice *l, int colour, int i, uint64_t *side)
{
    const uint64_t *other = row_of(l, 1 - colour, i);
    size_t rest = (size_t)(l->half - 1);
    if ((i + colour) % 2 == 0) {
        side[0] = block_left(other[rest]);
        memcpy(side + 1, other, rest * sizeof *side);
    } else {
        memcpy(side, other + 1, rest * sizeof *side);
        side[rest] = block_right(other[0]);
    }
}

static void sum_row(const lattice *l, int colour, int i, uint64_t *three, uint64_t *four)
{
    const uint64_t *s = row_of(l, colour, i);
    const uint64_t *above = row_of(l, 1 - colour, i - 1), *beside = row_of(l, 1 - colour, i),
                   *below = row_of(l, 1 - colour, i + 1);
    uint64_t side[HALF_MAX];
    side_neighbours(l, colour, i, side);
    for (int x = 0; x < l->half; x++)
        count_agreeing(s[x], above[x], beside[x], side[x], below[x], &three[x], &four[x]);
}

static void turn_ghosts(lattice *l, int colour)
{
    const uint64_t *first = row_of(l, colour, 0), *last = row_of(l, colour, l->block - 1);
    uint64_t *before = row_of(l, colour, -1), *after = row_of(l, colour, l->block);
    for (int x = 0; x < l->half; x++) {
        before[x] = block_above(last[x]);
        after[x] = block_below(first[x]);
    }
}

static void update_colour(lattice *l, int colour, const struct half_sweep *h)
{
    struct batch b;
    int rows = BATCH_WORDS / l->half;
    for (int i = 0; i < l->block; i += rows) {
        int end = i + rows < l->block ? i + rows : l->block;
        b.first_word = (uint64_t)i * (uint64_t)l->half;
        b.words = (end - i) * l->half;
        for (int r = i; r < end; r++)
            sum_row(l, colour, r, b.three + (r - i) * l->half, b.four + (r - i) * l->half);
        decide(&b, h);
        uint64_t *s = row_of(l, colour, i);
        for (int w = 0; w < b.words; w++)
            s[w] ^= b.flips[w];
    }
    turn_ghosts(l, colour);
}

/* L = 8: both colours in one word, half of whose random numbers go unused. */
static void update_single(lattice *l, uint64_t sites, const struct half_sweep *h)
{
    struct batch b = {.words = 1};
    uint64_t s = l->plane[0][0];
    count_agreeing(s, block_above(s), block_below(s), block_left(s), block_right(s), b.three, b.four);
    decide(&b, h);
    l->plane[0][0] ^= b.flips[0] & sites;
}

void lattice_sweep(lattice *l, const struct acceptance *accept, const struct chain_stream *stream, uint64_t sweep)
{
    for (int colour = 0; colour < 2; colour++) {
        struct half_sweep h = {accept, stream, 2 * sweep + (uint64_t)colour};
        if (l->size == GRID)
            update_single(l, colour ? ~EVEN_SITES : EVEN_SITES, &h);
        else
            update_colour(l, colour, &h);
    }
}

/* Every bond has exactly one end of colour 0, so its words and their four neighbours give all broken bonds. */
WITH_POPCOUNT struct lattice_totals lattice_measure(const lattice *l)
{
    int64_t sites = (int64_t)l->size * l->size, up = 0, broken = 0;
    if (l->size == GRID) {
        uint64_t s = l->plane[0][0];
        up = __builtin_popcountll(s);
        broken = __builtin_popcountll(s ^ block_below(s)) + __builtin_popcountll(s ^ block_right(s));
        return (struct lattice_totals){2 * broken - 2 * sites, 2 * up - sites};
    }
    for (int i = 0; i < l->block; i++) {
        uint64_t side[HALF_MAX];
        const uint64_t *s = row_of(l, 0, i), *above = row_of(l, 1, i - 1), *beside = row_of(l, 1, i),
                       *below = row_of(l, 1, i + 1);
        side_neighbours(l, 0, i, side);
        for (int x = 0; x < l->half; x++) {
            uint64_t a = s[x] ^ above[x], b = s[x] ^ beside[x], c = s[x] ^ side[x], d = s[x] ^ below[x];
            broken +=
                __builtin_popcountll(a) + __builtin_popcountll(b) + __builtin_popcountll(c) + __builtin_popcountll(d);
            up += __builtin_popcountll(s[x]) + __builtin_popcountll(beside[x]);
        }
    }
    return (struct lattice_totals){2 * broken - 2 * sites, 2 * up - sites};
}

/* Where a site is kept. */
static uint64_t *site_word(const lattice *l, int row, int column, int *bit)
{
    int i = row % l->block, j = column % l->block;
    *bit = GRID * (row / l->block) + column / l->block;
    if (l->size == GRID)
        return l->plane[0];
    return row_of(l, (i + j) % 2, i) + j / 2;
}

int lattice_spin(const lattice *l, int row, int column)
{
    int bit;
    const uint64_t *word = site_word(l, row, column, &bit);
    return *word >> bit & 1 ? 1 : -1;
}

void lattice_set_spin(lattice *l, int row, int column, int spin)
{
    int bit;
    uint64_t *word = site_word(l, row, column, &bit);
    *word = (*word & ~(UINT64_C(1) << bit)) | (uint64_t)(spin > 0) << bit;
    if (l->size > GRID)
        for (int colour = 0; colour < 2; colour++)
            turn_ghosts(l, colour);
}
