/* Distributed Shampoo as submitted: winner of the v0.5 external tuning track.
 *
 * Gupta, Koren and Singer, "Shampoo: preconditioned stochastic tensor optimization", arXiv:1802.09568; Shi et al., "A
 * distributed data-parallel PyTorch implementation of the Distributed Shampoo optimizer", arXiv:2309.06497, Algorithm
 * 2; AlgoPerf v0.5 submission "shampoo_submission". For each block (blocks.h: merged up to max_preconditioner_dim, cut
 * at it) of order o and step t = 1, 2, ...:
 *
 *     L_k = b2 L_k + (1 - b2) G_(k) G_(k)'      (b2 = 1: the sum, and no correction, here and for v)
 *     every precondition_frequency steps from start_preconditioning_step on (-1: from the first such step):
 *         P_k = (L_k / (1 - b2^t) + eps I)^(-exponent_multiplier / root),   root = 2 o, or inv_root_override if not 0
 *     m = b1 m + (1 - b1) G,   F = (b1 m + (1 - b1) G if use_nadam, else m) / (1 - b1^t)
 *     grafting direction A:  ADAM F / (sqrt(v / (1 - b2^t)) + eps_g), RMSPROP without the correction, both with
 *         v = b2 v + (1 - b2) G^2;  ADAGRAD with v = v + G^2;  SGD F;  NONE
 *     D = P F ||A|| / (||P F|| + 1e-16);  before the start D = A;  NONE: D = P F.  With use_normalized_grafting v has
 *         G / (||G|| + 1e-16), and ||A|| is that of the direction of this, not of F
 *     D = D + weight_decay w   (use_decoupled_weight_decay = false: G = G + weight_decay w at the beginning instead)
 *     if momentum mu > 0:  M = mu M + (1 - mu) D,   D = (1 - mu) D + mu M if nesterov, else M
 *         (use_ema_momentum = false: without the factors 1 - mu)
 *     w -= h D
 *
 * Tensors with an axis of 1,000,000 or more have the ADAM direction alone, whatever the others have. The rate: linear
 * warmup, then cosine over step_hint_factor * step_hint (use_cosine_decay = false: constant). Statistics, roots and P F
 * are shared out over the ranks by cost; the elementwise part is done by all.
 *
 * Statistics are in float32, in float64 with double_preconditioner; eigendecompositions always in float64.
 * communication_dtype and communicate_params choose how the published code moves data; here data moves as it is.
 *
 * Search space: the submission's five points. */
#include "algorithms/blocks.h"
#include "algorithms/rule.h"
#include "algorithms/schedule.h"
#include "algorithms/share.h"
#include "base/fmath.h"
#include <string.h>

extern const char ap_shampoo_submission_json[];
static const char *const space = ap_shampoo_submission_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"factor_beta2", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"step_hint_factor", 1},
                                       {"use_cosine_decay", 1},
                                       {"epsilon", 1e-12},
                                       {"momentum", 0},
                                       {"use_momentum", 1},
                                       {"use_nesterov", 1},
                                       {"use_ema_momentum", 1},
                                       {"use_nadam", 0},
                                       {"use_bias_correction", 1},
                                       {"use_decoupled_weight_decay", 1},
                                       {"use_merge_dims", 1},
                                       {"max_preconditioner_dim", 1024},
                                       {"precondition_frequency", 100},
                                       {"start_preconditioning_step", -1},
                                       {"inv_root_override", 0},
                                       {"exponent_multiplier", 1},
                                       {"grafting_epsilon", 1e-8},
                                       {"grafting_beta2", -1},
                                       {"use_normalized_grafting", 0},
                                       {"communicate_params", 1},
                                       {"double_preconditioner", 0},
                                       {NULL, 0}};

enum { ADAM, SGD, RMSPROP, ADAGRAD, NONE };
static const char *const graftings[] = {"ADAM", "SGD", "RMSPROP", "ADAGRAD", "NONE", NULL};

typedef struct settings {
    ap_rule_settings s;
    int grafting;
    int64_t frequency, start;
    bool wide;
} settings;

