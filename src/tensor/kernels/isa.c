#include "tensor/kernels/isa.h"
#include "tensor/kernels/kernel_set.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const isa_names[AP_ISA_COUNT + 1] = {
    [AP_ISA_PORTABLE] = "portable", [AP_ISA_AVX2] = "avx2", [AP_ISA_AVX512] = "avx512"};
static const ap_kernel_set *const sets[AP_ISA_COUNT] = {
    [AP_ISA_PORTABLE] = &ap_kernels_portable, [AP_ISA_AVX2] = &ap_kernels_avx2, [AP_ISA_AVX512] = &ap_kernels_avx512};

/* -1: not chosen yet. Threads that choose at the same time choose the same. */
static atomic_int chosen = -1;
static atomic_int kernel_threads = 1;

const char *ap_isa_name(ap_isa isa) {
    return isa >= 0 && isa < AP_ISA_COUNT ? isa_names[isa] : "unknown";
}

/* The flags that CMakeLists.txt compiles kernels_*.c with; the compiler's run time also asks the operating system. */
bool ap_isa_supported(ap_isa isa) {
    __builtin_cpu_init();
    switch (isa) {
    case AP_ISA_PORTABLE: return true;
    case AP_ISA_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case AP_ISA_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               ap_isa_supported(AP_ISA_AVX2);
    default: return false;
    }
}

static ap_isa best(void) {
    int isa = AP_ISA_COUNT - 1;
    while (!ap_isa_supported((ap_isa)isa)) isa--;
    return (ap_isa)isa;
}

/* AP_ISA_COUNT: no such name. */
static int by_name(const char *name) {
    int isa = 0;
    while (isa < AP_ISA_COUNT && strcmp(name, isa_names[isa]) != 0) isa++;
    return isa;
}

ap_isa ap_isa_current(void) {
    int isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (isa >= 0) return (ap_isa)isa;
    const char *asked = getenv("ALGOPERF_ISA");
    isa = asked ? by_name(asked) : AP_ISA_COUNT;
    if (isa == AP_ISA_COUNT || !ap_isa_supported((ap_isa)isa)) isa = (int)best(); /* ap_isa_check has refused it */
    atomic_store_explicit(&chosen, isa, memory_order_relaxed);
    return (ap_isa)isa;
}

ap_status ap_isa_check(ap_error *error) {
    const char *asked = getenv("ALGOPERF_ISA");
    if (!asked) return AP_OK;
    const int isa = by_name(asked);
    if (isa == AP_ISA_COUNT) {
        const char *closest = ap_closest(asked, isa_names);
        return ap_fail(error, AP_ENVIRONMENT,
                       "ALGOPERF_ISA = \"%s\" (must be portable, avx2 or avx512)%s%s%s; correct it or unset it to let "
                       "the program choose",
                       asked, closest ? "; did you mean \"" : "", closest ? closest : "", closest ? "\"?" : "");
    }
    if (!ap_isa_supported((ap_isa)isa))
        return ap_fail(error, AP_ENVIRONMENT,
                       "ALGOPERF_ISA = \"%s\": this CPU does not have it (it can do up to %s); unset it to let the "
                       "program choose, the results have the same bits",
                       asked, isa_names[best()]);
    return AP_OK;
}

bool ap_isa_force(ap_isa isa) {
    if (!ap_isa_supported(isa)) return false;
    atomic_store_explicit(&chosen, (int)isa, memory_order_relaxed);
    return true;
}

const ap_kernel_set *ap_kernels_of(ap_isa isa) {
    return sets[isa];
}

const ap_kernel_set *ap_kernels_current(void) {
    return sets[ap_isa_current()];
}

void ap_kernels_set_threads(int threads) {
    atomic_store_explicit(&kernel_threads, threads > 1 ? threads : 1, memory_order_relaxed);
}

int ap_kernels_threads(void) {
    return atomic_load_explicit(&kernel_threads, memory_order_relaxed);
}

static atomic_uint_fast64_t fused; /* multiply-adds */

void ap_kernels_count(double m, double n, double k) {
    atomic_fetch_add_explicit(&fused, (uint_fast64_t)(m * n * k), memory_order_relaxed);
}

double ap_kernels_flops(void) {
    return 2 * (double)atomic_load_explicit(&fused, memory_order_relaxed);
}

void ap_kernels_for(int threads, int64_t count, void (*body)(int64_t index, void *context), void *context) {
    if (threads <= 1 || count <= 1) { /* no OpenMP region: entering one costs more than a small product */
        for (int64_t i = 0; i < count; i++) body(i, context);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static)
#endif
    for (int64_t i = 0; i < count; i++) body(i, context);
}
