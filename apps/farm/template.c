/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A template is parts in words: a word ends at blanks, and with quotes at the end of an argument. While it is rendered
 * with quotes, what belongs to one argument is kept apart until that ends.
 */
#include "farm/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "farm/change.h"
#include "farm/shell.h"

enum part_kind { PART_TEXT, PART_BLANKS, PART_NEXT_ARGUMENT, PART_ALL, PART_AT, PART_SEQ, PART_SLOT };

struct part {
    enum part_kind kind;
    enum change change;
    int position;     /* PART_AT: from 1; from -1 at the end */
    size_t offset, n; /* PART_TEXT, PART_BLANKS: in the template's bytes */
    int word_end;     /* of the first part of a word with PART_ALL: the part behind the word; else 0 */
};

struct template
{
    struct part *parts;
    int n_parts, room;
    struct text bytes, argument, quoted, scratch;
    bool quote, context, raw; /* raw: inputs are put as they are */
    bool failed;
    int n_all, n_all_words;
};

static struct part *add(struct template *t, struct part part)
{
    if (t->n_parts == t->room) {
        int room = t->room ? 2 * t->room : 16;
        struct part *more = realloc(t->parts, (size_t)room * sizeof *more);
        if (!more) {
            t->failed = true;
            return NULL;
        }
        t->parts = more;
        t->room = room;
    }
    t->parts[t->n_parts] = part;
    return &t->parts[t->n_parts++];
}

/* Text in pieces of blanks and others: words. */
static void add_text(struct template *t, const char *text, size_t n)
{
    static const char blanks[] = " \t\n\r\v\f";
    while (n > 0) {
        bool blank = strchr(blanks, *text) != NULL;
        size_t piece = 1;
        while (piece < n && (strchr(blanks, text[piece]) != NULL) == blank)
            piece++;
        enum part_kind kind = blank ? PART_BLANKS : PART_TEXT;
        struct part *last = t->n_parts ? &t->parts[t->n_parts - 1] : NULL;
        if (last && last->kind == kind && last->offset + last->n == t->bytes.n)
            last->n += piece;
        else
            add(t, (struct part){.kind = kind, .offset = t->bytes.n, .n = piece});
        text_put(&t->bytes, text, piece);
        text += piece;
        n -= piece;
    }
}

/* A position, or a name, as the options have them. Returns its bytes. */
static size_t parse_which(const char *text, const struct template_options *o, struct part *part)
{
    char *end = NULL;
    for (int i = 0; i < o->n_names; i++) {
        size_t n = strlen(o->names[i].name);
        enum change change;
        if (n > 0 && strncmp(text, o->names[i].name, n) == 0 && change_parse(text + n, &change)) {
            part->position = o->names[i].position;
            return n;
        }
    }
    size_t digits = strspn(text + (*text == '-'), "0123456789");
    long position = digits && digits < 9 ? strtol(text, &end, 10) : 0;
    part->position = (int)position;
    return position ? (size_t)(end - text) : 0;
}

/* A replacement string. Returns its bytes; 0: there is none. */
static size_t parse_one(const char *text, const struct template_options *o, struct part *part)
{
    const char *replace = o->replace ? o->replace : "{}";
    *part = (struct part){.kind = PART_ALL};
    if (strncmp(text, replace, strlen(replace)) == 0)
        return strlen(replace);
    if (*text != '{')
        return 0;
    if (strncmp(text, "{#}", 3) == 0 || strncmp(text, "{%}", 3) == 0) {
        part->kind = text[1] == '#' ? PART_SEQ : PART_SLOT;
        return 3;
    }
    size_t which = parse_which(text + 1, o, part);
    size_t rest = change_parse(text + 1 + which, &part->change);
    if (!rest || (which == 0 && part->change == CHANGE_NONE)) /* that is {}, which another text may stand for */
        return 0;
    part->kind = which ? PART_AT : PART_ALL;
    return 1 + which + rest;
}

static int parse(struct template *t, const char *text, const struct template_options *o, char *error)
{
    const char *plain = text;
    struct part part;
    while (*text) {
        size_t n = parse_one(text, o, &part);
        if (n == 0 && strncmp(text, "{=", 2) == 0 && strstr(text + 2, "=}")) {
            snprintf(error, TEMPLATE_ERROR_MAX, "'%.60s': farm has no Perl; let the command compute it, as in $((...))",
                     text);
            return -1;
        }
        if (n > 0) {
            add_text(t, plain, (size_t)(text - plain));
            add(t, part);
            plain = text + n;
        }
        text += n ? n : 1;
    }
    add_text(t, plain, (size_t)(text - plain));
    return 0;
}

