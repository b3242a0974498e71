/* Replicas: every rank of a group holds the same parameters and state. A flipped bit in one of them is found at the
 * next evaluation or checkpoint, and so is a submission that does not compute the same on all ranks. A group of one
 * rank has nothing to compare with. Collective over the group; all ranks get the same answer. */
#ifndef AP_HARNESS_REPLICAS_H
#define AP_HARNESS_REPLICAS_H

#include "harness/checkpoint.h"
#include "parallel/group.h"

/* mine: this rank's digest of `what` ("the parameters"). If a rank has another one: AP_DATA, *differ = true, and a text
 * that names the rank that is not like most others; of two ranks nobody knows which is wrong, and the text says so. */
ap_status ap_replicas_compare(ap_group *group, int64_t step, ap_digest mine, const char *what, bool *differ,
                              ap_error *error);
/* The same for arrays; the text names the first that differs. */
ap_status ap_replicas_compare_blobs(ap_group *group, int64_t step, int n, const ap_blob *blobs, bool *differ,
                                    ap_error *error);

#endif
