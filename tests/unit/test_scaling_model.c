/* The model against hand calculations on round numbers. */
#include "check.h"

#include "harness/scaling_model.h"

static const double tiny = 1e-12;

static void test_links(void) {
    ap_link link = {.n = 3, .bytes = {8, 1000, 2000}, .seconds = {1e-6, 2e-6, 4e-6}};
    CHECK_NEAR(ap_link_time(&link, 0), 1e-6, tiny);
    CHECK_NEAR(ap_link_time(&link, 8), 1e-6, tiny);
    CHECK_NEAR(ap_link_time(&link, 1500), 3e-6, tiny);
    CHECK_NEAR(ap_link_time(&link, 4000), 8e-6, tiny); /* at the last point's rate */
    CHECK_NEAR(ap_link_latency(&link), 1e-6, tiny);
    CHECK_NEAR(ap_link_rate(&link), 5e8, 1);
    ap_link given = ap_link_of(1e-5, 1e9);
    CHECK_NEAR(ap_link_time(&given, 0), 1e-5, tiny);
    CHECK_NEAR(ap_link_time(&given, 1e6), 1e-5 + 1e-3, tiny);
}

static ap_scaling_input some_input(void) {
    return (ap_scaling_input){.shard_s = 1e-3,
                              .update_s = 1e-4,
                              .backward_share = 0.5,
                              .shards = 8,
                              .buckets = 1,
                              .ranks_per_host = 2,
                              .gradient_bytes = 1e6,
                              .last_bucket_bytes = 1e6,
                              .near = ap_link_of(1e-6, 1e10),
                              .far = ap_link_of(1e-5, 1e9)};
}

static void test_one_rank_has_no_exchange(void) {
    ap_scaling_input input = some_input();
    ap_scaling_prediction p = ap_scaling_predict(&input, 1);
    CHECK_NEAR(p.step_s, 8e-3 + 1e-4, tiny);
    CHECK_NEAR(p.exposed_s + p.small_s + p.sum_s + p.bytes_sent, 0, 0);
}

static void test_two_ranks_use_the_near_link_and_four_the_far_one_too(void) {
    ap_scaling_input input = some_input();
    ap_scaling_prediction p = ap_scaling_predict(&input, 2);
    double near_stage = 2 * (1e-6 + 0.5e6 / 1e10), far_stage = 2 * (1e-5 + 0.25e6 / 1e9);
    CHECK_NEAR(p.exposed_s, near_stage, tiny);
    CHECK_NEAR(p.small_s, 2e-6, tiny);
    CHECK_NEAR(p.step_s, 4e-3 + near_stage + 2e-6 + 1e-4, tiny);
    CHECK_NEAR(p.bytes_sent, 1e6, 1e-6);
    p = ap_scaling_predict(&input, 4);
    CHECK_NEAR(p.exposed_s, near_stage + far_stage, tiny);
    CHECK_NEAR(p.bytes_sent, 1.5e6, 1e-6);
}

static void test_all_but_the_last_bucket_hide_behind_the_backward_pass(void) {
    ap_scaling_input input = some_input();
    input.buckets = 5, input.last_bucket_bytes = 0.2e6;
    double bucket = 2 * (1e-6 + 0.1e6 / 1e10);
    ap_scaling_prediction p = ap_scaling_predict(&input, 2);
    CHECK_NEAR(p.sum_s, 5 * bucket, tiny);
    CHECK_NEAR(p.exposed_s, bucket, tiny); /* 4 * 22 us < 0.5 ms */
    input.backward_share = 0;
    p = ap_scaling_predict(&input, 2);
    CHECK_NEAR(p.exposed_s, 5 * bucket, tiny);
}

static void test_more_ranks_than_shards_cut_finer(void) {
    ap_scaling_input input = some_input();
    ap_scaling_prediction p = ap_scaling_predict(&input, 16);
    CHECK_NEAR(p.passes_s, 0.5e-3, tiny);
    p = ap_scaling_predict_weak(&input, 16);
    CHECK_NEAR(p.passes_s, 8e-3, tiny);
}

static void test_the_bound(void) {
    CHECK_NEAR(ap_scaling_bound(100, 1), 0, 0);
    CHECK_NEAR(ap_scaling_bound(100, 2), 100, tiny);
    CHECK_NEAR(ap_scaling_bound(100, 4), 150, tiny);
    CHECK_NEAR(ap_scaling_bound(512, 512), 1022, 1e-9);
}

AP_TEST_MAIN(test_links, test_one_rank_has_no_exchange, test_two_ranks_use_the_near_link_and_four_the_far_one_too,
             test_all_but_the_last_bucket_hide_behind_the_backward_pass, test_more_ranks_than_shards_cut_finer,
             test_the_bound)
