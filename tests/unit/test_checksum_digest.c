/* SPDX-License-Identifier: BSD-3-Clause */
/* Digests of files: the whole and the tree, what changes meanwhile, stops, paths of any length. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "checksum/digest.h"

static const struct algorithm *sha256, *tree256;
static char name[] = "/tmp/checksum-digest-XXXXXX";
static int file;

static int open_file(void **state)
{
    (void)state;
    sha256 = algorithm_named("sha256", false);
    tree256 = algorithm_named("sha256", true);
    file = mkstemp(name);
    return sha256 && tree256 && file >= 0 ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    close(file);
    return unlink(name);
}

/* Bytes that tell where they are. */
static unsigned char *fill(size_t bytes)
{
    unsigned char *all = malloc(bytes + 1);
    assert_non_null(all);
    for (size_t i = 0; i < bytes; i++)
        all[i] = (unsigned char)(i * 2654435761u >> 24);
    assert_int_equal(ftruncate(file, 0), 0);
    assert_int_equal(pwrite(file, all, bytes, 0), bytes);
    return all;
}

static struct stat look(void)
{
    struct stat st;
    assert_int_equal(fstat(file, &st), 0);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    return st;
}

/* A root, from its definition. */
static void root_of(const unsigned char *all, size_t bytes, unsigned char *root)
{
    size_t piece = TREE_PIECE, pieces = bytes ? (bytes + piece - 1) / piece : 1;
    unsigned char *text = calloc(1, piece + 1), *top = calloc(1, 1 + 32 * pieces + 8);
    assert_true(text && top);
    top[0] = 1;
    for (size_t i = 0; i < pieces; i++) {
        size_t n = i + 1 < pieces ? piece : bytes - i * piece;
        memcpy(text + 1, all + i * piece, n);
        assert_true(EVP_Digest(text, n + 1, top + 1 + 32 * i, NULL, sha256->digest, NULL));
    }
    for (int i = 0; i < 8; i++)
        top[1 + 32 * pieces + i] = (unsigned char)((uint64_t)bytes >> 8 * i);
    assert_true(EVP_Digest(top, 1 + 32 * pieces + 8, root, NULL, sha256->digest, NULL));
    free(text);
    free(top);
}

/* The same root from pieces that others read. */
static void by_pieces(struct digester *d, size_t bytes, unsigned char *root)
{
    static unsigned char leaves[4][DIGEST_BYTES_MAX];
    struct outcome outcome;
    struct tree tree;
    struct stat st = look();
    tree_begin(&tree, tree256);
    for (int64_t i = 0; i < tree_pieces((int64_t)bytes); i++) {
        digest_pieces(d, tree256, file, &st, i, 1, &leaves[i], &outcome);
        assert_int_equal(outcome.error, 0);
        assert_int_equal(outcome.size, bytes);
        tree_add(&tree, leaves[i]);
    }
    assert_int_equal(tree_end(&tree, (int64_t)bytes, root), 0);
}

