#include "parallel/row_reducer.h"

#include "base/clock.h"
#include "tensor/kernels/reduce.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TAG = AP_GROUP_TAGS + (1 << 14) }; /* behind those of a dense reducer's buckets */

typedef struct table {
    int64_t rows;
    MPI_Datatype row; /* of values */
} table;

/* list(k), k < levels: the k-th pending partial sum of the local binary counter, so shard s fills list(number of 1 bits
 * of s). Then one where rows of another rank arrive, and a spare one: sums are made there and swapped in. */
struct ap_row_reducer {
    ap_group *group;
    int tables, levels, ended;
    table *table;
    ap_rows *lists;        /* [levels + 2][tables] */
    int64_t *counts;       /* [4][tables]: sent, received; places in lists */
    MPI_Request *requests; /* [4 tables] */
    bool failed;           /* out of memory */
    ap_row_reducer_statistics statistics;
};

static ap_rows *list(ap_row_reducer *r, int level) {
    return r->lists + level * r->tables;
}
static ap_rows *spare(ap_row_reducer *r) {
    return list(r, r->levels + 1);
}
static ap_rows *arrivals(ap_row_reducer *r) {
    return list(r, r->levels);
}
static void swap(ap_rows *a, ap_rows *b) {
    const ap_rows held = *a;
    *a = *b, *b = held;
}

/* ---- the rank's own shards */

void ap_row_reducer_begin(ap_row_reducer *r) {
    r->ended = 0;
    r->failed = false;
}

ap_rows *ap_row_reducer_shard_rows(ap_row_reducer *r, int s) {
    assert(s == r->ended && s < ap_group_local_shards(r->group));
    ap_rows *rows = list(r, __builtin_popcount((unsigned)s));
    for (int t = 0; t < r->tables; t++) rows[t].count = 0;
    return rows;
}

void ap_row_reducer_shard_end(ap_row_reducer *r, int s) {
    assert(s == r->ended);
    int top = __builtin_popcount((unsigned)s);
    for (int carries = __builtin_ctz(~(unsigned)s); carries > 0; carries--, top--)
        for (int t = 0; t < r->tables; t++) {
            if (!ap_rows_add(&list(r, top - 1)[t], &list(r, top)[t], 0, INT32_MAX, &spare(r)[t])) r->failed = true;
            swap(&list(r, top - 1)[t], &spare(r)[t]);
        }
    r->ended++;
}

/* ---- across ranks */

typedef struct span {
    int64_t begin, end; /* row numbers */
} span;

/* What `rank` keeps of the rows after `halvings`: bit k of the rank says which half in halving k. */
static span kept(int64_t rows, int rank, int halvings) {
    span all = {0, rows};
    for (int k = 0; k < halvings; k++) {
        const int64_t middle = all.begin + (all.end - all.begin) / 2;
        if (rank >> k & 1)
            all.begin = middle;
        else
            all.end = middle;
    }
    return all;
}

static int64_t first_in(const ap_rows *rows, span s) {
    return ap_rows_find(rows, (int32_t)s.begin);
}
static int64_t count_in(const ap_rows *rows, span s) {
    return ap_rows_find(rows, (int32_t)s.end) - first_in(rows, s);
}

static ap_status wait_for(ap_row_reducer *r, int n, int code, ap_error *error) {
    if (code == MPI_SUCCESS) return ap_group_wait(r->group, n, r->requests, "the gradient sum of tables", error);
    ap_group_release(n, r->requests);
    return ap_fail(error, AP_ENVIRONMENT, "MPI failed with code %d in the gradient sum of tables", code);
}

static ap_status swap_counts(ap_row_reducer *r, int partner, ap_error *error) {
    MPI_Comm comm = ap_group_comm(r->group);
    const int n = r->tables;
    r->requests[0] = r->requests[1] = MPI_REQUEST_NULL;
    int code = MPI_Irecv(r->counts + n, n, MPI_INT64_T, partner, TAG, comm, &r->requests[0]);
    if (code == MPI_SUCCESS) code = MPI_Isend(r->counts, n, MPI_INT64_T, partner, TAG, comm, &r->requests[1]);
    r->statistics.bytes_sent += n * (int64_t)sizeof *r->counts;
    return wait_for(r, 2, code, error);
}

