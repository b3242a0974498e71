#include "tensor/tape.h"

#include "base/checked.h"
#include "tensor/kernels/reduce.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One recorded operation; lives in the arena with its list of inputs. */
typedef struct record {
    struct record *previous;
    ap_backward *backward;
    ap_tensor *output; /* NULL: a loss */
    void *context;
    int n;
    ap_tensor **inputs;
} record;

/* Memory of a gradient that nobody needs any more; lives in its own first bytes. */
typedef struct spare {
    struct spare *next;
    int64_t floats;
} spare;

/* A parameter in this pass: its leaf, and how many recorded uses have not gone backward yet. */
typedef struct leaf {
    ap_tensor *tensor; /* NULL: not used yet */
    int64_t pending;
} leaf;

struct ap_tape {
    ap_params *params, *state;
    ap_math math;
    ap_arena *arena;
    ap_pass pass;
    ap_error error;
    record *last;
    bool went_back;
    spare *spares;
    leaf *leaves; /* [count of params] */
    uint64_t random_taken;
};

/* ---- life */

ap_tape *ap_tape_create(ap_params *params, ap_params *state, ap_math math) {
    ap_tape *tape = calloc(1, sizeof *tape);
    if (!tape) return NULL;
    size_t count = (size_t)ap_params_count(params);
    tape->arena = ap_arena_create(0);
    tape->leaves = calloc(count ? count : 1, sizeof *tape->leaves);
    if (!tape->arena || !tape->leaves) {
        ap_tape_destroy(tape);
        return NULL;
    }
    tape->params = params, tape->state = state, tape->math = math;
    return tape;
}

void ap_tape_destroy(ap_tape *tape) {
    if (!tape) return;
    ap_arena_destroy(tape->arena);
    free(tape->leaves);
    free(tape);
}

void ap_tape_begin(ap_tape *tape, const ap_pass *pass) {
    ap_arena_reset(tape->arena);
    tape->pass = *pass;
    tape->error.status = AP_OK;
    tape->last = NULL;
    tape->spares = NULL;
    tape->went_back = false;
    tape->random_taken = 0;
    memset(tape->leaves, 0, (size_t)ap_params_count(tape->params) * sizeof *tape->leaves);
}

const ap_pass *ap_tape_pass(const ap_tape *tape) {
    return &tape->pass;
}
ap_arena *ap_tape_arena(ap_tape *tape) {
    return tape->arena;
}
ap_math ap_tape_math(const ap_tape *tape) {
    return tape->math;
}
ap_params *ap_tape_params(ap_tape *tape) {
    return tape->params;
}

/* ---- the sticky error */

ap_status ap_tape_status(const ap_tape *tape, ap_error *error) {
    if (tape->error.status != AP_OK && error) *error = tape->error;
    return tape->error.status;
}

static void set_error(ap_tape *tape, ap_status status, const char *format, va_list args) {
    if (tape->error.status != AP_OK) return; /* later failures follow from the first */
    tape->error.status = status;
    vsnprintf(tape->error.text, sizeof tape->error.text, format, args);
}

void *ap_tape_fail(ap_tape *tape, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_error(tape, AP_BUG, format, args);
    va_end(args);
    return NULL;
}

void *ap_tape_fail_as(ap_tape *tape, ap_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_error(tape, status, format, args);
    va_end(args);
    return NULL;
}

void *ap_tape_take(ap_tape *tape, size_t bytes) {
    void *memory = ap_arena_take(tape->arena, bytes);
    if (!memory)
        return ap_tape_fail_as(tape, AP_ENVIRONMENT,
                               "out of memory for %zu more bytes of activations (peak so far %zu); use a smaller batch "
                               "or more shards",
                               bytes, ap_arena_peak_bytes(tape->arena));
    return memory;
}

/* ---- tensors */

static ap_tensor *new_tensor(ap_tape *tape, int rank, const int64_t *shape) {
    int64_t size;
    if (rank < 0 || rank > AP_MAX_RANK)
        return ap_tape_fail(tape, "a tensor has %d dimensions (0 to %d are possible)", rank, AP_MAX_RANK);
    if (!ap_shape_size(rank, shape, &size)) return ap_tape_fail(tape, "a tensor's shape is negative or too large");
    ap_tensor *tensor = ap_tape_take(tape, sizeof *tensor);
    if (!tensor) return NULL;
    *tensor = (ap_tensor){.rank = rank, .size = size, .param = -1};
    if (rank) memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
    return tensor;
}

static float *take_floats(ap_tape *tape, int64_t n) {
    size_t bytes;
    if (!ap_size_mul((size_t)n, sizeof(float), &bytes)) return ap_tape_fail(tape, "a tensor's shape is too large");
    return ap_tape_take(tape, bytes);
}

