/* How scores and ranking move when a rule, or what was measured, is changed a little: every change is scored anew by
 * all rules. Pure functions over memory; not collective. */
#ifndef AP_ANALYSIS_SENSITIVITY_H
#define AP_ANALYSIS_SENSITIVITY_H

#include "analysis/leaderboard.h"

/* Kinds of changes. Of those in which one thing of many is left out, only extremes are worth a line. */
typedef enum ap_change_group {
    AP_CHANGE_TARGET,       /* all targets harder or easier by a share of their value */
    AP_CHANGE_BUDGET,       /* hits after a share of the budget do not count */
    AP_CHANGE_LIMIT,        /* another number than 4 in the 4x rule, or none */
    AP_CHANGE_TIE,          /* another trial of those that hit at the same evaluation */
    AP_CHANGE_BEST_TRIAL,   /* the fastest trial of a study instead of the earliest evaluation */
    AP_CHANGE_OVER_STUDIES, /* minimum or mean instead of median */
    AP_CHANGE_HELD_OUT,     /* no held-out rule, or a forgiving one */
    AP_CHANGE_GRID,         /* other points of the profile, or the exact integral */
    AP_CHANGE_STUDY,        /* one study of everybody left out */
    AP_CHANGE_ONE_STUDY,    /* one study of one submission left out */
    AP_CHANGE_TRIAL,        /* one trial, by its name, of every study left out */
    AP_CHANGE_ONE_TRIAL,    /* one trial that counts left out (the others change nothing) */
    AP_CHANGE_SUBMISSION,   /* one submission left out */
    AP_CHANGE_WORKLOAD,     /* one base workload, with its held-out ones, left out */
    AP_CHANGE_GROUPS
} ap_change_group;
extern const char *const ap_change_group_names[AP_CHANGE_GROUPS];

typedef struct ap_change {
    ap_change_group group;
    char what[256];
    double *score; /* [submissions]; NaN: left out */
} ap_change;

typedef struct ap_sensitivity {
    size_t submissions, n;
    ap_change *change;
} ap_sensitivity;

/* The caller frees by ap_sensitivity_free. */
ap_status ap_sensitivity_compute(const ap_leaderboard *board, ap_sensitivity *sensitivity, ap_error *error);
void ap_sensitivity_free(ap_sensitivity *sensitivity);

/* 1 + submissions with a higher score (by more than rounding); 0 for a score that is NaN. */
size_t ap_rank_of(const double *score, size_t submissions, size_t submission);
/* Pairs of submissions that are strictly in one order by `before` and in the other by `after`. */
size_t ap_pairs_swapped(const double *before, const double *after, size_t submissions);

#endif
