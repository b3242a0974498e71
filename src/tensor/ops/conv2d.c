/* Two-dimensional convolution and transposed convolution over channels-last images, weights as published.
 *
 *   conv2d            y [n, oh, ow, k]     x [n, h, w, c]     w [k, c/groups, r, s]
 *   transposed        y [n, H, W, c]       x [n, h, w, k]     w [k, c, r, s]      H = (h - 1) stride + r, W alike
 *
 * The transposed convolution is the data gradient of the convolution with the same w, its data gradient is that
 * convolution, its weight gradient the same with x and dy changed over.
 *
 * Strides, padding, groups (a kernel of its own where every channel is one) and dilation. Order of sums:
 * kernels/conv.h. y starts its chains from b (from +0 without bias). A further contribution to dx starts its chains
 * from the gradient so far; to dw and db it is added. db: columns of dy (ap_column_sums). */
#include "tensor/kernels/conv.h"
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <string.h>

typedef struct conv2d {
    ap_tensor *x, *w, *b; /* b may be NULL */
    ap_conv conv;
} conv2d;

/* ---- packed weights: once a step, for all shards of the rank; they cannot change a bit */

typedef struct form {
    const ap_conv *conv;
    bool backward;
} form;

static bool pack(const void *context, const float *values, float *packed) {
    const form *f = context;
    return ap_conv_pack(f->conv, f->backward, values, packed);
}

static const float *packed_weights(ap_tape *tape, const conv2d *op, bool backward) {
    if (op->w->param < 0) return NULL;
    form f = {&op->conv, backward};
    static const ap_packed_form forms[2][2] = {{AP_PACKED_CONV, AP_PACKED_CONV_BACKWARD},
                                               {AP_PACKED_WINOGRAD, AP_PACKED_WINOGRAD_BACKWARD}};
    return ap_params_packed_as(ap_tape_params(tape), op->w->param, forms[ap_conv_is_winograd(&op->conv)][backward],
                               ap_conv_packed_size(&op->conv, backward), pack, &f);
}

static void start_from_bias(const conv2d *op, ap_tensor *y) {
    const int64_t k = op->b ? op->b->size : 1;
    for (int64_t i = 0; op->b && i < y->size; i += k) memcpy(y->data + i, op->b->data, (size_t)k * sizeof(float));
}

static void bias_gradient(ap_tape *tape, const conv2d *op, const ap_tensor *y) {
    bool accumulate;
    float *db = op->b ? ap_tape_grad(tape, op->b, &accumulate) : NULL;
    if (db) ap_column_sums(y->size / op->b->size, op->b->size, y->grad, op->b->size, accumulate, db);
}

/* ---- convolution */

static void conv2d_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const conv2d *op = context;
    const ap_math math = ap_tape_math(tape);
    bool accumulate;
    float *dw = ap_tape_grad(tape, op->w, &accumulate);
    if (dw) ap_conv_weight_gradient(math, &op->conv, op->x->data, y->grad, accumulate, dw);
    bias_gradient(tape, op, y);
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (dx)
        ap_conv_data_gradient(math, &op->conv, y->grad, op->w->data, packed_weights(tape, op, true), accumulate, dx);
}

static bool shapes_fit(ap_tape *tape, const ap_tensor *x, const ap_tensor *w, const ap_tensor *b, int64_t in,
                       int64_t out) {
    if (x->rank != 4 || w->rank != 4 || x->shape[3] != in)
        return ap_tape_fail(tape, "conv2d: x has %d dimensions and %lld channels, w [%lld, %lld, ..] wants %lld",
                            x->rank, (long long)x->shape[3], (long long)w->shape[0], (long long)w->shape[1],
                            (long long)in);
    if (b && (b->rank != 1 || b->size != out))
        return ap_tape_fail(tape, "conv2d: b has %lld elements, wanted %lld", (long long)b->size, (long long)out);
    return true;
}

