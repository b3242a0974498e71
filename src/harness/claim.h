/* Claims: who runs a trial, by a file in the result tree (design decision 6). No server, no locks, no heartbeats, no
 * clocks: exclusive creation (temp + link(2)) and rename only, which NFS and Lustre do atomically.
 *
 * RESULTS/.sweep/claims/claim.<trial, 6 digits> names host, boot, process and its start time, user, Slurm job, step and
 * restart count, the world, the checkpoint step it started from, and how many starts in a row made no progress. A claim
 * is void when its owner is known to be gone:
 *   - the same host says that the process is dead or the host was booted since;
 *   - the world was declared gone by its launcher, which has seen it end (.sweep/worlds/<world>.gone);
 *   - the same Slurm job has been restarted;
 *   - Slurm says that the job, or the step, does not exist any more (same user, same cluster; see scheduler.h);
 * or when nothing is known of its owner and the user says so (reclaim). Taking over a void claim is decided by the
 * exclusive creation of `claim.<trial>.<digest of the void claim>` and a second look at the claim, so at most one of
 * many contenders gets it. Not collective: rank 0 of a group. */
#ifndef AP_HARNESS_CLAIM_H
#define AP_HARNESS_CLAIM_H

#include "base/status.h"
#include <stdint.h>

/* Who asks. Borrowed texts. */
typedef struct ap_claimant {
    const char *results; /* the tree */
    const char *world;   /* the same for all groups of one world, which do not reclaim from each other; of no other
                            world ever; ap_world_name_check holds */
    bool reclaim;        /* take what cannot be known to be void */
    bool asks;           /* Slurm may be asked */
} ap_claimant;

typedef struct ap_claim {
    bool taken;       /* it is ours now */
    int64_t attempts; /* starts without progress, this one included */
    char owner[256];  /* when not taken: who has it, in words */
} ap_claim;

/* Makes the folders of claims and worlds. */
ap_status ap_claims_prepare(const char *results, ap_error *error);

/* progress: step of the newest checkpoint, -1 = none. AP_OK whether taken or not; AP_IO if the tree cannot be written.
 */
ap_status ap_claim_take(const ap_claimant *by, int trial, int64_t progress, ap_claim *claim, ap_error *error);
/* Gives it back: the trial has a verdict or was interrupted. A claim that is not this process's stays. */
void ap_claim_release(const char *results, int trial);

/* ---- looking */
typedef enum ap_owner { AP_OWNER_UNKNOWN, AP_OWNER_LIVES, AP_OWNER_GONE } ap_owner;
typedef struct ap_claim_info {
    ap_owner owner;
    char host[256], slurm_job[24], world[128];
    char after[128]; /* the world it was taken over from; "": from none */
    char since[40];  /* UTC */
    int64_t pid, progress, attempts;
} ap_claim_info;
/* False: nobody has the trial. */
bool ap_claim_look(const ap_claimant *by, int trial, ap_claim_info *info);
/* "process 12 on n1 (Slurm job 17) since ..." */
void ap_claim_owner_text(const ap_claim_info *info, char text[256]);
/* Sets claimed[i] (0 or 1) for the tree's trials by one pass over the folder. */
ap_status ap_claims_list(const char *results, int trials, unsigned char *claimed, ap_error *error);
/* When every trial has its verdict: removes the marks and unfinished claims that killed contenders left. */
void ap_claims_tidy(const ap_claimant *by);

/* ---- worlds */
/* A name that no other world has: host, process and its namespace, time. Room for 20 more letters. */
void ap_world_name_make(char world[128]);
/* Letters, digits, '.', '_' and '-', 1 to 100 of them. */
ap_status ap_world_name_check(const char *world, ap_error *error);
/* All processes of this world have ended: said by the launcher that waited for them. */
ap_status ap_world_declare_gone(const char *results, const char *world, const char *why, ap_error *error);
/* No claim names it any more. */
void ap_world_forget(const char *results, const char *world);

#endif