static bool read_settings(ap_host *host, settings *x) {
    static const char *const types[] = {"FP32", "FP16", "BF16", NULL};
    int type = 0;
    x->grafting = ADAM;
    if (!ap_rule_read(host, inputs, &x->s) || !ap_rule_choice(host, "grafting_type", graftings, &x->grafting) ||
        !ap_rule_choice(host, "communication_dtype", types, &type))
        return false;
    if (x->s.use_momentum == 0) x->s.momentum = 0;
    if (x->s.momentum >= 1) {
        host->call->fail(host, "one_minus_momentum = 0 with use_momentum (must be above 0, or use_momentum false)");
        return false;
    }
    if (x->s.grafting_beta2 < 0) x->s.grafting_beta2 = x->s.factor_beta2;
    x->frequency = (int64_t)x->s.precondition_frequency;
    x->start = (int64_t)x->s.start_preconditioning_step;
    if (x->start < 0) x->start = x->frequency;
    x->wide = x->s.double_preconditioner != 0;
    return true;
}

/* ---- blocks and their matrices */

static const int64_t huge = 1000000;

static ap_walk_options blocks_of(const settings *x) {
    int64_t size = (int64_t)x->s.max_preconditioner_dim;
    return (ap_walk_options){.limit = x->s.use_merge_dims != 0 ? size : 0, .size = size, .too_large = huge};
}

static void walk_begin(ap_host *host, const settings *x, ap_walk *k) {
    ap_walk_options options = blocks_of(x);
    ap_walk_begin(host, &options, k);
}

static void *factors_of(ap_host *host, const settings *x, int64_t n) {
    return x->wide ? (void *)host->call->state_numbers(host, "factors", (int)n)
                   : (void *)host->call->state_array(host, "factors", n);
}

static void *factor_at(const settings *x, void *factors, int64_t at) {
    return x->wide ? (void *)((double *)factors + at) : (void *)((float *)factors + at);
}

static int64_t count_factors(ap_host *host, const settings *x) {
    int64_t factors, elements;
    ap_walk_options options = blocks_of(x);
    ap_walk_count(host, &options, &factors, &elements);
    return factors;
}

/* ---- the matrix part */

/* P_k of one block, from its statistics; a root that cannot be computed stays as it was. */
static bool take_roots(ap_host *host, const settings *x, const ap_block *block, const void *factors, float *roots) {
    const double beta2 = x->s.factor_beta2;
    double correction =
        x->s.use_bias_correction != 0 && beta2 < 1 ? 1 - ap_f64_powi(beta2, host->call->step(host) + 1) : 1;
    double root = x->s.inv_root_override > 0 ? x->s.inv_root_override : 2 * block->order;
    int64_t at = 0;
    for (int i = 0; i < block->order; i++) {
        int64_t n = block->extent[i];
        double *a = (double *)(void *)host->call->scratch(host, 0, 2 * n * n);
        if (!a) return false;
        for (int64_t j = 0; j < n * n; j++) {
            const void *l = factor_at(x, (void *)factors, at + j);
            a[j] = (x->wide ? *(const double *)l : (double)*(const float *)l) / correction;
        }
        if (!ap_matrix_power(host, (int)n, a, -x->s.exponent_multiplier / root, x->s.epsilon, false, roots + at))
            host->call->log(host, "step %lld: no eigendecomposition of a %lld x %lld factor; its old root stays",
                            (long long)host->call->step(host), (long long)n, (long long)n);
        at += n * n;
    }
    return true;
}

static bool update_factors(ap_host *host, const settings *x, void *factors, float *roots) {
    int64_t t = host->call->step(host) + 1;
    bool due = (t % x->frequency == 0 && t > x->start) || t == x->start;
    ap_walk k;
    walk_begin(host, x, &k);
    while (ap_walk_next(&k)) {
        if (!k.preconditioned || k.owner != host->call->rank(host)) continue;
        const float *g = ap_block_view(host, &k.block, host->call->gradient(host, k.block.param), 3);
        if (!g) return false;
        void *own = factor_at(x, factors, k.factors);
        double beta2 = x->s.factor_beta2, weight = beta2 < 1 ? 1 - beta2 : 1;
        if (!ap_block_statistics(host, &k.block, g, beta2, weight, x->wide, own)) return false;
        if (due && !take_roots(host, x, &k.block, own, roots + k.factors)) return false;
    }
    return true;
}

