/* Two runs of the same job, trial by trial: are their bits the same, and if not, where do they part?
 *
 * Evaluations and steps are matched by global_step, since wall-clock runs evaluate at other steps on other machines.
 * Compared, bit for bit, is every column that both have (losses of all steps, all metrics, digests of the parameters)
 * except measured times, and the settings that decide the training. Times are compared by their medians. Not
 * collective; main thread only. */
#ifndef AP_ANALYSIS_COMPARE_H
#define AP_ANALYSIS_COMPARE_H

#include "analysis/result.h"
#include "analysis/tree.h"
#include <stdio.h>

typedef enum ap_outcome {
    AP_IDENTICAL,   /* the same steps and evaluations with the same bits, and the same verdict */
    AP_SAME_SO_FAR, /* every step and evaluation that both have is the same, but one ends or evaluates elsewhere, as the
                       wall clock made it */
    AP_UNEXPLAINED, /* likewise, but the wall clock does not explain it: steps clock, still running, failed, or nothing
                       in common */
    AP_DIFFERENT,
    AP_ONLY_IN_A, /* the other tree has no result of this trial */
    AP_ONLY_IN_B,
    AP_OUTCOMES
} ap_outcome;
extern const char *const ap_outcome_names[AP_OUTCOMES]; /* for people: "same as far as both go" */
extern const char *const ap_outcome_words[AP_OUTCOMES]; /* for programs: "same_so_far" */

enum { AP_QUANTITY = 160, AP_SHOWN = 200 };

typedef struct ap_pair {
    char *name; /* submission/study/workload/trial */
    ap_outcome outcome;
    int64_t evaluations, steps;               /* that both have */
    int64_t all_evaluations[2], all_steps[2]; /* in A, in B */
    int64_t last_step[2];
    char verdict[2][32];
    /* AP_DIFFERENT: the first difference, "hyperparameters" (at no step: -1), "steps/loss" or "evaluations/..." */
    int64_t first_step;
    char quantity[AP_QUANTITY], value[2][AP_SHOWN];
    int64_t values, differing; /* compared, and how many of them differ */
    double step_s[2];          /* median time of a step; NaN: fewer than two steps */
    double evaluation_s[2];    /* likewise of an evaluation */
} ap_pair;

/* A setting or a fact of provenance that is not the same in A and B. */
typedef struct ap_clue {
    char *key, *a, *b; /* a, b: in the first trial that differs so; NULL: not there */
    size_t trials;     /* that differ in it */
    bool varies;       /* with other values than those */
    int weight;        /* 0: can change bits; 1: should not, by this program's promise; 2: where and when */
} ap_clue;

typedef struct ap_comparison {
    size_t pairs, clues;
    ap_pair *pair;
    ap_clue *clue; /* by weight, then key */
    size_t count[AP_OUTCOMES];
    bool ordered;                        /* no trial ran with math = "blas" */
    double step_ratio, evaluation_ratio; /* median over trials of B / A; NaN: none */
} ap_comparison;

/* Reads both trees. AP_DATA if a result is damaged, if one is a single result and the other is not, or if there are
 * official logs, which hold no bits to compare. */
ap_status ap_compare_trees(const ap_tree *a, const ap_tree *b, ap_comparison *comparison, ap_error *error);
void ap_comparison_free(ap_comparison *comparison);

/* Everything is identical, or, unless `strict`, the same as far as both go. */
bool ap_comparison_same(const ap_comparison *comparison, bool strict);

/* compare_print.c. Without `times` nothing is printed that differs between two runs with the same bits. */
ap_status ap_comparison_print(const ap_comparison *comparison, const ap_tree *a, const ap_tree *b, bool times,
                              bool strict, FILE *out, ap_error *error);
ap_status ap_comparison_json(const ap_comparison *comparison, const ap_tree *a, const ap_tree *b, bool times,
                             bool strict, FILE *out, ap_error *error);

#endif
