/* What the speech models need beside LSTM and CTC: ap_scale_shift, ap_add_scaled, ap_pack_rows, ap_unpack_rows,
 * ap_activate_rows, ap_query_scale against their twins, and against published layers (components/layers.h5): batch norm
 * over what is no padding, the query scaler, the strided convolutions of the subsampling. */
#include "base/h5.h"
#include "gradient.h"

enum { N = 3, STEPS = 4, C = 2, ROWS = 5, SIZE = N * STEPS * C };
static const int64_t lengths[N] = {3, 0, 2};
enum { SCALE_SHIFT, ADD_SCALED, PACK, UNPACK, ACTIVATE, QUERY };

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    switch (*(const int *)user) {
    case SCALE_SHIFT: return ap_scale_shift(tape, x[0], -1.5f, 2);
    case ADD_SCALED: return ap_add_scaled(tape, x[0], 0.5f, x[1]);
    case PACK: return ap_pack_rows(tape, x[0], lengths);
    case UNPACK: return ap_unpack_rows(tape, x[0], N, STEPS, lengths);
    case ACTIVATE: return ap_activate_rows(tape, x[0], lengths, AP_TANH);
    default: return ap_query_scale(tape, x[0], x[1]);
    }
}

static void twin(const double *const *x, double *y, const void *user) {
    int64_t row = 0;
    switch (*(const int *)user) {
    case SCALE_SHIFT:
        for (int i = 0; i < SIZE; i++) y[i] = -1.5 * x[0][i] + 2;
        return;
    case ADD_SCALED:
        for (int i = 0; i < SIZE; i++) y[i] = x[0][i] + 0.5 * x[1][i];
        return;
    case PACK:
    case UNPACK:
        for (int64_t i = 0; i < N; i++)
            for (int64_t t = 0; t < STEPS; t++) {
                const bool valid = t < lengths[i];
                for (int64_t c = 0; c < C; c++) {
                    const int64_t at = (i * STEPS + t) * C + c;
                    if (*(const int *)user == UNPACK)
                        y[at] = valid ? x[0][row * C + c] : 0;
                    else if (valid)
                        y[row * C + c] = x[0][at];
                }
                row += valid;
            }
        return;
    case ACTIVATE:
        for (int64_t i = 0; i < SIZE; i++) y[i] = i / C % STEPS < lengths[i / C / STEPS] ? tanh(x[0][i]) : 0;
        return;
    default:
        for (int i = 0; i < SIZE; i++) y[i] = x[0][i] * 1.442695041 * log1p(exp(x[1][i % 4])); /* d = 4, 2 heads */
    }
}

static void check_kind(int kind, int inputs, gradient_case shapes, int64_t outputs) {
    gradient_case c = shapes;
    c.name = "sequence operation", c.inputs = inputs, c.range = 2, c.op = op, c.twin = twin, c.outputs = outputs;
    c.user = &kind, c.tolerance = 2e-6;
    gradient_check(&c);
}
static void test_gradients(void) {
    check_kind(SCALE_SHIFT, 1, (gradient_case){.input = {{3, {N, STEPS, C}}}}, SIZE);
    check_kind(ADD_SCALED, 2, (gradient_case){.input = {{3, {N, STEPS, C}}, {3, {N, STEPS, C}}}}, SIZE);
    check_kind(PACK, 1, (gradient_case){.input = {{3, {N, STEPS, C}}}}, ROWS * C);
    check_kind(UNPACK, 1, (gradient_case){.input = {{2, {ROWS, C}}}}, SIZE);
    check_kind(ACTIVATE, 1, (gradient_case){.input = {{3, {N, STEPS, C}}}}, SIZE);
    check_kind(QUERY, 2, (gradient_case){.input = {{2, {N, 8}}, {1, {4}}}}, SIZE);
}

/* ---- published layers */

static float *read_floats(hid_t file, const char *path, int64_t size) {
    void *data = NULL;
    int64_t n;
    CHECK_INT(ap_h5_read(file, path, AP_F32, size, 1 << 16, &data, &n, NULL), AP_OK);
    return data;
}
static void check_floats(hid_t file, const char *path, int64_t size, const float *got, double tolerance) {
    float *want = read_floats(file, path, size);
    const int before = ap_check_failures;
    for (int64_t i = 0; i < size; i++) CHECK_NEAR(got[i], want[i], tolerance);
    if (ap_check_failures > before) printf("in %s\n", path);
    free(want);
}
static void count_lengths(hid_t file, const char *path, int64_t n, int64_t steps, int64_t *count) {
    float *paddings = read_floats(file, path, n * steps);
    for (int64_t i = 0; i < n; i++)
        for (count[i] = 0; count[i] < steps && paddings[i * steps + count[i]] == 0;) count[i]++;
    free(paddings);
}

