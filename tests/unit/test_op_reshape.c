/* ap_reshape: same memory, and gradients flow through, also when the original is used as well. */
#include "gradient.h"

static ap_tensor *square_of_reshaped(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    ap_tensor *sum = ap_linear(tape, ap_reshape(tape, x[0], 2, (int64_t[]){2, 6}), x[1], NULL); /* [2, 6] [3, 6]' */
    return ap_sigmoid(tape, ap_reshape(tape, sum, 1, (int64_t[]){6}));
}
static void twin(const double *const *x, double *y, const void *user) {
    (void)user;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++) {
            double sum = 0;
            for (int k = 0; k < 6; k++) sum += x[0][i * 6 + k] * x[1][j * 6 + k];
            y[i * 3 + j] = 1 / (1 + exp(-sum));
        }
}

static void test_gradient(void) {
    gradient_check(&(gradient_case){.name = "reshape",
                                    .inputs = 2,
                                    .input = {{3, {3, 2, 2}}, {2, {3, 6}}},
                                    .range = 1,
                                    .op = square_of_reshaped,
                                    .twin = twin,
                                    .outputs = 6,
                                    .tolerance = 1e-5});
}

static void test_shares_memory(void) {
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    static const float data[12];
    ap_tensor *x = ap_tape_input(tape, data, 2, (int64_t[]){3, 4});
    ap_tensor *y = ap_reshape(tape, ap_reshape(tape, x, 1, (int64_t[]){12}), 3, (int64_t[]){2, 2, 3});
    CHECK(y && y->data == data && y->base == x);
    CHECK_INT(y->rank, 3);
    CHECK_INT(y->shape[2], 3);
    ap_error error;
    CHECK(ap_reshape(tape, x, 2, (int64_t[]){3, 5}) == NULL);
    CHECK_INT(ap_tape_status(tape, &error), AP_BUG);
    CHECK_TEXT(error.text, "15 elements");
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradient, test_shares_memory)