/* The owners' P F for every preconditioned block, one behind the other, in scratch slot 4. */
static float *preconditioned(ap_host *host, const settings *x, const float *roots) {
    int64_t factors, elements;
    ap_walk_options options = blocks_of(x);
    ap_walk_count(host, &options, &factors, &elements);
    float *all = host->call->scratch(host, 4, elements);
    if (!all) return NULL;
    ap_walk k;
    ap_walk_begin(host, &options, &k);
    while (ap_walk_next(&k)) {
        if (!k.preconditioned || k.owner != host->call->rank(host)) continue;
        const float *f = ap_block_view(host, &k.block, host->call->gradient(host, k.block.param), 3);
        if (!f || !ap_block_precondition(host, &k.block, roots + k.factors, f, all + k.elements)) return NULL;
    }
    return ap_walk_exchange(host, &options, all) ? all : NULL;
}

/* ---- the elementwise part */

typedef struct scalars {
    float beta1, one_minus_beta1, correction1, beta2, one_minus_beta2, graft_correction2, graft_epsilon;
    float l2, weight_decay, mu, mu_weight, rate; /* mu_weight: 1 - mu, or 1 without use_ema_momentum */
    bool nadam, nesterov, has_momentum;
} scalars;

AP_RULE_CLONES
static void shampoo_l2(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    (void)state;
    for (int64_t i = 0; i < n; i++) g[i] += s.l2 * w[i];
}

AP_RULE_CLONES
static void shampoo_second_moment(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                                  float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict v = state[0];
    (void)w;
    for (int64_t i = 0; i < n; i++) v[i] = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
}

/* F takes the gradient's place. */
AP_RULE_CLONES
static void shampoo_filter(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m = state[0];
    (void)w;
    for (int64_t i = 0; i < n; i++) {
        float mi = m[i] * s.beta1 + s.one_minus_beta1 * g[i];
        m[i] = mi;
        g[i] = (s.nadam ? mi * s.beta1 + s.one_minus_beta1 * g[i] : mi) / s.correction1;
    }
}

/* a = A for n elements: f F, v the second moment (NULL: SGD). */
AP_RULE_CLONES
static void shampoo_graft(const scalars *s, int64_t n, const float *restrict f, const float *restrict v,
                          float *restrict a) {
    for (int64_t i = 0; i < n; i++) a[i] = v ? f[i] / (sqrtf(v[i] / s->graft_correction2) + s->graft_epsilon) : f[i];
}

AP_RULE_CLONES
static void shampoo_step(const void *scalars_, int64_t n, float *restrict w, float *restrict d, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m = state[0];
    for (int64_t i = 0; i < n; i++) {
        float di = d[i] + s.weight_decay * w[i];
        if (s.has_momentum) {
            float mi = s.mu * m[i] + s.mu_weight * di;
            m[i] = mi;
            di = s.nesterov ? s.mu_weight * di + s.mu * mi : mi;
        }
        w[i] -= s.rate * di;
    }
}

static bool is_huge(const ap_param_info *p) {
    for (int i = 0; i < p->rank; i++)
        if (p->shape[i] >= huge) return true;
    return false;
}

/* The grafting of one tensor. */
static int grafting_of(const settings *x, const ap_param_info *p) {
    return is_huge(p) ? ADAM : x->grafting;
}

static bool has_second_moment(const settings *x, const ap_param_info *p) {
    int grafting = grafting_of(x, p);
    return grafting != SGD && grafting != NONE;
}

static scalars scalars_of(ap_host *host, const settings *x, double rate) {
    const ap_rule_settings *s = &x->s;
    int64_t t = host->call->step(host) + 1;
    bool correct = s->use_bias_correction != 0, decoupled = s->use_decoupled_weight_decay != 0;
    return (scalars){.beta1 = (float)s->beta1,
                     .one_minus_beta1 = (float)(1 - s->beta1),
                     .correction1 = correct ? (float)(1 - ap_f64_powi(s->beta1, t)) : 1,
                     .graft_epsilon = (float)s->grafting_epsilon,
                     .l2 = decoupled ? 0 : (float)s->weight_decay,
                     .weight_decay = decoupled ? (float)s->weight_decay : 0,
                     .mu = (float)s->momentum,
                     .mu_weight = s->use_ema_momentum != 0 ? (float)(1 - s->momentum) : 1,
                     .rate = (float)rate,
                     .nadam = s->use_nadam != 0,
                     .nesterov = s->use_nesterov != 0,
                     .has_momentum = s->momentum > 0};
}

