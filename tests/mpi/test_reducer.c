/* The gradient sum gives the bits of the fixed tree for every number of ranks, layout and order of arrival. Inputs are
 * a pure function of (round, shard, element), so that every rank can compute the whole tree itself. */
#include "mpi_check.h"
#include "parallel/reducer.h"

#include <stdint.h>

enum { SHARDS = 8, DEFAULT = 0 };
static const double watchdog_s = 60;

/* ---- inputs and the reference */

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* 24 random bits with a sign and one of 16 magnitudes: almost every other order of a sum gives other bits. */
static float value(int round, int shard, int64_t element) {
    uint64_t x = mix(mix((uint64_t)round * 1000 + (uint64_t)shard) + (uint64_t)element);
    return ldexpf((float)((int64_t)(x & 0xffffff) - 0x800000), (int)(x >> 32 & 15) - 30);
}

static float tree(int round, int first, int n, int64_t element) {
    if (n == 1) return value(round, first, element);
    return tree(round, first, n / 2, element) + tree(round, first + n / 2, n / 2, element);
}

/* ---- layouts */

typedef struct layout {
    int64_t length;
    int count;
    const int64_t *offsets;
    const int64_t *ends; /* NULL: no gaps */
    size_t bucket_bytes;
} layout;

static int64_t end_of(const layout *l, int tensor) {
    if (l->ends) return l->ends[tensor];
    return tensor + 1 < l->count ? l->offsets[tensor + 1] : l->length;
}

/* `order`: how the gradients of a shard arrive. */
typedef enum order { BACKWARD, FORWARD, SCATTERED, SILENT } order;

static int arrival(order how, int round, int count, int i) {
    if (how == BACKWARD) return count - 1 - i;
    if (how == FORWARD) return i;
    int step = 1 + 2 * (round % 3); /* a permutation where count is no multiple of 3 or 5 */
    return (i * step + round) % count;
}

static void write_shard(const layout *l, int round, int shard, order how, float *gradient, ap_reducer *reducer) {
    for (int i = 0; i < l->count; i++) {
        int t = arrival(how, round, l->count, i);
        for (int64_t e = l->offsets[t]; e < end_of(l, t); e++) gradient[e] = value(round, shard, e);
        if (how != SILENT) ap_reducer_parameter_done(reducer, t);
        ap_reducer_progress(reducer);
    }
}

static float *one_round(ap_group *group, ap_reducer *reducer, const layout *l, int round, order how, float scale) {
    ap_reducer_begin(reducer);
    for (int s = 0; s < ap_group_local_shards(group); s++) {
        write_shard(l, round, ap_group_first_shard(group) + s, how, ap_reducer_shard_buffer(reducer, s), reducer);
        ap_reducer_shard_end(reducer, s);
    }
    float *sum = NULL;
    ap_error error = {0};
    CHECK_INT(ap_reducer_finish(reducer, scale, &sum, &error), AP_OK);
    if (!sum) printf("%s\n", error.text);
    return sum;
}

static void compare(const layout *l, int shards, int round, float scale, const float *sum) {
    float *want = calloc((size_t)l->length, sizeof *want); /* gaps are zero */
    for (int t = 0; t < l->count; t++)
        for (int64_t e = l->offsets[t]; e < end_of(l, t); e++) want[e] = tree(round, 0, shards, e) * scale;
    CHECK(memcmp(sum, want, (size_t)l->length * sizeof *want) == 0);
    free(want);
}

static void run(const layout *l, int shards, int rounds, order how) {
    ap_group *group = NULL;
    ap_reducer *reducer = NULL;
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, shards, watchdog_s, &group, NULL), AP_OK);
    CHECK_INT(ap_reducer_create(group, l->length, l->count, l->offsets, l->bucket_bytes, &reducer, NULL), AP_OK);
    for (int round = 0; round < rounds; round++) {
        float scale = round ? 1.0f / (float)(3 * round) : 1.0f;
        float *sum = one_round(group, reducer, l, round, how, scale);
        if (sum) compare(l, shards, round, scale, sum);
    }
    ap_reducer_destroy(reducer);
    ap_group_destroy(group);
}

/* 784 x 128, 128, 128 x 10, 10: an MLP for MNIST. */
static const int64_t mlp_offsets[] = {0, 100352, 100480, 101760};
static const layout mlp = {101770, 4, mlp_offsets, NULL, DEFAULT};

/* Seven tensors of odd sizes; several buckets, each of several tensors. */
static const int64_t odd_offsets[] = {0, 1, 334, 337, 1000, 3001, 3002};
static const layout odd = {4099, 7, odd_offsets, NULL, 2048};

/* ---- tests */

