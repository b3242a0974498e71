/* Adam and its Nesterov form, which many algorithms are made of: scalars of a step, and the kernels. States: m, v.
 *
 *     w *= 1 - h wd
 *     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
 *     w -= h / (1 - b1^t) * m                        / (sqrt(v) / sqrt(1 - b2^t) + eps)     (Adam)
 *     w -= h / (1 - b1^t) * (b1 m + (1 - b1) g)      / (sqrt(v) / sqrt(1 - b2^t) + eps)     (NAdamW) */
#ifndef AP_ALGORITHMS_ADAM_H
#define AP_ALGORITHMS_ADAM_H

#include "algorithms/rule.h"

typedef struct ap_adam {
    float keep, beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_correction2, epsilon;
} ap_adam;

/* t = 1, 2, ...; rate: h. In double, rounded once. */
ap_adam ap_adam_of(double beta1, double beta2, double weight_decay, double epsilon, int64_t t, double rate);

/* For a table rule (ap_rule): settings' beta1, beta2, weight_decay, epsilon. */
void ap_adam_scalars(const ap_rule_settings *settings, int64_t t, double rate, void *scalars);
extern const ap_rule_input ap_adam_inputs[]; /* learning_rate, beta1, beta2, weight_decay, warmup_factor, epsilon */
extern const char *const ap_adam_states[];   /* exp_avg, exp_avg_sq */
ap_rule_kernel ap_adam_block, ap_nadamw_block;

#endif
