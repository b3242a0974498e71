/* Pace: the baseline's training steps, timed as a trial times them, without evaluations, record or checkpoint. For
 * `algoperf calibrate` and `algoperf bench scaling`.
 *
 * The baseline is nadamw at the first point of its published list, on the published global batch. Data comes through
 * the same queue as in a trial. */
#ifndef AP_HARNESS_PACE_H
#define AP_HARNESS_PACE_H

#include "harness/engine.h"

/* Opens workload NAME, or NAME_VARIANT, at a scale with its synthetic data, or with the packed file `data` (NULL:
 * synthetic). A scale that has no targets for synthetic data is opened all the same: its shapes and batch count here,
 * not its target. Synthetic examples that are kept in memory are made now (for 20 s at most): a
 * prepared data set need not make them. AP_CONFIG as ap_problem_open; the caller closes both. Not collective. */
ap_status ap_pace_problem(const char *name, const char *scale, const char *data, ap_problem **problem,
                          ap_dataset **dataset, ap_error *error);

typedef struct ap_pace ap_pace;
typedef struct ap_pace_options {
    ap_group *group; /* borrowed, like all of these */
    const ap_problem *problem;
    const ap_dataset *dataset;
    ap_math math;
    int threads;
    int64_t global_batch; /* 0: the published baseline's */
} ap_pace_options;

/* Everything up to the first step. Collective over the group, like the next. */
ap_status ap_pace_open(const ap_pace_options *options, ap_pace **pace, ap_error *error);
/* n steps; step_s[n]: seconds of each, the slowest rank's (NULL: not wanted). */
ap_status ap_pace_steps(ap_pace *pace, int64_t n, double *step_s, ap_error *error);
void ap_pace_close(ap_pace *pace); /* NULL is fine. Not collective */

/* What the steps since ap_pace_open cost this rank, in seconds. */
typedef struct ap_pace_parts {
    int64_t steps;
    double own_s;                            /* as this rank's clock has it: the next five add up to it */
    double passes_s, data_wait_s, exposed_s; /* exposed: waiting for the gradient sum */
    double sums_s;                           /* sums of loss and counts, where ranks wait for slower ones */
    double update_s;                         /* the rest: the submission's own work */
    double forward_s;                        /* part of passes_s */
    double hidden_s;                         /* part of passes_s: while the gradient sum was under way */
    double agreement_s; /* beside own_s: telling each other how the step went, waiting for the slowest rank */
    ap_reducer_statistics reduction; /* without tables */
    int64_t table_bytes_sent;        /* of their rows */
} ap_pace_parts;
ap_pace_parts ap_pace_get_parts(const ap_pace *pace);
/* What this rank's memory goes to. */
typedef struct ap_pace_memory {
    double parameters; /* elements */
    double packed_bytes, gradient_bytes, activation_bytes;
} ap_pace_memory;
ap_pace_memory ap_pace_get_memory(const ap_pace *pace);
ap_digest ap_pace_digest(const ap_pace *pace); /* of the parameters */
double ap_pace_loss(const ap_pace *pace);      /* of the last step */
const char *ap_pace_baseline(void);            /* "nadamw", its name */
int64_t ap_pace_batch(const ap_pace *pace);

/* The quantile q in [0, 1] of n values, by sorting them in place; NaN if n is 0. */
double ap_pace_quantile(double *values, int64_t n, double q);

#endif
