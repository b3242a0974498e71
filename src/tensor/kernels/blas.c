#include "tensor/kernels/blas.h"
#include "tensor/kernels/isa.h"
#include <assert.h>
#include <cblas.h>
#include <cpuid.h>
#include <limits.h>
#include <strings.h>

/* A leading dimension as BLAS wants it: at least the extent, also of an empty or one-row matrix. */
static int leading(int64_t ld, int64_t extent) {
    const int64_t value = ld > extent ? ld : extent;
    assert(value <= INT_MAX);
    return value > 1 ? (int)value : 1;
}

void ap_blas_gemm(const ap_gemm_args *g) {
    assert(g->m <= INT_MAX && g->n <= INT_MAX && g->k <= INT_MAX);
    if (openblas_get_num_threads() != ap_kernels_threads()) openblas_set_num_threads(ap_kernels_threads());
    cblas_sgemm(CblasRowMajor, g->transpose_a ? CblasTrans : CblasNoTrans, g->transpose_b ? CblasTrans : CblasNoTrans,
                (int)g->m, (int)g->n, (int)g->k, 1.0f, g->a, leading(g->lda, g->transpose_a ? g->m : g->k), g->b,
                leading(g->ldb, g->transpose_b ? g->k : g->n), g->accumulate ? 1.0f : 0.0f, g->c,
                leading(g->ldc, g->n));
}

const char *ap_blas_core(void) {
    return openblas_get_corename();
}

/* OpenBLAS's core types by the width of vectors they use; those not listed use less than AVX2. */
static int vector_bits(const char *core) {
    static const struct {
        const char *core;
        int bits;
    } cores[] = {{"SkylakeX", 512}, {"Cooperlake", 512}, {"SapphireRapids", 512}, {"Haswell", 256}, {"Zen", 256}};
    for (unsigned i = 0; i < sizeof cores / sizeof *cores; i++)
        if (strcasecmp(core, cores[i].core) == 0) return cores[i].bits;
    return 128;
}

/* AMD family 19h with AVX-512 is Zen 4: its 512-bit operations take two passes through 256-bit units, and OpenBLAS's
 * 512-bit kernels are slower there than its 256-bit ones (0.3.21, geometric mean of `algoperf bench gemm`: Haswell 1.08
 * of Cooperlake, Zen 1.03). */
static bool has_half_width_avx512(void) {
    unsigned eax, ebx, ecx, edx;
    if (!__builtin_cpu_is("amd") || !__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return false;
    return ((eax >> 8) & 15) + ((eax >> 20) & 255) == 0x19;
}

const char *ap_blas_best_core(void) {
    if (ap_isa_supported(AP_ISA_AVX512) && !has_half_width_avx512())
        return __builtin_cpu_supports("avx512bf16") ? "Cooperlake" : "SkylakeX";
    if (ap_isa_supported(AP_ISA_AVX2)) return "Haswell";
    return ap_blas_core();
}

bool ap_blas_is_slowed(void) {
    return vector_bits(ap_blas_core()) < vector_bits(ap_blas_best_core());
}
