#include "algorithms/adam.h"
#include "base/fmath.h"

const ap_rule_input ap_adam_inputs[] = {{"learning_rate", AP_REQUIRED},
                                        {"beta1", AP_REQUIRED},
                                        {"beta2", AP_REQUIRED},
                                        {"weight_decay", AP_REQUIRED},
                                        {"warmup_factor", AP_REQUIRED},
                                        {"epsilon", 1e-8},
                                        {NULL, 0}};
const char *const ap_adam_states[] = {"exp_avg", "exp_avg_sq", NULL};

ap_adam ap_adam_of(double beta1, double beta2, double weight_decay, double epsilon, int64_t t, double rate) {
    return (ap_adam){.keep = (float)(1 - rate * weight_decay),
                     .beta1 = (float)beta1,
                     .one_minus_beta1 = (float)(1 - beta1),
                     .beta2 = (float)beta2,
                     .one_minus_beta2 = (float)(1 - beta2),
                     .step_size = (float)(rate / (1 - ap_f64_powi(beta1, t))),
                     .root_correction2 = (float)sqrt(1 - ap_f64_powi(beta2, t)),
                     .epsilon = (float)epsilon};
}

void ap_adam_scalars(const ap_rule_settings *s, int64_t t, double rate, void *scalars) {
    *(ap_adam *)scalars = ap_adam_of(s->beta1, s->beta2, s->weight_decay, s->epsilon, t, rate);
}

AP_RULE_CLONES
static void adam_kernel(const void *scalars, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    const ap_adam s = *(const ap_adam *)scalars;
    float *restrict m = states[0], *restrict v = states[1];
    for (int64_t i = 0; i < n; i++) {
        float mi = m[i] * s.beta1 + s.one_minus_beta1 * g[i];
        float vi = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        float denominator = sqrtf(vi) / s.root_correction2 + s.epsilon;
        m[i] = mi;
        v[i] = vi;
        w[i] = w[i] * s.keep - s.step_size * mi / denominator;
    }
}
void ap_adam_block(const void *scalars, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    adam_kernel(scalars, n, w, g, states);
}

AP_RULE_CLONES
static void nadamw_kernel(const void *scalars, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    const ap_adam s = *(const ap_adam *)scalars;
    float *restrict m = states[0], *restrict v = states[1];
    for (int64_t i = 0; i < n; i++) {
        float mi = m[i] * s.beta1 + s.one_minus_beta1 * g[i];
        float vi = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        float numerator = mi * s.beta1 + s.one_minus_beta1 * g[i];
        float denominator = sqrtf(vi) / s.root_correction2 + s.epsilon;
        m[i] = mi;
        v[i] = vi;
        w[i] = w[i] * s.keep - s.step_size * numerator / denominator;
    }
}
void ap_nadamw_block(const void *scalars, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    nadamw_kernel(scalars, n, w, g, states);
}
