/* Claims: who runs a trial, by a file in the trial's folder (design decision 6). No server, no locks, no heartbeats.
 *
 * `claim` is created by temp + link(2), atomic also on NFS. It names host, boot, process and its start time, Slurm job
 * and restart count, the checkpoint step it started from, and how many starts in a row made no progress. A claim is
 * void when its owner is known to be gone: the same host says that the process is dead or the host was booted since, or
 * the same Slurm job has been restarted; or when nothing is known of its owner (another host) and the user says so
 * (reclaim). Taking over a void claim is decided by the exclusive creation of `claim.<digest of the void claim>` and a
 * second look at the claim, so at most one of many contenders gets it. Not collective: rank 0 of a group. */
#ifndef AP_HARNESS_CLAIM_H
#define AP_HARNESS_CLAIM_H

#include "base/status.h"
#include <stdint.h>

typedef struct ap_claim {
    bool taken;       /* it is ours now */
    int64_t attempts; /* starts without progress, this one included */
    char owner[256];  /* when not taken: who has it, in words */
} ap_claim;

/* world: the same text for all groups of one world, which do not reclaim from each other. progress: step of the newest
 * checkpoint, -1 = none. AP_OK whether taken or not; AP_IO if the folder cannot be written. */
ap_status ap_claim_take(const char *directory, const char *world, int64_t progress, bool reclaim, ap_claim *claim,
                        ap_error *error);
/* Gives it back: the trial has a verdict or was interrupted. A claim that is not this process's stays. */
void ap_claim_release(const char *directory);
/* Who has the trial, in words; false: nobody. */
bool ap_claim_owner(const char *directory, char owner[256]);

#endif
