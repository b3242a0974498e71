#include "harness/replicas.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MOST_RANKS = 1024 }; /* of a group: as many as shards */

/* The first rank whose digest is not that of most ranks; -1: all agree. *certain: there is a majority. */
static int odd_one_out(const ap_digest *all, int ranks, bool *certain) {
    int most = 0, of_most = 0, odd = -1;
    for (int r = 0; r < ranks; r++) {
        int same = 0;
        for (int q = 0; q < ranks; q++) same += ap_digest_equal(all[r], all[q]);
        if (same > of_most) most = r, of_most = same;
        if (same == ranks) break;
    }
    for (int r = ranks - 1; r >= 0; r--)
        if (!ap_digest_equal(all[r], all[most])) odd = r;
    *certain = 2 * of_most > ranks;
    return odd;
}

ap_status ap_replicas_compare(ap_group *group, int64_t step, ap_digest mine, const char *what, bool *differ,
                              ap_error *error) {
    ap_digest all[MOST_RANKS];
    bool certain;
    AP_TRY(ap_group_allgather(group, &mine, sizeof mine, all, error));
    int odd = odd_one_out(all, ap_group_ranks(group), &certain);
    if (odd < 0) return AP_OK;
    *differ = true;
    return ap_fail(error, AP_DATA,
                   "rank %d (host %s) has other values of %s than %s after step %" PRId64
                   ": a memory error %s, or a submission that does not compute the same on all ranks",
                   odd, ap_group_host(group, odd), what, certain ? "the other ranks" : "rank 0", step,
                   certain ? "there" : "on one of the two");
}

ap_status ap_replicas_compare_blobs(ap_group *group, int64_t step, int n, const ap_blob *blobs, bool *differ,
                                    ap_error *error) {
    if (ap_group_ranks(group) == 1) return AP_OK;
    ap_digest *each = malloc(((size_t)n + 1) * sizeof *each);
    ap_status status = each ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for the digests of %d arrays", n);
    status = ap_group_agree(group, status, error);
    for (int i = 0; !status && i < n; i++)
        each[i] = ap_digest_of(blobs[i].data, (size_t)blobs[i].n * ap_dtype_size(blobs[i].type));
    /* One digest over all tells whether; only then one an array tells which. */
    if (!status)
        status =
            ap_replicas_compare(group, step, ap_digest_of(each, (size_t)n * sizeof *each), "the state", differ, error);
    for (int i = 0; *differ && i < n; i++)
        if (ap_replicas_compare(group, step, each[i], blobs[i].name, differ, error)) break;
    free(each);
    return status;
}