static ap_conv geometry(const ap_tensor *x, const ap_tensor *w, const ap_conv2d_options *o) {
    ap_conv v = {.n = x->shape[0], .h = x->shape[1], .w = x->shape[2], .c = x->shape[3], .k = w->shape[0]};
    v.r = w->shape[2], v.s = w->shape[3];
    v.stride_h = o->stride_h ? o->stride_h : 1, v.stride_w = o->stride_w ? o->stride_w : 1;
    v.pad_top = o->pad_top, v.pad_left = o->pad_left;
    v.groups = o->groups ? o->groups : 1;
    v.dilation_h = o->dilation_h ? o->dilation_h : 1, v.dilation_w = o->dilation_w ? o->dilation_w : 1;
    v.oh = (v.h + o->pad_top + o->pad_bottom - (v.r - 1) * v.dilation_h - 1) / v.stride_h + 1;
    v.ow = (v.w + o->pad_left + o->pad_right - (v.s - 1) * v.dilation_w - 1) / v.stride_w + 1;
    return v;
}

ap_tensor *ap_conv2d(ap_tape *tape, ap_tensor *x, ap_tensor *w, ap_tensor *b, const ap_conv2d_options *options) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !w) return NULL;
    const int64_t groups = options->groups ? options->groups : 1;
    if (!shapes_fit(tape, x, w, b, w->shape[1] * groups, w->shape[0])) return NULL;
    const ap_conv v = geometry(x, w, options);
    const int64_t r = (v.r - 1) * v.dilation_h + 1, s = (v.s - 1) * v.dilation_w + 1;
    if (v.k % groups || v.h + options->pad_top + options->pad_bottom < r ||
        v.w + options->pad_left + options->pad_right < s)
        return ap_tape_fail(tape,
                            "conv2d: images of %lld x %lld pixels are smaller than the window %lld x %lld, or %lld "
                            "groups do not divide %lld channels",
                            (long long)v.h, (long long)v.w, (long long)r, (long long)s, (long long)groups,
                            (long long)v.k);
    ap_tensor *y = ap_tape_tensor(tape, 4, (int64_t[]){v.n, v.oh, v.ow, v.k});
    conv2d *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (conv2d){x, w, b, v};
    start_from_bias(op, y);
    ap_conv_forward(ap_tape_math(tape), &op->conv, x->data, w->data, packed_weights(tape, op, false), b != NULL,
                    y->data);
    ap_tape_record(tape, conv2d_backward, y, op, b ? 3 : 2, (ap_tensor *[]){x, w, b});
    return y;
}

/* ---- transposed convolution */

static void transposed_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const conv2d *op = context;
    const ap_math math = ap_tape_math(tape);
    bool accumulate;
    float *dw = ap_tape_grad(tape, op->w, &accumulate);
    if (dw) ap_conv_weight_gradient(math, &op->conv, y->grad, op->x->data, accumulate, dw);
    bias_gradient(tape, op, y);
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (dx) ap_conv_forward(math, &op->conv, y->grad, op->w->data, packed_weights(tape, op, false), accumulate, dx);
}

ap_tensor *ap_conv2d_transposed(ap_tape *tape, ap_tensor *x, ap_tensor *w, ap_tensor *b, int stride) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !w || !shapes_fit(tape, x, w, b, w->shape[0], w->shape[1]))
        return NULL;
    const ap_conv v = {.n = x->shape[0],
                       .h = (x->shape[1] - 1) * stride + w->shape[2],
                       .w = (x->shape[2] - 1) * stride + w->shape[3],
                       .c = w->shape[1],
                       .k = w->shape[0],
                       .r = w->shape[2],
                       .s = w->shape[3],
                       .stride_h = stride,
                       .stride_w = stride,
                       .oh = x->shape[1],
                       .ow = x->shape[2],
                       .groups = 1};
    ap_tensor *y = ap_tape_tensor(tape, 4, (int64_t[]){v.n, v.h, v.w, v.c});
    conv2d *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (conv2d){x, w, b, v};
    start_from_bias(op, y);
    ap_conv_data_gradient(ap_tape_math(tape), &op->conv, x->data, w->data, packed_weights(tape, op, true), b != NULL,
                          y->data);
    ap_tape_record(tape, transposed_backward, y, op, b ? 3 : 2, (ap_tensor *[]){x, w, b});
    return y;
}
