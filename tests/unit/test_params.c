/* The parameter set: types from names, initialisers, layout, packed forms, digest, wrong declarations. */
#include "allocations.h"
#include "base/random.h"
#include "check.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"
#include "tensor/params.h"

static ap_params *make(int n, const char *const *names, const int64_t (*shapes)[2], ap_init init) {
    ap_params *params = ap_params_create();
    for (int i = 0; i < n; i++) CHECK_INT(ap_params_add(params, names[i], 2, shapes[i], init, NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    return params;
}

static ap_params *make_one(int64_t rows, int64_t columns, ap_init init) {
    return make(1, (const char *const[]){"w"}, (const int64_t[1][2]){{rows, columns}}, init);
}

/* All names of the published models (every workload and variant) have the published type. */
static void test_types_of_published_names(void) {
    FILE *file = fopen(AP_TEST_FIXTURES "/param_types.csv", "r");
    CHECK(file != NULL);
    char line[512];
    int names = 0;
    while (file && fgets(line, sizeof line, file)) {
        char *comma = strchr(line, ',');
        line[strcspn(line, "\r\n")] = 0;
        CHECK(comma != NULL);
        if (!comma || strcmp(line, "name,type") == 0) continue;
        *comma = 0;
        names++;
        const char *type = ap_param_type_name(ap_param_type_of(line));
        if (strcmp(type, comma + 1) != 0) printf("%s: %s, published as %s\n", line, type, comma + 1);
        CHECK(strcmp(type, comma + 1) == 0);
    }
    if (file) fclose(file);
    CHECK_INT(names, 1119);
}

/* Lines of the rule that no published name reaches. */
static void test_types_by_rule(void) {
    CHECK_INT(ap_param_type_of("attn.k_proj.weight"), AP_PARAM_ATTENTION_K);
    CHECK_INT(ap_param_type_of("attention.v_proj.weight"), AP_PARAM_ATTENTION_V);
    CHECK_INT(ap_param_type_of("attn.kv_proj.weight"), AP_PARAM_ATTENTION_KV);
    CHECK_INT(ap_param_type_of("bn1.running_mean"), AP_PARAM_BATCH_NORM_SCALE);
    CHECK_INT(ap_param_type_of("embedding"), AP_PARAM_WEIGHT);
    CHECK_INT(ap_param_type_of("conv_norm.bias"), AP_PARAM_LAYER_NORM_BIAS);
    CHECK_INT(ap_param_type_of("attn.gate"), AP_PARAM_WEIGHT);
}

static void test_layout(void) {
    static const char *const names[] = {"a", "b", "c"};
    ap_params *params = make(3, names, (const int64_t[3][2]){{3, 5}, {4, 8}, {1, 1}}, ap_init_constant(1));
    ap_params_initialise(params, 1);
    CHECK_INT(ap_params_count(params), 3);
    CHECK_INT(ap_params_elements(params), 15 + 32 + 1);
    CHECK_INT(ap_params_length(params), 16 + 32 + 16);
    CHECK_INT(ap_params_get(params, 0)->offset, 0);
    CHECK_INT(ap_params_get(params, 1)->offset, 16);
    CHECK_INT(ap_params_get(params, 2)->offset, 48);
    CHECK_INT(ap_params_find(params, "b"), 1);
    CHECK_INT(ap_params_find(params, "d"), -1);
    double sum = 0;
    for (int64_t i = 0; i < ap_params_length(params); i++) sum += (double)ap_params_values(params)[i];
    CHECK_NEAR(sum, 48, 0); /* the gaps are zero */
    CHECK_INT((uintptr_t)ap_params_values(params) % 64, 0);
    ap_params_destroy(params);
    ap_params_destroy(NULL);
}

static void test_scalar_and_empty_set(void) {
    ap_params *params = ap_params_create();
    CHECK_INT(ap_params_add(params, "attn_scale", 0, NULL, ap_init_constant(3), NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 1);
    CHECK_INT(ap_params_elements(params), 1);
    CHECK_NEAR(ap_params_value(params, 0)[0], 3, 0);
    ap_params_destroy(params);
    params = ap_params_create();
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    CHECK_INT(ap_params_length(params), 0);
    ap_params_destroy(params);
}

static void test_wrong_declarations(void) {
    ap_params *params = ap_params_create();
    ap_error error;
    const int64_t shape[] = {2, 3}, zero[] = {2, 0}, huge[] = {INT64_MAX, 2}, large[] = {INT64_MAX / 8, 2};
    CHECK_INT(ap_params_add(params, "a", 2, shape, ap_init_constant(0), &error), AP_OK);
    CHECK_INT(ap_params_add(params, "a", 2, shape, ap_init_constant(0), &error), AP_BUG);
    CHECK_TEXT(error.text, "twice");
    CHECK_INT(ap_params_add(params, "", 2, shape, ap_init_constant(0), &error), AP_BUG);
    CHECK_INT(ap_params_add(params, "b", AP_MAX_RANK + 1, shape, ap_init_constant(0), &error), AP_BUG);
    CHECK_INT(ap_params_add(params, "b", 2, zero, ap_init_constant(0), &error), AP_BUG);
    CHECK_TEXT(error.text, "b has extent 0");
    CHECK_INT(ap_params_add(params, "b", 2, huge, ap_init_constant(0), &error), AP_CONFIG);
    CHECK_INT(ap_params_add(params, "b", 2, large, ap_init_constant(0), &error), AP_CONFIG);
    CHECK_INT(ap_params_count(params), 1); /* nothing was half added */
    CHECK_INT(ap_params_allocate(params, &error), AP_OK);
    CHECK_INT(ap_params_allocate(params, &error), AP_BUG);
    CHECK_INT(ap_params_add(params, "b", 2, shape, ap_init_constant(0), &error), AP_BUG);
    CHECK_TEXT(error.text, "allocated");
    ap_params_destroy(params);
}

typedef struct moments {
    double mean, std, largest;
} moments;
static moments moments_of(const ap_params *params, const float *x) {
    double sum = 0, squares = 0, largest = 0;
    int64_t n = ap_params_elements(params);
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i], squares += (double)x[i] * (double)x[i];
        largest = fmax(largest, fabs((double)x[i]));
    }
    double mean = sum / (double)n;
    return (moments){mean, sqrt(squares / (double)n - mean * mean), largest};
}
static moments initialised(ap_init init) {
    ap_params *params = make_one(200, 500, init); /* 1e5 draws: standard error of the mean 0.3 % of a deviation */
    ap_params_initialise(params, 7);
    moments m = moments_of(params, ap_params_value(params, 0));
    ap_params_destroy(params);
    return m;
}

static void test_uniform_fan_in(void) {
    moments m = initialised(ap_init_uniform_fan_in(400));
    CHECK(m.largest <= 0.05 && m.largest > 0.0499);
    CHECK_NEAR(m.mean, 0, 0.02 * 0.05);
    CHECK_NEAR(m.std, 0.05 / sqrt(3), 0.01 * 0.05);
}
static void test_lecun_truncated_normal(void) {
    moments m = initialised(ap_init_lecun_truncated_normal(400));
    double s = 0.05 / 0.87962566103423978;
    CHECK(m.largest <= 2 * s * (1 + 1e-6) && m.largest > 1.98 * s);
    CHECK_NEAR(m.mean, 0, 0.02 * 0.05);
    CHECK_NEAR(m.std, 0.05, 0.01 * 0.05); /* that is what the divisor is for */
}
static void test_normal_and_xavier(void) {
    moments m = initialised(ap_init_normal(0.02));
    CHECK_NEAR(m.mean, 0, 0.02 * 0.02);
    CHECK_NEAR(m.std, 0.02, 0.01 * 0.02);
    CHECK(m.largest > 3.5 * 0.02);
    m = initialised(ap_init_xavier_uniform(2, 4));
    CHECK(m.largest <= 1 && m.largest > 0.999);
}

/* Values depend on (seed, parameter index, element) alone. */
static void test_initialisation_is_keyed(void) {
    static const char *const names[] = {"a", "b"};
    ap_params *params = make(2, names, (const int64_t[2][2]){{4, 4}, {4, 4}}, ap_init_uniform(0.5));
    float first[16], want[16];
    ap_params_initialise(params, 3);
    memcpy(first, ap_params_value(params, 1), sizeof first);
    ap_random stream = ap_random_stream(3, AP_RANDOM_INIT, 1, 0);
    ap_random_fill_uniform(&stream, 0, 16, -0.5f, 1, want);
    CHECK(memcmp(first, want, sizeof want) == 0);
    CHECK(memcmp(first, ap_params_value(params, 0), sizeof first) != 0);
    ap_params_initialise(params, 4);
    CHECK(memcmp(first, ap_params_value(params, 1), sizeof first) != 0);
    ap_params_initialise(params, 3);
    CHECK(memcmp(first, ap_params_value(params, 1), sizeof first) == 0);
    ap_params_destroy(params);
}

/* The packed form gives the product of the plain matrix, before and after a change of the values. */
static void check_packed_product(ap_params *params, bool transpose) {
    enum { M = 9 };
    const ap_param *w = ap_params_get(params, 0);
    int64_t k = transpose ? w->shape[1] : w->shape[0], n = transpose ? w->shape[0] : w->shape[1];
    float *a = calloc((size_t)(M * k), sizeof *a), *plain = calloc((size_t)(M * n), sizeof *plain),
          *packed = calloc((size_t)(M * n), sizeof *packed);
    for (int64_t i = 0; i < M * k; i++) a[i] = (float)((i * 37) % 19) - 9;
    ap_gemm_args args = {.transpose_b = transpose,
                         .m = M,
                         .n = n,
                         .k = k,
                         .a = a,
                         .lda = k,
                         .b = ap_params_value(params, 0),
                         .ldb = w->shape[1],
                         .c = plain,
                         .ldc = n};
    ap_gemm_reference(&args);
    args.packed_b = ap_params_packed(params, 0, transpose);
    args.b = NULL, args.c = packed;
    CHECK(args.packed_b != NULL);
    ap_gemm(AP_MATH_ORDERED, &args);
    CHECK(memcmp(plain, packed, (size_t)(M * n) * sizeof *plain) == 0);
    free(a), free(plain), free(packed);
}

static void test_packed_follows_the_values(void) {
    ap_params *params = make_one(37, 53, ap_init_uniform(1));
    for (uint64_t seed = 1; seed <= 3; seed++) {
        ap_params_initialise(params, seed);
        check_packed_product(params, true);
        check_packed_product(params, false);
    }
    ap_params_value(params, 0)[5] += 1;
    ap_params_changed(params);
    check_packed_product(params, true);
    ap_isa best = ap_isa_current();
    CHECK(ap_isa_force(AP_ISA_PORTABLE)); /* another layout */
    check_packed_product(params, true);
    CHECK(ap_isa_force(best));
    check_packed_product(params, true);
    ap_params_destroy(params);
}

static void test_packed_allocates_once(void) {
    ap_params *params = make_one(37, 53, ap_init_uniform(1));
    const float *packed = ap_params_packed(params, 0, true);
    ap_params_packed(params, 0, false);
    long before = allocations;
    CHECK(ap_params_packed(params, 0, true) == packed);
    ap_params_changed(params);
    CHECK(ap_params_packed(params, 0, true) == packed);
    ap_params_packed(params, 0, false);
    CHECK_INT(allocations - before, 0);
    CHECK(before > 0); /* the counter counts */
    ap_params_destroy(params);
}

static bool same_digest(const ap_params *a, const ap_params *b) {
    return ap_digest_equal(ap_params_digest(a), ap_params_digest(b));
}

/* Names, shapes and values count; gaps and where the set came from do not. */
static void test_digest(void) {
    ap_params *a = make_one(3, 5, ap_init_uniform(1)), *b = make_one(3, 5, ap_init_uniform(1));
    ap_params_initialise(a, 1), ap_params_initialise(b, 1);
    CHECK(same_digest(a, b));
    ap_params_values(b)[15] = 1; /* gap */
    CHECK(same_digest(a, b));
    ap_params_values(b)[14] += 0.5f;
    CHECK(!same_digest(a, b));
    ap_params *c = make_one(5, 3, ap_init_uniform(1));
    ap_params_initialise(c, 1);
    CHECK(memcmp(ap_params_values(a), ap_params_values(c), 15 * sizeof(float)) == 0);
    CHECK(!same_digest(a, c));
    ap_params *d = make(1, (const char *const[]){"v"}, (const int64_t[1][2]){{3, 5}}, ap_init_uniform(1));
    ap_params_initialise(d, 1);
    CHECK(!same_digest(a, d));
    ap_params_destroy(a), ap_params_destroy(b), ap_params_destroy(c), ap_params_destroy(d);
}

AP_TEST_MAIN(test_types_of_published_names, test_types_by_rule, test_layout, test_scalar_and_empty_set,
             test_wrong_declarations, test_uniform_fan_in, test_lecun_truncated_normal, test_normal_and_xavier,
             test_initialisation_is_keyed, test_packed_follows_the_values, test_packed_allocates_once, test_digest)
