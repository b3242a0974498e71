/* A host in one process, without workload, data and MPI: parameters, a function that gives loss and gradient, and
 * hyperparameters. `algoperf verify --optimizers` and the tests run submissions through it, by the same header as
 * training does. One rank (or, for a benchmark, several), one thread; nothing is timed; there are no evaluations. Not
 * collective. */
#ifndef AP_SUBMISSION_SOLO_HOST_H
#define AP_SUBMISSION_SOLO_HOST_H

#include "base/status.h"
#include "submission/submission.h"
#include "tensor/kernels/gemm.h"

/* The loss at `value` in step `step` (0-based); gradient[p][size] is filled unless `gradient` is NULL. */
typedef double ap_solo_loss(void *context, int64_t step, float *const *value, float *const *gradient);

/* Several processes with a host each, for measuring: how they reach each other. */
typedef struct ap_solo_ranks {
    int rank, ranks;
    bool (*broadcast)(void *context, void *bytes, size_t n, int root);
    bool (*allgather)(void *context, const void *mine, size_t n, void *all);
    void *context;
} ap_solo_ranks;

typedef struct ap_solo_problem {
    const ap_workload_info *workload; /* borrowed for the host's life, like all here; names, sizes, step_hint */
    const float *const *initial;      /* initial[p][size], copied */
    ap_solo_loss *loss;
    void *context;
    int hyperparameters;
    char *const *name; /* as in ap_point */
    const double *value;
    char *const *text;          /* NULL: no hyperparameter is a text */
    const ap_solo_ranks *ranks; /* NULL: this process alone */
    int tables;                 /* the gradients of the last so many parameters are offered as rows, too */
} ap_solo_problem;

typedef struct ap_solo ap_solo;

/* The host and its parameters; AP_ENVIRONMENT when out of memory. The caller destroys. */
ap_status ap_solo_create(const ap_solo_problem *problem, ap_solo **solo, ap_error *error);
void ap_solo_destroy(ap_solo *solo); /* NULL is fine */

/* The submission's functions: init once, then steps (data_selection, update_params). AP_SUBMISSION with the
 * submission's own text when it fails. */
ap_status ap_solo_init(ap_solo *solo, const ap_submission *submission, ap_error *error);
ap_status ap_solo_step(ap_solo *solo, const ap_submission *submission, ap_error *error);
ap_status ap_solo_prepare_for_eval(ap_solo *solo, const ap_submission *submission, ap_error *error);

/* The host calls matrix_product and scratch, for every host. */
void ap_submission_matrix_product(ap_math math, const ap_matrix_product *product);
typedef struct ap_scratch {
    float *memory[AP_SCRATCH_SLOTS];
    int64_t size[AP_SCRATCH_SLOTS];
} ap_scratch;
float *ap_scratch_get(ap_scratch *scratch, int slot, int64_t n); /* NULL: out of memory, or no such slot */
void ap_scratch_free(ap_scratch *scratch);

/* What host->step gives in the next step: a benchmark goes on where a schedule of roots comes round. */
void ap_solo_set_step(ap_solo *solo, int64_t step);

/* What a test looks at. Borrowed. */
ap_host *ap_solo_host(ap_solo *solo);
const float *ap_solo_value(const ap_solo *solo, int param);
bool ap_solo_asked(const ap_solo *solo, int hyperparameter); /* has the submission read it? */
/* Numbers of the submission's state by name; NULL: it has none of that name. */
const double *ap_solo_numbers(const ap_solo *solo, const char *name);
int64_t ap_solo_state_bytes(const ap_solo *solo); /* of all states */
/* The loss requests seen: how many, and the last. */
int64_t ap_solo_losses(const ap_solo *solo, ap_loss_request *last);

/* Checkpoint: copies step, parameters and state from one host to another of the same problem and submission, both after
 * init. AP_BUG if their states differ in name or size. */
ap_status ap_solo_copy(ap_solo *to, const ap_solo *from, ap_error *error);

#endif
