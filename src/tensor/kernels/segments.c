#include "tensor/kernels/segments.h"

#include "tensor/kernels/blocking.h"
#include "tensor/kernels/kernel_set.h"

#include <string.h>

void ap_segments_sort(int64_t rows, const int64_t *of, int64_t count, int64_t *order, int64_t *first) {
    memset(first, 0, (size_t)(count + 1) * sizeof *first);
    for (int64_t i = 0; i < rows; i++) first[of[i] + 1]++;
    for (int64_t k = 0; k < count; k++) first[k + 1] += first[k];
    for (int64_t i = 0; i < rows; i++) order[first[of[i]]++] = i;
    memmove(first + 1, first, (size_t)count * sizeof *first); /* each has moved on to the end of its segment */
    first[0] = 0;
}

enum { ROWS = 64, WORTH_THREADS = 1 << 18 };

typedef struct task {
    const ap_segments *segments;
    int64_t columns;
    const float *x;
    bool accumulate;
    float *out;
} task;

static void put_row(const float *from, int64_t columns, bool accumulate, float *to) {
    if (accumulate)
        ap_kernels_current()->add_into((size_t)columns, from, to);
    else
        memcpy(to, from, (size_t)columns * sizeof *to);
}

static void sum_some(int64_t index, void *context) {
    const task *t = context;
    const ap_segments *s = t->segments;
    for (int64_t k = index * ROWS; k < s->count && k < (index + 1) * ROWS; k++) {
        float *to = t->out + k * t->columns;
        bool accumulate = t->accumulate;
        for (int64_t i = s->first[k]; i < s->first[k + 1]; i++, accumulate = true)
            put_row(t->x + s->order[i] * t->columns, t->columns, accumulate, to);
        if (!accumulate) memset(to, 0, (size_t)t->columns * sizeof *to);
    }
}

static void gather_some(int64_t index, void *context) {
    const task *t = context;
    const ap_segments *s = t->segments;
    for (int64_t i = index * ROWS; i < s->rows && i < (index + 1) * ROWS; i++)
        put_row(t->x + s->of[i] * t->columns, t->columns, t->accumulate, t->out + i * t->columns);
}

static int threads_for(const ap_segments *segments, int64_t columns) {
    return segments->rows * columns < WORTH_THREADS ? 1 : ap_kernels_threads();
}

void ap_segment_sums(const ap_segments *segments, int64_t columns, const float *x, bool accumulate, float *out) {
    task t = {segments, columns, x, accumulate, out};
    ap_kernels_for(threads_for(segments, columns), ap_quotient_up(segments->count, ROWS), sum_some, &t);
}

void ap_gather_rows_of(const ap_segments *segments, int64_t columns, const float *x, bool accumulate, float *out) {
    task t = {segments, columns, x, accumulate, out};
    ap_kernels_for(threads_for(segments, columns), ap_quotient_up(segments->rows, ROWS), gather_some, &t);
}
