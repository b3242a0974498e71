/* Distributed Shampoo as submitted: winner of the v0.5 external tuning track.
 *
 * Gupta, Koren and Singer, "Shampoo: preconditioned stochastic tensor optimization", arXiv:1802.09568; Shi et al., "A
 * distributed data-parallel PyTorch implementation of the Distributed Shampoo optimizer", arXiv:2309.06497, Algorithm
 * 2; AlgoPerf v0.5 submission "shampoo_submission". For each block (blocks.h: merged up to max_preconditioner_dim, cut
 * at it) of order o and step t = 1, 2, ...:
 *
 *     L_k = b2 L_k + (1 - b2) G_(k) G_(k)'
 *     every precondition_frequency steps from start_preconditioning_step on (-1: from the first such step):
 *         P_k = (L_k / (1 - b2^t) + eps I)^(-exponent_multiplier / root),   root = 2 o, or inv_root_override if not 0
 *     m = b1 m + (1 - b1) G,   F = (b1 m + (1 - b1) G if use_nadam, else m) / (1 - b1^t)
 *     grafting direction A:  ADAM F / (sqrt(v / (1 - b2^t)) + eps_g), RMSPROP without the correction, both with
 *         v = b2 v + (1 - b2) G^2;  ADAGRAD with v = v + G^2;  SGD F;  NONE. v has G / ||G|| if use_normalized_grafting
 *     D = P F ||A|| / (||P F|| + 1e-16);  before the start D = A;  NONE: D = P F
 *     D = D + weight_decay w   (use_decoupled_weight_decay = false: G = G + weight_decay w at the beginning instead)
 *     if momentum mu > 0:  M = mu M + (1 - mu) D,   D = (1 - mu) D + mu M if nesterov, else M
 *     w -= h D
 *
 * Tensors with an axis of 1,000,000 or more have the ADAM direction alone. The rate: linear warmup, then cosine over
 * step_hint_factor * step_hint (use_cosine_decay = false: constant). Statistics, roots and P F are shared out over the
 * ranks by cost; the elementwise part is done by all.
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
                                       {"beta2", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"step_hint_factor", 1},
                                       {"use_cosine_decay", 1},
                                       {"epsilon", 1e-12},
                                       {"momentum", 0},
                                       {"use_momentum", 1},
                                       {"use_nesterov", 1},
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
    if (x->s.grafting_beta2 < 0) x->s.grafting_beta2 = x->s.beta2;
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
    double correction = x->s.use_bias_correction != 0 ? 1 - ap_f64_powi(x->s.beta2, host->call->step(host) + 1) : 1;
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
        float *g = host->call->scratch(host, 3, k.block.size);
        if (!g) return false;
        void *own = factor_at(x, factors, k.factors);
        ap_block_read(&k.block, host->call->gradient(host, k.block.param), g);
        double weight = x->s.beta2 < 1 ? 1 - x->s.beta2 : 1;
        if (!ap_block_statistics(host, &k.block, g, x->s.beta2, weight, x->wide, own)) return false;
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
        float *f = all + k.elements;
        ap_block_read(&k.block, host->call->gradient(host, k.block.param), f);
        if (!ap_block_precondition(host, &k.block, roots + k.factors, f)) return NULL;
    }
    return ap_walk_exchange(host, &options, all) ? all : NULL;
}

/* ---- the elementwise part */

typedef struct scalars {
    float beta1, one_minus_beta1, correction1, beta2, one_minus_beta2, graft_correction2, graft_epsilon;
    float l2, weight_decay, mu, one_minus_mu, rate;
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
            float mi = s.mu * m[i] + s.one_minus_mu * di;
            m[i] = mi;
            di = s.nesterov ? s.one_minus_mu * di + s.mu * mi : mi;
        }
        w[i] -= s.rate * di;
    }
}

static scalars scalars_of(ap_host *host, const settings *x, double rate) {
    const ap_rule_settings *s = &x->s;
    int64_t t = host->call->step(host) + 1;
    bool correct = s->use_bias_correction != 0, ada = x->grafting == ADAGRAD,
         decoupled = s->use_decoupled_weight_decay != 0;
    return (scalars){.beta1 = (float)s->beta1,
                     .one_minus_beta1 = (float)(1 - s->beta1),
                     .correction1 = correct ? (float)(1 - ap_f64_powi(s->beta1, t)) : 1,
                     .beta2 = ada ? 1 : (float)s->grafting_beta2,
                     .one_minus_beta2 = ada ? 1 : (float)(1 - s->grafting_beta2),
                     .graft_correction2 = x->grafting == ADAM ? (float)(1 - ap_f64_powi(s->grafting_beta2, t)) : 1,
                     .graft_epsilon = (float)s->grafting_epsilon,
                     .l2 = decoupled ? 0 : (float)s->weight_decay,
                     .weight_decay = decoupled ? (float)s->weight_decay : 0,
                     .mu = (float)s->momentum,
                     .one_minus_mu = (float)(1 - s->momentum),
                     .rate = (float)rate,
                     .nadam = s->use_nadam != 0,
                     .nesterov = s->use_nesterov != 0,
                     .has_momentum = s->momentum > 0};
}

