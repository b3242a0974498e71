#include "algorithms/orthogonal.h"
#include "algorithms/share.h"
#include <ctype.h>
#include <string.h>

static const float coefficient_a = 3.4445F, coefficient_b = -4.7750F, coefficient_c = 2.0315F;

static bool contains(const char *name, const char *word) {
    size_t n = strlen(word);
    for (; *name; name++) {
        size_t i = 0;
        while (i < n && name[i] && tolower((unsigned char)name[i]) == word[i]) i++;
        if (i == n) return true;
    }
    return false;
}

bool ap_muon_matrix(const ap_param_info *param, const char *const *embeddings) {
    if (param->rank < 2) return false;
    for (; *embeddings; embeddings++)
        if (contains(param->name, *embeddings)) return false;
    return true;
}

/* ---- the iteration */

static void round_all(bool bfloat16, int64_t n, float *x) {
    for (int64_t i = 0; bfloat16 && i < n; i++) x[i] = ap_bfloat16(x[i]);
}

static void transpose(int64_t rows, int64_t columns, const float *x, float *y) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) y[j * rows + i] = x[i * columns + j];
}

/* C = A B as PyTorch's CPU kernels multiply bfloat16 matrices when neither is a transposed view: products and running
 * sums rounded, k by k. */
static void bfloat16_product(const ap_matrix_product *p) {
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            float sum = 0;
            for (int64_t l = 0; l < p->k; l++) {
                float b = p->transpose_b ? p->b[j * p->k + l] : p->b[l * p->n + j];
                sum = ap_bfloat16(sum + ap_bfloat16(p->a[i * p->k + l] * b));
            }
            p->c[i * p->n + j] = sum;
        }
}

static void multiply(ap_host *host, const ap_muon *muon, bool bfloat16_sums, const ap_matrix_product *product) {
    if (muon->torch_cpu && bfloat16_sums)
        bfloat16_product(product);
    else
        host->call->matrix_product(host, product);
    round_all(muon->bfloat16, product->m * product->n, product->c);
}

/* y = p x + q y, with every operation rounded in bfloat16 mode (PyTorch's separate kernels). */
static void combine(bool bfloat16, int64_t n, float p, const float *x, float q, float *y) {
    for (int64_t i = 0; i < n; i++) {
        float a = p * x[i], b = q * y[i];
        y[i] = bfloat16 ? ap_bfloat16(ap_bfloat16(a) + ap_bfloat16(b)) : a + b;
    }
}

/* x[rows][columns], rows <= columns, becomes the next iterate. y: as large; a, b: [rows][rows]. tall: PyTorch has x as
 * a transposed view. */
static void iterate(ap_host *host, const ap_muon *muon, bool tall, int64_t rows, int64_t columns, float *x, float *y,
                    float *a, float *b) {
    bool bfloat16 = muon->bfloat16;
    float p = coefficient_a, q = coefficient_b, r = coefficient_c;
    if (muon->torch_cpu) p = ap_bfloat16(p), q = ap_bfloat16(q), r = ap_bfloat16(r);
    multiply(host, muon, tall,
             &(ap_matrix_product){.transpose_b = true, .m = rows, .n = rows, .k = columns, .a = x, .b = x, .c = a});
    multiply(host, muon, true, &(ap_matrix_product){.m = rows, .n = rows, .k = rows, .a = a, .b = a, .c = b});
    combine(bfloat16, rows * rows, q, a, r, b);
    multiply(host, muon, !tall, &(ap_matrix_product){.m = rows, .n = columns, .k = rows, .a = b, .b = x, .c = y});
    combine(bfloat16, rows * columns, p, x, 1, y);
    memcpy(x, y, (size_t)(rows * columns) * sizeof *x);
}

