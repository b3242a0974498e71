#include "tensor/kernels/blocking.h"
#include "tensor/kernels/conv_parts.h"

ap_conv_axis ap_conv_forward_line(const ap_conv *v) {
    return (ap_conv_axis){v->stride_h, -v->pad_top, ap_conv_dilation_h(v), v->r, v->h};
}
ap_conv_axis ap_conv_forward_column(const ap_conv *v) {
    return (ap_conv_axis){v->stride_w, -v->pad_left, ap_conv_dilation_w(v), v->s, v->w};
}

/* p with (parity + pad - p dilation) % stride == 0 */
static ap_conv_taps taps_of(int64_t size, int64_t stride, int64_t dilation, int64_t pad, int64_t parity) {
    int64_t first = 0, hop = 1;
    while (hop * dilation % stride) hop++;
    while (first < hop &&
           ap_conv_floor_div(parity + pad - first * dilation, stride) * stride != parity + pad - first * dilation)
        first++;
    if (first >= hop || first >= size) return (ap_conv_taps){0};
    const int64_t count = (size - 1 - first) / hop + 1;
    return (ap_conv_taps){first + (count - 1) * hop, hop, count, hop * dilation / stride};
}
ap_conv_taps ap_conv_taps_of_row(const ap_conv *v, int64_t parity) {
    return taps_of(v->r, v->stride_h, ap_conv_dilation_h(v), v->pad_top, parity);
}
ap_conv_taps ap_conv_taps_of_column(const ap_conv *v, int64_t parity) {
    return taps_of(v->s, v->stride_w, ap_conv_dilation_w(v), v->pad_left, parity);
}

static ap_conv_axis data_axis(ap_conv_taps t, int64_t stride, int64_t dilation, int64_t pad, int64_t parity,
                              int64_t size) {
    const int64_t start = ap_conv_floor_div(parity + pad - t.last * dilation, stride);
    return (ap_conv_axis){1, start, ap_larger(1, t.out), t.count, size};
}
ap_conv_axis ap_conv_data_line(const ap_conv *v, int64_t parity) {
    return data_axis(ap_conv_taps_of_row(v, parity), v->stride_h, ap_conv_dilation_h(v), v->pad_top, parity, v->oh);
}
ap_conv_axis ap_conv_data_column(const ap_conv *v, int64_t parity) {
    return data_axis(ap_conv_taps_of_column(v, parity), v->stride_w, ap_conv_dilation_w(v), v->pad_left, parity, v->ow);
}

ap_conv_stretch ap_conv_stretch_at(const ap_conv_axis *a, int64_t x, int64_t end) {
    ap_conv_stretch s = {.from = x};
    for (; x < end; x++) {
        const int64_t input = a->start + x * a->step;
        const int64_t first = input < 0 ? ap_quotient_up(-input, a->tap) : 0;
        int64_t last = input < a->size ? ap_smaller(a->taps, (a->size - 1 - input) / a->tap + 1) : 0;
        last = ap_larger(first, last);
        if (x > s.from && (first != s.first || last != s.last)) break;
        s.first = first, s.last = last;
    }
    s.to = x;
    return s;
}
