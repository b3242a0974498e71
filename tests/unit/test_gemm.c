/* Every path of ap_gemm against the definition, bit for bit. */
#include "check.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"

/* ---- operands */

static uint32_t state = 1;
static uint32_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}
static int64_t random_below(int64_t n) {
    return (int64_t)(next_random() % (uint32_t)n);
}
/* Of very different sizes, so that a sum in another order almost never has the same bits. */
static float random_value(void) {
    return ldexpf((float)(next_random() >> 8) * 0x1p-24f - 0.5f, (int)random_below(12) - 6);
}
static float *random_matrix(int64_t n) {
    float *p = malloc((size_t)(n + 1) * sizeof *p);
    for (int64_t i = 0; i < n; i++) p[i] = random_value();
    return p;
}

/* Rows of C are ldc > n apart; what lies between must stay. */
typedef struct problem {
    ap_gemm_args args;
    float *a, *b, *c, *before, *expected;
    int64_t c_size;
} problem;

static problem make_problem(int64_t m, int64_t n, int64_t k, int variant) {
    problem p = {.args = {.transpose_a = variant & 1, .transpose_b = variant & 2, .accumulate = variant & 4}};
    ap_gemm_args *g = &p.args;
    g->m = m, g->n = n, g->k = k;
    g->lda = (g->transpose_a ? m : k) + 3;
    g->ldb = (g->transpose_b ? k : n) + 5;
    g->ldc = n + 2;
    p.c_size = m * g->ldc;
    g->a = p.a = random_matrix((g->transpose_a ? k : m) * g->lda);
    g->b = p.b = random_matrix((g->transpose_b ? n : k) * g->ldb);
    g->c = p.c = random_matrix(p.c_size);
    p.before = random_matrix(p.c_size);
    p.expected = random_matrix(p.c_size);
    memcpy(p.expected, p.before, (size_t)p.c_size * sizeof(float));
    g->c = p.expected;
    ap_gemm_reference(g);
    g->c = p.c;
    return p;
}
static void free_problem(problem *p) {
    free(p->a);
    free(p->b);
    free(p->c);
    free(p->before);
    free(p->expected);
}
static void reset(problem *p) {
    memcpy(p->c, p->before, (size_t)p->c_size * sizeof(float));
}
/* Bit for bit; of a NaN only that it is there. */
static bool same(const float *x, const float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp(x + i, y + i, sizeof *x) != 0 && !(isnan(x[i]) && isnan(y[i]))) return false;
    return true;
}
static void expect(const problem *p, const char *how) {
    const ap_gemm_args *g = &p->args;
    const bool ok = same(p->c, p->expected, p->c_size);
    if (!ok)
        printf("%s, %s, %d threads: %ld x %ld x %ld, transposes %d %d, accumulate %d\n", how,
               ap_isa_name(ap_isa_current()), ap_kernels_threads(), (long)g->m, (long)g->n, (long)g->k, g->transpose_a,
               g->transpose_b, g->accumulate);
    CHECK(ok);
}

/* ---- the ways to ask for a product */

static void in_one_call(problem *p) {
    reset(p);
    ap_gemm(AP_MATH_ORDERED, &p->args);
    expect(p, "one call");
}
static void with_packed_b(problem *p) {
    ap_gemm_args g = p->args;
    float *packed = malloc((ap_gemm_packed_size(g.k, g.n) + 1) * sizeof *packed);
    ap_gemm_pack_b(g.transpose_b, g.k, g.n, g.b, g.ldb, packed);
    g.packed_b = packed;
    g.b = NULL;
    reset(p);
    ap_gemm(AP_MATH_ORDERED, &g);
    expect(p, "packed");
    free(packed);
}
static void rows_in_two_calls(problem *p) {
    ap_gemm_args top = p->args, bottom = p->args;
    top.m = top.m / 3;
    bottom.m -= top.m;
    bottom.a += bottom.transpose_a ? top.m : top.m * bottom.lda;
    bottom.c += top.m * bottom.ldc;
    reset(p);
    ap_gemm(AP_MATH_ORDERED, &bottom);
    ap_gemm(AP_MATH_ORDERED, &top);
    expect(p, "rows split");
}
static void columns_in_two_calls(problem *p) {
    ap_gemm_args left = p->args, right = p->args;
    left.n = left.n / 3;
    right.n -= left.n;
    right.b += right.transpose_b ? left.n * right.ldb : left.n;
    right.c += left.n;
    reset(p);
    ap_gemm(AP_MATH_ORDERED, &left);
    ap_gemm(AP_MATH_ORDERED, &right);
    expect(p, "columns split");
}

