/* Rows of a table that is cut into tables of equal size, one behind the other: y[i] = row ids[i], y [.., columns].
 *
 * Gradient of a row: the sum of dy[i] over the places i that looked it up, in rising i: chains of additions over
 * AP_GEMM_CHUNK places, folded by the tree of ap_gemm_long_k. Rows that nobody looked up are not touched: where the
 * pass takes lists of rows (ap_tape_rows) nothing of the table's size is read or written. Places are brought into the
 * order of rows by a stable radix sort, so no order of sums depends on threads, which split rows. */
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/kernel_set.h"
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <stdatomic.h>
#include <string.h>

typedef struct lookup {
    int tables;
    ap_tensor **table; /* [tables] */
    int64_t n, rows, columns;
    const int32_t *ids; /* [n] */
} lookup;

/* ---- places in the order of rows */

typedef struct place {
    int32_t id, at;
} place;

enum { DIGIT = 11, BUCKETS = 1 << DIGIT };

/* One stable counting pass by the digit at `shift`. */
static void sort_by_digit(int64_t n, int shift, const place *from, place *to, int64_t *count) {
    memset(count, 0, BUCKETS * sizeof *count);
    for (int64_t i = 0; i < n; i++) count[from[i].id >> shift & (BUCKETS - 1)]++;
    int64_t sum = 0;
    for (int b = 0; b < BUCKETS; b++) {
        const int64_t here = count[b];
        count[b] = sum, sum += here;
    }
    for (int64_t i = 0; i < n; i++) to[count[from[i].id >> shift & (BUCKETS - 1)]++] = from[i];
}

/* The places by id, equal ids by place; NULL: out of memory. */
static place *sorted_places(ap_tape *tape, const lookup *op) {
    place *a = ap_tape_take(tape, (size_t)(op->n + 1) * sizeof *a), *b = ap_tape_take(tape, (size_t)op->n * sizeof *b);
    int64_t *count = ap_tape_take(tape, BUCKETS * sizeof *count);
    if (!a || !b || !count) return NULL;
    for (int64_t i = 0; i < op->n; i++) a[i] = (place){op->ids[i], (int32_t)i};
    for (int shift = 0; shift < 31 && (op->rows * op->tables - 1) >> shift; shift += DIGIT) {
        sort_by_digit(op->n, shift, a, b, count);
        place *swap = a;
        a = b, b = swap;
    }
    return a;
}

/* ---- gradients */

typedef struct segments {
    const lookup *op;
    const float *dy;
    const place *places;  /* sorted */
    const int64_t *start; /* [segments + 1] the first place of each row that was looked up */
    int32_t first_id;     /* of the table */
    ap_rows *list;        /* NULL: into `dense` [rows][columns] */
    float *dense;
    bool accumulate;
    atomic_bool failed;
} segments;

/* out = the sum of dy over n places, n >= 1; work: a row for every level of the tree. */
static void sum_places(const lookup *op, const float *dy, const place *places, int64_t n, float *out, float *work) {
    const size_t columns = (size_t)op->columns;
    if (n <= AP_GEMM_CHUNK) {
        memcpy(out, dy + places[0].at * op->columns, columns * sizeof *out);
        for (int64_t i = 1; i < n; i++) ap_add_into(columns, dy + places[i].at * op->columns, out);
        return;
    }
    int64_t left = AP_GEMM_CHUNK;
    while (2 * left < n) left *= 2;
    sum_places(op, dy, places, left, out, work);
    sum_places(op, dy, places + left, n - left, work, work + columns);
    ap_add_into(columns, work, out);
}

enum { WORK_ROWS = 21 }; /* 2^31 places are 2^19 chunks: 19 levels, and one for a sum that is added */

static void sum_segment(int64_t index, void *context) {
    segments *s = context;
    const lookup *op = s->op;
    const place *first = s->places + s->start[index];
    const int64_t n = s->start[index + 1] - s->start[index];
    const int32_t row = first->id - s->first_id;
    float *work = ap_scratch(AP_SCRATCH_LINES, (size_t)(WORK_ROWS * op->columns));
    if (!work) {
        atomic_store(&s->failed, true);
        return;
    }
    float *out = s->list ? s->list->values + index * op->columns : s->dense + row * op->columns;
    if (s->list) s->list->row[index] = row;
    sum_places(op, s->dy, first, n, s->accumulate ? work : out, work + op->columns);
    if (s->accumulate) ap_add_into((size_t)op->columns, work, out);
}

