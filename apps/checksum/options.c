/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include <muster/runtime.h>

static const char doc[] =
    "Checksums of files and of trees of files, read by all ranks at once, in lines as sha256sum writes them; and "
    "checks "
    "such lists. A directory stands for the regular files below it, sorted by name. Without a FILE or DIR, and for "
    "'-', "
    "standard input is read."
    "\v"
    "Examples:\n"
    "  checksum data >SHA256SUMS                 which sha256sum -c reads, too\n"
    "  mpirun -np 16 checksum data >SHA256SUMS   the same, by 16 ranks\n"
    "  checksum --check SHA256SUMS               read them again and compare\n"
    "  checksum -c SHA256SUMS --strict data      also, what in data is not listed\n"
    "  checksum -0 --files-from - <names         of find -print0, or a pipe from it\n"
    "  checksum --tree disk.img                  one large file, by all ranks\n"
    "  checksum --resume j data >SHA256SUMS      after an interruption: again\n"
    "\n"
    "Exit status:\n"
    "  0    all is well\n"
    "  1    a file could not be read, or is not what the list says; a list has\n"
    "       no good line; output could not be written\n"
    "  2    bad option, or a list or journal that cannot be used\n"
    "  130, 143, 75  after SIGINT, SIGTERM, SIGUSR1; what was finished is written\n"
    "With --strict, added up:\n"
    "  1    a file could not be read, or a line of the list\n"
    "  4    a file is missing\n"
    "  8    a file has changed: it is not what the list says\n"
    "  16   a file is extra: in a DIR and not in the list\n";

enum { TAG = 256, STRICT, IGNORE_MISSING, QUIET, STATUS, FILES_FROM, TREE, RESUME, ANEW, HELP, USAGE, VERSION };

static const struct argp_option known[] = {
    {.doc = "What is read:", .group = 1},
    {"files-from", FILES_FROM, "LIST", 0, "Also the files named in LIST, one a line; '-': standard input", 1},
    {"null", '0', NULL, 0, "Names in LIST end in a zero byte, as find -print0 has them", 1},
    {"follow", 'L', NULL, 0, "Follow symbolic links in trees; else they are left out", 1},
    {.doc = "What is written:", .group = 2},
    {"algorithm", 'a', "NAME", 0,
     "sha256 (default), blake2b (as b2sum), sha512, sha384, sha224, sha1, md5, sha3-256, or another of libcrypto's", 2},
    {"tree", TREE, NULL, 0,
     "Digest of the digests of pieces of 16 MiB, so that all ranks share the work on one file; other tools do not know "
     "it",
     2},
    {"output", 'o', "FILE", 0, "Write to FILE, which is put in place when it is whole, or a signal has ended it", 2},
    {"tag", TAG, NULL, 0, "Lines of the BSD style, which name the algorithm", 2},
    {"zero", 'z', NULL, 0, "Lines end in a zero byte, and names are not escaped; with --check they are read so", 2},
    {"binary", 'b', NULL, 0, "'*' before each name; the digest is the same", 2},
    {"text", 't', NULL, 0, "No '*' (default)", 2},
    {.doc = "Check:", .group = 3},
    {"check", 'c', "LIST", 0, "Read the files of LIST and compare; '-': standard input. May be given several times", 3},
    {"strict", STRICT, NULL, 0,
     "Tell missing, changed and extra files apart: extra are those in the DIRs given that LIST has not", 3},
    {"ignore-missing", IGNORE_MISSING, NULL, 0, "Missing files are no failure", 3},
    {"quiet", QUIET, NULL, 0, "No OK for each file, and no progress", 3},
    {"status", STATUS, NULL, 0, "Nothing on stdout: the exit status says it", 3},
    {"warn", 'w', NULL, 0, "Say where lines are that are none", 3},
    {.doc = "Other:", .group = 4},
    {"resume", RESUME, "JOURNAL", 0,
     "Note each file that was read in JOURNAL, made if need be; one that is there and has not changed is not read "
     "again",
     4},
    {"anew", ANEW, NULL, 0, "What JOURNAL has from earlier runs counts no more", 4},
    {"help", HELP, NULL, 0, "This text", 4},
    {"usage", USAGE, NULL, 0, "The options in short", 4},
    {"version", VERSION, NULL, 0, "Version", 4},
    {0},
};

/* What is gathered while argp reads. */
struct gathered {
    struct options *options;
    const char *algorithm;
    bool done, bad;
};

static void bad(struct gathered *g, const char *what)
{
    if (!g->bad)
        fprintf(stderr, "checksum: %s\n", what);
    g->bad = true;
}

