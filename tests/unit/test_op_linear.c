/* ap_linear against its twin, its written order of sums bit for bit, packed weights, and the published model's logits.
 */
#include "base/h5.h"
#include "gradient.h"
#include "tensor/kernels/isa.h"

typedef struct dims {
    int64_t m, in, out;
    bool bias;
} dims;

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    return ap_linear(tape, x[0], x[1], ((const dims *)user)->bias ? x[2] : NULL);
}

static void twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    for (int64_t i = 0; i < d->m; i++)
        for (int64_t j = 0; j < d->out; j++) {
            double sum = d->bias ? x[2][j] : 0;
            for (int64_t k = 0; k < d->in; k++) sum += x[0][i * d->in + k] * x[1][j * d->in + k];
            y[i * d->out + j] = sum;
        }
}

static void check_dims(dims d, int rank, const int64_t *x_shape) {
    gradient_case test = {.name = "linear",
                          .inputs = d.bias ? 3 : 2,
                          .range = 1,
                          .op = op,
                          .twin = twin,
                          .outputs = d.m * d.out,
                          .user = &d,
                          .tolerance = 1e-5};
    test.input[0].rank = rank;
    memcpy(test.input[0].shape, x_shape, (size_t)rank * sizeof *x_shape);
    test.input[1].rank = 2, test.input[1].shape[0] = d.out, test.input[1].shape[1] = d.in;
    test.input[2].rank = 1, test.input[2].shape[0] = d.out;
    gradient_check(&test);
}

static void test_gradients(void) {
    static const dims cases[] = {{1, 1, 1, true}, {3, 5, 2, true}, {17, 7, 19, true}, {40, 33, 9, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_dims(cases[i], 2, (int64_t[]){cases[i].m, cases[i].in});
}
static void test_leading_dimensions_are_kept(void) {
    check_dims((dims){6, 5, 4, true}, 3, (int64_t[]){2, 3, 5});
    check_dims((dims){1, 5, 4, true}, 1, (int64_t[]){5});
}

typedef struct layer {
    int64_t m, in, out;
    ap_params *params; /* w, b */
    float *x, *c;      /* [m, in]; [m, out] cotangent */
    float *gradients;
} layer;

static layer make_layer(int64_t m, int64_t in, int64_t out) {
    layer l = {.m = m, .in = in, .out = out, .params = ap_params_create()};
    CHECK_INT(ap_params_add(l.params, "w", 2, (int64_t[]){out, in}, ap_init_constant(0), NULL), AP_OK);
    CHECK_INT(ap_params_add(l.params, "b", 1, &out, ap_init_constant(0), NULL), AP_OK);
    CHECK_INT(ap_params_allocate(l.params, NULL), AP_OK);
    l.x = calloc((size_t)(m * in) + 1, sizeof *l.x);
    l.c = calloc((size_t)(m * out) + 1, sizeof *l.c);
    l.gradients = calloc((size_t)ap_params_length(l.params), sizeof *l.gradients);
    uint64_t noise = 99;
    for (int64_t i = 0; i < m * in; i++) l.x[i] = (float)gradient_noise(&noise);
    for (int64_t i = 0; i < m * out; i++) l.c[i] = (float)gradient_noise(&noise);
    for (int64_t i = 0; i < out * in; i++) ap_params_value(l.params, 0)[i] = (float)gradient_noise(&noise);
    for (int64_t i = 0; i < out; i++) ap_params_value(l.params, 1)[i] = (float)gradient_noise(&noise);
    ap_params_changed(l.params);
    return l;
}

static void free_layer(layer *l) {
    ap_params_destroy(l->params);
    free(l->x), free(l->c), free(l->gradients);
}

/* Forward of rows first .. first + m, and backward with the cotangent; y [m, out]. */
static void run_layer(layer *l, ap_math math, int64_t first, int64_t m, float *y) {
    ap_tape *tape = ap_tape_create(l->params, NULL, math);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = l->gradients});
    ap_tensor *x = ap_tape_input(tape, l->x + first * l->in, 2, (int64_t[]){m, l->in});
    ap_tensor *out = ap_linear(tape, x, ap_tape_param(tape, 0), ap_tape_param(tape, 1));
    CHECK(out != NULL);
    if (out) memcpy(y, out->data, (size_t)out->size * sizeof *y);
    gradient_record_root(tape, out, l->c + first * l->out);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    ap_tape_destroy(tape);
}

/* y: one fma chain over `in` from b. dw, db (m below one chunk): chains over m from +0. */
static void check_written_order(layer *l, const float *y) {
    const float *w = ap_params_value(l->params, 0), *b = ap_params_value(l->params, 1), *dw = l->gradients,
                *db = l->gradients + ap_params_get(l->params, 1)->offset;
    int wrong = 0;
    for (int64_t i = 0; i < l->m; i++)
        for (int64_t j = 0; j < l->out; j++) {
            float sum = b[j];
            for (int64_t k = 0; k < l->in; k++) sum = fmaf(l->x[i * l->in + k], w[j * l->in + k], sum);
            wrong += sum != y[i * l->out + j];
        }
    for (int64_t j = 0; j < l->out; j++) {
        float column = 0;
        for (int64_t i = 0; i < l->m; i++) column += l->c[i * l->out + j];
        wrong += column != db[j];
        for (int64_t k = 0; k < l->in; k++) {
            float sum = 0;
            for (int64_t i = 0; i < l->m; i++) sum = fmaf(l->c[i * l->out + j], l->x[i * l->in + k], sum);
            wrong += sum != dw[j * l->in + k];
        }
    }
    CHECK_INT(wrong, 0);
}

