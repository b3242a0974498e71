#include "analysis/clocks.h"

#include <stdio.h>
#include <string.h>

const char *const ap_clock_facts[] = {"math", "cpu_model", "instruction_set", "ranks", "threads", NULL};

/* ---- one fact on one workload: who has which value */

enum { NOT_STATED = 0 }; /* as in ap_trial.fact */

static size_t value_of(const ap_trial *trial, size_t kind) {
    return kind < trial->facts ? trial->fact[kind] : NOT_STATED;
}

static bool differs(const ap_trials *trials, size_t kind, size_t workload) {
    const ap_trial *first = NULL;
    for (size_t i = 0; i < trials->n; i++) {
        const ap_trial *trial = &trials->trial[i];
        if (trial->workload != workload) continue;
        if (first && value_of(trial, kind) != value_of(first, kind)) return true;
        first = trial;
    }
    return false;
}

/* ' "2" (12 trials, the first adamw/study_0/trial_1)' for one value. */
static size_t describe(const ap_trials *trials, size_t kind, size_t workload, size_t value, char *text, size_t size) {
    const ap_trial *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < trials->n; i++)
        if (trials->trial[i].workload == workload && value_of(&trials->trial[i], kind) == value && !n++)
            first = &trials->trial[i];
    if (!first) return 0;
    const char *name = ap_trial_fact(trials, first, kind), *quote = name ? "\"" : "";
    return (size_t)snprintf(text, size, " %s%.100s%s (%zu trial%s, the first %.60s/%.40s/%.40s)", quote,
                            name ? name : "not stated", quote, n, n == 1 ? "" : "s",
                            trials->submissions.name[first->submission], first->study, first->name);
}

static ap_status add_difference(const ap_trials *trials, const ap_targets *targets, size_t kind, size_t workload,
                                ap_names *differences, ap_error *error) {
    char line[2048];
    size_t used = (size_t)snprintf(line, sizeof line, "%s differs on %s:", trials->fact[kind].name,
                                   targets->target[workload].workload);
    for (size_t value = NOT_STATED; value <= trials->fact[kind].value.n; value++) {
        if (used > sizeof line - 400) {
            snprintf(line + used, sizeof line - used, " ...");
            break;
        }
        used += describe(trials, kind, workload, value, line + used, sizeof line - used);
    }
    return ap_names_add(differences, line, NULL, error);
}

/* ---- all facts */

static ap_status compare(const ap_trials *trials, const ap_targets *targets, const char *name, ap_names *differences,
                         ap_error *error) {
    size_t kind = ap_trials_find_fact(trials, name);
    for (size_t w = 0; kind < trials->facts && w < targets->n; w++)
        if (targets->target[w].role != AP_ROLE_OTHER && differs(trials, kind, w))
            return add_difference(trials, targets, kind, w, differences, error); /* the first workload says enough */
    return AP_OK;
}

ap_status ap_clocks_compare(const ap_trials *trials, const ap_targets *targets, ap_metric metric, ap_names *differences,
                            ap_error *error) {
    static const char *const of_trial[] = {"source", "clock", "calibration", NULL};
    AP_TRY(compare(trials, targets, "ruleset", differences, error));
    if (metric == AP_METRIC_STEPS) return AP_OK;
    for (const char *const *name = of_trial; *name; name++) AP_TRY(compare(trials, targets, *name, differences, error));
    for (const char *const *name = ap_clock_facts; *name; name++)
        AP_TRY(compare(trials, targets, *name, differences, error));
    return AP_OK;
}
