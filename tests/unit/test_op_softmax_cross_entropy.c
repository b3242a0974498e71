/* ap_softmax_cross_entropy against its twin; accuracy near 0 and at extremes; padding; wrong labels; published losses.
 */
#include "base/h5.h"
#include "gradient.h"

enum { ROWS = 5, CLASSES = 7 };
typedef struct options {
    float smoothing;
    const float *weights;
} options;
static const int64_t targets[ROWS] = {0, 6, 3, 2, 2};

static double twin_row(const double *z, int64_t target, double smoothing) {
    double top = z[0], sum = 0, mean = 0;
    for (int j = 1; j < CLASSES; j++) top = fmax(top, z[j]);
    for (int j = 0; j < CLASSES; j++) sum += exp(z[j] - top), mean += z[j] / CLASSES;
    double lse = top + log(sum);
    return (1 - smoothing) * (lse - z[target]) + smoothing * (lse - mean);
}
static void twin(const double *const *x, double *y, const void *user) {
    const options *o = user;
    y[0] = 0;
    for (int i = 0; i < ROWS; i++)
        y[0] +=
            (o->weights ? (double)o->weights[i] : 1) * twin_row(x[0] + i * CLASSES, targets[i], (double)o->smoothing);
}
static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const options *o = user;
    ap_loss loss = ap_softmax_cross_entropy(tape, x[0], targets, o->weights, o->smoothing);
    double z[ROWS * CLASSES], want;
    for (int i = 0; i < ROWS * CLASSES; i++) z[i] = (double)x[0]->data[i];
    twin((const double *const[]){z}, &want, user);
    CHECK_NEAR(loss.summed, want, 1e-6 * want);
    return NULL;
}

static void check_options(options o) {
    gradient_check(&(gradient_case){.name = "softmax cross-entropy",
                                    .inputs = 1,
                                    .input = {{2, {ROWS, CLASSES}}},
                                    .range = 3,
                                    .op = op,
                                    .twin = twin,
                                    .outputs = 1,
                                    .is_loss = true,
                                    .user = &o,
                                    .tolerance = 1e-6});
}
static void test_gradient(void) {
    static const float weights[ROWS] = {1, 0, 0.5f, 2, 1};
    check_options((options){0, NULL});
    check_options((options){0.1f, NULL});
    check_options((options){0, weights});
    check_options((options){0.3f, weights});
}

/* The loss of given logits in a pass without gradient. */
static ap_status loss_of(int64_t n, int64_t classes, const float *logits, const int64_t *labels, const float *weights,
                         float smoothing, float *per_example, double *summed, double *n_valid, ap_error *error) {
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *z = ap_tape_input(tape, logits, 2, (int64_t[]){n, classes});
    ap_loss loss = ap_softmax_cross_entropy(tape, z, labels, weights, smoothing);
    ap_status status = ap_tape_status(tape, error);
    CHECK((status == AP_OK) == (loss.per_example != NULL));
    if (status == AP_OK) {
        CHECK_INT(loss.n, n);
        memcpy(per_example, loss.per_example, (size_t)n * sizeof *per_example);
        *summed = loss.summed, *n_valid = loss.n_valid;
    }
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    return status;
}

/* A nearly certain class: log(1 + 2 exp(-20)) must not be lost beside 1. */
static void test_tiny_loss_keeps_its_digits(void) {
    float loss[1];
    double summed, n_valid, want = log1p(2 * exp(-20));
    CHECK_INT(loss_of(1, 3, (float[]){5, -15, -15}, (int64_t[]){0}, NULL, 0, loss, &summed, &n_valid, NULL), AP_OK);
    CHECK_NEAR(loss[0], want, 1e-6 * want);
}

static void test_extreme_logits(void) {
    float loss[3];
    double summed, n_valid;
    static const float logits[9] = {1e4f, -1e4f, 0, 3e38f, 3e38f, -3e38f, 1, -INFINITY, 0};
    CHECK_INT(loss_of(3, 3, logits, (int64_t[]){1, 0, 0}, NULL, 0, loss, &summed, &n_valid, NULL), AP_OK);
    CHECK_NEAR(loss[0], 2e4, 0.01);
    CHECK_NEAR(loss[1], log(2), 1e-6);
    CHECK_NEAR(loss[2], log1p(exp(-1)), 1e-6); /* a masked class does not count */
}

static void test_nan_is_not_hidden(void) {
    float loss[2];
    double summed, n_valid;
    static const float logits[4] = {NAN, 0, 1, 0};
    CHECK_INT(loss_of(2, 2, logits, (int64_t[]){1, 1}, NULL, 0, loss, &summed, &n_valid, NULL), AP_OK);
    CHECK(isnan(loss[0]) && isfinite(loss[1]) && isnan(summed));
}

/* A row of weight 0 has loss 0, whatever it contains. */
static void test_padding_is_not_looked_at(void) {
    float loss[2];
    double summed, n_valid;
    static const float logits[4] = {NAN, 0, 1, 0};
    CHECK_INT(loss_of(2, 2, logits, (int64_t[]){-1, 1}, (float[]){0, 0.5f}, 0.1f, loss, &summed, &n_valid, NULL),
              AP_OK);
    CHECK_NEAR(loss[0], 0, 0);
    CHECK_NEAR(n_valid, 0.5, 0);
    CHECK_NEAR(summed, loss[1], 0);
    CHECK_INT(loss_of(0, 2, logits, NULL, NULL, 0, loss, &summed, &n_valid, NULL), AP_OK);
    CHECK_NEAR(n_valid, 0, 0);
}

