/* SPDX-License-Identifier: BSD-3-Clause */
#include "encrypt/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static const char title[] = "muster-encrypt-key-1 ";

static int complain(const char *path, const char *why)
{
    fprintf(stderr, "encrypt: %s: %s\n", path, why);
    return -1;
}

int secret_make_key(const char *path)
{
    uint8_t key[FORMAT_KEY_BYTES];
    char hex[2 * FORMAT_KEY_BYTES + 1];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return complain(path, errno == EEXIST ? "is there already; a key is not written over" : strerror(errno));
    randombytes_buf(key, sizeof key);
    sodium_bin2hex(hex, sizeof hex, key, sizeof key);
    int failed = dprintf(fd, "%s%s\n", title, hex) < 0 || fsync(fd) != 0;
    failed |= close(fd) != 0;
    sodium_memzero(key, sizeof key);
    sodium_memzero(hex, sizeof hex);
    if (failed) {
        unlink(path);
        return complain(path, "cannot be written");
    }
    return 0;
}

int secret_read_key(const char *path, uint8_t key[FORMAT_KEY_BYTES])
{
    char line[sizeof title + 2 * FORMAT_KEY_BYTES + 2] = "";
    size_t length = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return complain(path, strerror(errno));
    bool read = fgets(line, sizeof line, file);
    fclose(file);
    bool is_key =
        read && strncmp(line, title, strlen(title)) == 0 &&
        sodium_hex2bin(key, FORMAT_KEY_BYTES, line + strlen(title), 2 * FORMAT_KEY_BYTES, NULL, &length, NULL) == 0 &&
        length == FORMAT_KEY_BYTES;
    sodium_memzero(line, sizeof line);
    return is_key ? 0 : complain(path, "is no key of --keygen");
}

int secret_read_passphrase(const char *path, char passphrase[SECRET_MAX])
{
    const char *name = path ? path : "standard input";
    FILE *file = path ? fopen(path, "re") : stdin;
    if (!file)
        return complain(name, strerror(errno));
    bool read = fgets(passphrase, SECRET_MAX, file);
    if (path)
        fclose(file);
    size_t n = read ? strcspn(passphrase, "\n") : 0;
    if (n == 0)
        return complain(name, "no passphrase; --key, --passphrase-file, or a terminal to ask at");
    if (n == SECRET_MAX - 1)
        return complain(name, "the passphrase is too long");
    passphrase[n] = '\0';
    return 0;
}

static int ask_once(FILE *terminal, const char *prompt, char passphrase[SECRET_MAX])
{
    struct termios before, quiet;
    int fd = fileno(terminal);
    if (tcgetattr(fd, &before) != 0)
        return -1;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(terminal, "%s", prompt);
    fflush(terminal);
    tcsetattr(fd, TCSAFLUSH, &quiet);
    bool read = fgets(passphrase, SECRET_MAX, terminal);
    tcsetattr(fd, TCSAFLUSH, &before);
    fprintf(terminal, "\n");
    return read ? 0 : -1;
}

int secret_ask(bool twice)
{
    char first[SECRET_MAX], second[SECRET_MAX];
    int ends[2], failed = 0;
    FILE *terminal = fopen("/dev/tty", "r+e");
    if (!terminal)
        return 0; /* then it comes by standard input */
    failed = ask_once(terminal, "Passphrase: ", first);
    if (!failed && twice) {
        failed = ask_once(terminal, "Once more: ", second);
        if (!failed && strcmp(first, second)) {
            fprintf(stderr, "encrypt: these are not the same\n");
            failed = -1;
        }
    }
    fclose(terminal);
    if (!failed && pipe(ends) == 0) { /* it is shorter than what a pipe holds */
        failed = write(ends[1], first, strlen(first)) < 0 || dup2(ends[0], STDIN_FILENO) < 0 ? -1 : 0;
        close(ends[0]), close(ends[1]);
    }
    sodium_memzero(first, sizeof first);
    sodium_memzero(second, sizeof second);
    return failed;
}
