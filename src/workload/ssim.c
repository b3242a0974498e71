#include "workload/ssim.h"

#include <math.h>

enum { WINDOW = 7 };

/* Means over one window of a, b, a a, b b, a b. */
typedef struct moments {
    double a, b, aa, bb, ab;
} moments;

static moments moments_at(int64_t w, const float *a, const float *b) {
    moments m = {0};
    for (int i = 0; i < WINDOW; i++) {
        moments row = {0};
        for (int j = 0; j < WINDOW; j++) {
            const double x = (double)a[i * w + j], y = (double)b[i * w + j];
            row.a += x, row.b += y, row.aa += x * x, row.bb += y * y, row.ab += x * y;
        }
        m.a += row.a / WINDOW, m.b += row.b / WINDOW;
        m.aa += row.aa / WINDOW, m.bb += row.bb / WINDOW, m.ab += row.ab / WINDOW;
    }
    return (moments){m.a / WINDOW, m.b / WINDOW, m.aa / WINDOW, m.bb / WINDOW, m.ab / WINDOW};
}

double ap_ssim(int64_t h, int64_t w, const float *a, const float *b, double range) {
    const double samples = WINDOW * WINDOW, unbias = samples / (samples - 1), l = range == 0 ? 1 : range;
    const double c1 = 0.01 * l * (0.01 * l), c2 = 0.03 * l * (0.03 * l);
    if (h < WINDOW || w < WINDOW) return NAN;
    double sum = 0;
    for (int64_t i = 0; i + WINDOW <= h; i++)
        for (int64_t j = 0; j + WINDOW <= w; j++) {
            const moments m = moments_at(w, a + i * w + j, b + i * w + j);
            const double va = unbias * (m.aa - m.a * m.a), vb = unbias * (m.bb - m.b * m.b),
                         vab = unbias * (m.ab - m.a * m.b);
            sum += (2 * m.a * m.b + c1) * (2 * vab + c2) / ((m.a * m.a + m.b * m.b + c1) * (va + vb + c2));
        }
    const double mean = sum / ((double)(h - WINDOW + 1) * (double)(w - WINDOW + 1));
    return mean < -1 ? -1 : mean > 1 ? 1 : mean;
}
