/* The leaderboard's arithmetic (leaderboard rules 3 to 5): from trials to one time per study and workload, the median
 * over studies, the 4x and held-out rules, performance profiles and scores.
 *
 * Times are seconds. INFINITY = the target was not reached; NaN = there are no data; they are different (4.4).
 * Pure functions over memory; not collective. */
#ifndef AP_ANALYSIS_SCORE_H
#define AP_ANALYSIS_SCORE_H

#include "analysis/trials.h"

/* ---- one time per study (3.1, 3.2) */

typedef struct ap_hit {
    int64_t index; /* of the first evaluation that reached the target; -1: none did */
    double time_s; /* its score time; INFINITY if none */
} ap_hit;

ap_hit ap_trial_hit(const ap_trial *trial, const ap_target *target);

/* The trials [first, first + trials) of the sorted list are one study of one submission on one workload. */
typedef struct ap_study {
    size_t submission, workload, first, trials, trials_hit, trials_running;
    size_t best; /* index of the trial with the smallest hit index, then hit time, then trial number; the list's length
                    if none hit */
    ap_hit hit;  /* of that trial */
} ap_study;

/* All studies, in the order of the list. The caller frees *studies. */
ap_status ap_studies(const ap_trials *trials, const ap_targets *targets, ap_study **studies, size_t *n,
                     ap_error *error);

/* ---- median over studies (3.3) */

/* Sorts. Infinity is the largest value, any NaN makes the median NaN, no value at all is NaN. */
double ap_median(double *values, size_t n);

/* ---- the table and the score (4, 5) */

enum { AP_TAUS = 100 };
/* Point k of the grid from 1 to 4: bit-equal to the published program's. */
double ap_tau(int k);

typedef struct ap_scores {
    size_t submissions;
    size_t bases, columns; /* columns [0, bases) are base workloads, the rest held-out ones; each in table order */
    size_t *workload;      /* [columns] index in the targets */
    size_t *base;          /* [columns] column of the base workload; a base workload's own */
    double *time_s;        /* [submissions x columns] median over studies, before any rule */
    double *best_s;        /* [columns] the fastest time that the 4x rule counts from */
    double *final_s;       /* [submissions x columns] what is left after steps A to C */
    double *ratio;         /* [submissions x bases] to the fastest that is left */
    double *profile;       /* [submissions x AP_TAUS] */
    double *score, *exact; /* [submissions] trapezoid (the published score) and exact integral */
    size_t *rank;          /* [submissions] best score first, equal ones alphabetically */
} ap_scores;

/* Tables of the right shape: columns from the targets, every time NaN. The caller frees. */
ap_status ap_scores_create(const ap_targets *targets, size_t submissions, ap_scores **scores, ap_error *error);
void ap_scores_free(ap_scores *scores); /* NULL is fine */

/* Fills time_s from the studies. */
ap_status ap_scores_set_times(ap_scores *scores, const ap_study *studies, size_t n, ap_error *error);

/* Fills everything behind time_s from time_s. */
void ap_scores_compute(ap_scores *scores);

/* Share of the base workloads with a ratio of at most `tau`. */
double ap_profile_at(const ap_scores *scores, size_t submission, double tau);

/* ---- why no credit */

typedef enum ap_loss_of_credit {
    AP_CREDIT_KEPT,
    AP_LOST_NO_DATA,     /* never ran */
    AP_LOST_NOT_REACHED, /* the target was not reached in half of the studies or more */
    AP_LOST_OVER_4X,     /* slower than four times the fastest */
} ap_loss_of_credit;

/* What column `column` (base or held-out) takes from the submission by itself. A base workload is lost if any of its
 * columns is. */
ap_loss_of_credit ap_scores_loss(const ap_scores *scores, size_t submission, size_t column);

#endif
