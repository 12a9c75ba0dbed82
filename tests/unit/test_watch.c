/* SPDX-License-Identifier: BSD-3-Clause */
/* Who stands still, and who waits for whom, as the records of callers tell it; what follows; views. */
#include "watch_runtime.h"

static const muster_handle nothing;

void muster__watch_send(int host, uint32_t what, uint64_t number, void *bytes, size_t size)
{
    (void)host, (void)what, (void)number, (void)size;
    free(bytes);
}

static int setup(void **state)
{
    (void)state;
    return fake_setup_with((muster_options){.deadlock_ms = 1000}, 1);
}

static void all_look_twice(const uint32_t *callers, int n)
{
    for (int i = 0; i < 2 * n; i++)
        fake_looks(callers[i / 2]);
}

/* ---- standing still ---- */

static void a_host_stands_still_once_all_have_looked(void **state)
{
    (void)state;
    uint32_t a = muster__self_number(), b = fake_caller(1), both[] = {a, b};
    fake_wait(a, nothing, MUSTER__FOR_RANKS, true);
    assert_int_equal(still_look().identity, 0); /* the other one is elsewhere */
    fake_wait(b, nothing, MUSTER__FOR_WORK, true);
    struct watch_still still = still_look();
    assert_true(still.identity);
    assert_false(still.confirmed);
    assert_false(still_look().confirmed); /* nobody has looked since */
    fake_looks(b);
    assert_false(still_look().confirmed); /* that look may have begun before */
    all_look_twice(both, 2);
    assert_true(still_look().confirmed);
    assert_int_equal(still_look().identity, still.identity);
    assert_true(still_sure());
}

static void a_wait_that_ends_and_begins_again_is_another(void **state)
{
    (void)state;
    uint32_t a = muster__self_number(), b = fake_caller(1), both[] = {a, b};
    fake_wait(a, nothing, MUSTER__FOR_RANKS, true);
    fake_wait(b, nothing, MUSTER__FOR_WORK, true);
    uint64_t first = still_look().identity;
    all_look_twice(both, 2);
    fake_wait(b, nothing, MUSTER__FOR_WORK, true); /* it has done something between */
    struct watch_still still = still_look();
    assert_true(still.identity && still.identity != first);
    assert_false(still.confirmed);
    all_look_twice(both, 2);
    assert_true(still_look().confirmed);
    uint32_t c = fake_caller(1); /* a thread comes to muster */
    assert_int_equal(still_look().identity, 0);
    fake_wait(c, nothing, MUSTER__FOR_WORK, true);
    assert_false(still_look().confirmed);
}

static void who_has_a_deadline_may_act(void **state)
{
    (void)state;
    uint32_t a = muster__self_number(), b = fake_caller(1);
    fake_wait(a, nothing, MUSTER__FOR_RANKS, true);
    fake_wait(b, nothing, MUSTER__FOR_RANKS, false);
    assert_int_equal(still_look().identity, 0);
    fake_wait(b, nothing, MUSTER__FOR_RANKS, true);
    assert_true(still_look().identity);
}

static void who_serves_has_to_look_too(void **state)
{
    (void)state;
    uint32_t a = muster__self_number(), nursery = fake_caller(MUSTER__MEMBERS_MAX), spare = fake_caller(1 << 30);
    fake_wait(a, nothing, MUSTER__FOR_RANKS, true);
    assert_true(still_look().identity); /* though they do not wait */
    all_look_twice(&a, 1);
    assert_false(still_look().confirmed);
    all_look_twice(&nursery, 1);
    assert_true(still_look().confirmed); /* a child that is forked ahead is nobody yet */
    assert_int_equal(atomic_load(&muster__caller(spare)->looks), 0);
}

static void stands_still(uint32_t *a)
{
    *a = muster__self_number();
    fake_wait(*a, nothing, MUSTER__FOR_RANKS, true);
    still_look();
    all_look_twice(a, 1);
    assert_true(still_look().confirmed);
}

static void *sleep_unknown(void *pipe)
{
    char byte;
    return read(*(int *)pipe, &byte, 1) == 1 ? NULL : pipe;
}