static void test_written_order_on_every_instruction_set(void) {
    ap_isa best = ap_isa_current();
    for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++) {
        if (!ap_isa_force(isa)) continue;
        layer l = make_layer(37, 70, 45);
        float *y = calloc(37 * 45, sizeof *y);
        run_layer(&l, AP_MATH_ORDERED, 0, l.m, y);
        check_written_order(&l, y);
        free(y);
        free_layer(&l);
    }
    CHECK(ap_isa_force(best));
}

/* A row's result does not depend on how many rows come with it (with few rows weights are not packed). */
static void test_rows_do_not_see_each_other(void) {
    layer l = make_layer(33, 50, 21);
    float all[33 * 21], row[21];
    run_layer(&l, AP_MATH_ORDERED, 0, l.m, all);
    for (int64_t i = 0; i < l.m; i++) {
        run_layer(&l, AP_MATH_ORDERED, i, 1, row);
        CHECK(memcmp(row, all + i * 21, sizeof row) == 0);
    }
    free_layer(&l);
}

static void test_blas_agrees(void) {
    layer l = make_layer(33, 50, 21);
    float ordered[33 * 21], blas[33 * 21], *dw = malloc(50 * 21 * sizeof *dw);
    run_layer(&l, AP_MATH_ORDERED, 0, l.m, ordered);
    memcpy(dw, l.gradients, 50 * 21 * sizeof *dw);
    run_layer(&l, AP_MATH_BLAS, 0, l.m, blas);
    for (int i = 0; i < 33 * 21; i++) CHECK_NEAR(blas[i], ordered[i], 1e-5);
    for (int i = 0; i < 50 * 21; i++) CHECK_NEAR(l.gradients[i], dw[i], 1e-5);
    free(dw);
    free_layer(&l);
}

static void test_no_rows(void) {
    layer l = make_layer(0, 5, 3);
    float none[1];
    for (int64_t i = 0; i < ap_params_length(l.params); i++) l.gradients[i] = NAN;
    run_layer(&l, AP_MATH_ORDERED, 0, 0, none);
    for (int i = 0; i < 15; i++) CHECK_NEAR(l.gradients[i], 0, 0);
    free_layer(&l);
}

static void test_wrong_shapes(void) {
    layer l = make_layer(2, 5, 3);
    ap_error error;
    ap_tape *tape = ap_tape_create(l.params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *x = ap_tape_input(tape, l.x, 2, (int64_t[]){1, 4});
    CHECK(ap_linear(tape, x, ap_tape_param(tape, 0), NULL) == NULL);
    CHECK_INT(ap_tape_status(tape, &error), AP_BUG);
    CHECK_TEXT(error.text, "x has 4 columns");
    ap_tape_begin(tape, &(ap_pass){0});
    x = ap_tape_input(tape, l.x, 2, (int64_t[]){2, 5});
    CHECK(ap_linear(tape, x, ap_tape_param(tape, 0), ap_tape_param(tape, 0)) == NULL);
    CHECK_TEXT((ap_tape_status(tape, &error), error.text), "b has 15 elements");
    ap_tape_begin(tape, &(ap_pass){0});
    x = ap_tape_input(tape, l.x, 1, (int64_t[]){3});
    CHECK(ap_linear(tape, x, ap_tape_param(tape, 1), NULL) == NULL);
    CHECK(ap_tape_status(tape, &error) == AP_BUG);
    ap_tape_destroy(tape);
    free_layer(&l);
}

/* linear, sigmoid, linear on the published model's parameters and images gives its logits. */
static void test_golden_logits(void) {
    static const char *const names[] = {"net.layer1.weight", "net.layer1.bias", "net.layer2.weight", "net.layer2.bias"};
    static const int64_t shapes[4][2] = {{16, 784}, {16}, {10, 16}, {10}};
    hid_t file;
    void *data, *images, *logits;
    int64_t n;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/mnist.h5", &file, NULL), AP_OK);
    ap_params *params = ap_params_create();
    for (int i = 0; i < 4; i++) ap_params_add(params, names[i], i % 2 ? 1 : 2, shapes[i], ap_init_constant(0), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "/params/%s", names[i]);
        CHECK_INT(ap_h5_read(file, path, AP_F32, ap_params_get(params, i)->size, 1 << 20, &data, &n, NULL), AP_OK);
        memcpy(ap_params_value(params, i), data, (size_t)n * sizeof(float));
        free(data);
    }
    ap_params_changed(params);
    CHECK_INT(ap_h5_read(file, "/inputs/inputs", AP_F32, 6 * 784, 1 << 20, &images, &n, NULL), AP_OK);
    CHECK_INT(ap_h5_read(file, "/outputs/train_logits", AP_F32, 60, 1 << 20, &logits, &n, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *x = ap_tape_input(tape, images, 2, (int64_t[]){6, 784});
    ap_tensor *h = ap_sigmoid(tape, ap_linear(tape, x, ap_tape_param(tape, 0), ap_tape_param(tape, 1)));
    ap_tensor *z = ap_linear(tape, h, ap_tape_param(tape, 2), ap_tape_param(tape, 3));
    CHECK(z && z->size == 60);
    for (int i = 0; z && i < 60; i++) CHECK_NEAR(z->data[i], ((float *)logits)[i], 2e-5); /* the fixture's limit */
    free(images), free(logits);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    ap_h5_close(file);
}

AP_TEST_MAIN(test_gradients, test_leading_dimensions_are_kept, test_written_order_on_every_instruction_set,
             test_rows_do_not_see_each_other, test_blas_agrees, test_no_rows, test_wrong_shapes, test_golden_logits)
