#include "submission/solo_host.h"
#include "base/random.h"
#include "tensor/kernels/eigen.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/reduce.h"
#include "tensor/rows.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Named memory: floats shaped like a parameter, or doubles (NUMBERS), or floats of any size (ARRAY). */
enum { NUMBERS = -1, ARRAY = -2 };
typedef struct entry {
    char *name;
    int param;
    size_t bytes;
    void *memory;
} entry;

struct ap_solo {
    ap_host host;
    ap_solo_problem problem;
    float **value, **gradient;
    ap_rows *rows;        /* [params] lists that were asked for */
    bool *listed, *dense; /* [params] since the last loss */
    bool *asked;
    entry *entries;
    int count;
    bool created; /* init_optimizer_state is over */
    int64_t step, losses;
    ap_loss_request last;
    ap_error failure;
    ap_scratch scratch;
};

static ap_solo *solo_of(ap_host *host) {
    return host->private_data;
}

/* ---- what the submission calls */

float *ap_scratch_get(ap_scratch *s, int slot, int64_t n) {
    if (slot < 0 || slot >= AP_SCRATCH_SLOTS || n < 0) return NULL;
    if (n <= s->size[slot] && s->memory[slot]) return s->memory[slot];
    size_t bytes = ((size_t)n * sizeof(float) + 64) & ~(size_t)63;
    free(s->memory[slot]);
    s->memory[slot] = aligned_alloc(64, bytes);
    s->size[slot] = s->memory[slot] ? n : 0;
    return s->memory[slot];
}

void ap_scratch_free(ap_scratch *s) {
    for (int i = 0; i < AP_SCRATCH_SLOTS; i++) free(s->memory[i]);
    *s = (ap_scratch){0};
}

/* A A' or A' A by its lower triangle, in strips of columns, and the rest mirrored: the chains of C[i][j] and C[j][i]
 * multiply the same numbers, so this has the bits of the whole product. `g`: the whole, m = n. */
static void symmetric_product(ap_math math, const ap_gemm_args *g) {
    enum { STRIP = 128, TILE = 16 };
    const int64_t n = g->n;
    for (int64_t j = 0; j < n; j += STRIP) {
        ap_gemm_args strip = *g;
        strip.m = n - j;
        strip.n = n - j < STRIP ? n - j : STRIP;
        strip.a += g->transpose_a ? j : j * g->lda;
        strip.b += g->transpose_b ? j * g->ldb : j;
        strip.c += j * n + j;
        ap_gemm(math, &strip);
    }
    for (int64_t i0 = 0; i0 < n; i0 += TILE)
        for (int64_t j0 = i0; j0 < n; j0 += TILE)
            for (int64_t i = i0; i < n && i < i0 + TILE; i++)
                for (int64_t j = j0 > i ? j0 : i + 1; j < n && j < j0 + TILE; j++) g->c[i * n + j] = g->c[j * n + i];
}

void ap_submission_matrix_product(ap_math math, const ap_matrix_product *p) {
    ap_gemm_args args = {.transpose_a = p->transpose_a,
                         .transpose_b = p->transpose_b,
                         .m = p->m,
                         .n = p->n,
                         .k = p->k,
                         .a = p->a,
                         .lda = p->transpose_a ? p->m : p->k,
                         .b = p->b,
                         .ldb = p->transpose_b ? p->k : p->n,
                         .c = p->c,
                         .ldc = p->n,
                         .accumulate = p->accumulate};
    if (p->a == p->b && p->m == p->n && p->transpose_a != p->transpose_b && !p->accumulate)
        symmetric_product(math, &args);
    else
        ap_gemm(math, &args);
}

