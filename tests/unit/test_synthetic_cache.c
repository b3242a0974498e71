/* The memory of synthetic examples: it gives back what was put, only that, and also when many threads put at once. */
#include "check.h"

#include "data/synthetic_cache.h"

#include <pthread.h>

/* Fields of odd sizes: an example has 12 + 3 bytes, so that slots do not line up. */
static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    static const ap_field field[2] = {{.name = "x", .type = AP_F32, .rank = 1, .shape = {3}},
                                      {.name = "y", .type = AP_U8, .rank = 1, .shape = {3}}};
    (void)model, (void)seed;
    AP_TRY(ap_example_reserve(example, 2, field, NULL, error));
    for (int i = 0; i < 3; i++) {
        ((float *)example->data[0])[i] = (float)(index * 10 + i) + 0.25f * (float)split;
        ((uint8_t *)example->data[1])[i] = (uint8_t)(index * 7 + i + (int)split);
    }
    return AP_OK;
}
static const ap_generator generator = {.name = "test",
                                       .fields = 2,
                                       .field = {{.name = "x", .type = AP_F32, .rank = 1, .shape = {3}},
                                                 {.name = "y", .type = AP_U8, .rank = 1, .shape = {3}}},
                                       .generate = generate};
enum { EXAMPLES = 50 };
static const int64_t counts[AP_SPLITS] = {EXAMPLES, EXAMPLES, 0};

static int same(const ap_example *a, const ap_example *b) {
    return !memcmp(a->data[0], b->data[0], 12) && !memcmp(a->data[1], b->data[1], 3);
}

static void test_gives_back_what_was_put(void) {
    ap_synthetic_cache *cache = ap_synthetic_cache_create(&generator, counts);
    ap_example made = {0}, got = {0};
    CHECK(cache != NULL);
    for (int split = 0; split < 2; split++)
        for (int64_t i = 0; i < EXAMPLES; i += 2) {
            CHECK(!ap_synthetic_cache_get(cache, (ap_split)split, i, &got));
            CHECK_INT(generate(NULL, 0, (ap_split)split, i, &made, NULL), AP_OK);
            ap_synthetic_cache_put(cache, (ap_split)split, i, &made);
        }
    for (int split = 0; split < 2; split++)
        for (int64_t i = 0; i < EXAMPLES; i++) {
            bool there = ap_synthetic_cache_get(cache, (ap_split)split, i, &got);
            CHECK_INT(there, i % 2 == 0);
            if (!there) continue;
            CHECK_INT(generate(NULL, 0, (ap_split)split, i, &made, NULL), AP_OK);
            CHECK(same(&got, &made));
        }
    ap_example_free(&made);
    ap_example_free(&got);
    ap_synthetic_cache_destroy(cache);
    ap_synthetic_cache_destroy(NULL);
}

/* What is too large is not remembered; nothing is allocated for it. */
static void test_refuses_what_it_cannot_hold(void) {
    const int64_t many[AP_SPLITS] = {AP_SYNTHETIC_CACHE / 16, AP_SYNTHETIC_CACHE / 16, 0};
    const int64_t absurd[AP_SPLITS] = {INT64_MAX, INT64_MAX, INT64_MAX};
    CHECK(!ap_synthetic_cache_create(&generator, many)); /* 15 bytes an example: twice what is allowed */
    CHECK(!ap_synthetic_cache_create(&generator, absurd));
}

/* Ragged fields: each example comes back with its own lengths, empty ones too; one that is so long that its data set
 * would be too large is left out. */
