/* ap_ctc_loss against the sum over all alignments, and against losses and gradients of the published implementation
 * (components/ctc.h5). */
#include "base/h5.h"
#include "gradient.h"

enum { N = 3, FRAMES = 4, CLASSES = 3, LONGEST = 3 };
static const int64_t frames[N] = {4, 3, 4}, lengths[N] = {2, 1, 0}, labels[N][LONGEST] = {{1, 1, 0}, {2, 0, 0}, {0}};

typedef struct options {
    const float *weights;
} options;

/* What an alignment spells: repeats collapsed, blanks removed. */
static bool spells(const int *path, int64_t count, const int64_t *row, int64_t length) {
    int64_t at = 0;
    for (int64_t t = 0; t < count; t++) {
        if (path[t] == 0 || (t && path[t] == path[t - 1])) continue;
        if (at == length || row[at] != path[t]) return false;
        at++;
    }
    return at == length;
}

static double twin_example(const double *z, int64_t count, const int64_t *row, int64_t length) {
    double total = 0;
    int paths = 1;
    for (int64_t t = 0; t < count; t++) paths *= CLASSES;
    for (int code = 0; code < paths; code++) {
        int path[FRAMES], rest = code;
        double p = 1;
        for (int64_t t = 0; t < count; t++) {
            double sum = 0;
            path[t] = rest % CLASSES, rest /= CLASSES;
            for (int k = 0; k < CLASSES; k++) sum += exp(z[t * CLASSES + k]);
            p *= exp(z[t * CLASSES + path[t]]) / sum;
        }
        if (spells(path, count, row, length)) total += p;
    }
    return -log(total);
}
static void twin(const double *const *x, double *y, const void *user) {
    const options *o = user;
    y[0] = 0;
    for (int64_t i = 0; i < N; i++)
        y[0] += (o->weights ? (double)o->weights[i] : 1) *
                twin_example(x[0] + i * FRAMES * CLASSES, frames[i], labels[i], lengths[i]);
}
static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const options *o = user;
    const ap_loss loss = ap_ctc_loss(
        tape, x[0],
        &(ap_ctc_targets){
            .frames = frames, .labels = labels[0], .lengths = lengths, .longest = LONGEST, .weights = o->weights});
    double z[N * FRAMES * CLASSES], want;
    for (int i = 0; i < N * FRAMES * CLASSES; i++) z[i] = (double)x[0]->data[i];
    twin((const double *const[]){z}, &want, user);
    CHECK_NEAR(loss.summed, want, 1e-6 * want);
    CHECK_NEAR(loss.n_valid, o->weights ? 2.5 : 3, 0); /* 2 + 1 labels; weights 2 and 0.5 of those that have any */
    return NULL;
}
static void test_gradient(void) {
    static const float weights[N] = {2, 0.5f, 1};
    const options cases[] = {{NULL}, {weights}};
    for (int i = 0; i < 2; i++)
        gradient_check(&(gradient_case){.name = "ctc",
                                        .inputs = 1,
                                        .input = {{3, {N, FRAMES, CLASSES}}},
                                        .range = 3,
                                        .op = op,
                                        .twin = twin,
                                        .outputs = 1,
                                        .is_loss = true,
                                        .user = &cases[i],
                                        .tolerance = 2e-6});
}

/* ---- the published cases */

static void *read_array(hid_t file, const char *group, const char *name, ap_dtype type, int64_t *n) {
    char path[96];
    void *data = NULL;
    snprintf(path, sizeof path, "/%s/%s", group, name);
    CHECK_INT(ap_h5_read(file, path, type, -1, 1 << 20, &data, n, NULL), AP_OK);
    return data;
}

typedef struct golden {
    int64_t n, frames, classes, longest;
    float *logits, *losses;
    double *gradient;
    int64_t *counts, *lengths, *labels;
    double valid;
} golden;

static golden read_golden(hid_t file, const char *group) {
    golden g;
    int64_t size, gradients;
    float *paddings = read_array(file, group, "logit_paddings", AP_F32, &size), *valid;
    g.counts = read_array(file, group, "input_lengths", AP_I64, &g.n);
    g.frames = size / g.n;
    g.lengths = read_array(file, group, "label_lengths", AP_I64, &g.n);
    g.labels = read_array(file, group, "labels", AP_I64, &size);
    g.longest = size / g.n;
    g.logits = read_array(file, group, "logits", AP_F32, &size);
    g.classes = size / g.n / g.frames;
    g.losses = read_array(file, group, "per_example_loss", AP_F32, &size);
    g.gradient = read_array(file, group, "grad_logits_of_sum_f64", AP_F64, &gradients);
    valid = read_array(file, group, "n_valid_tokens", AP_F32, &size);
    g.valid = (double)*valid;
    free(paddings), free(valid);
    return g;
}

