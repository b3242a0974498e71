/* ap_table_lookup against its twin, and its gradients as lists of rows against those of the table's size; the order of
 * a long sum; what it refuses. Lists of rows: rows.h. */
#include "gradient.h"

enum { TABLES = 2, ROWS = 6, COLUMNS = 3, PLACES = 10 };
static const int32_t ids[PLACES] = {7, 0, 11, 7, 3, 3, 7, 5, 6, 0};

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    return ap_table_lookup(tape, TABLES, x, 2, (int64_t[]){PLACES / 2, 2}, ids);
}
static void twin(const double *const *x, double *y, const void *user) {
    (void)user;
    for (int i = 0; i < PLACES; i++)
        for (int j = 0; j < COLUMNS; j++)
            y[i * COLUMNS + j] = x[ids[i] / ROWS][(size_t)(ids[i] % ROWS) * COLUMNS + (size_t)j];
}

static void test_gradient(void) {
    gradient_check(&(gradient_case){.name = "table lookup",
                                    .inputs = TABLES,
                                    .input = {{2, {ROWS, COLUMNS}}, {2, {ROWS, COLUMNS}}},
                                    .range = 1,
                                    .op = op,
                                    .twin = twin,
                                    .outputs = PLACES * COLUMNS,
                                    .tolerance = 1e-6});
}

/* ---- lists of rows */

typedef struct bench {
    ap_params *params;
    ap_tape *tape;
    int64_t rows, columns;
    float *gradients, *cotangent;
    ap_rows list[TABLES];
} bench;

static void open_bench(bench *b, int64_t rows, int64_t columns, int64_t places) {
    *b = (bench){.params = ap_params_create(), .rows = rows, .columns = columns};
    CHECK_INT(ap_params_add(b->params, "before", 1, &(int64_t){1}, ap_init_constant(0), NULL), AP_OK);
    CHECK_INT(ap_params_add_table(b->params, "a", rows, columns, ap_init_uniform_positive(1), NULL), AP_OK);
    CHECK_INT(ap_params_add_table(b->params, "b", rows, columns, ap_init_uniform_positive(1), NULL), AP_OK);
    CHECK_INT(ap_params_add(b->params, "behind", 1, &(int64_t){1}, ap_init_constant(0), NULL), AP_OK);
    CHECK_INT(ap_params_allocate(b->params, NULL), AP_OK);
    ap_params_initialise(b->params, 3);
    b->tape = ap_tape_create(b->params, NULL, AP_MATH_ORDERED);
    b->gradients = calloc((size_t)ap_params_length(b->params), sizeof(float));
    b->cotangent = calloc((size_t)(places * columns), sizeof(float));
    uint64_t noise = 9;
    for (int64_t i = 0; i < places * columns; i++) b->cotangent[i] = (float)gradient_noise(&noise);
}
static void close_bench(bench *b) {
    for (int t = 0; t < TABLES; t++) ap_rows_free(&b->list[t]);
    free(b->gradients), free(b->cotangent);
    ap_tape_destroy(b->tape);
    ap_params_destroy(b->params);
}

/* A pass whose loss is the lookup's product with the cotangent. */
static ap_status run(bench *b, bool lists, int uses, int64_t places, const int32_t *at) {
    ap_tape_begin(
        b->tape,
        &(ap_pass){.training = true, .wants_grad = true, .gradients = b->gradients, .rows = lists ? b->list : NULL});
    ap_tensor *table[TABLES] = {ap_tape_param(b->tape, 1), ap_tape_param(b->tape, 2)};
    for (int u = 0; u < uses; u++)
        gradient_record_root(b->tape, ap_table_lookup(b->tape, TABLES, table, 1, &places, at), b->cotangent);
    return ap_tape_backward(b->tape, NULL);
}

/* The dense gradient of a pass, and the lists of another: the same bits where a row is listed, zero elsewhere. */
static void compare(bench *b, int64_t places, const int32_t *at) {
    CHECK_INT(run(b, false, 1, places, at), AP_OK);
    const size_t n = (size_t)ap_params_length(b->params);
    float *dense = malloc(n * sizeof *dense);
    memcpy(dense, b->gradients, n * sizeof *dense);
    for (size_t i = 0; i < n; i++) b->gradients[i] = NAN;
    CHECK_INT(run(b, true, 1, places, at), AP_OK);
    CHECK_INT(ap_params_gradient_length(b->params), 32);
    CHECK(b->gradients[0] == 0 && b->gradients[ap_params_get(b->params, 3)->gradient_offset] == 0);
    for (int t = 0; t < TABLES; t++) {
        const ap_rows *list = &b->list[t];
        const float *want = dense + ap_params_get(b->params, 1 + t)->offset;
        int64_t next = 0;
        for (int64_t row = 0; row < b->rows; row++) {
            bool looked_up = false, zero = true;
            for (int64_t i = 0; i < places; i++) looked_up = looked_up || at[i] == row + t * b->rows;
            const float *values = want + row * b->columns;
            for (int64_t j = 0; j < b->columns; j++) zero = zero && values[j] == 0;
            if (!looked_up) {
                CHECK(zero);
                continue;
            }
            CHECK(next < list->count && list->row[next] == row);
            CHECK(memcmp(list->values + next * b->columns, values, (size_t)b->columns * sizeof *values) == 0);
            next++;
        }
        CHECK_INT(next, list->count);
    }
    free(dense);
}

