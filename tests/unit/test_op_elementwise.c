/* ap_sigmoid and ap_relu against their twins; special values. */
#include "gradient.h"

enum { N = 3 * 7 };

static ap_tensor *sigmoid(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    return ap_sigmoid(tape, x[0]);
}
static void sigmoid_twin(const double *const *x, double *y, const void *user) {
    (void)user;
    for (int i = 0; i < N; i++) y[i] = 1 / (1 + exp(-x[0][i]));
}
static ap_tensor *relu(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    return ap_relu(tape, x[0]);
}
static void relu_twin(const double *const *x, double *y, const void *user) {
    (void)user;
    for (int i = 0; i < N; i++) y[i] = fmax(x[0][i], 0);
}

static void test_sigmoid_gradient(void) {
    gradient_check(&(gradient_case){.name = "sigmoid",
                                    .inputs = 1,
                                    .input = {{2, {3, 7}}},
                                    .range = 4,
                                    .op = sigmoid,
                                    .twin = sigmoid_twin,
                                    .outputs = N,
                                    .tolerance = 1e-6});
}
static void test_relu_gradient(void) {
    gradient_check(&(gradient_case){.name = "relu",
                                    .inputs = 1,
                                    .input = {{2, {3, 7}}},
                                    .range = 2,
                                    .op = relu,
                                    .twin = relu_twin,
                                    .outputs = N,
                                    .tolerance = 1e-6});
}

/* ---- all activations, by their definitions */

static ap_tensor *activated(ap_tape *tape, ap_tensor *const *x, const void *user) {
    return ap_activation_of(tape, x[0], *(const ap_activation *)user, 0.2f);
}
static void activated_twin(const double *const *x, double *y, const void *user) {
    for (int i = 0; i < N; i++) {
        const double z = x[0][i];
        switch (*(const ap_activation *)user) {
        case AP_LEAKY_RELU: y[i] = z > 0 ? z : 0.2f * z; break;
        case AP_SILU: y[i] = z / (1 + exp(-z)); break;
        case AP_GELU: y[i] = 0.5 * z * (1 + tanh(0.7978845608028654 * (z + 0.044715 * z * z * z))); break;
        case AP_GELU_ERF: y[i] = 0.5 * z * (1 + erf(z * 0.7071067811865476)); break;
        case AP_TANH: y[i] = tanh(z); break;
        default: y[i] = z;
        }
    }
}
static void test_activations(void) {
    static const ap_activation kinds[] = {AP_LEAKY_RELU, AP_SILU, AP_GELU, AP_GELU_ERF, AP_TANH};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        gradient_check(&(gradient_case){.name = "activation",
                                        .inputs = 1,
                                        .input = {{2, {3, 7}}},
                                        .range = 4,
                                        .op = activated,
                                        .twin = activated_twin,
                                        .outputs = N,
                                        .user = &kinds[i],
                                        .tolerance = 1e-6});
}

/* Applies `op` to x and gives y and, for dy = 1, dx. */
static void apply(ap_tensor *(*op)(ap_tape *, ap_tensor *), int n, const float *x, float *y, float *dx) {
    static const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_add(params, "x", 1, (int64_t[]){n}, ap_init_constant(0), NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    memcpy(ap_params_value(params, 0), x, (size_t)n * sizeof *x);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.wants_grad = true, .gradients = dx});
    ap_tensor *out = op(tape, ap_tape_param(tape, 0));
    memcpy(y, out->data, (size_t)n * sizeof *y);
    gradient_record_root(tape, out, ones);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

static void test_sigmoid_at_the_ends(void) {
    float x[5] = {-INFINITY, -200, 0, 200, INFINITY}, y[5], dx[16];
    apply(ap_sigmoid, 5, x, y, dx);
    static const float want[5] = {0, 0, 0.5f, 1, 1}, slope[5] = {0, 0, 0.25f, 0, 0};
    for (int i = 0; i < 5; i++) {
        CHECK_NEAR(y[i], want[i], 1e-38);
        CHECK_NEAR(dx[i], slope[i], 1e-38);
    }
}
static void test_relu_at_zero_and_nan(void) {
    float x[6] = {-1, -0.0f, 0, 1e-38f, NAN, INFINITY}, y[6], dx[16];
    apply(ap_relu, 6, x, y, dx);
    static const float want[6] = {0, 0, 0, 1e-38f, NAN, INFINITY}, slope[6] = {0, 0, 0, 1, 1, 1};
    for (int i = 0; i < 6; i++) {
        CHECK(isnan(want[i]) ? isnan(y[i]) : y[i] == want[i]);
        CHECK_NEAR(dx[i], slope[i], 0);
    }
}

AP_TEST_MAIN(test_activations, test_sigmoid_gradient, test_relu_gradient, test_sigmoid_at_the_ends,
             test_relu_at_zero_and_nan)
