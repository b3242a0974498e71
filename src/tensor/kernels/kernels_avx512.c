/* The kernels for AVX-512. Tiles of 14 x 32: 28 accumulators, two vectors of B and two broadcasts in 32 registers. */
#include "tensor/kernels/simd_avx512.h"

#define KERNEL_SET ap_kernels_avx512
#define TILE_ROWS 14
#include "tensor/kernels/gemm_tile.inc"
#include "tensor/kernels/depthwise.inc"
#include "tensor/kernels/winograd.inc"
#include "tensor/kernels/reduce.inc"
#include "tensor/kernels/vecmath.inc"
#include "tensor/kernels/activation.inc"
#include "tensor/kernels/norm.inc"
#include "tensor/kernels/eigen.inc"

#include "tensor/kernels/kernel_set.inc"
