/* Amos, a competitor of v0.5: Adam-like steps whose size and decay follow from the scale expected of each tensor.
 *
 * Tian and Parikh, "Amos: an Adam-style optimizer with adaptive weight decay towards model-oriented scale",
 * arXiv:2210.11693; AlgoPerf v0.5 external tuning submission "amos", JAX form. Step t = 1, 2, ...; G = g clipped to the
 * global norm 1, xi the global rate after linear warmup. For each tensor, v of its shape ("adam" style) or reduced to
 * its reduced shape by a mean ("reduced" style); a reduced entry stands for k elements:
 *
 *     G^2 is clipped, element by element, to 1 / (1 - b2) times the average so far, v (1 - b2) / (1 - b2^(t-1)), where
 *         that is not 0
 *     v = b2 v + G^2,   vhat = v (1 - b2) / (1 - b2^t)
 *     tau = sqrt(1 - 1 / sqrt k) ln(sqrt k (1 + sqrt(1 - 1 / sqrt k))^2),   p = 1 + l2 ((1 + tau / 2)^2 - 1)^2
 *     adam:     m = b1 m + (1 - b1) G,   D = m / sqrt(vhat),   q2 = (1 + b1) / (1 - b1) mean(m^2) / mean(vhat)
 *               X = xi^2 / max(q2, sqrt(1 + b)),   b' = b + X (q2 / sqrt k + b)
 *     reduced:  D = G / sqrt(vhat),   q2 = mean(G^2) / vhat,   X = xi^2 / sqrt(1 + b),   b' = b + X (1 / sqrt k + b)
 *     q = 1 + l2 b^2,   d = -X / 2 (p / q q2 + l2)
 *     B = (2 sqrt(1 + b) / (1 + sqrt(1 + 2 / (2 + tau) sqrt(1 + b))))^2 - 1,   R = (1 + l2 b B) / (1 + l2 / p q)
 *     u = (d w - eta xi D) / (1 + eta sqrt(1 + b) R B)
 *     adam: w += u;   reduced: M = b1 M + (1 - b1) u,   w += M
 *
 * The elements are in float32, the scalars in double. Means are over the reduced axes; b is kept for each reduced
 * entry. eta by parameter type: weights sqrt(2 / d0), convolutions sqrt(1 / prod(shape but the last)), scales 1, biases
 * 0.5, embeddings 1, attention sqrt(1 / d0), its output sqrt(1 / prod(shape but the last)); eta_overrides, unless -1,
 * replaces that of weights, biases and embeddings. Embeddings are reduced over all axes but the first, all others to
 * one entry (the submission has one for each head of an attention: its tensors have an axis of heads, these not). xi is
 * given, or sqrt(2 (tau(max k) + sqrt 2 - 1) / S) with S = converge (step_hint - 2/3 W) (calc_base_lr); it rises over
 * W = warmup step_hint steps, xi min(t / W, 1).
 *
 * Shapes here are PyTorch's ([out, in]), those of the submission JAX's ([in, out]); eta uses them as they are. Search
 * space: the submission's five points. */
#include "algorithms/rule.h"
#include "base/fmath.h"
#include <stdio.h>

extern const char ap_amos_json[];
static const char *const space = ap_amos_json;

static const ap_rule_input inputs[] = {
    {"beta1", AP_REQUIRED}, {"beta2", AP_REQUIRED},  {"l2", AP_REQUIRED},     {"xi", 0}, {"converge", 1}, {"warmup", 0},
    {"eta_overrides", -1},  {"clip_global_norm", 1}, {"aux_dropout_rate", 0}, {NULL, 0}};
enum { ADAM, REDUCED };
static const char *const styles[] = {"adam", "reduced", NULL};

static bool read_all(ap_host *host, ap_rule_settings *s, int *style) {
    static const char *const optimizers[] = {"amos", NULL};
    int optimizer = 0;
    *style = ADAM;
    return ap_rule_read(host, inputs, s) && ap_rule_choice(host, "style", styles, style) &&
           ap_rule_choice(host, "optimizer", optimizers, &optimizer);
}

