/* The gradient sum. arrays[0] ends as the sum; arrays[k] is the k-th pending partial sum of the local binary counter,
 * so shard s writes into arrays[number of 1 bits of s]. */
#include "parallel/reducer.h"

#include "base/checked.h"
#include "base/clock.h"
#include "base/pages.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_BUCKET = 1 << 20,
    BLOCK = 2048,     /* floats folded at a time: stays in the first-level cache */
    MOST_ARRAYS = 11, /* log2 of the most shards, plus 1 */
    ALIGNMENT = 64
};

typedef struct range {
    int64_t begin, end;
} range;

enum { NOT_STARTED = -1 };
/* One bucket's exchange: 2 log2(R) stages, first the halvings and then the doublings, each one message to and one from
 * a rank. */
typedef struct bucket {
    range elements;
    int tensors, missing; /* missing: tensors that are not folded yet */
    int stage;            /* NOT_STARTED, or the stage under way, or all stages: done */
    float *scratch;       /* [half of the elements, rounded up]: what arrives in a halving */
    MPI_Request requests[2];
} bucket;

struct ap_reducer {
    ap_group *group;
    int64_t length;
    int tensors, buckets, levels, stages;
    int64_t *starts;            /* [tensors + 1]: tensor i, with the gap behind it, is [starts[i], starts[i + 1]) */
    int *bucket_of;             /* [tensors] */
    bool *folded;               /* [tensors] */
    bucket *bucket;             /* [buckets] */
    float *arrays[MOST_ARRAYS]; /* [levels + 1][length] */
    float *scratch;             /* for all buckets; NULL with one rank */

    int ended;    /* shards */
    int active;   /* buckets started and not done */
    int waiting;  /* buckets not started */
    int mpi_code; /* of the first call that failed */
    int64_t first_start_ns;
    ap_reducer_statistics statistics;
};

/* ---- sums */

/* Elementwise, so that any vector width gives the same bits. AVX2 takes 52 us in place of 83 for 8 shards of 100,000.
 */
#define ANY_WIDTH __attribute__((target_clones("default", "avx2")))

