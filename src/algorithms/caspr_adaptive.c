/* CASPR, a competitor of v0.5: Shampoo with the axes' roots added in the place of multiplied.
 *
 * Duvvuri et al., "Combining axes preconditioners through Kronecker approximation for deep learning" (ICLR 2024),
 * Algorithm 1; AlgoPerf v0.5 submission "caspr_adaptive", JAX form: scalable_shampoo.h, with
 *
 *     P g = ((sum_k P_k) / o)^o g
 *
 * for a matrix (L^(-1/4) J + J R^(-1/4)) / 4 with J = L^(-1/4) G + G R^(-1/4); the rate is ap_schedule_caspr.
 *
 * Search space: the submission's five points, those of the baseline. */
#include "algorithms/scalable_shampoo.h"
#include "algorithms/schedule.h"

extern const char ap_caspr_adaptive_json[];
static const char *const space = ap_caspr_adaptive_json;

static double schedule(const ap_rule_settings *s, int64_t step, int64_t step_hint) {
    return ap_schedule_caspr(step, s->warmup_factor, step_hint);
}

static int init_optimizer_state(ap_host *host) {
    return ap_scalable_shampoo_init(host);
}
static int update_params(ap_host *host) {
    static const ap_scalable_shampoo form = {schedule, ap_block_precondition_caspr};
    return ap_scalable_shampoo_update(host, &form);
}

const ap_submission ap_submission_caspr_adaptive = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "caspr_adaptive",
    .summary = "Shampoo with the axes' roots added: a competitor of v0.5",
    .source = "AlgoPerf v0.5 external tuning submission; Duvvuri et al. 2024",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
