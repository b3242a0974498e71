/* May these times be compared? A second belongs to a machine and to the way it was used, a result says which
 * (design decision 4). Not collective. */
#ifndef AP_ANALYSIS_CLOCKS_H
#define AP_ANALYSIS_CLOCKS_H

#include "analysis/rules.h"
#include "analysis/trials.h"

/* The facts of /provenance that times depend on; ends with NULL. */
extern const char *const ap_clock_facts[];

/* Adds one line to `differences` for every fact that is not the same in all trials of each scored workload, naming the
 * values and how many trials of which submissions have them. Steps depend on the ruleset alone. */
ap_status ap_clocks_compare(const ap_trials *trials, const ap_targets *targets, ap_metric metric, ap_names *differences,
                            ap_error *error);

#endif