/* With the grafting of one tensor: ADAGRAD, or a beta2 of 1, sums. */
static scalars with_grafting(ap_host *host, const settings *x, const ap_param_info *p, scalars s) {
    int grafting = grafting_of(x, p);
    double beta2 = grafting == ADAGRAD ? 1 : x->s.grafting_beta2;
    s.beta2 = (float)beta2;
    s.one_minus_beta2 = beta2 < 1 ? (float)(1 - beta2) : 1;
    s.graft_correction2 =
        grafting == ADAM && beta2 < 1 ? (float)(1 - ap_f64_powi(beta2, host->call->step(host) + 1)) : 1;
    return s;
}

/* One block: b = G / (||G|| + 1e-16), v if it has one, and the norm of the direction. */
static bool normalized_block(ap_host *host, const settings *x, const scalars *s, const ap_block *block, double *norm) {
    const ap_param_info *info = &host->call->workload(host)->param[block->param];
    int64_t n = block->size;
    float *b = host->call->scratch(host, 3, n), *moment = host->call->scratch(host, 5, n);
    float *a = host->call->scratch(host, 6, n), *g = host->call->gradient(host, block->param), *state = NULL;
    if (!b || !moment || !a) return false;
    if (has_second_moment(x, info) && !(state = host->call->state(host, "exp_avg_sq", block->param))) return false;
    const scalars own = with_grafting(host, x, info, *s);
    ap_block_read(block, g, b);
    float length = (float)sqrt(host->call->dot(host, n, b, b)) + 1e-16F;
    for (int64_t i = 0; i < n; i++) b[i] /= length;
    if (state) {
        float *states[] = {moment, NULL, NULL, NULL};
        ap_block_read(block, state, moment);
        shampoo_second_moment(&own, n, g, b, states);
        ap_block_write(block, moment, state);
    }
    shampoo_graft(&own, n, b, state ? moment : NULL, a);
    *norm = sqrt(host->call->dot(host, n, a, a));
    return true;
}

/* The second moments of normalised gradients, and every block's norm of A, in scratch slot 1. */
static double *normalized_grafting(ap_host *host, const settings *x, const scalars *s) {
    int64_t blocks = 0, i = 0;
    ap_walk k;
    walk_begin(host, x, &k);
    while (ap_walk_next(&k)) blocks++;
    double *norms = (double *)(void *)host->call->scratch(host, 1, 2 * blocks);
    if (!norms) return NULL;
    walk_begin(host, x, &k);
    while (ap_walk_next(&k))
        if (!normalized_block(host, x, s, &k.block, &norms[i++])) return NULL;
    return norms;
}

/* v, if it was not updated already, and F in the place of the gradient. */
static bool update_moments(ap_host *host, const settings *x, const scalars *s, bool normalized) {
    static const char *const m[] = {"exp_avg", NULL}, *const v[] = {"exp_avg_sq", NULL};
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++) {
        const scalars own = with_grafting(host, x, &workload->param[p], *s);
        if (!normalized && has_second_moment(x, &workload->param[p]) &&
            !ap_rule_apply_to(host, p, v, 1, shampoo_second_moment, &own))
            return false;
        if (!ap_rule_apply_to(host, p, m, 1, shampoo_filter, &own)) return false;
    }
    return true;
}

/* D of one block in the place of its F. d: P F, NULL before the start; norm: ||A|| if it is known. */
static bool graft_block(ap_host *host, const settings *x, const scalars *s, const ap_block *block, const float *d,
                        const double *norm) {
    const ap_param_info *info = &host->call->workload(host)->param[block->param];
    int64_t n = block->size;
    float *a = host->call->scratch(host, 6, n), *g = host->call->gradient(host, block->param);
    const float *f = ap_block_view(host, block, g, 3), *v = NULL;
    if (!f || !a) return false;
    if (has_second_moment(x, info)) {
        const float *state = host->call->state(host, "exp_avg_sq", block->param);
        if (!state || !(v = ap_block_view(host, block, state, 5))) return false;
    }
    const scalars own = with_grafting(host, x, info, *s);
    shampoo_graft(&own, n, f, v, a);
    if (d) {
        double scale = norm ? *norm : sqrt(host->call->dot(host, n, a, a));
        scale = x->grafting == NONE ? 1 : scale / (sqrt(host->call->dot(host, n, d, d)) + 1e-16);
        for (int64_t i = 0; i < n; i++) a[i] = (float)scale * d[i];
    }
    ap_block_write(block, a, g);
    return true;
}

