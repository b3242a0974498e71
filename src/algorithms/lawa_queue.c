/* LAWA with a queue, a competitor of v0.5: the evaluated weights are the mean of the last k copies (lawa.h); until
 * there are k of them, the training weights.
 *
 * Search space: the submission's five points, those of the baseline. */
#include "algorithms/lawa.h"
#include <string.h>

extern const char ap_lawa_queue_json[];
static const char *const space = ap_lawa_queue_json;

static const ap_rule_input inputs[] = AP_LAWA_INPUTS("k");

static int64_t elements(ap_host *host) {
    const ap_workload_info *workload = host->call->workload(host);
    int64_t n = 0;
    for (int p = 0; p < workload->params; p++) n += workload->param[p].size;
    return n;
}

/* The copies, [k][all elements], and how many there were. */
static float *queue_of(ap_host *host, int k, double **count) {
    *count = host->call->state_numbers(host, "copies", 1);
    int64_t n = elements(host) * k;
    return *count && n > 0 ? host->call->state_array(host, "queue", n) : NULL;
}

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    double *count;
    if (ap_lawa_init(host, inputs, &s)) return 1;
    return queue_of(host, (int)s.k, &count) || (count && elements(host) == 0) ? 0 : 1;
}

static bool copy(ap_host *host, const ap_rule_settings *s, bool *ready) {
    const ap_workload_info *workload = host->call->workload(host);
    double *count;
    int k = (int)s->k;
    float *queue = queue_of(host, k, &count);
    if (!queue) return false;
    int slot = (int)((int64_t)*count % k);
    int64_t stride = elements(host);
    *count += 1;
    *ready = *count >= k;
    for (int p = 0; p < workload->params; p++) {
        int64_t n = workload->param[p].size;
        float *average = host->call->state(host, "average", p);
        if (!average) return false;
        memcpy(queue + slot * stride, host->call->value(host, p), (size_t)n * sizeof *queue);
        if (*ready) ap_lawa_average(n, k, queue, stride, (slot + 1) % k, average);
        queue += n;
    }
    return true;
}

static int update_params(ap_host *host) {
    return ap_lawa_update(host, inputs, copy);
}

const ap_submission ap_submission_lawa_queue = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "lawa_queue",
    .summary = "NAdamW, evaluated at the mean of the last copies: a competitor of v0.5",
    .source = "AlgoPerf v0.5 external tuning submission; Kaddour, arXiv:2209.14981",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