static void check_numbers(const golden *g, const ap_loss *loss, const float *gradient) {
    const int64_t row = g->frames * g->classes;
    CHECK_NEAR(loss->n_valid, g->valid, 0);
    for (int64_t i = 0; i < g->n; i++) {
        if (isinf(g->losses[i])) {
            CHECK(isinf(loss->per_example[i]) && loss->per_example[i] > 0);
            for (int64_t j = 0; j < g->counts[i] * g->classes; j++) CHECK(isnan(gradient[i * row + j]));
            continue;
        }
        CHECK_NEAR(loss->per_example[i], g->losses[i], 1e-5 * (double)g->losses[i]);
        for (int64_t j = 0; j < row; j++) CHECK_NEAR(gradient[i * row + j], g->gradient[i * row + j], 1e-6);
    }
}

static void check_published(hid_t file, const char *group) {
    golden g = read_golden(file, group);
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_add(params, "z", 3, (int64_t[]){g.n, g.frames, g.classes}, ap_init_constant(0), NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    memcpy(ap_params_value(params, 0), g.logits, (size_t)ap_params_get(params, 0)->size * sizeof(float));
    float *gradient = calloc((size_t)ap_params_length(params), sizeof *gradient);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradient});
    const ap_loss loss = ap_ctc_loss(
        tape, ap_tape_param(tape, 0),
        &(ap_ctc_targets){.frames = g.counts, .labels = g.labels, .lengths = g.lengths, .longest = g.longest});
    ap_error error = {0};
    CHECK_INT(ap_tape_backward(tape, &error), AP_OK);
    const int before = ap_check_failures;
    if (loss.per_example) check_numbers(&g, &loss, gradient);
    if (!loss.per_example || ap_check_failures > before) printf("in case %s: %s\n", group, error.text);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    free(gradient), free(g.logits), free(g.losses), free(g.gradient), free(g.counts), free(g.lengths), free(g.labels);
}
static void test_published(void) {
    static const char *const groups[] = {
        "basic", "empty_target", "exact_minimal_length", "infeasible", "length_one", "long", "peaky", "repeats"};
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/ctc.h5", &file, NULL), AP_OK);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) check_published(file, groups[i]);
    ap_h5_close(file);
}

/* ---- wrong input */

static ap_status status_of(const float *z, int64_t count, int64_t length, int64_t label, double *summed,
                           ap_error *error) {
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    const int64_t row[2] = {label, label};
    const ap_loss loss =
        ap_ctc_loss(tape, ap_tape_input(tape, z, 3, (int64_t[]){1, 2, 2}),
                    &(ap_ctc_targets){.frames = &count, .labels = row, .lengths = &length, .longest = 2});
    const ap_status status = ap_tape_status(tape, error);
    if (summed) *summed = loss.summed;
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    return status;
}
static void test_wrong_targets(void) {
    static const float z[4] = {0};
    ap_error error;
    CHECK_INT(status_of(z, 3, 1, 1, NULL, &error), AP_DATA);
    CHECK_TEXT(error.text, "has 3 frames (must be in 0 .. 2)");
    CHECK_INT(status_of(z, 2, 3, 1, NULL, &error), AP_DATA);
    CHECK_TEXT(error.text, "has 3 labels (must be in 0 .. 2)");
    CHECK_INT(status_of(z, 2, 1, 0, NULL, &error), AP_DATA);
    CHECK_TEXT(error.text, "is 0 (must be in 1 .. 1; 0 is the blank)");
    CHECK_INT(status_of(z, 2, 1, 2, NULL, &error), AP_DATA);
}
static void test_nan_is_not_hidden(void) {
    static const float z[4] = {0, NAN, 0, 0};
    double summed;
    CHECK_INT(status_of(z, 2, 1, 1, &summed, NULL), AP_OK);
    CHECK(isnan(summed));
    CHECK_INT(status_of(z, 0, 1, 1, &summed, NULL), AP_OK); /* no frames, one label */
    CHECK(isinf(summed));
    CHECK_INT(status_of(z, 0, 0, 1, &summed, NULL), AP_OK);
    CHECK_NEAR(summed, 0, 0);
}

AP_TEST_MAIN(test_gradient, test_published, test_wrong_targets, test_nan_is_not_hidden)
