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

/* M u / denominator takes the gradient's place. */
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
        u = u * g[i] > 0 ? u : (u == u ? 0 : u); /* a NaN stays one */
        g[i] = u / (sqrtf(vi) / s.root_correction2 + s.epsilon);
    }
}

AP_RULE_CLONES
static int32_t cautious_count(int32_t n, const float *restrict g) {
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) count += g[i] != 0;
    return count;
}
static void count_of(ap_host *host, int64_t n, const float *w, const float *g, float *const *states, double *sum) {
    (void)host;
    (void)w;
    (void)states;
    sum[0] = cautious_count((int32_t)n, g);
    sum[1] = 0;
}

typedef struct scalars {
    float keep, step_size, share; /* share: c */
} scalars;

AP_RULE_CLONES
static void cautious_step(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    const scalars s = *(const scalars *)scalars_;
    (void)states;
    for (int64_t i = 0; i < n; i++) w[i] = w[i] * s.keep - s.step_size * (g[i] / s.share);
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
    double rate = ap_rule_rate(host, &s, ap_rule_jax_cosine);
    ap_adam adam = ap_adam_of(s.beta1, s.beta2, s.weight_decay, s.epsilon, host->call->step(host) + 1, rate);
    const ap_rule_pass moments = {.states = ap_adam_states,
                                  .clip = clip,
                                  .kernel = cautious_moments,
                                  .scalars = &adam,
                                  .rewrites = true,
                                  .sums = count_of};
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++) {
        double count[2];
        if (!ap_rule_run(host, p, &moments, count)) return 1;
        double share = fmax(count[0] / (double)workload->param[p].size, 1e-3);
        scalars x = {adam.keep, adam.step_size, (float)share};
        if (!ap_rule_apply_to(host, p, none, 1, cautious_step, &x)) return 1;
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
