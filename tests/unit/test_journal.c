/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal: what is found again after ends of all kinds, and what is refused. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <muster/journal.h>

static char folder[64], path[128];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/muster-journal-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a?b%%c#journal", folder); /* signs that mean something in a URI */
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void assert_detail(const char *part)
{
    if (!strstr(muster_err_detail(), part))
        fail_msg("'%s' does not say '%s'", muster_err_detail(), part);
}

static muster_journal *opened(const muster_journal_options *options)
{
    muster_journal *journal;
    muster_err err = muster_journal_open(&journal, path, options);
    if (err != MUSTER_OK)
        fail_msg("%d: %s", err, muster_err_detail());
    return journal;
}

static void record(muster_journal *journal, const char *name, int input, int code, const char *result)
{
    muster_journal_entry entry = {.name = name,
                                  .input = &input,
                                  .input_bytes = sizeof input,
                                  .state = code ? MUSTER_JOURNAL_FAILED : MUSTER_JOURNAL_DONE,
                                  .code = code,
                                  .result = result,
                                  .result_bytes = strlen(result)};
    assert_int_equal(muster_journal_record(journal, &entry), MUSTER_OK);
}

static void assert_found(muster_journal *journal, const char *name, int input, int code, int attempts,
                         const char *result)
{
    muster_journal_entry entry = {.name = name, .input = &input, .input_bytes = sizeof input};
    muster_err err = muster_journal_find(journal, &entry);
    if (err != MUSTER_OK)
        fail_msg("%s %d: %s", name, input, muster_err_detail());
    assert_int_equal(entry.state, code ? MUSTER_JOURNAL_FAILED : MUSTER_JOURNAL_DONE);
    assert_int_equal(entry.code, code);
    assert_int_equal(entry.attempts, attempts);
    assert_int_equal(entry.result_bytes, strlen(result));
    if (*result)
        assert_memory_equal(entry.result, result, entry.result_bytes);
    else
        assert_null(entry.result);
    free((void *)entry.result);
}

static void assert_missing(muster_journal *journal, const char *name, int input)
{
    muster_journal_entry entry = {.name = name, .input = &input, .input_bytes = sizeof input};
    assert_int_equal(muster_journal_find(journal, &entry), MUSTER_ERR_EMPTY);
}

static void found_again(void **state)
{
    (void)state;
    muster_journal *journal = opened(NULL);
    assert_missing(journal, "task", 1);
    record(journal, "task", 1, 0, "one");
    record(journal, "task", 2, 7, "");
    record(journal, "other", 1, 0, "another one");
    assert_found(journal, "task", 1, 0, 1, "one"); /* not written yet, perhaps */
    record(journal, "task", 2, 0, "well, at last");
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);

    journal = opened(NULL);
    assert_found(journal, "task", 1, 0, 1, "one");
    assert_found(journal, "task", 2, 0, 2, "well, at last");
    assert_found(journal, "other", 1, 0, 1, "another one");
    assert_missing(journal, "task", 3);
    muster_journal_entry bare = {.name = "bare"}; /* no input, no result */
    assert_int_equal(muster_journal_record(journal, &bare), MUSTER_OK);
    assert_int_equal(muster_journal_find(journal, &bare), MUSTER_OK);
    assert_null(bare.result);
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);

    journal = opened(&(muster_journal_options){.anew = true});
    assert_missing(journal, "task", 1);
    record(journal, "task", 1, 0, "anew");
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
    journal = opened(NULL);
    assert_found(journal, "task", 1, 0, 1, "anew");
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
    assert_int_equal(muster_journal_close(NULL), MUSTER_OK);
}

static int check_order(const muster_journal_entry *entry, void *arg)
{
    int *next = arg;
    assert_int_equal(*(const int *)entry->input, *next);
    return ++*next == 5000 ? 17 : 0;
}

static void in_order(void **state)
{
    (void)state;
    muster_journal *journal = opened(&(muster_journal_options){.batch_records = 100});
    char large[3000];
    memset(large, 'x', sizeof large - 1), large[sizeof large - 1] = '\0';
    for (int i = 0; i < 6000; i++)
        record(journal, "n", i, 0, large);
    int next = 0, stopped = 0;
    assert_int_equal(muster_journal_each(journal, check_order, &next, &stopped), MUSTER_OK);
    assert_int_equal(next, 5000);
    assert_int_equal(stopped, 17);
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
}

/* Another process; returns its exit status. */
static int elsewhere(int (*what)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(what());
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int is_busy(void)
{
    muster_journal *journal;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "is held by pid %ld on host ", (long)getppid());
    return muster_journal_open(&journal, path, NULL) == MUSTER_ERR_BUSY && strstr(muster_err_detail(), wanted) ? 0 : 1;
}

static muster_journal *of_parent;

static int is_refused_to_copy(void)
{
    muster_journal_entry entry = {.name = "copy"};
    return muster_journal_record(of_parent, &entry) == MUSTER_ERR_STATE &&
                   muster_journal_close(of_parent) == MUSTER_ERR_STATE
               ? 0
               : 1;
}

