/* The vector layer, in plain C over four floats. simd_avx2.h and simd_avx512.h define the same names:
 *
 *   VW                         floats in a vector
 *   vf, vi, vu                 vectors of float, int32_t, uint32_t: + - * / & | ~ << >> and comparisons are the
 *                              compiler's vector extension, elementwise and IEEE
 *   vh, vd                     half as many floats, as many doubles
 *   v_fma, v_sqrt              rounded once
 *   v_lanes(n)                 mask of the first n lanes (n <= 0: none, n >= VW: all)
 *   v_load_lanes, v_store_lanes  touch no memory of lanes that are off; loading gives +0 there
 *   v_transpose(r)             r[i][j] <-> r[j][i], VW vectors
 *
 * Here fma is the C library's: right everywhere, slow where the CPU has no such instruction. */
#ifndef AP_KERNELS_SIMD_PORTABLE_H
#define AP_KERNELS_SIMD_PORTABLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define VW 4
#define V_INLINE static inline __attribute__((always_inline, unused))
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));
typedef float vh __attribute__((vector_size(8)));
typedef double vd __attribute__((vector_size(16)));
typedef int v_mask; /* how many */

V_INLINE vf v_load(const float *p) {
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}
V_INLINE void v_store(float *p, vf x) {
    memcpy(p, &x, sizeof x);
}
V_INLINE vf v_set(float x) {
    return (vf){x, x, x, x};
}
V_INLINE vf v_fma(vf a, vf b, vf c) {
    return (vf){fmaf(a[0], b[0], c[0]), fmaf(a[1], b[1], c[1]), fmaf(a[2], b[2], c[2]), fmaf(a[3], b[3], c[3])};
}
V_INLINE vf v_sqrt(vf a) {
    return (vf){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}
V_INLINE v_mask v_lanes(int n) {
    return n < 0 ? 0 : n > VW ? VW : n;
}
V_INLINE vf v_load_lanes(const float *p, v_mask m) {
    vf x = {0};
    for (int i = 0; i < m; i++) x[i] = p[i];
    return x;
}
V_INLINE void v_store_lanes(float *p, v_mask m, vf x) {
    for (int i = 0; i < m; i++) p[i] = x[i];
}
V_INLINE void v_transpose(vf r[VW]) {
    vf t[VW];
    for (int i = 0; i < VW; i++) t[i] = (vf){r[0][i], r[1][i], r[2][i], r[3][i]};
    memcpy(r, t, sizeof t);
}

#endif
