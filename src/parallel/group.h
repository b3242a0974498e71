/* A group: the ranks that run one trial together, and the shards they own (design decision 1).
 *
 * A group of R ranks, R a power of two up to the number of shards S (a power of two), owns contiguous blocks: rank r
 * has shards [r S/R, (r+1) S/R). All waiting goes through this module, so that a rank that never arrives is named
 * (watchdog) in place of a silent hang. "Collective" below means: all ranks of the group call it in the same order.
 *
 * A group breaks when a wait fails (watchdog, or an error of MPI). From then on MPI is not called any more, every call
 * returns AP_ENVIRONMENT at once, and the process should end with MPI_Abort: its world cannot be finalised, as another
 * rank may be gone. */
#ifndef AP_PARALLEL_GROUP_H
#define AP_PARALLEL_GROUP_H

#include "base/status.h"
#include <mpi.h>
#include <stdint.h>

typedef struct ap_group ap_group;

/* Collective over `comm` (duplicated twice: the caller keeps his). Fails with AP_ENVIRONMENT, on all ranks alike, if
 * the number of ranks is not a power of two or exceeds `shards`, and AP_CONFIG if shards is not a power of two in [1,
 * 1024] or not the same on all ranks. watchdog_s: how long a rank may keep the others waiting, 0 = for ever. */
ap_status ap_group_create(MPI_Comm comm, int shards, double watchdog_s, ap_group **group, ap_error *error);
/* Collective; NULL is fine. A broken group is freed without MPI. */
void ap_group_destroy(ap_group *group);

int ap_group_rank(const ap_group *group);
const char *ap_group_host(const ap_group *group, int rank); /* name of that rank's host; borrowed */
int ap_group_ranks(const ap_group *group);
int ap_group_shards(const ap_group *group);
int ap_group_first_shard(const ap_group *group);
int ap_group_local_shards(const ap_group *group);
/* True after the watchdog has named a stuck rank: MPI cannot be used any more; the program should end the world. */
bool ap_group_is_broken(const ap_group *group);
/* Borrowed; returns errors in place of aborting. Tags below AP_GROUP_TAGS are the group's, those above its reducers':
 * messages of one's own want a duplicate. */
MPI_Comm ap_group_comm(const ap_group *group);
enum { AP_GROUP_TAGS = 16 };

/* Names what the group is doing for watchdog messages ("step 57"); pointer borrowed until the next call, NULL = nothing
 * in particular. Not collective. */
void ap_group_set_activity(ap_group *group, const char *what);

/* Collective. Agrees on an outcome: all ranks return the status of the lowest rank that failed (AP_OK if none did),
 * with that rank's text, prefixed by "rank N: " where N is not the caller. On a broken group a failure stays the
 * caller's own. */
ap_status ap_group_agree(ap_group *group, ap_status status, ap_error *error);

/* Collective. Plain moves of bytes; `all` is [ranks][n], and `mine` may lie in it. */
ap_status ap_group_broadcast(ap_group *group, void *bytes, size_t n, int root, ap_error *error);
ap_status ap_group_allgather(ap_group *group, const void *mine, size_t n, void *all, ap_error *error);
/* Elementwise maximum (the slowest rank's clock); a NaN loses to any number. */
ap_status ap_group_max_f64(ap_group *group, double *values, int n, ap_error *error);
ap_status ap_group_barrier(ap_group *group, ap_error *error);

/* Collective. total[i] = the sum over all shards of the group's values in the fixed binary tree over shard index (pairs
 * (0,1), (2,3), ...; power of two). local: [local_shards][n]. Bits do not depend on the number of ranks. */
ap_status ap_group_sum_shards(ap_group *group, const double *local, int n, double *total, ap_error *error);

/* Waits for requests on ap_group_comm(), driving MPI, yielding the CPU, and watching: after watchdog_s it returns
 * AP_ENVIRONMENT and says which rank of the group did not arrive, and in what ("the gradient sum"); AP_BUG if all ranks
 * wait, but in different operations. Then the requests are cancelled and released. */
ap_status ap_group_wait(ap_group *group, int n, MPI_Request *requests, const char *what, ap_error *error);

/* The same for any condition: calls ready(user, &done), which drives its own requests and returns an MPI error code,
 * until it is done. On failure the caller releases his requests. */
typedef int ap_group_ready(void *user, bool *done);
ap_status ap_group_wait_until(ap_group *group, ap_group_ready *ready, void *user, const char *what, ap_error *error);
/* Cancels what can be cancelled of the requests of a failed wait and releases them: MPI must not write into their
 * buffers later. Null requests are fine. Not collective. */
void ap_group_release(int n, MPI_Request *requests);

#endif
