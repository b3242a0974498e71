/* The kernels for AVX2 and FMA. Tiles of 6 x 16: 12 accumulators, two vectors of B and two broadcasts in 16 registers.
 */
#include "tensor/kernels/simd_avx2.h"

#define KERNEL_SET ap_kernels_avx2
#define TILE_ROWS 6
#include "tensor/kernels/gemm_tile.inc"
#include "tensor/kernels/depthwise.inc"
#include "tensor/kernels/winograd.inc"
#include "tensor/kernels/reduce.inc"
#include "tensor/kernels/vecmath.inc"
#include "tensor/kernels/activation.inc"
#include "tensor/kernels/norm.inc"
#include "tensor/kernels/eigen.inc"

#include "tensor/kernels/kernel_set.inc"
