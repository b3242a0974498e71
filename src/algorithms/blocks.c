#include "algorithms/blocks.h"
#include "algorithms/rule.h"
#include "base/fmath.h"
#include <string.h>

/* ---- blocks */

void ap_blocks_begin(ap_blocks *b, const ap_workload_info *workload, int64_t limit, int64_t size) {
    *b = (ap_blocks){.workload = workload, .limit = limit, .size = size, .param = -1};
}

static void merge(ap_blocks *b, const ap_param_info *p) {
    b->order = 0;
    for (int i = 0; i < p->rank; i++) {
        int64_t d = p->shape[i];
        if (d == 1 && b->limit > 0) continue;
        if (b->order > 0 && b->extent[b->order - 1] * d <= b->limit)
            b->extent[b->order - 1] *= d;
        else if (b->order < AP_BLOCK_ORDER)
            b->extent[b->order++] = d;
        else
            b->extent[AP_BLOCK_ORDER - 1] *= d; /* more axes than any model has */
    }
    if (b->order == 0) b->extent[b->order++] = 1;
    memset(b->at, 0, sizeof b->at);
}

/* The next position; false: the parameter is done. */
static bool advance(ap_blocks *b) {
    for (int i = b->order - 1; i >= 0; i--) {
        b->at[i] += b->size;
        if (b->at[i] < b->extent[i]) return true;
        b->at[i] = 0;
    }
    return false;
}

bool ap_blocks_next(ap_blocks *b, ap_block *block) {
    if (b->within) b->within = advance(b);
    while (!b->within) {
        if (++b->param >= b->workload->params) return false;
        const ap_param_info *p = &b->workload->param[b->param];
        merge(b, p);
        b->within = p->size > 0;
    }
    const ap_param_info *p = &b->workload->param[b->param];
    *block = (ap_block){.param = b->param, .order = b->order, .size = 1};
    for (int i = 0; i < p->rank; i++)
        if (p->shape[i] > block->largest) block->largest = p->shape[i];
    int64_t stride = 1;
    for (int i = b->order - 1; i >= 0; i--) {
        int64_t left = b->extent[i] - b->at[i], d = left < b->size ? left : b->size;
        block->extent[i] = d;
        block->stride[i] = stride;
        block->offset += b->at[i] * stride;
        block->size *= d;
        block->factors += d * d;
        stride *= b->extent[i];
    }
    return true;
}

/* The axes in front of those whose elements lie one behind the other; *run: how many do. */
static int outer_axes(const ap_block *b, int64_t *run) {
    int axes = b->order - 1;
    *run = b->extent[axes];
    for (; axes > 0 && b->stride[axes - 1] == *run; axes--) *run *= b->extent[axes - 1];
    return axes;
}

/* Where run number `index` starts in the tensor. */
static int64_t run_start(const ap_block *b, int axes, int64_t index) {
    int64_t at = b->offset;
    for (int i = axes - 1; i >= 0; i--) {
        at += index % b->extent[i] * b->stride[i];
        index /= b->extent[i];
    }
    return at;
}

void ap_block_read(const ap_block *b, const float *tensor, float *out) {
    int64_t n;
    int axes = outer_axes(b, &n);
    for (int64_t i = 0; i < b->size / n; i++)
        memcpy(out + i * n, tensor + run_start(b, axes, i), (size_t)n * sizeof *out);
}

void ap_block_write(const ap_block *b, const float *in, float *tensor) {
    int64_t n;
    int axes = outer_axes(b, &n);
    for (int64_t i = 0; i < b->size / n; i++)
        memcpy(tensor + run_start(b, axes, i), in + i * n, (size_t)n * sizeof *in);
}

const float *ap_block_view(ap_host *host, const ap_block *b, const float *tensor, int slot) {
    int64_t n;
    if (outer_axes(b, &n) == 0) return tensor + b->offset;
    float *copy = host->call->scratch(host, slot, b->size);
    if (copy) ap_block_read(b, tensor, copy);
    return copy;
}

/* ---- all blocks and their owners */

void ap_walk_begin(ap_host *host, const ap_walk_options *options, ap_walk *k) {
    *k = (ap_walk){.options = *options};
    ap_blocks_begin(&k->blocks, host->call->workload(host), options->limit, options->size);
    ap_share_begin(host, &k->share);
}

