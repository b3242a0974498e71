/* LAWA with an exponential average, a competitor of v0.5 (lawa.h):
 *
 *     average = int(lawa_beta) average + (1 - int(lawa_beta)) w
 *
 * The published code casts lawa_beta to a whole number, so with its 0.2 the average is the newest copy; so it is here.
 *
 * Search space: the submission's five points, those of the baseline. */
#include "algorithms/lawa.h"

extern const char ap_lawa_ema_json[];
static const char *const space = ap_lawa_ema_json;

static const ap_rule_input inputs[] = AP_LAWA_INPUTS("lawa_beta");

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    if (ap_lawa_init(host, inputs, &s)) return 1;
    return ap_rule_copy_of_parameters(host, "average") ? 0 : 1;
}

static bool copy(ap_host *host, const ap_rule_settings *s, bool *ready) {
    const ap_workload_info *workload = host->call->workload(host);
    float keep = truncf((float)s->lawa_beta);
    *ready = true;
    for (int p = 0; p < workload->params; p++) {
        const float *w = host->call->value(host, p);
        float *average = host->call->state(host, "average", p);
        if (!average) return false;
        for (int64_t i = 0; i < workload->param[p].size; i++) average[i] = keep * average[i] + (1 - keep) * w[i];
    }
    return true;
}

static int update_params(ap_host *host) {
    return ap_lawa_update(host, inputs, copy);
}

const ap_submission ap_submission_lawa_ema = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "lawa_ema",
    .summary = "NAdamW, evaluated at the newest copy: a competitor of v0.5",
    .source = "AlgoPerf v0.5 external tuning submission; Kaddour, arXiv:2209.14981",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