/* Rows from[out[t] ..) go to the partner; his come into to[in[t] ..), where there is room. Counts are known. */
static ap_status swap_rows(ap_row_reducer *r, int partner, const ap_rows *from, const int64_t *out, ap_rows *to,
                           const int64_t *in, ap_error *error) {
    MPI_Comm comm = ap_group_comm(r->group);
    int n = 0, code = MPI_SUCCESS;
    for (int t = 0; t < r->tables && code == MPI_SUCCESS; t++) {
        const int n_out = (int)r->counts[t], n_in = (int)r->counts[r->tables + t];
        const int64_t at = out[t], to_at = in[t], columns = from[t].columns;
        for (int k = 0; k < 4; k++) r->requests[n + k] = MPI_REQUEST_NULL;
        if (n_in) code = MPI_Irecv(to[t].row + to_at, n_in, MPI_INT32_T, partner, TAG, comm, &r->requests[n]);
        if (n_in && code == MPI_SUCCESS)
            code = MPI_Irecv(to[t].values + to_at * columns, n_in, r->table[t].row, partner, TAG, comm,
                             &r->requests[n + 1]);
        if (n_out && code == MPI_SUCCESS)
            code = MPI_Isend(from[t].row + at, n_out, MPI_INT32_T, partner, TAG, comm, &r->requests[n + 2]);
        if (n_out && code == MPI_SUCCESS)
            code = MPI_Isend(from[t].values + at * columns, n_out, r->table[t].row, partner, TAG, comm,
                             &r->requests[n + 3]);
        r->statistics.bytes_sent += n_out * (int64_t)sizeof(int32_t) + n_out * columns * (int64_t)sizeof(float);
        n += 4;
    }
    return wait_for(r, n, code, error);
}

/* All ranks agree that there is room before anything is received into it. */
static ap_status agree_on_room(ap_row_reducer *r, ap_error *error) {
    ap_status status = r->failed
                           ? ap_fail(error, AP_ENVIRONMENT,
                                     "out of memory for the gradients of tables; use a smaller batch or more ranks")
                           : AP_OK;
    return ap_group_agree(r->group, status, error);
}

/* Sends the partner's half, gets the own one, adds. */
static ap_status halve(ap_row_reducer *r, int k, int64_t *out, ap_error *error) {
    const int rank = ap_group_rank(r->group), partner = rank ^ 1 << k;
    ap_rows *sum = list(r, 0), *arrived = arrivals(r);
    for (int t = 0; t < r->tables; t++) {
        const span theirs = kept(r->table[t].rows, partner, k + 1);
        out[t] = first_in(&sum[t], theirs), r->counts[t] = count_in(&sum[t], theirs);
    }
    AP_TRY(swap_counts(r, partner, error));
    for (int t = 0; t < r->tables; t++) {
        arrived[t].columns = sum[t].columns;
        if (!ap_rows_reserve(&arrived[t], r->counts[r->tables + t])) r->failed = true;
        arrived[t].count = r->counts[r->tables + t];
    }
    AP_TRY(agree_on_room(r, error));
    memset(out + r->tables, 0, (size_t)r->tables * sizeof *out);
    AP_TRY(swap_rows(r, partner, sum, out, arrived, out + r->tables, error));
    for (int t = 0; t < r->tables; t++) {
        const span mine = kept(r->table[t].rows, rank, k + 1);
        if (!ap_rows_add(&sum[t], &arrived[t], (int32_t)mine.begin, (int32_t)mine.end, &spare(r)[t])) r->failed = true;
        swap(&sum[t], &spare(r)[t]);
    }
    return AP_OK;
}