static void on_every_path(problem *p, int threads, void (*way)(problem *)) {
    ap_kernels_set_threads(threads);
    for (int isa = 0; isa < AP_ISA_COUNT; isa++)
        if (ap_isa_force((ap_isa)isa)) way(p);
    ap_kernels_set_threads(1);
}

/* ---- tests */

static void test_odd_shapes_every_way(void) {
    static const int64_t shapes[][3] = {{1, 1, 1},    {1, 33, 7},    {5, 17, 3},   {7, 31, 16},  {13, 32, 40},
                                        {14, 48, 85}, {15, 16, 200}, {29, 65, 33}, {53, 97, 64}, {30, 5, 129},
                                        {0, 4, 3},    {4, 0, 3},     {3, 5, 0},    {0, 0, 0}};
    for (unsigned s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int variant = 0; variant < 8; variant++) {
            problem p = make_problem(shapes[s][0], shapes[s][1], shapes[s][2], variant);
            on_every_path(&p, 1, in_one_call);
            on_every_path(&p, 1, with_packed_b);
            on_every_path(&p, 1, rows_in_two_calls);
            on_every_path(&p, 1, columns_in_two_calls);
            free_problem(&p);
        }
}

static void test_random_shapes(void) {
    for (int i = 0; i < 120; i++) {
        problem p = make_problem(random_below(40), random_below(80), random_below(60), (int)random_below(8));
        on_every_path(&p, 1, in_one_call);
        on_every_path(&p, 1, with_packed_b);
        free_problem(&p);
    }
}

/* More than one block of rows (112), columns (1024) and k (1024); A packed and not. */
static void test_shapes_of_several_blocks(void) {
    static const int64_t shapes[][3] = {{230, 40, 30}, {9, 1100, 20}, {40, 33, 1300}, {31, 600, 1030}, {120, 1061, 12}};
    for (unsigned s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int variant = 0; variant < 8; variant++) {
            problem p = make_problem(shapes[s][0], shapes[s][1], shapes[s][2], variant);
            on_every_path(&p, 1, in_one_call);
            on_every_path(&p, 1, with_packed_b);
            free_problem(&p);
        }
}

/* Large enough to be split: by rows, by columns, by both. */
static void test_threads_do_not_change_a_bit(void) {
    static const int64_t shapes[][3] = {{3, 2100, 300}, {2100, 3, 300}, {150, 200, 90}};
    for (unsigned s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int variant = 0; variant < 8; variant += variant == 3 ? 2 : 1) {
            problem p = make_problem(shapes[s][0], shapes[s][1], shapes[s][2], variant);
            for (int threads = 1; threads <= 4; threads++) {
                on_every_path(&p, threads, in_one_call);
                on_every_path(&p, threads, with_packed_b);
            }
            free_problem(&p);
        }
}

