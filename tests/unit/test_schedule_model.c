/* The bound by hand, and the model where its answer is known. */
#include "check.h"

#include "harness/schedule_model.h"

static void test_longest_first(void) {
    const double a[] = {5, 4, 3, 3, 3}; /* Graham's example for two groups: 5 3 | 4 3 3 */
    CHECK_NEAR(ap_longest_first(a, 5, 2), 10, 0);
    CHECK_NEAR(ap_longest_first(a, 5, 1), 18, 0);
    CHECK_NEAR(ap_longest_first(a, 5, 5), 5, 0);
    CHECK_NEAR(ap_longest_first(a, 5, 9), 5, 0);
    CHECK_NEAR(ap_longest_first(a, 0, 3), 0, 0);
}

static void test_lengths(void) {
    double a[1000], b[1000], logs = 0;
    ap_schedule_lengths(a, 1000, 0.2, 5, 1);
    ap_schedule_lengths(b, 1000, 0.2, 5, 1);
    CHECK(!memcmp(a, b, sizeof a));
    for (int i = 0; i < 1000; i++) {
        CHECK(a[i] >= 0.2 && a[i] <= 5 && (i == 0 || a[i] <= a[i - 1]));
        logs += log(a[i]) / 1000;
    }
    CHECK_NEAR(logs, (log(0.2) + log(5)) / 2, 0.1); /* sd of the mean: log(25) / sqrt(12 * 1000) = 0.029 */
    ap_schedule_lengths(b, 1000, 0.2, 5, 2);
    CHECK(memcmp(a, b, sizeof a) != 0);
}

static const ap_schedule_costs free_of_charge = {.rate = 1e12};

static void test_without_costs_it_is_the_bound(void) {
    double a[400];
    ap_schedule_outcome o;
    ap_schedule_lengths(a, 400, 10, 1000, 1);
    CHECK_INT(ap_schedule_simulate(a, 400, 7, &free_of_charge, &o, NULL), AP_OK);
    CHECK_NEAR(o.makespan_s, ap_longest_first(a, 400, 7), 1e-6);
    CHECK_NEAR(o.lost, 0, 0);
    CHECK_INT(ap_schedule_simulate(a, 4, 16, &free_of_charge, &o, NULL), AP_OK); /* more groups than trials */
    CHECK_NEAR(o.makespan_s, a[0], 1e-6);
}

static void test_operations_are_counted_and_take_time(void) {
    const double a[] = {10, 10};
    ap_schedule_costs c = {.list = 3, .take = 5, .finish = 7, .training = 11, .rate = 1e12, .operation_s = 0.01};
    ap_schedule_outcome o;
    CHECK_INT(ap_schedule_simulate(a, 2, 1, &c, &o, NULL), AP_OK);
    /* two trials, a list before each and two after the last */
    CHECK_NEAR(o.operations, 2 * (5 + 7 + 11) + 4 * 3, 1e-9);
    CHECK_NEAR(o.makespan_s, 20 + 0.01 * o.operations, 1e-6);
    c.operation_s = 0, c.rate = 100;
    CHECK_INT(ap_schedule_simulate(a, 2, 1, &c, &o, NULL), AP_OK);
    CHECK_NEAR(o.makespan_s, 20 + o.operations / 100, 1e-6);
}

static void test_a_slow_server_is_a_queue(void) {
    double a[100];
    ap_schedule_outcome o;
    ap_schedule_costs c = {.list = 10, .take = 10, .finish = 10, .rate = 10};
    for (int i = 0; i < 100; i++) a[i] = 1;
    CHECK_INT(ap_schedule_simulate(a, 100, 50, &c, &o, NULL), AP_OK);
    CHECK(o.makespan_s >= o.operations / c.rate - 1); /* the server is the limit */
    CHECK(o.busiest > 0.9 && o.busy < 0.1);
}

AP_TEST_MAIN(test_longest_first, test_lengths, test_without_costs_it_is_the_bound,
             test_operations_are_counted_and_take_time, test_a_slow_server_is_a_queue)