static void held(void **state)
{
    (void)state;
    char holder[160];
    snprintf(holder, sizeof holder, "%s.holder", path);
    of_parent = opened(NULL);
    assert_int_equal(elsewhere(is_busy), 0);
    assert_int_equal(elsewhere(is_refused_to_copy), 0);
    muster_journal *second;
    assert_int_equal(muster_journal_open(&second, path, NULL), MUSTER_ERR_BUSY); /* not twice here either */
    record(of_parent, "task", 1, 0, "one");
    assert_int_equal(muster_journal_close(of_parent), MUSTER_OK);
    assert_int_equal(access(holder, F_OK), -1);
    muster_journal *journal = opened(&(muster_journal_options){.read_only = true});
    assert_found(journal, "task", 1, 0, 1, "one");
    muster_journal_entry entry = {.name = "task"};
    assert_int_equal(muster_journal_record(journal, &entry), MUSTER_ERR_STATE);
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
}

static void assert_refused(const muster_journal_options *options, muster_err wanted, const char *part)
{
    muster_journal *journal;
    assert_int_equal(muster_journal_open(&journal, path, options), wanted);
    assert_detail(part);
}

static void of_another(void **state)
{
    (void)state;
    muster_journal_options options = {.program = "p", .version = "1", .parameters = "seed=1\nsize=64\n"};
    muster_journal_close(opened(&options));
    muster_journal_close(opened(&options));
    options.parameters = "seed=1\nsize=128\n";
    assert_refused(&options, MUSTER_ERR_INVAL, "'size=64' there, 'size=128' now");
    options.parameters = "seed=1\n";
    assert_refused(&options, MUSTER_ERR_INVAL, "'size=64' there, '' now");
    options.parameters = "seed=1\nsize=64\ntime=2";
    assert_refused(&options, MUSTER_ERR_INVAL, "'' there, 'time=2' now");
    options.version = "2";
    assert_refused(&options, MUSTER_ERR_INVAL, "of version '1', not '2'");
    options.program = "q";
    assert_refused(&options, MUSTER_ERR_INVAL, "of program 'p', not 'q'");
    options.anew = true;
    muster_journal_close(opened(&options));
    options.anew = false;
    muster_journal_close(opened(&options));
    assert_refused(&(muster_journal_options){.anew = true, .read_only = true}, MUSTER_ERR_INVAL, "read only");
    assert_refused(&(muster_journal_options){.batch_ms = -1}, MUSTER_ERR_INVAL, "negative");
    assert_refused(&(muster_journal_options){.reserved = {1}}, MUSTER_ERR_INVAL, "reserved");
}

/* A file that is no journal, of that many bytes, is refused and stays as it is, anew or not. */
static void spare_file(size_t bytes)
{
    char *text = malloc(bytes), *after = malloc(bytes + 1);
    assert_non_null(text);
    assert_non_null(after);
    memset(text, 'x', bytes);
    for (int anew = 0; anew < 2; anew++) {
        FILE *file = fopen(path, "w");
        assert_int_equal(fwrite(text, 1, bytes, file), bytes);
        fclose(file);
        assert_refused(&(muster_journal_options){.anew = anew}, MUSTER_ERR_SYSTEM, "this is no journal");
        file = fopen(path, "r");
        assert_int_equal(fread(after, 1, bytes + 1, file), bytes);
        fclose(file);
        assert_memory_equal(text, after, bytes);
    }
    free(text);
    free(after);
}

static void no_journal(void **state)
{
    (void)state;
    assert_refused(&(muster_journal_options){.read_only = true}, MUSTER_ERR_SYSTEM, "No such file");
    spare_file(1);
    spare_file(100);
    spare_file(10000);
    unlink(path);
    char before = path[strlen(folder)];
    path[strlen(folder)] = '\0'; /* a folder */
    assert_refused(NULL, MUSTER_ERR_SYSTEM, "directory");
    path[strlen(folder)] = before;
    muster_journal_close(opened(NULL)); /* none of this held it */
}

/* Records 0, 1, 2 ... and says each that is certainly written, until it is killed. */
static _Noreturn void record_until_killed(int said)
{
    muster_journal *journal = opened(&(muster_journal_options){.batch_ms = 1, .batch_records = 20});
    int next = 0;
    muster_journal_each(journal, check_order, &next, NULL);
    for (int i = next;; i++) {
        char result[32];
        snprintf(result, sizeof result, "result %d", i);
        record(journal, "n", i, 0, result);
        if (i % 50 == 0 && muster_journal_flush(journal) == MUSTER_OK && write(said, &i, sizeof i) != sizeof i)
            _exit(1);
    }
}

static int count_entry(const muster_journal_entry *entry, void *arg)
{
    char wanted[32];
    int *next = arg;
    assert_int_equal(*(const int *)entry->input, *next);
    snprintf(wanted, sizeof wanted, "result %d", *next);
    assert_int_equal(entry->result_bytes, strlen(wanted));
    assert_memory_equal(entry->result, wanted, entry->result_bytes);
    ++*next;
    return 0;
}

