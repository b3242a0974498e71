/* What differs between the benchmark's versions: budgets and schedule lengths at full scale, and how much longer a
 * self-tuning trial may take. The workloads' own configurations have the v0.6 numbers. */
#ifndef AP_HARNESS_RULESET_H
#define AP_HARNESS_RULESET_H

#include "workload/workload.h"

typedef enum ap_rules { AP_RULES_V06, AP_RULES_V05 } ap_rules;

/* Times the budget of external tuning: 1.5 in v0.6, 3 in v0.5. */
double ap_rules_self_tuning_factor(ap_rules rules);

/* Puts that version's max_runtime and step hint into a full-scale problem; other scales and workloads that v0.5 did not
 * have stay as they are. */
void ap_rules_apply(ap_rules rules, ap_problem *problem);

#endif
