/* Shampoo, a paper baseline of the benchmark (JAX only).
 *
 * Gupta, Koren and Singer, arXiv:1802.09568; AlgoPerf, archived_paper_baselines/shampoo: scalable_shampoo.h, with
 * linear warmup from 0 and cosine (JAX form). Not the submission that won v0.5: that is shampoo_submission.c.
 *
 * Search space: shampoo.json, the published ranges. */
#include "algorithms/scalable_shampoo.h"

extern const char ap_shampoo_json[];
static const char *const space = ap_shampoo_json;

static int init_optimizer_state(ap_host *host) {
    return ap_scalable_shampoo_init(host);
}
static int update_params(ap_host *host) {
    static const ap_scalable_shampoo form = {ap_rule_jax_cosine, ap_block_precondition};
    return ap_scalable_shampoo_update(host, &form);
}

const ap_submission ap_submission_shampoo = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "shampoo",
    .summary = "Kronecker-factored preconditioner, JAX form: a paper baseline",
    .source = "AlgoPerf paper baseline; Gupta et al., arXiv:1802.09568; Anil et al., arXiv:2002.09018",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