static void test_the_inputs_notice_another_order(void) {
    int from_in_order = 0, from_farthest_pairs = 0;
    for (int64_t e = 0; e < 1000; e++) {
        float in_order = 0, farthest[SHARDS / 2], want = tree(0, 0, SHARDS, e);
        for (int s = 0; s < SHARDS; s++) in_order += value(0, s, e);
        for (int s = 0; s < SHARDS / 2; s++) farthest[s] = value(0, s, e) + value(0, s + SHARDS / 2, e);
        from_in_order += in_order != want;
        from_farthest_pairs += (farthest[0] + farthest[2]) + (farthest[1] + farthest[3]) != want;
    }
    CHECK(from_in_order > 300);
    CHECK(from_farthest_pairs > 300); /* the order of the usual recursive halving */
}

static void test_bits_of_an_mlp(void) {
    run(&mlp, SHARDS, 3, BACKWARD);
}

static void test_odd_sizes_in_several_buckets(void) {
    run(&odd, SHARDS, 3, BACKWARD);
}

static void test_gradients_may_come_in_any_order(void) {
    run(&odd, SHARDS, 2, FORWARD);
    run(&odd, SHARDS, 4, SCATTERED);
}

static void test_tensors_nobody_announces_are_summed_at_the_end(void) {
    run(&odd, SHARDS, 2, SILENT);
}

static void test_tensors_smaller_than_the_number_of_ranks(void) {
    const int64_t offsets[] = {0, 1, 3};
    run(&(layout){6, 3, offsets, NULL, DEFAULT}, SHARDS, 2, BACKWARD);
    run(&(layout){6, 3, offsets, NULL, 1}, SHARDS, 2, BACKWARD); /* a bucket each */
    run(&(layout){1, 1, offsets, NULL, DEFAULT}, SHARDS, 2, BACKWARD);
}

static void test_empty_tensors(void) {
    const int64_t offsets[] = {0, 0, 5, 9, 9};
    run(&(layout){9, 5, offsets, NULL, 1}, SHARDS, 2, BACKWARD);
}

static void test_a_tensor_larger_than_a_bucket(void) {
    const int64_t offsets[] = {0, 10, 50013};
    run(&(layout){50020, 3, offsets, NULL, 4096}, SHARDS, 2, BACKWARD);
}

static void test_gaps_between_tensors_stay_zero(void) {
    const int64_t offsets[] = {3, 16, 32, 64}, ends[] = {11, 17, 64, 99};
    run(&(layout){128, 4, offsets, ends, 64}, SHARDS, 3, BACKWARD);
}

static void test_other_numbers_of_shards(void) {
    for (int shards = world_ranks; shards <= 32; shards *= 2) run(&odd, shards, 2, BACKWARD);
}

/* One element a kind; each shard but one gives an ordinary number. */
static void test_special_values_pass_through(void) {
    enum { N = 6 };
    ap_group *group = NULL;
    ap_reducer *reducer = NULL;
    float *sum = NULL;
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, watchdog_s, &group, NULL), AP_OK);
    CHECK_INT(ap_reducer_create(group, N, 1, (int64_t[]){0}, 0, &reducer, NULL), AP_OK);
    ap_reducer_begin(reducer);
    for (int s = 0; s < ap_group_local_shards(group); s++) {
        int shard = ap_group_first_shard(group) + s;
        float *g = ap_reducer_shard_buffer(reducer, s);
        g[0] = shard == 5 ? NAN : 1;
        g[1] = shard == 2 ? INFINITY : 1;
        g[2] = shard == 7 ? -INFINITY : 1;
        g[3] = shard == 0 ? INFINITY : shard == 6 ? -INFINITY : 1;
        g[4] = -0.0f;
        g[5] = 3e38f; /* overflows */
        ap_reducer_shard_end(reducer, s);
    }
    CHECK_INT(ap_reducer_finish(reducer, 0.125f, &sum, NULL), AP_OK);
    CHECK(isnan(sum[0]));
    CHECK(isinf(sum[1]) && sum[1] > 0);
    CHECK(isinf(sum[2]) && sum[2] < 0);
    CHECK(isnan(sum[3]));
    CHECK(sum[4] == 0 && signbit(sum[4]));
    CHECK(isinf(sum[5]) && sum[5] > 0);
    ap_reducer_destroy(reducer);
    ap_group_destroy(group);
}

