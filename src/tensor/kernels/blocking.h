/* Inside kernels/: how extents are cut, and memory that is kept from call to call. */
#ifndef AP_KERNELS_BLOCKING_H
#define AP_KERNELS_BLOCKING_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t ap_smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t ap_larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static inline int64_t ap_quotient_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}
/* Where part `index` of `parts` equal parts of n begins. */
static inline int64_t ap_cut(int64_t n, int64_t parts, int64_t index) {
    return n / parts * index + ap_smaller(index, n % parts);
}

/* Who may use which piece at the same time: a convolution holds the three in front of the eigensolver's while it calls
 * matrix products, which hold the first three. */
enum {
    AP_SCRATCH_A,
    AP_SCRATCH_B,
    AP_SCRATCH_TREE,
    AP_SCRATCH_IMAGES,
    AP_SCRATCH_LINES,
    AP_SCRATCH_WEIGHTS,
    AP_SCRATCH_EIGEN,
    AP_SCRATCH_COUNT
};

/* Memory of this thread that grows and is then reused: a product must not pay for page faults. In 2 MiB pages where the
 * system gives them, since packed panels are walked from end to end. A few floats more than asked for: packing writes
 * whole vectors. NULL when out of memory. */
float *ap_scratch(int which, size_t floats);

#endif
