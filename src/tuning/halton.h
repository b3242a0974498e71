/* The benchmark's quasi-random search points: a shifted, digit-permuted Halton sequence (the official halton.py).
 *
 * For d dimensions the bases are the d primes below 997, the largest prime under 1000 (997 itself is left out), in
 * rising order. For base p NumPy's RandomState(p) shuffles the digits 1..p-1 (0 stays first), giving the table D, and
 * then draws the shift. Point i = 1, 2, ... is
 *
 *     fmod(sum_k D[digit_k(i)] / p^(k+1) + shift, 1),   digits least significant first
 *
 * and the first AP_HALTON_DROPPED points are dropped. */
#ifndef AP_TUNING_HALTON_H
#define AP_TUNING_HALTON_H

#include "base/status.h"

enum { AP_HALTON_DROPPED = 100, AP_HALTON_MAX_BASE = 997, AP_HALTON_MAX_DIMENSIONS = 166 };

/* The primes used for d dimensions, 1 <= d <= AP_HALTON_MAX_DIMENSIONS, into base[d]. */
void ap_halton_bases(int d, int *base);

/* The digit table and the shift of one base. */
typedef struct ap_halton_dimension {
    int base;
    int digit[AP_HALTON_MAX_BASE];
    double shift;
} ap_halton_dimension;
void ap_halton_dimension_init(ap_halton_dimension *dimension, int base); /* 2 < base <= AP_HALTON_MAX_BASE */

/* Coordinate of point `index` (1-based, nothing dropped yet), in [0, 1). */
double ap_halton_coordinate(const ap_halton_dimension *dimension, long long index);

#endif
