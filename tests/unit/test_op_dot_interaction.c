/* ap_dot_interaction against its twin: pairs in order, gradients, batches around a block, no examples. */
#include "gradient.h"

enum { VECTORS = 5, D = 7, PAIRS = VECTORS * (VECTORS + 1) / 2, MOST = 70 };

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    return ap_dot_interaction(tape, x[0]);
}
static void twin(const double *const *x, double *y, const void *user) {
    const int64_t n = *(const int64_t *)user;
    for (int64_t e = 0; e < n; e++)
        for (int i = 0; i < VECTORS; i++)
            for (int j = i; j < VECTORS; j++, y++) {
                *y = 0;
                for (int k = 0; k < D; k++) *y += x[0][(e * VECTORS + i) * D + k] * x[0][(e * VECTORS + j) * D + k];
            }
}

static void test_gradient(void) {
    static const int64_t sizes[] = {1, 3, MOST};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        gradient_check(&(gradient_case){.name = "dot interaction",
                                        .inputs = 1,
                                        .input = {{3, {sizes[i], VECTORS, D}}},
                                        .range = 1,
                                        .op = op,
                                        .twin = twin,
                                        .user = &sizes[i],
                                        .outputs = sizes[i] * PAIRS,
                                        .tolerance = 2e-6});
}

static void test_wrong_shape(void) {
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    float x[6] = {0};
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *y = ap_dot_interaction(tape, ap_tape_input(tape, x, 3, (int64_t[]){0, 3, 2}));
    CHECK(y && y->size == 0);
    CHECK(!ap_dot_interaction(tape, ap_tape_input(tape, x, 2, (int64_t[]){3, 2})));
    CHECK_INT(ap_tape_status(tape, NULL), AP_BUG);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradient, test_wrong_shape)