/* ---- a tensor's constants */

static int64_t groups_of(const ap_param_info *p) { /* reduced entries */
    return p->type == AP_PARAM_EMBEDDING && p->rank > 1 ? p->shape[0] : 1;
}

static double tau_of(double k) {
    double root = sqrt(k), part = sqrt(fmax(1 - 1 / root, 0));
    return part * ap_f64_log(root * (1 + part) * (1 + part));
}

static double eta_of(ap_host *host, const ap_rule_settings *s, const ap_param_info *p) {
    char name[300];
    double eta, first = p->rank > 0 ? (double)p->shape[0] : 1;
    double before_last = p->rank > 0 ? (double)p->size / (double)p->shape[p->rank - 1] : 1;
    snprintf(name, sizeof name, "eta.%s", p->name); /* for the golden trajectories; no search space can have a '.' */
    if (host->call->hyperparameter(host, name, &eta)) return eta;
    switch (p->type) {
    case AP_PARAM_WEIGHT: return s->eta_overrides >= 0 ? s->eta_overrides : sqrt(2 / first);
    case AP_PARAM_CONV_WEIGHT:
    case AP_PARAM_ATTENTION_OUT: return sqrt(1 / before_last);
    case AP_PARAM_EMBEDDING: return s->eta_overrides >= 0 ? s->eta_overrides : 1;
    case AP_PARAM_BATCH_NORM_SCALE:
    case AP_PARAM_LAYER_NORM_SCALE: return 1;
    case AP_PARAM_BIAS: return s->eta_overrides >= 0 ? s->eta_overrides : 0.5;
    case AP_PARAM_BATCH_NORM_BIAS:
    case AP_PARAM_LAYER_NORM_BIAS:
    case AP_PARAM_ATTENTION_BIAS: return 0.5;
    default: return sqrt(1 / first);
    }
}

static double global_rate(ap_host *host, const ap_rule_settings *s) {
    const ap_workload_info *workload = host->call->workload(host);
    double hint = (double)workload->step_hint, warmup = s->warmup_factor * hint, largest = 1, xi = s->xi;
    if (xi == 0) {
        for (int p = 0; p < workload->params; p++)
            largest = fmax(largest, (double)(workload->param[p].size / groups_of(&workload->param[p])));
        double steps = s->converge * (hint - 2.0 / 3.0 * warmup);
        xi = sqrt(2 * (tau_of(largest) + sqrt(2) - 1) / steps);
    }
    double t = (double)(host->call->step(host) + 1);
    return s->constant_rate == 0 && t < warmup ? xi * (t / warmup) : xi;
}

/* ---- one reduced entry: k elements of a tensor */

typedef struct entry {
    int param;
    int64_t k, first;
    double *b;
    float *v;                      /* reduced style: its second moment */
    double xi, eta, before, after; /* (1 - b2) / (1 - b2^t) for t - 1 (0 in the first step) and t */
    float clip;
    const ap_rule_settings *s;
} entry;

/* What the equations make of the old b: X's factors d, denominator. */
typedef struct factors {
    double decay, divisor;
} factors;

static factors factors_of(const entry *e, double x, double q2, double b) {
    double l2 = e->s->l2, tau = tau_of((double)e->k), root = sqrt(1 + b);
    double p = 1 + l2 * ap_f64_powi(ap_f64_powi(1 + tau / 2, 2) - 1, 2), q = 1 + l2 * b * b;
    double big = ap_f64_powi(2 * root / (1 + sqrt(1 + 2 / (2 + tau) * root)), 2) - 1;
    double ratio = (1 + l2 * b * big) / (1 + l2 / p * q);
    return (factors){.decay = -x / 2 * (p / q * q2 + l2), .divisor = 1 + e->eta * root * ratio * big};
}

typedef struct scalars {
    float beta1, one_minus_beta1, beta2, limit; /* limit: of G^2, in v's */
    float after, decay, step, divisor;          /* step: adam: eta xi; reduced: that times G's share in D */
} scalars;

