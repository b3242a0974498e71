/* The mnist model beyond its fixture: published parameter count, initialisers, hits, metrics, wrong batches. */
#include "workloads/mnist/mnist.h"

#include "check.h"

static ap_mnist_model make_model(int64_t input, int64_t hidden, const char *init) {
    return (ap_mnist_model){.input = input, .hidden = hidden, .classes = 10, .init = (char *)init};
}

static ap_params *make_params(const ap_mnist_model *model) {
    ap_params *params = ap_params_create(), *state = ap_params_create();
    CHECK_INT(ap_mnist_define(model, params, state, NULL), AP_OK);
    CHECK_INT(ap_params_count(state), 0);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 1);
    ap_params_destroy(state);
    return params;
}

static double largest(ap_params *params, int index) {
    double max = 0;
    const float *x = ap_params_value(params, index);
    for (int64_t i = 0; i < ap_params_get(params, index)->size; i++) max = fmax(max, fabs((double)x[i]));
    return max;
}

static void test_published_model(void) {
    ap_mnist_model model;
    CHECK_INT(ap_options_defaults(ap_mnist_options, ap_mnist_option_count, &model, NULL), AP_OK);
    ap_params *params = make_params(&model);
    CHECK_INT(ap_params_elements(params), 101770);
    CHECK_INT(ap_params_find(params, "net.layer1.weight"), 0);
    CHECK_INT(ap_params_find(params, "net.layer2.bias"), 3);
    CHECK_NEAR(largest(params, 0), 1 / 28.0, 1e-5); /* U(-1/sqrt(784), 1/sqrt(784)), biases too */
    CHECK(largest(params, 1) <= 1 / 28.0 && largest(params, 1) > 0.9 / 28);
    CHECK(largest(params, 3) > 0);
    ap_params_destroy(params);
    ap_options_free(ap_mnist_options, ap_mnist_option_count, &model);
}

static void test_lecun(void) {
    ap_mnist_model model = make_model(784, 128, "lecun");
    ap_params *params = make_params(&model);
    double two_s = 2 / 28.0 / 0.87962566103423978;
    CHECK(largest(params, 0) <= two_s * (1 + 1e-6) && largest(params, 0) > 0.99 * two_s);
    CHECK_NEAR(largest(params, 1), 0, 0);
    CHECK_NEAR(largest(params, 3), 0, 0);
    ap_params_destroy(params);
}

static void add_array(ap_batch *batch, const char *name, ap_dtype type, int64_t n, size_t bytes, const void *data) {
    void *room = ap_batch_add(batch, name, type, 1, &n);
    CHECK(room != NULL);
    if (room) memcpy(room, data, (size_t)n * bytes);
}

/* sums of evaluating these logits [n, 10]; weights may be NULL. */
static ap_status evaluate(int64_t n, const float *logits, const int64_t *targets, const float *weights, double *sums,
                          ap_error *error) {
    ap_mnist_model model = make_model(4, 2, "pytorch");
    ap_params *params = make_params(&model);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_batch batch = {0};
    add_array(&batch, "targets", AP_I64, n, sizeof *targets, targets);
    if (weights) add_array(&batch, "weights", AP_F32, n, sizeof *weights, weights);
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *z = ap_tape_input(tape, logits, 2, (int64_t[]){n, 10});
    ap_classification_evaluate(&model, tape, z, &batch, sums);
    ap_status status = ap_tape_status(tape, error);
    ap_batch_free(&batch);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    return status;
}

/* argmax takes the first of equal ones; a NaN never hits; padding does not count. Sums are added to. */
static void test_hits(void) {
    static const float logits[6][10] = {{0, 5},     {0, 5, 5}, {0, 5, 5}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
                                        {NAN, NAN}, {[3] = 9}};
    static const int64_t targets[6] = {1, 1, 2, 9, 0, 3};
    static const float weights[6] = {1, 1, 1, 0.5f, 1, 0};
    double sums[AP_CLASSIFICATION_SUMS] = {10, 0, 0};
    CHECK_INT(evaluate(6, logits[0], targets, weights, sums, NULL), AP_OK);
    CHECK_NEAR(sums[AP_CLASSIFICATION_HITS], 10 + 1 + 1 + 0.5, 0);
    CHECK_NEAR(sums[AP_CLASSIFICATION_VALID], 4.5, 0);
    double plain[AP_CLASSIFICATION_SUMS] = {0};
    CHECK_INT(evaluate(4, logits[0], targets, NULL, plain, NULL), AP_OK);
    CHECK_NEAR(plain[AP_CLASSIFICATION_HITS], 3, 0);
    CHECK_NEAR(plain[AP_CLASSIFICATION_VALID], 4, 0);
}

/* The metrics use the examples of the split and the loss without smoothing: log 10 for equal logits. */
static void test_metrics(void) {
    static const float logits[2][10];
    double sums[AP_CLASSIFICATION_SUMS] = {0}, metrics[2];
    CHECK_INT(evaluate(2, logits[0], (int64_t[]){0, 3}, NULL, sums, NULL), AP_OK);
    ap_classification_metrics(sums, 2, metrics);
    CHECK_NEAR(metrics[0], 0.5, 0);
    CHECK_NEAR(metrics[1], log(10), 1e-6);
}

static void test_wrong_labels(void) {
    static const float logits[2][10];
    double sums[AP_CLASSIFICATION_SUMS] = {0};
    ap_error error;
    CHECK_INT(evaluate(2, logits[0], (int64_t[]){0, 10}, NULL, sums, &error), AP_DATA);
    CHECK_TEXT(error.text, "label 10");
    CHECK_NEAR(sums[AP_CLASSIFICATION_HITS], 0, 0);
}

/* A pass over this batch fails with AP_DATA and this text. */
static void check_refused(const ap_batch *batch, const char *text) {
    ap_mnist_model model = make_model(4, 2, "pytorch");
    ap_params *params = make_params(&model);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_error error = {0};
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *logits = ap_mnist_forward(&model, tape, batch);
    CHECK(ap_classification_loss(&model, tape, logits, batch, &(ap_loss_options){0}).per_example == NULL);
    CHECK_INT(ap_tape_status(tape, &error), AP_DATA);
    CHECK_TEXT(error.text, text);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

static void test_wrong_batches(void) {
    static const float zeros[8];
    static const int64_t labels[3];
    ap_batch batch = {0};
    check_refused(&batch, "needs `inputs`");
    add_array(&batch, "inputs", AP_F32, 3, sizeof *zeros, zeros); /* 3 values, not 3 x 4 */
    check_refused(&batch, "with 4 values an example");
    ap_batch_clear(&batch);
    memcpy(ap_batch_add(&batch, "inputs", AP_F32, 2, (int64_t[]){2, 4}), zeros, sizeof zeros);
    check_refused(&batch, "needs `targets`, int64 [2]");
    add_array(&batch, "targets", AP_I64, 3, sizeof *labels, labels);
    check_refused(&batch, "needs `targets`, int64 [2]");
    batch.arrays--;
    add_array(&batch, "targets", AP_I64, 2, sizeof *labels, labels);
    add_array(&batch, "weights", AP_F32, 3, sizeof *zeros, zeros);
    check_refused(&batch, "`weights` of the batch must be float32 [2]");
    ap_batch_free(&batch);
}

AP_TEST_MAIN(test_published_model, test_lecun, test_hits, test_metrics, test_wrong_labels, test_wrong_batches)
