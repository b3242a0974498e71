/* AdamW, a paper baseline of the benchmark.
 *
 * Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv:1711.05101, Algorithm 2; AlgoPerf,
 * archived_paper_baselines/adamw, PyTorch form (torch.optim.AdamW). With t = 1, 2, ..., b1 = 1 - one_minus_beta1,
 * eps = 1e-8 and h the rate of the step (linear warmup of warmup_factor * step_hint steps, not cast to a whole number,
 * then cosine):
 *
 *     w *= 1 - h weight_decay
 *     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
 *     w -= h / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 *
 * Search space: adamw.json, the published ranges. */
#include "algorithms/adam.h"
#include "algorithms/schedule.h"

extern const char ap_adamw_json[];
static const char *const space = ap_adamw_json;

/* The published code does not cast the warmup to whole steps here, as it does everywhere else. */
static double schedule(const ap_rule_settings *s, int64_t step, int64_t step_hint) {
    return ap_schedule_warmup_cosine(step, s->warmup_factor * (double)step_hint, (double)step_hint);
}

static const ap_rule rule = {ap_adam_inputs, ap_adam_states, schedule, ap_adam_scalars, ap_adam_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
}

const ap_submission ap_submission_adamw = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "adamw",
    .summary = "Adam with decoupled weight decay, warmup and cosine: a paper baseline",
    .source = "AlgoPerf paper baseline; Loshchilov and Hutter, arXiv:1711.05101",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
