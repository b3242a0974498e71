/* Cautious NAdamW, self-tuning: NAdamW that moves only where momentum and gradient agree.
 *
 * Liang et al., "Cautious optimizers: improving training with one line of code", arXiv:2411.16085, Algorithm 1;
 * AlgoPerf self-tuning submission "cautious_nadamw", JAX form. With u the NAdamW numerator b1 m + (1 - b1) g (nadamw.c)
 * and, for each tensor, M = [u g > 0] and c = max(mean(M), 1e-3):
 *
 *     w -= h (M u / c / (1 - b1^t) / (sqrt(v) / sqrt(1 - b2^t) + eps) + weight_decay w)
 *
 * Linear warmup from 0, then cosine (JAX form). Search space: the submission's one point, that of the baseline. */
#include "algorithms/adam.h"

extern const char ap_cautious_nadamw_self_tuning_json[];
static const char *const point = ap_cautious_nadamw_self_tuning_json;

/* M u takes the gradient's place. */
AP_RULE_CLONES
static void cautious_moments(const void *scalars, int64_t n, float *restrict w, float *restrict g,
                             float *const *states) {
    const ap_adam s = *(const ap_adam *)scalars;
    float *restrict m = states[0], *restrict v = states[1];
    (void)w;
    for (int64_t i = 0; i < n; i++) {
        float mi = m[i] * s.beta1 + s.one_minus_beta1 * g[i];
        float vi = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        float u = mi * s.beta1 + s.one_minus_beta1 * g[i];
        m[i] = mi;
        v[i] = vi;
        g[i] = u * g[i] > 0 ? u : (u == u ? 0 : u); /* a NaN stays one */
    }
}

AP_RULE_CLONES
static int64_t cautious_count(int64_t n, const float *restrict g) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += g[i] != 0;
    return count;
}

typedef struct scalars {
    ap_adam adam;
    float share; /* c */
} scalars;

AP_RULE_CLONES
static void cautious_step(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    const scalars s = *(const scalars *)scalars_;
    const float *restrict v = states[1];
    for (int64_t i = 0; i < n; i++) {
        float denominator = sqrtf(v[i]) / s.adam.root_correction2 + s.adam.epsilon;
        w[i] = w[i] * s.adam.keep - s.adam.step_size * (g[i] / s.share) / denominator;
    }
}

static int init_optimizer_state(ap_host *host) {
    static const ap_rule rule = {.inputs = ap_adam_inputs, .states = ap_adam_states};
    return ap_rule_init(host, &rule);
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    if (!ap_rule_read(host, ap_adam_inputs, &s) || !ap_rule_gradient(host, &s, &clip)) return 1;
    double rate = ap_rule_rate(host, &s, ap_rule_jax_cosine);
    scalars x = {.adam = ap_adam_of(s.beta1, s.beta2, s.weight_decay, s.epsilon, host->call->step(host) + 1, rate)};
    ap_scale_gradients(host, clip);
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++) {
        int64_t n = workload->param[p].size;
        if (!ap_rule_apply_to(host, p, ap_adam_states, 1, cautious_moments, &x.adam)) return 1;
        double share = (double)cautious_count(n, host->call->gradient(host, p)) / (double)n;
        x.share = (float)fmax(share, 1e-3);
        if (!ap_rule_apply_to(host, p, ap_adam_states, 1, cautious_step, &x)) return 1;
    }
    return 0;
}

const ap_submission ap_submission_cautious_nadamw = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "cautious_nadamw",
    .summary = "NAdamW where momentum and gradient agree: a self-tuning submission",
    .source = "AlgoPerf self-tuning submission; Liang et al., arXiv:2411.16085",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .self_tuning_point = &point,
};
