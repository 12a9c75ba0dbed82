/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

/* All that muster reads from the environment stands here, and in the table of src/doc/running.md. */

enum kind { NUMBER, WORD, FLAG, TEXT };

static const struct row {
    const char *name;
    enum kind kind;
    int64_t least, most; /* NUMBER */
    int64_t usual;       /* without the variable; WORD: counted from 1 */
    const char *words;   /* WORD: those allowed */
    const char *without; /* what usual means, where the number does not say it */
    const char *text;
} rows[MUSTER__SETTINGS] = {
    [MUSTER__SET_LOG] = {"MUSTER_LOG", WORD, 0, 0, MUSTER__WARN, "error|warn|info|debug", NULL,
                         "least severe message on stderr"},
    [MUSTER__SET_TOPOLOGY] = {"MUSTER_TOPOLOGY", FLAG, 0, 1, 0, NULL, NULL, "prints who sits where, at start"},
    [MUSTER__SET_PLACEMENT] = {"MUSTER_PLACEMENT", WORD, 0, 0, 0, "compact|spread|numa|l3|none",
                               "compact unless the launcher binds", "where ranks go"},
    [MUSTER__SET_RANKS] = {"MUSTER_RANKS", NUMBER, 1, 1000000, 0, NULL, "one a core",
                           "ranks of a program that starts itself"},
    [MUSTER__SET_LAUNCH] = {"MUSTER_LAUNCH", FLAG, 0, 1, 1, NULL, NULL, "a program starts itself under mpirun"},
    [MUSTER__SET_PEER_LIMIT_MS] = {"MUSTER_PEER_LIMIT_MS", NUMBER, 100, 3600000, 4000, NULL, NULL,
                                   "how long a host may be silent before it is taken for dead"},
    [MUSTER__SET_COUNTERS] = {"MUSTER_COUNTERS", TEXT, 0, 0, 0, NULL, "off",
                              "counters at the end, as a table (1) or as JSON in a file"},
    [MUSTER__SET_SEGMENT_MIB] = {"MUSTER_SEGMENT_MIB", NUMBER, 64, 1 << 30, 0, NULL, "half the host's memory",
                                 "address space for what a host's processes share"},
    [MUSTER__SET_HOST_RANKS] = {"MUSTER_HOST_RANKS", NUMBER, 0, 1000000, 0, NULL, "as MPI says",
                                "each so many ranks are taken for a host of their own"},
    [MUSTER__SET_DEADLOCK] = {"MUSTER_DEADLOCK", WORD, 0, 0, 3, "off|report|error|exit", NULL,
                              "what follows when every rank waits in vain"},
    [MUSTER__SET_DEADLOCK_MS] = {"MUSTER_DEADLOCK_MS", NUMBER, 100, 3600000, 5000, NULL, NULL,
                                 "how long all must wait in vain for that"},
    [MUSTER__SET_LOCK_ORDER] = {"MUSTER_LOCK_ORDER", FLAG, 0, 1, 0, NULL, NULL,
                                "says when locks are taken in orders that could deadlock"},
};

/* What begins like this is the tests', the scripts' or our own. */
static const char *const others[] = {"MUSTER__", "MUSTER_BUILD_", "MUSTER_CASE", "MUSTER_TEST_"};
/* From the process that starts the ranks to them: it has said all that is to be said. */
static const char said[] = "MUSTER__SETTINGS_SAID";

/* ---- values ---- */

static const char *given(const struct row *row)
{
    const char *text = getenv(row->name);
    return text && *text ? text : NULL;
}

static bool parse_number(const char *text, int64_t least, int64_t most, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return isdigit((unsigned char)*text) && !*end && !errno && *value >= least && *value <= most;
}

static bool parse_word(const char *text, const char *words, int64_t *value)
{
    size_t length = strlen(text);
    *value = 1;
    for (const char *word = words;; word++, ++*value) {
        size_t its = strcspn(word, "|");
        if (its == length && strncmp(word, text, length) == 0)
            return true;
        word += its;
        if (!*word)
            return false;
    }
}

static bool parse(const struct row *row, const char *text, int64_t *value)
{
    *value = 0;
    if (row->kind == TEXT)
        return true;
    return row->kind == WORD ? parse_word(text, row->words, value) : parse_number(text, row->least, row->most, value);
}

int64_t muster__setting(enum muster__setting which)
{
    const struct row *row = &rows[which];
    const char *text = given(row);
    int64_t value;
    return text && parse(row, text, &value) ? value : row->usual;
}