ap_tensor *ap_tape_tensor(ap_tape *tape, int rank, const int64_t *shape) {
    ap_tensor *tensor = new_tensor(tape, rank, shape);
    if (tensor) tensor->data = take_floats(tape, tensor->size);
    return tensor && tensor->data ? tensor : NULL;
}

ap_tensor *ap_tape_input(ap_tape *tape, const float *data, int rank, const int64_t *shape) {
    ap_tensor *tensor = new_tensor(tape, rank, shape);
    if (tensor) tensor->data = (float *)data;
    return tensor;
}

ap_tensor *ap_tape_param(ap_tape *tape, int index) {
    if (index < 0 || index >= ap_params_count(tape->params))
        return ap_tape_fail(tape, "the model asks for parameter %d of %d", index, ap_params_count(tape->params));
    leaf *use = &tape->leaves[index];
    if (use->tensor) return use->tensor;
    const ap_param *param = ap_params_get(tape->params, index);
    ap_tensor *tensor = new_tensor(tape, param->rank, param->shape);
    if (!tensor) return NULL;
    tensor->data = ap_params_value(tape->params, index);
    tensor->param = index;
    tensor->needs_grad = tape->pass.wants_grad;
    if (tensor->needs_grad && !tape->pass.rows) tensor->grad = tape->pass.gradients + param->offset;
    if (tensor->needs_grad && tape->pass.rows && param->table < 0)
        tensor->grad = tape->pass.gradients + param->gradient_offset;
    return use->tensor = tensor;
}

ap_tensor *ap_tape_view(ap_tape *tape, ap_tensor *x, int rank, const int64_t *shape) {
    if (!x) return NULL;
    ap_tensor *view = new_tensor(tape, rank, shape);
    if (!view) return NULL;
    if (view->size != x->size)
        return ap_tape_fail(tape, "a view of %lld elements cannot show a tensor of %lld", (long long)view->size,
                            (long long)x->size);
    view->base = x->base ? x->base : x;
    view->data = x->data;
    view->needs_grad = x->needs_grad;
    return view;
}

const float *ap_tape_state(ap_tape *tape, int index) {
    return ap_params_value(tape->state, index);
}

float *ap_tape_new_state(ap_tape *tape, int index) {
    if (!tape->pass.training || !tape->pass.update_state || !tape->pass.new_state) return NULL;
    return tape->pass.new_state + ap_params_get(tape->state, index)->offset;
}

uint64_t ap_tape_take_random(ap_tape *tape, uint64_t n) {
    uint64_t first = tape->random_taken;
    tape->random_taken += n;
    return first;
}

/* ---- recording */

static ap_tensor *owner(ap_tensor *tensor) {
    return tensor->base ? tensor->base : tensor;
}

/* The pass's entry for x if x is a parameter or a view of one, else NULL. */
static leaf *leaf_of(ap_tape *tape, ap_tensor *x) {
    int index = owner(x)->param;
    return index >= 0 ? &tape->leaves[index] : NULL;
}

void ap_tape_record(ap_tape *tape, ap_backward *backward, ap_tensor *output, void *context, int n,
                    ap_tensor *const *inputs) {
    bool needed = false;
    for (int i = 0; i < n; i++) needed = needed || inputs[i]->needs_grad;
    if (!tape->pass.wants_grad || !needed || tape->error.status != AP_OK) return;

    record *entry = ap_tape_take(tape, sizeof *entry + (size_t)n * sizeof *entry->inputs);
    if (!entry) return;
    *entry = (record){.previous = tape->last,
                      .backward = backward,
                      .output = output,
                      .context = context,
                      .n = n,
                      .inputs = (ap_tensor **)(entry + 1)};
    for (int i = 0; i < n; i++) {
        entry->inputs[i] = inputs[i];
        leaf *use = leaf_of(tape, inputs[i]);
        if (use) use->pending++;
    }
    tape->last = entry;
    if (output) output->needs_grad = true;
}

/* Memory for a gradient of n floats: the smallest spare one that fits and is not twice too large, else new. */
static float *take_gradient(ap_tape *tape, int64_t n) {
    spare **best = NULL;
    for (spare **s = &tape->spares; *s; s = &(*s)->next)
        if ((*s)->floats >= n && (*s)->floats / 2 <= n && (!best || (*s)->floats < (*best)->floats)) best = s;
    if (!best) return take_floats(tape, n);
    float *memory = (float *)*best;
    *best = (*best)->next;
    return memory;
}

/* The gradient of `tensor` has been used for the last time. */
static void give_gradient_back(ap_tape *tape, ap_tensor *tensor) {
    if (!tensor->grad || tensor->param >= 0 || tensor->base || (size_t)tensor->size * sizeof(float) < sizeof(spare))
        return;
    spare *s = (spare *)tensor->grad;
    *s = (spare){tape->spares, tensor->size};
    tape->spares = s;
    tensor->grad = NULL;
}