static void test_whole_and_tree(void **state)
{
    (void)state;
    const size_t piece = TREE_PIECE, sizes[] = {0, 1, 262143, 262144, 262145, piece - 1, piece, piece + 1, 3 * piece};
    struct digester d;
    assert_int_equal(digester_create(&d, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *all = fill(sizes[i]), expected[DIGEST_BYTES_MAX] = {0}, root[DIGEST_BYTES_MAX] = {0};
        struct outcome outcome;
        struct stat st = look();
        digest_file(&d, sha256, file, &st, &outcome);
        assert_int_equal(outcome.error, 0);
        assert_int_equal(outcome.size, sizes[i]);
        assert_true(EVP_Digest(all, sizes[i], expected, NULL, sha256->digest, NULL));
        assert_memory_equal(outcome.digest, expected, 32);
        st = look();
        digest_file(&d, tree256, file, &st, &outcome);
        root_of(all, sizes[i], expected);
        assert_int_equal(outcome.error, 0);
        assert_memory_equal(outcome.digest, expected, 32);
        by_pieces(&d, sizes[i], root);
        assert_memory_equal(root, expected, 32);
        free(all);
    }
    digester_destroy(&d);
}

/* What a file goes through while it is read. */
enum { APPEND = 1, CUT, TOUCH, STOP };

static bool meanwhile(void *what)
{
    struct timeval times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    switch (*(int *)what) {
    case APPEND:
        assert_int_equal(pwrite(file, "x", 1, lseek(file, 0, SEEK_END)), 1);
        break;
    case CUT:
        assert_int_equal(ftruncate(file, 1), 0);
        break;
    case TOUCH:
        assert_int_equal(futimes(file, times), 0);
        break;
    }
    return *(int *)what == STOP;
}

static void test_changes_are_noticed(void **state)
{
    (void)state;
    for (int what = APPEND; what <= STOP; what++) {
        struct digester d;
        struct outcome outcome;
        int32_t expected = what == STOP ? OUTCOME_OPEN : OUTCOME_CHANGED;
        static unsigned char leaves[2][DIGEST_BYTES_MAX];
        assert_int_equal(digester_create(&d, meanwhile, &what), 0);
        for (int how = 0; how < 3; how++) {
            free(fill(TREE_PIECE + 5));
            struct stat st = look();
            if (how < 2)
                digest_file(&d, how ? tree256 : sha256, file, &st, &outcome);
            else
                digest_pieces(&d, tree256, file, &st, 0, 2, leaves, &outcome);
            assert_int_equal(outcome.error, expected);
        }
        digester_destroy(&d);
    }
}

static void test_changed_before_it_is_read(void **state)
{
    (void)state;
    struct digester d;
    struct outcome outcome;
    assert_int_equal(digester_create(&d, NULL, NULL), 0);
    free(fill(100));
    struct stat st = look();
    assert_int_equal(ftruncate(file, 200), 0);
    digest_file(&d, sha256, file, &st, &outcome);
    assert_int_equal(outcome.error, OUTCOME_CHANGED);
    digester_destroy(&d);
}

static void test_pipes_end_where_they_end(void **state)
{
    (void)state;
    struct digester d;
    struct outcome outcome;
    struct stat st;
    int ends[2];
    unsigned char expected[DIGEST_BYTES_MAX];
    assert_int_equal(digester_create(&d, NULL, NULL), 0);
    for (int tree = 0; tree < 2; tree++) {
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], "abc", 3), 3);
        close(ends[1]);
        assert_int_equal(fstat(ends[0], &st), 0);
        digest_file(&d, tree ? tree256 : sha256, ends[0], &st, &outcome);
        close(ends[0]);
        assert_int_equal(outcome.error, 0);
        assert_int_equal(outcome.size, 3);
        if (tree)
            root_of((const unsigned char *)"abc", 3, expected);
        else
            assert_true(EVP_Digest("abc", 3, expected, NULL, sha256->digest, NULL));
        assert_memory_equal(outcome.digest, expected, 32);
    }
    digester_destroy(&d);
}

static void test_no_file(void **state)
{
    (void)state;
    struct digester d;
    struct outcome outcome;
    struct stat st;
    assert_int_equal(digester_create(&d, NULL, NULL), 0);
    int folder = digest_open(AT_FDCWD, "/", true);
    assert_true(folder >= 0);
    assert_int_equal(fstat(folder, &st), 0);
    digest_file(&d, sha256, folder, &st, &outcome);
    assert_int_equal(outcome.error, EISDIR);
    close(folder);
    digester_destroy(&d);
}

/* 60 directories of 200 letters, one in the other: three times what the kernel takes for a path. */
static void test_paths_of_any_length(void **state)
{
    (void)state;
    enum { DEEP = 60, LETTERS = 200 };
    char root[] = "/tmp/checksum-deep-XXXXXX", part[LETTERS + 1], *path = malloc(DEEP * (LETTERS + 1) + 64);
    assert_true(path && mkdtemp(root));
    strcpy(path, root);
    memset(part, 'd', LETTERS);
    part[LETTERS] = '\0';
    int fds[DEEP + 1];
    fds[0] = open(root, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < DEEP; i++) {
        assert_int_equal(mkdirat(fds[i], part, 0777), 0);
        fds[i + 1] = openat(fds[i], part, O_RDONLY | O_DIRECTORY);
        assert_true(fds[i + 1] >= 0);
        strcat(strcat(path, "/"), part);
    }
    int bottom = openat(fds[DEEP], "file", O_CREAT | O_WRONLY, 0666);
    assert_int_equal(write(bottom, "abc", 3), 3);
    strcat(path, "/file");
    int fd = digest_open(AT_FDCWD, path, true);
    char text[4] = "";
    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, sizeof text), 3);
    assert_string_equal(text, "abc");
    strcat(path, "s");
    assert_int_equal(digest_open(AT_FDCWD, path, true), -1);
    assert_int_equal(errno, ENOENT);
    memset(path, 'x', DEEP * LETTERS); /* no slash for long */
    assert_int_equal(digest_open(AT_FDCWD, path, true), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    close(fd);
    close(bottom);
    unlinkat(fds[DEEP], "file", 0);
    for (int i = DEEP; i-- > 0;) {
        close(fds[i + 1]);
        assert_int_equal(unlinkat(fds[i], part, AT_REMOVEDIR), 0);
    }
    close(fds[0]);
    assert_int_equal(rmdir(root), 0);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_and_tree),
        cmocka_unit_test(test_changes_are_noticed),
        cmocka_unit_test(test_changed_before_it_is_read),
        cmocka_unit_test(test_pipes_end_where_they_end),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_paths_of_any_length),
    };
    return cmocka_run_group_tests(tests, open_file, remove_file);
}
