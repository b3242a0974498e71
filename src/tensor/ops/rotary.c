/* Rotary positions (Su et al., arXiv 2104.09864) of x [n, steps, heads d]: neighbouring channels (a, b) = (x_2i,
 * x_2i+1) of each head become (a cos - b sin, b cos + a sin) with the table's angles of (step, i); backward turns the
 * other way. And the product with a learned number: y = s x, ds = sum of dy x (16 lanes in double). Products and sums
 * are rounded one by one. */
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

typedef struct rotary {
    ap_tensor *x;
    int64_t heads;
    const float *cosine, *sine; /* [steps, d / 2] */
} rotary;

/* to (+)= x turned by the angles, or back. */
static void turn(const rotary *op, bool back, bool add, const float *x, float *to) {
    const int64_t steps = op->x->shape[1], width = op->x->shape[2], half = width / op->heads / 2;
    for (int64_t row = 0; row < op->x->size / width; row++) {
        const float *c = op->cosine + row % steps * half, *s = op->sine + row % steps * half;
        for (int64_t j = 0; j < width / 2; j++) {
            const int64_t at = row * width + 2 * j;
            const float a = x[at], b = x[at + 1], cosine = c[j % half], sine = back ? -s[j % half] : s[j % half];
            const float first = a * cosine - b * sine, second = b * cosine + a * sine;
            to[at] = add ? to[at] + first : first;
            to[at + 1] = add ? to[at + 1] + second : second;
        }
    }
}

static void rotary_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const rotary *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (dx) turn(op, true, accumulate, y->grad, dx);
}

ap_tensor *ap_rotary(ap_tape *tape, ap_tensor *x, int64_t heads, const float *cosine, const float *sine) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank != 3 || heads < 1 || x->shape[2] % (2 * heads))
        return ap_tape_fail(tape, "rotary: rank %d (wanted [n, steps, heads d], d even)", x->rank);
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    rotary *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (rotary){x, heads, cosine, sine};
    turn(op, false, false, x->data, y->data);
    ap_tape_record(tape, rotary_backward, y, op, 1, &x);
    return y;
}

/* ---- a learned factor */

typedef struct learned {
    ap_tensor *x, *s;
} learned;

static void learned_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const learned *op = context;
    bool accumulate;
    float *ds = ap_tape_grad(tape, op->s, &accumulate);
    if (ds) {
        const float sum = (float)ap_dot_f64((size_t)y->size, y->grad, op->x->data);
        *ds = accumulate ? *ds + sum : sum;
    }
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    for (int64_t i = 0; dx && i < y->size; i++) {
        const float g = *op->s->data * y->grad[i];
        dx[i] = accumulate ? dx[i] + g : g;
    }
}

ap_tensor *ap_scale_learned(ap_tape *tape, ap_tensor *x, ap_tensor *s) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !s) return NULL;
    if (s->size != 1) return ap_tape_fail(tape, "scale learned: a factor of %lld numbers", (long long)s->size);
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    learned *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (learned){x, s};
    for (int64_t i = 0; i < x->size; i++) y->data[i] = *s->data * x->data[i];
    ap_tape_record(tape, learned_backward, y, op, 2, (ap_tensor *[]){x, s});
    return y;
}
