/* SOAP: Adam in the eigenbasis of Shampoo's statistics. No submission of the benchmark; here for comparison.
 *
 * Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", arXiv:2409.11321, Algorithm 3. For each block
 * (blocks.h: merged up to max_preconditioner_dim, 1024, cut at it) of order o >= 2 and step t = 1, 2, ...:
 *
 *     m = b1 m + (1 - b1) G
 *     L_k = b2 L_k + (1 - b2) G_(k) G_(k)';  Q_k: eigenvectors of L_k, taken in step 1 and then every
 *         precondition_frequency (10) steps, after the step; in step 1 nothing else happens
 *     G' = G in the bases Q,   m' = m in the bases Q,   v = b2 v + (1 - b2) G'^2
 *     D = m' / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps), back from the bases
 *     w -= h (D + weight_decay w)
 *
 * Vectors (o = 1) are AdamW. The paper's code follows the basis by one QR step in between; this takes all of it, by
 * rising eigenvalue, so that v's entries keep their places. Linear warmup, then cosine (PyTorch form). Blocks are
 * shared out over the ranks with all their state.
 *
 * Search space: that of adamw's learning rate and decay, with the paper's b1 = b2 = 0.95. */
#include "algorithms/adam.h"
#include "algorithms/blocks.h"
#include "base/fmath.h"

extern const char ap_soap_json[];
static const char *const space = ap_soap_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"beta2", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", AP_REQUIRED},
                                       {"precondition_frequency", 10},
                                       {"max_preconditioner_dim", 1024},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};

static ap_walk_options blocks_of(const ap_rule_settings *s) {
    int64_t size = (int64_t)s->max_preconditioner_dim;
    return (ap_walk_options){.limit = size, .size = size, .too_large = INT64_MAX, .order = 2};
}

typedef struct memory { /* of the preconditioned blocks */
    ap_walk_options options;
    int64_t factors, elements;
    float *statistics, *bases, *v;
} memory;

static bool memory_of(ap_host *host, const ap_rule_settings *s, memory *m) {
    m->options = blocks_of(s);
    ap_walk_count(host, &m->options, &m->factors, &m->elements);
    m->statistics = m->bases = m->v = NULL;
    if (m->factors == 0) return true;
    m->statistics = host->call->state_array(host, "statistics", m->factors);
    m->bases = host->call->state_array(host, "bases", m->factors);
    m->v = host->call->state_array(host, "rotated_exp_avg_sq", m->elements);
    return m->statistics && m->bases && m->v;
}

static bool is_vector(const ap_param_info *p, const ap_rule_settings *s) {
    ap_workload_info one = {.params = 1, .param = p};
    ap_blocks blocks;
    ap_block block;
    ap_blocks_begin(&blocks, &one, (int64_t)s->max_preconditioner_dim, (int64_t)s->max_preconditioner_dim);
    return !ap_blocks_next(&blocks, &block) || block.order < 2;
}

static int init_optimizer_state(ap_host *host) {
    static const char *const moments[] = {"exp_avg", NULL};
    ap_rule_settings s;
    memory m;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_states(host, moments) || !memory_of(host, &s, &m)) return 1;
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++)
        if (is_vector(&workload->param[p], &s) && !host->call->state(host, "exp_avg_sq", p)) return 1;
    if (!host->call->state_numbers(host, "learning_rate", 1)) return 1;
    if (m.factors == 0) return 0;
    return ap_walk_keep(host, &m.options, "statistics", true) && ap_walk_keep(host, &m.options, "bases", true) &&
                   ap_walk_keep(host, &m.options, "rotated_exp_avg_sq", false)
               ? 0
               : 1;
}

/* The eigenvectors of every factor; a basis that cannot be computed stays as it was. */
static bool take_bases(ap_host *host, const ap_block *block, const float *statistics, float *bases) {
    for (int i = 0; i < block->order; i++) {
        int64_t n = block->extent[i];
        double *a = (double *)(void *)host->call->scratch(host, 0, 2 * n * n);
        double *w = (double *)(void *)host->call->scratch(host, 2, 2 * n);
        if (!a || !w) return false;
        for (int64_t j = 0; j < n * n; j++) a[j] = (double)statistics[j];
        if (host->call->symmetric_eigen(host, (int)n, a, w))
            for (int64_t j = 0; j < n * n; j++) bases[j] = (float)a[j];
        statistics += n * n;
        bases += n * n;
    }
    return true;
}

typedef struct scalars {
    float beta2, one_minus_beta2, correction1, correction2, epsilon;
} scalars;

/* v; D in the bases takes the place of m'. */
AP_RULE_CLONES
static void soap_adam(const scalars *s, int64_t n, const float *restrict g, float *restrict m, float *restrict v) {
    for (int64_t i = 0; i < n; i++) {
        v[i] = s->beta2 * v[i] + s->one_minus_beta2 * g[i] * g[i];
        m[i] = m[i] / s->correction1 / (sqrtf(v[i] / s->correction2) + s->epsilon);
    }
}

