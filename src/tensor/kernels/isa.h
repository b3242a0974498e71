/* Which instruction set the kernels use: picked once at run time, one build serves a mixed cluster. All paths give the
 * same bits. */
#ifndef AP_KERNELS_ISA_H
#define AP_KERNELS_ISA_H

#include "base/status.h"

typedef enum ap_isa { AP_ISA_PORTABLE, AP_ISA_AVX2, AP_ISA_AVX512, AP_ISA_COUNT } ap_isa;

const char *ap_isa_name(ap_isa isa);
bool ap_isa_supported(ap_isa isa);

/* The path in use: the best supported one, or what the environment variable ALGOPERF_ISA (portable, avx2, avx512) says.
 */
ap_isa ap_isa_current(void);
/* Checks ALGOPERF_ISA: an unknown or unsupported name is AP_ENVIRONMENT. Call once at start. */
ap_status ap_isa_check(ap_error *error);
/* For tests and benchmarks: forces a path. False if the CPU does not have it. Not thread-safe. */
bool ap_isa_force(ap_isa isa);

/* Threads (OpenMP) that one kernel call may use; they split outputs, never sums, so they cannot change a bit.
 * Default 1. */
void ap_kernels_set_threads(int threads);
int ap_kernels_threads(void);

/* Floating-point operations (2 for each fused multiply-add) of all matrix products and convolutions so far, as the
 * operands' extents say; for benchmarks. */
double ap_kernels_flops(void);

#endif