bool ap_walk_next(ap_walk *k) {
    if (!ap_blocks_next(&k->blocks, &k->block)) return false;
    k->preconditioned = k->block.largest < k->options.too_large && k->block.order >= k->options.order;
    k->factors = k->all_factors;
    k->elements = k->all_elements;
    if (!k->preconditioned) return true;
    double cost = 0;
    for (int i = 0; i < k->block.order; i++)
        cost += (double)k->block.extent[i] * ((double)k->block.size + (double)k->block.factors);
    k->owner = ap_share_next(&k->share, cost);
    k->all_factors += k->block.factors;
    k->all_elements += k->block.size;
    return true;
}

void ap_walk_count(ap_host *host, const ap_walk_options *options, int64_t *factors, int64_t *elements) {
    ap_walk k;
    ap_walk_begin(host, options, &k);
    while (ap_walk_next(&k)) {
    }
    *factors = k.all_factors;
    *elements = k.all_elements;
}

bool ap_walk_keep(ap_host *host, const ap_walk_options *options, const char *state, bool per_factor) {
    ap_walk k;
    ap_walk_begin(host, options, &k);
    while (ap_walk_next(&k))
        if (k.preconditioned && !host->call->state_kept_by(host, state, per_factor ? k.factors : k.elements,
                                                           per_factor ? k.block.factors : k.block.size, k.owner))
            return false;
    return true;
}

bool ap_walk_exchange(ap_host *host, const ap_walk_options *options, float *all) {
    ap_walk k;
    ap_walk_begin(host, options, &k);
    while (host->call->ranks(host) > 1 && ap_walk_next(&k))
        if (k.preconditioned &&
            !host->call->broadcast(host, all + k.elements, (size_t)k.block.size * sizeof *all, k.owner))
            return false;
    return true;
}

/* ---- factors */

AP_RULE_CLONES
static void blend_floats(int64_t n, float beta, float weight, const float *restrict gram, float *restrict l) {
    for (int64_t i = 0; i < n; i++) l[i] = beta * l[i] + weight * gram[i];
}
AP_RULE_CLONES
static void blend_doubles(int64_t n, double beta, double weight, const float *restrict gram, double *restrict l) {
    for (int64_t i = 0; i < n; i++) l[i] = beta * l[i] + weight * (double)gram[i];
}

/* y[outer][columns][rows] = x[outer][rows][columns], in tiles. */
static void swap_axes(int64_t outer, int64_t rows, int64_t columns, const float *x, float *y) {
    enum { TILE = 32 };
    for (int64_t o = 0; o < outer; o++, x += rows * columns, y += rows * columns)
        for (int64_t i0 = 0; i0 < rows; i0 += TILE)
            for (int64_t j0 = 0; j0 < columns; j0 += TILE)
                for (int64_t j = j0; j < columns && j < j0 + TILE; j++)
                    for (int64_t i = i0; i < rows && i < i0 + TILE; i++) y[j * rows + i] = x[i * columns + j];
}

/* The block as [outer][d][inner], d its axis k. */
typedef struct split {
    int64_t outer, d, inner;
} split;
static split split_at(const ap_block *b, int k) {
    split s = {1, b->extent[k], 1};
    for (int i = 0; i < k; i++) s.outer *= b->extent[i];
    for (int i = k + 1; i < b->order; i++) s.inner *= b->extent[i];
    return s;
}

bool ap_block_statistics(ap_host *host, const ap_block *b, const float *g, double beta, double weight, bool wide,
                         void *factors) {
    int64_t largest = 0;
    for (int k = 0; k < b->order; k++)
        if (b->extent[k] > largest) largest = b->extent[k];
    float *gram = host->call->scratch(host, 0, largest * largest);
    if (!gram) return false;
    for (int k = 0; k < b->order; k++) { /* the first and the last axis as they lie, one between them made the last */
        const split s = split_at(b, k);
        const float *x = g;
        if (s.outer > 1 && s.inner > 1) {
            float *turned = host->call->scratch(host, 1, b->size);
            if (!turned) return false;
            swap_axes(s.outer, s.d, s.inner, g, turned);
            x = turned;
        }
        bool first = s.outer == 1;
        host->call->matrix_product(host, &(ap_matrix_product){.transpose_a = !first,
                                                              .transpose_b = first,
                                                              .m = s.d,
                                                              .n = s.d,
                                                              .k = s.outer * s.inner,
                                                              .a = x,
                                                              .b = x,
                                                              .c = gram});
        if (wide)
            blend_doubles(s.d * s.d, beta, weight, gram, factors);
        else
            blend_floats(s.d * s.d, (float)beta, (float)weight, gram, factors);
        factors = (char *)factors + (size_t)(s.d * s.d) * (wide ? sizeof(double) : sizeof(float));
    }
    return true;
}

