/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where keys come from: key files, and passphrases.
 */
#ifndef ENCRYPT_SECRET_H
#define ENCRYPT_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "encrypt/format.h"

#define SECRET_MAX 1024 /* bytes of a passphrase, its end included */

/* Each returns 0, or -1, said on stderr. */

/** A new key in a new file, for its owner's eyes alone. */
int secret_make_key(const char *path);
int secret_read_key(const char *path, uint8_t key[FORMAT_KEY_BYTES]);
/** The first line of a file; NULL: of standard input. */
int secret_read_passphrase(const char *path, char passphrase[SECRET_MAX]);
/** Asks at the terminal, twice where it is a new one, and puts the answer where standard input was: ranks that are
 * still to be started have no terminal, but that. */
int secret_ask(bool twice);

#endif
