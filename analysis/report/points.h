/* Hyperparameter points of a submission and what came of them. Not collective. */
#ifndef AP_ANALYSIS_REPORT_POINTS_H
#define AP_ANALYSIS_REPORT_POINTS_H

#include "analysis/leaderboard.h"

enum { AP_POINT_KEYS = 12 };
typedef struct ap_trial_points {
    size_t keys, trials;
    char
        *key[AP_POINT_KEYS]; /* hyperparameters that are numbers (or true and false: 1 and 0) and not always the same */
    size_t *trial;           /* [trials] indices in the board's list: scored trials whose hyperparameters are known */
    double *value;           /* [trials x AP_POINT_KEYS]; NaN: not given */
} ap_trial_points;

/* The board was read with details. The caller frees by ap_trial_points_free. */
ap_status ap_trial_points_read(const ap_leaderboard *board, size_t submission, ap_trial_points *points,
                               ap_error *error);
void ap_trial_points_free(ap_trial_points *points);

/* A trial's time to the target as a multiple of the fastest trial of anybody on that workload; INFINITY: missed. */
double ap_point_outcome(const ap_leaderboard *board, size_t trial);

/* A group of trials that ran the same point: "study_0/trial_1" of all workloads. */
typedef struct ap_point_summary {
    size_t first;         /* index in points->trial */
    size_t runs, reached; /* trials of this point on scored workloads */
    double median;        /* outcome of those */
} ap_point_summary;
/* One line a distinct point, in the order of the list. The caller frees *summary. */
ap_status ap_trial_points_summarise(const ap_leaderboard *board, const ap_trial_points *points,
                                    ap_point_summary **summary, size_t *n, ap_error *error);

#endif
