#include "harness/placement.h"

#include <stdbool.h>
#include <stdlib.h>

/* Ranks of each host in a row: order[] sorted by the host's first rank, then by rank. */
typedef struct slot {
    uint64_t host;
    int rank, first; /* first: the lowest rank of this host */
} slot;

static int by_host(const void *a, const void *b) {
    const slot *x = a, *y = b;
    if (x->host != y->host) return x->host < y->host ? -1 : 1;
    return x->rank - y->rank;
}
static int by_first_rank(const void *a, const void *b) {
    const slot *x = a, *y = b;
    return x->first != y->first ? x->first - y->first : x->rank - y->rank;
}

ap_status ap_place_ranks(int ranks, const uint64_t *host, int per, int *group, ap_error *error) {
    slot *order = malloc((size_t)ranks * sizeof *order);
    if (!order) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the places of %d ranks", ranks);
    for (int r = 0; r < ranks; r++) order[r] = (slot){.host = host[r], .rank = r};
    qsort(order, (size_t)ranks, sizeof *order, by_host);
    for (int i = 0; i < ranks; i++)
        order[i].first = i > 0 && order[i].host == order[i - 1].host ? order[i - 1].first : order[i].rank;
    qsort(order, (size_t)ranks, sizeof *order, by_first_rank);
    int placed = 0; /* ranks in groups so far; a group is complete at every multiple of `per` */
    for (int left_over = 0; left_over < 2; left_over++)
        for (int begin = 0, end; begin < ranks; begin = end) {
            for (end = begin; end < ranks && order[end].first == order[begin].first; end++) {
            }
            int whole = begin + (end - begin) / per * per;
            for (int i = left_over ? whole : begin; i < (left_over ? end : whole); i++)
                group[order[i].rank] = placed++ / per;
        }
    free(order);
    return AP_OK;
}
