/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * encrypt: files, encrypted by all ranks. See options.c for its use.
 */
#include <unistd.h>

#include <muster/muster.h>

#include "encrypt/format.h"
#include "encrypt/options.h"
#include "encrypt/run.h"
#include "encrypt/secret.h"

/* What needs no ranks; -1: the rest. */
static int before_ranks(int argc, char **argv)
{
    struct options options;
    int code = options_parse(argc, argv, &options);
    if (code >= 0)
        return code;
    if (options.keygen)
        return secret_make_key(options.keygen) == 0 ? EXIT_WELL : EXIT_BAD;
    bool asks = !options.key_file && !options.passphrase_file && isatty(STDIN_FILENO);
    return asks && secret_ask(!options.decrypt) != 0 ? EXIT_BAD : -1;
}

int main(int argc, char **argv)
{
    struct options options;
    int code = -1;
    if (format_begin() != 0)
        return EXIT_BAD;
    if (!muster_launched() && (code = before_ranks(argc, argv)) >= 0)
        return code;
    muster_err err = muster_init(&argc, &argv, NULL);
    if (err != MUSTER_OK)
        return EXIT_BAD;
    code = options_parse(argc, argv, &options);
    if (code < 0)
        code = options.keygen ? (secret_make_key(options.keygen) == 0 ? EXIT_WELL : EXIT_BAD) : run_encrypt(&options);
    int by_signal = muster_finalize();
    return by_signal ? by_signal : code;
}
