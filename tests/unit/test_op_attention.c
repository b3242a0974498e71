/* ap_attention against its twin: heads, different numbers of queries and keys, causal, bias, several blocks of queries,
 * dropout; the same bits on every instruction set, with any number of threads; what is refused. */
#include "gradient.h"
#include "tensor/kernels/isa.h"

typedef struct dims {
    int64_t n, queries, keys, heads, d, dv;
    bool causal;
    const float *bias;
    int64_t bias_example, bias_query;
} dims;

static ap_attention_options options_of(const dims *d) {
    return (ap_attention_options){.heads = d->heads,
                                  .scale = 0.7f,
                                  .causal = d->causal,
                                  .bias = d->bias,
                                  .bias_example = d->bias_example,
                                  .bias_query = d->bias_query};
}
static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const ap_attention_options options = options_of(user);
    return ap_attention(tape, x[0], x[1], x[2], &options);
}

static void twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    double *p = malloc((size_t)d->keys * sizeof *p);
    for (int64_t e = 0; e < d->n * d->heads * d->queries; e++) {
        const int64_t i = e % d->queries, h = e / d->queries % d->heads, n = e / d->queries / d->heads;
        double sum = 0;
        for (int64_t j = 0; j < d->keys; j++) {
            double s = 0;
            for (int64_t c = 0; c < d->d; c++)
                s += x[0][((n * d->queries + i) * d->heads + h) * d->d + c] *
                     x[1][((n * d->keys + j) * d->heads + h) * d->d + c];
            s *= 0.7f;
            if (d->bias) s += (double)d->bias[n * d->bias_example + i * d->bias_query + j];
            p[j] = d->causal && j > i + d->keys - d->queries ? 0 : exp(s);
            sum += p[j];
        }
        for (int64_t c = 0; c < d->dv; c++) {
            double o = 0;
            for (int64_t j = 0; j < d->keys; j++) o += p[j] * x[2][((n * d->keys + j) * d->heads + h) * d->dv + c];
            y[((n * d->queries + i) * d->heads + h) * d->dv + c] = sum > 0 ? o / sum : 0;
        }
    }
    free(p);
}

static void check_dims(dims d) {
    gradient_check(&(gradient_case){.name = "attention",
                                    .inputs = 3,
                                    .input = {{3, {d.n, d.queries, d.heads * d.d}},
                                              {3, {d.n, d.keys, d.heads * d.d}},
                                              {3, {d.n, d.keys, d.heads * d.dv}}},
                                    .range = 1,
                                    .op = op,
                                    .twin = twin,
                                    .outputs = d.n * d.queries * d.heads * d.dv,
                                    .user = &d,
                                    .tolerance = 2e-5});
}

static void test_gradients(void) {
    static const float bias[2 * 5 * 4] = {0, -1, 0.5f, 0, -INFINITY, 1, 0, 0.25f, 2,    0,
                                          0, -1, 0,    0, 0,         1, 0, 0,     0.5f, 0};
    check_dims((dims){.n = 2, .queries = 5, .keys = 5, .heads = 2, .d = 3, .dv = 3});
    check_dims((dims){.n = 1, .queries = 1, .keys = 7, .heads = 1, .d = 4, .dv = 2});
    check_dims((dims){.n = 1, .queries = 6, .keys = 6, .heads = 2, .d = 2, .dv = 3, .causal = true});
    check_dims((dims){.n = 1, .queries = 3, .keys = 5, .heads = 1, .d = 2, .dv = 2, .causal = true});
    check_dims((dims){.n = 1, .queries = 4, .keys = 2, .heads = 1, .d = 2, .dv = 2, .causal = true}); /* blind rows */
    check_dims((dims){.n = 2,
                      .queries = 5,
                      .keys = 4,
                      .heads = 1,
                      .d = 2,
                      .dv = 2,
                      .bias = bias,
                      .bias_example = 20,
                      .bias_query = 4});
    check_dims((dims){.n = 2, .queries = 3, .keys = 4, .heads = 2, .d = 2, .dv = 1, .bias = bias, .bias_example = 4});
    check_dims((dims){.n = 1, .queries = 133, .keys = 3, .heads = 1, .d = 1, .dv = 1}); /* two blocks of queries */
}