float *ap_tape_grad(ap_tape *tape, ap_tensor *x, bool *accumulate) {
    x = owner(x);
    if (!x->needs_grad) return NULL;
    if (!x->grad && x->param >= 0)
        return ap_tape_fail(tape, "the gradient of table %s is a list of rows: only a lookup can use the table",
                            ap_params_get(tape->params, x->param)->name);
    if (!x->grad) x->grad = take_gradient(tape, x->size);
    if (!x->grad) return NULL;
    *accumulate = x->has_grad;
    x->has_grad = true;
    return x->grad;
}

ap_rows *ap_tape_rows(ap_tape *tape, ap_tensor *x) {
    const ap_param *param = x->param >= 0 ? ap_params_get(tape->params, x->param) : NULL;
    if (!tape->pass.rows || !param || param->table < 0) return NULL;
    if (x->has_grad) return ap_tape_fail(tape, "table %s is looked up twice in a pass", param->name);
    x->has_grad = true;
    return &tape->pass.rows[param->table];
}

float *ap_tape_grad_in_place(ap_tape *tape, ap_tensor *output, ap_tensor *x, bool *accumulate) {
    ap_tensor *to = owner(x);
    if (!to->needs_grad || to->has_grad || to->grad || to->size != output->size)
        return ap_tape_grad(tape, x, accumulate);
    to->grad = output->grad;
    to->has_grad = true;
    output->grad = NULL;
    *accumulate = false;
    return to->grad;
}

void ap_tape_hand_over(ap_tape *tape, ap_tensor *output, ap_tensor *x) {
    const float *dy = output->grad;
    bool accumulate = false;
    float *grad = ap_tape_grad_in_place(tape, output, x, &accumulate);
    if (!grad || grad == dy) return;
    if (accumulate)
        ap_add_into((size_t)output->size, dy, grad);
    else
        memcpy(grad, dy, (size_t)output->size * sizeof *grad);
}

/* A root whose gradient of x is there already. */
typedef struct known {
    ap_tensor *x;
    const float *gradient;
} known;

static void known_backward(ap_tape *tape, ap_tensor *output, void *context) {
    (void)output; /* a root: d(summed) = 1 */
    const known *root = context;
    bool accumulate = false;
    float *dx = ap_tape_grad(tape, root->x, &accumulate);
    if (dx && accumulate)
        ap_add_into((size_t)root->x->size, root->gradient, dx);
    else if (dx)
        memcpy(dx, root->gradient, (size_t)root->x->size * sizeof *dx);
}

bool ap_tape_record_known(ap_tape *tape, ap_tensor *x, const float *gradient) {
    known *root = ap_tape_take(tape, sizeof *root);
    if (!root) return false;
    *root = (known){x, gradient};
    ap_tape_record(tape, known_backward, NULL, root, 1, &x);
    return true;
}

/* ---- going back */

/* The gradient of parameter `index` is final. */
static void complete(ap_tape *tape, int index) {
    const ap_tensor *tensor = tape->leaves[index].tensor;
    if (!tensor || !tensor->has_grad) {
        const ap_param *param = ap_params_get(tape->params, index);
        const int64_t offset = tape->pass.rows ? param->gradient_offset : param->offset;
        if (tape->pass.rows && param->table >= 0)
            tape->pass.rows[param->table].count = 0;
        else
            memset(tape->pass.gradients + offset, 0, (size_t)param->size * sizeof(float));
    }
    if (tape->pass.parameter_done) tape->pass.parameter_done(tape->pass.user, index);
}

static void go_back(ap_tape *tape, const record *entry) {
    bool reached = !entry->output || entry->output->has_grad; /* else its gradient is zero */
    if (reached) entry->backward(tape, entry->output, entry->context);
    if (tape->error.status != AP_OK) return;
    for (int i = 0; i < entry->n; i++) {
        leaf *use = leaf_of(tape, entry->inputs[i]);
        if (use && --use->pending == 0) complete(tape, (int)(use - tape->leaves));
    }
    if (entry->output) give_gradient_back(tape, entry->output);
    if (reached && tape->pass.progress) tape->pass.progress(tape->pass.user);
}

ap_status ap_tape_backward(ap_tape *tape, ap_error *error) {
    if (!tape->pass.wants_grad || tape->went_back)
        ap_tape_fail(tape, tape->went_back ? "backward runs a second time in one pass"
                                           : "backward runs in a pass that wants no gradient");
    AP_TRY(ap_tape_status(tape, error));
    tape->went_back = true;
    for (int i = 0; i < ap_params_count(tape->params); i++)
        if (tape->leaves[i].pending == 0) complete(tape, i);
    for (const record *entry = tape->last; entry && tape->error.status == AP_OK; entry = entry->previous)
        go_back(tape, entry);
    return ap_tape_status(tape, error);
}
