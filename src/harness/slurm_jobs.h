/* The Slurm jobs that worked on a trial: what its event log and the batch scripts' records (RESULTS/jobs/ID.jsonl, see
 * slurm/README.md) tell of them. Not collective. */
#ifndef AP_HARNESS_SLURM_JOBS_H
#define AP_HARNESS_SLURM_JOBS_H

#include <stdio.h>

/* Prints, under the heading "Slurm jobs", a line for every start of every job that worked on the trial, and what the
 * site's accounting says of it. `path`: a trial's folder or its result.h5. Prints nothing if no Slurm job is known.
 * Texts are cleaned (ap_clean_text), since the files may be anyone's. */
void ap_slurm_jobs_print(const char *path, FILE *out);

#endif
