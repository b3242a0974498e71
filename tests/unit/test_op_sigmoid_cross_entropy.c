/* ap_sigmoid_cross_entropy against its twin; accuracy near 0 and at extremes; missing labels; published losses. */
#include "base/h5.h"
#include "gradient.h"

enum { ROWS = 5, TASKS = 7, SIZE = ROWS * TASKS };
typedef struct options {
    float smoothing;
    const float *weights; /* [SIZE] */
} options;
static float targets[SIZE];

static double twin_element(double z, double y, double smoothing) {
    const double t = (1 - smoothing) * y + smoothing / TASKS;
    return fmax(z, 0) - z * t + log1p(exp(-fabs(z)));
}
static void twin(const double *const *x, double *y, const void *user) {
    const options *o = user;
    y[0] = 0;
    for (int i = 0; i < SIZE; i++)
        if (!o->weights || o->weights[i] != 0)
            y[0] += (o->weights ? (double)o->weights[i] : 1) *
                    twin_element(x[0][i], (double)targets[i], (double)o->smoothing);
}
static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const options *o = user;
    ap_loss loss = ap_sigmoid_cross_entropy(tape, x[0], targets, o->weights, o->smoothing);
    double z[SIZE], want;
    for (int i = 0; i < SIZE; i++) z[i] = (double)x[0]->data[i];
    twin((const double *const[]){z}, &want, user);
    CHECK_NEAR(loss.summed, want, 1e-6 * want);
    return NULL;
}

static void check_options(options o) {
    gradient_check(&(gradient_case){.name = "sigmoid cross-entropy",
                                    .inputs = 1,
                                    .input = {{2, {ROWS, TASKS}}},
                                    .range = 3,
                                    .op = op,
                                    .twin = twin,
                                    .outputs = 1,
                                    .is_loss = true,
                                    .user = &o,
                                    .tolerance = 1e-6});
}
static void test_gradient(void) {
    float weights[SIZE];
    for (int i = 0; i < SIZE; i++) {
        weights[i] = (float)(i % 3) / 2;
        targets[i] = i % 4 == 1 ? 1 : 0;
    }
    for (int i = 0; i < SIZE; i++)
        if (weights[i] == 0) targets[i] = NAN; /* a missing label */
    check_options((options){0, weights});
    check_options((options){0.3f, weights});
    for (int i = 0; i < SIZE; i++) targets[i] = i % 4 == 1 ? 1 : 0;
    check_options((options){0, NULL});
    check_options((options){0.1f, NULL});
}

/* The loss of given logits in a pass without gradient. */
static ap_status loss_of(int64_t n, int64_t tasks, const float *logits, const float *labels, const float *weights,
                         float smoothing, float *per_element, ap_loss *loss, ap_error *error) {
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *z = ap_tape_input(tape, logits, 2, (int64_t[]){n, tasks});
    *loss = ap_sigmoid_cross_entropy(tape, z, labels, weights, smoothing);
    ap_status status = ap_tape_status(tape, error);
    CHECK((status == AP_OK) == (loss->per_example != NULL));
    if (status == AP_OK) {
        CHECK_INT(loss->n, n * tasks);
        memcpy(per_element, loss->per_example, (size_t)loss->n * sizeof *per_element);
    }
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    return status;
}

static void test_edges(void) {
    float each[8];
    ap_loss loss;
    ap_error error;
    static const float logits[8] = {20, -20, 1e4f, -1e4f, 3e38f, NAN, -INFINITY, 0};
    CHECK_INT(loss_of(2, 4, logits, (float[]){1, 0, 0, 1, 1, 0, 0, NAN}, (float[]){1, 1, 1, 1, 1, 0, 1, 0}, 0, each,
                      &loss, NULL),
              AP_OK);
    const double tiny = log1p(exp(-20));
    CHECK_NEAR(each[0], tiny, 1e-6 * tiny); /* keeps its digits */
    CHECK_NEAR(each[1], tiny, 1e-6 * tiny);
    CHECK_NEAR(each[2], 1e4, 1e-2);
    CHECK_NEAR(each[3], 1e4, 1e-2);
    CHECK_NEAR(each[4], 0, 0);
    CHECK_NEAR(each[5], 0, 0); /* of weight 0: not looked at */
    CHECK_NEAR(each[7], 0, 0);
    CHECK_NEAR(loss.n_valid, 6, 0);
    CHECK_INT(loss_of(1, 1, (float[]){NAN}, (float[]){0}, NULL, 0, each, &loss, NULL), AP_OK);
    CHECK(isnan(each[0]) && isnan(loss.summed)); /* not hidden */
    CHECK_INT(loss_of(0, 3, logits, NULL, NULL, 0, each, &loss, NULL), AP_OK);
    CHECK_NEAR(loss.n_valid, 0, 0);
    CHECK_INT(loss_of(1, 1, logits, (float[]){0}, NULL, 1, each, &loss, &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, "label smoothing is 1");
}

/* Loss and gradient of the published implementation. */
static void check_published(hid_t file, const char *group, int64_t rows, int64_t tasks, float smoothing) {
    static const char *const names[] = {"logits", "labels", "weights", "per_example", "grad_logits_of_summed"};
    float *data[5], gradient[32];
    int64_t n;
    for (int i = 0; i < 5; i++) {
        char path[96];
        void *read = NULL;
        snprintf(path, sizeof path, "/%s/%s", group, names[i]);
        CHECK_INT(ap_h5_read(file, path, AP_F32, rows * tasks, 1 << 16, &read, &n, NULL), AP_OK);
        data[i] = read;
    }
    ap_params *params = ap_params_create();
    ap_params_add(params, "z", 2, (int64_t[]){rows, tasks}, ap_init_constant(0), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    memcpy(ap_params_value(params, 0), data[0], (size_t)(rows * tasks) * sizeof(float));
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradient});
    ap_loss loss = ap_sigmoid_cross_entropy(tape, ap_tape_param(tape, 0), data[1], data[2], smoothing);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    double valid = 0;
    for (int64_t i = 0; i < rows * tasks; i++) {
        valid += (double)data[2][i];
        CHECK_NEAR(loss.per_example[i], data[3][i], 1e-6);
        CHECK_NEAR(gradient[i], data[4][i], 1e-6);
    }
    CHECK_NEAR(loss.n_valid, valid, 0);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    for (int i = 0; i < 5; i++) free(data[i]);
}
static void test_published(void) {
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/losses.h5", &file, NULL), AP_OK);
    check_published(file, "ogbg_bce_smoothing_0.0", 4, 6, 0);
    check_published(file, "ogbg_bce_smoothing_0.1", 4, 6, 0.1f);
    check_published(file, "criteo_bce", 8, 1, 0);
    ap_h5_close(file);
}

AP_TEST_MAIN(test_gradient, test_edges, test_published)
