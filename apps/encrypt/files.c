/* SPDX-License-Identifier: BSD-3-Clause */
#include "encrypt/files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "encrypt/secret.h"

#define KEYS 16 /* of passphrases with salts of their own: remembered */

struct known_key {
    struct format_header of; /* its salt, rounds and memory */
    uint8_t key[FORMAT_KEY_BYTES];
    bool used;
};

struct files {
    const struct options *options;
    FTS *tree;
    bool has_key, has_passphrase, has_salt;
    uint8_t key[FORMAT_KEY_BYTES];
    char passphrase[SECRET_MAX];
    struct format_header first; /* of this run: one salt for all its files, so that the key is made once */
    struct known_key known[KEYS];
    int next_known;
    int64_t done;
    bool failed, not_authentic;
};

static void tell(struct files *files, const char *path, bool authentic, const char *why)
{
    fprintf(stderr, "encrypt: %s: %s\n", path, why);
    files->failed = true;
    files->not_authentic |= !authentic;
}

static int get_secret(struct files *files)
{
    const struct options *o = files->options;
    files->has_key = o->key_file;
    files->has_passphrase = !o->key_file;
    return o->key_file ? secret_read_key(o->key_file, files->key)
                       : secret_read_passphrase(o->passphrase_file, files->passphrase);
}

struct files *files_open(const struct options *options)
{
    struct files *files = calloc(1, sizeof *files);
    char **paths = calloc((size_t)options->n_files + 1, sizeof *paths);
    if (!files || !paths)
        return NULL;
    files->options = options;
    memcpy(paths, options->files, (size_t)options->n_files * sizeof *paths);
    if (get_secret(files) == 0)
        files->tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    free(paths);
    if (files->tree)
        return files;
    files_close(files);
    return NULL;
}

static bool ends_in_suffix(const char *path)
{
    size_t n = strlen(path), suffix = strlen(ENCRYPT_SUFFIX);
    return n > suffix && strcmp(path + n - suffix, ENCRYPT_SUFFIX) == 0;
}

/* The key that a header asks for. 0, or -1: said. */
static int key_of(struct files *files, struct file *file, uint8_t key[FORMAT_KEY_BYTES])
{
    const struct format_header *h = &file->header;
    if (h->by_passphrase != files->has_passphrase) {
        tell(files, file->in, true,
             h->by_passphrase ? "its key is of a passphrase" : "its key is in a key file: --key");
        return -1;
    }
    if (files->has_key) {
        memcpy(key, files->key, FORMAT_KEY_BYTES);
        return 0;
    }
    for (int i = 0; i < KEYS; i++) {
        struct known_key *k = &files->known[i];
        if (k->used && k->of.rounds == h->rounds && k->of.memory == h->memory &&
            memcmp(k->of.salt, h->salt, sizeof h->salt) == 0) {
            memcpy(key, k->key, FORMAT_KEY_BYTES);
            return 0;
        }
    }
    if (format_passphrase(h, files->passphrase, key) != 0) {
        tell(files, file->in, true, "no memory for the key of its passphrase");
        return -1;
    }
    struct known_key *k = &files->known[files->next_known++ % KEYS];
    *k = (struct known_key){.of = *h, .used = true};
    memcpy(k->key, key, FORMAT_KEY_BYTES);
    return 0;
}

/* Where it goes to; in another folder by its last name. */
static int name_output(struct files *files, struct file *file)
{
    const struct options *o = files->options;
    const char *name = file->in;
    int n;
    if (o->output) {
        name = strrchr(file->in, '/') ? strrchr(file->in, '/') + 1 : file->in;
        n = snprintf(file->out, sizeof file->out, "%s/%s", o->output, name);
    } else {
        n = snprintf(file->out, sizeof file->out, "%s", name);
    }
    if (n + sizeof ENCRYPT_SUFFIX >= sizeof file->out)
        return errno = ENAMETOOLONG, -1;
    if (o->decrypt)
        file->out[n - (int)strlen(ENCRYPT_SUFFIX)] = '\0';
    else
        strcat(file->out, ENCRYPT_SUFFIX);
    snprintf(file->temporary, sizeof file->temporary, "%s.%ld.part", file->out, (long)getpid());
    return 0;
}

