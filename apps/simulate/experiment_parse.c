/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The experiment file, read by inih (https://github.com/benhoyt/inih). inih forgives what would be a mistake here, so
 * lines are looked at before it gets them.
 */
#include "simulate/experiment.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#define LINE_MAX_BYTES 190 /* inih keeps 200 a line, end of line included */
#define UPDATES_MAX    1e17
#define LOWEST_T       0.2
#define HIGHEST_T      100.0

enum key_id { SIZES, VALUES, FROM, TO, POINTS, REPLICAS, THERMALIZE, MEASUREMENTS, BETWEEN, SEED, KEYS };

static const struct key {
    const char *section;
    const char *name;
    const char *allowed;
    int64_t low, high; /* of integers */
} keys[KEYS] = {
    [SIZES] = {"lattice", "sizes", "up to 32 increasing sizes with commas between, each " LATTICE_SIZES_TEXT, 0, 0},
    [VALUES] = {"temperature", "values", "increasing numbers from 0.2 to 100 with commas between", 0, 0},
    [FROM] = {"temperature", "from", "a number from 0.2 to 100", 0, 0},
    [TO] = {"temperature", "to", "a number from 0.2 to 100, above 'from'", 0, 0},
    [POINTS] = {"temperature", "points", "a whole number from 2 to 512", 2, EXPERIMENT_TEMPERATURES_MAX},
    [REPLICAS] = {"run", "replicas", "a whole number from 1 to 1024", 1, 1024},
    [THERMALIZE] = {"run", "thermalize_sweeps", "a whole number from 0 to 1000000000", 0, 1000000000},
    [MEASUREMENTS] = {"run", "measurements", "a multiple of 64 from 64 to 67108864", CHAIN_BINS,
                      CHAIN_MEASUREMENTS_MAX},
    [BETWEEN] = {"run", "sweeps_between", "a whole number from 1 to 1000000", 1, 1000000},
    [SEED] = {"run", "seed", "a whole number from 0 to 18446744073709551615", 0, 0},
};

struct parser {
    const char *file;
    const char *next, *end; /* text not yet handed to inih */
    int line;               /* of what was handed out last, from 1 */
    int key_line[KEYS];     /* where a key was set; 0: not yet */
    double from, to;
    int points;
    struct experiment *e;
    char *error; /* "" while all is well */
};

/* Keeps the first error. */
__attribute__((format(printf, 4, 5))) static int fail(struct parser *p, int line, const char *allowed,
                                                      const char *format, ...)
{
    if (p->error[0])
        return -1;
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(p->error, EXPERIMENT_ERROR_MAX, "%.120s:%d: %s; allowed: %s", p->file, line, what, allowed);
    return -1;
}

int parse_integer(const char *text, int64_t low, int64_t high, int64_t *value)
{
    const char *digits = text + (*text == '-');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return -1;
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno || v < low || v > high)
        return -1;
    *value = v;
    return 0;
}

int parse_unsigned(const char *text, uint64_t *value)
{
    if (!*text || strspn(text, "0123456789") != strlen(text))
        return -1;
    errno = 0;
    unsigned long long v = strtoull(text, NULL, 10);
    if (errno)
        return -1;
    *value = v;
    return 0;
}

/* strtod also takes hexadecimal, infinities and leading blanks, which are mistakes here. */
static int parse_temperature(const char *text, double *value)
{
    if (!*text || strspn(text, "0123456789.eE+-") != strlen(text))
        return -1;
    char *end;
    double v = strtod(text, &end);
    if (*end || !(v >= LOWEST_T && v <= HIGHEST_T))
        return -1;
    *value = v;
    return 0;
}

