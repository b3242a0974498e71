/* ap_batch_norm, ap_group_norm, ap_instance_norm, with activation and residual, against their twins; running
 * statistics; evaluation; the same bits on every instruction set, with any number of threads. */
#include "gradient.h"
#include "tensor/kernels/isa.h"

typedef struct dims {
    int64_t n, rows, c;
    int64_t groups; /* 0: batch norm */
    ap_activation activation;
    bool affine, residual;
} dims;

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    const ap_norm_options options = {
        .eps = 1e-3f, .activation = d->activation, .slope = 0.2f, .residual = d->residual ? x[3] : NULL};
    const ap_running running = {.mean = 0, .variance = 1, .momentum = 0.1f};
    if (d->groups == 0) return ap_batch_norm(tape, x[0], x[1], x[2], &running, &options);
    if (!d->affine && d->groups == d->c) return ap_instance_norm(tape, x[0], &options);
    return ap_group_norm(tape, x[0], d->groups, d->affine ? x[1] : NULL, d->affine ? x[2] : NULL, &options);
}

static double activated(ap_activation kind, double z) {
    switch (kind) {
    case AP_RELU: return fmax(z, 0);
    case AP_LEAKY_RELU: return z > 0 ? z : 0.2f * z;
    case AP_SILU: return z / (1 + exp(-z));
    case AP_GELU: return 0.5 * z * (1 + tanh(0.7978845608028654 * (z + 0.044715 * z * z * z)));
    case AP_TANH: return tanh(z);
    default: return z;
    }
}

/* Two passes over the elements of each set, found by asking every element which set it is in. */
static void twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    const int64_t sets = d->groups ? d->n * d->groups : d->c, size = d->n * d->rows * d->c;
    for (int64_t set = 0; set < sets; set++) {
        double mean = 0, variance = 0;
        int64_t count = 0;
        for (int pass = 0; pass < 3; pass++) {
            for (int64_t i = 0; i < size; i++) {
                const int64_t j = i % d->c, image = i / d->c / d->rows;
                if (set != (d->groups ? image * d->groups + j / (d->c / d->groups) : j)) continue;
                if (pass == 0) mean += x[0][i], count++;
                if (pass == 1) variance += (x[0][i] - mean) * (x[0][i] - mean);
                if (pass < 2) continue;
                double z = (x[0][i] - mean) / sqrt(variance + 1e-3f);
                if (d->affine) z = z * x[1][j] + x[2][j];
                if (d->residual) z += x[3][i];
                y[i] = activated(d->activation, z);
            }
            if (pass == 0) mean /= (double)count;
            if (pass == 1) variance /= (double)count;
        }
    }
}

static void check_dims(dims d) {
    gradient_check(&(gradient_case){.name = "channel norm",
                                    .inputs = d.residual ? 4 : 3,
                                    .input = {{3, {d.n, d.rows, d.c}}, {1, {d.c}}, {1, {d.c}}, {3, {d.n, d.rows, d.c}}},
                                    .range = 1,
                                    .op = op,
                                    .twin = twin,
                                    .outputs = d.n * d.rows * d.c,
                                    .user = &d,
                                    .tolerance = 2e-5});
}

