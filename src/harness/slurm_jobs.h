/* The Slurm jobs that worked on a trial: what its event log and the batch scripts' records (RESULTS/jobs/ID.jsonl, see
 * slurm/README.md) tell of them. Not collective. */
#ifndef AP_HARNESS_SLURM_JOBS_H
#define AP_HARNESS_SLURM_JOBS_H

#include <stdio.h>

enum { AP_HELD_JOBS = 16 };
typedef struct ap_held_job {
    char id[48];     /* "17", "20_3": as scontrol wants it */
    char reason[96]; /* in Slurm's words */
} ap_held_job;
/* The sweep's jobs that Slurm holds: they do not start before somebody releases them. Known by their records or by
 * their batch scripts in RESULTS/jobs; asks squeue (for 10 s at most). Returns how many of them, up to AP_HELD_JOBS,
 * are in `held`; 0 also if there is no such folder, no Slurm, or no answer. */
int ap_slurm_jobs_held(const char *results, ap_held_job held[AP_HELD_JOBS]);

/* Prints, under the heading "Slurm jobs", a line for every start of every job that worked on the trial, and what the
 * site's accounting says of it. `path`: a trial's folder or its result.h5. Prints nothing if no Slurm job is known.
 * Texts are cleaned (ap_clean_text), since the files may be anyone's. */
void ap_slurm_jobs_print(const char *path, FILE *out);

#endif
