/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors and their detail, log lines, clock, futex. */
#include "shared_case.h"

#include <regex.h>
#include <time.h>

static void names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(muster_err_name(MUSTER_OK), "OK");
    assert_string_equal(muster_err_name(MUSTER_ERR_TIMEOUT), "TIMEOUT");
    assert_string_equal(muster_err_name(MUSTER_ERR_INTERRUPTED), "INTERRUPTED");
    assert_string_equal(muster_err_text(MUSTER_ERR_FULL), "queue full");
    for (int err = 1; err > -1000; err--) {
        assert_true(strlen(muster_err_name(err)) > 0);
        assert_true(strlen(muster_err_text(err)) > 0);
    }
    assert_string_equal(muster_err_name(1), "UNKNOWN");
    assert_string_equal(muster_err_name(-999), "UNKNOWN");
}

static int described;

static void describe(muster_err err, const char *what, uint64_t arg, char *line, size_t size)
{
    described++;
    snprintf(line, size, "%s %s %llu", muster_err_name(err), what, (unsigned long long)arg);
}

static void *other_thread(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)strlen(muster_err_detail());
}

static void detail_is_lazy_and_per_thread(void **state)
{
    (void)state;
    assert_int_equal(muster__fail(MUSTER_ERR_INVAL, "size %d of %s", 7, "this"), MUSTER_ERR_INVAL);
    assert_string_equal(muster_err_detail(), "size 7 of this");

    described = 0;
    assert_int_equal(muster__routine(MUSTER_ERR_FULL, describe, "put", 42), MUSTER_ERR_FULL);
    assert_int_equal(described, 0);
    assert_string_equal(muster_err_detail(), "FULL put 42");
    assert_string_equal(muster_err_detail(), "FULL put 42");
    assert_int_equal(described, 1);

    muster__routine(MUSTER_ERR_EMPTY, describe, "get", 1);
    muster__fail(MUSTER_ERR_NOMEM, "later");
    assert_string_equal(muster_err_detail(), "later");
    assert_int_equal(described, 1);

    pthread_t thread;
    void *length;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, &length);
    assert_int_equal((uintptr_t)length, 0);
}

static void log_some(void)
{
    muster__log(MUSTER__WARN, "queue %d: %s", 7, "full");
}

static void log_too_verbose(void)
{
    muster__log(MUSTER__DEBUG, "not shown");
}

static void log_endless(void)
{
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    muster__log(MUSTER__ERROR, "%s", text);
}

static bool matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool yes = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return yes;
}

static void log_lines(void **state)
{
    (void)state;
    muster__log_setup("n03", 5, 16, "", MUSTER__WARN);
    assert_true(muster__log_wants(MUSTER__ERROR) && muster__log_wants(MUSTER__WARN));
    assert_false(muster__log_wants(MUSTER__INFO));
    assert_true(
        matches(case_stderr_of(log_some), "^[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} n03 5/16 warn queue 7: full\n$"));
    assert_string_equal(case_stderr_of(log_too_verbose), "");
    const char *line = case_stderr_of(log_endless);
    assert_true(strlen(line) <= 1024 && line[strlen(line) - 1] == '\n');
    muster__log_setup("n03", -1, 0, "", MUSTER__WARN);
    assert_true(matches(case_stderr_of(log_some), " n03 warn queue 7: full\n$"));
}

static void fail_logged(void)
{
    muster__fail_logged(MUSTER_ERR_BROKEN, "both %s", "ways");
}

static void logged_failure_is_also_the_detail(void **state)
{
    (void)state;
    assert_true(matches(case_stderr_of(fail_logged), "error both ways\n$"));
    assert_string_equal(muster_err_detail(), "both ways");
}

static void deadlines(void **state)
{
    (void)state;
    assert_int_equal(muster__deadline_ns(0), 0);
    assert_true(muster__deadline_ns(-1) == MUSTER__NEVER);
    assert_true(muster__deadline_ns(INT64_MIN) == MUSTER__NEVER);
    assert_true(muster__deadline_ns(INT64_MAX) == MUSTER__NEVER);
    int64_t now = muster__now_ns(), deadline = muster__deadline_ns(1000);
    assert_true(deadline >= now + 1000000000 && deadline <= muster__now_ns() + 1000000000);

    assert_int_equal(muster__left_ms(MUSTER__NEVER), -1);
    assert_int_equal(muster__left_ms(0), 0);
    assert_int_equal(muster__left_ms(now), 0);
    assert_int_equal(muster__left_ms(muster__now_ns() + 3600000000000000), 3600000000);
    assert_in_range(muster__left_ms(deadline), 1, 1000);
}

static _Atomic uint32_t *futex_word;

static int wait_for_change(void)
{
    while (atomic_load(futex_word) == 1)
        muster__futex_wait(futex_word, 1, MUSTER__NEVER);
    return atomic_load(futex_word) == 2 ? 0 : 1;
}

static void futex(void **state)
{
    (void)state;
    futex_word = case_map(4096);
    atomic_store(futex_word, 1);
    assert_int_equal(muster__futex_wait(futex_word, 0, MUSTER__NEVER), MUSTER__CHANGED);
    assert_int_equal(muster__futex_wait(futex_word, 1, muster__now_ns() - 1), MUSTER__EXPIRED);
    int64_t begin = muster__now_ns();
    errno = 123;
    assert_int_equal(muster__futex_wait(futex_word, 1, begin + 20000000), MUSTER__EXPIRED);
    assert_int_equal(errno, 123);
    assert_true(muster__now_ns() - begin >= 20000000);
    assert_int_equal(muster__futex_wake(futex_word, -1), 0);

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        _exit(wait_for_change());
    }
    usleep(1000);
    atomic_store(futex_word, 2);
    muster__futex_wake(futex_word, 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void hashes(void **state)
{
    (void)state;
    assert_true(muster__hash("a", 1) != muster__hash("b", 1));
    assert_true(muster__hash("a", 1) != muster__hash("a", 2));
    assert_true(muster__hash("abc", 3) == muster__hash("abc", 3));
    assert_true(muster__hash(NULL, 0) == muster__hash("x", 0));
}

static void broken_invariant_aborts(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        MUSTER__CHECK_EQ(1 + 1, 3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_texts), cmocka_unit_test(detail_is_lazy_and_per_thread),
        cmocka_unit_test(log_lines),       cmocka_unit_test(logged_failure_is_also_the_detail),
        cmocka_unit_test(deadlines),       cmocka_unit_test(futex),
        cmocka_unit_test(hashes),          cmocka_unit_test(broken_invariant_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
