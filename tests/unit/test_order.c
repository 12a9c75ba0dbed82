/* SPDX-License-Identifier: BSD-3-Clause */
/* Orders of locks: two that are taken crosswise are told, also when both are noted at the same instant. */
#include "shared_case.h"

#include "segment/order.h"

enum { CIRCLES = 900 };

static _Atomic uint32_t names, come;
static char said[] = "/tmp/test_order.XXXXXX";

static muster_handle lock_of(uint32_t number)
{
    return (muster_handle){.slot = number, .generation = 1};
}

static int cross(void *arg)
{
    (void)arg;
    uint32_t me = atomic_fetch_add(&names, 1);
    for (uint32_t circle = 0; circle < CIRCLES; circle++) {
        muster_handle first = lock_of(2 * circle + me), second = lock_of(2 * circle + 1 - me);
        muster__order_has(first);
        atomic_fetch_add(&come, 1);
        while (atomic_load(&come) < 2 * (circle + 1))
            ;
        muster__order_wants(second);
        muster__order_leaves(first);
    }
    return 0;
}

static int lines_said(void)
{
    char line[1024];
    int lines = 0;
    FILE *file = fopen(said, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        lines += strstr(line, "could deadlock") != NULL;
    fclose(file);
    return lines;
}

static void each_circle_is_told(void **state)
{
    (void)state;
    assert_int_equal(muster__order_start(muster__self_number()), MUSTER_OK);
    int to = mkstemp(said), before = dup(STDERR_FILENO);
    assert_true(to >= 0 && before >= 0);
    dup2(to, STDERR_FILENO);
    case_threads(2, cross, NULL);
    dup2(before, STDERR_FILENO);
    close(before);
    close(to);
    int lines = lines_said();
    unlink(said);
    assert_in_range(lines, CIRCLES, 2 * CIRCLES);
}

static void one_order_is_no_circle(void **state)
{
    (void)state;
    assert_int_equal(muster__order_start(muster__self_number()), MUSTER_OK);
    uint32_t at = 0;
    for (uint32_t i = 0; i < 3; i++)
        muster__order_has(lock_of(i));
    muster__order_wants(lock_of(3));
    for (uint32_t i = 0; i < 3; i++) {
        const struct muster__order *order = muster__order_next(&at);
        assert_non_null(order);
        assert_int_equal(order->held.slot, i);
        assert_int_equal(order->told, 0);
        muster__order_leaves(lock_of(i));
    }
    assert_null(muster__order_next(&at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_circle_is_told, case_setup, case_teardown),
        cmocka_unit_test_setup_teardown(one_order_is_no_circle, case_setup, case_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
