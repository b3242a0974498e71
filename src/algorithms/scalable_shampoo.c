#include "algorithms/scalable_shampoo.h"

static const ap_rule_input inputs[] = {
    {"learning_rate", AP_REQUIRED},      {"beta1", AP_REQUIRED},           {"beta2", AP_REQUIRED},
    {"weight_decay", AP_REQUIRED},       {"warmup_factor", AP_REQUIRED},   {"precondition_frequency", 20},
    {"start_preconditioning_step", 101}, {"max_preconditioner_dim", 1024}, {NULL, 0}};
static const char *const states[] = {"diagonal_statistics", "diagonal_momentum", "momentum", NULL};
static const double matrix_epsilon = 1e-6;

static ap_walk_options blocks_of(const ap_rule_settings *s) {
    return (ap_walk_options){.limit = 4096, .size = (int64_t)s->max_preconditioner_dim, .too_large = 4097};
}

/* ---- statistics and roots of the own blocks */

static void set_identities(const ap_block *block, float scale, float *factors) {
    for (int k = 0; k < block->order; k++) {
        int64_t n = block->extent[k];
        for (int64_t i = 0; i < n; i++) factors[i * n + i] = scale;
        factors += n * n;
    }
}

int ap_scalable_shampoo_init(ap_host *host) {
    ap_rule_settings s;
    int64_t n, elements;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_states(host, states)) return 1;
    if (!host->call->state_numbers(host, "learning_rate", 1)) return 1;
    ap_walk_options options = blocks_of(&s);
    ap_walk_count(host, &options, &n, &elements);
    if (n == 0) return 0;
    float *statistics = host->call->state_array(host, "statistics", n);
    float *roots = host->call->state_array(host, "preconditioners", n);
    if (!statistics || !roots) return 1;
    ap_walk k;
    ap_walk_begin(host, &options, &k);
    while (ap_walk_next(&k)) {
        if (!k.preconditioned) continue;
        set_identities(&k.block, (float)matrix_epsilon, statistics + k.factors);
        set_identities(&k.block, 1, roots + k.factors);
    }
    return ap_walk_keep(host, &options, "statistics", true) && ap_walk_keep(host, &options, "preconditioners", true)
               ? 0
               : 1;
}

static bool take_roots(ap_host *host, const ap_block *block, const float *statistics, float *roots) {
    for (int i = 0; i < block->order; i++) {
        int64_t n = block->extent[i];
        double *a = (double *)(void *)host->call->scratch(host, 0, 2 * n * n);
        if (!a) return false;
        for (int64_t j = 0; j < n * n; j++) a[j] = (double)statistics[j];
        if (!ap_matrix_power(host, (int)n, a, -1.0 / (2 * block->order), matrix_epsilon, true, roots))
            host->call->log(host, "no eigendecomposition of a %lld x %lld factor; its old root stays", (long long)n,
                            (long long)n);
        statistics += n * n;
        roots += n * n;
    }
    return true;
}

static bool update_blocks(ap_host *host, const ap_rule_settings *s, const ap_walk_options *options, float *statistics,
                          float *roots) {
    int64_t step = host->call->step(host), every = (int64_t)s->precondition_frequency;
    bool due = step % every == 0; /* also before the start: the momentum of D has them */
    ap_walk k;
    ap_walk_begin(host, options, &k);
    while (ap_walk_next(&k)) {
        if (!k.preconditioned || k.owner != host->call->rank(host)) continue;
        const float *g = ap_block_view(host, &k.block, host->call->gradient(host, k.block.param), 3);
        float *own = statistics + k.factors;
        if (!g) return false;
        if (!ap_block_statistics(host, &k.block, g, s->beta2, 1 - s->beta2, false, own)) return false;
        if (due && !take_roots(host, &k.block, own, roots + k.factors)) return false;
    }
    return true;
}

/* P g of every preconditioned block, in scratch slot 4. */
static float *preconditioned(ap_host *host, const ap_scalable_shampoo *form, const ap_walk_options *options,
                             const float *roots) {
    int64_t factors, elements;
    ap_walk_count(host, options, &factors, &elements);
    float *all = host->call->scratch(host, 4, elements);
    if (!all) return NULL;
    ap_walk k;
    ap_walk_begin(host, options, &k);
    while (ap_walk_next(&k)) {
        if (!k.preconditioned || k.owner != host->call->rank(host)) continue;
        const float *g = ap_block_view(host, &k.block, host->call->gradient(host, k.block.param), 3);
        if (!g || !form->precondition(host, &k.block, roots + k.factors, g, all + k.elements)) return NULL;
    }
    return ap_walk_exchange(host, options, all) ? all : NULL;
}

