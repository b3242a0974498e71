/* The hyperparameter points of a job: one search space a submission for all workloads (rules: "workload-agnostic"), and
 * which point a trial has.
 *
 *     same       trial i of every study has point i: what the official program draws for every study, and what the
 *                published results have
 *     shuffled   the same points, in an order of each study's own, from (seed, study): the official program's last
 * step, a shuffle with a generator that nothing seeds, made reproducible fresh      study k has points k * trials + 1
 * ... of the sequence (the rules' "S * O different trials"): the list, or the sequence, must have them */
#ifndef AP_HARNESS_JOB_POINTS_H
#define AP_HARNESS_JOB_POINTS_H

#include "harness/job.h"

/* Draws them from the submission's own space, or from `file` ("": none). A built-in algorithm is asked whether it takes
 * each of them: a hyperparameter that it lacks, does not know or does not accept is AP_CONFIG with file, line and
 * point, before anything runs. (A plugin's are checked when its first trial starts.) */
ap_status ap_job_draw_points(const ap_job *job, ap_job_submission *submission, const char *file, ap_error *error);

#endif
