#include "tensor/kernels/reduce.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/kernel_set.h"
#include <string.h>

float ap_sum(size_t n, const float *x) {
    return ap_kernels_current()->sum(n, x);
}
float ap_dot(size_t n, const float *x, const float *y) {
    return ap_kernels_current()->dot(n, x, y);
}
float ap_max(size_t n, const float *x) {
    return ap_kernels_current()->max(n, x);
}
double ap_sum_f64(size_t n, const float *x) {
    return ap_kernels_current()->sum_f64(n, x);
}
double ap_dot_f64(size_t n, const float *x, const float *y) {
    return ap_kernels_current()->dot_f64(n, x, y);
}
void ap_add_into(size_t n, const float *x, float *y) {
    ap_kernels_current()->add_into(n, x, y);
}
void ap_scale_by(size_t n, float a, float *y) {
    ap_kernels_current()->scale_by(n, a, y);
}

/* The tree over chunks as a binary counter: after chunk c, one partial tree for each bit that is set in c + 1; a new
 * chunk is merged while its index has trailing ones. What is left at the end is merged from the last on, which lets an
 * odd last one move up unchanged. */
enum { LEVELS = 52 }; /* 2^63 rows in chunks of 2^12 */

static void sum_strip(int64_t rows, int columns, const float *x, int64_t ld, int accumulate, float *out) {
    const ap_kernel_set *kernels = ap_kernels_current();
    float partial[LEVELS][AP_COLUMN_STRIP];
    int top = -1;
    for (int64_t chunk = 0, i = 0; i < rows; chunk++, i += AP_GEMM_CHUNK) {
        const int64_t count = rows - i < AP_GEMM_CHUNK ? rows - i : AP_GEMM_CHUNK;
        memset(partial[++top], 0, sizeof partial[0]);
        kernels->add_rows(count, columns, x + i * ld, ld, partial[top]);
        for (int64_t bits = chunk; bits & 1; bits >>= 1, top--)
            kernels->add_into((size_t)columns, partial[top], partial[top - 1]);
    }
    if (top < 0) memset(partial[top = 0], 0, sizeof partial[0]);
    for (; top > 0; top--) kernels->add_into((size_t)columns, partial[top], partial[top - 1]);
    if (accumulate)
        kernels->add_into((size_t)columns, partial[0], out);
    else
        memcpy(out, partial[0], (size_t)columns * sizeof *out);
}

typedef struct column_sums {
    int64_t rows, columns;
    const float *x;
    int64_t ld;
    int accumulate;
    float *out;
} column_sums;

static void sum_one_strip(int64_t strip, void *context) {
    const column_sums *s = context;
    const int64_t j = strip * AP_COLUMN_STRIP;
    const int columns = s->columns - j < AP_COLUMN_STRIP ? (int)(s->columns - j) : AP_COLUMN_STRIP;
    sum_strip(s->rows, columns, s->x + j, s->ld, s->accumulate, s->out + j);
}

void ap_column_sums(int64_t rows, int64_t columns, const float *x, int64_t ld, int accumulate, float *out) {
    column_sums sums = {rows, columns, x, ld, accumulate, out};
    const int64_t strips = (columns + AP_COLUMN_STRIP - 1) / AP_COLUMN_STRIP;
    const bool worth_it = rows * columns > 1 << 18;
    ap_kernels_for(worth_it ? ap_kernels_threads() : 1, strips, sum_one_strip, &sums);
}
