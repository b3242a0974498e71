#include "tensor/kernels/eigen.h"
#include <cblas.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

/* OpenBLAS brings LAPACK with it; this is its Fortran interface. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info, size_t jobz_length, size_t uplo_length);

static bool all_finite(int n, const double *a) {
    for (size_t i = 0; i < (size_t)n * (size_t)n; i++)
        if (!isfinite(a[i])) return false;
    return true;
}

/* LAPACK's workspace: grows, is kept, and so costs a step nothing. Main thread only, as the kernels' other scratch. */
static void *workspace(size_t bytes) {
    static void *memory;
    static size_t size;
    if (bytes <= size) return memory;
    void *grown = realloc(memory, bytes);
    if (grown) memory = grown, size = bytes;
    return grown;
}

static bool decompose(int n, double *a, double *w) {
    /* A row-major lower triangle is Fortran's upper one; Fortran's columns are our rows. */
    int ask = -1, whole, info = 0;
    double size;
    dsyevd_("V", "U", &n, a, &n, w, &size, &ask, &whole, &ask, &info, 1, 1);
    if (info) return false;
    int length = (int)size;
    double *work = workspace((size_t)length * sizeof *work + (size_t)whole * sizeof(int));
    if (!work) return false;
    dsyevd_("V", "U", &n, a, &n, w, work, &length, (int *)(work + length), &whole, &info, 1, 1);
    return info == 0;
}

bool ap_symmetric_eigen(int n, double *a, double *w) {
    if (n < 1) return n == 0;
    if (!all_finite(n, a)) return false; /* LAPACK may not come back from a NaN */
    int threads = openblas_get_num_threads();
    openblas_set_num_threads(1);
    bool fine = decompose(n, a, w);
    openblas_set_num_threads(threads);
    return fine;
}
