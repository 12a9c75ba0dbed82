/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/lines.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "farm/batch.h"
#include "farm/directive.h"
#include "farm/inputs.h"
#include "farm/shell.h"
#include "farm/source.h"
#include "farm/template.h"

#define ARGUMENT_MAX 131072 /* what Linux takes for one argument, and its NUL */

struct lines {
    struct lines_options options;
    struct inputs *inputs;
    struct template *template; /* NULL: not before the header is known */
    int n_words;               /* of the command */
    bool plain, many;          /* plain: lines are commands; many: as many inputs a command as there is room for */
    size_t most;               /* bytes of a command, with the NUL */
    struct batch batch;
    int taken; /* tuples of the batch that the last command was made of */
    int share; /* of those that are left when inputs have ended; 0: not yet so */
    struct directives directives;
    struct shell_words words;
    struct text text;
    int64_t seq, total; /* total: -2: not looked for yet */
    bool ended, failed;
    char error[LINES_ERROR_MAX];
};

static int compile(struct lines *l, const struct template_name *names, int n_names, char *error)
{
    const struct lines_options *o = &l->options;
    char why[TEMPLATE_ERROR_MAX];
    struct template_options options = {.words = o->words,
                                       .n_words = l->n_words,
                                       .replace = o->replace,
                                       .quote = o->quote,
                                       .context = o->context,
                                       .names = names,
                                       .n_names = n_names};
    if (template_compile(&l->template, &options, why) != 0) {
        snprintf(error, LINES_ERROR_MAX, "%s", why);
        return -1;
    }
    if (!l->many || template_takes_all(l->template))
        return 0;
    snprintf(error, LINES_ERROR_MAX, "-%c, and the command has no {}: most inputs would be lost",
             o->context ? 'X' : 'm');
    return -1;
}

static int check(const struct lines_options *o, char *error)
{
    if (o->replace && !*o->replace)
        snprintf(error, LINES_ERROR_MAX, "-I '': allowed is a text that stands for the input");
    else if (o->max_args < LINES_NO_ARGS || o->max_chars < 0)
        snprintf(error, LINES_ERROR_MAX, "-n and -s: allowed is a number from 1");
    else
        return 0;
    return -1;
}

static size_t most_bytes(long wanted)
{
    long system = sysconf(_SC_ARG_MAX);
    if (system <= 0 || system > ARGUMENT_MAX)
        system = ARGUMENT_MAX;
    return (size_t)(wanted > 0 && wanted < system ? wanted : system);
}

int lines_open(struct lines **made, const struct lines_options *options, FILE *standard_input,
               char error[LINES_ERROR_MAX])
{
    if (check(options, error) != 0)
        return -1;
    struct lines *l = calloc(1, sizeof *l);
    if (!l) {
        snprintf(error, LINES_ERROR_MAX, "no memory");
        return -1;
    }
    l->options = *options;
    l->most = most_bytes(options->max_chars);
    l->total = -2;
    l->n_words = inputs_command_words(options->words, options->n_words);
    l->many = (options->xargs || options->context) && options->max_args == 0;
    const char *const *words = options->words ? options->words + l->n_words : NULL;
    if (inputs_open(&l->inputs, options, words, options->n_words - l->n_words, standard_input, error) != 0 ||
        (!options->header && compile(l, NULL, 0, error) != 0)) {
        lines_close(l);
        return -1;
    }
    l->plain = options->directives && l->n_words == 0 && inputs_are_lines(l->inputs) && !options->header &&
               options->max_args == 0 && !l->many;
    *made = l;
    return 0;
}

static int fail(struct lines *l, const char *what)
{
    if (what != l->error)
        snprintf(l->error, sizeof l->error, "%s", what);
    l->failed = true;
    return -1;
}

/* ---- lines that are commands ---- */

static int next_plain(struct lines *l, struct line *line)
{
    struct inputs_tuple tuple;
    char why[DIRECTIVE_ERROR_MAX];
    enum directive_line is;
    do {
        int there = inputs_next(l->inputs, &tuple);
        if (there < 0)
            return fail(l, inputs_error(l->inputs));
        if (there == 0) {
            const char *left = directive_left(&l->directives);
            l->ended = true;
            if (!left)
                return 0;
            snprintf(l->error, sizeof l->error, "%.120s: a %s at the end, and no command behind it",
                     l->options.input_name ? l->options.input_name : "standard input", left);
            return fail(l, l->error);
        }
        is = directive_read(&l->directives, tuple.args[0], why);
        if (is == DIRECTIVE_BAD) {
            source_say_at(l->error, tuple.source, tuple.number, "%s", why);
            return fail(l, l->error);
        }
    } while (is == DIRECTIVE_NO_COMMAND);
    text_clear(&l->text);
    template_put(&l->text, tuple.args[0], strlen(tuple.args[0]));
    line->line_number = tuple.number;
    line->source = tuple.source;
    line->name = l->directives.name.n ? l->directives.name.bytes : NULL;
    line->after = l->directives.after.n ? l->directives.after.bytes : NULL;
    line->wait = l->directives.wait;
    line->cores = l->directives.cores;
    line->gpus = l->directives.gpus;
    return 1;
}

/* ---- commands that are made of inputs ---- */

