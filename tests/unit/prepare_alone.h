/* `algoperf prepare` in one process, as unit tests of a workload's reader want it. */
#ifndef AP_TESTS_PREPARE_ALONE_H
#define AP_TESTS_PREPARE_ALONE_H

#include "workload/workload.h"

static inline ap_status prepare_alone(const ap_workload *workload, const ap_prepare_options *options, int64_t skip_bad,
                                      ap_error *error) {
    ap_prepare_plan plan = {0};
    ap_prepare_target target = {.to = options->to,
                                .workload = ap_workload_packed_as(workload),
                                .data_set = options->name,
                                .fields = workload->fields,
                                .field = workload->field,
                                .skip_bad = skip_bad};
    ap_status status = workload->plan(options, &plan, error);
    if (status == AP_OK) status = ap_prepare_alone(&target, &plan, error);
    ap_prepare_plan_free(&plan);
    return status;
}

#endif
