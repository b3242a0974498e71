/* ap_segment_sum, ap_segment_mean, ap_gather_rows and ap_linear_parts against their twins; the published segment sum;
 * the same bits on every instruction set, with any number of threads. */
#include "base/h5.h"
#include "gradient.h"
#include "tensor/kernels/isa.h"

/* ---- sums, means, gathers */

typedef struct dims {
    int64_t rows, count, columns;
    const int64_t *of;
} dims;

/* Segment 1 and the last are empty. */
static const int64_t edges[] = {2, 0, 2, 3, 0, 2, 5, 3, 2};
static const dims cases[] = {{9, 7, 5, edges}, {9, 6, 1, edges}, {1, 1, 17, (int64_t[]){0}}};

static ap_tensor *op_sum(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    return ap_segment_sum(tape, x[0], ap_segments_of(tape, d->rows, d->of, d->count));
}
static ap_tensor *op_mean(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    return ap_segment_mean(tape, x[0], ap_segments_of(tape, d->rows, d->of, d->count));
}
static ap_tensor *op_gather(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    return ap_gather_rows(tape, x[0], ap_segments_of(tape, d->rows, d->of, d->count));
}
static void twin_sum(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    for (int64_t i = 0; i < d->count * d->columns; i++) y[i] = 0;
    for (int64_t i = 0; i < d->rows * d->columns; i++)
        y[d->of[i / d->columns] * d->columns + i % d->columns] += x[0][i];
}
static void twin_mean(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    twin_sum(x, y, user);
    for (int64_t k = 0; k < d->count; k++) {
        int n = 0;
        for (int64_t i = 0; i < d->rows; i++) n += d->of[i] == k;
        for (int64_t j = 0; n && j < d->columns; j++) y[k * d->columns + j] /= n;
    }
}
static void twin_gather(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    for (int64_t i = 0; i < d->rows * d->columns; i++) y[i] = x[0][d->of[i / d->columns] * d->columns + i % d->columns];
}

static void test_gradients(void) {
    for (int i = 0; i < 3; i++) {
        const dims *d = &cases[i];
        gradient_case c = {.name = "segment sum",
                           .inputs = 1,
                           .input = {{2, {d->rows, d->columns}}},
                           .range = 1,
                           .op = op_sum,
                           .twin = twin_sum,
                           .outputs = d->count * d->columns,
                           .user = d,
                           .tolerance = 1e-6};
        gradient_check(&c);
        c.name = "segment mean", c.op = op_mean, c.twin = twin_mean;
        gradient_check(&c);
        gradient_check(&(gradient_case){.name = "gather",
                                        .inputs = 1,
                                        .input = {{2, {d->count, d->columns}}},
                                        .range = 1,
                                        .op = op_gather,
                                        .twin = twin_gather,
                                        .outputs = d->rows * d->columns,
                                        .user = d,
                                        .tolerance = 1e-6});
    }
}

/* ---- a linear layer of parts: x0 as it is, x1 gathered in two ways, x0 again */

enum { M = 9, C0 = 3, N1 = 7, C1 = 4, OUT = 5, IN = 2 * C0 + 2 * C1 };
static const int64_t others[M] = {6, 6, 1, 0, 3, 3, 6, 2, 4};

static ap_tensor *op_parts(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const ap_linear_part parts[] = {{x[0], NULL},
                                    {x[1], ap_segments_of(tape, M, edges, N1)},
                                    {x[1], ap_segments_of(tape, M, others, N1)},
                                    {x[0], NULL}};
    return ap_linear_parts(tape, 4, parts, x[2], user ? NULL : x[3]);
}
static void twin_parts(const double *const *x, double *y, const void *user) {
    for (int i = 0; i < M; i++) {
        double row[IN];
        for (int j = 0; j < C0; j++) row[j] = row[C0 + 2 * C1 + j] = x[0][i * C0 + j];
        for (int j = 0; j < C1; j++) row[C0 + j] = x[1][edges[i] * C1 + j], row[C0 + C1 + j] = x[1][others[i] * C1 + j];
        for (int o = 0; o < OUT; o++) {
            y[i * OUT + o] = user ? 0 : x[3][o];
            for (int j = 0; j < IN; j++) y[i * OUT + o] += x[2][o * IN + j] * row[j];
        }
    }
}
static void test_parts(void) {
    for (int without_bias = 0; without_bias < 2; without_bias++)
        gradient_check(&(gradient_case){.name = "linear of parts",
                                        .inputs = without_bias ? 3 : 4,
                                        .input = {{2, {M, C0}}, {2, {N1, C1}}, {2, {OUT, IN}}, {1, {OUT}}},
                                        .range = 1,
                                        .op = op_parts,
                                        .twin = twin_parts,
                                        .outputs = M * OUT,
                                        .user = without_bias ? "" : NULL,
                                        .tolerance = 1e-5});
}