static void test_batches(void) {
    enum { BATCH = 5 };
    for (int threads = 1; threads <= 3; threads++)
        for (int isa = 0; isa < AP_ISA_COUNT; isa++)
            for (int variant = 0; variant < 8; variant++) {
                if (!ap_isa_force((ap_isa)isa)) continue;
                ap_kernels_set_threads(threads);
                /* one problem's rows of memory, taken as five: strides longer than the operands */
                problem p = make_problem(BATCH * 23, BATCH * 37, BATCH * 41, variant);
                ap_gemm_args g = p.args;
                g.m = 21, g.n = 35, g.k = 39;
                const int64_t stride_a = 23 * g.lda, stride_b = 37 * g.ldb, stride_c = 22 * g.ldc;
                if (g.transpose_a || g.transpose_b) g.k = 22;
                memcpy(p.expected, p.before, (size_t)p.c_size * sizeof(float));
                for (int i = 0; i < BATCH; i++) {
                    ap_gemm_args one = g;
                    one.a += i * stride_a, one.b += i * stride_b, one.c = p.expected + i * stride_c;
                    ap_gemm_reference(&one);
                }
                reset(&p);
                ap_gemm_batched(AP_MATH_ORDERED, &g, BATCH, stride_a, stride_b, stride_c);
                expect(&p, "batch");
                free_problem(&p);
            }
    ap_kernels_set_threads(1);
}

/* NaN and infinity go through as the definition says: also 0 * infinity, and none that lies beside the operands. */
static void test_nan_and_infinity(void) {
    for (int variant = 0; variant < 8; variant++) {
        problem p = make_problem(33, 49, 27, variant);
        for (int i = 0; i < 6; i++) {
            p.a[random_below(27 * 33)] = i & 1 ? INFINITY : 0;
            p.b[random_below(27 * 49)] = i & 1 ? -INFINITY : 0;
            p.before[random_below(33 * 49)] = i & 1 ? NAN : -0.0f;
        }
        p.a[random_below(27 * 33)] = NAN;
        for (int64_t j = 0; j < 33; j++) p.before[j * p.args.ldc + 49] = NAN;
        memcpy(p.expected, p.before, (size_t)p.c_size * sizeof(float));
        p.args.c = p.expected;
        ap_gemm_reference(&p.args);
        p.args.c = p.c;
        on_every_path(&p, 1, in_one_call);
        on_every_path(&p, 1, with_packed_b);
        free_problem(&p);
    }
}

/* ---- long k */

/* The definition, element by element and recursively: the tree over chunks [first, first + count) pairs from the left,
 * so its left half is the largest power of two below count. */
static float chunk_tree(const ap_gemm_args *g, int64_t i, int64_t j, int64_t first, int64_t count) {
    if (count > 1) {
        int64_t left = 1;
        while (2 * left < count) left *= 2;
        return chunk_tree(g, i, j, first, left) + chunk_tree(g, i, j, first + left, count - left);
    }
    float c = 0;
    for (int64_t k = first * AP_GEMM_CHUNK; k < g->k && k < (first + 1) * AP_GEMM_CHUNK; k++)
        c = fmaf(g->transpose_a ? g->a[k * g->lda + i] : g->a[i * g->lda + k],
                 g->transpose_b ? g->b[j * g->ldb + k] : g->b[k * g->ldb + j], c);
    return c;
}
static void expect_long_k(problem *p) {
    const ap_gemm_args *g = &p->args;
    const int64_t chunks = (g->k + AP_GEMM_CHUNK - 1) / AP_GEMM_CHUNK;
    memcpy(p->expected, p->before, (size_t)p->c_size * sizeof(float));
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            float *c = p->expected + i * g->ldc + j;
            const float tree = chunk_tree(g, i, j, 0, chunks);
            *c = g->accumulate ? *c + tree : tree;
        }
}
static void by_long_k(problem *p) {
    reset(p);
    ap_gemm_long_k(AP_MATH_ORDERED, &p->args);
    expect(p, "long k");
}

static void test_long_k_is_a_tree_of_chunks(void) {
    static const int64_t ks[] = {1,
                                 AP_GEMM_CHUNK,
                                 AP_GEMM_CHUNK + 1,
                                 2 * AP_GEMM_CHUNK,
                                 3 * AP_GEMM_CHUNK - 7,
                                 5 * AP_GEMM_CHUNK + 3,
                                 7 * AP_GEMM_CHUNK};
    for (unsigned s = 0; s < sizeof ks / sizeof *ks; s++)
        for (int variant = 0; variant < 8; variant++) {
            problem p = make_problem(3, 9, ks[s], variant);
            expect_long_k(&p);
            on_every_path(&p, 1 + variant % 3, by_long_k);
            free_problem(&p);
        }
}

