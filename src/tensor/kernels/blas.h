/* Inside kernels/: the product by OpenBLAS, on ap_kernels_threads() of its own threads. Extents and leading dimensions
 * must be below 2^31. */
#ifndef AP_KERNELS_BLAS_H
#define AP_KERNELS_BLAS_H

#include "tensor/kernels/gemm.h"

void ap_blas_gemm(const ap_gemm_args *args);

#endif
