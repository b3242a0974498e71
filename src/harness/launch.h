/* The launcher of isolation = "step": starts each group as an MPI world of its own, so that a crash stays in its group.
 *
 * In a Slurm allocation a world is a step (srun --exact --mpi=pmix) or an mpirun on a part of the hosts; elsewhere an
 * mpirun on this machine. The launcher itself is one plain process without MPI. It sends SIGTERM, SIGINT and SIGUSR1 on
 * as SIGUSR1 to every world, declares a world that ended with a claim in hand gone (claim.h), and starts a group again
 * while there is work: the claims' attempts bound what one trial can take down, and a group that ends three times
 * without having had a trial, though some were left, is not started again. */
#ifndef AP_HARNESS_LAUNCH_H
#define AP_HARNESS_LAUNCH_H

#include "harness/placement.h"
#include "harness/sweep.h"

typedef enum ap_starter { AP_STARTER_AUTO, AP_STARTER_SRUN, AP_STARTER_MPIRUN } ap_starter;

typedef struct ap_launch_options {
    const ap_job *job;
    const char *program; /* of `PROGRAM run JOB.cfg --world NAME --group I` */
    int groups;          /* 0: as many as there are CPUs for */
    ap_starter starter;
    bool reclaim, wait; /* as in ap_sweep_options */
} ap_launch_options;

/* As ap_sweep_run, without MPI. */
ap_status ap_launch_run(const ap_launch_options *options, ap_sweep_summary *summary, ap_error *error);

/* The command that starts group `i` of the plan (NULL-terminated, each malloc'ed; free with ap_launch_free_command).
 * For tests. */
char **ap_launch_command(const ap_launch_options *options, const ap_allocation *allocation, const ap_group_place *place,
                         ap_starter starter, const char *world, int group);
void ap_launch_free_command(char **command);

#endif
