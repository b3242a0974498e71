/* The vector layer over AVX2 and FMA, eight floats. What each name means: simd_portable.h. */
#ifndef AP_KERNELS_SIMD_AVX2_H
#define AP_KERNELS_SIMD_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#define VW 8
#define V_INLINE static inline __attribute__((always_inline, unused))
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
typedef uint32_t vu __attribute__((vector_size(32)));
typedef float vh __attribute__((vector_size(16)));
typedef double vd __attribute__((vector_size(32)));
typedef __m256i v_mask;

V_INLINE vf v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
V_INLINE void v_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}
V_INLINE vf v_set(float x) {
    return _mm256_set1_ps(x);
}
V_INLINE vf v_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
V_INLINE vf v_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
V_INLINE v_mask v_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
V_INLINE vf v_load_lanes(const float *p, v_mask m) {
    return _mm256_maskload_ps(p, m);
}
V_INLINE void v_store_lanes(float *p, v_mask m, vf x) {
    _mm256_maskstore_ps(p, m, x);
}
/* Pairs, then quads within 128 bits, then halves. */
V_INLINE void v_transpose(vf r[VW]) {
    __m256 t[VW];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

#endif