/* Where the gradient of table t with `count` rows looked up goes. */
static bool open_gradient(ap_tape *tape, const lookup *op, int t, int64_t count, segments *s) {
    s->accumulate = false;
    s->list = ap_tape_rows(tape, op->table[t]);
    if (s->list) {
        s->list->columns = op->columns;
        if (!ap_rows_reserve(s->list, count))
            return ap_tape_fail_as(tape, AP_ENVIRONMENT, "out of memory for the gradient of %lld rows",
                                   (long long)count);
        s->list->count = count;
        return true;
    }
    if (ap_tape_status(tape, NULL) != AP_OK) return false;
    s->dense = ap_tape_grad(tape, op->table[t], &s->accumulate);
    if (s->dense && !s->accumulate) memset(s->dense, 0, (size_t)(op->rows * op->columns) * sizeof *s->dense);
    return s->dense != NULL;
}

enum { WORTH_THREADS = 1 << 12 };

static void lookup_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const lookup *op = context;
    segments s = {.op = op, .dy = y->grad, .places = sorted_places(tape, op)};
    int64_t *start = ap_tape_take(tape, (size_t)(op->n + 1) * sizeof *start);
    if (!s.places || !start) return;
    int64_t at = 0;
    for (int t = 0; t < op->tables; t++) {
        int64_t count = 0;
        s.first_id = (int32_t)(t * op->rows);
        for (; at < op->n && s.places[at].id < (t + 1) * op->rows; at++)
            if (count == 0 || s.places[at].id != s.places[at - 1].id) start[count++] = at;
        start[count] = at, s.start = start;
        if (!op->table[t]->needs_grad) continue;
        if (!open_gradient(tape, op, t, count, &s)) return;
        ap_kernels_for(count < WORTH_THREADS ? 1 : ap_kernels_threads(), count, sum_segment, &s);
    }
    if (atomic_load(&s.failed)) ap_tape_fail_as(tape, AP_ENVIRONMENT, "out of memory for the sums of a lookup");
}

/* ---- forward */

static bool arguments_fit(ap_tape *tape, int tables, ap_tensor *const *table, int rank, int64_t n, const int32_t *ids) {
    for (int t = 0; t < tables; t++)
        if (!table[t] || table[t]->rank != 2 || table[t]->shape[0] != table[0]->shape[0] ||
            table[t]->shape[1] != table[0]->shape[1])
            return table[t] && ap_tape_fail(tape, "lookup: the tables must be matrices of one shape");
    if (tables < 1 || rank < 0 || rank >= AP_MAX_RANK || n > INT32_MAX || tables * table[0]->shape[0] > INT32_MAX)
        return ap_tape_fail(tape, "lookup of %lld places (below 2^31) in %d tables (at least one)", (long long)n,
                            tables);
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= tables * table[0]->shape[0])
            return ap_tape_fail_as(tape, AP_DATA, "lookup of row %d (there are %lld)", ids[i],
                                   (long long)(tables * table[0]->shape[0]));
    return true;
}

ap_tensor *ap_table_lookup(ap_tape *tape, int tables, ap_tensor *const *table, int rank, const int64_t *shape,
                           const int32_t *ids) {
    int64_t n = 1, out_shape[AP_MAX_RANK];
    for (int i = 0; i < rank && i < AP_MAX_RANK; i++) n *= out_shape[i] = shape[i];
    if (ap_tape_status(tape, NULL) != AP_OK || !ids || !arguments_fit(tape, tables, table, rank, n, ids)) return NULL;
    const int64_t rows = table[0]->shape[0], columns = out_shape[rank] = table[0]->shape[1];
    ap_tensor *y = ap_tape_tensor(tape, rank + 1, out_shape);
    lookup *op = ap_tape_take(tape, sizeof *op);
    ap_tensor **kept = ap_tape_take(tape, (size_t)tables * sizeof *kept);
    if (!y || !op || !kept) return NULL;
    memcpy(kept, table, (size_t)tables * sizeof *kept);
    *op = (lookup){.tables = tables, .table = kept, .n = n, .rows = rows, .columns = columns, .ids = ids};
    enum { AHEAD = 8 };
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n) {
            const float *soon = table[ids[i + AHEAD] / rows]->data + ids[i + AHEAD] % rows * columns;
            for (int64_t j = 0; j < columns; j += 16) __builtin_prefetch(soon + j);
        }
        memcpy(y->data + i * columns, table[ids[i] / rows]->data + ids[i] % rows * columns,
               (size_t)columns * sizeof(float));
    }
    ap_tape_record(tape, lookup_backward, y, op, tables, kept);
    return y;
}
