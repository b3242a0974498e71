/* AdEMAMix, self-tuning: Adam with a second, slow average of the gradient.
 *
 * Pagliardini, Ablin and Grangier, "The AdEMAMix optimizer: better, faster, older", arXiv:2409.03137, Algorithm 1;
 * AlgoPerf self-tuning submission "ademamix", PyTorch form. With t = 1, 2, ...:
 *
 *     m1 = b1 m1 + (1 - b1) g,   m2 = b3_t m2 + (1 - b3_t) g,   v = b2 v + (1 - b2) g^2
 *     w -= h ((m1 / (1 - b1^t) + a_t m2) / (sqrt(v) / sqrt(1 - b2^t) + eps) + weight_decay w)
 *
 * a_t = alpha min(t / alpha_warmup, 1). b3_t goes from b1 to b3 in beta3_warmup steps, evenly in the half-life:
 * f(b) = ln 0.5 / ln(b + 1e-8) - 1, f^-1(x) = 0.5^(1 / (x + 1)), b3_t = f^-1((1 - s) f(b1) + s f(b3)), s = t /
 * beta3_warmup; 0 steps: no warmup.
 *
 * Search space: the submission's one point. */
#include "algorithms/rule.h"
#include "base/fmath.h"

extern const char ap_ademamix_self_tuning_json[];
static const char *const point = ap_ademamix_self_tuning_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"beta2", AP_REQUIRED},
                                       {"beta3", AP_REQUIRED},
                                       {"alpha", AP_REQUIRED},
                                       {"alpha_warmup", 0},
                                       {"beta3_warmup", 0},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};
static const char *const states[] = {"exp_avg_fast", "exp_avg_slow", "exp_avg_sq", NULL};

typedef struct scalars {
    float beta1, one_minus_beta1, beta2, one_minus_beta2, beta3, one_minus_beta3;
    float correction1, root_correction2, alpha, epsilon, weight_decay, rate;
} scalars;

static double half_life(double beta) {
    return ap_f64_log(0.5) / ap_f64_log(beta + 1e-8) - 1;
}

static double beta3_of(const ap_rule_settings *s, int64_t t) {
    if (!((double)t < s->beta3_warmup)) return s->beta3;
    double part = (double)t / s->beta3_warmup;
    double x = (1 - part) * half_life(s->beta1) + part * half_life(s->beta3);
    return ap_f64_exp(ap_f64_log(0.5) / (x + 1));
}

static void ademamix_scalars(const ap_rule_settings *s, int64_t t, double rate, void *out) {
    double beta3 = beta3_of(s, t), warm = (double)t < s->alpha_warmup ? (double)t / s->alpha_warmup : 1;
    *(scalars *)out = (scalars){.beta1 = (float)s->beta1,
                                .one_minus_beta1 = (float)(1 - s->beta1),
                                .beta2 = (float)s->beta2,
                                .one_minus_beta2 = (float)(1 - s->beta2),
                                .beta3 = (float)beta3,
                                .one_minus_beta3 = (float)(1 - beta3),
                                .correction1 = (float)(1 - ap_f64_powi(s->beta1, t)),
                                .root_correction2 = (float)sqrt(1 - ap_f64_powi(s->beta2, t)),
                                .alpha = (float)(s->alpha * warm),
                                .epsilon = (float)s->epsilon,
                                .weight_decay = (float)s->weight_decay,
                                .rate = (float)rate};
}

AP_RULE_CLONES
static void ademamix_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                           float *const *states_) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m1 = states_[0], *restrict m2 = states_[1], *restrict v = states_[2];
    for (int64_t i = 0; i < n; i++) {
        float fast = m1[i] * s.beta1 + s.one_minus_beta1 * g[i];
        float slow = m2[i] * s.beta3 + s.one_minus_beta3 * g[i];
        float vi = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        float denominator = sqrtf(vi) / s.root_correction2 + s.epsilon;
        m1[i] = fast;
        m2[i] = slow;
        v[i] = vi;
        w[i] -= s.rate * ((fast / s.correction1 + s.alpha * slow) / denominator + s.weight_decay * w[i]);
    }
}

static const ap_rule rule = {inputs, states, ap_rule_torch_cosine, ademamix_scalars, ademamix_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
}

const ap_submission ap_submission_ademamix = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "ademamix",
    .summary = "Adam with a fast and a slow average of the gradient: a self-tuning submission",
    .source = "AlgoPerf self-tuning submission; Pagliardini et al., arXiv:2409.03137",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .self_tuning_point = &point,
};