static void unknown_threads_may_act(void **state)
{
    (void)state;
    uint32_t a;
    int pipes[2];
    pthread_t thread;
    stands_still(&a);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(pthread_create(&thread, NULL, sleep_unknown, &pipes[0]), 0);
    assert_false(still_sure());
    assert_int_equal(write(pipes[1], "x", 1), 1);
    pthread_join(thread, NULL);
    assert_false(still_sure()); /* it is not looked at again at once */
    fake.ahead_ns += INT64_C(1000000000);
    assert_true(still_sure());
}

static void children_about_to_come_or_go_may_act(void **state)
{
    (void)state;
    uint32_t a;
    stands_still(&a);
    fake.settled = false;
    assert_false(still_sure());
    fake.settled = true;
    fake.ahead_ns += INT64_C(1000000000);
    fake.member[5] = (struct muster__member_info){.state = MUSTER__MEMBER_ALIVE, .pid = getpid()};
    assert_false(still_sure()); /* it has not come to muster: none of its threads is known */
    fake.ahead_ns += INT64_C(2000000000);
    fake.member[5].state = MUSTER__MEMBER_ENDED;
    assert_true(still_sure());
}

static void the_dead_are_to_be_swept_first(void **state)
{
    (void)state;
    uint32_t a;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    stands_still(&a);
    while (watch_process(pid).state != 'Z')
        ;
    fake.member[1].pid = pid;
    assert_false(still_sure());
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    fake.ahead_ns += INT64_C(1000000000);
    assert_false(still_sure()); /* gone */
    fake.member[1].pid = getpid();
    fake.ahead_ns += INT64_C(2000000000);
    assert_true(still_sure());
}

static void who_uses_the_processor_may_act(void **state)
{
    (void)state;
    uint32_t a;
    stands_still(&a);
    int64_t began = muster__now_ns(), before = watch_process(getpid()).ticks, used;
    do
        used = watch_process(getpid()).ticks - before; /* hundredths of a second */
    while (used < 10 + (muster__now_ns() - began) / 250000000);
    assert_false(still_sure());
}

/* ---- what follows ---- */

static void look_of_the_lowest_rank(void)
{
    fake.watch->look();
}

static void all_waits_are_told_and_end(void **state)
{
    (void)state;
    uint32_t a = muster__self_number(), b = fake_caller(1), both[] = {a, b};
    muster_handle queue;
    assert_int_equal(case_queue_make("jobs", 0, &queue), MUSTER_OK);
    fake_wait(a, queue, MUSTER__QUEUE_GET, true);
    fake_wait(b, nothing, MUSTER__FOR_WORK, true);
    assert_string_equal(case_stderr_of(look_of_the_lowest_rank), "");
    all_look_twice(both, 2);
    assert_string_equal(case_stderr_of(look_of_the_lowest_rank), ""); /* it has not lasted */
    fake.ahead_ns += INT64_C(1100000000);
    const char *said = case_stderr_of(look_of_the_lowest_rank);
    assert_non_null(strstr(said, "the job stands still"));
    assert_non_null(strstr(said, "rank 0 waits for queue"));
    assert_non_null(strstr(said, "'jobs' (holds 0 items, maxsize 0)"));
    assert_non_null(strstr(said, "muster_call at fake.c:"));
    assert_non_null(strstr(said, "rank 1 is idle"));
    int64_t since = atomic_load(&muster__waiter(a)->since_ns);
    assert_int_equal(atomic_load(&muster__caller(a)->doomed), since);
    assert_int_equal(atomic_load(&muster__caller(b)->doomed), 0);     /* idle */
    assert_string_equal(case_stderr_of(look_of_the_lowest_rank), ""); /* once */
    muster__self_state.waits = true;
    _Atomic uint32_t word = 0;
    assert_int_equal(muster__sleep(&word, 0, MUSTER__NEVER), MUSTER_ERR_DEADLOCK);
    assert_non_null(strstr(muster_err_detail(), "'jobs': muster_call at fake.c:"));
    assert_int_equal(muster__failed(queue, "muster_queue_get", MUSTER_ERR_DEADLOCK), MUSTER_ERR_DEADLOCK);
    assert_non_null(strstr(muster_err_detail(), "muster_call at fake.c:")); /* kept */
    assert_int_equal(muster__failed(queue, "muster_queue_get", MUSTER_ERR_DEADLOCK), MUSTER_ERR_DEADLOCK);
    assert_null(strstr(muster_err_detail(), "fake.c")); /* another failure */
}