/* Cuts the first item off a list with commas, blanks around it removed. Returns NULL after the last. */
static char *next_item(char **list)
{
    char *item = *list;
    if (!item)
        return NULL;
    char *comma = strchr(item, ',');
    *list = comma ? comma + 1 : NULL;
    char *end = comma ? comma : item + strlen(item);
    while (isspace((unsigned char)*item))
        item++;
    while (end > item && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return item;
}

static int read_sizes(struct parser *p, char *list)
{
    const char *allowed = keys[SIZES].allowed;
    struct experiment *e = p->e;
    for (char *item; (item = next_item(&list));) {
        int64_t size;
        if (!*item)
            return fail(p, p->line, allowed, "sizes: an item is empty");
        if (parse_integer(item, 0, INT64_MAX, &size) != 0)
            return fail(p, p->line, allowed, "sizes: '%.40s' is not a whole number", item);
        if (!lattice_size_allowed((long)size))
            return fail(p, p->line, allowed, "sizes: no lattice of size %lld", (long long)size);
        if (e->size_count == EXPERIMENT_SIZES_MAX)
            return fail(p, p->line, allowed, "sizes: more than %d items", EXPERIMENT_SIZES_MAX);
        if (e->size_count > 0 && size <= e->sizes[e->size_count - 1])
            return fail(p, p->line, allowed, "sizes: %lld does not come after %d", (long long)size,
                        e->sizes[e->size_count - 1]);
        e->sizes[e->size_count++] = (int)size;
    }
    return 0;
}

static int read_temperatures(struct parser *p, char *list)
{
    const char *allowed = keys[VALUES].allowed;
    struct experiment *e = p->e;
    for (char *item; (item = next_item(&list));) {
        double t;
        if (!*item)
            return fail(p, p->line, allowed, "values: an item is empty");
        if (parse_temperature(item, &t) != 0)
            return fail(p, p->line, allowed, "values: '%.40s' is no such temperature", item);
        if (e->temperature_count > 0 && t <= e->temperatures[e->temperature_count - 1])
            return fail(p, p->line, allowed, "values: %s does not come after %g", item,
                        e->temperatures[e->temperature_count - 1]);
        e->temperatures[e->temperature_count++] = t; /* a line has no room for more than the array */
    }
    return 0;
}

static int read_integer(struct parser *p, enum key_id id, const char *text)
{
    int64_t value;
    if (parse_integer(text, keys[id].low, keys[id].high, &value) != 0 ||
        (id == MEASUREMENTS && value % CHAIN_BINS != 0))
        return fail(p, p->line, keys[id].allowed, "%s = '%.40s'", keys[id].name, text);
    switch (id) {
    case POINTS:
        p->points = (int)value;
        break;
    case REPLICAS:
        p->e->replicas = (int)value;
        break;
    case THERMALIZE:
        p->e->thermalize_sweeps = value;
        break;
    case MEASUREMENTS:
        p->e->measurements = value;
        break;
    default:
        p->e->sweeps_between = value;
    }
    return 0;
}

static int read_value(struct parser *p, enum key_id id, const char *text)
{
    char copy[LINE_MAX_BYTES + 1];
    snprintf(copy, sizeof copy, "%s", text);
    switch (id) {
    case SIZES:
        return read_sizes(p, copy);
    case VALUES:
        return read_temperatures(p, copy);
    case FROM:
    case TO:
        if (parse_temperature(text, id == FROM ? &p->from : &p->to) != 0)
            return fail(p, p->line, keys[id].allowed, "%s = '%.40s'", keys[id].name, text);
        return 0;
    case SEED:
        if (parse_unsigned(text, &p->e->seed) != 0)
            return fail(p, p->line, keys[id].allowed, "seed = '%.40s'", text);
        return 0;
    default:
        return read_integer(p, id, text);
    }
}

/* "sizes" for section "lattice", "values, from, to, points" for "temperature" ... */
static const char *keys_of(const char *section, char *list, size_t size)
{
    size_t used = 0;
    list[0] = '\0';
    for (int id = 0; id < KEYS && used < size; id++)
        if (strcmp(keys[id].section, section) == 0)
            used += (size_t)snprintf(list + used, size - used, "%s%s", used ? ", " : "", keys[id].name);
    return list;
}

/* inih's handler: nonzero is success. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct parser *p = user;
    char list[128];
    if (p->error[0])
        return 0;
    if (!*section)
        return fail(p, p->line, "[lattice], [temperature], [run]", "'%.40s' stands before any section", name) == 0;
    for (int id = 0; id < KEYS; id++) {
        if (strcmp(keys[id].section, section) != 0 || strcmp(keys[id].name, name) != 0)
            continue;
        if (p->key_line[id])
            return fail(p, p->line, "each key once", "%s was already set in line %d", name, p->key_line[id]) == 0;
        p->key_line[id] = p->line;
        return read_value(p, (enum key_id)id, value) == 0;
    }
    return fail(p, p->line, keys_of(section, list, sizeof list), "unknown key '%.40s' in [%s]", name, section) == 0;
}

/* inih does not report sections without keys, and ignores what follows the bracket. */
static int check_section(struct parser *p, const char *line)
{
    static const char *const known[] = {"[lattice]", "[temperature]", "[run]"};
    size_t length = strcspn(line, "]\r\n");
    length += line[length] == ']';
    const char *rest = line + length;
    rest += strspn(rest, " \t\r\n");
    if (*rest && *rest != ';' && *rest != '#')
        return fail(p, p->line, "nothing but a comment", "text after '%.*s'", (int)(length < 40 ? length : 40), line);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == length && strncmp(known[i], line, length) == 0)
            return 0;
    return fail(p, p->line, "[lattice], [temperature], [run]", "unknown section '%.*s'",
                (int)(length < 40 ? length : 40), line);
}