/* ---- the elementwise part */

typedef struct scalars {
    float beta1, one_minus_beta1, beta2, one_minus_beta2, inverse_norm, weight_decay, rate, scale;
    bool shampoo;
} scalars;

/* v; A takes the place of g. */
AP_RULE_CLONES
static void scalable_graft(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict v = state[0];
    (void)w;
    for (int64_t i = 0; i < n; i++) {
        float scaled = g[i] * s.inverse_norm;
        v[i] = s.beta2 * v[i] + s.one_minus_beta2 * scaled * scaled;
        g[i] = scaled / (sqrtf(v[i]) + 1e-10F);
    }
}

/* Both momenta; d: P g (scale: its factor), a: A, which is used before the start. */
AP_RULE_CLONES
static void scalable_step(const scalars *s, int64_t n, const float *restrict d, const float *restrict a,
                          float *restrict w, float *restrict graft, float *restrict momentum) {
    for (int64_t i = 0; i < n; i++) {
        float ga = a[i] + s->weight_decay * w[i], sh = s->scale * d[i] + s->weight_decay * w[i];
        graft[i] = graft[i] * s->beta1 + s->one_minus_beta1 * ga;
        momentum[i] = momentum[i] * s->beta1 + s->one_minus_beta1 * sh;
        float u = s->shampoo ? sh : ga, m = s->shampoo ? momentum[i] : graft[i];
        w[i] -= s->rate * (s->one_minus_beta1 * u + s->beta1 * m);
    }
}

/* The tensor's P g put together from its blocks, in scratch slot 5; without preconditioner: A. */
static const float *direction_of(ap_host *host, const ap_walk_options *options, int param, const float *all) {
    int64_t n = host->call->workload(host)->param[param].size;
    float *d = host->call->scratch(host, 5, n);
    if (!d) return NULL;
    ap_walk k;
    bool any = false;
    ap_walk_begin(host, options, &k);
    while (ap_walk_next(&k) && k.block.param <= param) {
        if (k.block.param != param || !k.preconditioned) continue;
        ap_block_write(&k.block, all + k.elements, d);
        any = true;
    }
    return any ? d : host->call->gradient(host, param);
}

static bool step_tensor(ap_host *host, const ap_walk_options *options, int p, const float *all, scalars s) {
    static const char *const v[] = {"diagonal_statistics", NULL};
    int64_t n = host->call->workload(host)->param[p].size;
    float *g = host->call->gradient(host, p);
    s.inverse_norm = (float)(1 / (sqrt(host->call->dot(host, n, g, g)) + 1e-16));
    if (!ap_rule_apply_to(host, p, v, 1, scalable_graft, &s)) return false;
    const float *d = direction_of(host, options, p, all);
    float *graft = host->call->state(host, "diagonal_momentum", p), *m = host->call->state(host, "momentum", p);
    if (!d || !graft || !m) return false;
    s.scale = (float)(sqrt(host->call->dot(host, n, g, g)) / (sqrt(host->call->dot(host, n, d, d)) + 1e-16));
    scalable_step(&s, n, d, g, host->call->value(host, p), graft, m);
    return true;
}

int ap_scalable_shampoo_update(ap_host *host, const ap_scalable_shampoo *form) {
    ap_rule_settings s;
    float clip, *all = NULL;
    int64_t n, elements;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_gradient(host, &s, &clip)) return 1;
    double rate = ap_rule_rate(host, &s, form->schedule);
    ap_scale_gradients(host, clip);
    ap_walk_options options = blocks_of(&s);
    ap_walk_count(host, &options, &n, &elements);
    if (n > 0) {
        float *statistics = host->call->state_array(host, "statistics", n);
        float *roots = host->call->state_array(host, "preconditioners", n);
        if (!statistics || !roots || !update_blocks(host, &s, &options, statistics, roots)) return 1;
        if (!(all = preconditioned(host, form, &options, roots))) return 1;
    }
    scalars x = {.beta1 = (float)s.beta1,
                 .one_minus_beta1 = (float)(1 - s.beta1),
                 .beta2 = (float)s.beta2,
                 .one_minus_beta2 = (float)(1 - s.beta2),
                 .weight_decay = (float)s.weight_decay,
                 .rate = (float)rate,
                 .shampoo = (double)host->call->step(host) >= s.start_preconditioning_step};
    int params = host->call->workload(host)->params;
    for (int p = 0; p < params; p++)
        if (!step_tensor(host, &options, p, all, x)) return 1;
    return 0;
}
