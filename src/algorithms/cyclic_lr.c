/* NAdamW with a cyclic learning rate.
 *
 * AlgoPerf v0.5 external tuning submission "cyclic_lr", PyTorch form: the update of nadamw.c; the rate makes `cycles`
 * runs of linear warmup (int(warmup_factor * step_hint) steps each) and cosine over step_hint, and its first update has
 * the full rate (ap_schedule_cyclic). Smith, "Cyclical learning rates for training neural networks", arXiv:1506.01186.
 *
 * Search space: the submission's five points. */
#include "algorithms/adam.h"
#include "algorithms/schedule.h"

extern const char ap_cyclic_lr_json[];
static const char *const space = ap_cyclic_lr_json;

static const ap_rule_input inputs[] = {
    {"learning_rate", AP_REQUIRED}, {"beta1", AP_REQUIRED},  {"beta2", AP_REQUIRED}, {"weight_decay", AP_REQUIRED},
    {"warmup_factor", AP_REQUIRED}, {"cycles", AP_REQUIRED}, {"epsilon", 1e-8},      {NULL, 0}};

static double schedule(const ap_rule_settings *s, int64_t step, int64_t step_hint) {
    return ap_schedule_cyclic(step, (int64_t)(s->warmup_factor * (double)step_hint), step_hint, (int)s->cycles);
}

static const ap_rule rule = {inputs, ap_adam_states, schedule, ap_adam_scalars, ap_nadamw_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
}

const ap_submission ap_submission_cyclic_lr = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "cyclic_lr",
    .summary = "NAdamW with a cyclic learning rate: a competitor of v0.5",
    .source = "AlgoPerf v0.5 external tuning submission; Smith, arXiv:1506.01186",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