/* After a kill -9 at any moment all that was said to be written is there, in order, and nothing is torn. */
static void killed(void **state)
{
    (void)state;
    int rest = 0;
    for (int round = 0; round < 30; round++) {
        int pipe_ends[2], last = -1, seen = 0;
        assert_int_equal(pipe(pipe_ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            record_until_killed(pipe_ends[1]);
        close(pipe_ends[1]);
        for (int i; seen <= round % 7 && read(pipe_ends[0], &i, sizeof i) == sizeof i; seen++)
            last = i;
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        for (int i; read(pipe_ends[0], &i, sizeof i) == sizeof i;)
            last = i;
        close(pipe_ends[0]);
        assert_true(last >= 0);
        muster_journal *journal = opened(NULL);
        int next = 0;
        assert_int_equal(muster_journal_each(journal, count_entry, &next, NULL), MUSTER_OK);
        assert_true(next > last);
        assert_true(next >= rest);
        rest = next;
        if (next > 4000)
            muster_journal_close(journal), journal = opened(&(muster_journal_options){.anew = true}), rest = 0;
        assert_int_equal(muster_journal_close(journal), MUSTER_OK);
    }
}

static void no_room(void **state)
{
    (void)state;
    struct rlimit all, little = {1 << 20, RLIM_INFINITY};
    char *large = calloc(1, 100001);
    assert_non_null(large);
    memset(large, 'y', 100000);
    signal(SIGXFSZ, SIG_IGN);
    muster_journal *journal = opened(&(muster_journal_options){.batch_ms = 3600000});
    record(journal, "n", -1, 0, "before");
    assert_int_equal(muster_journal_flush(journal), MUSTER_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    little.rlim_max = all.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    for (int i = 0; i < 100; i++)
        record(journal, "n", i, 0, large);
    assert_int_equal(muster_journal_flush(journal), MUSTER_ERR_SYSTEM);
    assert_detail("cannot be written");
    muster_journal_entry more = {.name = "more"};
    assert_int_equal(muster_journal_record(journal, &more), MUSTER_ERR_SYSTEM); /* told, and kept all the same */
    assert_detail("tried again: 101");
    record(journal, "n", 100, 0, "told once");
    assert_found(journal, "n", -1, 0, 1, "before");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(muster_journal_flush(journal), MUSTER_OK); /* there is room again */
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
    journal = opened(NULL);
    for (int i = 0; i < 100; i++)
        assert_found(journal, "n", i, 0, 1, large);
    assert_found(journal, "n", 100, 0, 1, "told once");
    assert_int_equal(muster_journal_find(journal, &more), MUSTER_OK);
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
    free(large);
}

enum { THREADS = 4, EACH = 3000 };

static void *record_many(void *arg)
{
    muster_journal *journal = ((void **)arg)[0];
    int number = *(int *)((void **)arg)[1];
    for (int i = 0; i < EACH; i++) {
        record(journal, "t", number * EACH + i, 0, "r");
        if (i % 100 == 0)
            assert_found(journal, "t", number * EACH + i / 2, 0, 1, "r");
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    muster_journal *journal = opened(&(muster_journal_options){.batch_ms = 1, .batch_records = 10});
    pthread_t threads[THREADS];
    int numbers[THREADS];
    void *args[THREADS][2];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i, args[i][0] = journal, args[i][1] = &numbers[i];
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, args[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
    journal = opened(NULL);
    for (int i = 0; i < THREADS * EACH; i++)
        assert_found(journal, "t", i, 0, 1, "r");
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
}

static void bad_arguments(void **state)
{
    (void)state;
    muster_journal *journal = opened(NULL);
    muster_journal_entry entry = {.name = ""};
    assert_int_equal(muster_journal_record(journal, &entry), MUSTER_ERR_INVAL);
    entry.name = NULL;
    assert_int_equal(muster_journal_find(journal, &entry), MUSTER_ERR_INVAL);
    entry = (muster_journal_entry){.name = "n", .input_bytes = 1};
    assert_int_equal(muster_journal_record(journal, &entry), MUSTER_ERR_INVAL);
    entry = (muster_journal_entry){.name = "n", .result_bytes = 1};
    assert_int_equal(muster_journal_record(journal, &entry), MUSTER_ERR_INVAL);
    entry = (muster_journal_entry){.name = "n", .reserved = {0, 1}};
    assert_int_equal(muster_journal_record(journal, &entry), MUSTER_ERR_INVAL);
    assert_int_equal(muster_journal_record(NULL, &entry), MUSTER_ERR_INVAL);
    assert_int_equal(muster_journal_record(journal, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_journal_each(journal, NULL, NULL, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_journal_open(NULL, path, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_journal_open(&journal, "", NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_journal_close(journal), MUSTER_OK);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest cases[] = {CASE(found_again), CASE(in_order),     CASE(held),
                                       CASE(of_another),  CASE(no_journal),   CASE(killed),
                                       CASE(no_room),     CASE(many_threads), CASE(bad_arguments)};
    return cmocka_run_group_tests(cases, NULL, NULL);
}
