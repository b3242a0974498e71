#include "algorithms/swap.h"
#include <string.h>

static const char kept[] = "training_weights", flag[] = "swapped";

bool ap_swap_init(ap_host *host) {
    int params = host->call->workload(host)->params;
    for (int p = 0; p < params; p++)
        if (!host->call->state(host, kept, p)) return false;
    return host->call->state_numbers(host, flag, 1) != NULL;
}

bool ap_swap_in(ap_host *host, const char *name) {
    const ap_workload_info *workload = host->call->workload(host);
    double *swapped = host->call->state_numbers(host, flag, 1);
    if (!swapped) return false;
    for (int p = 0; p < workload->params; p++) {
        float *w = host->call->value(host, p), *training = host->call->state(host, kept, p);
        const float *state = host->call->state(host, name, p);
        size_t bytes = (size_t)workload->param[p].size * sizeof *w;
        if (!training || !state) return false;
        if (*swapped == 0) memcpy(training, w, bytes);
        memcpy(w, state, bytes);
    }
    *swapped = 1;
    return true;
}

bool ap_swap_back(ap_host *host) {
    const ap_workload_info *workload = host->call->workload(host);
    double *swapped = host->call->state_numbers(host, flag, 1);
    if (!swapped) return false;
    for (int p = 0; *swapped != 0 && p < workload->params; p++) {
        const float *training = host->call->state(host, kept, p);
        if (!training) return false;
        memcpy(host->call->value(host, p), training, (size_t)workload->param[p].size * sizeof *training);
    }
    *swapped = 0;
    return true;
}
