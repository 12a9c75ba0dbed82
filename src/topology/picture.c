/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The picture is drawn in one pass over the cores: where a level's number changes, that level's line comes first. Each
 * sitter has been given its spot before: the smallest group that holds its whole set.
 */
#include "base/base.h"
#include "topology/model.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 98,
    RUN = 4,       /* as many cores with numbered sitters are drawn in one line */
    ELSEWHERE = -1 /* in place of a core: outside the picture */
};

struct spot {
    enum muster__tier tier;
    int core; /* a core of the group, or ELSEWHERE */
};

struct drawing {
    const struct muster__topology *t;
    const struct muster__sitter *sitters;
    struct spot *spots; /* of the sitters */
    int n;
    FILE *stream;
    int column, indent; /* where the pen is; where a broken line goes on */
};

/* ---- lines ---- */

static void begin(struct drawing *d, int indent, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void begin(struct drawing *d, int indent, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    d->indent = indent + 4;
    d->column = fprintf(d->stream, "%*s", indent, "");
    d->column += vfprintf(d->stream, format, args);
    va_end(args);
}

static void end(struct drawing *d)
{
    fputc('\n', d->stream);
}

/* Adds an item behind a separator and a space; breaks the line in place of the space where it would get too long. */
static void item(struct drawing *d, const char *separator, const char *text)
{
    fputs(separator, d->stream);
    d->column += (int)strlen(separator);
    if (d->column + 1 + (int)strlen(text) <= WIDTH)
        d->column += fprintf(d->stream, " %s", text);
    else
        d->column = fprintf(d->stream, "\n%*s%s", d->indent, "", text) - 1;
}

static void item_count(struct drawing *d, const char *separator, int n, const char *what)
{
    char text[64];
    snprintf(text, sizeof text, "%d %s%s", n, what, n == 1 ? "" : "s");
    item(d, separator, text);
}

static void bytes_text(int64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int64_t tenths = bytes * 10;
    int unit = 0;

    for (; tenths >= 10240 && unit < 4; unit++)
        tenths = (tenths + 512) / 1024;
    if (tenths >= 1000 || tenths % 10 == 0)
        snprintf(text, size, "%lld %s", (long long)(tenths + 5) / 10, units[unit]);
    else
        snprintf(text, size, "%lld.%lld %s", (long long)tenths / 10, (long long)tenths % 10, units[unit]);
}

/* ---- where sitters go ---- */

static bool same_group(const struct drawing *d, int a, int b, enum muster__tier tier)
{
    return muster__tier_shared(&d->t->core[a].seat, &d->t->core[b].seat, tier);
}

/* Whether the core is in no L3 and all others of its node are not, too: then the node's line stands for the group. */
static bool node_has_no_l3(const struct drawing *d, int core)
{
    for (int i = 0; i < d->t->cores; i++) {
        if (same_group(d, i, core, MUSTER__NODE) && d->t->core[i].l3_bytes >= 0)
            return false;
    }
    return true;
}

static struct spot spot_of(const struct drawing *d, const struct muster__cpuset *cpus)
{
    struct spot spot = {.tier = MUSTER__CORE, .core = ELSEWHERE};

    for (int i = 0; i < d->t->cores; i++) {
        struct muster__cpuset part = d->t->core[i].seat.cpus;
        if (!muster__cpuset_meet(&part, cpus))
            continue;
        if (spot.core < 0)
            spot.core = i;
        while (!same_group(d, i, spot.core, spot.tier))
            spot.tier--;
    }
    if (spot.tier == MUSTER__L3 && node_has_no_l3(d, spot.core))
        spot.tier = MUSTER__NODE;
    return spot;
}

static bool sits_at(const struct drawing *d, int sitter, enum muster__tier tier, int core)
{
    const struct spot *spot = &d->spots[sitter];
    if (spot->core < 0 || core < 0)
        return spot->core == core;
    return spot->tier == tier && same_group(d, spot->core, core, tier);
}

static struct muster__cpuset group_cpus(const struct drawing *d, enum muster__tier tier, int core)
{
    struct muster__cpuset cpus = {{0}};
    for (int i = 0; core >= 0 && i < d->t->cores; i++) {
        if (same_group(d, i, core, tier))
            muster__cpuset_join(&cpus, &d->t->core[i].seat.cpus);
    }
    return cpus;
}

/* ---- sitters ---- */

/* The number that a label ends in, and where; -1 if there is none that can be counted on with. */
static long label_number(const struct muster__sitter *s, size_t *start)
{
    size_t length = strnlen(s->label, sizeof s->label), at = length;
    char digits[sizeof s->label];

    while (at > 0 && isdigit((unsigned char)s->label[at - 1]))
        at--;
    *start = at;
    if (at == length || length - at > 9)
        return -1;
    memcpy(digits, s->label + at, length - at);
    digits[length - at] = '\0';
    return strtol(digits, NULL, 10);
}

/* Whether b has a's words with the next number. */
static bool succeeds(const struct muster__sitter *a, const struct muster__sitter *b)
{
    size_t na, nb;
    long x = label_number(a, &na), y = label_number(b, &nb);
    return x >= 0 && y == x + 1 && na == nb && memcmp(a->label, b->label, na) == 0 && a->exclusive == b->exclusive;
}

/* "rank 3" or "rank 3-7"; "(pu 4,6)" if they have only a part of where they are drawn; "(shared)" if not exclusive */
static void sitter_item(struct drawing *d, const char *separator, int first, int last, bool part)
{
    const struct muster__sitter *s = &d->sitters[first];
    char text[96], cpus[24], to[24] = "";
    size_t start;

    if (last != first)
        snprintf(to, sizeof to, "-%ld", label_number(&d->sitters[last], &start));
    muster__cpuset_format(&s->cpus, cpus, sizeof cpus);
    snprintf(text, sizeof text, "%.*s%s%s%s%s%s", (int)sizeof s->label, s->label, to, part ? " (pu " : "",
             part ? cpus : "", part ? ")" : "", s->exclusive ? "" : " (shared)");
    item(d, separator, text);
}

/* Lists who is drawn at the core's group; returns how many of them want it for themselves. */
static int list_sitters(struct drawing *d, enum muster__tier tier, int core)
{
    struct muster__cpuset all = group_cpus(d, tier, core);
    const char *separator = ":";
    int exclusive = 0;

    for (int i = 0; i < d->n; i++) {
        int last = i;
        if (!sits_at(d, i, tier, core))
            continue;
        while (last + 1 < d->n && sits_at(d, last + 1, tier, core) &&
               succeeds(&d->sitters[last], &d->sitters[last + 1]) &&
               muster__cpuset_equal(&d->sitters[i].cpus, &d->sitters[last + 1].cpus))
            last++;
        sitter_item(d, separator, i, last, !muster__cpuset_equal(&d->sitters[i].cpus, &all));
        separator = ",";
        exclusive += d->sitters[i].exclusive ? last - i + 1 : 0;
        i = last;
    }
    return exclusive;
}

/* ---- cores ---- */

enum { FREE = -1, TAKEN = -2, SEVERAL = -3 };

/* The one sitter that has all of the core and just that; FREE; TAKEN by an exclusive one that is drawn at a larger
 * group; or SEVERAL, which stands for all that needs a line of its own. */
static int only_sitter(const struct drawing *d, int core)
{
    const struct muster__cpuset *cpus = &d->t->core[core].seat.cpus;
    int found = FREE;

    for (int i = 0; i < d->n; i++) {
        struct muster__cpuset part = *cpus;
        if (sits_at(d, i, MUSTER__CORE, core)) {
            if (found >= 0 || !muster__cpuset_equal(&d->sitters[i].cpus, cpus))
                return SEVERAL;
            found = i;
        } else if (found == FREE && d->sitters[i].exclusive && muster__cpuset_meet(&part, &d->sitters[i].cpus)) {
            found = TAKEN;
        }
    }
    return found;
}

/* Whether core + 1 may share a line with core: next in number, same group, as many PUs. */
static bool same_shape(const struct drawing *d, int core)
{
    const struct muster__seat *a = &d->t->core[core].seat, *b = &d->t->core[core + 1].seat;
    return same_group(d, core, core + 1, MUSTER__L3) && b->core == a->core + 1 &&
           muster__cpuset_count(&a->cpus) == muster__cpuset_count(&b->cpus);
}

/* Last core of the line that starts with this one; its sitter goes to *sitter. */
static int line_end(const struct drawing *d, int core, int *sitter)
{
    int last = core, first_sitter = only_sitter(d, core);

    *sitter = first_sitter;
    while (*sitter != SEVERAL && last + 1 < d->t->cores && same_shape(d, last)) {
        int next = only_sitter(d, last + 1);
        bool alike = *sitter < 0 ? next == *sitter : next >= 0 && succeeds(&d->sitters[*sitter], &d->sitters[next]);
        if (!alike)
            break;
        *sitter = next;
        last++;
    }
    if (first_sitter < 0 || last + 1 - core >= RUN)
        return last;
    *sitter = first_sitter;
    return core;
}

static void begin_cores(struct drawing *d, int first, int last)
{
    struct muster__cpuset cpus = d->t->core[first].seat.cpus;
    char list[48];
    int from = d->t->core[first].seat.core, to = d->t->core[last].seat.core;
    int indent = node_has_no_l3(d, first) ? 6 : 8;

    for (int i = first + 1; i <= last; i++)
        muster__cpuset_join(&cpus, &d->t->core[i].seat.cpus);
    muster__cpuset_format(&cpus, list, sizeof list);
    if (first == last)
        begin(d, indent, "core %d (pu %s)", from, list);
    else
        begin(d, indent, "cores %d-%d (pu %s)", from, to, list);
}

/* Draws one line; returns the core after it. */
static int draw_cores(struct drawing *d, int core)
{
    int last_sitter, first_sitter = only_sitter(d, core), last = line_end(d, core, &last_sitter);

    begin_cores(d, core, last);
    if (first_sitter == FREE) {
        item(d, ":", "free");
    } else if (first_sitter >= 0 && last > core) {
        sitter_item(d, ":", first_sitter, last_sitter, false);
        item(d, ",", "one each");
    } else {
        char text[48];
        int exclusive = list_sitters(d, MUSTER__CORE, core);
        snprintf(text, sizeof text, "crowded by %d exclusive", exclusive);
        if (exclusive > 1)
            item(d, ";", text);
    }
    end(d);
    return last + 1;
}

/* ---- groups and host ---- */

static void draw_l3(struct drawing *d, int core)
{
    int64_t bytes = d->t->core[core].l3_bytes;
    char size[32];

    bytes_text(bytes, size, sizeof size);
    if (bytes > 0)
        begin(d, 6, "L3 of %s", size);
    else
        begin(d, 6, bytes < 0 ? "no L3" : "L3");
    list_sitters(d, MUSTER__L3, core);
    end(d);
}

static void draw_node(struct drawing *d, int core)
{
    const struct muster__topology_core *c = &d->t->core[core];
    char memory[32];

    bytes_text(c->numa_bytes, memory, sizeof memory);
    begin(d, 4, "NUMA node %d with %s", c->seat.os_numa, memory);
    list_sitters(d, MUSTER__NODE, core);
    end(d);
}

static void draw_groups(struct drawing *d, int core)
{
    int before = core - 1;
    bool package = core == 0 || !same_group(d, core, before, MUSTER__PACKAGE);
    bool node = package || !same_group(d, core, before, MUSTER__NODE);
    bool l3 = node || !same_group(d, core, before, MUSTER__L3);

    if (package) {
        begin(d, 2, "package %d", d->t->core[core].seat.package);
        list_sitters(d, MUSTER__PACKAGE, core);
        end(d);
    }
    if (node)
        draw_node(d, core);
    if (l3 && !node_has_no_l3(d, core))
        draw_l3(d, core);
}

static int count_groups(const struct drawing *d, enum muster__tier tier)
{
    int groups = 1;
    for (int i = 1; i < d->t->cores; i++)
        groups += !same_group(d, i, i - 1, tier);
    return groups;
}

static int count_l3s(const struct drawing *d)
{
    int l3s = 0;
    for (int i = 0; i < d->t->cores; i++)
        l3s += d->t->core[i].l3_bytes >= 0 && (i == 0 || !same_group(d, i, i - 1, MUSTER__L3));
    return l3s;
}

static void draw_host(struct drawing *d, const char *host)
{
    struct muster__cpuset all = muster__topology_pus(d->t);
    char list[48], memory[32], text[64];

    begin(d, 0, "host %.64s", host);
    item_count(d, ":", count_groups(d, MUSTER__PACKAGE), "package");
    item_count(d, ",", count_groups(d, MUSTER__NODE), "NUMA node");
    if (count_l3s(d))
        item_count(d, ",", count_l3s(d), "L3 group");
    item_count(d, ",", d->t->cores, "core");
    snprintf(text, sizeof text, "pu %s", muster__cpuset_format(&all, list, sizeof list));
    item(d, ",", text);
    end(d);
    if (!d->t->this_machine) {
        begin(d, 2, "described by HWLOC_SYNTHETIC or HWLOC_XMLFILE, not this machine: nothing is bound");
        end(d);
    }
    if (d->t->other_nodes) {
        bytes_text(d->t->other_bytes, memory, sizeof memory);
        begin(d, 2, "more memory:");
        item_count(d, "", d->t->other_nodes, "NUMA node");
        snprintf(text, sizeof text, "with %s, home of no allowed core", memory);
        item(d, "", text);
        end(d);
    }
}

/* Who is bound to cores of several packages, or to PUs that are not in the picture. */
static void draw_strays(struct drawing *d)
{
    bool wide = false, elsewhere = false;

    for (int i = 0; i < d->n; i++) {
        wide |= d->spots[i].core >= 0 && d->spots[i].tier == MUSTER__HOST;
        elsewhere |= d->spots[i].core == ELSEWHERE;
    }
    if (wide) {
        begin(d, 2, "over packages");
        list_sitters(d, MUSTER__HOST, 0);
        end(d);
    }
    if (elsewhere) {
        begin(d, 2, "elsewhere");
        list_sitters(d, MUSTER__HOST, ELSEWHERE);
        end(d);
    }
}

muster_err muster__topology_picture(const struct muster__topology *t, const char *host,
                                    const struct muster__sitter *sitters, int n, FILE *stream)
{
    struct drawing d = {.t = t, .sitters = sitters, .n = n, .stream = stream};

    d.spots = calloc((size_t)n + 1, sizeof *d.spots);
    if (!d.spots)
        return muster__fail(MUSTER_ERR_NOMEM, "no memory to draw %d sitter%s", n, muster__s(n));
    for (int i = 0; i < n; i++)
        d.spots[i] = spot_of(&d, &sitters[i].cpus);
    draw_host(&d, host);
    draw_strays(&d);
    for (int core = 0; core < t->cores;) {
        draw_groups(&d, core);
        core = draw_cores(&d, core);
    }
    free(d.spots);
    if (fflush(stream) != 0 || ferror(stream))
        return muster__fail(MUSTER_ERR_SYSTEM, "writing the topology: %s", strerror(errno));
    return MUSTER_OK;
}
