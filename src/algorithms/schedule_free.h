/* What the schedule-free algorithms share. Their parameters are the average x between steps, so that an evaluation
 * needs nothing; the gradient is taken at y = x + (1 - b1) (z - x). Kernels: state 0 is z. */
#ifndef AP_ALGORITHMS_SCHEDULE_FREE_H
#define AP_ALGORITHMS_SCHEDULE_FREE_H

#include "algorithms/rule.h"

/* Warmup over int(warmup_factor * step_hint * step_hint_factor) steps (the factor: how much of step_hint a submission
 * expects to need), or warmup_steps where that is given (-1: not): lr min((k + 1) / W, 1), k from 0. */
double ap_schedule_free_rate(ap_host *host, const ap_rule_settings *settings, int64_t k);

/* x -> y; scalars: one float, 1 - b1. And back: one float, 1 - 1 / b1. */
ap_rule_kernel ap_schedule_free_lerp;
bool ap_schedule_free_extrapolate(ap_host *host, double beta1);

/* Gradient at y. With batch normalisation in the model, v2 and the weighted form refresh the running statistics with a
 * forward pass of the same batch at x on two steps of three, and keep them as they are in the pass at y. Calls
 * ap_schedule_free_extrapolate in between. */
bool ap_schedule_free_gradient(ap_host *host, const ap_rule_settings *settings, float *clip);

/* What the kernels of schedule_free_adamw and its second version are given: `back` from y to x, `average` = c / S. */
typedef struct ap_schedule_free_scalars {
    float back, beta2, one_minus_beta2, step_size, decay, epsilon, average;
} ap_schedule_free_scalars;
ap_schedule_free_scalars ap_schedule_free_scalars_of(const ap_rule_settings *settings, double step_size,
                                                     double average);

/* torch.lerp: a + t (b - a), from the nearer end. */
static inline float ap_lerp(float a, float b, float t) {
    return fabsf(t) < 0.5F ? a + t * (b - a) : b - (b - a) * (1 - t);
}

/* (k + 1)^power, the same bits everywhere. */
double ap_power(double base, double power);

#endif
