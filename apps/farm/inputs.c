/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sources are in groups: those of a group are linked, one input of each together, and groups are combined, the last one
 * changing first. With --link there is one group, where those that end begin again: so their inputs are kept.
 */
#include "farm/inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "farm/kept.h"
#include "farm/source.h"

struct member {
    struct source source;
    struct kept kept; /* what came so far, where it may have to come again */
};

struct group {
    int first, n;     /* of the members */
    struct kept kept; /* all tuples: of all groups but the first */
    int64_t at;       /* the tuple now */
};

struct inputs {
    struct lines_options options;
    regex_t separator;
    bool has_separator, loaded, began;
    struct member *members;
    int n_members;
    struct group *groups;
    int n_groups;
    struct template_name *names;
    int n_names;
    int64_t round;  /* of the first group */
    int64_t number; /* of its first source's input now */
    char **args;
    int n_args, n_first, room; /* n_first: of the first group */
    char error[LINES_ERROR_MAX];
};

/* ---- opening ---- */

static bool is_separator(const char *word)
{
    return strcmp(word, ":::") == 0 || strcmp(word, "::::") == 0 || strcmp(word, ":::+") == 0 ||
           strcmp(word, "::::+") == 0;
}

int inputs_command_words(const char *const *words, int n_words)
{
    int n = 0;
    while (n < n_words && !is_separator(words[n]))
        n++;
    return n;
}

static int no_memory(char *error)
{
    snprintf(error, LINES_ERROR_MAX, "no memory for inputs");
    return -1;
}

/* One more source, linked to the one before it or not. */
static struct source *add_source(struct inputs *in, bool linked)
{
    struct member *members = realloc(in->members, (size_t)(in->n_members + 1) * sizeof *members);
    if (!members)
        return NULL;
    in->members = members;
    if (!linked || in->n_groups == 0) {
        struct group *groups = realloc(in->groups, (size_t)(in->n_groups + 1) * sizeof *groups);
        if (!groups)
            return NULL;
        in->groups = groups;
        groups[in->n_groups++] = (struct group){.first = in->n_members};
    }
    in->groups[in->n_groups - 1].n++;
    members[in->n_members] = (struct member){.source = {.options = &in->options}};
    return &members[in->n_members++].source;
}

static int add_stream(struct inputs *in, bool linked, FILE *stream, bool owned, const char *name, char *error)
{
    struct source *source = add_source(in, linked);
    if (!source) {
        if (owned)
            fclose(stream);
        return no_memory(error);
    }
    source->file = stream;
    source->owned = owned;
    source->name = name;
    source->begin = ftello(stream);
    return 0;
}

static int add_file(struct inputs *in, bool linked, const char *path, FILE *standard_input, char *error)
{
    if (strcmp(path, "-") != 0) {
        FILE *file = fopen(path, "re");
        if (file)
            return add_stream(in, linked, file, true, path, error);
        snprintf(error, LINES_ERROR_MAX, "%.160s: %s", path, strerror(errno));
        return -1;
    }
    for (int i = 0; i < in->n_members; i++)
        if (in->members[i].source.file == standard_input) {
            snprintf(error, LINES_ERROR_MAX,
                     "standard input is named twice as a source of inputs; it can be read once");
            return -1;
        }
    const char *name = in->options.input_name ? in->options.input_name : "standard input";
    return add_stream(in, linked, standard_input, false, name, error);
}

/* ":::" and what follows: n words. */
static int add_behind(struct inputs *in, const char *separator, const char *const *words, int n, FILE *standard_input,
                      char *error)
{
    bool linked = in->options.link || separator[strlen(separator) - 1] == '+';
    if (strncmp(separator, "::::", 4) != 0) {
        struct source *source = add_source(in, linked);
        if (!source)
            return no_memory(error);
        source->words = words;
        source->n_words = n;
        source->name = ":::";
        return 0;
    }
    for (int i = 0; i < n; i++)
        if (add_file(in, linked, words[i], standard_input, error) != 0)
            return -1;
    if (n > 0)
        return 0;
    snprintf(error, LINES_ERROR_MAX, "no file behind '%s'", separator);
    return -1;
}

static int open_sources(struct inputs *in, const char *const *words, int n_words, FILE *standard_input, char *error)
{
    if (in->options.arg_file && add_file(in, in->options.link, in->options.arg_file, standard_input, error) != 0)
        return -1;
    for (int i = 0; i < n_words;) {
        int n = inputs_command_words(words + i + 1, n_words - i - 1);
        if (add_behind(in, words[i], words + i + 1, n, standard_input, error) != 0)
            return -1;
        i += 1 + n;
    }
    if (in->n_members == 0)
        return add_file(in, false, "-", standard_input, error);
    return 0;
}