static bool is_replacement(const struct part *part)
{
    return part->kind >= PART_ALL;
}

static bool ends_word(const struct part *part)
{
    return part->kind == PART_BLANKS || part->kind == PART_NEXT_ARGUMENT;
}

/* Marks the words that are repeated. */
static void mark_words(struct template *t)
{
    for (int i = 0, end; i < t->n_parts; i = end + 1) {
        bool all = false;
        for (end = i; end < t->n_parts && !ends_word(&t->parts[end]); end++) {
            all |= t->parts[end].kind == PART_ALL;
            t->n_all += t->parts[end].kind == PART_ALL;
        }
        if (all)
            t->parts[i].word_end = end;
        t->n_all_words += all;
    }
}

/* Whether inputs make the program's name, or the whole command: then they are put as they are. */
static bool begins_with_input(const struct template *t)
{
    if (t->n_parts == 0 || is_replacement(&t->parts[0]))
        return true;
    const struct part *first = &t->parts[0];
    return t->n_parts > 1 && first->kind == PART_TEXT && is_replacement(&t->parts[1]) &&
           !memchr(t->bytes.bytes + first->offset, '=', first->n);
}

static int parse_words(struct template *t, const struct template_options *o, char *error)
{
    bool any = false;
    for (int i = 0; i < o->n_words; i++) {
        if (i > 0) {
            if (o->quote)
                add(t, (struct part){.kind = PART_NEXT_ARGUMENT});
            else
                add_text(t, " ", 1);
        }
        if (parse(t, o->words[i], o, error) != 0)
            return -1;
    }
    for (int i = 0; i < t->n_parts; i++)
        any |= is_replacement(&t->parts[i]);
    t->raw = begins_with_input(t);
    if (!any && t->n_parts > 0) {
        if (o->quote)
            add(t, (struct part){.kind = PART_NEXT_ARGUMENT});
        else
            add_text(t, " ", 1);
    }
    if (!any)
        add(t, (struct part){.kind = PART_ALL});
    return 0;
}

int template_compile(struct template **made, const struct template_options *options, char error[TEMPLATE_ERROR_MAX])
{
    struct template *t = calloc(1, sizeof *t);
    snprintf(error, TEMPLATE_ERROR_MAX, "no memory for the command");
    if (!t)
        return -1;
    t->quote = options->quote;
    t->context = options->context;
    int failed = parse_words(t, options, error);
    if (failed || t->failed || t->bytes.failed) {
        template_free(t);
        return -1;
    }
    mark_words(t);
    *made = t;
    return 0;
}

/* ---- rendering ---- */

void template_put(struct text *to, const char *bytes, size_t n)
{
    const char *brace;
    while ((brace = memchr(bytes, '}', n))) {
        size_t before = (size_t)(brace - bytes), i;
        text_put(to, bytes, before);
        for (i = to->n; i > 0 && to->bytes[i - 1] == '%'; i--)
            ;
        if (i > 0 && i < to->n && to->bytes[i - 1] == '{')
            text_put(to, "%", 1);
        text_put(to, "}", 1);
        bytes += before + 1;
        n -= before + 1;
    }
    text_put(to, bytes, n);
}

/* One rendering: where text goes, and with what. */
struct rendering {
    struct template *t;
    struct text *to;
    char *const *args;
    int n_args;
    int64_t seq;
};

static void put_literal(struct rendering *r, const char *bytes, size_t n)
{
    template_put(r->t->quote ? &r->t->argument : r->to, bytes, n);
}

static void put_arg(struct rendering *r, enum change change, const char *arg)
{
    struct template *t = r->t;
    size_t n = strlen(arg);
    change_apply(change, &arg, &n);
    if (t->quote || t->raw) {
        put_literal(r, arg, n);
        return;
    }
    text_clear(&t->quoted);
    shell_quote(&t->quoted, arg, n);
    template_put(r->to, t->quoted.bytes, t->quoted.n);
    r->to->failed |= t->quoted.failed;
}

