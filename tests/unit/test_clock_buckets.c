/* The trial's clock: no nanosecond is lost or counted twice, in one part or over a restart. */
#include "check.h"
#include "harness/clock_buckets.h"
#include <unistd.h>

static void test_every_bucket_has_a_name(void) {
    for (int i = 0; i < AP_BUCKETS; i++) {
        CHECK(ap_bucket_names[i] && ap_bucket_names[i][0]);
        for (int j = 0; j < i; j++) CHECK(strcmp(ap_bucket_names[i], ap_bucket_names[j]));
    }
}

static void test_time_goes_to_the_current_bucket(void) {
    ap_buckets buckets = {0};
    ap_buckets_start(&buckets, AP_BUCKET_SETUP);
    usleep(20000);
    int64_t booked = ap_buckets_switch(&buckets, AP_BUCKET_SUBMISSION);
    CHECK(booked >= 20000000);
    CHECK_INT(buckets.ns[AP_BUCKET_SETUP], booked);
    CHECK_INT(buckets.ns[AP_BUCKET_SUBMISSION], 0);
    CHECK_INT(buckets.current, AP_BUCKET_SUBMISSION);
}

static void test_buckets_add_up_after_many_switches(void) {
    ap_buckets buckets = {0};
    int64_t before = ap_clock_ns();
    ap_buckets_start(&buckets, AP_BUCKET_SETUP);
    int64_t returned = 0;
    for (int i = 0; i < 10000; i++) returned += ap_buckets_switch(&buckets, (ap_bucket)(i % AP_BUCKETS));
    int64_t last = ap_clock_ns();
    int64_t sum = 0;
    for (int i = 0; i < AP_BUCKETS; i++) sum += buckets.ns[i];
    CHECK_INT(sum, returned);
    CHECK_INT(sum, ap_buckets_wall_ns(&buckets));
    CHECK(ap_buckets_add_up(&buckets));
    CHECK(ap_buckets_wall_ns(&buckets) <= last - before);
}

static void test_a_restart_goes_on_from_the_sums(void) {
    ap_buckets buckets = {.ns = {[AP_BUCKET_SUBMISSION] = 5000000000, [AP_BUCKET_EVALUATION] = 7}};
    ap_buckets_start(&buckets, AP_BUCKET_SETUP);
    CHECK_INT(ap_buckets_wall_ns(&buckets), 5000000007);
    int64_t booked = ap_buckets_switch(&buckets, AP_BUCKET_HARNESS);
    CHECK_INT(ap_buckets_wall_ns(&buckets), 5000000007 + booked);
    CHECK(ap_buckets_add_up(&buckets));
}

static void test_a_lost_or_invented_nanosecond_is_noticed(void) {
    ap_buckets buckets = {0};
    ap_buckets_start(&buckets, AP_BUCKET_SETUP);
    ap_buckets_switch(&buckets, AP_BUCKET_HARNESS);
    buckets.ns[AP_BUCKET_LOGGING] += 1;
    CHECK(!ap_buckets_add_up(&buckets));
    buckets.ns[AP_BUCKET_LOGGING] -= 2;
    CHECK(!ap_buckets_add_up(&buckets));
    buckets.ns[AP_BUCKET_SETUP] += 1; /* adds up, but one is negative */
    CHECK(!ap_buckets_add_up(&buckets));
}

AP_TEST_MAIN(test_every_bucket_has_a_name, test_time_goes_to_the_current_bucket,
             test_buckets_add_up_after_many_switches, test_a_restart_goes_on_from_the_sums,
             test_a_lost_or_invented_nanosecond_is_noticed)
