/* SPDX-License-Identifier: BSD-3-Clause */
#include "encrypt/options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include <muster/runtime.h>

#include "encrypt/format.h"

static const char arguments[] = "FILE|DIR...";

static const char doc[] =
    "Encrypts files, each to FILE" ENCRYPT_SUFFIX
    ", and decrypts them, by all ranks at once, large ones in pieces. What "
    "was changed, cut, swapped or lengthened is not decrypted. A file stands under its name only when it is whole."
    "\v"
    "Examples:\n"
    "  encrypt --keygen my.key                    a new key; keep it\n"
    "  encrypt --key my.key results.tar\n"
    "  mpirun -np 16 encrypt --key my.key -r data\n"
    "  encrypt --decrypt --key my.key results.tar" ENCRYPT_SUFFIX "\n"
    "  encrypt notes                              asks for a passphrase\n"
    "\n"
    "Exit status:\n"
    "  0  all is well\n"
    "  1  a file could not be read or written; the others were\n"
    "  2  bad option, or no key\n"
    "  3  a file is not authentic: another key, or it was changed\n"
    "  130, 143, 75  after SIGINT, SIGTERM, SIGUSR1; what is whole is there\n";

enum { KEYGEN = 256, PASSPHRASE_FILE, PIECE, HELP, VERSION };

static const struct argp_option known[] = {
    {"decrypt", 'd', NULL, 0, "Decrypt files that end in " ENCRYPT_SUFFIX, 1},
    {"key", 'k', "FILE", 0, "The key is in FILE", 1},
    {"keygen", KEYGEN, "FILE", 0, "Make a key, in a new file, and nothing else", 1},
    {"passphrase-file", PASSPHRASE_FILE, "FILE", 0, "The passphrase is the first line of FILE", 1},
    {"output", 'o', "DIR", 0, "Write into DIR rather than beside each file", 2},
    {"recursive", 'r', NULL, 0, "DIR stands for all regular files below it; links are not followed", 2},
    {"force", 'f', NULL, 0, "Write over what is there", 2},
    {"piece", PIECE, "MIB", 0, "Size of pieces: 1 to 64 (4)", 2},
    {"quiet", 'q', NULL, 0, "No progress", 3},
    {"help", HELP, NULL, 0, "This text", 3},
    {"version", VERSION, NULL, 0, "Version", 3},
    {0},
};

static error_t refuse(struct argp_state *state, const char *text)
{
    argp_failure(state, EXIT_BAD, 0, "%s", text);
    return EINVAL;
}

static error_t check(struct argp_state *state, const struct options *o)
{
    if (o->done || o->keygen)
        return o->keygen && o->n_files ? refuse(state, "--keygen takes no files") : 0;
    if (!o->n_files)
        return refuse(state, "no file is named; --help tells more");
    if (o->output && o->recursive) /* files of one name in several folders would meet there */
        return refuse(state, "--output is for files; with -r each is written beside its own");
    return o->key_file && o->passphrase_file ? refuse(state, "--key or --passphrase-file, not both") : 0;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    char *end;
    switch (key) {
    case 'd':
        o->decrypt = true;
        return 0;
    case 'k':
        o->key_file = text;
        return 0;
    case KEYGEN:
        o->keygen = text;
        return 0;
    case PASSPHRASE_FILE:
        o->passphrase_file = text;
        return 0;
    case 'o':
        o->output = text;
        return 0;
    case 'r':
        o->recursive = true;
        return 0;
    case 'f':
        o->force = true;
        return 0;
    case PIECE: {
        long mib = strtol(text, &end, 10);
        o->piece_bytes = (uint32_t)(mib << 20);
        return *text && !*end && mib >= 1 && mib <= (long)(FORMAT_PIECE_MAX >> 20)
                   ? 0
                   : refuse(state, "--piece: allowed is 1 to 64");
    }
    case 'q':
        o->quiet = true;
        return 0;
    case HELP:
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK);
        o->done = true;
        return 0;
    case VERSION:
        puts("encrypt " MUSTER_VERSION);
        o->done = true;
        return 0;
    case ARGP_KEY_ARGS:
        o->files = state->argv + state->next;
        o->n_files = state->argc - state->next;
        return 0;
    case ARGP_KEY_END:
        return check(state, o);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int options_parse(int argc, char **argv, struct options *o)
{
    static const struct argp argp = {.options = known, .parser = parse, .args_doc = arguments, .doc = doc};
    *o = (struct options){.piece_bytes = FORMAT_PIECE_DEFAULT};
    if (argp_parse(&argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, o) != 0)
        return EXIT_BAD;
    return o->done ? EXIT_WELL : -1;
}