/* The others must not be left waiting by a rank that fails in the middle of its shards. */
static void test_a_rank_that_fails_between_begin_and_finish_releases_the_others(void) {
    ap_group *group = NULL;
    ap_reducer *reducer = NULL;
    ap_error error = {0};
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, watchdog_s, &group, NULL), AP_OK);
    CHECK_INT(ap_reducer_create(group, odd.length, odd.count, odd.offsets, odd.bucket_bytes, &reducer, NULL), AP_OK);
    ap_reducer_begin(reducer);
    bool fails = world_rank == world_ranks - 1;
    for (int s = 0; s < ap_group_local_shards(group) - fails; s++) ap_reducer_shard_end(reducer, s);
    float *sum = NULL;
    ap_status mine = ap_reducer_finish(reducer, 1, &sum, &error);
    CHECK_INT(mine, fails ? AP_BUG : AP_OK);
    if (fails) mine = ap_fail(&error, AP_SUBMISSION, "shard failed");
    CHECK_INT(ap_group_agree(group, mine, &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, "shard failed");
    sum = one_round(group, reducer, &odd, 1, BACKWARD, 1); /* and the next round is as good as any */
    if (sum) compare(&odd, SHARDS, 1, 1, sum);
    ap_reducer_destroy(reducer);
    ap_group_destroy(group);
}

static void test_finish_after_too_few_shards_says_so(void) {
    ap_group *group = NULL;
    ap_reducer *reducer = NULL;
    ap_error error = {0};
    float *sum = NULL;
    char want[64];
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, watchdog_s, &group, NULL), AP_OK);
    CHECK_INT(ap_reducer_create(group, 10, 1, (int64_t[]){0}, 0, &reducer, NULL), AP_OK);
    ap_reducer_begin(reducer);
    CHECK_INT(ap_reducer_finish(reducer, 1, &sum, &error), AP_BUG);
    snprintf(want, sizeof want, "after 0 of %d shards", ap_group_local_shards(group));
    CHECK_TEXT(error.text, want);
    ap_reducer_destroy(reducer);
    ap_group_destroy(group);
}

/* Rabenseifner: a rank sends (1 - 1/R) of the array in the halvings and as much again in the doublings. */
static void test_bytes_sent_are_those_of_an_optimal_allreduce(void) {
    ap_group *group = NULL;
    ap_reducer *reducer = NULL;
    const int64_t offsets[] = {0, 512};
    const layout l = {1024, 2, offsets, NULL, 1};
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, watchdog_s, &group, NULL), AP_OK);
    CHECK_INT(ap_reducer_create(group, l.length, l.count, l.offsets, l.bucket_bytes, &reducer, NULL), AP_OK);
    for (int round = 0; round < 2; round++) one_round(group, reducer, &l, round, BACKWARD, 1);
    ap_reducer_statistics got = ap_reducer_get_statistics(reducer);
    CHECK_INT(got.bytes_sent, 2 * 2 * (1024 - 1024 / world_ranks) * 4);
    CHECK(got.exposed_s >= 0 && got.exposed_s < 60 && got.overlapped_s >= 0 && got.overlapped_s < 60);
    CHECK(world_ranks > 1 ? got.overlapped_s > 0 : got.overlapped_s == 0 && got.exposed_s == 0);
    ap_reducer_destroy(reducer);
    ap_group_destroy(group);
}

static void test_wrong_offsets_are_refused(void) {
    ap_group *group = NULL;
    ap_reducer *reducer = NULL;
    ap_error error = {0};
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, watchdog_s, &group, NULL), AP_OK);
    CHECK_INT(ap_reducer_create(group, 10, 3, (int64_t[]){0, 5, 4}, 0, &reducer, &error), AP_BUG);
    CHECK_TEXT(error.text, "tensor 2 starts at 4 (must be from 5 to 10)");
    CHECK_INT(ap_reducer_create(group, 10, 1, (int64_t[]){-1}, 0, &reducer, &error), AP_BUG);
    CHECK_INT(ap_reducer_create(group, 10, 2, (int64_t[]){0, 11}, 0, &reducer, &error), AP_BUG);
    CHECK_INT(ap_reducer_create(group, 0, 1, (int64_t[]){0}, 0, &reducer, &error), AP_BUG);
    CHECK_INT(ap_reducer_create(group, 10, 0, NULL, 0, &reducer, &error), AP_BUG);
    CHECK_INT(ap_reducer_create(group, INT64_MAX / 2, 1, (int64_t[]){0}, 0, &reducer, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "must be below 2^31");
    CHECK(reducer == NULL);
    ap_reducer_destroy(NULL);
    ap_group_destroy(group);
}

AP_MPI_TEST_MAIN(test_the_inputs_notice_another_order, test_bits_of_an_mlp, test_odd_sizes_in_several_buckets,
                 test_gradients_may_come_in_any_order, test_tensors_nobody_announces_are_summed_at_the_end,
                 test_tensors_smaller_than_the_number_of_ranks, test_empty_tensors, test_a_tensor_larger_than_a_bucket,
                 test_gaps_between_tensors_stay_zero, test_other_numbers_of_shards, test_special_values_pass_through,
                 test_a_rank_that_fails_between_begin_and_finish_releases_the_others,
                 test_finish_after_too_few_shards_says_so, test_bytes_sent_are_those_of_an_optimal_allreduce,
                 test_wrong_offsets_are_refused)
