/* Concatenation, slices, reflection padding, dropout of channels, sums and products, and the L1 loss against their
 * twins. */
#include "gradient.h"

typedef struct dims {
    int kind;
    int64_t a, b; /* channels, or rows and columns added, or first and count */
} dims;
enum { CONCAT, SLICE, REFLECT, ADD, MULTIPLY };
enum { N = 2, H = 4, W = 3, C = 5 };

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    switch (d->kind) {
    case CONCAT: return ap_concat(tape, x[0], x[1]);
    case SLICE: return ap_slice_last(tape, x[0], d->a, d->b);
    case REFLECT: return ap_reflect_pad(tape, x[0], d->a, d->b);
    case ADD: return ap_add(tape, x[0], x[1]);
    default: return ap_multiply(tape, x[0], x[1]);
    }
}

static void twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    const int64_t rows = N * H * W;
    switch (d->kind) {
    case CONCAT:
        for (int64_t i = 0; i < rows * (C + 2); i++) {
            const int64_t row = i / (C + 2), j = i % (C + 2);
            y[i] = j < C ? x[0][row * C + j] : x[1][row * 2 + j - C];
        }
        return;
    case SLICE:
        for (int64_t i = 0; i < rows * d->b; i++) y[i] = x[0][i / d->b * C + d->a + i % d->b];
        return;
    case REFLECT:
        for (int64_t n = 0; n < N; n++)
            for (int64_t r = 0; r < H + d->a; r++)
                for (int64_t c = 0; c < W + d->b; c++)
                    for (int64_t j = 0; j < C; j++) {
                        const int64_t row = r < H ? r : H - 2 - (r - H), column = c < W ? c : W - 2 - (c - W);
                        y[((n * (H + d->a) + r) * (W + d->b) + c) * C + j] = x[0][((n * H + row) * W + column) * C + j];
                    }
        return;
    default:
        for (int64_t i = 0; i < rows * C; i++) y[i] = d->kind == ADD ? x[0][i] + x[1][i] : x[0][i] * x[1][i];
    }
}

static void check_dims(dims d, int inputs, int64_t second, int64_t outputs) {
    gradient_check(&(gradient_case){.name = "image operation",
                                    .inputs = inputs,
                                    .input = {{4, {N, H, W, C}}, {4, {N, H, W, second}}},
                                    .range = 1,
                                    .op = op,
                                    .twin = twin,
                                    .outputs = outputs,
                                    .user = &d,
                                    .tolerance = 1e-6});
}
static void test_gradients(void) {
    check_dims((dims){CONCAT, 0, 0}, 2, 2, N * H * W * (C + 2));
    check_dims((dims){SLICE, 1, 3}, 1, 1, N * H * W * 3);
    check_dims((dims){REFLECT, 1, 0}, 1, 1, N * (H + 1) * W * C);
    check_dims((dims){REFLECT, 2, 1}, 1, 1, N * (H + 2) * (W + 1) * C);
    check_dims((dims){ADD, 0, 0}, 2, C, N * H * W * C);
    check_dims((dims){MULTIPLY, 0, 0}, 2, C, N * H * W * C);
}

/* x + x: the gradient reaches x twice. */
static ap_tensor *twice(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    ap_tensor *y = ap_add(tape, x[0], x[0]);
    return ap_add(tape, y, ap_multiply(tape, y, x[0]));
}
static void twice_twin(const double *const *x, double *y, const void *user) {
    (void)user;
    for (int i = 0; i < 7; i++) y[i] = 2 * x[0][i] + 2 * x[0][i] * x[0][i];
}
static void test_a_tensor_used_twice(void) {
    gradient_check(&(gradient_case){.name = "x + x",
                                    .inputs = 1,
                                    .input = {{1, {7}}},
                                    .range = 1,
                                    .op = twice,
                                    .twin = twice_twin,
                                    .outputs = 7,
                                    .tolerance = 1e-6});
}

/* ---- dropout of channels: whole channels of an example, kept ones divided by 1 - rate */

static void test_dropout2d(void) {
    enum { EXAMPLES = 40, PIXELS = 6, CHANNELS = 25 };
    static float x[EXAMPLES * PIXELS * CHANNELS];
    for (int i = 0; i < EXAMPLES * PIXELS * CHANNELS; i++) x[i] = 1;
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .dropout_rate = 0.25f, .seed = 5});
    ap_tensor *in = ap_tape_input(tape, x, 3, (int64_t[]){EXAMPLES, PIXELS, CHANNELS});
    ap_tensor *y = ap_dropout2d(tape, in);
    int kept = 0;
    for (int i = 0; y && i < EXAMPLES * CHANNELS; i++) {
        const float *first = y->data + i / CHANNELS * PIXELS * CHANNELS + i % CHANNELS;
        for (int p = 0; p < PIXELS; p++) CHECK_NEAR(first[p * CHANNELS], first[0], 0);
        CHECK(first[0] == 0 || fabs((double)first[0] - 4.0 / 3) < 1e-6);
        kept += first[0] != 0;
    }
    CHECK_NEAR(kept, 750, 60); /* four standard deviations */
    ap_tape_begin(tape, &(ap_pass){.dropout_rate = 0.25f});
    in = ap_tape_input(tape, x, 3, (int64_t[]){EXAMPLES, PIXELS, CHANNELS});
    CHECK(ap_dropout2d(tape, in) == in);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

/* ---- L1 loss */

static const float targets[6] = {0.5f, -1, 2, 0, 3, -2}, weights[3] = {1, 0, 0.5f};

static ap_tensor *l1(ap_tape *tape, ap_tensor *const *x, const void *user) {
    ap_loss loss = ap_l1_loss(tape, x[0], targets, user);
    CHECK_NEAR(loss.n_valid, user ? 1.5 : 3, 0);
    CHECK_INT(loss.n, 3);
    return NULL;
}
static void l1_twin(const double *const *x, double *y, const void *user) {
    const float *w = user;
    y[0] = 0;
    for (int i = 0; i < 6; i++) y[0] += (w ? (double)w[i / 2] : 1) * fabs(x[0][i] - (double)targets[i]) / 2;
}
static void test_l1(void) {
    const float *const both[] = {NULL, weights};
    for (int i = 0; i < 2; i++)
        gradient_check(&(gradient_case){.name = "l1 loss",
                                        .inputs = 1,
                                        .input = {{3, {3, 2, 1}}},
                                        .range = 3,
                                        .op = l1,
                                        .twin = l1_twin,
                                        .outputs = 1,
                                        .is_loss = true,
                                        .user = both[i],
                                        .tolerance = 1e-6});
}

AP_TEST_MAIN(test_gradients, test_a_tensor_used_twice, test_dropout2d, test_l1)
