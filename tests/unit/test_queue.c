#include "base/random.h"
#include "data/queue.h"

#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- counts allocations of everything linked statically, that is all of this project (data.cmake: --wrap) */

static atomic_long allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t a, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t a, size_t n);
void *__wrap_malloc(size_t n) {
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t m) {
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(n, m);
}
void *__wrap_realloc(void *p, size_t n) {
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(p, n);
}
void *__wrap_aligned_alloc(size_t a, size_t n) {
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(a, n);
}

/* ---- a data set whose examples are their own indices, of ragged length, and a collate function that lists them */

typedef struct source {
    atomic_long read;     /* examples so far */
    int64_t fail_at;      /* this index cannot be read; -1: none */
    int64_t fail_collate; /* batch that cannot be collated; -1: none */
    int slow_us;          /* an example */
    atomic_int blocked_signals /* 1: the thread blocks what it should, 2: it does not */;
} source;

static const ap_field index_field = {.name = "index", .type = AP_I64, .rank = 1, .shape = {-1}};

static ap_status read_index(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                            ap_error *error) {
    (void)seed, (void)split;
    source *s = (source *)(uintptr_t)model;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    atomic_store(&s->blocked_signals, sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1) ? 1 : 2);
    atomic_fetch_add(&s->read, 1);
    if (s->slow_us) usleep((useconds_t)s->slow_us);
    if (index == s->fail_at) return ap_fail(error, AP_DATA, "example %lld is bad", (long long)index);
    int64_t length = 1 + index % 5;
    AP_TRY(ap_example_reserve(example, 1, &index_field, &length, error));
    for (int64_t i = 0; i < length; i++) ((int64_t *)example->data[0])[i] = index;
    return AP_OK;
}
static const ap_generator generator = {.name = "indices",
                                       .fields = 1,
                                       .field = {{.name = "index", .type = AP_I64, .rank = 1, .shape = {-1}}},
                                       .generate = read_index};

static ap_status list_indices(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                              int64_t padded_to, ap_batch *batch, ap_error *error) {
    const source *s = model;
    if (key->step == s->fail_collate) return ap_fail(error, AP_NUMERIC, "batch %lld is bad", (long long)key->step);
    int64_t *indices = ap_batch_add(batch, "index", AP_I64, 1, &padded_to);
    int64_t *about = ap_batch_add(batch, "key", AP_I64, 1, (int64_t[]){4});
    if (!indices || !about) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int64_t i = 0; i < n; i++) indices[i] = *(const int64_t *)examples[i].data[0];
    about[0] = key->step, about[1] = key->shard, about[2] = key->training, about[3] = (int64_t)key->seed;
    batch->examples = padded_to;
    batch->real_examples = n;
    return AP_OK;
}

static const source healthy = {.fail_at = -1, .fail_collate = -1};
enum { SEED = 11 };

static ap_queue *start(source *s, int64_t examples, ap_queue_options o, ap_dataset **dataset) {
    ap_error error = {0};
    ap_queue *queue = NULL;
    CHECK_INT(ap_dataset_synthetic(&generator, s, 1, (int64_t[]){examples, 0, 0}, dataset, &error), AP_OK);
    o.dataset = *dataset;
    o.collate = list_indices;
    o.model = s;
    o.seed = SEED;
    CHECK_INT(ap_queue_create(&o, &queue, &error), AP_OK);
    return queue;
}