/* inih's reader, like fgets: the next line, without indentation (inih would take it for the line before's rest). */
static char *next_line(char *line, int size, void *stream)
{
    struct parser *p = stream;
    if (p->next == p->end || p->error[0])
        return NULL;
    const char *newline = memchr(p->next, '\n', (size_t)(p->end - p->next));
    const char *end = newline ? newline + 1 : p->end, *begin = p->next;
    p->next = end;
    p->line++;
    if (end - begin > LINE_MAX_BYTES) {
        fail(p, p->line, "190 bytes", "line of %td bytes", end - begin);
        return NULL;
    }
    for (const char *c = begin; c < end; c++)
        if (((unsigned char)*c < ' ' && !strchr("\t\r\n", *c)) || *c == 127 || *c == '\0') {
            fail(p, p->line, "text", "byte 0x%02x", (unsigned char)*c);
            return NULL;
        }
    while (begin < end && (*begin == ' ' || *begin == '\t'))
        begin++;
    if (end - begin >= size) {
        fail(p, p->line, "shorter lines", "line of %td bytes", end - begin);
        return NULL;
    }
    memcpy(line, begin, (size_t)(end - begin));
    line[end - begin] = '\0';
    if (line[0] == '[' && check_section(p, line) != 0)
        return NULL;
    return line;
}

/* The points of the range join the listed values; the result increases. */
static int merge_range(struct parser *p)
{
    struct experiment *e = p->e;
    if (!p->key_line[FROM] || !p->key_line[TO] || !p->key_line[POINTS])
        return fail(p, p->line, "from, to, points together", "only part of a temperature range is given");
    if (p->to <= p->from)
        return fail(p, p->key_line[TO], keys[TO].allowed, "to = %g is not above from = %g", p->to, p->from);
    for (int i = 0; i < p->points; i++) {
        double t = i == p->points - 1 ? p->to : p->from + (p->to - p->from) * i / (p->points - 1);
        t = round(t * 1e9) / 1e9; /* 2.3 rather than 2.3000000000000003 */
        int at = e->temperature_count;
        while (at > 0 && e->temperatures[at - 1] > t)
            at--;
        if ((at > 0 && t - e->temperatures[at - 1] < 5e-10) ||
            (at < e->temperature_count && e->temperatures[at] - t < 5e-10))
            continue; /* listed too */
        if (e->temperature_count == EXPERIMENT_TEMPERATURES_MAX)
            return fail(p, p->key_line[POINTS], "512 temperatures in all", "too many temperatures");
        memmove(&e->temperatures[at + 1], &e->temperatures[at],
                (size_t)(e->temperature_count - at) * sizeof *e->temperatures);
        e->temperatures[at] = t;
        e->temperature_count++;
    }
    return 0;
}

/* What only the whole file can tell. */
static int finish(struct parser *p)
{
    struct experiment *e = p->e;
    int last = p->line > 0 ? p->line : 1;
    for (int id = 0; id < KEYS; id++)
        if (!p->key_line[id] && (id < VALUES || id > POINTS))
            return fail(p, last, keys[id].allowed, "[%s] %s is missing", keys[id].section, keys[id].name);
    bool range = p->key_line[FROM] || p->key_line[TO] || p->key_line[POINTS];
    if (!range && !p->key_line[VALUES])
        return fail(p, last, "values, or from, to, points", "[temperature] has no temperatures");
    if (range && merge_range(p) != 0)
        return -1;
    long long tasks = (long long)e->size_count * e->temperature_count * e->replicas;
    if (tasks > EXPERIMENT_TASKS_MAX)
        return fail(p, p->key_line[REPLICAS], "50000 sizes x temperatures x replicas", "%lld tasks", tasks);
    double updates = experiment_updates(e);
    if (updates > UPDATES_MAX)
        return fail(p, p->key_line[MEASUREMENTS], "1e17, about a core's two years", "%g spin updates in all", updates);
    return 0;
}

int experiment_parse(const char *file, const char *text, size_t size, struct experiment *e,
                     char error[EXPERIMENT_ERROR_MAX])
{
    struct parser p = {.file = file, .next = text, .end = text + size, .e = e, .error = error};
    error[0] = '\0';
    memset(e, 0, sizeof *e);
    if (size > EXPERIMENT_FILE_MAX)
        return fail(&p, 1, "65536 bytes", "the file is too long");
    int status = ini_parse_stream(next_line, &p, on_key, &p);
    if (error[0])
        return -1;
    if (status != 0)
        return fail(&p, status > 0 ? status : 1, "[section], key = value, ; comment", "not a line of an ini file");
    return finish(&p);
}