AP_RULE_CLONES
static void amos_moments(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m = state[0], *restrict v = state[1];
    (void)w;
    for (int64_t i = 0; i < n; i++) {
        float square = g[i] * g[i], limit = v[i] * s.limit, root = sqrtf(limit);
        bool over = v[i] > 0 && square > limit;
        v[i] = s.beta2 * v[i] + (over ? limit : square);
        m[i] = s.beta1 * m[i] + s.one_minus_beta1 * (over ? (g[i] < 0 ? -root : root) : g[i]);
    }
}

/* Sums of m^2 and v. */
static void amos_sums(ap_host *host, int64_t n, const float *w, const float *g, float *const *state, double *sum) {
    float ones[AP_RULE_BLOCK];
    (void)w;
    (void)g;
    for (int64_t i = 0; i < n; i++) ones[i] = 1;
    sum[0] = host->call->dot(host, n, state[0], state[0]);
    sum[1] = host->call->dot(host, n, state[1], ones);
}

AP_RULE_CLONES
static void amos_step(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    const float *restrict m = state[0], *restrict v = state[1];
    (void)g;
    for (int64_t i = 0; i < n; i++) {
        float root = sqrtf(v[i] * s.after), direction = root > 0 ? m[i] / root : 0;
        w[i] += (s.decay * w[i] - s.step * direction) / s.divisor;
    }
}

static bool step_adam(ap_host *host, const entry *e) {
    static const char *const states[] = {"m", "v", NULL};
    double beta1 = e->s->beta1, beta2 = e->s->beta2, b = *e->b, sum[2];
    scalars s = {.beta1 = (float)beta1,
                 .one_minus_beta1 = (float)(1 - beta1),
                 .beta2 = (float)beta2,
                 .limit = (float)(e->before > 0 ? e->before / (1 - beta2) : INFINITY),
                 .after = (float)e->after};
    ap_rule_pass pass = {.states = states,
                         .clip = e->clip,
                         .kernel = amos_moments,
                         .scalars = &s,
                         .sums = amos_sums,
                         .first = e->first,
                         .n = e->k};
    if (!ap_rule_run(host, e->param, &pass, sum)) return false;
    double q2 = sum[1] > 0 ? (1 + beta1) / (1 - beta1) * sum[0] / (sum[1] * e->after) : 0;
    double x = e->xi * e->xi / fmax(q2, sqrt(1 + b));
    factors f = factors_of(e, x, q2, b);
    *e->b = b + x * (q2 / sqrt((double)e->k) + b);
    s.decay = (float)f.decay;
    s.divisor = (float)f.divisor;
    s.step = (float)(e->eta * e->xi);
    pass = (ap_rule_pass){
        .states = states, .clip = AP_NO_GRADIENT, .kernel = amos_step, .scalars = &s, .first = e->first, .n = e->k};
    return ap_rule_run(host, e->param, &pass, NULL);
}

AP_RULE_CLONES
static void amos_reduced(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m = state[0];
    for (int64_t i = 0; i < n; i++) {
        m[i] = s.beta1 * m[i] + s.one_minus_beta1 * ((s.decay * w[i] - s.step * g[i]) / s.divisor);
        w[i] += m[i];
    }
}

/* G, clipped, in the gradient's place; limit: of |G|. */
AP_RULE_CLONES
static void amos_clip(const void *limit_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const float limit = *(const float *)limit_;
    (void)w;
    (void)state;
    for (int64_t i = 0; i < n; i++) {
        float below = g[i] > limit ? limit : g[i];
        g[i] = below < -limit ? -limit : below;
    }
}

static void amos_squares(ap_host *host, int64_t n, const float *w, const float *g, float *const *state, double *sum) {
    (void)w;
    (void)state;
    sum[0] = host->call->dot(host, n, g, g);
    sum[1] = 0;
}