/* D takes the place of F, block by block. norms: NULL, or of normalized_grafting. */
static bool graft(ap_host *host, const settings *x, const scalars *s, const float *all, const double *norms) {
    int64_t i = 0;
    ap_walk k;
    walk_begin(host, x, &k);
    for (; ap_walk_next(&k); i++)
        if (!graft_block(host, x, s, &k.block, k.preconditioned && all ? all + k.elements : NULL,
                         norms ? norms + i : NULL))
            return false;
    return true;
}

/* ---- the submission */

static int init_optimizer_state(ap_host *host) {
    static const char *const moments[] = {"exp_avg", NULL}, *const momentum[] = {"momentum", NULL};
    settings x;
    const ap_workload_info *workload = host->call->workload(host);
    if (!read_settings(host, &x) || !ap_rule_states(host, moments)) return 1;
    if (x.s.momentum > 0 && !ap_rule_states(host, momentum)) return 1;
    for (int p = 0; p < workload->params; p++)
        if (has_second_moment(&x, &workload->param[p]) && !host->call->state(host, "exp_avg_sq", p)) return 1;
    if (!host->call->state_numbers(host, "learning_rate", 1)) return 1;
    int64_t n = count_factors(host, &x);
    if (n == 0) return 0;
    if (!factors_of(host, &x, n) || !host->call->state_array(host, "roots", n)) return 1;
    ap_walk_options options = blocks_of(&x);
    return ap_walk_keep(host, &options, "factors", true) && ap_walk_keep(host, &options, "roots", true) ? 0 : 1;
}

static double schedule(const ap_rule_settings *s, int64_t step, int64_t step_hint) {
    double hint = s->step_hint_factor * (double)step_hint, warmup = trunc(s->warmup_factor * hint);
    if (s->use_cosine_decay != 0) return ap_schedule_warmup_cosine(step, warmup, hint);
    return (double)step < warmup ? ap_schedule_warmup_cosine(step, warmup, hint) : 1;
}

static int update_params(ap_host *host) {
    static const char *const momentum[] = {"momentum", NULL}, *const none[] = {NULL};
    settings x;
    float clip;
    if (!read_settings(host, &x) || !ap_rule_gradient(host, &x.s, &clip)) return 1;
    scalars s = scalars_of(host, &x, ap_rule_rate(host, &x.s, schedule));
    int64_t n = count_factors(host, &x);
    void *factors = n > 0 ? factors_of(host, &x, n) : NULL;
    float *roots = n > 0 ? host->call->state_array(host, "roots", n) : NULL, *all = NULL;
    if (n > 0 && (!factors || !roots)) return 1;
    ap_scale_gradients(host, clip);
    if (s.l2 != 0 && !ap_rule_apply(host, none, 1, shampoo_l2, &s)) return 1;
    if (n > 0 && !update_factors(host, &x, factors, roots)) return 1;
    double *norms = NULL;
    if (x.s.use_normalized_grafting != 0 && !(norms = normalized_grafting(host, &x, &s))) return 1;
    if (!update_moments(host, &x, &s, norms != NULL)) return 1;
    bool started = host->call->step(host) + 1 >= x.start || x.grafting == NONE;
    if (n > 0 && started && !(all = preconditioned(host, &x, roots))) return 1;
    if (!graft(host, &x, &s, all, norms)) return 1;
    return ap_rule_apply(host, s.has_momentum ? momentum : none, 1, shampoo_step, &s) ? 0 : 1;
}

const ap_submission ap_submission_shampoo_submission = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "shampoo_submission",
    .summary = "Distributed Shampoo, blocks shared out over the ranks: winner of the v0.5 external tuning track",
    .source = "AlgoPerf v0.5 external tuning submission; Shi et al., arXiv:2309.06497",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
