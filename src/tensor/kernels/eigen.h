/* Eigendecomposition of a symmetric matrix, by LAPACK (dsyevd: divide and conquer). One thread, so that the number of
 * threads changes no bit; OpenBLAS's core type does. Not collective. */
#ifndef AP_KERNELS_EIGEN_H
#define AP_KERNELS_EIGEN_H

#include <stdbool.h>

/* a[n][n], lower triangle of the row-major matrix; w[n] gets the eigenvalues, rising; row i of a the eigenvector of
 * w[i]. False: no convergence, not finite, or out of memory; a and w are then undefined. */
bool ap_symmetric_eigen(int n, double *a, double *w);

#endif