static void a_verdict_on_a_wait_that_has_ended_does_nothing(void **state)
{
    (void)state;
    uint32_t a = muster__self_number();
    _Atomic uint32_t word = 1;
    fake_wait(a, nothing, MUSTER__FOR_RANKS, true);
    atomic_store(&muster__caller(a)->doomed, 12345);
    assert_int_equal(muster__sleep(&word, 0, MUSTER__NEVER), MUSTER_OK);
    assert_int_equal(atomic_load(&muster__caller(a)->doomed), 0);
    struct watch_wait other = {0, a, muster__caller(a)->incarnation, 777};
    verdict_carry_out(&other, 1);
    assert_int_equal(atomic_load(&muster__caller(a)->doomed), 0);
}

static int setup_report(void **state)
{
    (void)state;
    return fake_setup_with((muster_options){.deadlock_ms = 1000, .deadlock = MUSTER_DEADLOCK_REPORT}, 1);
}

static int setup_exit(void **state)
{
    (void)state;
    return fake_setup_with((muster_options){.deadlock_ms = 1000, .deadlock = MUSTER_DEADLOCK_EXIT}, 1);
}

static int setup_off(void **state)
{
    (void)state;
    return fake_setup_with((muster_options){.deadlock = MUSTER_DEADLOCK_OFF}, 1);
}

static const char *stand_still_for_long(uint32_t a)
{
    fake_wait(a, nothing, MUSTER__FOR_RANKS, true);
    fake.watch->look();
    all_look_twice(&a, 1);
    fake.watch->look();
    fake.ahead_ns += INT64_C(1100000000);
    return case_stderr_of(look_of_the_lowest_rank);
}

static void reports_alone_end_nothing(void **state)
{
    (void)state;
    uint32_t a = muster__self_number();
    assert_non_null(strstr(stand_still_for_long(a), "go on waiting"));
    assert_int_equal(atomic_load(&muster__caller(a)->doomed), 0);
    assert_int_equal(fake.ended, 0);
    fake.ahead_ns += INT64_C(5000000000);
    assert_string_equal(case_stderr_of(look_of_the_lowest_rank), "");
    assert_non_null(strstr(stand_still_for_long(a), "go on waiting")); /* another wait */
}

static void the_job_ends_where_that_is_wanted(void **state)
{
    (void)state;
    assert_non_null(strstr(stand_still_for_long(muster__self_number()), "exit code 70"));
    assert_int_equal(fake.ended, 70);
}

static void nobody_looks_where_it_is_off(void **state)
{
    (void)state;
    assert_null(watch_table());
    assert_string_equal(stand_still_for_long(muster__self_number()), "");
}

/* ---- circles ---- */

static muster_handle lock_of(uint32_t holder, const char *name)
{
    muster_handle handle;
    assert_int_equal(case_lock_make(name, &handle), MUSTER_OK);
    struct muster__lock *lock = muster__lock_of(muster__object_slot(handle.slot));
    atomic_store(&lock->word, MUSTER__LOCK_WORD(handle.generation) | holder);
    return handle;
}

static void look_for_circles(void)
{
    circle_look(watch_table(), muster__now_ns(), false);
}