/* out = sum_k P_k x / o, P_k along axis k. */
static bool average_step(ap_host *host, const ap_block *b, const float *roots, const float *x, float *out) {
    for (int k = 0; k < b->order; k++) {
        const split s = split_at(b, k);
        ap_matrix_product last = {.m = s.outer, .n = s.d, .k = s.d, .a = x, .b = roots, .c = out, .accumulate = k > 0};
        if (s.inner == 1) {
            host->call->matrix_product(host, &last);
        } else if (k == 0) {
            host->call->matrix_product(
                host, &(ap_matrix_product){
                          .transpose_a = true, .m = s.d, .n = s.inner, .k = s.d, .a = roots, .b = x, .c = out});
        } else { /* made the last axis, and back */
            float *y = host->call->scratch(host, 0, b->size), *turned = host->call->scratch(host, 1, b->size);
            if (!y || !turned) return false;
            swap_axes(s.outer, s.d, s.inner, x, turned);
            last = (ap_matrix_product){.m = s.outer * s.inner, .n = s.d, .k = s.d, .a = turned, .b = roots, .c = y};
            host->call->matrix_product(host, &last);
            swap_axes(s.outer, s.inner, s.d, y, turned);
            for (int64_t i = 0; i < b->size; i++) out[i] += turned[i];
        }
        roots += s.d * s.d;
    }
    for (int64_t i = 0; i < b->size; i++) out[i] /= (float)b->order;
    return true;
}

/* Of `order` steps from x to out by way of y: where number k goes. */
static float *stop(int order, int k, float *y, float *out) {
    return (order - k) % 2 == 1 ? out : y;
}

bool ap_block_precondition_caspr(ap_host *host, const ap_block *b, const float *roots, const float *x, float *out) {
    float *y = host->call->scratch(host, 2, b->size);
    if (!y) return false;
    for (int k = 0; k < b->order; k++) {
        float *to = stop(b->order, k, y, out);
        if (!average_step(host, b, roots, x, to)) return false;
        x = to;
    }
    return true;
}

/* Contracting the first axis with a matrix puts it last: after all of them the axes are in order again. */
static bool contract(ap_host *host, const ap_block *b, const float *matrices, bool transpose, const float *x,
                     float *out) {
    float *y = host->call->scratch(host, 0, b->size);
    if (!y) return false;
    for (int k = 0; k < b->order; k++) {
        int64_t d = b->extent[k];
        float *to = stop(b->order, k, y, out);
        host->call->matrix_product(host, &(ap_matrix_product){.transpose_a = true,
                                                              .transpose_b = transpose,
                                                              .m = b->size / d,
                                                              .n = d,
                                                              .k = d,
                                                              .a = x,
                                                              .b = matrices,
                                                              .c = to});
        x = to;
        matrices += d * d;
    }
    return true;
}

bool ap_block_rotate(ap_host *host, const ap_block *b, const float *bases, bool back, const float *x, float *out) {
    return contract(host, b, bases, !back, x, out);
}

bool ap_block_precondition(ap_host *host, const ap_block *b, const float *roots, const float *x, float *out) {
    return contract(host, b, roots, false, x, out);
}

/* ---- powers of a symmetric matrix */

static bool is_diagonal(int n, const double *a) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (i != j && a[(size_t)i * (size_t)n + (size_t)j] != 0) return false;
    return true;
}

/* x^exponent of a positive x in double; a negative or zero x gives what pow does. */
static double power(double x, double exponent) {
    if (exponent == -0.5 && x > 0) return 1 / sqrt(x);
    return x > 0 ? ap_f64_exp(exponent * ap_f64_log(x)) : (x == 0 && exponent < 0 ? INFINITY : NAN);
}

bool ap_matrix_power(ap_host *host, int n, double *a, double exponent, double epsilon, bool relative, float *out) {
    size_t size = (size_t)n;
    double *w = (double *)(void *)host->call->scratch(host, 2, 2 * (int64_t)n);
    if (!w) return false;
    if (is_diagonal(n, a)) {
        double largest = 0;
        for (size_t i = 0; i < size; i++) largest = fmax(largest, a[i * size + i]);
        memset(out, 0, size * size * sizeof *out);
        for (size_t i = 0; i < size; i++)
            out[i * size + i] = (float)power(a[i * size + i] + (relative ? epsilon * largest : epsilon), exponent);
        return true;
    }
    if (!host->call->symmetric_eigen(host, n, a, w)) return false;
    double shift = fmax(-w[0], 0) + (relative ? epsilon * w[n - 1] : epsilon);
    for (int i = 0; i < n; i++) w[i] = power(w[i] + shift, exponent);
    return host->call->symmetric_compose(host, n, a, w, out);
}