static void test_gradients(void) {
    static const dims cases[] = {
        {2, 5, 3, 0, AP_IDENTITY, true, false},    {1, 9, 21, 0, AP_RELU, true, true},
        {3, 4, 18, 0, AP_SILU, true, true},        {2, 6, 4, 0, AP_GELU, true, false},
        {2, 7, 4, 4, AP_LEAKY_RELU, false, false}, {2, 7, 3, 3, AP_TANH, false, true},
        {2, 5, 6, 1, AP_LEAKY_RELU, true, false},  {2, 5, 6, 3, AP_IDENTITY, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_dims(cases[i]);
}

/* ---- running statistics: by hand for x = {1, 2, 3, 6}: mean 3, unbiased variance 14 / 3 */

static ap_tape *make_tape(ap_params **params, ap_params **state) {
    *params = ap_params_create(), *state = ap_params_create();
    ap_params_add(*params, "bn.weight", 1, (int64_t[]){1}, ap_init_constant(2), NULL);
    ap_params_add(*params, "bn.bias", 1, (int64_t[]){1}, ap_init_constant(1), NULL);
    ap_params_add(*state, "bn.running_mean", 1, (int64_t[]){1}, ap_init_constant(10), NULL);
    ap_params_add(*state, "bn.running_var", 1, (int64_t[]){1}, ap_init_constant(4), NULL);
    CHECK_INT(ap_params_allocate(*params, NULL), AP_OK);
    CHECK_INT(ap_params_allocate(*state, NULL), AP_OK);
    ap_params_initialise(*params, 1), ap_params_initialise(*state, 1);
    return ap_tape_create(*params, *state, AP_MATH_ORDERED);
}

static ap_tensor *normalise(ap_tape *tape, const ap_pass *pass, int64_t rows, const float *x) {
    ap_tape_begin(tape, pass);
    return ap_batch_norm(tape, ap_tape_input(tape, x, 2, (int64_t[]){rows, 1}), ap_tape_param(tape, 0),
                         ap_tape_param(tape, 1), &(ap_running){.mean = 0, .variance = 1, .momentum = 0.25f},
                         &(ap_norm_options){.eps = 0});
}

static void test_running_statistics(void) {
    static const float x[4] = {1, 2, 3, 6};
    ap_params *params, *state;
    ap_tape *tape = make_tape(&params, &state);
    float updated[32] = {-1};
    const int64_t variance = ap_params_get(state, 1)->offset;
    ap_pass pass = {.training = true, .update_state = true, .new_state = updated};
    ap_tensor *y = normalise(tape, &pass, 4, x);
    CHECK_NEAR(y->data[3], 2 * 3 / sqrt(3.5) + 1, 1e-6);
    CHECK_NEAR(updated[0], 0.75 * 10 + 0.25 * 3, 1e-6);
    CHECK_NEAR(updated[variance], 0.75 * 4 + 0.25 * 14 / 3.0, 1e-6);

    updated[0] = -1; /* the pass says: batch statistics, but leave the state alone */
    pass.update_state = false;
    y = normalise(tape, &pass, 4, x);
    CHECK_NEAR(y->data[3], 2 * 3 / sqrt(3.5) + 1, 1e-6);
    CHECK_NEAR(updated[0], -1, 0);

    y = normalise(tape, &(ap_pass){.update_state = true, .new_state = updated}, 4, x); /* evaluation */
    CHECK_NEAR(y->data[0], 2 * (1 - 10) / 2.0 + 1, 1e-6);
    CHECK_NEAR(updated[0], -1, 0);

    ap_error error;
    pass.training = true;
    CHECK(normalise(tape, &pass, 1, x) == NULL);
    CHECK_INT(ap_tape_status(tape, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "at least 2");
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    ap_params_destroy(state);
}

/* A large mean: the variance of 4096 +- 1/64 is 2^-12, which sums of squares in float would lose altogether. */
static void test_large_mean(void) {
    static float x[4000];
    for (int i = 0; i < 4000; i++) x[i] = 4096 + (i % 2 ? 0x1p-6f : -0x1p-6f);
    ap_params *params, *state;
    ap_tape *tape = make_tape(&params, &state);
    const ap_tensor *y = normalise(tape, &(ap_pass){.training = true}, 4000, x);
    CHECK_NEAR(y->data[0], -2 + 1, 1e-4);
    CHECK_NEAR(y->data[1], 2 + 1, 1e-4);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    ap_params_destroy(state);
}

/* ---- bits */

enum { ROWS = 700, CHANNELS = 530, SIZE = ROWS * CHANNELS };

static void run(const ap_params *params, ap_params *state, ap_activation activation, const float *c, float *gradients,
                float *y) {
    ap_tape *tape = ap_tape_create((ap_params *)params, state, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradients});
    ap_tensor *out = ap_batch_norm(
        tape, ap_tape_param(tape, 0), ap_tape_param(tape, 1), ap_tape_param(tape, 2),
        &(ap_running){.mean = 0, .variance = 1, .momentum = 0.1f},
        &(ap_norm_options){.eps = 1e-5f, .activation = activation, .slope = 0.2f, .residual = ap_tape_param(tape, 3)});
    memcpy(y, out->data, SIZE * sizeof *y);
    gradient_record_root(tape, out, c);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    ap_tape_destroy(tape);
}

static void test_bits(void) {
    static const char *const names[] = {"x", "bn.weight", "bn.bias", "r"};
    ap_params *params = ap_params_create();
    for (int i = 0; i < 4; i++)
        ap_params_add(params, names[i], i % 3 ? 1 : 2, i % 3 ? (int64_t[]){CHANNELS} : (int64_t[]){ROWS, CHANNELS},
                      ap_init_normal(1), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 3);
    const size_t length = (size_t)ap_params_length(params);
    float *c = calloc(SIZE, sizeof *c), *y = calloc(2 * SIZE, sizeof *y), *g = calloc(2 * length, sizeof *g);
    uint64_t noise = 5;
    for (int i = 0; i < SIZE; i++) c[i] = (float)gradient_noise(&noise);
    const ap_isa best = ap_isa_current();
    for (int kind = 0; kind < AP_ACTIVATIONS; kind++) {
        CHECK(ap_isa_force(AP_ISA_PORTABLE));
        run(params, NULL, (ap_activation)kind, c, g, y);
        for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++) {
            if (!ap_isa_force(isa)) continue;
            ap_kernels_set_threads(isa == AP_ISA_PORTABLE ? 2 : 3);
            run(params, NULL, (ap_activation)kind, c, g + length, y + SIZE);
            CHECK(memcmp(y, y + SIZE, SIZE * sizeof *y) == 0);
            CHECK(memcmp(g, g + length, length * sizeof *g) == 0);
            ap_kernels_set_threads(1);
        }
    }
    CHECK(ap_isa_force(best));
    free(c), free(y), free(g);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradients, test_running_statistics, test_large_mean, test_bits)