static bool step_reduced(ap_host *host, const entry *e) {
    static const char *const states[] = {"m", NULL}, *const none[] = {NULL};
    double beta1 = e->s->beta1, beta2 = e->s->beta2, b = *e->b, sum[2];
    float limit = *e->v > 0 ? (float)sqrt((double)*e->v * e->before / (1 - beta2)) : INFINITY;
    ap_rule_pass pass = {.states = none,
                         .clip = e->clip,
                         .kernel = amos_clip,
                         .scalars = &limit,
                         .rewrites = true,
                         .sums = amos_squares,
                         .first = e->first,
                         .n = e->k};
    if (!ap_rule_run(host, e->param, &pass, sum)) return false;
    double square = sum[0] / (double)e->k;
    *e->v = (float)(beta2 * (double)*e->v + square);
    double vhat = (double)*e->v * e->after, q2 = vhat > 0 ? square / vhat : 0;
    double x = e->xi * e->xi / sqrt(1 + b);
    factors f = factors_of(e, x, q2, b);
    *e->b = b + x * (1 / sqrt((double)e->k) + b);
    scalars s = {.beta1 = (float)beta1,
                 .one_minus_beta1 = (float)(1 - beta1),
                 .decay = (float)f.decay,
                 .step = (float)(vhat > 0 ? e->eta * e->xi / sqrt(vhat) : 0),
                 .divisor = (float)f.divisor};
    pass = (ap_rule_pass){
        .states = states, .clip = 1, .kernel = amos_reduced, .scalars = &s, .first = e->first, .n = e->k};
    return ap_rule_run(host, e->param, &pass, NULL);
}

/* ---- the submission */

static int64_t all_groups(ap_host *host) {
    const ap_workload_info *workload = host->call->workload(host);
    int64_t n = 0;
    for (int p = 0; p < workload->params; p++) n += groups_of(&workload->param[p]);
    return n;
}

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    int style;
    const ap_workload_info *workload = host->call->workload(host);
    if (!read_all(host, &s, &style) || !host->call->state_numbers(host, "learning_rate", 1)) return 1;
    for (int p = 0; p < workload->params; p++)
        if (!host->call->state(host, "m", p) || (style == ADAM && !host->call->state(host, "v", p))) return 1;
    int64_t n = all_groups(host);
    if (n == 0) return 0;
    if (style == REDUCED && !host->call->state_array(host, "v", n)) return 1;
    return host->call->state_numbers(host, "b", (int)n) ? 0 : 1;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    int style;
    double loss, *b = host->call->state_numbers(host, "b", (int)all_groups(host));
    if (!read_all(host, &s, &style) || !b) return 1;
    ap_loss_request request = ap_rule_request(&s);
    if (!host->call->loss_and_gradient(host, &request, &loss)) return 1;
    const ap_workload_info *workload = host->call->workload(host);
    int64_t t = host->call->step(host) + 1;
    double *noted = host->call->state_numbers(host, "learning_rate", 1);
    float *reduced = style == REDUCED ? host->call->state_array(host, "v", all_groups(host)) : NULL;
    if (!noted || (style == REDUCED && !reduced)) return 1;
    double norm = ap_gradient_norm(host);
    entry e = {.s = &s,
               .clip = norm > s.clip_global_norm ? (float)(s.clip_global_norm / norm) : 1,
               .xi = *noted = global_rate(host, &s),
               .before = t > 1 ? (1 - s.beta2) / (1 - ap_f64_powi(s.beta2, t - 1)) : 0,
               .after = (1 - s.beta2) / (1 - ap_f64_powi(s.beta2, t))};
    for (e.param = 0; e.param < workload->params; e.param++) {
        const ap_param_info *info = &workload->param[e.param];
        int64_t groups = groups_of(info);
        e.k = info->size / groups;
        e.eta = eta_of(host, &s, info);
        for (int64_t i = 0; i < groups && e.k > 0; i++) {
            e.first = i * e.k;
            e.b = b + i;
            e.v = reduced + (reduced ? i : 0);
            if (!(style == ADAM ? step_adam : step_reduced)(host, &e)) return 1;
        }
        b += groups;
        if (reduced) reduced += groups;
    }
    return 0;
}

const ap_submission ap_submission_amos = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "amos",
    .summary = "steps and decay from the scale expected of each tensor: a competitor of v0.5",
    .source = "AlgoPerf v0.5 external tuning submission; Tian and Parikh, arXiv:2210.11693",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