static void end_argument(struct rendering *r)
{
    if (!r->t->quote)
        return;
    shell_quote(r->to, r->t->argument.bytes, r->t->argument.n);
    r->to->failed |= r->t->argument.failed;
    text_clear(&r->t->argument);
}

static void join(struct rendering *r)
{
    end_argument(r);
    text_put(r->to, " ", 1);
}

static void put_at(struct rendering *r, const struct part *part)
{
    int i = part->position > 0 ? part->position - 1 : r->n_args + part->position;
    if (i >= 0 && i < r->n_args)
        put_arg(r, part->change, r->args[i]);
}

/* arg: the one of PART_ALL; -1: all of them. */
static void put_part(struct rendering *r, const struct part *part, int arg)
{
    char number[24];
    switch (part->kind) {
    case PART_TEXT:
    case PART_BLANKS:
        put_literal(r, r->t->bytes.bytes + part->offset, part->n);
        return;
    case PART_NEXT_ARGUMENT:
        join(r);
        return;
    case PART_SEQ:
        put_literal(r, number, (size_t)snprintf(number, sizeof number, "%lld", (long long)r->seq));
        return;
    case PART_SLOT:
        text_put_string(r->t->quote ? &r->t->argument : r->to, "{%}");
        return;
    case PART_AT:
        put_at(r, part);
        return;
    default:
        break;
    }
    for (int i = arg < 0 ? 0 : arg; i < (arg < 0 ? r->n_args : arg + 1); i++) {
        if (arg < 0 && i > 0)
            join(r);
        put_arg(r, part->change, r->args[i]);
    }
}

static void put_word(struct rendering *r, int begin, int end)
{
    for (int i = 0; i < r->n_args; i++) {
        if (i > 0)
            join(r);
        for (int part = begin; part < end; part++)
            put_part(r, &r->t->parts[part], i);
    }
}

void template_render(struct template *t, struct text *to, char *const *args, int n_args, int64_t seq)
{
    struct rendering r = {t, to, args, n_args, seq};
    bool repeat = t->context && n_args > 1; /* of one input, and of none, words stay what they are */
    text_clear(to);
    text_clear(&t->argument);
    for (int i = 0; i < t->n_parts; i++) {
        if (repeat && t->parts[i].word_end) {
            put_word(&r, i, t->parts[i].word_end);
            i = t->parts[i].word_end - 1;
        } else {
            put_part(&r, &t->parts[i], -1);
        }
    }
    end_argument(&r);
}

size_t template_cost(struct template *t, char *const *arg)
{
    struct rendering r = {t, &t->scratch, arg, 1, 0};
    text_clear(&t->scratch);
    text_clear(&t->argument);
    for (int i = 0; i < t->n_parts; i++) {
        if (t->context && t->parts[i].word_end) {
            put_word(&r, i, t->parts[i].word_end);
            i = t->parts[i].word_end - 1;
        } else if (t->parts[i].kind == PART_ALL) {
            put_part(&r, &t->parts[i], -1);
        }
    }
    end_argument(&r);
    return t->scratch.n;
}

int template_joins(const struct template *t)
{
    return t->context ? t->n_all_words : t->n_all;
}

bool template_takes_all(const struct template *t)
{
    return t->n_all > 0;
}

void template_slot(struct text *to, const char *rendered, const char *slot)
{
    const char *brace, *end = rendered + strlen(rendered);
    while ((brace = memchr(rendered, '{', (size_t)(end - rendered)))) {
        size_t percents = strspn(brace + 1, "%");
        const char *behind = brace + 1 + percents;
        if (percents == 0 || *behind != '}') {
            text_put(to, rendered, (size_t)(behind - rendered));
            rendered = behind;
            continue;
        }
        text_put(to, rendered, (size_t)(brace - rendered));
        if (percents > 1) {
            text_put(to, brace, percents); /* one less */
            text_put(to, "}", 1);
        } else {
            text_put_string(to, slot ? slot : "{%}");
        }
        rendered = behind + 1;
    }
    text_put(to, rendered, (size_t)(end - rendered));
}

void template_free(struct template *t)
{
    if (!t)
        return;
    text_free(&t->bytes);
    text_free(&t->argument);
    text_free(&t->quoted);
    text_free(&t->scratch);
    free(t->parts);
    free(t);
}
