/* Interruption: SIGTERM, SIGUSR1 and SIGINT ask every trial to finish its step, checkpoint and leave.
 *
 * Slurm and mpirun give a signal to some ranks of a world only (mpirun: to those on other nodes than its own). Ranks of
 * a group tell each other after every step; ap_interrupt_share lets one rank's signal reach all groups of the world. */
#ifndef AP_HARNESS_INTERRUPT_H
#define AP_HARNESS_INTERRUPT_H

#include "base/status.h"
#include <mpi.h>

void ap_interrupt_install(void);
/* From now on ap_interrupted tells the world's ranks that have root = true of this rank's signal, and hears of theirs.
 * Collective over `world`, whose other use it does not touch. */
ap_status ap_interrupt_share(MPI_Comm world, bool root, ap_error *error);
/* Ends that; the fact that a signal came stays. Collective. */
void ap_interrupt_unshare(void);

/* True from the first signal on. A microsecond; main thread only. */
bool ap_interrupted(void);
void ap_interrupt_forget(void); /* for tests: as if no signal had come */

#endif