static void test_ragged_fields(void) {
    ap_generator ragged = generator;
    ragged.field[1].shape[0] = -1;
    ap_synthetic_cache *cache = ap_synthetic_cache_create(&ragged, counts);
    ap_example made = {0}, got = {0};
    CHECK(cache != NULL);
    for (int64_t i = 0; i < EXAMPLES; i++) {
        const int64_t lengths[2] = {0, i % 5 * 3};
        CHECK_INT(ap_example_reserve(&made, 2, ragged.field, lengths, NULL), AP_OK);
        memset(made.data[0], (int)i, 12);
        memset(made.data[1], (int)i + 100, (size_t)lengths[1]);
        ap_synthetic_cache_put(cache, AP_TRAIN, i, &made);
    }
    for (int64_t i = 0; i < EXAMPLES; i++) {
        CHECK(ap_synthetic_cache_get(cache, AP_TRAIN, i, &got));
        CHECK_INT(got.length[0], 3);
        CHECK_INT(got.length[1], i % 5 * 3);
        CHECK_INT(((uint8_t *)got.data[0])[11], i);
        for (int64_t j = 0; j < got.length[1]; j++) CHECK_INT(((uint8_t *)got.data[1])[j], i + 100);
    }
    const int64_t too_long[2] = {0, AP_SYNTHETIC_CACHE / (2 * EXAMPLES)};
    CHECK_INT(ap_example_reserve(&made, 2, ragged.field, too_long, NULL), AP_OK);
    ap_synthetic_cache_put(cache, AP_VALIDATION, 0, &made);
    CHECK(!ap_synthetic_cache_get(cache, AP_VALIDATION, 0, &got));
    ap_example_free(&made);
    ap_example_free(&got);
    ap_synthetic_cache_destroy(cache);
}

/* ---- threads */

static ap_dataset *shared;
static void *read_all(void *argument) {
    ap_example got = {0}, made = {0};
    int64_t wrong = 0;
    for (int round = 0; round < 20; round++)
        for (int64_t i = 0; i < EXAMPLES; i++) {
            wrong += ap_dataset_read(shared, AP_TRAIN, i, &got, NULL) != AP_OK;
            wrong += generate(NULL, 0, AP_TRAIN, i, &made, NULL) != AP_OK || !same(&got, &made);
        }
    ap_example_free(&got);
    ap_example_free(&made);
    *(int64_t *)argument = wrong;
    return NULL;
}
static void test_threads_read_the_generators_examples(void) {
    enum { THREADS = 4 };
    pthread_t thread[THREADS];
    int64_t wrong[THREADS];
    for (int round = 0; round < 10; round++) {
        CHECK_INT(ap_dataset_synthetic(&generator, NULL, 0, counts, &shared, NULL), AP_OK);
        for (int i = 0; i < THREADS; i++) CHECK_INT(pthread_create(&thread[i], NULL, read_all, &wrong[i]), 0);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(thread[i], NULL);
            CHECK_INT(wrong[i], 0);
        }
        ap_dataset_close(shared);
    }
}

/* The second reading does not call the generator. */
static int calls;
static ap_status counted(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                         ap_error *error) {
    calls++;
    return generate(model, seed, split, index, example, error);
}
static ap_status failing(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                         ap_error *error) {
    (void)model, (void)seed, (void)split, (void)index, (void)example;
    return calls++ ? AP_OK : ap_fail(error, AP_DATA, "once");
}
static void test_an_example_is_generated_once(void) {
    ap_generator counting = generator;
    counting.generate = counted;
    ap_dataset *dataset = NULL;
    ap_example example = {0};
    CHECK_INT(ap_dataset_synthetic(&counting, NULL, 0, counts, &dataset, NULL), AP_OK);
    for (int i = 0; i < 3; i++) CHECK_INT(ap_dataset_read(dataset, AP_VALIDATION, 7, &example, NULL), AP_OK);
    CHECK_INT(calls, 1);
    ap_dataset_close(dataset);
    ap_example_free(&example);
}

/* A failure is not remembered as an example. */
static void test_a_failure_is_not_kept(void) {
    ap_generator broken = generator;
    broken.generate = failing;
    calls = 0;
    ap_error error = {0};
    ap_dataset *dataset = NULL;
    ap_example example = {0};
    CHECK_INT(ap_example_reserve(&example, 2, generator.field, NULL, NULL), AP_OK);
    CHECK_INT(ap_dataset_synthetic(&broken, NULL, 0, counts, &dataset, NULL), AP_OK);
    CHECK_INT(ap_dataset_read(dataset, AP_TRAIN, 3, &example, &error), AP_DATA);
    CHECK_INT(ap_dataset_read(dataset, AP_TRAIN, 3, &example, &error), AP_OK);
    CHECK_INT(calls, 2);
    ap_dataset_close(dataset);
    ap_example_free(&example);
}

AP_TEST_MAIN(test_gives_back_what_was_put, test_refuses_what_it_cannot_hold, test_ragged_fields,
             test_threads_read_the_generators_examples, test_an_example_is_generated_once, test_a_failure_is_not_kept)