/* "\t", "\n" and "\d" as people who know Perl's expressions write them. */
static char *translate(const char *colsep)
{
    struct text text = {0};
    text_clear(&text);
    for (; *colsep; colsep++) {
        bool escape = *colsep == '\\' && colsep[1];
        if (escape && strchr("tnd", colsep[1])) {
            colsep++;
            text_put_string(&text, *colsep == 't' ? "\t" : *colsep == 'n' ? "\n" : "[0-9]");
        } else {
            text_put(&text, colsep, escape ? 2 : 1);
            colsep += escape;
        }
    }
    if (!text.failed)
        return text.bytes;
    text_free(&text);
    return NULL;
}

static int compile_separator(struct inputs *in, const char *option, const char *colsep, char *error)
{
    char *translated = translate(colsep), why[100];
    if (!translated)
        return no_memory(error);
    int code = regcomp(&in->separator, translated, REG_EXTENDED);
    free(translated);
    if (code != 0) {
        regerror(code, &in->separator, why, sizeof why);
        snprintf(error, LINES_ERROR_MAX, "--%s '%.60s': %s; allowed is an extended regular expression", option, colsep,
                 why);
        return -1;
    }
    in->has_separator = true;
    if (regexec(&in->separator, "", 0, NULL, 0) != 0)
        return 0;
    snprintf(error, LINES_ERROR_MAX, "--%s '%.60s' is also found where there is nothing, which separates nothing",
             option, colsep);
    return -1;
}

/* The header's expression separates columns, too, unless there is one for these. */
static int open_columns(struct inputs *in, char *error)
{
    struct lines_options *o = &in->options;
    bool plain = !o->header || strcmp(o->header, ":") == 0 || strcmp(o->header, ".*\\n") == 0;
    if (o->colsep) {
        if (!o->no_trim)
            o->trim_l = o->trim_r = true;
        return compile_separator(in, "colsep", o->colsep, error);
    }
    if (o->header)
        return compile_separator(in, "header", plain ? "\t" : o->header, error);
    return 0;
}

int inputs_open(struct inputs **made, const struct lines_options *options, const char *const *words, int n_words,
                FILE *standard_input, char error[LINES_ERROR_MAX])
{
    struct inputs *in = calloc(1, sizeof *in);
    if (!in)
        return no_memory(error);
    in->options = *options;
    if (open_columns(in, error) != 0 || open_sources(in, words, n_words, standard_input, error) != 0) {
        inputs_close(in);
        return -1;
    }
    for (int i = 0; in->has_separator && i < in->n_members; i++)
        in->members[i].source.separator = &in->separator;
    *made = in;
    return 0;
}

/* ---- the header ---- */

static int add_name(struct inputs *in, const char *name)
{
    struct template_name *names = realloc(in->names, (size_t)(in->n_names + 1) * sizeof *names);
    char *copy = names ? strdup(name) : NULL;
    if (names)
        in->names = names;
    if (!copy)
        return no_memory(in->error);
    names[in->n_names] = (struct template_name){copy, in->n_names + 1};
    in->n_names++;
    return 0;
}

int inputs_header(struct inputs *in, const struct template_name **names)
{
    for (int i = 0; i < in->n_members; i++) {
        struct source *source = &in->members[i].source;
        int there = source_header(source, in->error);
        if (there == 0)
            source_say(source, in->error, "no header; --header wants names of columns first");
        if (there != 1)
            return -1;
        source->names = source->record.n;
        for (int column = 0; column < source->record.n; column++)
            if (add_name(in, source->record.columns[column]) != 0)
                return -1;
    }
    *names = in->names;
    return in->n_names;
}

/* ---- reading ---- */

static int put_args(struct inputs *in, char *const *columns, int n)
{
    if (in->n_args + n > in->room) {
        int room = 2 * (in->n_args + n);
        char **args = realloc(in->args, (size_t)room * sizeof *args);
        if (!args)
            return no_memory(in->error);
        in->args = args;
        in->room = room;
    }
    for (int i = 0; i < n; i++)
        in->args[in->n_args++] = columns[i];
    return 0;
}

/* A source's columns, as many as its header names where more sources follow: names are positions. */
static int put_record(struct inputs *in, int member, char *const *columns, int n)
{
    static char empty[] = "";
    static char *const missing[] = {empty};
    const struct source *source = &in->members[member].source;
    bool last = member == in->n_members - 1;
    if (source->names && !last && n > source->names) {
        source_say(source, in->error, "number of columns: %d, and the header names %d", n, source->names);
        return -1;
    }
    if (put_args(in, columns, n) != 0)
        return -1;
    for (; !last && n < source->names; n++)
        if (put_args(in, missing, 1) != 0)
            return -1;
    return 0;
}

