/* ap_layer_norm against its twin, with and without scale and bias; the same bits on every instruction set, with any
 * number of threads; the sums of tensors repeated over leading dimensions. */
#include "gradient.h"
#include "tensor/kernels/isa.h"

typedef struct dims {
    int64_t rows, n;
    bool scale, bias;
} dims;

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    return ap_layer_norm(tape, x[0], d->scale ? x[1] : NULL, d->bias ? x[2] : NULL, 1e-3f);
}
static void twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    for (int64_t i = 0; i < d->rows; i++) {
        double mean = 0, variance = 0;
        for (int64_t j = 0; j < d->n; j++) mean += x[0][i * d->n + j] / (double)d->n;
        for (int64_t j = 0; j < d->n; j++) variance += pow(x[0][i * d->n + j] - mean, 2) / (double)d->n;
        for (int64_t j = 0; j < d->n; j++)
            y[i * d->n + j] = (x[0][i * d->n + j] - mean) / sqrt(variance + 1e-3f) * (d->scale ? x[1][j] : 1) +
                              (d->bias ? x[2][j] : 0);
    }
}
static void test_gradients(void) {
    static const dims cases[] = {
        {1, 5, true, true}, {4, 17, true, true}, {3, 33, false, false}, {2, 16, true, false}, {37, 3, false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        gradient_check(
            &(gradient_case){.name = "layer norm",
                             .inputs = 3,
                             .input = {{2, {cases[i].rows, cases[i].n}}, {1, {cases[i].n}}, {1, {cases[i].n}}},
                             .range = 1,
                             .op = op,
                             .twin = twin,
                             .outputs = cases[i].rows * cases[i].n,
                             .user = &cases[i],
                             .tolerance = 2e-5});
}

/* ---- x + t and t alone, t repeated */

static ap_tensor *repeated(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    ap_tensor *t = ap_repeat(tape, x[1], 3, (int64_t[]){4, 2, 3});
    return ap_multiply(tape, ap_add_repeated(tape, x[0], x[1]), t);
}
static void repeated_twin(const double *const *x, double *y, const void *user) {
    (void)user;
    for (int i = 0; i < 24; i++) y[i] = (x[0][i] + x[1][i % 6]) * x[1][i % 6];
}
static void test_repeated(void) {
    gradient_check(&(gradient_case){.name = "repeated",
                                    .inputs = 2,
                                    .input = {{3, {4, 2, 3}}, {2, {2, 3}}},
                                    .range = 1,
                                    .op = repeated,
                                    .twin = repeated_twin,
                                    .outputs = 24,
                                    .tolerance = 1e-6});
}

/* ---- bits */

enum { ROWS = 900, N = 333, SIZE = ROWS * N };

static void run(ap_params *params, const float *c, float *gradients, float *y) {
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradients});
    ap_tensor *out = ap_layer_norm(tape, ap_tape_param(tape, 0), ap_tape_param(tape, 1), ap_tape_param(tape, 2), 1e-6f);
    memcpy(y, out->data, SIZE * sizeof *y);
    gradient_record_root(tape, out, c);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    ap_tape_destroy(tape);
}

static void test_bits(void) {
    static const char *const names[] = {"x", "norm.weight", "norm.bias"};
    ap_params *params = ap_params_create();
    for (int i = 0; i < 3; i++)
        ap_params_add(params, names[i], i ? 1 : 2, i ? (int64_t[]){N} : (int64_t[]){ROWS, N}, ap_init_normal(1), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 3);
    const size_t length = (size_t)ap_params_length(params);
    float *c = calloc(SIZE, sizeof *c), *y = calloc(2 * SIZE, sizeof *y), *g = calloc(2 * length, sizeof *g);
    uint64_t noise = 5;
    for (int i = 0; i < SIZE; i++) c[i] = (float)gradient_noise(&noise);
    const ap_isa best = ap_isa_current();
    CHECK(ap_isa_force(AP_ISA_PORTABLE));
    run(params, c, g, y);
    for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++) {
        if (!ap_isa_force(isa)) continue;
        ap_kernels_set_threads(isa == AP_ISA_PORTABLE ? 2 : 3);
        run(params, c, g + length, y + SIZE);
        CHECK(memcmp(y, y + SIZE, SIZE * sizeof *y) == 0);
        CHECK(memcmp(g, g + length, length * sizeof *g) == 0);
        ap_kernels_set_threads(1);
    }
    CHECK(ap_isa_force(best));
    free(c), free(y), free(g);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradients, test_repeated, test_bits)