static void test_long_k_of_nothing(void) {
    problem p = make_problem(3, 4, 0, 0);
    by_long_k(&p); /* cleared, as ap_gemm does */
    free_problem(&p);
    p = make_problem(3, 4, 0, 4);
    by_long_k(&p); /* left alone */
    free_problem(&p);
}

/* ---- out of memory: this program's own aligned_alloc, which is where scratch comes from */

static bool memory_is_out;
static int refusals;
void *aligned_alloc(size_t alignment, size_t bytes) {
    void *p = NULL;
    if (memory_is_out) {
        refusals++;
        return NULL;
    }
    return posix_memalign(&p, alignment, bytes) ? NULL : p;
}

/* Must come first: scratch that is there is never given back. */
static void test_without_memory_the_bits_are_the_same(void) {
    memory_is_out = true;
    for (int variant = 0; variant < 8; variant++) {
        problem p = make_problem(40, 600, 700, variant);
        on_every_path(&p, 1, in_one_call);
        on_every_path(&p, 1, with_packed_b);
        free_problem(&p);
        p = make_problem(19, 18, 2 * AP_GEMM_CHUNK + 1, variant);
        expect_long_k(&p);
        on_every_path(&p, 1, by_long_k);
        free_problem(&p);
    }
    CHECK(refusals > 0);
    memory_is_out = false;
}

/* ---- OpenBLAS: its own order of sums, so only near */

static void test_blas_computes_the_same_product(void) {
    for (int variant = 0; variant < 8; variant++) {
        problem p = make_problem(23, 31, 47, variant);
        reset(&p);
        ap_gemm(AP_MATH_BLAS, &p.args);
        for (int64_t i = 0; i < p.c_size; i++) CHECK_NEAR(p.c[i], p.expected[i], 1e-2);
        reset(&p);
        ap_gemm_long_k(AP_MATH_BLAS, &p.args);
        for (int64_t i = 0; i < p.c_size; i++) CHECK_NEAR(p.c[i], p.expected[i], 1e-2);
        free_problem(&p);
    }
}

static void test_blas_core_is_known(void) {
    CHECK(ap_blas_core() && *ap_blas_core());
    CHECK(ap_blas_best_core() && *ap_blas_best_core());
    if (strcmp(ap_blas_core(), ap_blas_best_core()) == 0) CHECK(!ap_blas_is_slowed());
}

/* ---- the choice of a path */

static void test_environment_variable_is_checked(void) {
    ap_error error;
    setenv("ALGOPERF_ISA", "portable", 1);
    CHECK_INT(ap_isa_check(&error), AP_OK);
    setenv("ALGOPERF_ISA", "avx51", 1);
    CHECK_INT(ap_isa_check(&error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "\"avx51\"");
    CHECK_TEXT(error.text, "portable, avx2 or avx512");
    setenv("ALGOPERF_ISA", "", 1);
    CHECK_INT(ap_isa_check(&error), AP_ENVIRONMENT);
    unsetenv("ALGOPERF_ISA");
    CHECK_INT(ap_isa_check(&error), AP_OK);
}

static void test_threads_are_at_least_one(void) {
    ap_kernels_set_threads(0);
    CHECK_INT(ap_kernels_threads(), 1);
    ap_kernels_set_threads(-3);
    CHECK_INT(ap_kernels_threads(), 1);
}

AP_TEST_MAIN(test_without_memory_the_bits_are_the_same, test_odd_shapes_every_way, test_random_shapes,
             test_shapes_of_several_blocks, test_threads_do_not_change_a_bit, test_batches, test_nan_and_infinity,
             test_long_k_is_a_tree_of_chunks, test_long_k_of_nothing, test_blas_computes_the_same_product,
             test_blas_core_is_known, test_environment_variable_is_checked, test_threads_are_at_least_one)
