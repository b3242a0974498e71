#include "data/batch.h"

#include "check.h"

#include <stdint.h>

static void test_arrays_are_found_by_name_and_type(void) {
    ap_batch batch = {0};
    float *x = ap_batch_add(&batch, "inputs", AP_F32, 2, (int64_t[]){3, 5});
    int64_t *y = ap_batch_add(&batch, "targets", AP_I64, 1, (int64_t[]){3});
    CHECK(x && y);
    CHECK(ap_batch_f32(&batch, "inputs") == x);
    CHECK(ap_batch_i64(&batch, "targets") == y);
    CHECK(ap_batch_f32(&batch, "targets") == NULL);
    CHECK(ap_batch_i64(&batch, "inputs") == NULL);
    CHECK(ap_batch_find(&batch, "weights") == NULL);
    const ap_array *found = ap_batch_find(&batch, "inputs");
    CHECK(found && found->rank == 2 && found->shape[0] == 3 && found->shape[1] == 5 && found->size == 15);
    ap_batch_free(&batch);
    CHECK_INT(batch.arrays, 0);
}

static void test_memory_is_aligned_and_reused(void) {
    ap_batch batch = {0};
    for (int64_t n = 1; n < 40; n += 3) {
        ap_batch_clear(&batch);
        CHECK((uintptr_t)ap_batch_add(&batch, "a", AP_U8, 1, &n) % 64 == 0);
        CHECK((uintptr_t)ap_batch_add(&batch, "b", AP_F32, 1, &n) % 64 == 0);
    }
    ap_batch_clear(&batch);
    CHECK(ap_batch_find(&batch, "a") == NULL);
    void *large = ap_batch_add(&batch, "c", AP_F32, 1, (int64_t[]){1000});
    ap_batch_clear(&batch);
    CHECK(ap_batch_add(&batch, "d", AP_F32, 1, (int64_t[]){10}) == large);
    ap_batch_clear(&batch);
    CHECK(ap_batch_add(&batch, "e", AP_F32, 1, (int64_t[]){1000}) == large);
    ap_batch_free(&batch);
}

static void test_scalars_and_empty_arrays(void) {
    ap_batch batch = {0};
    CHECK(ap_batch_add(&batch, "scalar", AP_F32, 0, NULL) != NULL);
    CHECK_INT(batch.array[0].size, 1);
    CHECK(ap_batch_add(&batch, "empty", AP_F32, 2, (int64_t[]){0, 7}) != NULL);
    CHECK_INT(batch.array[1].size, 0);
    ap_batch_free(&batch);
}

static void test_absurd_shapes_are_refused(void) {
    ap_batch batch = {0};
    CHECK(ap_batch_add(&batch, "negative", AP_F32, 1, (int64_t[]){-1}) == NULL);
    CHECK(ap_batch_add(&batch, "overflow", AP_F32, 2, (int64_t[]){INT64_C(1) << 40, INT64_C(1) << 40}) == NULL);
    CHECK(ap_batch_add(&batch, "bytes", AP_I64, 1, (int64_t[]){INT64_MAX / 2}) == NULL);
    CHECK(ap_batch_add(&batch, "rank", AP_U8, 6, (int64_t[]){1, 1, 1, 1, 1, 1}) == NULL);
    CHECK_INT(batch.arrays, 0);
    for (int i = 0; i < AP_MAX_ARRAYS; i++) CHECK(ap_batch_add(&batch, "x", AP_U8, 1, (int64_t[]){1}) != NULL);
    CHECK(ap_batch_add(&batch, "one too many", AP_U8, 1, (int64_t[]){1}) == NULL);
    ap_batch_free(&batch);
}

AP_TEST_MAIN(test_arrays_are_found_by_name_and_type, test_memory_is_aligned_and_reused, test_scalars_and_empty_arrays,
             test_absurd_shapes_are_refused)
