/* ap_lstm_bidirectional against a twin and against the published layer (components/layers.h5, bilstm_packed). */
#include "base/h5.h"
#include "gradient.h"

enum { N = 4, STEPS = 5, IN = 3, HIDDEN = 2, GATES = 4 * HIDDEN };
static const int64_t lengths[N] = {3, 5, 0, 5};

static double sigma(double x) {
    return 1 / (1 + exp(-x));
}

/* One direction of one row. */
static void twin_row(const double *x, const double *w_input, const double *w_hidden, const double *bias, int64_t length,
                     bool backward, double *y) {
    double h[HIDDEN] = {0}, c[HIDDEN] = {0}, gates[GATES];
    for (int64_t i = 0; i < length; i++) {
        const int64_t t = backward ? length - 1 - i : i;
        for (int64_t g = 0; g < GATES; g++) {
            gates[g] = 2 * bias[g];
            for (int64_t j = 0; j < IN; j++) gates[g] += w_input[g * IN + j] * x[t * IN + j];
            for (int64_t j = 0; j < HIDDEN; j++) gates[g] += w_hidden[g * HIDDEN + j] * h[j];
        }
        for (int64_t j = 0; j < HIDDEN; j++) {
            c[j] = sigma(gates[HIDDEN + j]) * c[j] + sigma(gates[j]) * tanh(gates[2 * HIDDEN + j]);
            h[j] = sigma(gates[3 * HIDDEN + j]) * tanh(c[j]);
            y[t * 2 * HIDDEN + (backward ? HIDDEN : 0) + j] = h[j];
        }
    }
}

/* Both directions use the same weights here, and one bias twice: uses in two places are added. */
static void twin(const double *const *x, double *y, const void *user) {
    (void)user;
    memset(y, 0, N * STEPS * 2 * HIDDEN * sizeof *y);
    for (int64_t i = 0; i < N; i++)
        for (int side = 0; side < 2; side++)
            twin_row(x[0] + i * STEPS * IN, x[1], x[2], x[3], lengths[i], side == 1, y + i * STEPS * 2 * HIDDEN);
}
static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    return ap_lstm_bidirectional(tape, x[0], lengths,
                                 &(ap_lstm_weights){{x[1], x[1]}, {x[2], x[2]}, {x[3], x[3]}, {x[3], x[3]}});
}
static void test_gradient(void) {
    gradient_check(
        &(gradient_case){.name = "lstm",
                         .inputs = 4,
                         .input = {{3, {N, STEPS, IN}}, {2, {GATES, IN}}, {2, {GATES, HIDDEN}}, {1, {GATES}}},
                         .range = 1,
                         .op = op,
                         .twin = twin,
                         .outputs = N * STEPS * 2 * HIDDEN,
                         .tolerance = 3e-6});
}

/* ---- the published layer */

static float *read_floats(hid_t file, const char *name, int64_t size) {
    char path[96];
    void *data = NULL;
    int64_t n;
    snprintf(path, sizeof path, "/bilstm_packed/%s", name);
    CHECK_INT(ap_h5_read(file, path, AP_F32, size, 1 << 16, &data, &n, NULL), AP_OK);
    return data;
}

enum { G_N = 3, G_STEPS = 7, G_IN = 5, G_HIDDEN = 3, G_WEIGHTS = 8 };
static const char *const weight_names[G_WEIGHTS] = {
    "weight_ih_l0", "weight_ih_l0_reverse", "weight_hh_l0", "weight_hh_l0_reverse",
    "bias_ih_l0",   "bias_ih_l0_reverse",   "bias_hh_l0",   "bias_hh_l0_reverse"};
static const int64_t columns[G_WEIGHTS] = {G_IN, G_IN, G_HIDDEN, G_HIDDEN, 1, 1, 1, 1};

static void read_parameters(hid_t file, ap_params *params) {
    CHECK_INT(ap_params_add(params, "x", 3, (int64_t[]){G_N, G_STEPS, G_IN}, ap_init_constant(0), NULL), AP_OK);
    for (int i = 0; i < G_WEIGHTS; i++)
        CHECK_INT(ap_params_add(params, weight_names[i], i < 4 ? 2 : 1, (int64_t[]){4 * G_HIDDEN, columns[i]},
                                ap_init_constant(0), NULL),
                  AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    for (int i = 0; i <= G_WEIGHTS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", i ? "param_" : "x", i ? weight_names[i - 1] : "");
        float *values = read_floats(file, name, ap_params_get(params, i)->size);
        memcpy(ap_params_value(params, i), values, (size_t)ap_params_get(params, i)->size * sizeof *values);
        free(values);
    }
}

static void check_gradients(hid_t file, ap_params *params, const float *gradients) {
    for (int i = 0; i <= G_WEIGHTS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", i ? "grad_" : "dx", i ? weight_names[i - 1] : "");
        float *want = read_floats(file, name, ap_params_get(params, i)->size);
        for (int64_t j = 0; j < ap_params_get(params, i)->size; j++)
            CHECK_NEAR(gradients[ap_params_get(params, i)->offset + j], want[j], 2e-6);
        free(want);
    }
}

static void check_published(hid_t file, ap_math math) {
    ap_params *params = ap_params_create();
    read_parameters(file, params);
    float *gradients = calloc((size_t)ap_params_length(params), sizeof *gradients);
    float *dy = read_floats(file, "dy", G_N * G_STEPS * 2 * G_HIDDEN), *y = read_floats(file, "y", G_N * G_STEPS * 6);
    void *rows;
    int64_t n;
    CHECK_INT(ap_h5_read(file, "/bilstm_packed/lengths", AP_I64, G_N, 64, &rows, &n, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, math);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradients});
    ap_tensor *w[G_WEIGHTS + 1];
    for (int i = 0; i <= G_WEIGHTS; i++) w[i] = ap_tape_param(tape, i);
    ap_tensor *got = ap_lstm_bidirectional(tape, w[0], rows,
                                           &(ap_lstm_weights){{w[1], w[2]}, {w[3], w[4]}, {w[5], w[6]}, {w[7], w[8]}});
    CHECK(got != NULL);
    for (int64_t i = 0; got && i < got->size; i++) CHECK_NEAR(got->data[i], y[i], 1e-6);
    gradient_record_root(tape, got, dy);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    check_gradients(file, params, gradients);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    free(gradients), free(dy), free(y), free(rows);
}
static void test_published(void) {
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/layers.h5", &file, NULL), AP_OK);
    check_published(file, AP_MATH_ORDERED);
    check_published(file, AP_MATH_BLAS);
    ap_h5_close(file);
}

static void test_wrong_lengths(void) {
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_add(params, "wi", 2, (int64_t[]){4, 1}, ap_init_constant(0), NULL), AP_OK);
    CHECK_INT(ap_params_add(params, "b", 1, (int64_t[]){4}, ap_init_constant(0), NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    static const float x[2] = {0};
    for (int64_t length = -1; length <= 3; length += 4) {
        ap_tape_begin(tape, &(ap_pass){0});
        ap_tensor *w = ap_tape_param(tape, 0), *b = ap_tape_param(tape, 1);
        CHECK(!ap_lstm_bidirectional(tape, ap_tape_input(tape, x, 3, (int64_t[]){1, 2, 1}), &length,
                                     &(ap_lstm_weights){{w, w}, {w, w}, {b, b}, {b, b}}));
        ap_error error;
        CHECK_INT(ap_tape_status(tape, &error), AP_DATA);
        CHECK_TEXT(error.text, "must be in 0 .. 2");
    }
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradient, test_published, test_wrong_lengths)
