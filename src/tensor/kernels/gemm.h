/* Matrix products, row-major, with a written order of every sum (design decision 1).
 *
 *     C[M,N] = op(A)[M,K] * op(B)[K,N]   (+ C if beta = 1),     op(X) = X or X' ; leading dimensions in floats
 *
 * ORDER. Every C[i][j] is one chain of fused multiply-adds over k = 0, 1, ..., K-1, started from +0 (beta = 0) or from
 * C[i][j] (beta = 1). It depends on nothing else: not on tiles, vector width, packing, threads, rows or columns asked
 * for at a time, compiler.
 *
 * Threads split rows and columns of C. Scratch grows once and is then reused: no allocation in the steady state. Not
 * collective. */
#ifndef AP_KERNELS_GEMM_H
#define AP_KERNELS_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ap_math {
    AP_MATH_ORDERED, /* the above */
    AP_MATH_BLAS,    /* OpenBLAS: bits depend on its core type, threads and row count; labelled in every record */
} ap_math;

typedef struct ap_gemm_args {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    const float *a; /* [m,k], or [k,m] if transpose_a */
    int64_t lda;
    const float *b; /* [k,n], or [n,k] if transpose_b; ignored if packed_b and math is ordered */
    int64_t ldb;
    const float *packed_b; /* from ap_gemm_pack_b with the same transpose_b, k, n and the ISA in use; or NULL.
                              OpenBLAS cannot use it: with AP_MATH_BLAS b is read instead and must be given */
    float *c;              /* [m,n]; must not overlap a or b */
    int64_t ldc;
    bool accumulate; /* beta = 1 */
} ap_gemm_args;

/* Cannot fail: without memory for scratch it is slower and gives the same bits. With AP_MATH_BLAS extents and leading
 * dimensions must be below 2^31. Of a NaN neither sign nor payload is promised, only that it is there. */
void ap_gemm(ap_math math, const ap_gemm_args *args);

/* `batch` products of one shape; operand i starts at i * stride (floats). Threads split the batch first. packed_b must
 * be NULL. */
void ap_gemm_batched(ap_math math, const ap_gemm_args *args, int64_t batch, int64_t stride_a, int64_t stride_b,
                     int64_t stride_c);

/* The same product for a long k (weight gradients): k is cut into chunks of AP_GEMM_CHUNK; each chunk is a chain from
 * +0; the chunk results are folded by the fixed binary tree over chunk index (pairs (0,1), (2,3), ...; an odd last one
 * moves up unchanged); then C = tree, or C + tree if accumulate. With k <= AP_GEMM_CHUNK and accumulate = 0 this equals
 * ap_gemm. packed_b must be NULL. AP_MATH_BLAS: one product. */
enum { AP_GEMM_CHUNK = 4096 };
void ap_gemm_long_k(ap_math math, const ap_gemm_args *args);

/* B packed for reuse (weights, once a step). Floats needed, and the packing itself; the layout belongs to the ISA in
 * use. */
size_t ap_gemm_packed_size(int64_t k, int64_t n);
void ap_gemm_pack_b(bool transpose_b, int64_t k, int64_t n, const float *b, int64_t ldb, float *packed);

/* The reference twin: the definition as a triple loop over fmaf. */
void ap_gemm_reference(const ap_gemm_args *args);

/* OpenBLAS: core type in use, what the CPU could do, and whether the former is below the latter. */
const char *ap_blas_core(void);
const char *ap_blas_best_core(void);
bool ap_blas_is_slowed(void);

#endif