static int begin_output(struct files *files, struct file *file)
{
    const struct options *o = files->options;
    if (!o->force && access(file->out, F_OK) == 0) {
        tell(files, file->out, true, "is there; --force writes over it");
        return -1;
    }
    int fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint64_t size = o->decrypt ? file->header.size : format_sealed_size(&file->header);
    int failed = fd < 0;
    if (!failed && !o->decrypt)
        failed = write(fd, file->header_bytes, FORMAT_HEADER_BYTES) != FORMAT_HEADER_BYTES;
    if (!failed)
        failed = ftruncate(fd, (off_t)size) != 0;
    if (failed)
        tell(files, file->temporary, true, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (failed && fd >= 0)
        unlink(file->temporary);
    return failed ? -1 : 0;
}

static int begin_encryption(struct files *files, struct file *file)
{
    uint8_t key[FORMAT_KEY_BYTES];
    file->header = format_new((uint64_t)file->about.st_size, files->options->piece_bytes, files->has_passphrase);
    if (!files->has_salt)
        files->first = file->header;
    files->has_salt = true;
    memcpy(file->header.salt, files->first.salt, sizeof file->header.salt);
    if (key_of(files, file, key) != 0)
        return -1;
    format_keys(&file->header, key, &file->keys);
    format_write(&file->header, &file->keys, file->header_bytes);
    sodium_memzero(key, sizeof key);
    return begin_output(files, file);
}

static int begin_decryption(struct files *files, struct file *file)
{
    uint8_t key[FORMAT_KEY_BYTES];
    const char *why = NULL;
    int fd = open(file->in, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, file->header_bytes, FORMAT_HEADER_BYTES, 0);
    if (n < 0)
        why = strerror(errno);
    if (fd >= 0)
        close(fd);
    if (why) {
        tell(files, file->in, true, why);
        return -1;
    }
    if (n != FORMAT_HEADER_BYTES || format_read(file->header_bytes, &file->header, &why) != 0) {
        tell(files, file->in, false, why ? why : "is too short to be encrypted by this program");
        return -1;
    }
    if (key_of(files, file, key) != 0)
        return -1;
    format_keys(&file->header, key, &file->keys);
    sodium_memzero(key, sizeof key);
    if (!format_verify(file->header_bytes, &file->keys)) {
        tell(files, file->in, false, "another key, or its header was changed");
        return -1;
    }
    if ((uint64_t)file->about.st_size != format_sealed_size(&file->header)) {
        tell(files, file->in, false, "was cut or lengthened");
        return -1;
    }
    return begin_output(files, file);
}

static struct file *begin(struct files *files, const FTSENT *entry)
{
    struct file *file = calloc(1, sizeof *file);
    if (!file) {
        tell(files, entry->fts_path, true, "no memory");
        return NULL;
    }
    file->about = *entry->fts_statp;
    int failed = snprintf(file->in, sizeof file->in, "%s", entry->fts_path) >= (int)sizeof file->in;
    if (failed || name_output(files, file) != 0) {
        tell(files, entry->fts_path, true, strerror(ENAMETOOLONG));
        failed = 1;
    }
    if (!failed)
        failed = files->options->decrypt ? begin_decryption(files, file) : begin_encryption(files, file);
    if (!failed)
        return file;
    sodium_memzero(&file->keys, sizeof file->keys);
    free(file);
    return NULL;
}

/* Whether an entry is one to work on; what is named and is not is told. */
static bool is_wanted(struct files *files, const FTSENT *entry)
{
    bool decrypt = files->options->decrypt, named = entry->fts_level == FTS_ROOTLEVEL;
    switch (entry->fts_info) {
    case FTS_D:
        if (named && !files->options->recursive) {
            tell(files, entry->fts_path, true, "is a directory; -r goes through it");
            fts_set(files->tree, (FTSENT *)entry, FTS_SKIP);
        }
        return false;
    case FTS_F:
        if (ends_in_suffix(entry->fts_name) == decrypt)
            return true;
        if (named)
            tell(files, entry->fts_path, true,
                 decrypt ? "does not end in " ENCRYPT_SUFFIX : "ends in " ENCRYPT_SUFFIX " already");
        return false;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        tell(files, entry->fts_path, true, strerror(entry->fts_errno));
        return false;
    default:
        if (named && entry->fts_info != FTS_DP)
            tell(files, entry->fts_path, true, "is no regular file");
        return false;
    }
}

struct file *files_next(struct files *files)
{
    for (FTSENT *entry; (entry = fts_read(files->tree));) {
        struct file *file = is_wanted(files, entry) ? begin(files, entry) : NULL;
        if (file)
            return file;
    }
    return NULL;
}

void files_fail(struct files *files, struct file *file, bool authentic, const char *why)
{
    if (!file->failed)
        tell(files, file->in, authentic, why);
    file->failed = true;
}

/* As the input: who may read it, and when it was changed. */
static int put_in_place(const struct file *file)
{
    struct timespec times[2] = {file->about.st_atim, file->about.st_mtim};
    return chmod(file->temporary, file->about.st_mode & 0777) != 0 ||
           utimensat(AT_FDCWD, file->temporary, times, 0) != 0 || rename(file->temporary, file->out) != 0;
}

void files_end(struct files *files, struct file *file)
{
    bool whole = !file->failed && file->ended == format_pieces(&file->header);
    if (whole && put_in_place(file) != 0)
        files_fail(files, file, true, strerror(errno));
    if (!whole || file->failed)
        unlink(file->temporary);
    else
        files->done++;
    sodium_memzero(&file->keys, sizeof file->keys);
    free(file);
}

int files_code(const struct files *files)
{
    return files->not_authentic ? EXIT_NOT_AUTHENTIC : files->failed ? EXIT_FAILED : EXIT_WELL;
}

int64_t files_done(const struct files *files)
{
    return files->done;
}

void files_close(struct files *files)
{
    if (!files)
        return;
    if (files->tree)
        fts_close(files->tree);
    sodium_memzero(files, sizeof *files);
    free(files);
}
