/* submission.h: all that a training algorithm sees of the benchmark.
 *
 * A submission is a table of functions (ap_submission). Built-in algorithms (src/algorithms/) and yours use exactly
 * this header:
 *
 *     cc -O3 -ffp-contract=off -shared -fPIC -I PREFIX/include/algoperf my_optimizer.c -o my_optimizer.so
 *
 * with one exported function, ap_submission_entry, and `submission = "./my_optimizer.so"` in the job file. The
 * functions are those of the benchmark's rules (AlgoPerf, "Submission API"): get_batch_size, init_optimizer_state,
 * update_params, prepare_for_eval, data_selection.
 *
 * How it runs. Every rank of a group runs the submission with the same parameters, gradients and state, bit for bit;
 * what you compute must be a function of what this header gives you (no clock-dependent arithmetic, no rand()). Then
 * training is bitwise the same on any number of ranks, and resumes after a kill without your help: all state lives in
 * tensors the host allocates, checkpoints and restores. Functions return 0, or non-zero after ap_host_fail; no
 * submission code runs during evaluation. */
#ifndef AP_SUBMISSION_SUBMISSION_H
#define AP_SUBMISSION_SUBMISSION_H

#include "base/param_type.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AP_SUBMISSION_ABI                                                                                              \
    1 /* changes when an existing member changes; members added at the end only change struct_size */

typedef struct ap_param_info {
    const char *name; /* published name, "net.layer1.weight" */
    ap_param_type type;
    int rank;
    const int64_t *shape;
    int64_t size; /* elements */
} ap_param_info;

/* The workload's public facts. */
typedef struct ap_workload_info {
    const char *name, *variant, *scale; /* "mnist", "", "mini" */
    const char *loss_type;              /* "softmax_cross_entropy" */
    const char *target_metric;          /* "accuracy" */
    bool higher_is_better;
    double validation_target;
    int64_t train_examples;
    int64_t baseline_batch_size; /* the published baseline's global batch size for this workload and scale */
    int64_t step_hint;           /* schedule length of the baseline, steps */
    double max_runtime_s, eval_period_s;
    int params;
    const ap_param_info *param;
} ap_workload_info;

/* One finished evaluation. */
typedef struct ap_eval_result {
    int64_t step;
    double submission_time_s;
    double train, validation, test; /* target metric on the three splits; NaN: none */
    double validation_loss;         /* NaN: the workload has no loss metric */
} ap_eval_result;

typedef struct ap_loss_request {
    float label_smoothing; /* [0, 1) */
    float dropout_rate;    /* [0, 1); dropout only through here */
    bool no_gradient;      /* loss only (line search) */
    bool keep_state;       /* do not update running statistics (SAM's second pass) */
} ap_loss_request;

/* The gradient of a table of which a batch looks up a few rows: it is zero in all rows but these. */
typedef struct ap_gradient_rows {
    int64_t count, columns; /* the parameter is [rows][columns] */
    const int32_t *row;     /* [count], rising */
    float *values;          /* [count][columns]; may be overwritten (clipping) */
} ap_gradient_rows;

/* Row-major, without gaps between rows: C[m][n] = A[m][k] B[k][n]. */
typedef struct ap_matrix_product {
    bool transpose_a, transpose_b; /* A is stored as [k][m], B as [n][k] */
    int64_t m, n, k;
    const float *a, *b;
    float *c; /* must not overlap a or b */
    bool accumulate;
} ap_matrix_product;

/* The host: handed to every function. Opaque part first; calls through the table. All are callable only from inside the
 * submission's functions. */
