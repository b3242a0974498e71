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
#include "algorithms/adam.h"

extern const char ap_nadamw_json[], ap_nadamw_self_tuning_json[];
static const char *const space = ap_nadamw_json;
static const char *const point = ap_nadamw_self_tuning_json;

static const ap_rule rule = {ap_adam_inputs, ap_adam_states, ap_rule_torch_cosine, ap_adam_scalars, ap_nadamw_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
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