static void test_wrong_labels_and_smoothing(void) {
    float loss[2];
    double summed, n_valid;
    ap_error error;
    static const float logits[4] = {0, 0, 1, 0};
    CHECK_INT(loss_of(2, 2, logits, (int64_t[]){0, 2}, NULL, 0, loss, &summed, &n_valid, &error), AP_DATA);
    CHECK_TEXT(error.text, "example 1 of the shard has label 2");
    CHECK_INT(loss_of(2, 2, logits, (int64_t[]){-1, 0}, NULL, 0, loss, &summed, &n_valid, &error), AP_DATA);
    CHECK_INT(loss_of(2, 2, logits, (int64_t[]){0, 0}, NULL, 1, loss, &summed, &n_valid, &error), AP_SUBMISSION);
    CHECK_INT(loss_of(2, 2, logits, (int64_t[]){0, 0}, NULL, NAN, loss, &summed, &n_valid, &error), AP_SUBMISSION);
}

/* Losses of the published implementation for its own logits. */
static void test_golden_losses(void) {
    hid_t file;
    void *logits, *labels, *weights, *want;
    int64_t n;
    float loss[6];
    double summed, n_valid;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/mnist.h5", &file, NULL), AP_OK);
    CHECK_INT(ap_h5_read(file, "/outputs/train_logits", AP_F32, 60, 1 << 20, &logits, &n, NULL), AP_OK);
    CHECK_INT(ap_h5_read(file, "/inputs/targets", AP_I64, 6, 1 << 20, &labels, &n, NULL), AP_OK);
    CHECK_INT(ap_h5_read(file, "/inputs/weights", AP_F32, 6, 1 << 20, &weights, &n, NULL), AP_OK);
    CHECK_INT(ap_h5_read(file, "/outputs/per_example_loss_f64", AP_F64, 6, 1 << 20, &want, &n, NULL), AP_OK);
    CHECK_INT(loss_of(6, 10, logits, labels, weights, 0.1f, loss, &summed, &n_valid, NULL), AP_OK);
    for (int i = 0; i < 6; i++) CHECK_NEAR(loss[i], ((double *)want)[i], 1e-6);
    free(want);
    CHECK_INT(ap_h5_read(file, "/outputs/summed_loss_f64", AP_F64, 1, 1 << 20, &want, &n, NULL), AP_OK);
    CHECK_NEAR(summed, *(double *)want, 2e-6);
    CHECK_NEAR(n_valid, 5, 0);
    free(want);
    CHECK_INT(ap_h5_read(file, "/outputs/per_example_loss_no_mask_no_smoothing", AP_F64, 6, 1 << 20, &want, &n, NULL),
              AP_OK);
    CHECK_INT(loss_of(6, 10, logits, labels, NULL, 0, loss, &summed, &n_valid, NULL), AP_OK);
    for (int i = 0; i < 6; i++) CHECK_NEAR(loss[i], ((double *)want)[i], 1e-6);
    free(want), free(logits), free(labels), free(weights);
    ap_h5_close(file);
}

/* Distributions as targets: loss and gradient of the published implementation. */
static void check_soft(hid_t file, const char *group, float smoothing) {
    enum { SOFT_ROWS = 4, SIZE = 28 };
    static const char *const names[] = {"logits", "targets", "per_example", "grad_logits_of_summed"};
    static const int64_t sizes[] = {SIZE, SIZE, SOFT_ROWS, SIZE};
    void *data[4];
    int64_t n;
    for (int i = 0; i < 4; i++) {
        char path[96];
        snprintf(path, sizeof path, "/%s/%s", group, names[i]);
        CHECK_INT(ap_h5_read(file, path, AP_F32, sizes[i], 1 << 16, &data[i], &n, NULL), AP_OK);
    }
    float gradient[32];
    ap_params *params = ap_params_create();
    ap_params_add(params, "z", 2, (int64_t[]){SOFT_ROWS, CLASSES}, ap_init_constant(0), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    memcpy(ap_params_value(params, 0), data[0], SIZE * sizeof(float));
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradient});
    ap_loss loss = ap_soft_cross_entropy(tape, ap_tape_param(tape, 0), data[1], NULL, smoothing);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    for (int i = 0; i < SOFT_ROWS; i++)
        CHECK_NEAR(loss.per_example[i], ((float *)data[2])[i], 1e-5 * fabs((double)((float *)data[2])[i]));
    for (int i = 0; i < SIZE; i++) CHECK_NEAR(gradient[i], ((float *)data[3])[i], 1e-6);
    static const float weights[SOFT_ROWS] = {0, 1, 2, 0};
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradient});
    ap_loss weighted = ap_soft_cross_entropy(tape, ap_tape_param(tape, 0), data[1], weights, smoothing);
    CHECK_NEAR(weighted.per_example[0], 0, 0);
    CHECK_NEAR(weighted.per_example[2], 2 * ((float *)data[2])[2], 1e-5);
    CHECK_NEAR(weighted.n_valid, 3, 0);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    for (int i = 0; i < 4; i++) free(data[i]);
}
static void test_published_distributions(void) {
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/losses.h5", &file, NULL), AP_OK);
    check_soft(file, "soft_target_ce_smoothing_0.0", 0);
    check_soft(file, "soft_target_ce_smoothing_0.1", 0.1f);
    ap_h5_close(file);
}

AP_TEST_MAIN(test_published_distributions, test_gradient, test_tiny_loss_keeps_its_digits, test_extreme_logits,
             test_nan_is_not_hidden, test_padding_is_not_looked_at, test_wrong_labels_and_smoothing, test_golden_losses)
