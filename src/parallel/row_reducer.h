/* The gradient sum of tables: the tree of reducer.h over lists of rows, so that only rows that some shard looked up are
 * sent and summed.
 *
 * A row's sum is that of the shards that have it, in the fixed tree over shard index; a shard without it is left out. A
 * rank's shards are folded as they end. Across ranks, in finish: recursive halving of the row numbers, nearest pair
 * first, and back; a rank sends about as many bytes as the summed lists have. Not overlapped with the backward pass: a
 * table's gradient is the last to be made.
 *
 * Use, per loss-and-gradient, beside the dense reducer:   begin;  for each local shard s: { tape pass with rows =
 * shard_rows(s); shard_end(s) };  finish. Between them nothing is under way: after a failure finish may be left out, by
 * all ranks alike. */
#ifndef AP_PARALLEL_ROW_REDUCER_H
#define AP_PARALLEL_ROW_REDUCER_H

#include "parallel/group.h"
#include "tensor/rows.h"

typedef struct ap_row_reducer ap_row_reducer;

/* rows, columns: of each of the tables (copied). Borrows the group. Not collective. AP_ENVIRONMENT: out of memory. */
ap_status ap_row_reducer_create(ap_group *group, int tables, const int64_t *rows, const int64_t *columns,
                                ap_row_reducer **reducer, ap_error *error);
void ap_row_reducer_destroy(ap_row_reducer *reducer); /* NULL is fine. Not collective */

void ap_row_reducer_begin(ap_row_reducer *reducer);
/* [tables], for local shard s (0-based, in order) to fill. */
ap_rows *ap_row_reducer_shard_rows(ap_row_reducer *reducer, int s);
void ap_row_reducer_shard_end(ap_row_reducer *reducer, int s);
/* Collective. *sum [tables]: the sum times `scale`, the same on all ranks and for every number of ranks; the caller's
 * to read, and to write values of, until the next begin. AP_ENVIRONMENT, on all ranks: out of memory on one. */
ap_status ap_row_reducer_finish(ap_row_reducer *reducer, float scale, ap_rows **sum, ap_error *error);

/* Since creation: bytes sent by this rank, seconds spent in finish. */
typedef struct ap_row_reducer_statistics {
    int64_t bytes_sent;
    double exposed_s;
} ap_row_reducer_statistics;
ap_row_reducer_statistics ap_row_reducer_get_statistics(const ap_row_reducer *reducer);

#endif
