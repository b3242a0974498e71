/* What the scores are worth: a bootstrap over studies, and over the trials within a study.
 *
 * A study is one repetition of the whole tuning procedure, so studies are the units that were sampled (and, within one,
 * the hyperparameter points). Each resample draws, for every submission by itself, as many of its studies as it has
 * with replacement, jointly for all workloads, since a study is the same set of points everywhere; within every study
 * drawn it draws as many trials as the study has, also jointly, unless only studies are to be drawn. Then all rules are
 * applied again: best trial, median, 4x and held-out rules, ratios, score. Intervals are percentiles of the resampled
 * scores and ranks (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). README.md says what they
 * mean and where they fail.
 *
 * Deterministic by seed: draw e of submission s in resample r is element e of the Philox stream (seed, bootstrap, r,
 * s). Not collective. */
#ifndef AP_ANALYSIS_BOOTSTRAP_H
#define AP_ANALYSIS_BOOTSTRAP_H

#include "analysis/leaderboard.h"

typedef struct ap_bootstrap_options {
    double level; /* of the intervals, in (0, 1) */
    uint64_t seed;
    size_t resamples;  /* at least 1 */
    bool studies_only; /* all trials of a study that was drawn count */
} ap_bootstrap_options;

typedef struct ap_confidence {
    ap_bootstrap_options options;
    size_t submissions;
    double *low, *high;           /* [submissions] score */
    double *rank_low, *rank_high; /* [submissions] rank: 1 + submissions with a higher score */
    double *error;                /* [submissions] standard deviation of the resampled scores */
    double *beats;                /* [submissions x submissions] share of the resamples in which the row's score is
                                     higher than the column's; equal ones (to 1e-12) count half */
} ap_confidence;

/* The caller frees by ap_confidence_free. */
ap_status ap_bootstrap(const ap_leaderboard *board, const ap_bootstrap_options *options, ap_confidence *confidence,
                       ap_error *error);
void ap_confidence_free(ap_confidence *confidence);

#endif