static error_t add_list(struct options *o, char *path)
{
    char **more = realloc(o->lists, ((size_t)o->lists_n + 1) * sizeof *more);
    if (!more)
        return ENOMEM;
    o->lists = more;
    o->lists[o->lists_n++] = path;
    return 0;
}

static error_t take(int key, char *value, struct argp_state *state)
{
    struct gathered *g = state->input;
    struct options *o = g->options;
    switch (key) {
    case 'a':
        g->algorithm = value;
        return 0;
    case 'b':
    case 't':
        o->style.binary = key == 'b';
        return 0;
    case 'c':
        return add_list(o, value);
    case 'o':
        o->output = value;
        return 0;
    case 'z':
        o->style.zero = true;
        return 0;
    case '0':
        o->null = true;
        return 0;
    case 'L':
        o->follow = true;
        return 0;
    case 'w':
        o->warn = true;
        return 0;
    case TAG:
        o->style.tag = true;
        return 0;
    case STRICT:
        o->strict = true;
        return 0;
    case IGNORE_MISSING:
        o->ignore_missing = true;
        return 0;
    case QUIET:
        o->quiet = true;
        return 0;
    case STATUS:
        o->status = true;
        return 0;
    case TREE:
        o->tree = true;
        return 0;
    case FILES_FROM:
        if (o->files_from)
            bad(g, "--files-from twice; allowed: one list (cat both into '--files-from -')");
        o->files_from = value;
        return 0;
    case RESUME:
        o->resume = value;
        return 0;
    case ANEW:
        o->anew = true;
        return 0;
    case HELP:
    case USAGE:
        argp_state_help(state, stdout,
                        key == USAGE ? ARGP_HELP_USAGE : ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC | ARGP_HELP_LONG);
        g->done = true;
        return ECANCELED;
    case VERSION:
        printf("checksum %s\n", MUSTER_VERSION);
        g->done = true;
        return ECANCELED;
    case ARGP_KEY_ARGS:
        o->paths = state->argv + state->next;
        o->paths_n = state->argc - state->next;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int inputs(const struct options *o)
{
    int n = o->files_from && strcmp(o->files_from, "-") == 0;
    for (int i = 0; i < o->paths_n; i++)
        n += strcmp(o->paths[i], "-") == 0;
    for (int i = 0; i < o->lists_n; i++)
        n += strcmp(o->lists[i], "-") == 0;
    return n;
}

static void check_checks(struct gathered *g)
{
    const struct options *o = g->options;
    if (o->files_from)
        bad(g, "--files-from has no meaning with --check, whose list names the files");
    if (o->tree)
        bad(g, "--tree has no meaning with --check: lines of a list say it themselves");
    if (o->style.tag || o->style.binary)
        bad(g, "--tag and --binary have no meaning with --check: both styles are read");
    if (o->paths_n > 0 && !o->strict)
        bad(g, "a FILE or DIR with --check has a meaning with --strict alone: there, what is not in the list is told; "
               "for several lists give --check several times");
}

static void check_together(struct gathered *g)
{
    const struct options *o = g->options;
    if (o->lists_n > 0)
        check_checks(g);
    else if (o->strict || o->ignore_missing || o->status || o->warn)
        bad(g, "--strict, --ignore-missing, --status and --warn have a meaning with --check LIST alone");
    if (o->anew && !o->resume)
        bad(g, "--anew has a meaning with --resume JOURNAL alone");
    if (o->null && !o->files_from)
        bad(g, "--null has a meaning with --files-from LIST alone; for output --zero");
    if (inputs(o) > 1)
        bad(g, "standard input ('-') can be read for one purpose alone");
}

options_outcome options_parse(int argc, char **argv, struct options *options)
{
    static const struct argp parser = {known, take, "[FILE|DIR...]", doc, NULL, NULL, NULL};
    *options = (struct options){0};
    struct gathered g = {.options = options, .algorithm = "sha256"};
    char *called = argv[0], name[] = "checksum"; /* what argp's messages begin with */
    argv[0] = name;
    error_t error = argp_parse(&parser, argc, argv, ARGP_NO_HELP | ARGP_NO_EXIT, NULL, &g);
    argv[0] = called;
    if (g.done)
        return OPTIONS_DONE;
    if (error)
        return OPTIONS_BAD;
    check_together(&g);
    options->algorithm = algorithm_named(g.algorithm, options->tree);
    if (!options->algorithm) {
        fprintf(stderr,
                "checksum: --algorithm '%s'; allowed: sha256, sha512, blake2b, sha1, md5 and other digests of one size "
                "of 'openssl list -digest-algorithms'\n",
                g.algorithm);
        g.bad = true;
    }
    return g.bad ? OPTIONS_BAD : OPTIONS_RUN;
}

void options_free(struct options *options)
{
    free(options->lists);
    options->lists = NULL;
}
