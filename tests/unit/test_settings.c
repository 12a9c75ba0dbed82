/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables of the environment: values, and what is said of those that are wrong. */
#include "shared_case.h"

static int clear(void **state)
{
    extern char **environ;
    (void)state;
    for (char **variable = environ; *variable;) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*variable, "="), *variable);
        if (strncmp(name, "MUSTER_", 7) == 0)
            unsetenv(name); /* moves up what follows */
        else
            variable++;
    }
    muster__log_setup("n03", 0, 4, "", MUSTER__INFO);
    return 0;
}

static void say(void)
{
    muster__settings_say(true);
}

static void say_in_another_rank(void)
{
    muster__settings_say(false);
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void assert_says(const char *name, const char *value, const char *text)
{
    clear(NULL);
    setenv(name, value, 1);
    const char *said = case_stderr_of(say);
    if (!strstr(said, text) || !strstr(said, name) || lines(said) != 1)
        fail_msg("%s=%s: said '%s' rather than '%s'", name, value, said, text);
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(muster__setting(MUSTER__SET_LOG), MUSTER__WARN);
    assert_int_equal(muster__setting(MUSTER__SET_TOPOLOGY), 0);
    assert_int_equal(muster__setting(MUSTER__SET_LAUNCH), 1);
    assert_int_equal(muster__setting(MUSTER__SET_RANKS), 0);
    assert_int_equal(muster__setting(MUSTER__SET_PEER_LIMIT_MS), 4000);
    assert_int_equal(muster__setting(MUSTER__SET_DEADLOCK_MS), 5000);
    assert_null(muster__setting_text(MUSTER__SET_COUNTERS));
    assert_string_equal(case_stderr_of(say), "");
}

static void values(void **state)
{
    (void)state;
    setenv("MUSTER_LOG", "debug", 1);
    setenv("MUSTER_PLACEMENT", "compact", 1);
    setenv("MUSTER_SEGMENT_MIB", "64", 1);
    setenv("MUSTER_DEADLOCK_MS", "3600000", 1);
    setenv("MUSTER_LAUNCH", "0", 1);
    setenv("MUSTER_COUNTERS", "file.json", 1);
    assert_int_equal(muster__setting(MUSTER__SET_LOG), MUSTER__DEBUG);
    assert_int_equal(muster__setting(MUSTER__SET_PLACEMENT), 1);
    assert_int_equal(muster__setting(MUSTER__SET_SEGMENT_MIB), 64);
    assert_int_equal(muster__setting(MUSTER__SET_DEADLOCK_MS), 3600000);
    assert_int_equal(muster__setting(MUSTER__SET_LAUNCH), 0);
    assert_string_equal(muster__setting_text(MUSTER__SET_COUNTERS), "file.json");
    setenv("MUSTER_COUNTERS", "", 1); /* as if it were not there */
    setenv("MUSTER_LAUNCH", "", 1);
    assert_null(muster__setting_text(MUSTER__SET_COUNTERS));
    assert_int_equal(muster__setting(MUSTER__SET_LAUNCH), 1);
}

static void wrong_values_are_as_none(void **state)
{
    static const char *const numbers[] = {"abc",   "99",     "3600001", "-1",  " 5000",
                                          "5000 ", "5000ms", "0x1000",  "1e3", "99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_says("MUSTER_PEER_LIMIT_MS", numbers[i], "100 to 3600000 are allowed; going on as without it: 4000");
        assert_int_equal(muster__setting(MUSTER__SET_PEER_LIMIT_MS), 4000);
    }
    assert_says("MUSTER_LOG", "loud",
                "'loud', which it cannot be: error, warn, info or debug are allowed; going on as "
                "without it: warn");
    assert_says("MUSTER_LOG", "warn|info", "going on as without it");
    assert_says("MUSTER_LOG", "war", "going on as without it");
    assert_int_equal(muster__setting(MUSTER__SET_LOG), MUSTER__WARN);
    assert_says("MUSTER_LAUNCH", "no", "0 or 1 are allowed");
    assert_says("MUSTER_LAUNCH", "2", "0 or 1 are allowed");
    assert_int_equal(muster__setting(MUSTER__SET_LAUNCH), 1);
    assert_says("MUSTER_SEGMENT_MIB", "abc", "half the host's memory");
    assert_says("MUSTER_DEADLOCK", "maybe", "going on as without it: error");
}

static void what_is_in_force(void **state)
{
    (void)state;
    assert_says("MUSTER_LOG", "info", "info setting MUSTER_LOG=info, not the default (warn)");
    assert_says("MUSTER_HOST_RANKS", "2", "info setting MUSTER_HOST_RANKS=2, not the default (as MPI says)");
    clear(NULL);
    setenv("MUSTER_PEER_LIMIT_MS", "4000", 1);
    assert_string_equal(case_stderr_of(say), "");
}

static void unknown_names(void **state)
{
    (void)state;
    assert_says("MUSTER_RANK", "4", "warn MUSTER_RANK: no such setting; did you mean MUSTER_RANKS?");
    assert_says("MUSTER_LOGLEVEL", "info", "did you mean MUSTER_LOG?");
    assert_says("MUSTER_PLACMENT", "numa", "did you mean MUSTER_PLACEMENT?");
    assert_says("MUSTER_DEADLOCK_MSEC", "7", "did you mean MUSTER_DEADLOCK_MS?");
    assert_says("MUSTER_SOMETHING_ELSE", "7", "no such setting\n");
    clear(NULL);
    setenv("MUSTER_CASE", "one*", 1); /* the tests' own */
    setenv("MUSTERED", "1", 1);
    assert_string_equal(case_stderr_of(say), "");
    unsetenv("MUSTERED");
}

static void once_for_the_job(void **state)
{
    (void)state;
    setenv("MUSTER_LOG", "loud", 1);
    assert_string_equal(case_stderr_of(say_in_another_rank), "");
    muster__settings_said();
    assert_string_equal(case_stderr_of(say), "");
    assert_int_equal(lines(case_stderr_of(say)), 1); /* another job */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults, clear, clear),
        cmocka_unit_test_setup_teardown(values, clear, clear),
        cmocka_unit_test_setup_teardown(wrong_values_are_as_none, clear, clear),
        cmocka_unit_test_setup_teardown(what_is_in_force, clear, clear),
        cmocka_unit_test_setup_teardown(unknown_names, clear, clear),
        cmocka_unit_test_setup_teardown(once_for_the_job, clear, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