static void host_fail(ap_host *host, const char *format, ...) AP_PRINTF(2, 3);
static void host_fail(ap_host *host, const char *format, ...) {
    char text[AP_ERROR_TEXT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ap_fail(&solo_of(host)->failure, AP_SUBMISSION, "%s", text);
}

static void host_log(ap_host *host, const char *format, ...) {
    (void)host;
    (void)format;
}

static void host_stop(ap_host *host, const char *why) {
    (void)host;
    (void)why;
}

static const ap_workload_info *host_workload(ap_host *host) {
    return solo_of(host)->problem.workload;
}

static bool host_hyperparameter(ap_host *host, const char *name, double *value) {
    ap_solo *solo = solo_of(host);
    for (int i = 0; i < solo->problem.hyperparameters; i++)
        if (!strcmp(solo->problem.name[i], name) && !(solo->problem.text && solo->problem.text[i])) {
            solo->asked[i] = true;
            *value = solo->problem.value[i];
            return true;
        }
    return false;
}

static const char *host_hyperparameter_text(ap_host *host, const char *name) {
    ap_solo *solo = solo_of(host);
    for (int i = 0; i < solo->problem.hyperparameters; i++)
        if (!strcmp(solo->problem.name[i], name) && solo->problem.text && solo->problem.text[i]) {
            solo->asked[i] = true;
            return solo->problem.text[i];
        }
    return NULL;
}

static float *host_value(ap_host *host, int param) {
    return solo_of(host)->value[param];
}

/* Values of a list may have been written to: they go back before the whole is looked at. */
static float *host_gradient(ap_host *host, int param) {
    ap_solo *solo = solo_of(host);
    ap_rows *rows = &solo->rows[param];
    for (int64_t i = 0; solo->listed[param] && !solo->dense[param] && i < rows->count; i++)
        memcpy(solo->gradient[param] + rows->row[i] * rows->columns, rows->values + i * rows->columns,
               (size_t)rows->columns * sizeof(float));
    solo->dense[param] = true;
    return solo->gradient[param];
}

/* The rows that have anything but zeros. */
static bool make_list(const ap_param_info *info, const float *gradient, ap_rows *rows) {
    rows->columns = info->shape[1], rows->count = 0;
    if (!ap_rows_reserve(rows, info->shape[0])) return false;
    for (int64_t row = 0; row < info->shape[0]; row++) {
        const float *values = gradient + row * rows->columns;
        bool zero = true;
        for (int64_t j = 0; j < rows->columns; j++) zero = zero && values[j] == 0;
        if (zero) continue;
        rows->row[rows->count] = (int32_t)row;
        memcpy(rows->values + rows->count++ * rows->columns, values, (size_t)rows->columns * sizeof *values);
    }
    return true;
}

static bool host_gradient_rows(ap_host *host, int param, ap_gradient_rows *result) {
    ap_solo *solo = solo_of(host);
    const ap_workload_info *workload = host_workload(host);
    ap_rows *rows = &solo->rows[param];
    if (param < workload->params - solo->problem.tables || workload->param[param].rank != 2 || solo->dense[param])
        return false;
    if (!solo->listed[param] && !make_list(&workload->param[param], solo->gradient[param], rows)) return false;
    solo->listed[param] = true;
    *result = (ap_gradient_rows){rows->count, rows->columns, rows->row, rows->values};
    return true;
}

static void *named(ap_host *host, const char *name, int param, size_t bytes) {
    ap_solo *solo = solo_of(host);
    for (int i = 0; i < solo->count; i++) {
        entry *e = &solo->entries[i];
        if (e->param != param || strcmp(e->name, name) != 0) continue;
        if (e->bytes == bytes) return e->memory;
        host_fail(host, "state %s has %zu bytes, %zu are wanted now; use the size it was made with", name, e->bytes,
                  bytes);
        return NULL;
    }
    if (solo->created) {
        host_fail(host, "state %s is asked for the first time in a step; create it in init_optimizer_state", name);
        return NULL;
    }
    entry *grown = realloc(solo->entries, ((size_t)solo->count + 1) * sizeof *grown);
    if (grown) solo->entries = grown;
    entry new = {strdup(name), param, bytes, calloc(bytes ? bytes : 1, 1)};
    if (!grown || !new.name || !new.memory) {
        free(new.name);
        free(new.memory);
        host_fail(host, "state %s: out of memory (%zu bytes)", name, bytes);
        return NULL;
    }
    solo->entries[solo->count++] = new;
    return new.memory;
}

static float *host_state(ap_host *host, const char *name, int param) {
    return named(host, name, param, (size_t)host_workload(host)->param[param].size * sizeof(float));
}

static double *host_state_numbers(ap_host *host, const char *name, int n) {
    return named(host, name, NUMBERS, (size_t)n * sizeof(double));
}

static float *host_state_array(ap_host *host, const char *name, int64_t n) {
    return named(host, name, ARRAY, (size_t)n * sizeof(float));
}

static int host_rank(ap_host *host) {
    const ap_solo_ranks *ranks = solo_of(host)->problem.ranks;
    return ranks ? ranks->rank : 0;
}

static int host_ranks(ap_host *host) {
    const ap_solo_ranks *ranks = solo_of(host)->problem.ranks;
    return ranks ? ranks->ranks : 1;
}

static bool host_state_kept_by(ap_host *host, const char *name, int64_t first, int64_t n, int rank) {
    (void)name;
    (void)first;
    (void)n;
    return rank >= 0 && rank < host_ranks(host);
}

static void host_matrix_product(ap_host *host, const ap_matrix_product *p) {
    (void)host;
    ap_submission_matrix_product(AP_MATH_ORDERED, p);
}

static bool host_symmetric_eigen(ap_host *host, int n, double *a, double *w) {
    (void)host;
    return ap_symmetric_eigen(n, a, w);
}

static bool host_symmetric_compose(ap_host *host, int n, const double *v, const double *w, float *out) {
    (void)host;
    return ap_symmetric_compose(n, v, w, out);
}

static float *host_scratch(ap_host *host, int slot, int64_t n) {
    float *memory = ap_scratch_get(&solo_of(host)->scratch, slot, n);
    if (!memory) host_fail(host, "scratch slot %d: out of memory (%lld floats)", slot, (long long)n);
    return memory;
}

static bool host_next_batch(ap_host *host) {
    (void)host;
    return true;
}

static bool host_loss_and_gradient(ap_host *host, const ap_loss_request *request, double *loss) {
    ap_solo *solo = solo_of(host);
    solo->losses++;
    solo->last = *request;
    for (int p = 0; !request->no_gradient && p < host_workload(host)->params; p++)
        solo->listed[p] = solo->dense[p] = false;
    *loss = solo->problem.loss(solo->problem.context, solo->step, solo->value,
                               request->no_gradient ? NULL : solo->gradient);
    return true;
}

static double host_dot(ap_host *host, int64_t n, const float *x, const float *y) {
    (void)host;
    return ap_dot_f64((size_t)n, x, y);
}

static int host_one(ap_host *host) {
    (void)host;
    return 1;
}

static bool host_broadcast(ap_host *host, void *bytes, size_t n, int root) {
    const ap_solo_ranks *ranks = solo_of(host)->problem.ranks;
    return ranks ? ranks->broadcast(ranks->context, bytes, n, root) : root == 0;
}

static bool host_allgather(ap_host *host, const void *mine, size_t n, void *all) {
    const ap_solo_ranks *ranks = solo_of(host)->problem.ranks;
    if (ranks) return ranks->allgather(ranks->context, mine, n, all);
    memcpy(all, mine, n);
    return true;
}

static int64_t host_step(ap_host *host) {
    return solo_of(host)->step;
}

static double host_submission_time_s(ap_host *host) {
    (void)host;
    return 0;
}

static int host_evaluations(ap_host *host) {
    (void)host;
    return 0;
}

static bool host_evaluation(ap_host *host, int i, ap_eval_result *result) {
    (void)host;
    (void)i;
    (void)result;
    return false;
}

static float host_random(ap_host *host, uint32_t stream, uint64_t element) {
    uint64_t step = (uint64_t)host_step(host);
    ap_random random = ap_random_stream(0, AP_RANDOM_SUBMISSION, step, stream);
    return ap_random_uniform(&random, element);
}

static const ap_host_calls calls = {
    .struct_size = sizeof(ap_host_calls),
    .workload = host_workload,
    .hyperparameter = host_hyperparameter,
    .value = host_value,
    .gradient = host_gradient,
    .state = host_state,
    .state_numbers = host_state_numbers,
    .next_batch = host_next_batch,
    .loss_and_gradient = host_loss_and_gradient,
    .dot = host_dot,
    .rank = host_rank,
    .ranks = host_ranks,
    .broadcast = host_broadcast,
    .allgather = host_allgather,
    .step = host_step,
    .submission_time_s = host_submission_time_s,
    .evaluations = host_evaluations,
    .evaluation = host_evaluation,
    .random = host_random,
    .stop = host_stop,
    .fail = host_fail,
    .log = host_log,
    .threads = host_one,
    .hyperparameter_text = host_hyperparameter_text,
    .state_array = host_state_array,
    .state_kept_by = host_state_kept_by,
    .matrix_product = host_matrix_product,
    .symmetric_eigen = host_symmetric_eigen,
    .scratch = host_scratch,
    .gradient_rows = host_gradient_rows,
    .symmetric_compose = host_symmetric_compose,
};

/* ---- making and destroying */

static float *copy_of(const float *x, int64_t n) {
    float *copy = calloc((size_t)n + 1, sizeof *copy);
    if (copy && x) memcpy(copy, x, (size_t)n * sizeof *copy);
    return copy;
}

ap_status ap_solo_create(const ap_solo_problem *problem, ap_solo **out, ap_error *error) {
    int params = problem->workload->params;
    ap_solo *solo = calloc(1, sizeof *solo);
    if (!solo) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a host");
    solo->host = (ap_host){.call = &calls, .private_data = solo};
    solo->problem = *problem;
    solo->value = calloc((size_t)params + 1, sizeof *solo->value);
    solo->gradient = calloc((size_t)params + 1, sizeof *solo->gradient);
    solo->asked = calloc((size_t)problem->hyperparameters + 1, sizeof *solo->asked);
    solo->rows = calloc((size_t)params + 1, sizeof *solo->rows);
    solo->listed = calloc((size_t)params + 1, sizeof *solo->listed);
    solo->dense = calloc((size_t)params + 1, sizeof *solo->dense);
    bool fine = solo->value && solo->gradient && solo->asked && solo->rows && solo->listed && solo->dense;
    for (int p = 0; fine && p < params; p++) {
        solo->value[p] = copy_of(problem->initial[p], problem->workload->param[p].size);
        solo->gradient[p] = copy_of(NULL, problem->workload->param[p].size);
        fine = solo->value[p] && solo->gradient[p];
    }
    if (!fine) {
        ap_solo_destroy(solo);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for a host with %d parameters", params);
    }
    *out = solo;
    return AP_OK;
}

void ap_solo_destroy(ap_solo *solo) {
    if (!solo) return;
    for (int p = 0; p < solo->problem.workload->params; p++) {
        if (solo->value) free(solo->value[p]);
        if (solo->gradient) free(solo->gradient[p]);
        if (solo->rows) ap_rows_free(&solo->rows[p]);
    }
    for (int i = 0; i < solo->count; i++) {
        free(solo->entries[i].name);
        free(solo->entries[i].memory);
    }
    free(solo->value);
    free(solo->gradient);
    free(solo->rows);
    free(solo->listed);
    free(solo->dense);
    free(solo->asked);
    free(solo->entries);
    ap_scratch_free(&solo->scratch);
    free(solo);
}

/* ---- running */

static ap_status result(ap_solo *solo, int failed, const char *submission, const char *function, ap_error *error) {
    if (!failed) return AP_OK;
    const char *why = solo->failure.status ? solo->failure.text : "it gave no reason (host->call->fail)";
    return ap_fail(error, AP_SUBMISSION, "%s: %s failed in step %lld: %s", submission, function, (long long)solo->step,
                   why);
}

ap_status ap_solo_init(ap_solo *solo, const ap_submission *submission, ap_error *error) {
    int failed = submission->init_optimizer_state(&solo->host);
    AP_TRY(result(solo, failed, submission->name, "init_optimizer_state", error));
    solo->created = true;
    return AP_OK;
}

ap_status ap_solo_prepare_for_eval(ap_solo *solo, const ap_submission *submission, ap_error *error) {
    int failed = submission->prepare_for_eval ? submission->prepare_for_eval(&solo->host) : 0;
    return result(solo, failed, submission->name, "prepare_for_eval", error);
}

ap_status ap_solo_step(ap_solo *solo, const ap_submission *submission, ap_error *error) {
    int failed = submission->data_selection ? submission->data_selection(&solo->host) : 0;
    AP_TRY(result(solo, failed, submission->name, "data_selection", error));
    failed = submission->update_params(&solo->host);
    AP_TRY(result(solo, failed, submission->name, "update_params", error));
    solo->step++;
    return AP_OK;
}

void ap_solo_set_step(ap_solo *solo, int64_t step) {
    solo->step = step;
}

/* ---- looking */

ap_host *ap_solo_host(ap_solo *solo) {
    return &solo->host;
}

const float *ap_solo_value(const ap_solo *solo, int param) {
    return solo->value[param];
}

bool ap_solo_asked(const ap_solo *solo, int hyperparameter) {
    return solo->asked[hyperparameter];
}

const double *ap_solo_numbers(const ap_solo *solo, const char *name) {
    for (int i = 0; i < solo->count; i++)
        if (solo->entries[i].param == NUMBERS && !strcmp(solo->entries[i].name, name)) return solo->entries[i].memory;
    return NULL;
}

int64_t ap_solo_state_bytes(const ap_solo *solo) {
    int64_t bytes = 0;
    for (int i = 0; i < solo->count; i++) bytes += (int64_t)solo->entries[i].bytes;
    return bytes;
}

int64_t ap_solo_losses(const ap_solo *solo, ap_loss_request *last) {
    *last = solo->last;
    return solo->losses;
}

ap_status ap_solo_copy(ap_solo *to, const ap_solo *from, ap_error *error) {
    if (to->count != from->count)
        return ap_fail(error, AP_BUG, "%d state entries, the other host has %d", to->count, from->count);
    for (int i = 0; i < to->count; i++) {
        entry *a = &to->entries[i], *b = &from->entries[i];
        if (strcmp(a->name, b->name) != 0 || a->param != b->param || a->bytes != b->bytes)
            return ap_fail(error, AP_BUG, "state entry %d is %s here, %s there", i, a->name, b->name);
        memcpy(a->memory, b->memory, a->bytes);
    }
    const ap_workload_info *workload = to->problem.workload;
    for (int p = 0; p < workload->params; p++)
        memcpy(to->value[p], from->value[p], (size_t)workload->param[p].size * sizeof(float));
    to->step = from->step;
    return AP_OK;
}
