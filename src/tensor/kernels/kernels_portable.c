/* The kernels in plain C: the fallback of machines without AVX2, and the proof that the bits are the definition's. Slow
 * where fmaf is not an instruction. */
#include "tensor/kernels/simd_portable.h"

#define KERNEL_SET ap_kernels_portable
#define TILE_ROWS 4
#include "tensor/kernels/gemm_tile.inc"
#include "tensor/kernels/depthwise.inc"
#include "tensor/kernels/winograd.inc"
#include "tensor/kernels/reduce.inc"
#include "tensor/kernels/vecmath.inc"
#include "tensor/kernels/activation.inc"
#include "tensor/kernels/norm.inc"
#include "tensor/kernels/eigen.inc"

#include "tensor/kernels/kernel_set.inc"
