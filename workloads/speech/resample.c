#include "workloads/speech/resample.h"

#include <math.h>
#include <threads.h>

enum { SIDE = 32 };         /* samples on each side */
static double weight[SIDE]; /* of the pair that lies k + 1/2 samples away */

/* Modified Bessel function of the first kind, order 0, of 2 sqrt(q): sum of q^k / k!^2. */
static double bessel(double q) {
    double sum = 1, term = 1;
    for (int k = 1; k < 60; k++) {
        term *= q / ((double)k * k);
        sum += term;
    }
    return sum;
}

static void make_weights(void) {
    const double pi = 3.141592653589793, quarter = 10.0 * 10.0 / 4;
    double sum = 0;
    for (int k = 0; k < SIDE; k++) {
        const double x = k + 0.5, inside = 1 - (x / SIDE) * (x / SIDE);
        weight[k] = (k % 2 ? -1 : 1) / (pi * x) * (bessel(quarter * inside) / bessel(quarter));
        sum += 2 * weight[k];
    }
    for (int k = 0; k < SIDE; k++) weight[k] /= sum; /* a constant stays what it is */
}

void ap_speech_double_rate(int64_t n, const int16_t *from, int16_t *to) {
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, make_weights);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < SIDE; k++) {
            const double left = i >= k ? from[i - k] : 0, right = i + 1 + k < n ? from[i + 1 + k] : 0;
            sum += weight[k] * (left + right);
        }
        to[2 * i] = from[i];
        to[2 * i + 1] = (int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : rint(sum));
    }
}
