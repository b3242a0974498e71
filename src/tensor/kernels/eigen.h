/* Eigendecomposition of a symmetric matrix in a written order: the same bits on every machine, with any number of
 * threads. Not collective.
 *
 * Householder reflections to a tridiagonal matrix, then the implicit QL method with Wilkinson's shift (Golub and Van
 * Loan, Matrix Computations, 8.3; Martin, Reinsch and Wilkinson, Numer. Math. 11, 1968), all in double. The rotations
 * of 32 sweeps are kept and applied together, four sweeps in one pass over the eigenvectors, so that they run from
 * cache (Van Zee, van de Geijn and Quintana-Orti, ACM TOMS 40, 2014). Backward stable: residual and loss of
 * orthogonality are a small multiple of n^(1/2) 2^-53 times the norm, whatever the spectrum; small eigenvalues have
 * that absolute error, as LAPACK's dsyevd gives them.
 *
 * ORDER. A product and its addition are rounded one after the other (no fma: plain x86-64 is as exact as the others).
 * Sums over rows run from the first row up; the sums along a row of the reduction are eight lanes, lane j with elements
 * j, j + 8, ..., folded by halves. Each element of the eigenvectors goes through the rotations in the order in which
 * the QL method makes them. Threads split columns of the eigenvectors.
 *
 * Time: `algoperf bench eigen` compares it with LAPACK. */
#ifndef AP_KERNELS_EIGEN_H
#define AP_KERNELS_EIGEN_H

#include <stdbool.h>

/* a[n][n], of which the lower triangle is read; w[n] gets the eigenvalues, rising; row i of a the eigenvector of w[i].
 * False: no convergence (30 n sweeps), not finite, or out of memory; a and w are then undefined. Memory for n^2 doubles
 * grows once and is kept. */
bool ap_symmetric_eigen(int n, double *a, double *w);

/* The other way: out[n][n] = sum_i w[i] v_i v_i', v_i row i of v. Each element is a chain over i of (w[i] v[i][r])
 * v[i][c], r >= c, in double, without fma, rounded to float at the end. False: out of memory. */
bool ap_symmetric_compose(int n, const double *v, const double *w, float *out);

#endif
