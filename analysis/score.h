/* The leaderboard's arithmetic (leaderboard rules 4 and 5): from one time per submission and workload, by the 4x and
 * held-out rules, to performance profiles and scores.
 *
 * Times are seconds, or steps under AP_METRIC_STEPS. INFINITY = the target was not reached; NaN = there are no data;
 * they are different (4.4). Pure functions over memory; not collective. */
#ifndef AP_ANALYSIS_SCORE_H
#define AP_ANALYSIS_SCORE_H

#include "analysis/hits.h"

/* ---- the table and the score (4, 5) */

/* Point k of the grid from 1 to 4: bit-equal to the published program's. */
double ap_tau(int k);

typedef struct ap_scores {
    size_t submissions;
    size_t bases, columns; /* columns [0, bases) are base workloads, the rest held-out ones; each in table order */
    size_t *workload;      /* [columns] index in the targets */
    size_t *base;          /* [columns] column of the base workload; a base workload's own */
    double *time;          /* [submissions x columns] median over studies, before any rule */
    double *best;          /* [columns] the fastest time that the 4x rule counts from */
    double *final;         /* [submissions x columns] what is left after steps A to C */
    double *ratio;         /* [submissions x bases] to the fastest that is left */
    double *profile;       /* [submissions x AP_TAUS] */
    double *score, *exact; /* [submissions] trapezoid (the published score) and exact integral */
    double limit;          /* of the 4x rule */
    size_t *rank;          /* [submissions] best score first, equal ones alphabetically */
} ap_scores;

/* Tables of the right shape: columns from the targets, every time NaN. The caller frees. */
ap_status ap_scores_create(const ap_targets *targets, size_t submissions, ap_scores **scores, ap_error *error);
void ap_scores_free(ap_scores *scores); /* NULL is fine */

/* Fills time from the studies. */
ap_status ap_scores_set_times(ap_scores *scores, const ap_study *studies, size_t n, const ap_rules *rules,
                              ap_error *error);

/* Fills everything behind time from time. */
void ap_scores_compute(ap_scores *scores, const ap_rules *rules);

/* Does a base workload earn the submission credit? */
bool ap_scores_credit(const ap_scores *scores, size_t submission, size_t base);

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
