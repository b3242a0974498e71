/* Sizes pass through these: a product or sum that does not fit is an error, never a small number. */
#ifndef AP_BASE_CHECKED_H
#define AP_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* false if the result does not fit; *out is set only on success. */
static inline bool ap_size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool ap_size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* Product of `rank` extents; false if one is negative or the product exceeds INT64_MAX. */
static inline bool ap_shape_size(int rank, const int64_t *shape, int64_t *out) {
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(n, shape[i], &n)) return false;
    *out = n;
    return true;
}

#endif