static size_t cost_of(struct lines *l, const struct inputs_tuple *tuple)
{
    size_t cost = 0;
    for (int i = 0; i < tuple->n; i++)
        cost += template_cost(l->template, &tuple->args[i]) + (size_t)template_joins(l->template);
    return cost;
}

static void render(struct lines *l, int n)
{
    int n_args = l->options.max_args == LINES_NO_ARGS ? 0 : l->batch.tuples[n - 1].args;
    template_render(l->template, &l->text, l->batch.args, n_args, l->seq + 1);
}

/* How many bytes a command of the first n tuples has: what it has with one, and what each other costs. */
static size_t estimate(struct lines *l)
{
    if (batch_args(&l->batch) < 0)
        return 0;
    render(l, 1);
    size_t bytes = l->text.n + 1;
    for (int i = 1; i < l->batch.n; i++)
        bytes += l->batch.tuples[i].cost;
    return bytes;
}

/* Reads until there are inputs enough for a command, or more than there is room for. Returns 0, or -1. */
static int fill(struct lines *l)
{
    int most = l->many ? INT_MAX : l->options.max_args > 0 ? (int)l->options.max_args : 1;
    bool measured = l->many || most > 1;
    size_t bytes = measured && l->batch.n > 0 ? estimate(l) : 0;
    while (!l->ended && l->batch.n < most && bytes <= l->most) {
        struct inputs_tuple tuple;
        int there = inputs_next(l->inputs, &tuple);
        if (there < 0)
            return fail(l, inputs_error(l->inputs));
        if (there == 0) {
            l->ended = true;
            break;
        }
        size_t cost = measured ? cost_of(l, &tuple) : 0;
        if (batch_add(&l->batch, &tuple, cost) != 0)
            return fail(l, "no memory for inputs");
        bytes = !measured ? 0 : l->batch.n == 1 ? estimate(l) : bytes + cost;
    }
    return batch_args(&l->batch) < 0 ? fail(l, "no memory for inputs") : 0;
}

/* How many tuples the next command gets at most. */
static int take(struct lines *l)
{
    int n = l->batch.n;
    if (!l->many || !l->ended || l->options.slots < 2)
        return n;
    if (l->share == 0)
        l->share = (n + l->options.slots - 1) / l->options.slots;
    return n < l->share ? n : l->share;
}

static int next_made(struct lines *l, struct line *line)
{
    batch_drop(&l->batch, l->taken);
    l->taken = 0;
    if (fill(l) != 0)
        return -1;
    int n = take(l);
    if (n == 0)
        return 0;
    render(l, n);
    while (l->text.n + 1 > l->most && n > 1)
        render(l, --n);
    if (l->options.max_args > 0 && (n < l->batch.n || (n < l->options.max_args && !l->ended)))
        l->total = -1; /* more commands than if each had all that it may have */
    l->taken = n;
    line->args = l->batch.args;
    line->n_args = l->batch.tuples[n - 1].args;
    line->line_number = l->batch.tuples[0].number;
    line->source = l->batch.tuples[0].source;
    return 1;
}

static int prepare(struct lines *l)
{
    const struct template_name *names;
    int n = inputs_header(l->inputs, &names);
    if (n < 0)
        return fail(l, inputs_error(l->inputs));
    return compile(l, names, n, l->error) == 0 ? 0 : fail(l, l->error);
}

int lines_next(struct lines *l, struct line *line)
{
    *line = (struct line){0};
    if (l->failed)
        return -1;
    if (l->ended && l->plain)
        return 0;
    if (!l->template && prepare(l) != 0)
        return -1;
    directive_clear(&l->directives);
    int there = l->plain ? next_plain(l, line) : next_made(l, line);
    if (there != 1)
        return there;
    if (l->text.failed)
        return fail(l, "no memory for a command");
    if (l->text.n + 1 > l->most) {
        source_say_at(l->error, line->source, line->line_number,
                      "its command has %zu B, and no more than %zu are allowed", l->text.n, l->most - 1);
        return fail(l, l->error);
    }
    line->text = l->text.bytes;
    line->argv = shell_split(&l->words, line->text);
    line->seq = ++l->seq;
    return 1;
}

/* ---- what is known of all ---- */

static bool is_command(const char *begin, size_t n)
{
    return n > 0 && *begin != '#';
}

int64_t lines_total(struct lines *l)
{
    if (l->ended && (l->plain || l->batch.n == l->taken))
        return l->seq;
    if (l->many)
        return -1;
    if (l->total == -2) {
        int64_t n = inputs_total(l->inputs, l->plain ? is_command : NULL);
        int64_t each = l->options.max_args > 0 ? l->options.max_args : 1;
        l->total = n >= 0 ? (n + each - 1) / each : l->seq > 0 ? -1 : -2;
    }
    return l->total < 0 ? -1 : l->total;
}

const char *lines_error(const struct lines *l)
{
    return l->error;
}

void lines_close(struct lines *l)
{
    if (!l)
        return;
    inputs_close(l->inputs);
    template_free(l->template);
    batch_free(&l->batch);
    directive_free(&l->directives);
    shell_words_free(&l->words);
    text_free(&l->text);
    free(l);
}

char *lines_slot(const char *text, const char *slot)
{
    struct text filled = {0};
    text_clear(&filled);
    template_slot(&filled, text, slot);
    if (!filled.failed)
        return filled.bytes;
    text_free(&filled);
    return NULL;
}