static void test_lists(void) {
    bench b;
    open_bench(&b, ROWS, COLUMNS, PLACES);
    compare(&b, PLACES, ids);
    compare(&b, 1, (int32_t[]){2});
    compare(&b, 0, (int32_t[]){0});
    CHECK_INT(run(&b, true, 0, 0, ids), AP_OK); /* nobody looks anything up */
    CHECK_INT(b.list[0].count + b.list[1].count, 0);
    close_bench(&b);
    enum { MANY = 3000, TALL = 100000 }; /* more than one digit of the sort */
    static int32_t far[MANY];
    for (int i = 0; i < MANY; i++) far[i] = (int32_t)((uint32_t)i * 2654435761u % (2 * TALL));
    open_bench(&b, TALL, 1, MANY);
    compare(&b, MANY, far);
    close_bench(&b);
}

/* A row that is looked up more than AP_GEMM_CHUNK times: chunks, folded by a tree. */
static void test_order(void) {
    enum { CHUNKS = 3, N = (CHUNKS - 1) * AP_GEMM_CHUNK + 100 };
    static int32_t same[N];
    bench b;
    for (int i = 0; i < N; i++) same[i] = 1;
    open_bench(&b, 4, 1, N);
    CHECK_INT(run(&b, true, 1, N, same), AP_OK);
    float chunk[CHUNKS] = {0};
    for (int i = 0; i < N; i++) {
        float *sum = &chunk[i / AP_GEMM_CHUNK];
        *sum = i % AP_GEMM_CHUNK ? *sum + b.cotangent[i] : b.cotangent[i];
    }
    CHECK_INT(b.list[0].count, 1);
    CHECK(b.list[0].values[0] == (chunk[0] + chunk[1]) + chunk[2]);
    close_bench(&b);
}

static void test_refused(void) {
    bench b;
    open_bench(&b, ROWS, COLUMNS, PLACES);
    CHECK_INT(run(&b, true, 1, 2, (int32_t[]){0, 2 * ROWS}), AP_DATA);
    CHECK_INT(run(&b, true, 1, 2, (int32_t[]){-1, 0}), AP_DATA);
    CHECK_INT(run(&b, false, 2, PLACES, ids), AP_OK);
    CHECK_INT(run(&b, true, 2, PLACES, ids), AP_BUG);
    ap_tape_begin(b.tape, &(ap_pass){.wants_grad = true, .gradients = b.gradients, .rows = b.list});
    ap_tensor *x = ap_tape_input(b.tape, b.cotangent, 2, (int64_t[]){1, COLUMNS});
    gradient_record_root(b.tape, ap_linear(b.tape, x, ap_tape_param(b.tape, 1), NULL), b.cotangent);
    ap_error error = {0};
    CHECK_INT(ap_tape_backward(b.tape, &error), AP_BUG);
    CHECK_TEXT(error.text, "list of rows");
    close_bench(&b);
}

/* ---- sums of lists */

static ap_rows make_list(int n, const int32_t *row) {
    ap_rows list = {.columns = 2};
    CHECK(ap_rows_reserve(&list, n));
    for (int i = 0; i < n; i++) list.row[i] = row[i], list.values[2 * i] = (float)row[i], list.values[2 * i + 1] = 1;
    list.count = n;
    return list;
}

static void test_sums_of_lists(void) {
    ap_rows a = make_list(4, (int32_t[]){0, 3, 5, 9}), b = make_list(3, (int32_t[]){3, 4, 10}), none = {.columns = 2};
    ap_rows out = {0};
    CHECK(ap_rows_add(&a, &b, 0, INT32_MAX, &out));
    static const int32_t want[] = {0, 3, 4, 5, 9, 10};
    CHECK_INT(out.count, 6);
    for (int i = 0; i < 6; i++) {
        const bool both = want[i] == 3;
        CHECK_INT(out.row[i], want[i]);
        CHECK(out.values[2 * i] == (float)(want[i] * (both ? 2 : 1)) && out.values[2 * i + 1] == (both ? 2 : 1));
    }
    CHECK(ap_rows_add(&a, &b, 3, 9, &out));
    CHECK_INT(out.count, 3);
    CHECK(out.row[0] == 3 && out.row[1] == 4 && out.row[2] == 5);
    CHECK(ap_rows_add(&none, &b, 0, INT32_MAX, &out) && out.count == 3 && out.row[2] == 10);
    CHECK(ap_rows_add(&none, &none, 0, INT32_MAX, &out) && out.count == 0);
    CHECK_INT(ap_rows_find(&a, 0), 0);
    CHECK_INT(ap_rows_find(&a, 4), 2);
    CHECK_INT(ap_rows_find(&a, 100), 4);
    ap_rows_free(&a), ap_rows_free(&b), ap_rows_free(&out);
}

AP_TEST_MAIN(test_gradient, test_lists, test_order, test_refused, test_sums_of_lists)
