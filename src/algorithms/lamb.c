/* LAMB, a paper baseline of the benchmark.
 *
 * You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", arXiv:1904.00962, Algorithm 2;
 * AlgoPerf, archived_paper_baselines/lamb, PyTorch form (whose file does not run with its own search space: it asks for
 * beta1, which is 1 - one_minus_beta1 here). With t = 1, 2, ... and h the rate of the step (linear warmup, cosine):
 *
 *     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
 *     r = m / (sqrt(v) / sqrt(1 - b2^t) + eps) / (1 - b1^t) + weight_decay w
 *     w -= h q r,   q = ||w|| / ||r|| for each tensor, 1 if either norm is 0
 *
 * Search space: lamb.json, the published ranges. */
#include "algorithms/adam.h"
#include "base/fmath.h"

extern const char ap_lamb_json[];
static const char *const space = ap_lamb_json;

typedef struct scalars {
    ap_adam adam;
    float correction1, weight_decay;
} scalars;

/* r takes the gradient's place. */
AP_RULE_CLONES
static void lamb_moments(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m = states[0], *restrict v = states[1];
    for (int64_t i = 0; i < n; i++) {
        float mi = m[i] * s.adam.beta1 + s.adam.one_minus_beta1 * g[i];
        float vi = v[i] * s.adam.beta2 + s.adam.one_minus_beta2 * g[i] * g[i];
        m[i] = mi;
        v[i] = vi;
        g[i] = mi / (sqrtf(vi) / s.adam.root_correction2 + s.adam.epsilon) / s.correction1 + s.weight_decay * w[i];
    }
}

static void squares(ap_host *host, int64_t n, const float *w, const float *r, float *const *states, double *sum) {
    (void)states;
    sum[0] = host->call->dot(host, n, w, w);
    sum[1] = host->call->dot(host, n, r, r);
}

AP_RULE_CLONES
static void lamb_step(const void *rate, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    const float h = *(const float *)rate;
    (void)states;
    for (int64_t i = 0; i < n; i++) w[i] -= h * g[i];
}

static int init_optimizer_state(ap_host *host) {
    static const ap_rule rule = {.inputs = ap_adam_inputs, .states = ap_adam_states};
    return ap_rule_init(host, &rule);
}

static int update_params(ap_host *host) {
    static const char *const none[] = {NULL};
    ap_rule_settings s;
    float clip;
    if (!ap_rule_read(host, ap_adam_inputs, &s) || !ap_rule_gradient(host, &s, &clip)) return 1;
    double rate = ap_rule_rate(host, &s, ap_rule_torch_cosine);
    int64_t t = host->call->step(host) + 1;
    scalars x = {.adam = ap_adam_of(s.beta1, s.beta2, 0, s.epsilon, t, rate),
                 .correction1 = (float)(1 - ap_f64_powi(s.beta1, t)),
                 .weight_decay = (float)s.weight_decay};
    const ap_rule_pass moments = {.states = ap_adam_states,
                                  .clip = clip,
                                  .kernel = lamb_moments,
                                  .scalars = &x,
                                  .rewrites = true,
                                  .sums = squares};
    int params = host->call->workload(host)->params;
    for (int p = 0; p < params; p++) {
        double sum[2];
        if (!ap_rule_run(host, p, &moments, sum)) return 1;
        double weights = sqrt(sum[0]), update = sqrt(sum[1]);
        float h = (float)(rate * (weights > 0 && update > 0 ? weights / update : 1));
        if (!ap_rule_apply_to(host, p, none, 1, lamb_step, &h)) return 1;
    }
    return 0;
}

const ap_submission ap_submission_lamb = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "lamb",
    .summary = "Adam with a trust ratio for each tensor: a paper baseline",
    .source = "AlgoPerf paper baseline; You et al., arXiv:1904.00962",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