static void circles_are_found_while_others_act(void **state)
{
    (void)state;
    uint32_t a = fake_caller(0), b = fake_caller(1), c = fake_caller(1);
    muster_handle of_a = lock_of(a, "red"), of_b = lock_of(b, "blue"), of_c = lock_of(c, "green");
    fake_wait(a, of_b, MUSTER__LOCK_ACQUIRE, true);
    fake_wait(b, of_c, MUSTER__LOCK_ACQUIRE, true);
    fake.ahead_ns += 1000000;
    assert_string_equal(case_stderr_of(look_for_circles), ""); /* c does something, this thread, too */
    fake_wait(c, of_a, MUSTER__LOCK_ACQUIRE, false);
    fake.ahead_ns += 1000000;
    assert_string_equal(case_stderr_of(look_for_circles), ""); /* c gives up some time */
    fake_wait(c, of_a, MUSTER__LOCK_ACQUIRE, true);
    fake.ahead_ns += 1000000;
    assert_false(circle_look(watch_table(), muster__now_ns() - 2000000000, false)); /* not long enough */
    const char *said = case_stderr_of(look_for_circles);
    assert_non_null(strstr(said, "3 wait for each other"));
    assert_non_null(strstr(said, "circle: "));
    assert_non_null(strstr(said, "'red', which"));
    assert_non_null(strstr(said, "is elsewhere"));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(atomic_load(&muster__caller((uint32_t[]){a, b, c}[i])->doomed),
                         atomic_load(&muster__waiter((uint32_t[]){a, b, c}[i])->since_ns));
    assert_string_equal(case_stderr_of(look_for_circles), ""); /* once */
    assert_true(circle_look(watch_table(), muster__now_ns(), true));
}

static void who_waits_for_a_circle_is_not_in_it(void **state)
{
    (void)state;
    uint32_t a = fake_caller(0), b = fake_caller(1), c = fake_caller(1);
    muster_handle of_a = lock_of(a, "red"), of_b = lock_of(b, "blue");
    fake_wait(c, of_a, MUSTER__LOCK_ACQUIRE, true);
    fake_wait(a, of_b, MUSTER__LOCK_ACQUIRE, true);
    fake_wait(b, of_a, MUSTER__LOCK_ACQUIRE, true);
    fake.ahead_ns += 1000000;
    assert_non_null(strstr(case_stderr_of(look_for_circles), "2 wait for each other"));
    assert_int_equal(atomic_load(&muster__caller(c)->doomed), 0);
}

static void what_may_be_given_by_anybody_makes_no_circle(void **state)
{
    (void)state;
    uint32_t a = fake_caller(0), b = fake_caller(1);
    muster_handle of_a = lock_of(a, "red"), queue;
    assert_int_equal(case_queue_make("jobs", 0, &queue), MUSTER_OK);
    fake_wait(a, queue, MUSTER__QUEUE_GET, true);
    fake_wait(b, of_a, MUSTER__LOCK_ACQUIRE, true);
    fake.ahead_ns += 1000000;
    assert_string_equal(case_stderr_of(look_for_circles), "");
    assert_int_equal(atomic_load(&watch_table()->far_ns), 0);
    muster_handle away = lock_of(MUSTER__OWNER_HOST + 2, "away");
    fake_wait(a, away, MUSTER__LOCK_ACQUIRE, true);
    fake.ahead_ns += 1000000;
    assert_string_equal(case_stderr_of(look_for_circles), "");
    assert_true(atomic_load(&watch_table()->far_ns) > 0); /* another host knows more */
}

/* ---- graphs ---- */

static int circle_of(const char *edges, uint32_t *path)
{
    struct graph_edge list[32];
    size_t count = 0;
    for (; *edges; edges += 2)
        list[count++] = (struct graph_edge){(uint32_t)(edges[0] - 'a'), (uint32_t)(edges[1] - 'a')};
    return graph_circle(26, list, count, path);
}

static void graphs_have_circles_or_not(void **state)
{
    (void)state;
    uint32_t path[26];
    assert_int_equal(circle_of("", path), 0);
    assert_int_equal(circle_of("abbccd", path), 0);
    assert_int_equal(circle_of("abacbdcd", path), 0); /* two ways to the same end */
    assert_int_equal(circle_of("aa", path), 1);
    assert_int_equal(circle_of("xyyzzxabbc", path), 3);
    assert_int_equal(path[1], path[0] == 'z' - 'a' ? 'x' - 'a' : path[0] + 1);
    assert_int_equal(circle_of("abbccdddefga", path), 1);
    assert_int_equal(path[0], 'd' - 'a');
    assert_int_equal(circle_of("abbccbdc", path), 2);
}