/* ---- what does not fit */

static void check_refused(const int64_t *of, int64_t rows, int64_t count, ap_status status, const char *text) {
    ap_params *params = ap_params_create();
    ap_error error = {0};
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    static const float x[12];
    ap_tensor *t = ap_tape_input(tape, x, 2, (int64_t[]){3, 4});
    CHECK(ap_segment_sum(tape, t, ap_segments_of(tape, rows, of, count)) == NULL);
    CHECK_INT(ap_tape_status(tape, &error), status);
    CHECK_TEXT(error.text, text);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}
static void test_refused(void) {
    check_refused((int64_t[]){0, 2, 1}, 3, 2, AP_DATA, "row 1 belongs to segment 2 (there are 2");
    check_refused((int64_t[]){0, 0, -1}, 3, 2, AP_DATA, "row 2 belongs to segment -1");
    check_refused((int64_t[]){0, 0, 1, 1}, 4, 2, AP_BUG, "x has 3 rows (wanted 4)");
}

/* ---- the published segment sum */

static void *read(hid_t file, const char *path, ap_dtype type) {
    void *data = NULL;
    int64_t n;
    CHECK_INT(ap_h5_read(file, path, type, -1, 1 << 16, &data, &n, NULL), AP_OK);
    return data;
}
static void test_published(void) {
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/layers.h5", &file, NULL), AP_OK);
    float *x = read(file, "/segment_sum/src", AP_F32), *want = read(file, "/segment_sum/out", AP_F32);
    int64_t *of = read(file, "/segment_sum/index", AP_I64);
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *y = ap_segment_sum(tape, ap_tape_input(tape, x, 2, (int64_t[]){9, 4}), ap_segments_of(tape, 9, of, 7));
    CHECK(y && y->size == 28);
    for (int i = 0; y && i < 28; i++) CHECK_NEAR(y->data[i], want[i], 1e-6);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    free(x), free(want), free(of);
    ap_h5_close(file);
}

/* ---- bits */

enum { EDGES = 1200, NODES = 450, WIDTH = 100, SIZE = EDGES * WIDTH };

static void run(ap_params *params, const int64_t *of, const int64_t *graph, const float *c, float *gradients,
                float *y) {
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradients});
    const ap_segments *from = ap_segments_of(tape, EDGES, of, NODES), *to = ap_segments_of(tape, NODES, graph, 40);
    const ap_linear_part parts[] = {{ap_tape_param(tape, 0), NULL}, {ap_tape_param(tape, 1), from}};
    ap_tensor *e = ap_linear_parts(tape, 2, parts, ap_tape_param(tape, 2), ap_tape_param(tape, 3));
    ap_tensor *n = ap_segment_mean(tape, ap_segment_sum(tape, e, from), to);
    memcpy(y, n->data, (size_t)n->size * sizeof *y);
    gradient_record_root(tape, n, c);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    ap_tape_destroy(tape);
}

static void test_bits(void) {
    static const int64_t shapes[4][2] = {{EDGES, WIDTH}, {NODES, WIDTH}, {WIDTH, 2 * WIDTH}, {WIDTH, 1}};
    static const char *const names[] = {"edges", "nodes", "w", "b"};
    static int64_t of[EDGES], graph[NODES];
    uint64_t noise = 5;
    for (int i = 0; i < EDGES; i++) of[i] = (int64_t)((gradient_noise(&noise) + 1) / 2 * NODES);
    for (int i = 0; i < NODES; i++) graph[i] = i * 40 / NODES;
    ap_params *params = ap_params_create();
    for (int i = 0; i < 4; i++) ap_params_add(params, names[i], i == 3 ? 1 : 2, shapes[i], ap_init_normal(1), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 3);
    const size_t length = (size_t)ap_params_length(params), outputs = 40 * WIDTH;
    float *c = calloc(outputs, sizeof *c), *y = calloc(2 * outputs, sizeof *y), *g = calloc(2 * length, sizeof *g);
    for (size_t i = 0; i < outputs; i++) c[i] = (float)gradient_noise(&noise);
    const ap_isa best = ap_isa_current();
    CHECK(ap_isa_force(AP_ISA_PORTABLE));
    run(params, of, graph, c, g, y);
    for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++) {
        if (!ap_isa_force(isa)) continue;
        ap_kernels_set_threads(isa == AP_ISA_PORTABLE ? 2 : 3);
        run(params, of, graph, c, g + length, y + outputs);
        CHECK(memcmp(y, y + outputs, outputs * sizeof *y) == 0);
        CHECK(memcmp(g, g + length, length * sizeof *g) == 0);
        ap_kernels_set_threads(1);
    }
    CHECK(ap_isa_force(best));
    free(c), free(y), free(g);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradients, test_parts, test_refused, test_published, test_bits)
