/* From evaluations to one time per study and one per workload (leaderboard rules 3).
 *
 * Times are seconds, or update steps under AP_METRIC_STEPS. INFINITY = the target was not reached; NaN = there are no
 * data; they are different (4.4). Pure functions over memory; not collective. */
#ifndef AP_ANALYSIS_HITS_H
#define AP_ANALYSIS_HITS_H

#include "analysis/rules.h"
#include "analysis/trials.h"

/* ---- one trial (3.1) */

enum { AP_HIT_NONE = -1, AP_HIT_LEFT_OUT = -2 };
typedef struct ap_hit {
    int64_t index; /* of the first evaluation that reached the target, or AP_HIT_NONE, or AP_HIT_LEFT_OUT: the trial is
                      taken for one that does not exist */
    double time;   /* there; INFINITY if none */
} ap_hit;

ap_hit ap_trial_hit(const ap_trial *trial, const ap_target *target, const ap_rules *rules);
/* Of every trial of the sorted list. The caller frees *hits. */
ap_status ap_hits(const ap_trials *trials, const ap_targets *targets, const ap_rules *rules, ap_hit **hits,
                  ap_error *error);

/* Is `a` rather than `b`, which stands before it in the list, the trial that counts (3.2)? A hit is better than none.
 */
bool ap_hit_is_better(const ap_rules *rules, ap_hit a, ap_hit b);

/* ---- one study (3.2) */

/* The trials [first, first + span) of the sorted list are one study of one submission on one workload. */
typedef struct ap_study {
    size_t submission, workload, first, span;
    size_t trials, trials_hit, trials_running; /* of those that are not left out */
    size_t best;                               /* index of the trial that counts; the list's length if none hit */
    ap_hit hit;                                /* of that trial */
    size_t tied;                        /* trials that hit at that index, their times, and the smallest time ... */
    double tied_min, tied_max, fastest; /* ... of any trial; INFINITY if none hit */
} ap_study;

/* All studies that have a trial, in the order of the list. The caller frees *studies. */
ap_status ap_studies(const ap_trials *trials, const ap_hit *hits, const ap_rules *rules, ap_study **studies, size_t *n,
                     ap_error *error);

/* ---- over studies (3.3) */

/* Sorts. Infinity is the largest value, any NaN makes the median NaN, no value at all is NaN. */
double ap_median(double *values, size_t n);
/* The same by rules->over. */
double ap_over_studies_of(const ap_rules *rules, double *values, size_t n);

#endif