/* Against the plain way: whether a node is reached from itself. */
static void random_graphs_have_circles_or_not(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 2000; round++) {
        uint32_t n = 2 + (uint32_t)rand() % 9, count = (uint32_t)rand() % (n + 4), path[16];
        struct graph_edge edges[32];
        bool reached[16][16] = {{false}}, any = false;
        for (uint32_t i = 0; i < count; i++) {
            edges[i] = (struct graph_edge){(uint32_t)rand() % n, (uint32_t)rand() % n};
            reached[edges[i].from][edges[i].to] = true;
        }
        bool edge[16][16];
        memcpy(edge, reached, sizeof edge);
        for (uint32_t k = 0; k < n; k++)
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t j = 0; j < n; j++)
                    reached[i][j] |= reached[i][k] && reached[k][j];
        for (uint32_t i = 0; i < n; i++)
            any |= reached[i][i];
        int length = graph_circle(n, edges, count, path);
        assert_int_equal(length > 0, any);
        for (int i = 0; i < length; i++)
            assert_true(edge[path[i]][path[(i + 1) % length]]);
    }
}

/* ---- views ---- */

static void views_travel(void **state)
{
    (void)state;
    uint32_t a = muster__self_number(), b = fake_caller(1);
    muster_handle of_a = lock_of(a, "red");
    fake_wait(b, of_a, MUSTER__LOCK_ACQUIRE, true);
    struct view view, again;
    size_t size;
    assert_true(view_make(&view, false));
    assert_int_equal(view.head.lines, 2);
    assert_int_equal(view.head.objects, 1);
    assert_int_equal(view.head.holds, 1);
    char *bytes = view_pack(&view, &size);
    assert_true(view_unpack(&again, bytes, size));
    assert_memory_equal(again.line, view.line, 2 * sizeof *view.line);
    assert_memory_equal(again.hold, view.hold, sizeof *view.hold);
    assert_string_equal(again.object[0].name, view.object[0].name);
    view_free(&again);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(view_unpack(&again, bytes, cut));
    free(bytes);
    view_free(&view);
}

static void all_objects_are_in_a_view_that_wants_them(void **state)
{
    (void)state;
    muster_handle handle;
    struct view view;
    for (int i = 0; i < 1100; i++)
        assert_int_equal(case_lock_make("one", &handle), MUSTER_OK);
    assert_true(view_make(&view, false));
    assert_int_equal(view.head.objects, 0);
    view_free(&view);
    assert_true(view_make(&view, true));
    assert_int_equal(view.head.objects + view.head.objects_left_out, 1100);
    assert_true(view.head.objects_left_out > 0);
    view_free(&view);
}

int main(void)
{
#define CASE(f)        cmocka_unit_test_setup_teardown(f, setup, case_teardown)
#define CASE_AS(f, as) cmocka_unit_test_setup_teardown(f, setup_##as, case_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_host_stands_still_once_all_have_looked),
        CASE(a_wait_that_ends_and_begins_again_is_another),
        CASE(who_has_a_deadline_may_act),
        CASE(who_serves_has_to_look_too),
        CASE(unknown_threads_may_act),
        CASE(children_about_to_come_or_go_may_act),
        CASE(the_dead_are_to_be_swept_first),
        CASE(who_uses_the_processor_may_act),
        CASE(all_waits_are_told_and_end),
        CASE(a_verdict_on_a_wait_that_has_ended_does_nothing),
        CASE_AS(reports_alone_end_nothing, report),
        CASE_AS(the_job_ends_where_that_is_wanted, exit),
        CASE_AS(nobody_looks_where_it_is_off, off),
        CASE(circles_are_found_while_others_act),
        CASE(who_waits_for_a_circle_is_not_in_it),
        CASE(what_may_be_given_by_anybody_makes_no_circle),
        CASE(graphs_have_circles_or_not),
        CASE(random_graphs_have_circles_or_not),
        CASE(views_travel),
        CASE(all_objects_are_in_a_view_that_wants_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