const char *muster__setting_text(enum muster__setting which)
{
    return given(&rows[which]);
}

/* ---- what is said of them ---- */

static void describe_words(const char *words, char *text, size_t size)
{
    *text = '\0';
    for (const char *word = words; *word;) {
        size_t its = strcspn(word, "|"), used = strlen(text);
        bool last = !word[its];
        snprintf(text + used, size - used, "%s%.*s", word == words ? "" : last ? " or " : ", ", (int)its, word);
        word += its + !last;
    }
}

static void describe_allowed(const struct row *row, char *text, size_t size)
{
    if (row->kind == WORD)
        describe_words(row->words, text, size);
    else if (row->kind == FLAG)
        snprintf(text, size, "0 or 1");
    else
        snprintf(text, size, "%lld to %lld", (long long)row->least, (long long)row->most);
}

static void describe_usual(const struct row *row, char *text, size_t size)
{
    const char *word = row->words;
    if (row->without) {
        snprintf(text, size, "%s", row->without);
    } else if (row->kind == WORD) {
        for (int64_t i = 1; i < row->usual; i++)
            word += strcspn(word, "|") + 1;
        snprintf(text, size, "%.*s", (int)strcspn(word, "|"), word);
    } else {
        snprintf(text, size, "%lld", (long long)row->usual);
    }
}

static void say_row(const struct row *row)
{
    const char *text = given(row);
    char allowed[128], usual[64];
    int64_t value;
    if (!text)
        return;
    describe_usual(row, usual, sizeof usual);
    if (!parse(row, text, &value)) {
        describe_allowed(row, allowed, sizeof allowed);
        muster__log(MUSTER__WARN, "%s is '%.80s', which it cannot be: %s are allowed; going on as without it: %s",
                    row->name, text, allowed, usual);
    } else if (row->kind == TEXT || value != row->usual) {
        muster__log(MUSTER__INFO, "setting %s=%.80s, not the default (%s): %s", row->name, text, usual, row->text);
    }
}

/* Levenshtein's distance of names up to so long; those longer are far. */
static int distance(const char *a, const char *b)
{
    enum { LONG = 64 };
    int row[LONG + 1], length = (int)strnlen(b, LONG + 1);
    if (length > LONG || strnlen(a, LONG + 1) > LONG)
        return LONG;
    for (int k = 0; k <= length; k++)
        row[k] = k;
    for (int i = 0; a[i]; i++) {
        int corner = row[0];
        row[0] = i + 1;
        for (int k = 0; k < length; k++) {
            int change = corner + (a[i] != b[k]), other = (row[k] < row[k + 1] ? row[k] : row[k + 1]) + 1;
            corner = row[k + 1];
            row[k + 1] = change < other ? change : other;
        }
    }
    return row[length];
}

/* What a mistyped name, or one with something more at its end, is most like; NULL: nothing. */
static const char *nearest(const char *name)
{
    enum { TYPING = 3 };
    const char *found = NULL;
    int least = TYPING + 1;
    for (int i = 0; i < MUSTER__SETTINGS; i++) {
        int far = distance(name, rows[i].name);
        if (far >= least && !found && strncmp(name, rows[i].name, strlen(rows[i].name)) == 0)
            found = rows[i].name;
        if (far < least) {
            least = far;
            found = rows[i].name;
        }
    }
    return found;
}

static bool known(const char *name)
{
    for (int i = 0; i < MUSTER__SETTINGS; i++)
        if (strcmp(name, rows[i].name) == 0)
            return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strncmp(name, others[i], strlen(others[i])) == 0)
            return true;
    return false;
}

static void say_unknown(const char *variable)
{
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(variable, "="), variable);
    if (strncmp(name, "MUSTER_", 7) != 0 || known(name))
        return;
    const char *like = nearest(name);
    muster__log(MUSTER__WARN, "%s: no such setting%s%s%s", name, like ? "; did you mean " : "", like ? like : "",
                like ? "?" : "");
}

void muster__settings_say(bool aloud)
{
    bool again = getenv(said) != NULL;
    unsetenv(said);
    if (!aloud || again)
        return;
    for (int i = 0; i < MUSTER__SETTINGS; i++)
        say_row(&rows[i]);
    for (char **variable = environ; variable && *variable; variable++)
        say_unknown(*variable);
}

void muster__settings_said(void)
{
    setenv(said, "1", 1);
}
