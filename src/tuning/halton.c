#include "tuning/halton.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- NumPy's legacy RandomState: MT19937, Matsumoto and Nishimura, ACM TOMACS 8 (1998) 3-30 */

enum { MT_N = 624, MT_M = 397 };
typedef struct mt19937 {
    uint32_t word[MT_N];
    int next;
} mt19937;

static void mt_seed(mt19937 *mt, uint32_t seed) {
    mt->word[0] = seed;
    for (uint32_t i = 1; i < MT_N; i++) mt->word[i] = 1812433253U * (mt->word[i - 1] ^ (mt->word[i - 1] >> 30)) + i;
    mt->next = MT_N;
}

static void mt_refill(mt19937 *mt) {
    for (int i = 0; i < MT_N; i++) {
        uint32_t y = (mt->word[i] & 0x80000000U) | (mt->word[(i + 1) % MT_N] & 0x7fffffffU);
        mt->word[i] = mt->word[(i + MT_M) % MT_N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfU : 0);
    }
    mt->next = 0;
}

static uint32_t mt_bits(mt19937 *mt) {
    if (mt->next == MT_N) mt_refill(mt);
    uint32_t y = mt->word[mt->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

/* Uniform in 0..max: bits under the smallest mask that covers max, drawn again while too large. */
static uint32_t mt_at_most(mt19937 *mt, uint32_t max) {
    uint32_t mask = max, value;
    for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    do value = mt_bits(mt) & mask;
    while (value > max);
    return value;
}

static double mt_uniform(mt19937 *mt) {
    uint32_t a = mt_bits(mt) >> 5, b = mt_bits(mt) >> 6;
    return ((double)a * 0x1p26 + (double)b) / 0x1p53;
}

/* ---- the sequence */

static bool is_prime(int n) {
    for (int i = 2; i * i <= n; i++)
        if (n % i == 0) return false;
    return n > 1;
}

void ap_halton_bases(int d, int *base) {
    assert(d >= 1 && d <= AP_HALTON_MAX_DIMENSIONS);
    int p = AP_HALTON_MAX_BASE;
    for (int i = d - 1; i >= 0; i--) {
        do p--;
        while (!is_prime(p));
        base[i] = p;
    }
}

void ap_halton_dimension_init(ap_halton_dimension *dimension, int base) {
    assert(base > 2 && base <= AP_HALTON_MAX_BASE);
    mt19937 mt;
    mt_seed(&mt, (uint32_t)base);
    dimension->base = base;
    for (int i = 0; i < base; i++) dimension->digit[i] = i;
    int *shuffled = dimension->digit + 1; /* Fisher-Yates from the end */
    for (int i = base - 2; i >= 1; i--) {
        int j = (int)mt_at_most(&mt, (uint32_t)i), kept = shuffled[i];
        shuffled[i] = shuffled[j];
        shuffled[j] = kept;
    }
    dimension->shift = mt_uniform(&mt);
}

double ap_halton_coordinate(const ap_halton_dimension *dimension, long long index) {
    double sum = 0, denominator = 1;
    for (; index > 0; index /= dimension->base) {
        denominator *= dimension->base;
        sum += dimension->digit[index % dimension->base] / denominator;
    }
    return fmod(sum + dimension->shift, 1);
}
