/* NAdamW: AdamW with a Nesterov numerator; the benchmark's current baseline. Not torch's NAdam.
 *
 * Dozat, "Incorporating Nesterov momentum into Adam" (2016); Loshchilov and Hutter, "Decoupled weight decay
 * regularization", arXiv:1711.05101; AlgoPerf, the nadamw baseline, PyTorch form. With t = 1, 2, ..., b1 = 1 -
 * one_minus_beta1, eps = 1e-8 and h the rate of the step (linear warmup of int(warmup_factor * step_hint) steps, then
 * cosine):
 *
 *     w *= 1 - h weight_decay
 *     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
 *     w -= h / (1 - b1^t) * (b1 m + (1 - b1) g) / (sqrt(v) / sqrt(1 - b2^t) + eps)
 *
 * Search spaces: nadamw.json, the published list of five points; nadamw.self_tuning.json, the fifth without label
 * smoothing. */
#include "algorithms/rule.h"
#include "algorithms/schedule.h"
#include "base/fmath.h"
#include <math.h>

extern const char ap_nadamw_json[], ap_nadamw_self_tuning_json[];
static const char *const space = ap_nadamw_json;
static const char *const point = ap_nadamw_self_tuning_json;

static const char *const required[] = {"learning_rate", "one_minus_beta1", "beta2",
                                       "weight_decay",  "warmup_factor",   NULL};
static const char *const states[] = {"exp_avg", "exp_avg_sq", NULL};

typedef struct scalars {
    float keep, beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_correction2, eps;
} scalars;

static scalars scalars_of(const ap_rule_settings *s, int64_t t, double rate) {
    double beta1 = 1 - s->one_minus_beta1;
    return (scalars){.keep = (float)(1 - rate * s->weight_decay),
                     .beta1 = (float)beta1,
                     .one_minus_beta1 = (float)(1 - beta1),
                     .beta2 = (float)s->beta2,
                     .one_minus_beta2 = (float)(1 - s->beta2),
                     .step_size = (float)(rate / (1 - ap_f64_powi(beta1, t))),
                     .root_correction2 = (float)sqrt(1 - ap_f64_powi(s->beta2, t)),
                     .eps = 1e-8F};
}

AP_RULE_CLONES
static void nadamw_block(const void *scalars_, int64_t n, float *restrict w, const float *restrict g, float *restrict m,
                         float *restrict v) {
    const scalars s = *(const scalars *)scalars_;
    for (int64_t i = 0; i < n; i++) {
        float mi = m[i] * s.beta1 + s.one_minus_beta1 * g[i];
        float vi = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        float numerator = mi * s.beta1 + s.one_minus_beta1 * g[i];
        float denominator = sqrtf(vi) / s.root_correction2 + s.eps;
        m[i] = mi;
        v[i] = vi;
        w[i] = w[i] * s.keep - s.step_size * numerator / denominator;
    }
}

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, required, states) ? 0 : 1;
}

static int update_params(ap_host *host) {
    ap_rule_settings settings;
    if (!ap_rule_read(host, required, &settings) || !ap_rule_gradient(host, &settings)) return 1;
    int64_t step = host->call->step(host), hint = host->call->workload(host)->step_hint;
    double warmup_steps = trunc(settings.warmup_factor * (double)hint);
    double rate = settings.learning_rate * ap_schedule_warmup_cosine(step, warmup_steps, hint);
    scalars s = scalars_of(&settings, step + 1, rate);
    return ap_rule_apply(host, states, rate, nadamw_block, &s) ? 0 : 1;
}

const ap_submission ap_submission_nadamw = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "nadamw",
    .summary = "AdamW with a Nesterov numerator, warmup and cosine: the current baseline",
    .source = "AlgoPerf baseline; Dozat 2016; Loshchilov and Hutter, arXiv:1711.05101",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
    .self_tuning_point = &point,
};
