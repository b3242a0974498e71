#include "base/checked.h"
#include "base/clock.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "tensor/kernels/kernel_set.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

ap_status ap_bench_parse(const ap_command *self, int argc, char **argv, const ap_flag *flags, bool *helped,
                         ap_error *error) {
    char **rest;
    int count;
    AP_TRY(ap_cli_parse(self, argc, argv, flags, &rest, &count, helped, error));
    if (!*helped && count)
        return ap_fail(error, AP_USAGE, "algoperf %s: no argument \"%s\" is known", self->name, rest[0]);
    return AP_OK;
}

int64_t ap_bench_cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double ap_bench_fma_peak(void) {
    float sink[16] = {0};
    double best = 0;
    for (const int64_t start = ap_bench_cpu_ns(); ap_bench_cpu_ns() - start < 200000000;) {
        const int64_t before = ap_bench_cpu_ns();
        const double work = ap_kernels_current()->burn(100000, sink);
        best = fmax(best, work / (double)(ap_bench_cpu_ns() - before));
    }
    return best;
}

double ap_bench_bandwidth(int64_t n, const float *x, float *y, int64_t (*now_ns)(void)) {
    double best = 0;
    for (int round = 0; round < 5; round++) {
        const int64_t start = now_ns();
        for (int64_t i = 0; i < n; i++) y[i] += 0.5F * x[i];
        best = fmax(best, 3 * 4 * (double)n / ap_clock_s(now_ns() - start));
    }
    return best;
}

float *ap_bench_filled(size_t floats) {
    size_t bytes;
    if (!ap_size_mul(floats, sizeof(float), &bytes) || !ap_size_add(bytes, 4096, &bytes)) return NULL;
    float *p = aligned_alloc(4096, bytes / 4096 * 4096);
    uint32_t bits = 1;
    for (size_t i = 0; p && i < floats; i++) {
        bits = bits * 1664525u + 1013904223u; /* Numerical Recipes' generator: any values that are not all alike */
        p[i] = (float)(bits >> 8) * 0x1p-24f - 0.5f;
    }
    return p;
}
