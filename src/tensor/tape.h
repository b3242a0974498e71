/* The tape: an operation computes at once and records how to go back (design decision 2).
 *
 * One tape serves one shard at a time: ap_tape_begin, the model's operations, ap_tape_backward, next shard. Activations
 * live in the tape's arena, which is reset by ap_tape_begin. Errors are sticky: an operation given wrong shapes (our
 * bug) or without memory sets the tape's status and returns NULL; every operation accepts NULL inputs and returns NULL;
 * the caller asks ap_tape_status once at the end. A model never calls BLAS or MPI. */
#ifndef AP_TENSOR_TAPE_H
#define AP_TENSOR_TAPE_H

#include "base/arena.h"
#include "base/random.h"
#include "base/status.h"
#include "tensor/kernels/gemm.h"
#include "tensor/params.h"
#include "tensor/rows.h"

typedef struct ap_tensor {
    float *data; /* [shape], row-major contiguous */
    float *grad; /* same shape; NULL until the first ap_tape_grad, and again when it is no longer needed: once the
                    operation that made the tensor has gone backward. It is that operation's to overwrite while it does.
                    Parameters: into the pass's gradient array */
    int rank;
    int64_t shape[AP_MAX_RANK];
    int64_t size;
    int param; /* index in the parameter set, or -1 (also for a view of one) */
    bool needs_grad;
    bool has_grad;          /* something was written to grad in this pass */
    struct ap_tensor *base; /* a view: the tensor that owns data and gradient; else NULL */
} ap_tensor;

/* What one pass over one shard needs to know. All pointers are borrowed for the pass. */
typedef struct ap_pass {
    bool training;      /* batch statistics, dropout; false: evaluation mode */
    bool wants_grad;    /* record backward */
    bool update_state;  /* write running statistics to new_state (false in SAM's second pass) */
    float dropout_rate; /* [0, 1) */
    uint64_t seed;      /* trial seed */
    int64_t step;       /* random numbers are keyed by (seed, purpose, step, shard, element) */
    int shard;
    int rank;         /* of the group; for fault injection by the dummy workload only */
    float *gradients; /* flat, layout of the parameter set; each tensor is overwritten by its first contribution */
    ap_rows *rows;    /* [tables] gradients of tables; then `gradients` has the layout without tables. NULL: tables are
                         like other parameters */
    float *new_state; /* flat, layout of the state set: this shard's updated state; NULL if the model has none */
    void (*parameter_done)(void *user,
                           int index); /* called in backward when a parameter's gradient is final; may be NULL */
    void (*progress)(void *user);      /* called after each operation's backward (drives communication); may be NULL */
    void *user;
} ap_pass;

typedef struct ap_tape ap_tape;

/* The tape borrows params and state (allocated; state may be NULL). NULL when out of memory. */
ap_tape *ap_tape_create(ap_params *params, ap_params *state, ap_math math);
void ap_tape_destroy(ap_tape *tape); /* NULL is fine */

/* Starts a pass: takes back all tensors of the last one, clears the error, copies *pass. */
void ap_tape_begin(ap_tape *tape, const ap_pass *pass);
const ap_pass *ap_tape_pass(const ap_tape *tape);
ap_status ap_tape_status(const ap_tape *tape, ap_error *error); /* AP_OK, or the first failure of this pass */

/* Runs the records in reverse. Losses are roots: their backward starts with d(summed loss) = 1. Parameters that no
 * operation used get a zero gradient, and so do those whose operations do not lead to a loss. Afterwards every
 * parameter has been announced exactly once through parameter_done. Once a pass; fails with the pass's error, and then
 * the gradients are incomplete and some parameters unannounced. */
ap_status ap_tape_backward(ap_tape *tape, ap_error *error);

/* ---- for models */
ap_tensor *ap_tape_param(ap_tape *tape, int index); /* a leaf that needs a gradient; the same one on every call */
ap_tensor *ap_tape_input(ap_tape *tape, const float *data, int rank,
                         const int64_t *shape);       /* borrowed leaf, no gradient; never written */
const float *ap_tape_state(ap_tape *tape, int index); /* current model state */
float *ap_tape_new_state(ap_tape *tape, int index);   /* where to write the updated one; NULL: do not update */

/* ---- for operations */
ap_arena *ap_tape_arena(ap_tape *tape);
ap_math ap_tape_math(const ap_tape *tape);
ap_params *ap_tape_params(ap_tape *tape);
/* New activation in the arena, not cleared. */
ap_tensor *ap_tape_tensor(ap_tape *tape, int rank, const int64_t *shape);
/* The same elements of x under another shape of the same size: shares data and gradient, copies nothing. */
ap_tensor *ap_tape_view(ap_tape *tape, ap_tensor *x, int rank, const int64_t *shape);
/* Arena memory for contexts and intermediate values, not cleared. NULL and the sticky error when out of memory. */
void *ap_tape_take(ap_tape *tape, size_t bytes);
/* Sets the sticky error AP_BUG and returns NULL: return ap_tape_fail(tape, "linear: x has %d columns, w wants %d",
 * ...). The second form is for what is not our bug (AP_DATA: a label out of range). */
void *ap_tape_fail(ap_tape *tape, const char *format, ...) AP_PRINTF(2, 3);
void *ap_tape_fail_as(ap_tape *tape, ap_status status, const char *format, ...) AP_PRINTF(3, 4);

/* Records an operation: `backward(tape, output, context)` reads output->grad and adds to its inputs' gradients through
 * ap_tape_grad. `inputs`: the n tensors it may write gradients of (so that the tape knows when a parameter is complete
 * and whether output needs a gradient). context lives in the arena. output == NULL: a loss, a root. Nothing is recorded
 * when the pass wants no gradient or no input needs one. */
typedef void ap_backward(ap_tape *tape, ap_tensor *output, void *context);
void ap_tape_record(ap_tape *tape, ap_backward *backward, ap_tensor *output, void *context, int n,
                    ap_tensor *const *inputs);

/* For backward functions: where the gradient of x goes: NULL if x needs none (or memory is out: sticky error); else
 * x->grad (allocated on first use), *accumulate = false for the first contribution of this pass (overwrite) and true
 * for later ones (add). */
float *ap_tape_grad(ap_tape *tape, ap_tensor *x, bool *accumulate);

/* For the backward function of a lookup: where the gradient of table x goes as a list of rows, to be filled with rows,
 * values and count. NULL: not as a list; ask ap_tape_grad. A table is looked up once a pass (else AP_BUG). */
ap_rows *ap_tape_rows(ap_tape *tape, ap_tensor *x);

/* The same for backward functions that make dx element by element, or row by row, of dy = output->grad: where x has no
 * gradient yet it gets that memory, to be overwritten in place, and output->grad is NULL: take dy before. */
float *ap_tape_grad_in_place(ap_tape *tape, ap_tensor *output, ap_tensor *x, bool *accumulate);

/* For backward functions whose output's gradient, as it is now, is x's (a sum, a shortcut): adds it, or, where x has
 * none yet, hands over the memory without a copy. output->grad may be gone afterwards: the last thing to do with it. */
void ap_tape_hand_over(ap_tape *tape, ap_tensor *output, ap_tensor *x);

/* Records a loss, a root, whose gradient of x, float [x->size] in the arena, is known already. False: out of memory,
 * the sticky error. */
bool ap_tape_record_known(ap_tape *tape, ap_tensor *x, const float *gradient);

/* First unused element of this pass's dropout stream; advances by n. */
uint64_t ap_tape_take_random(ap_tape *tape, uint64_t n);

#endif
