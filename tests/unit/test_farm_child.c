/* SPDX-License-Identifier: BSD-3-Clause */
/* One command of a farm: what it says, how it ends, what it leaves behind. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "farm/child.h"

extern char **environ;

static struct {
    char text[2][1 << 16];
    size_t n[2];
    int64_t total[2];
    int asked;
    int call_off_at; /* asked so often: called off; 0: never */
} said;

static void heard(void *arg, int stream, const char *bytes, size_t n)
{
    (void)arg;
    said.total[stream] += (int64_t)n;
    if (said.n[stream] + n < sizeof said.text[0]) {
        memcpy(said.text[stream] + said.n[stream], bytes, n);
        said.n[stream] += n;
    }
}

static bool called_off(void *arg, double seconds)
{
    (void)arg, (void)seconds;
    return ++said.asked == said.call_off_at;
}

static struct child_outcome run(const struct child_request *like, const char *text)
{
    struct child_request request = *like;
    struct child_listener listener = {.heard = heard, .called_off = called_off};
    struct child_outcome outcome;
    int call_off_at = said.call_off_at;
    memset(&said, 0, sizeof said);
    said.call_off_at = call_off_at;
    request.shell = "/bin/sh";
    request.text = text;
    request.environment = environ;
    child_run(&request, &listener, &outcome);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
    assert_int_equal(errno, ECHILD);
    return outcome;
}

static const struct child_request plain;

static void assert_end(struct child_outcome o, enum child_end end, int code, int signal)
{
    assert_int_equal(o.end, end);
    assert_int_equal(o.code, code);
    assert_int_equal(o.signal, signal);
}

static void test_ends(void **state)
{
    (void)state;
    assert_end(run(&plain, "echo out; echo err >&2; exit 3"), CHILD_ENDED, 3, 0);
    assert_string_equal(said.text[0], "out\n");
    assert_string_equal(said.text[1], "err\n");
    assert_end(run(&plain, "kill -TERM $$"), CHILD_ENDED, 0, SIGTERM);
    assert_end(run(&plain, "exec >&- 2>&-; exit 5"), CHILD_ENDED, 5, 0);
    assert_end(run(&plain, "read line; echo \"<$line>\""), CHILD_ENDED, 0, 0); /* nothing to read */
    assert_string_equal(said.text[0], "<>\n");
}

static void test_without_shell(void **state)
{
    (void)state;
    char *words[] = {(char *)"printf", (char *)"%s.", (char *)"$HOME", (char *)"*", NULL};
    char *missing[] = {(char *)"/no/such/program", NULL}, *no_program[] = {(char *)"/etc/passwd", NULL};
    assert_end(run(&(struct child_request){.argv = words}, ""), CHILD_ENDED, 0, 0);
    assert_string_equal(said.text[0], "$HOME.*.");
    struct child_outcome o = run(&(struct child_request){.argv = missing}, "");
    assert_end(o, CHILD_NOT_STARTED, 127, 0);
    assert_int_equal(o.error, ENOENT);
    assert_end(run(&(struct child_request){.argv = no_program}, ""), CHILD_NOT_STARTED, 126, 0);
    assert_end(run(&(struct child_request){.directory = "/"}, "pwd"), CHILD_ENDED, 0, 0);
    assert_string_equal(said.text[0], "/\n");
    assert_end(run(&(struct child_request){.directory = "/no/such"}, "pwd"), CHILD_NOT_STARTED, 127, 0);
}

/* What begins with no #! a shell runs. */
static void test_script(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-farm-XXXXXX", *words[] = {path, NULL};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "echo script\n") > 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    assert_end(run(&(struct child_request){.argv = words}, path), CHILD_ENDED, 0, 0);
    assert_string_equal(said.text[0], "script\n");
    unlink(path);
}

static void test_large_output(void **state)
{
    (void)state;
    struct child_outcome o = run(&plain, "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2");
    assert_end(o, CHILD_ENDED, 0, 0);
    assert_int_equal(said.total[0], 3000000);
    assert_int_equal(said.total[1], 2000000);
    assert_int_equal(o.bytes[0], 3000000);
}

/* What it starts ends with it, in its group or not, though it holds its streams. */
static void test_left_behind(void **state)
{
    (void)state;
    assert_end(run(&plain, "sleep 1000 & setsid sleep 1000 & (sleep 1000 &) ; echo done"), CHILD_ENDED, 0, 0);
    assert_string_equal(said.text[0], "done\n");
}

static void test_timeout(void **state)
{
    (void)state;
    struct child_request limited = {.timeout_s = 0.2};
    struct child_outcome o = run(&limited, "echo before; sleep 1000; echo after");
    assert_int_equal(o.end, CHILD_TIMEOUT);
    assert_string_equal(said.text[0], "before\n");
    o = run(&limited, "trap '' TERM; (trap '' TERM; sleep 1000) & while :; do sleep 0.1; done");
    assert_int_equal(o.end, CHILD_TIMEOUT); /* not to be told by SIGTERM */
    said.call_off_at = 2;
    o = run(&plain, "sleep 1000");
    assert_int_equal(o.end, CHILD_CALLED_OFF);
    assert_int_equal(said.asked, 2);
    said.call_off_at = 0;
}

static void test_memory(void **state)
{
    (void)state;
    struct child_request limited = {.memory_bytes = 32 << 20};
    /* a shell variable of 64 MiB; then it would wait for ever */
    struct child_outcome o = run(&limited, "x=$(head -c 67108864 /dev/zero | tr '\\0' x); sleep 1000");
    assert_int_equal(o.end, CHILD_MEMORY);
    assert_true(o.peak_bytes > limited.memory_bytes);
    limited.memory_bytes = (int64_t)1 << 40;
    assert_end(run(&limited, "sleep 0.2; echo well"), CHILD_ENDED, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),        cmocka_unit_test(test_without_shell), cmocka_unit_test(test_large_output),
        cmocka_unit_test(test_left_behind), cmocka_unit_test(test_script),        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_memory),
    };
    alarm(100);
    child_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