static bool is_huge(const ap_param_info *p) {
    for (int i = 0; i < p->rank; i++)
        if (p->shape[i] >= huge) return true;
    return false;
}

static bool has_second_moment(const settings *x, const ap_param_info *p) {
    return (x->grafting != SGD && x->grafting != NONE) || is_huge(p);
}

/* G / ||G|| of each block for the second moment; the gradient is put back afterwards. */
static bool normalized_second_moment(ap_host *host, const settings *x, const scalars *s) {
    static const char *const v[] = {"exp_avg_sq", NULL};
    const ap_workload_info *workload = host->call->workload(host);
    ap_walk k;
    walk_begin(host, x, &k);
    while (ap_walk_next(&k)) {
        float *b = host->call->scratch(host, 3, k.block.size), *g = host->call->gradient(host, k.block.param);
        float *state =
            has_second_moment(x, &workload->param[k.block.param]) ? host->call->state(host, v[0], k.block.param) : NULL;
        if (!b) return false;
        if (!state) continue;
        float *moment = host->call->scratch(host, 5, k.block.size);
        if (!moment) return false;
        ap_block_read(&k.block, g, b);
        ap_block_read(&k.block, state, moment);
        float norm = (float)sqrt(host->call->dot(host, k.block.size, b, b)) + 1e-16F;
        for (int64_t i = 0; i < k.block.size; i++) b[i] /= norm;
        float *states[] = {moment, NULL, NULL, NULL};
        shampoo_second_moment(s, k.block.size, g, b, states);
        ap_block_write(&k.block, moment, state);
    }
    return true;
}

static bool update_moments(ap_host *host, const settings *x, const scalars *s) {
    static const char *const m[] = {"exp_avg", NULL}, *const v[] = {"exp_avg_sq", NULL};
    const ap_workload_info *workload = host->call->workload(host);
    bool normalized = x->s.use_normalized_grafting != 0;
    if (normalized && !normalized_second_moment(host, x, s)) return false;
    for (int p = 0; p < workload->params; p++) {
        if (!normalized && has_second_moment(x, &workload->param[p]) &&
            !ap_rule_apply_to(host, p, v, 1, shampoo_second_moment, s))
            return false;
        if (!ap_rule_apply_to(host, p, m, 1, shampoo_filter, s)) return false;
    }
    return true;
}

/* D takes the place of F, block by block. */
static bool graft(ap_host *host, const settings *x, const scalars *s, const float *all) {
    const ap_workload_info *workload = host->call->workload(host);
    ap_walk k;
    walk_begin(host, x, &k);
    while (ap_walk_next(&k)) {
        int64_t n = k.block.size;
        int param = k.block.param;
        bool second = has_second_moment(x, &workload->param[param]);
        float *f = host->call->scratch(host, 3, n), *v = host->call->scratch(host, 5, n);
        float *a = host->call->scratch(host, 6, n);
        if (!f || !v || !a) return false;
        ap_block_read(&k.block, host->call->gradient(host, param), f);
        if (second) {
            const float *state = host->call->state(host, "exp_avg_sq", param);
            if (!state) return false;
            ap_block_read(&k.block, state, v);
        }
        shampoo_graft(s, n, f, second ? v : NULL, a);
        if (k.preconditioned && all) {
            const float *d = all + k.elements;
            double scale = x->grafting == NONE
                               ? 1
                               : sqrt(host->call->dot(host, n, a, a)) / (sqrt(host->call->dot(host, n, d, d)) + 1e-16);
            for (int64_t i = 0; i < n; i++) a[i] = (float)scale * d[i];
        }
        ap_block_write(&k.block, a, host->call->gradient(host, param));
    }
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
    if (!update_moments(host, &x, &s)) return 1;
    bool started = host->call->step(host) + 1 >= x.start || x.grafting == NONE;
    if (n > 0 && started && !(all = preconditioned(host, &x, roots))) return 1;
    if (!graft(host, &x, &s, all)) return 1;
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