/* Parameters of shapes given, filled from the file. */
static ap_params *read_set(hid_t file, int count, const char *const *paths, const gradient_case *shapes) {
    ap_params *params = ap_params_create();
    for (int i = 0; i < count; i++)
        CHECK_INT(
            ap_params_add(params, paths[i], shapes->input[i].rank, shapes->input[i].shape, ap_init_constant(0), NULL),
            AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    for (int i = 0; i < count; i++) {
        const int64_t size = ap_params_get(params, i)->size;
        float *values = read_floats(file, paths[i], size);
        memcpy(ap_params_value(params, i), values, (size_t)size * sizeof *values);
        free(values);
    }
    return params;
}

/* x -> packed -> batch norm with 1 + scale and biased running variance -> padded with 0. */
static ap_tensor *masked_batch_norm(ap_tape *tape, const int64_t *count) {
    ap_tensor *x = ap_tape_param(tape, 0), *scale = ap_scale_shift(tape, ap_tape_param(tape, 1), 1, 1);
    ap_tensor *y = ap_batch_norm(tape, ap_pack_rows(tape, x, count), scale, ap_tape_param(tape, 2),
                                 &(ap_running){.mean = 0, .variance = 1, .momentum = 0.001f, .biased = true},
                                 &(ap_norm_options){.eps = 0.001f});
    return ap_unpack_rows(tape, y, 3, 6, count);
}
static void test_masked_batch_norm(void) {
    static const char *const paths[] = {"/masked_batch_norm/x", "/masked_batch_norm/scale", "/masked_batch_norm/bias"};
    static const char *const states[] = {"/masked_batch_norm/running_mean_initial",
                                         "/masked_batch_norm/running_var_initial"};
    const gradient_case shapes = {.input = {{3, {3, 6, 5}}, {1, {5}}, {1, {5}}}},
                        moments = {.input = {{1, {5}}, {1, {5}}}};
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/layers.h5", &file, NULL), AP_OK);
    ap_params *params = read_set(file, 3, paths, &shapes), *state = read_set(file, 2, states, &moments);
    int64_t count[3];
    count_lengths(file, "/masked_batch_norm/paddings", 3, 6, count);
    float gradients[256], new_state[64], *dy = read_floats(file, "/masked_batch_norm/dy", 90);
    ap_tape *tape = ap_tape_create(params, state, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true,
                                   .wants_grad = true,
                                   .update_state = true,
                                   .gradients = gradients,
                                   .new_state = new_state});
    ap_tensor *y = masked_batch_norm(tape, count);
    CHECK(y != NULL);
    if (y) check_floats(file, "/masked_batch_norm/y_train", 90, y->data, 2e-6);
    gradient_record_root(tape, y, dy);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    static const char *const wanted[] = {"/masked_batch_norm/dx", "/masked_batch_norm/dscale",
                                         "/masked_batch_norm/dbias"};
    for (int i = 0; i < 3; i++)
        check_floats(file, wanted[i], ap_params_get(params, i)->size, gradients + ap_params_get(params, i)->offset,
                     5e-6);
    check_floats(file, "/masked_batch_norm/running_mean_updated", 5, new_state, 1e-7);
    check_floats(file, "/masked_batch_norm/running_var_updated", 5, new_state + ap_params_get(state, 1)->offset, 1e-6);
    memcpy(ap_params_values(state), new_state, (size_t)ap_params_length(state) * sizeof *new_state);
    ap_tape_begin(tape, &(ap_pass){0});
    y = masked_batch_norm(tape, count);
    if (y) check_floats(file, "/masked_batch_norm/y_eval_with_updated_stats", 90, y->data, 2e-6);
    ap_tape_destroy(tape);
    ap_params_destroy(params), ap_params_destroy(state);
    free(dy);
    ap_h5_close(file);
}

static void test_query_scaler(void) {
    static const char *const paths[] = {"/query_scaler/x", "/query_scaler/scale"};
    const gradient_case shapes = {.input = {{2, {2, 6}}, {1, {6}}}};
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/layers.h5", &file, NULL), AP_OK);
    ap_params *params = read_set(file, 2, paths, &shapes);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *y = ap_query_scale(tape, ap_tape_param(tape, 0), ap_tape_param(tape, 1));
    CHECK(y != NULL);
    if (y) check_floats(file, "/query_scaler/y", 12, y->data, 1e-6);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    ap_h5_close(file);
}

/* 3 x 3, stride 2, TensorFlow's SAME: 0 before and 1 behind for even sizes, 1 and 1 for odd ones; ReLU; padding 0. */
static void check_subsampling(hid_t file, const char *group, int64_t steps) {
    char names[3][64], path[64];
    static const char *const parts[] = {"x", "kernel", "bias"};
    for (int i = 0; i < 3; i++) snprintf(names[i], sizeof names[i], "/%s/%s", group, parts[i]);
    const gradient_case shapes = {.input = {{4, {2, 1, steps, 6}}, {4, {3, 1, 3, 3}}, {1, {3}}}};
    ap_params *params = read_set(file, 3, (const char *const[]){names[0], names[1], names[2]}, &shapes);
    int64_t count[2];
    snprintf(path, sizeof path, "/%s/out_paddings", group);
    count_lengths(file, path, 2, 4, count);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    const ap_conv2d_options options = {
        .stride_h = 2, .stride_w = 2, .pad_top = steps % 2, .pad_bottom = 1, .pad_right = 1};
    ap_tensor *x = ap_channels_last(tape, ap_tape_param(tape, 0));
    ap_tensor *y = ap_conv2d(tape, x, ap_tape_param(tape, 1), ap_tape_param(tape, 2), &options);
    y = ap_activate_rows(tape, y, count, AP_RELU);
    CHECK(y && y->size == 2 * 4 * 3 * 3);
    snprintf(path, sizeof path, "/%s/y", group);
    float *want = read_floats(file, path, 72); /* [2, 3, 4, 3], channels first */
    for (int64_t i = 0; y && i < 72; i++) {
        const int64_t c = i % 3, f = i / 3 % 3, t = i / 9 % 4, n = i / 36;
        CHECK_NEAR(y->data[i], want[((n * 3 + c) * 4 + t) * 3 + f], 2e-6);
    }
    free(want);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}
static void test_subsampling(void) {
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/layers.h5", &file, NULL), AP_OK);
    check_subsampling(file, "conv2d_subsampling_T7", 7);
    check_subsampling(file, "conv2d_subsampling_T8", 8);
    ap_h5_close(file);
}

AP_TEST_MAIN(test_gradients, test_masked_batch_norm, test_query_scaler, test_subsampling)
