/* What `algoperf-score score` prints. Results only: warnings are the caller's. Not collective. */
#ifndef AP_ANALYSIS_REPORT_H
#define AP_ANALYSIS_REPORT_H

#include "analysis/score.h"
#include <stdio.h>

typedef struct ap_report {
    const ap_targets *targets;
    const ap_trials *trials; /* sorted */
    const ap_study *studies;
    size_t study_count;
    const ap_scores *scores; /* computed */
} ap_report;

/* Workloads and targets; time to target of every study; median, ratio and credit; scores and performance profile. */
ap_status ap_report_text(const ap_report *report, FILE *out, ap_error *error);

/* The score table alone: "submission,score,score_exact_integral", best first, every digit. */
ap_status ap_report_csv(const ap_report *report, FILE *out, ap_error *error);

/* Studies that have trials which are still running. */
size_t ap_report_incomplete(const ap_report *report);

#endif
