/* algoperf bench eigen: the symmetric eigensolver with a written order against LAPACK's dsyevd of OpenBLAS (divide and
 * conquer, one thread), on matrices as Shampoo has them. */
#include "cli/bench.h"
#include "cli/cli.h"

#include "tensor/kernels/eigen.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info, size_t jobz_length, size_t uplo_length);

static bool lapack(int n, double *a, double *w) {
    int ask = -1, whole, info;
    double size;
    dsyevd_("V", "U", &n, a, &n, w, &size, &ask, &whole, &ask, &info, 1, 1);
    int length = (int)size;
    double *work = malloc((size_t)length * sizeof *work);
    int *integers = malloc((size_t)whole * sizeof *integers);
    if (work && integers)
        dsyevd_("V", "U", &n, a, &n, w, work, &length, integers, &whole, &info, 1, 1);
    else
        info = 1;
    free(work);
    free(integers);
    return info == 0;
}

/* Milliseconds of this thread, the best of rounds for half a second; below 0: it failed. */
static double time_of(bool (*solve)(int n, double *a, double *w), int n, const float *gram, double *a, double *w) {
    double best = INFINITY;
    const int64_t start = ap_bench_cpu_ns();
    do {
        for (size_t i = 0; i < (size_t)n * (size_t)n; i++) a[i] = (double)gram[i];
        const int64_t before = ap_bench_cpu_ns();
        if (!solve(n, a, w)) return -1;
        best = fmin(best, (double)(ap_bench_cpu_ns() - before) * 1e-6);
    } while (ap_bench_cpu_ns() - start < 500000000);
    return best;
}

/* The statistics of a factor of extent n from k random gradients' columns. */
static ap_status measure(int n, int k, ap_error *error) {
    size_t size = (size_t)n * (size_t)n;
    float *x = ap_bench_filled((size_t)n * (size_t)k), *gram = malloc(size * sizeof *gram);
    double *a = malloc(size * sizeof *a), *w = malloc((size_t)n * sizeof *w);
    ap_status status = x && gram && a && w ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    if (!status) {
        ap_gemm(
            AP_MATH_ORDERED,
            &(ap_gemm_args){
                .transpose_b = true, .m = n, .n = n, .k = k, .a = x, .lda = k, .b = x, .ldb = k, .c = gram, .ldc = n});
        double own = time_of(ap_symmetric_eigen, n, gram, a, w), theirs = time_of(lapack, n, gram, a, w);
        if (own < 0 || theirs < 0) status = ap_fail(error, AP_BUG, "no eigendecomposition of a %d x %d matrix", n, n);
        printf("%6d %6d %12.3f %12.3f %8.2f\n", n, k < n ? k : n, own, theirs, own / theirs);
    }
    free(x);
    free(gram);
    free(a);
    free(w);
    return status;
}

ap_status ap_bench_eigen(int argc, char **argv, ap_error *error) {
    static const ap_command self = {"bench eigen", "", "the symmetric eigensolver against LAPACK's", NULL, false};
    const char *quick = NULL;
    const ap_flag flags[] = {{"quick", NULL, "small matrices alone: does it run", &quick}, {0}};
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    static const int sizes[] = {16, 64, 128, 256, 512, 1024};
    openblas_set_num_threads(1);
    printf("instruction set %s, one thread; OpenBLAS core %s; milliseconds\n", ap_isa_name(ap_isa_current()),
           ap_blas_core());
    printf("%6s %6s %12s %12s %8s\n", "n", "rank", "ordered", "dsyevd", "ratio");
    for (int i = 0; i < (quick ? 2 : 6); i++) {
        AP_TRY(measure(sizes[i], 4 * sizes[i], error));
        AP_TRY(measure(sizes[i], sizes[i] / 8, error));
    }
    return AP_OK;
}
