/* The scoring rules as values: the published ones, and the changes that `sensitivity` tries. */
#ifndef AP_ANALYSIS_RULES_H
#define AP_ANALYSIS_RULES_H

#include "analysis/targets.h"

typedef enum ap_metric {
    AP_METRIC_TIME,  /* seconds, the published score */
    AP_METRIC_STEPS, /* update steps: does not depend on the machine */
    AP_METRICS
} ap_metric;
extern const char *const ap_metric_names[AP_METRICS + 1]; /* NULL-terminated */

/* Which of several trials of a study that hit at the same evaluation counts (3.2). */
typedef enum ap_tie { AP_TIE_MIN_TIME, AP_TIE_MAX_TIME, AP_TIE_LOWEST_TRIAL, AP_TIE_HIGHEST_TRIAL, AP_TIES } ap_tie;
extern const char *const ap_tie_names[AP_TIES + 1];

typedef enum ap_over_studies { AP_MEDIAN, AP_MINIMUM, AP_MEAN } ap_over_studies;

typedef struct ap_rules {
    ap_metric metric;
    ap_ruleset ruleset;    /* says which budget `budget` is a multiple of */
    double harder;         /* targets are moved by this share of their value: > 0 harder, < 0 easier to reach */
    double budget;         /* hits after this many budgets do not count; INFINITY: not enforced, as published (3.1) */
    bool best_by_time;     /* the best trial has the smallest time, not the smallest evaluation index */
    ap_tie tie;            /* among equal indices */
    ap_over_studies over;  /* studies (3.3) */
    size_t first_studies;  /* only so many studies of each workload, in name order; 0: all */
    double limit;          /* step B: 4 times the fastest; INFINITY: no step B */
    bool no_held_out;      /* without steps A and C */
    bool missing_held_out; /* a held-out workload that was never run is no miss in steps A and C */
    int taus;              /* grid points of the profile; 0: the exact integral is the score */
} ap_rules;

enum { AP_TAUS = 100 };
/* The rules by which the published scores were made. */
static inline ap_rules ap_rules_published(void) {
    return (ap_rules){.budget = __builtin_inf(), .limit = 4, .taus = AP_TAUS};
}

#endif