/* m[rows][columns] becomes its orthogonal factor. */
static bool orthogonalise(ap_host *host, const ap_muon *muon, int64_t rows, int64_t columns, float *m) {
    bool tall = rows > columns, bfloat16 = muon->bfloat16;
    int64_t n = rows * columns, small = tall ? columns : rows, large = tall ? rows : columns;
    float *x = host->call->scratch(host, 0, n), *y = host->call->scratch(host, 1, n);
    float *a = host->call->scratch(host, 2, small * small), *b = host->call->scratch(host, 3, small * small);
    if (!x || !y || !a || !b) return false;
    round_all(bfloat16, n, m);
    if (tall)
        transpose(rows, columns, m, x);
    else
        memcpy(x, m, (size_t)n * sizeof *x);
    float norm = (float)sqrt(host->call->dot(host, n, x, x));
    norm = bfloat16 ? ap_bfloat16(ap_bfloat16(norm) + 1e-7F) : norm + 1e-7F;
    for (int64_t i = 0; i < n; i++) x[i] = bfloat16 ? ap_bfloat16(x[i] / norm) : x[i] / norm;
    for (int s = 0; s < muon->steps; s++) iterate(host, muon, tall, small, large, x, y, a, b);
    if (tall)
        transpose(columns, rows, x, m);
    else
        memcpy(m, x, (size_t)n * sizeof *x);
    return true;
}

/* ---- the update */

typedef struct scalars {
    float beta, one_minus_beta, keep, step;
    bool nesterov;
} scalars;

/* M takes the gradient's place. */
AP_RULE_CLONES
static void muon_momentum(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m = state[0];
    (void)w;
    for (int64_t i = 0; i < n; i++) {
        m[i] = m[i] * s.beta + s.one_minus_beta * g[i];
        g[i] = s.nesterov ? g[i] * s.one_minus_beta + s.beta * m[i] : m[i];
    }
}

AP_RULE_CLONES
static void muon_step(const void *scalars_, int64_t n, float *restrict w, float *restrict u, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    (void)state;
    for (int64_t i = 0; i < n; i++) w[i] = w[i] * s.keep - s.step * u[i];
}

static double cost(const ap_param_info *p) { /* multiplications of one iteration */
    double rows = (double)p->shape[0], columns = (double)p->size / rows, small = fmin(rows, columns);
    return small * small * (2 * fmax(rows, columns) + small);
}

bool ap_muon_apply(ap_host *host, const ap_muon *muon, float clip) {
    static const char *const momentum[] = {"momentum", NULL}, *const none[] = {NULL};
    const ap_workload_info *workload = host->call->workload(host);
    scalars s = {.beta = (float)muon->beta,
                 .one_minus_beta = (float)(1 - muon->beta),
                 .keep = (float)(1 - muon->rate * muon->weight_decay),
                 .nesterov = muon->nesterov};
    ap_share share;
    ap_share_begin(host, &share);
    for (int p = 0; p < workload->params; p++) {
        const ap_param_info *info = &workload->param[p];
        if (!muon->is_matrix(info) || info->size == 0) continue;
        float *g = host->call->gradient(host, p);
        for (int64_t i = 0; clip != 1 && i < info->size; i++) g[i] *= clip;
        if (!ap_rule_apply_to(host, p, momentum, 1, muon_momentum, &s)) return false;
        int owner = ap_share_next(&share, cost(info));
        if (owner == host->call->rank(host) &&
            !orthogonalise(host, muon, info->shape[0], info->size / info->shape[0], g))
            return false;
    }
    ap_share_begin(host, &share);
    for (int p = 0; p < workload->params; p++) {
        const ap_param_info *info = &workload->param[p];
        if (!muon->is_matrix(info) || info->size == 0) continue;
        float *u = host->call->gradient(host, p);
        if (!host->call->broadcast(host, u, (size_t)info->size * sizeof *u, ap_share_next(&share, cost(info))))
            return false;
        s.step = (float)(muon->rate * muon->scale(info));
        if (!ap_rule_apply_to(host, p, none, 1, muon_step, &s)) return false;
    }
    return true;
}