/* Both get both halves. */
static ap_status join(ap_row_reducer *r, int k, int64_t *at, ap_error *error) {
    const int rank = ap_group_rank(r->group), partner = rank ^ 1 << k;
    const bool lower = !(rank >> k & 1);
    ap_rows *sum = list(r, 0), *both = spare(r);
    for (int t = 0; t < r->tables; t++) r->counts[t] = sum[t].count;
    AP_TRY(swap_counts(r, partner, error));
    for (int t = 0; t < r->tables; t++) {
        const int64_t mine = sum[t].count, theirs = r->counts[r->tables + t];
        both[t].columns = sum[t].columns;
        if (!ap_rows_reserve(&both[t], mine + theirs)) r->failed = true;
        at[t] = 0, at[r->tables + t] = lower ? mine : 0;
    }
    AP_TRY(agree_on_room(r, error));
    AP_TRY(swap_rows(r, partner, sum, at, both, at + r->tables, error));
    for (int t = 0; t < r->tables; t++) {
        const int64_t mine = sum[t].count, theirs = r->counts[r->tables + t], to = lower ? 0 : theirs;
        if (mine) {
            memcpy(both[t].row + to, sum[t].row, (size_t)mine * sizeof *sum[t].row);
            memcpy(both[t].values + to * sum[t].columns, sum[t].values,
                   (size_t)(mine * sum[t].columns) * sizeof(float));
        }
        both[t].count = mine + theirs;
        swap(&sum[t], &both[t]);
    }
    return AP_OK;
}

static ap_status exchange(ap_row_reducer *r, ap_error *error) {
    const int stages = __builtin_ctz((unsigned)ap_group_ranks(r->group));
    int64_t *at = r->counts + 2 * r->tables;
    AP_TRY(agree_on_room(r, error));
    for (int k = 0; k < stages; k++) AP_TRY(halve(r, k, at, error));
    for (int k = stages - 1; k >= 0; k--) AP_TRY(join(r, k, at, error));
    return agree_on_room(r, error);
}

ap_status ap_row_reducer_finish(ap_row_reducer *r, float scale, ap_rows **sum, ap_error *error) {
    const int64_t start = ap_clock_ns();
    ap_status status = exchange(r, error);
    r->statistics.exposed_s += ap_clock_s(ap_clock_ns() - start);
    if (status) return status;
    if (r->ended < ap_group_local_shards(r->group))
        return ap_fail(error, AP_BUG, "the gradient sum of tables was finished after %d of %d shards", r->ended,
                       ap_group_local_shards(r->group));
    *sum = list(r, 0);
    for (int t = 0; scale != 1 && t < r->tables; t++)
        ap_scale_by((size_t)((*sum)[t].count * (*sum)[t].columns), scale, (*sum)[t].values);
    return AP_OK;
}

ap_row_reducer_statistics ap_row_reducer_get_statistics(const ap_row_reducer *reducer) {
    return reducer->statistics;
}

/* ---- life */

static int lists_of(const ap_row_reducer *r) {
    return r->levels + 2;
}

ap_status ap_row_reducer_create(ap_group *group, int tables, const int64_t *rows, const int64_t *columns,
                                ap_row_reducer **reducer, ap_error *error) {
    ap_row_reducer *r = calloc(1, sizeof *r);
    if (!r) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the gradient sum");
    const size_t n = (size_t)tables;
    r->group = group, r->tables = tables;
    r->levels = __builtin_ctz((unsigned)ap_group_local_shards(group)) + 1;
    r->table = calloc(n, sizeof *r->table);
    r->lists = calloc((size_t)lists_of(r) * n, sizeof *r->lists);
    r->counts = calloc(4 * n, sizeof *r->counts);
    r->requests = calloc(4 * n + 2, sizeof *r->requests);
    if (!r->table || !r->lists || !r->counts || !r->requests) {
        ap_row_reducer_destroy(r);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for the gradient sum");
    }
    for (int t = 0; t < tables; t++) {
        r->table[t] = (table){.rows = rows[t], .row = MPI_DATATYPE_NULL};
        for (int k = 0; k < lists_of(r); k++) list(r, k)[t].columns = columns[t];
        if (ap_group_ranks(group) == 1) continue;
        MPI_Type_contiguous((int)columns[t], MPI_FLOAT, &r->table[t].row);
        MPI_Type_commit(&r->table[t].row);
    }
    *reducer = r;
    return AP_OK;
}

void ap_row_reducer_destroy(ap_row_reducer *r) {
    if (!r) return;
    for (int t = 0; t < r->tables; t++) {
        const bool typed = r->table && r->table[t].rows && r->table[t].row != MPI_DATATYPE_NULL;
        if (typed && ap_group_ranks(r->group) > 1 && !ap_group_is_broken(r->group)) MPI_Type_free(&r->table[t].row);
        for (int k = 0; r->lists && k < lists_of(r); k++) ap_rows_free(&list(r, k)[t]);
    }
    free(r->table);
    free(r->lists);
    free(r->counts);
    free(r->requests);
    free(r);
}