/* ---- longer ones: bits, and dropout */

enum { N = 2, T = 150, HEADS = 3, D = 20, WIDTH = HEADS * D, SIZE = N * T * WIDTH };

static ap_params *make_params(void) {
    static const char *const names[] = {"q", "k", "v"};
    ap_params *params = ap_params_create();
    for (int i = 0; i < 3; i++) ap_params_add(params, names[i], 3, (int64_t[]){N, T, WIDTH}, ap_init_normal(1), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 3);
    return params;
}

static void run(ap_params *params, float rate, const float *c, float *gradients, float *y) {
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradients, .dropout_rate = rate});
    ap_tensor *out = ap_attention(tape, ap_tape_param(tape, 0), ap_tape_param(tape, 1), ap_tape_param(tape, 2),
                                  &(ap_attention_options){.heads = HEADS, .scale = 0.25f, .drop = true});
    memcpy(y, out->data, SIZE * sizeof *y);
    gradient_record_root(tape, out, c);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    ap_tape_destroy(tape);
}

static void test_bits(void) {
    ap_params *params = make_params();
    const size_t length = (size_t)ap_params_length(params);
    float *c = calloc(SIZE, sizeof *c), *y = calloc(2 * SIZE, sizeof *y), *g = calloc(2 * length, sizeof *g);
    uint64_t noise = 5;
    for (int i = 0; i < SIZE; i++) c[i] = (float)gradient_noise(&noise);
    const ap_isa best = ap_isa_current();
    CHECK(ap_isa_force(AP_ISA_PORTABLE));
    run(params, 0.1f, c, g, y);
    for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++) {
        if (!ap_isa_force(isa)) continue;
        ap_kernels_set_threads(isa == AP_ISA_PORTABLE ? 2 : 3);
        run(params, 0.1f, c, g + length, y + SIZE);
        CHECK(memcmp(y, y + SIZE, SIZE * sizeof *y) == 0);
        CHECK(memcmp(g, g + length, length * sizeof *g) == 0);
        ap_kernels_set_threads(1);
    }
    CHECK(ap_isa_force(best));
    free(c), free(y), free(g);
    ap_params_destroy(params);
}

/* With v = 1 an output is the sum of its row's kept probabilities / (1 - rate): 1 in the mean, not everywhere. And the
 * gradient is that of the same mask: along v, d(sum c O)/dv times v is sum c O. */
static void test_dropout(void) {
    ap_params *params = make_params();
    float *c = calloc(SIZE, sizeof *c), *y = calloc(SIZE, sizeof *y),
          *g = calloc((size_t)ap_params_length(params), sizeof *g);
    for (int i = 0; i < SIZE; i++) c[i] = 1, ap_params_value(params, 2)[i] = 1;
    run(params, 0.3f, c, g, y);
    double mean = 0, square = 0, along_v = 0;
    for (int i = 0; i < SIZE; i++) mean += (double)y[i] / SIZE, square += (double)y[i] * (double)y[i] / SIZE;
    for (int i = 0; i < SIZE; i++) along_v += (double)g[ap_params_get(params, 2)->offset + i] / SIZE;
    CHECK_NEAR(mean, 1, 0.05);
    CHECK(square - mean * mean > 1e-4);
    CHECK_NEAR(along_v, mean, 1e-5);
    free(c), free(y), free(g);
    ap_params_destroy(params);
}

static void test_refused(void) {
    ap_params *params = make_params();
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_error error;
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *q = ap_tape_param(tape, 0), *k = ap_tape_param(tape, 1), *v = ap_tape_param(tape, 2);
    CHECK(ap_attention(tape, q, k, v, &(ap_attention_options){.heads = 7, .scale = 1}) == NULL);
    CHECK_TEXT((ap_tape_status(tape, &error), error.text), "7 heads");
    ap_tape_begin(tape, &(ap_pass){0});
    q = ap_tape_param(tape, 0), k = ap_tape_param(tape, 1);
    CHECK(ap_attention(tape, q, k, k, &(ap_attention_options){.heads = HEADS, .scale = 1}) == NULL);
    CHECK_TEXT((ap_tape_status(tape, &error), error.text), "different tensors");
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradients, test_bits, test_dropout, test_refused)