enum { AP_SCRATCH_SLOTS = 8 };
typedef struct ap_host ap_host;
typedef struct ap_host_calls {
    size_t struct_size;
    const ap_workload_info *(*workload)(ap_host *host);

    /* Hyperparameters of this trial. `get` returns false if there is none of that name (*value untouched). */
    bool (*hyperparameter)(ap_host *host, const char *name, double *value);

    /* Parameters, flat, `size` elements each; write in update_params and prepare_for_eval only. */
    float *(*value)(ap_host *host, int param);
    /* Gradient of the last loss_and_gradient (of summed / n_valid over the global batch), same on every rank. May be
     * overwritten (clipping). */
    float *(*gradient)(ap_host *host, int param);

    /* Named optimizer state shaped like a parameter, or n doubles. First use (in init_optimizer_state) creates it,
     * zero; later uses return the same memory. Checkpointed and restored by the host. NULL: out of memory, or created
     * too late, or another size (ap_host_fail has been called). */
    float *(*state)(ap_host *host, const char *name, int param);
    double *(*state_numbers)(ap_host *host, const char *name, int n);

    /* data_selection: draws the next global batch (false: failure, return non-zero). Without a data_selection function
     * the host calls it before update_params. */
    bool (*next_batch)(ap_host *host);
    /* Loss and gradient of the current batch at the current parameters, as often per step as you like. *loss = summed /
     * n_valid. False: failure, return non-zero. */
    bool (*loss_and_gradient)(ap_host *host, const ap_loss_request *request, double *loss);

    /* Sums with a fixed order (16 lanes, see tensor/kernels/reduce.h), in double: for norms and inner products. */
    double (*dot)(ap_host *host, int64_t n, const float *x, const float *y);

    /* For algorithms that spread work over ranks: rank r of R computes its part, all get it. Collective over the group;
     * moves data only, so it cannot change bits. */
    int (*rank)(ap_host *host);
    int (*ranks)(ap_host *host);
    bool (*broadcast)(ap_host *host, void *bytes, size_t n, int root);
    bool (*allgather)(ap_host *host, const void *mine, size_t n, void *all);

    /* Where the trial stands. */
    int64_t (*step)(ap_host *host);             /* updates finished */
    double (*submission_time_s)(ap_host *host); /* for pacing only: differs between runs, so do not compute with it if
                                                   you want reproducible training */
    int (*evaluations)(ap_host *host);          /* finished so far */
    bool (*evaluation)(ap_host *host, int i, ap_eval_result *result);

    /* Your own random numbers: element e of stream `stream` at the current step; uniform in [0, 1). Same on every rank.
     */
    float (*random)(ap_host *host, uint32_t stream, uint64_t element);

    void (*stop)(ap_host *host, const char *why);         /* ends the trial after this step, as finished */
    void (*fail)(ap_host *host, const char *format, ...); /* records why; then return non-zero */
    void (*log)(ap_host *host, const char *format, ...);  /* rank 0, debug level */

    /* Loss known from the last call in this step; and the threads a rank may use. */
    int (*threads)(ap_host *host);

    /* A hyperparameter whose value is a text ("ADAM"); NULL if there is none of that name or it is a number. */
    const char *(*hyperparameter_text)(ap_host *host, const char *name);
    /* Optimizer state of any size, n floats; otherwise like `state`. */
    float *(*state_array)(ap_host *host, const char *name, int64_t n);
    /* In init_optimizer_state: of a state_array or of state_numbers, elements first .. first + n - 1 are kept up to
     * date by `rank` alone (as you share out the work anew on another number of ranks). The host fetches them from
     * there before it writes a checkpoint; after a restart every rank has them all. */
    bool (*state_kept_by)(ap_host *host, const char *name, int64_t first, int64_t n, int rank);
    /* C = A B (or C + A B), every element one fma chain over k in order: the same bits everywhere. */
    void (*matrix_product)(ap_host *host, const ap_matrix_product *product);
    /* Eigendecomposition of a symmetric matrix a[n][n], of which the lower triangle is read: w[n] rising, and row i of
     * a becomes the eigenvector of w[i]; the same bits everywhere. False: a is not finite, or no convergence (no
     * failure of the step). */
    bool (*symmetric_eigen)(ap_host *host, int n, double *a, double *w);
    /* Memory for intermediate results, n floats, 64-byte aligned, not initialised; slots 0 to AP_SCRATCH_SLOTS - 1. It
     * lasts until the function returns (or the slot is asked for with a larger n), is not part of a checkpoint, and
     * grows only once, so that steps do not allocate. NULL: out of memory (ap_host_fail has been called). */
    float *(*scratch)(ap_host *host, int slot, int64_t n);
    /* The gradient of a large table (click-through embeddings), as it is made and summed: the rows that the batch
     * touched. False: this parameter has no such form, or `gradient` has been asked for it since the last
     * loss_and_gradient (then that is the gradient, and may have been written to). Asking for `gradient` is always
     * right, and costs memory and time of the table's size. Rows that are not listed have a gradient of zero, which is
     * not "no update": momentum, moments that decay and weight decay change them too. The built-in rules that go
     * through ap_rule_apply (src/algorithms/rule.h) update every row, with zeros that are made in cache; the others ask
     * for `gradient`. So all of them compute exactly what they would with a gradient of full size. */
    bool (*gradient_rows)(ap_host *host, int param, ap_gradient_rows *rows);
    /* out[n][n] = sum_i w[i] v_i v_i', v_i row i of v[n][n]: what a function of a symmetric matrix is made with, from
     * symmetric_eigen's v and the function's values w; the same bits everywhere. False: out of memory. */
    bool (*symmetric_compose)(ap_host *host, int n, const double *v, const double *w, float *out);
} ap_host_calls;
struct ap_host {
    const ap_host_calls *call;
    void *private_data;
};

typedef struct ap_submission {
    uint32_t abi;                        /* AP_SUBMISSION_ABI */
    size_t struct_size;                  /* sizeof(ap_submission) */
    const char *name, *summary, *source; /* source: paper, or published submission */

    /* Global batch size for a workload; NULL: the baseline's. Must be at least the number of shards and at most the
     * training set. */
    int64_t (*get_batch_size)(const ap_workload_info *workload);
    int (*init_optimizer_state)(ap_host *host);
    int (*update_params)(ap_host *host);
    int (*prepare_for_eval)(ap_host *host); /* NULL: nothing to do. Timed */
    int (*data_selection)(ap_host *host);   /* NULL: the next batch. Timed */

    /* External tuning: the official tuning_search_space.json as text: a list of points, used in order, or an object of
     * ranges and feasible points, sampled by the benchmark's Halton generator. One space for all workloads. NULL: the
     * job file must name one. */
    const char *const *search_space;
    /* Self-tuning: one point, a flat JSON object. NULL: no self-tuning form. */
    const char *const *self_tuning_point;

    bool handles_nonfinite_loss; /* false: a non-finite loss at the end of a step ends the trial as diverged */
} ap_submission;

/* The one symbol a plugin exports. */
#if defined(__GNUC__)
#define AP_SUBMISSION_EXPORT __attribute__((visibility("default")))
#else
#define AP_SUBMISSION_EXPORT
#endif
AP_SUBMISSION_EXPORT const ap_submission *ap_submission_entry(void);

#ifdef __cplusplus
}
#endif
#endif