/* One own block: D into d[size]. */
static bool step_block(ap_host *host, const ap_rule_settings *s, const ap_block *block, const scalars *x,
                       float *statistics, float *bases, float *v, float *d) {
    int64_t t = host->call->step(host) + 1;
    const float *g = ap_block_view(host, block, host->call->gradient(host, block->param), 3);
    float *moment = host->call->state(host, "exp_avg", block->param);
    if (!g || !moment) return false;
    if (t > 1) {
        float *g2 = host->call->scratch(host, 5, block->size), *m2 = host->call->scratch(host, 6, block->size);
        const float *m = ap_block_view(host, block, moment, 1);
        if (!g2 || !m2 || !m || !ap_block_rotate(host, block, bases, false, g, g2) ||
            !ap_block_rotate(host, block, bases, false, m, m2))
            return false;
        soap_adam(x, block->size, g2, m2, v);
        if (!ap_block_rotate(host, block, bases, true, m2, d)) return false;
    } else {
        for (int64_t i = 0; i < block->size; i++) d[i] = 0;
    }
    if (!ap_block_statistics(host, block, g, s->beta2, 1 - s->beta2, false, statistics)) return false;
    bool due = t == 1 || t % (int64_t)s->precondition_frequency == 0;
    return !due || take_bases(host, block, statistics, bases);
}

AP_RULE_CLONES
static void soap_moment(const void *adam, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const ap_adam s = *(const ap_adam *)adam;
    float *restrict m = state[0];
    (void)w;
    for (int64_t i = 0; i < n; i++) m[i] = m[i] * s.beta1 + s.one_minus_beta1 * g[i];
}

typedef struct step_scalars {
    float keep, rate;
} step_scalars;

AP_RULE_CLONES
static void soap_step(const void *scalars_, int64_t n, float *restrict w, float *restrict d, float *const *state) {
    const step_scalars s = *(const step_scalars *)scalars_;
    (void)state;
    for (int64_t i = 0; i < n; i++) w[i] = w[i] * s.keep - s.rate * d[i];
}

/* The matrices' directions take the gradients' places. */
static bool directions(ap_host *host, const ap_rule_settings *s, const memory *m) {
    int64_t t = host->call->step(host) + 1;
    scalars x = {.beta2 = (float)s->beta2,
                 .one_minus_beta2 = (float)(1 - s->beta2),
                 .correction1 = (float)(1 - ap_f64_powi(s->beta1, t)),
                 .correction2 = (float)(1 - ap_f64_powi(s->beta2, t)),
                 .epsilon = (float)s->epsilon};
    float *all = host->call->scratch(host, 4, m->elements);
    if (!all) return false;
    ap_walk k;
    ap_walk_begin(host, &m->options, &k);
    while (ap_walk_next(&k))
        if (k.preconditioned && k.owner == host->call->rank(host) &&
            !step_block(host, s, &k.block, &x, m->statistics + k.factors, m->bases + k.factors, m->v + k.elements,
                        all + k.elements))
            return false;
    if (!ap_walk_exchange(host, &m->options, all)) return false;
    ap_walk_begin(host, &m->options, &k);
    while (ap_walk_next(&k))
        if (k.preconditioned) ap_block_write(&k.block, all + k.elements, host->call->gradient(host, k.block.param));
    return true;
}

static int update_params(ap_host *host) {
    static const char *const moment[] = {"exp_avg", NULL}, *const none[] = {NULL};
    ap_rule_settings s;
    memory m;
    float clip;
    if (!ap_rule_read(host, inputs, &s) || !memory_of(host, &s, &m) || !ap_rule_gradient(host, &s, &clip)) return 1;
    const ap_workload_info *workload = host->call->workload(host);
    int64_t t = host->call->step(host) + 1;
    double rate = ap_rule_rate(host, &s, ap_rule_torch_cosine);
    ap_adam adam = ap_adam_of(s.beta1, s.beta2, s.weight_decay, s.epsilon, t, rate);
    step_scalars step = {t > 1 ? adam.keep : 1, t > 1 ? (float)rate : 0};
    ap_scale_gradients(host, clip);
    for (int p = 0; p < workload->params; p++)
        if (!is_vector(&workload->param[p], &s) && !ap_rule_apply_to(host, p, moment, 1, soap_moment, &adam)) return 1;
    if (m.factors > 0 && !directions(host, &s, &m)) return 1;
    for (int p = 0; p < workload->params; p++) {
        bool vector = is_vector(&workload->param[p], &s);
        if (vector ? !ap_rule_apply_to(host, p, ap_adam_states, 1, ap_adam_block, &adam)
                   : !ap_rule_apply_to(host, p, none, 1, soap_step, &step))
            return 1;
    }
    return 0;
}

const ap_submission ap_submission_soap = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "soap",
    .summary = "Adam in the eigenbasis of Shampoo's statistics: not a submission",
    .source = "Vyas et al., arXiv:2409.11321",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