/* The indices of `batches` batches of one rank's shards, in order, appended at out; *n grows. */
static void collect(int64_t examples, ap_queue_options o, int batches, int64_t *out, int64_t *n) {
    source s = healthy;
    ap_dataset *dataset;
    ap_queue *queue = start(&s, examples, o, &dataset);
    for (int t = 0; queue && t < batches; t++) {
        const ap_batch *batch;
        int64_t number = -1;
        ap_error error = {0};
        CHECK_INT(ap_queue_next(queue, &batch, &number, &error), AP_OK);
        CHECK_INT(number, o.first_batch + t);
        for (int k = 0; k < o.local_shards; k++) {
            const int64_t *about = ap_batch_i64(&batch[k], "key");
            CHECK(about[0] == number && about[1] == o.first_shard + k && about[2] == 1 && about[3] == SEED);
            memcpy(out + *n, ap_batch_i64(&batch[k], "index"), (size_t)batch[k].examples * sizeof *out);
            *n += batch[k].examples;
        }
    }
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

/* ---- order */

static void test_every_epoch_is_a_permutation(void) {
    enum { N = 120, B = 12, EPOCHS = 3 };
    int64_t all[N * EPOCHS], n = 0;
    collect(N, (ap_queue_options){.global_batch = B, .shards = 4, .local_shards = 4}, EPOCHS * N / B, all, &n);
    CHECK_INT(n, N * EPOCHS);
    for (int e = 0; e < EPOCHS; e++) {
        int seen[N] = {0};
        for (int i = 0; i < N; i++) seen[all[e * N + i]]++;
        for (int i = 0; i < N; i++) CHECK_INT(seen[i], 1);
    }
    CHECK(memcmp(all, all + N, N * sizeof *all) != 0);
    int moved = 0;
    for (int i = 0; i < N; i++) moved += all[i] != i;
    CHECK(moved > N / 2);
}

/* 103 = 10 x 10 + 3: an epoch leaves out three, and no example comes twice. */
static void test_an_epoch_leaves_out_the_remainder(void) {
    enum { N = 103, B = 10 };
    int64_t all[N], n = 0;
    int seen[N] = {0};
    collect(N, (ap_queue_options){.global_batch = B, .shards = 2, .local_shards = 2}, N / B, all, &n);
    CHECK_INT(n, 100);
    for (int i = 0; i < n; i++) CHECK_INT(seen[all[i]]++, 0);
}

/* A scale that uses the first 40 of 120: the same batches as of a data set of 40. */
static void test_a_scale_may_use_the_first_examples_only(void) {
    enum { B = 10, BATCHES = 12 };
    int64_t of_40[BATCHES * B], of_120[BATCHES * B], n = 0, m = 0;
    collect(40, (ap_queue_options){.global_batch = B, .shards = 2, .local_shards = 2}, BATCHES, of_40, &n);
    collect(120, (ap_queue_options){.global_batch = B, .shards = 2, .local_shards = 2, .examples = 40}, BATCHES, of_120,
            &m);
    CHECK_INT(m, n);
    for (int i = 0; i < BATCHES * B; i++) CHECK_INT(of_120[i], of_40[i]);
}

static void test_order_is_the_documented_one(void) {
    enum { N = 50, B = 8 };
    int64_t all[20 * B], n = 0;
    collect(N, (ap_queue_options){.global_batch = B, .shards = 8, .local_shards = 8}, 20, all, &n);
    for (int i = 0; i < 20 * B; i++) CHECK_INT(all[i], ap_queue_index(SEED, N, B, i / B, i % B));
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The shards of one batch, fetched by 1, 2, 4 or 8 ranks, are the same examples; so is the batch for any number of
 * shards. */
static void test_batch_is_independent_of_ranks_and_shards(void) {
    enum { N = 100, B = 20 };
    int64_t whole[B], n = 0;
    collect(N, (ap_queue_options){.global_batch = B, .shards = 8, .local_shards = 8, .first_batch = 3}, 1, whole, &n);
    for (int ranks = 2; ranks <= 8; ranks *= 2) {
        int64_t parts[B], m = 0;
        for (int r = 0; r < ranks; r++)
            collect(N,
                    (ap_queue_options){.global_batch = B,
                                       .shards = 8,
                                       .first_shard = r * 8 / ranks,
                                       .local_shards = 8 / ranks,
                                       .first_batch = 3},
                    1, parts, &m);
        CHECK_INT(m, B);
        CHECK(memcmp(parts, whole, sizeof whole) == 0);
    }
    int64_t single[B], m = 0;
    collect(N, (ap_queue_options){.global_batch = B, .shards = 1, .local_shards = 1, .first_batch = 3}, 1, single, &m);
    CHECK(memcmp(single, whole, sizeof whole) == 0);
    qsort(whole, B, sizeof *whole, compare);
    for (int i = 1; i < B; i++) CHECK(whole[i] != whole[i - 1]);
}

/* floor(s 10 / 4): 0 2 5 7 10. */
static void test_uneven_shards(void) {
    const int sizes[] = {2, 3, 2, 3};
    for (int shard = 0; shard < 4; shard++) {
        int64_t indices[10], n = 0;
        collect(30, (ap_queue_options){.global_batch = 10, .shards = 4, .first_shard = shard, .local_shards = 1}, 1,
                indices, &n);
        CHECK_INT(n, sizes[shard]);
    }
}

static void test_resume_gives_the_same_batches(void) {
    enum { N = 64, B = 16, T = 13 };
    int64_t all[T * B], n = 0;
    collect(N, (ap_queue_options){.global_batch = B, .shards = 2, .local_shards = 2}, T, all, &n);
    for (int t = 0; t < T; t++) {
        int64_t again[B], m = 0;
        collect(N, (ap_queue_options){.global_batch = B, .shards = 2, .local_shards = 2, .first_batch = t, .ahead = 1},
                1, again, &m);
        CHECK(memcmp(again, all + t * B, sizeof again) == 0);
    }
}

/* ---- the ring */

static void wait_for_reads(source *s, long want) {
    for (int i = 0; i < 5000 && atomic_load(&s->read) < want; i++) usleep(1000);
    usleep(20000); /* time for one too many */
}

static void test_reads_ahead_and_no_further(void) {
    for (int ahead = 1; ahead <= 4; ahead++) {
        source s = healthy;
        ap_dataset *dataset;
        ap_queue *queue = start(
            &s, 40,
            (ap_queue_options){.global_batch = 8, .shards = 4, .first_shard = 2, .local_shards = 2, .ahead = ahead},
            &dataset);
        wait_for_reads(&s, 4 * ahead); /* half of the shards: 4 examples a batch */
        CHECK_INT(atomic_load(&s.read), 4 * ahead);
        const ap_batch *batch;
        int64_t number;
        CHECK_INT(ap_queue_next(queue, &batch, &number, NULL), AP_OK);
        wait_for_reads(&s, 4 * (ahead + 1));
        CHECK_INT(atomic_load(&s.read), 4 * (ahead + 1));
        ap_queue_destroy(queue);
        ap_dataset_close(dataset);
    }
}

static void test_batch_stays_valid_until_the_next_call(void) {
    source s = healthy;
    ap_dataset *dataset;
    ap_queue *queue =
        start(&s, 40, (ap_queue_options){.global_batch = 8, .shards = 1, .local_shards = 1, .ahead = 1}, &dataset);
    for (int t = 0; t < 20; t++) {
        const ap_batch *batch;
        int64_t number;
        CHECK_INT(ap_queue_next(queue, &batch, &number, NULL), AP_OK);
        if (t % 5 == 0) wait_for_reads(&s, 8 * (t + 2)); /* the thread has filled all it may */
        for (int i = 0; i < 8; i++) CHECK_INT(ap_batch_i64(batch, "index")[i], ap_queue_index(SEED, 40, 8, number, i));
    }
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

static void test_no_allocation_in_the_steady_state(void) {
    source s = healthy;
    ap_dataset *dataset;
    ap_queue *queue = start(&s, 1000, (ap_queue_options){.global_batch = 50, .shards = 4, .local_shards = 4}, &dataset);
    const ap_batch *batch;
    int64_t number;
    CHECK(atomic_load(&allocations) > 0); /* the counter counts */
    for (int t = 0; t < 40; t++) CHECK_INT(ap_queue_next(queue, &batch, &number, NULL), AP_OK);
    long before = atomic_load(&allocations);
    for (int t = 0; t < 400; t++) CHECK_INT(ap_queue_next(queue, &batch, &number, NULL), AP_OK);
    CHECK_INT(atomic_load(&allocations) - before, 0);
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

static void test_waiting_is_measured(void) {
    source s = healthy;
    s.slow_us = 5000;
    ap_dataset *dataset;
    ap_queue *queue = start(&s, 40, (ap_queue_options){.global_batch = 4, .shards = 1, .local_shards = 1}, &dataset);
    const ap_batch *batch;
    int64_t number;
    for (int t = 0; t < 3; t++) CHECK_INT(ap_queue_next(queue, &batch, &number, NULL), AP_OK);
    CHECK(ap_queue_waited_s(queue) > 0.03); /* 3 x 4 x 5 ms of reading at least, nearly all of it waited for */
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

static void test_signals_stay_with_the_caller(void) {
    source s = healthy;
    ap_dataset *dataset;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    ap_queue *queue = start(&s, 40, (ap_queue_options){.global_batch = 4, .shards = 1, .local_shards = 1}, &dataset);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    wait_for_reads(&s, 1);
    CHECK_INT(atomic_load(&s.blocked_signals), 1);
    CHECK_INT(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    CHECK_INT(sigismember(&after, SIGUSR1), sigismember(&before, SIGUSR1));
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

/* ---- failures and the end */

/* Batches before the bad one arrive; then every call says what is wrong. */
static void check_fails_at(source s, int64_t bad_batch, ap_status status, const char *text) {
    ap_dataset *dataset;
    ap_queue *queue = start(&s, 40, (ap_queue_options){.global_batch = 8, .shards = 2, .local_shards = 2}, &dataset);
    const ap_batch *batch;
    int64_t number;
    ap_error error = {0};
    for (int t = 0; t < bad_batch; t++) CHECK_INT(ap_queue_next(queue, &batch, &number, &error), AP_OK);
    for (int again = 0; again < 3; again++) {
        error = (ap_error){0};
        CHECK_INT(ap_queue_next(queue, &batch, &number, &error), status);
        CHECK_INT(error.status, status);
        CHECK_TEXT(error.text, text);
        CHECK_TEXT(error.text, "training batch");
    }
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

static void test_failed_read_is_reported(void) {
    source s = healthy;
    s.fail_at = ap_queue_index(SEED, 40, 8, 3, 5);
    check_fails_at(s, 3, AP_DATA, "is bad");
}

static void test_failed_collate_is_reported(void) {
    source s = healthy;
    s.fail_collate = 0;
    check_fails_at(s, 0, AP_NUMERIC, "batch 0 is bad");
    s.fail_collate = 4;
    check_fails_at(s, 4, AP_NUMERIC, "batch 4 is bad");
}

static void test_destroy_at_any_time(void) {
    for (int delay = 0; delay < 20; delay++) {
        source s = healthy;
        s.slow_us = delay % 2 ? 300 : 0; /* reading, or waiting for room */
        ap_dataset *dataset;
        ap_queue *queue =
            start(&s, 400, (ap_queue_options){.global_batch = 100, .shards = 2, .local_shards = 2}, &dataset);
        usleep((useconds_t)(delay * 500));
        ap_queue_destroy(queue);
        ap_dataset_close(dataset);
    }
    ap_queue_destroy(NULL);
}

static void check_refused(ap_queue_options o, ap_status status, const char *text) {
    source s = healthy;
    ap_dataset *dataset;
    ap_queue *queue = NULL;
    ap_error error = {0};
    CHECK_INT(ap_dataset_synthetic(&generator, &s, 1, (int64_t[]){40, 0, 0}, &dataset, &error), AP_OK);
    o.dataset = dataset;
    o.collate = list_indices;
    o.model = &s;
    CHECK_INT(ap_queue_create(&o, &queue, &error), status);
    CHECK_TEXT(error.text, text);
    CHECK(queue == NULL);
    ap_dataset_close(dataset);
}

static void test_wrong_options_are_refused(void) {
    check_refused((ap_queue_options){.global_batch = 7, .shards = 8, .local_shards = 8}, AP_CONFIG, "batch size 7");
    check_refused((ap_queue_options){.global_batch = 41, .shards = 8, .local_shards = 8}, AP_CONFIG, "examples, 40");
    check_refused((ap_queue_options){.global_batch = 8, .shards = 8, .first_shard = 4, .local_shards = 5}, AP_BUG,
                  "of 8");
    check_refused((ap_queue_options){.global_batch = 8, .shards = 8, .local_shards = 8, .first_batch = -1}, AP_BUG,
                  "-1");
}

/* ---- dynamic batches */

/* An example's amounts: its length, and what is odd in its index. */
static void measure_index(const ap_example *example, int64_t amounts[AP_MAX_AMOUNTS]) {
    amounts[0] = example->length[0];
    amounts[1] = *(const int64_t *)example->data[0] % 2;
}
static const ap_batch_budget budget = {
    .amounts = 2, .name = {"rows", "odd ones"}, .per_example = {3, 1}, .measure = measure_index};

/* The rule, written once more: shard by shard from one stream of epochs. Ends each shard with -1. */
static int64_t cut(int64_t examples, int64_t share, int shards, int64_t *out) {
    int64_t n = 0, position = 0;
    for (int s = 0; s < shards; s++) {
        for (int64_t count = 0, rows = 0, odd = 0; count < share; count++, position++) {
            ap_random stream = ap_random_stream(SEED, AP_RANDOM_SHUFFLE, (uint64_t)(position / examples), 0);
            const int64_t index = ap_random_permute(&stream, examples, position % examples);
            rows += 1 + index % 5, odd += index % 2;
            if (rows > 3 * share || odd > share) break;
            out[n++] = index;
        }
        out[n++] = -1;
    }
    return n;
}

static void test_dynamic_batches_follow_the_rule(void) {
    enum { N = 50, SHARE = 4, S = 4, BATCHES = 20 };
    int64_t want[2 * N * BATCHES], n = 0, last = 0;
    const int64_t length = cut(N, SHARE, S * BATCHES, want);
    CHECK(length - S * BATCHES < S * SHARE * BATCHES); /* the budget decides somewhere */
    for (int rank = 0; rank < 3; rank++) {             /* all shards; the first half; the second, from batch 7 on */
        source s = healthy;
        ap_dataset *dataset;
        const int first = rank == 2 ? 2 : 0, local = rank ? 2 : 4, from = rank == 2 ? 7 : 0;
        ap_queue *queue = start(&s, N,
                                (ap_queue_options){.budget = &budget,
                                                   .global_batch = SHARE * S + 3,
                                                   .shards = S,
                                                   .first_shard = first,
                                                   .local_shards = local,
                                                   .first_batch = from},
                                &dataset);
        int64_t shard = 0, at = 0; /* in want */
        for (int t = 0; queue && t < BATCHES; t++)
            for (int k = 0; k < S; k++, shard++) {
                static const ap_batch *batch;
                ap_error error = {0};
                if (k == 0 && t >= from) CHECK_INT(ap_queue_next(queue, &batch, &last, &error), AP_OK);
                n = 0;
                while (want[at + n] >= 0) n++;
                if (t >= from && k >= first && k < first + local) {
                    CHECK_INT(last, t);
                    CHECK_INT(batch[k - first].examples, n);
                    CHECK(memcmp(ap_batch_i64(&batch[k - first], "index"), want + at, (size_t)n * sizeof *want) == 0);
                }
                at += n + 1;
            }
        CHECK_INT(shard, S * BATCHES);
        ap_queue_destroy(queue);
        ap_dataset_close(dataset);
    }
}

static void test_an_example_larger_than_a_shard_is_named(void) {
    source s = healthy;
    ap_dataset *dataset;
    const ap_batch *batch;
    int64_t number;
    ap_error error = {0};
    ap_queue *queue = start(
        &s, 40, (ap_queue_options){.budget = &budget, .global_batch = 8, .shards = 8, .local_shards = 8}, &dataset);
    CHECK_INT(ap_queue_next(queue, &batch, &number, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "training batch 0, shard");
    CHECK_TEXT(error.text,
               "rows; a shard's 1 examples may have 3 (3 each) together: choose a larger batch or fewer shards");
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

/* ---- packed rows */

static int64_t row_of_eight(const void *model) {
    (void)model;
    return 8;
}
static const ap_batch_budget row_budget = {
    .amounts = 2, .name = {"rows", "odd ones"}, .measure = measure_index, .row = row_of_eight, .group = 5};

/* The rule, written once more for one shard after the other: sizes 1 .. 5 into rows of 8, a new row every 5th. */
static void test_rows_follow_the_rule(void) {
    enum { N = 23, SHARE = 3, BATCHES = 12, S = 2 };
    source s = healthy;
    ap_dataset *dataset;
    ap_queue *queue = start(
        &s, N, (ap_queue_options){.budget = &row_budget, .global_batch = SHARE * S, .shards = S, .local_shards = S},
        &dataset);
    int64_t position = 0;
    for (int t = 0; queue && t < BATCHES; t++) {
        const ap_batch *batch = NULL;
        int64_t number;
        ap_error error = {0};
        CHECK_INT(ap_queue_next(queue, &batch, &number, &error), AP_OK);
        for (int k = 0; batch && k < S; k++) {
            int64_t n = 0;
            for (int64_t rows = 0, used = 0, odd = 0;; n++, position++) {
                ap_random stream = ap_random_stream(SEED, AP_RANDOM_SHUFFLE, (uint64_t)(position / N), 0);
                const int64_t index = ap_random_permute(&stream, N, position % N);
                const bool fresh = rows == 0 || position % 5 == 0 || used + 1 + index % 5 > 8 || odd + index % 2 > 8;
                if (fresh && rows == SHARE) break;
                if (fresh) rows++, used = odd = 0;
                used += 1 + index % 5, odd += index % 2;
                CHECK(n < batch[k].examples && ap_batch_i64(&batch[k], "index")[n] == index);
            }
            CHECK_INT(batch[k].examples, n);
        }
    }
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

static int64_t row_of_two(const void *model) {
    (void)model;
    return 2;
}
/* What is larger than a row is left out. */
static void test_what_fits_no_row_is_left_out(void) {
    source s = healthy;
    ap_dataset *dataset;
    const ap_batch *batch = NULL;
    int64_t number;
    ap_error error = {0};
    ap_batch_budget narrow = row_budget;
    narrow.row = row_of_two;
    ap_queue *queue = start(
        &s, 30, (ap_queue_options){.budget = &narrow, .global_batch = 4, .shards = 1, .local_shards = 1}, &dataset);
    CHECK_INT(ap_queue_next(queue, &batch, &number, &error), AP_OK);
    for (int64_t i = 0; batch && i < batch->examples; i++) CHECK(ap_batch_i64(batch, "index")[i] % 5 < 2);
    ap_queue_destroy(queue);
    ap_dataset_close(dataset);
}

AP_TEST_MAIN(test_dynamic_batches_follow_the_rule, test_rows_follow_the_rule, test_what_fits_no_row_is_left_out,
             test_an_example_larger_than_a_shard_is_named, test_every_epoch_is_a_permutation,
             test_an_epoch_leaves_out_the_remainder, test_a_scale_may_use_the_first_examples_only,
             test_order_is_the_documented_one, test_batch_is_independent_of_ranks_and_shards, test_uneven_shards,
             test_resume_gives_the_same_batches, test_reads_ahead_and_no_further,
             test_batch_stays_valid_until_the_next_call, test_no_allocation_in_the_steady_state,
             test_waiting_is_measured, test_signals_stay_with_the_caller, test_failed_read_is_reported,
             test_failed_collate_is_reported, test_destroy_at_any_time, test_wrong_options_are_refused)
