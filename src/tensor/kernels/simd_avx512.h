/* The vector layer over AVX-512 (F, VL, DQ, BW), sixteen floats. What each name means: simd_portable.h. */
#ifndef AP_KERNELS_SIMD_AVX512_H
#define AP_KERNELS_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define VW 16
#define V_INLINE static inline __attribute__((always_inline, unused))
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));
typedef float vh __attribute__((vector_size(32)));
typedef double vd __attribute__((vector_size(64)));
typedef __mmask16 v_mask;

V_INLINE vf v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
V_INLINE void v_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}
V_INLINE vf v_set(float x) {
    return _mm512_set1_ps(x);
}
V_INLINE vf v_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
V_INLINE vf v_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
V_INLINE v_mask v_lanes(int n) {
    return (v_mask)(n >= 16 ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1);
}
V_INLINE vf v_load_lanes(const float *p, v_mask m) {
    return _mm512_maskz_loadu_ps(m, p);
}
V_INLINE void v_store_lanes(float *p, v_mask m, vf x) {
    _mm512_mask_storeu_ps(p, m, x);
}
V_INLINE __m512 v_low_pairs(__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
V_INLINE __m512 v_high_pairs(__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
/* Pairs, then quads within 128 bits, then 128-bit blocks: after the second step 128-bit lane l of r[4g + i] holds rows
 * 4g .. 4g+3 of column 4l + i. */
V_INLINE void v_transpose(vf r[VW]) {
    __m512 t[VW];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = v_low_pairs(t[i], t[i + 2]);
        r[i + 1] = v_high_pairs(t[i], t[i + 2]);
        r[i + 2] = v_low_pairs(t[i + 1], t[i + 3]);
        r[i + 3] = v_high_pairs(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        __m512 a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88), b = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
        __m512 c = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd), d = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
        t[i] = _mm512_shuffle_f32x4(a, b, 0x88);
        t[8 + i] = _mm512_shuffle_f32x4(a, b, 0xdd);
        t[4 + i] = _mm512_shuffle_f32x4(c, d, 0x88);
        t[12 + i] = _mm512_shuffle_f32x4(c, d, 0xdd);
    }
    for (int i = 0; i < 16; i++) r[i] = t[i];
}

#endif
