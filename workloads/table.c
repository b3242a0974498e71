/* The workloads: one line each in workloads.list. */
#include "workload/workload.h"

#define WORKLOAD(name) extern const ap_workload ap_workload_##name;
#include "workloads.list"
#undef WORKLOAD

static const ap_workload *const table[] = {
#define WORKLOAD(name) &ap_workload_##name,
#include "workloads.list"
#undef WORKLOAD
    NULL};

const ap_workload *const *ap_workload_table(void) {
    return table;
}