/* The next input of one of several that are linked and come again. Returns as source_next; 0 also where an old one
 * came. */
static int put_again(struct inputs *in, int member)
{
    struct member *m = &in->members[member];
    struct kept *kept = &m->kept;
    int there = source_next(&m->source, in->error);
    if (there < 0)
        return -1;
    if (there == 1 && kept_add(kept, m->source.record.columns, m->source.record.n) != 0)
        return no_memory(in->error);
    if (kept->n == 0)
        return 0;
    int64_t which = in->round % kept->n;
    int failed = put_record(in, member, kept->inputs[which], kept->n_columns[which]);
    return failed ? -1 : there;
}

/* The next inputs of a group behind those of others. Returns 1, 0 or -1. */
static int put_group(struct inputs *in, const struct group *g)
{
    bool again = in->options.link && g->n > 1;
    int news = 0, without = 0;
    for (int i = g->first; i < g->first + g->n; i++) {
        struct source *source = &in->members[i].source;
        int there = again ? put_again(in, i) : source_next(source, in->error);
        if (there < 0)
            return -1;
        if (!again && there == 0)
            return 0;
        if (!again && put_record(in, i, source->record.columns, source->record.n) != 0)
            return -1;
        news += there;
        without += again && in->members[i].kept.n == 0;
    }
    return news > 0 && without == 0;
}

/* All of the groups behind the first. */
static int load(struct inputs *in)
{
    in->loaded = true;
    for (int i = 1; i < in->n_groups; i++) {
        struct group *g = &in->groups[i];
        int there;
        while ((in->n_args = 0, there = put_group(in, g)) == 1)
            if (kept_add(&g->kept, in->args, in->n_args) != 0)
                return no_memory(in->error);
        if (there < 0)
            return -1;
    }
    in->n_args = 0;
    return 0;
}

/* The next combination of the groups behind the first; false: it is the first one again. */
static bool advance(struct inputs *in)
{
    for (int i = in->n_groups - 1; i > 0; i--) {
        struct group *g = &in->groups[i];
        if (++g->at < g->kept.n)
            return true;
        g->at = 0;
    }
    return false;
}

static bool has_empty_group(const struct inputs *in)
{
    for (int i = 1; i < in->n_groups; i++)
        if (in->groups[i].kept.n == 0)
            return true;
    return false;
}

int inputs_next(struct inputs *in, struct inputs_tuple *tuple)
{
    const struct source *first = &in->members[0].source;
    if (!in->loaded && load(in) != 0)
        return -1;
    if (has_empty_group(in))
        return 0;
    if (!in->began || !advance(in)) {
        in->n_args = 0;
        int there = put_group(in, &in->groups[0]);
        if (there != 1)
            return there;
        in->began = true;
        in->round++;
        in->number = first->number;
        in->n_first = in->n_args;
    }
    in->n_args = in->n_first;
    for (int i = 1; i < in->n_groups; i++) {
        const struct kept *kept = &in->groups[i].kept;
        if (put_args(in, kept->inputs[in->groups[i].at], kept->n_columns[in->groups[i].at]) != 0)
            return -1;
    }
    *tuple = (struct inputs_tuple){in->args, in->n_args, in->number, first->name};
    return 1;
}

bool inputs_are_lines(const struct inputs *in)
{
    return in->n_members == 1 && !in->members[0].source.words && !in->has_separator;
}

int64_t inputs_total(struct inputs *in, bool (*counts)(const char *begin, size_t n))
{
    const struct group *first = &in->groups[0];
    int64_t total = -1;
    for (int i = first->first; i < first->first + first->n; i++) {
        int64_t n = source_count(&in->members[i].source, counts);
        if (n < 0)
            return -1;
        n -= in->options.header && n > 0;
        bool takes = total < 0 || (in->options.link ? n > total : n < total);
        total = takes ? n : total;
    }
    if (in->n_groups > 1 && !in->loaded)
        return -1;
    for (int i = 1; i < in->n_groups; i++)
        if (__builtin_mul_overflow(total, in->groups[i].kept.n, &total))
            return -1;
    return total;
}

const char *inputs_error(const struct inputs *in)
{
    return in->error;
}

void inputs_close(struct inputs *in)
{
    if (!in)
        return;
    for (int i = 0; i < in->n_members; i++) {
        source_close(&in->members[i].source);
        kept_free(&in->members[i].kept);
    }
    for (int i = 0; i < in->n_groups; i++)
        kept_free(&in->groups[i].kept);
    for (int i = 0; i < in->n_names; i++)
        free((char *)in->names[i].name);
    if (in->has_separator)
        regfree(&in->separator);
    free(in->members);
    free(in->groups);
    free(in->names);
    free(in->args);
    free(in);
}
