/* What Slurm says of a job: whether the processes that a claim names can still exist.
 *
 * Asked rarely: a process asks for one job at most once in `again_s`, and not at all for a minute after the controller
 * did not answer. A controller that hangs or fails, or that was started a moment ago and may have forgotten what it
 * knew, is never taken for a job that is gone. Not collective. */
#ifndef AP_HARNESS_SCHEDULER_H
#define AP_HARNESS_SCHEDULER_H

#include "base/status.h"
#include <stdint.h>

typedef enum ap_job_state { AP_JOB_UNKNOWN, AP_JOB_LIVES, AP_JOB_GONE } ap_job_state;

/* A job as its own processes see it, by SLURM_CLUSTER_NAME, SLURM_JOB_ID (each task of an array has its own),
 * SLURM_ARRAY_JOB_ID and _TASK_ID ("17_3", or ""), SLURM_STEP_ID ("": no step), SLURM_RESTART_COUNT. */
typedef struct ap_slurm_place {
    char cluster[64], job[24], array_task[48], step[24];
    int64_t restart;
} ap_slurm_place;

/* Of this process; job = "" outside Slurm. */
void ap_slurm_place_here(ap_slurm_place *place);

/* AP_JOB_GONE: Slurm is here, is the one that runs this cluster, answers, its controller has been up for a minute, and
 * it does not know the job, or knows that its processes have ended, or has started it again since or waits to, or does
 * not know the step. */
ap_job_state ap_slurm_ask(const ap_slurm_place *place);

/* How long an answer is good for, and how long a question may take. Default 60 s and 10 s. Forgets all answers. */
void ap_slurm_set_patience(double again_s, double limit_s);

#endif