ANY_WIDTH static void add_into(float *restrict a, const float *restrict b, int64_t n) {
    for (int64_t i = 0; i < n; i++) a[i] += b[i];
}
ANY_WIDTH static void add(float *restrict out, const float *restrict a, const float *restrict b, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

/* arrays[top - levels] += (... + (arrays[top - 1] + arrays[top])), in blocks, so that memory is passed once. */
static void fold(ap_reducer *reducer, int top, int levels, range elements) {
    float sum[BLOCK] __attribute__((aligned(ALIGNMENT)));
    float **arrays = reducer->arrays;
    if (levels == 0) return;
    for (int64_t at = elements.begin; at < elements.end; at += BLOCK) {
        int64_t n = elements.end - at < BLOCK ? elements.end - at : BLOCK;
        if (levels == 1) {
            add_into(arrays[top - 1] + at, arrays[top] + at, n);
            continue;
        }
        add(sum, arrays[top - 1] + at, arrays[top] + at, n);
        for (int k = 2; k < levels; k++) add_into(sum, arrays[top - k] + at, n);
        add_into(arrays[top - levels] + at, sum, n);
    }
}

ANY_WIDTH static void multiply(float *a, float by, int64_t n) {
    for (int64_t i = 0; i < n; i++) a[i] *= by;
}

/* ---- the exchange of one bucket */

static range half(range whole, int which) {
    int64_t middle = whole.begin + (whole.end - whole.begin) / 2;
    return which ? (range){middle, whole.end} : (range){whole.begin, middle};
}

/* What `rank` holds after `halvings` of the bucket: bit k of the rank says which half it keeps in halving k. */
static range held(const bucket *b, int rank, int halvings) {
    range all = b->elements;
    for (int k = 0; k < halvings; k++) all = half(all, rank >> k & 1);
    return all;
}

/* In halving k a rank sends the half that its partner keeps and gets the one it keeps itself; in doubling k the same
 * halves go the other way. */
typedef struct stage {
    bool halving;
    int partner;
    range mine, theirs;
} stage;

static int64_t largest_half(const bucket *b) {
    range second = half(b->elements, 1);
    return second.end - second.begin;
}

static stage describe_stage(const ap_reducer *reducer, const bucket *b) {
    int halvings = reducer->stages / 2, rank = ap_group_rank(reducer->group);
    bool halving = b->stage < halvings;
    int k = halving ? b->stage : reducer->stages - 1 - b->stage, partner = rank ^ (1 << k);
    return (stage){halving, partner, held(b, rank, k + 1), held(b, partner, k + 1)};
}

static int start_stage(ap_reducer *reducer, bucket *b) {
    stage now = describe_stage(reducer, b);
    MPI_Comm comm = ap_group_comm(reducer->group);
    int tag = AP_GROUP_TAGS + (int)(b - reducer->bucket), code = MPI_SUCCESS;
    range out = now.halving ? now.theirs : now.mine, in = now.halving ? now.mine : now.theirs;
    float *sum = reducer->arrays[0], *to = now.halving ? b->scratch : sum + in.begin;
    int n_in = (int)(in.end - in.begin), n_out = (int)(out.end - out.begin);
    if (n_in) code = MPI_Irecv(to, n_in, MPI_FLOAT, now.partner, tag, comm, &b->requests[0]);
    if (n_out && code == MPI_SUCCESS)
        code = MPI_Isend(sum + out.begin, n_out, MPI_FLOAT, now.partner, tag, comm, &b->requests[1]);
    reducer->statistics.bytes_sent += n_out * (int64_t)sizeof(float);
    return code;
}

static int advance(ap_reducer *reducer, bucket *b) {
    for (;;) {
        int done, code = MPI_Testall(2, b->requests, &done, MPI_STATUSES_IGNORE);
        if (code != MPI_SUCCESS || !done) return code;
        stage past = describe_stage(reducer, b);
        if (past.halving) add_into(reducer->arrays[0] + past.mine.begin, b->scratch, past.mine.end - past.mine.begin);
        if (++b->stage == reducer->stages) {
            reducer->active--;
            return MPI_SUCCESS;
        }
        code = start_stage(reducer, b);
        if (code != MPI_SUCCESS) return code;
    }
}

static void start(ap_reducer *reducer, bucket *b) {
    reducer->waiting--;
    b->stage = 0;
    if (reducer->stages == 0 || reducer->mpi_code != MPI_SUCCESS || ap_group_is_broken(reducer->group)) return;
    if (!reducer->first_start_ns) reducer->first_start_ns = ap_clock_ns();
    reducer->active++;
    reducer->mpi_code = start_stage(reducer, b);
}

/* ---- a round */

void ap_reducer_begin(ap_reducer *reducer) {
    assert(reducer->active == 0);
    reducer->ended = 0;
    reducer->waiting = reducer->buckets;
    reducer->first_start_ns = 0;
    memset(reducer->folded, 0, (size_t)reducer->tensors * sizeof *reducer->folded);
    for (int i = 0; i < reducer->buckets; i++) {
        reducer->bucket[i].missing = reducer->bucket[i].tensors;
        reducer->bucket[i].stage = NOT_STARTED;
    }
}

float *ap_reducer_shard_buffer(ap_reducer *reducer, int s) {
    assert(s == reducer->ended && s < ap_group_local_shards(reducer->group));
    return reducer->arrays[__builtin_popcount((unsigned)s)];
}

/* Folding tensor by tensor finds the gradient still in the cache. */
void ap_reducer_parameter_done(ap_reducer *reducer, int index) {
    assert(index >= 0 && index < reducer->tensors);
    if (reducer->folded[index]) return;
    reducer->folded[index] = true;
    unsigned s = (unsigned)reducer->ended;
    int carries = __builtin_ctz(~s); /* the 1 bits that adding 1 to s turns to 0 */
    fold(reducer, __builtin_popcount(s), carries, (range){reducer->starts[index], reducer->starts[index + 1]});
    if (reducer->ended + 1 < ap_group_local_shards(reducer->group)) return;
    bucket *b = &reducer->bucket[reducer->bucket_of[index]];
    if (--b->missing == 0) start(reducer, b);
}

void ap_reducer_progress(ap_reducer *reducer) {
    if (reducer->active == 0) return;
    for (int i = 0; i < reducer->buckets && reducer->mpi_code == MPI_SUCCESS; i++) {
        bucket *b = &reducer->bucket[i];
        if (b->stage >= 0 && b->stage < reducer->stages) reducer->mpi_code = advance(reducer, b);
    }
}

void ap_reducer_shard_end(ap_reducer *reducer, int s) {
    assert(s == reducer->ended && s < ap_group_local_shards(reducer->group));
    for (int i = reducer->tensors - 1; i >= 0; i--) ap_reducer_parameter_done(reducer, i);
    memset(reducer->folded, 0, (size_t)reducer->tensors * sizeof *reducer->folded);
    reducer->ended++;
}

static int all_done(void *user, bool *done) {
    ap_reducer *reducer = user;
    ap_reducer_progress(reducer);
    *done = reducer->active == 0;
    return reducer->mpi_code;
}

static ap_status exchange_rest(ap_reducer *reducer, ap_error *error) {
    if (reducer->waiting)
        for (int i = 0; i < reducer->buckets; i++)
            if (reducer->bucket[i].stage == NOT_STARTED) start(reducer, &reducer->bucket[i]);
    if (reducer->stages == 0) return AP_OK;
    int64_t entered = ap_clock_ns();
    ap_status status = ap_group_wait_until(reducer->group, all_done, reducer, "the gradient sum", error);
    reducer->statistics.exposed_s += ap_clock_s(ap_clock_ns() - entered);
    if (reducer->first_start_ns) reducer->statistics.overlapped_s += ap_clock_s(entered - reducer->first_start_ns);
    if (status != AP_OK) {
        for (int i = 0; i < reducer->buckets; i++) ap_group_release(2, reducer->bucket[i].requests);
        reducer->active = 0;
    }
    return status;
}

ap_status ap_reducer_finish(ap_reducer *reducer, float scale, float **sum, ap_error *error) {
    AP_TRY(exchange_rest(reducer, error));
    if (reducer->ended < ap_group_local_shards(reducer->group))
        return ap_fail(error, AP_BUG, "the gradient sum was finished after %d of %d shards", reducer->ended,
                       ap_group_local_shards(reducer->group));
    if (scale != 1) multiply(reducer->arrays[0], scale, reducer->length);
    *sum = reducer->arrays[0];
    return AP_OK;
}

ap_reducer_statistics ap_reducer_get_statistics(const ap_reducer *reducer) {
    ap_reducer_statistics statistics = reducer->statistics;
    range last = reducer->bucket[reducer->buckets - 1].elements;
    statistics.length = reducer->length, statistics.buckets = reducer->buckets;
    statistics.last_bucket_length = last.end - last.begin;
    return statistics;
}

/* ---- creation */

/* Cuts the tensors, last first, into buckets of at least `bytes`. Returns their number; with `reducer->bucket` there,
 * fills it in too. */
static int cut_buckets(ap_reducer *reducer, size_t bytes) {
    int n = 0, tensors = 0;
    for (int i = reducer->tensors - 1, last = i; i >= 0; i--) {
        range elements = {reducer->starts[i], reducer->starts[last + 1]};
        tensors++;
        if (reducer->bucket) reducer->bucket_of[i] = n;
        if (i > 0 && (size_t)(elements.end - elements.begin) < bytes / sizeof(float)) continue;
        if (reducer->bucket)
            reducer->bucket[n] = (bucket){.elements = elements,
                                          .tensors = tensors,
                                          .stage = NOT_STARTED,
                                          .requests = {MPI_REQUEST_NULL, MPI_REQUEST_NULL}};
        n++, tensors = 0, last = i - 1;
    }
    return n;
}

static ap_status check_offsets(int64_t length, int count, const int64_t *offsets, ap_error *error) {
    if (length < 1 || count < 1)
        return ap_fail(error, AP_BUG, "a gradient of %lld elements in %d tensors", (long long)length, count);
    for (int i = 0; i < count; i++) {
        int64_t from = i ? offsets[i - 1] : 0;
        if (offsets[i] < from || offsets[i] > length)
            return ap_fail(error, AP_BUG, "tensor %d starts at %lld (must be from %lld to %lld)", i,
                           (long long)offsets[i], (long long)from, (long long)length);
    }
    return AP_OK;
}

static void *zeroed_array(int64_t length) {
    size_t bytes;
    if (!ap_size_mul((size_t)length, sizeof(float), &bytes)) return NULL;
    void *array = ap_pages_alloc(&bytes);
    if (array) memset(array, 0, bytes); /* also brings the pages in before the clock runs */
    return array;
}

/* The scratch is memory of its own and not the idle arrays[1]: what is received there would end in gaps between
 * tensors, which must stay zero. */
static bool allocate_arrays(ap_reducer *reducer) {
    for (int k = 0; k <= reducer->levels; k++)
        if (!(reducer->arrays[k] = zeroed_array(reducer->length))) return false;
    if (reducer->stages == 0) return true;
    int64_t used = 0;
    for (int i = 0; i < reducer->buckets; i++) used += largest_half(&reducer->bucket[i]);
    if (!(reducer->scratch = zeroed_array(used))) return false;
    float *next = reducer->scratch;
    for (int i = 0; i < reducer->buckets; i++) {
        reducer->bucket[i].scratch = next;
        next += largest_half(&reducer->bucket[i]);
    }
    return true;
}

static bool allocate_tables(ap_reducer *reducer, int64_t length, int count, const int64_t *offsets,
                            size_t bucket_bytes) {
    size_t n = (size_t)count;
    reducer->starts = calloc(n + 1, sizeof *reducer->starts);
    reducer->bucket_of = calloc(n, sizeof *reducer->bucket_of);
    reducer->folded = calloc(n, sizeof *reducer->folded);
    if (!reducer->starts || !reducer->bucket_of || !reducer->folded) return false;
    memcpy(reducer->starts, offsets, n * sizeof *offsets);
    reducer->starts[0] = 0, reducer->starts[count] = length;
    reducer->buckets = cut_buckets(reducer, bucket_bytes);
    reducer->bucket = calloc((size_t)reducer->buckets, sizeof *reducer->bucket);
    if (reducer->bucket) cut_buckets(reducer, bucket_bytes);
    return reducer->bucket != NULL;
}

static ap_status check_buckets(const ap_reducer *reducer, ap_error *error) {
    for (int i = 0; i < reducer->buckets; i++) {
        range all = reducer->bucket[i].elements;
        if (all.end - all.begin > INT_MAX)
            return ap_fail(error, AP_CONFIG,
                           "the gradients of %d tensors that are summed together have %lld elements (must be below "
                           "2^31); split the largest tensor",
                           reducer->bucket[i].tensors, (long long)(all.end - all.begin));
    }
    return AP_OK;
}

ap_status ap_reducer_create(ap_group *group, int64_t length, int count, const int64_t *offsets, size_t bucket_bytes,
                            ap_reducer **out, ap_error *error) {
    AP_TRY(check_offsets(length, count, offsets, error));
    ap_reducer *reducer = calloc(1, sizeof *reducer);
    if (!reducer) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the gradient sum");
    reducer->group = group, reducer->length = length, reducer->tensors = count;
    reducer->levels = __builtin_ctz((unsigned)ap_group_local_shards(group));
    reducer->stages = 2 * __builtin_ctz((unsigned)ap_group_ranks(group));
    reducer->mpi_code = MPI_SUCCESS;
    ap_status status = AP_OK;
    bool tables = allocate_tables(reducer, length, count, offsets, bucket_bytes ? bucket_bytes : DEFAULT_BUCKET);
    if (tables) status = check_buckets(reducer, error);
    if (status == AP_OK && (!tables || !allocate_arrays(reducer)))
        status = ap_fail(error, AP_ENVIRONMENT,
                         "out of memory for the gradients: %d arrays of %lld floats; use more ranks a trial or fewer "
                         "ranks a host",
                         reducer->levels + 1, (long long)length);
    if (status != AP_OK) {
        ap_reducer_destroy(reducer);
        return status;
    }
    *out = reducer;
    return AP_OK;
}

void ap_reducer_destroy(ap_reducer *reducer) {
    if (!reducer) return;
    for (int k = 0; k < MOST_ARRAYS; k++) free(reducer->arrays[k]);
    free(reducer->scratch);
    free(reducer->bucket);
    free(reducer->folded);
    free(reducer->bucket_of);
    free(reducer->starts);
    free(reducer);
}
