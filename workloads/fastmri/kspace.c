/* From k-space to images: Fourier transform, column mask, the published preprocessing. */
#include "workloads/fastmri/fastmri.h"

#include "base/fmath.h"

#include <math.h>
#include <string.h>

/* ---- Fourier transform: mixed radix, decimation in time (Cooley & Tukey 1965), each prime factor by its definition */

typedef struct complex_number {
    double re, im;
} complex_number;

static complex_number times(complex_number a, complex_number b) {
    return (complex_number){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static int64_t smallest_factor(int64_t n) {
    for (int64_t p = 2; p * p <= n; p++)
        if (n % p == 0) return p;
    return n;
}

/* table[j] = exp(-+ 2 pi i j / n) */
static void fill_table(int64_t n, bool inverse, complex_number *table) {
    for (int64_t j = 0; j < n; j++) {
        const double angle = 6.283185307179586 * (double)j / (double)n;
        table[j] = (complex_number){ap_f64_cos(angle), (inverse ? 1 : -1) * ap_f64_sin(angle)};
    }
}

/* out[0..n) = transform of in[0], in[stride], ...; the table is that of step * n. */
static void transform(int64_t n, const complex_number *in, int64_t stride, const complex_number *table, int64_t step,
                      complex_number *out) {
    if (n == 1) {
        out[0] = in[0];
        return;
    }
    const int64_t p = smallest_factor(n), m = n / p;
    complex_number part[AP_FFT_LARGEST_PRIME];
    for (int64_t q = 0; q < p; q++) transform(m, in + q * stride, stride * p, table, step * p, out + q * m);
    for (int64_t k = 0; k < m; k++) {
        for (int64_t q = 0; q < p; q++) part[q] = times(out[q * m + k], table[q * k * step]);
        for (int64_t r = 0; r < p; r++) {
            complex_number sum = part[0];
            for (int64_t q = 1; q < p; q++) {
                const complex_number t = times(part[q], table[q * r % p * m * step]);
                sum.re += t.re, sum.im += t.im;
            }
            out[r * m + k] = sum;
        }
    }
}

static bool can_transform(int64_t n) {
    for (int64_t p; n > 1; n /= p)
        if ((p = smallest_factor(n)) > AP_FFT_LARGEST_PRIME) return false;
    return n == 1;
}

bool ap_fft2(int64_t h, int64_t w, bool inverse, double *data, double *work) {
    if (h < 1 || w < 1 || !can_transform(h) || !can_transform(w)) return false;
    const int64_t longest = h > w ? h : w;
    complex_number *x = (complex_number *)data, *line = (complex_number *)work, *out = line + longest,
                   *table = out + longest;
    fill_table(w, inverse, table);
    for (int64_t i = 0; i < h; i++) {
        transform(w, x + i * w, 1, table, 1, out);
        memcpy(x + i * w, out, (size_t)w * sizeof *x);
    }
    fill_table(h, inverse, table);
    const double scale = inverse ? 1 / ((double)h * (double)w) : 1;
    for (int64_t j = 0; j < w; j++) {
        for (int64_t i = 0; i < h; i++) line[i] = x[i * w + j];
        transform(h, line, 1, table, 1, out);
        for (int64_t i = 0; i < h; i++) x[i * w + j] = (complex_number){out[i].re * scale, out[i].im * scale};
    }
    return true;
}

/* ---- mask */

void ap_fastmri_mask(int64_t width, const float *draws, float *keep) {
    const int64_t low = (int64_t)((double)width * 0.08), first = (width - low + 1) / 2;
    const float probability = (float)(((double)width / 4 - (double)low) / (double)(width - low));
    for (int64_t x = 0; x < width; x++)
        keep[x] = draws[x] < probability || (x >= first && x < first + low) ? 1.0f : 0.0f;
}

/* ---- preprocessing */

size_t ap_fastmri_work(int64_t h, int64_t w) {
    return (size_t)(2 * h * w + 6 * (h > w ? h : w));
}

/* ifftshift: the element at n/2 comes first; fftshift: the element at (n+1)/2 does. */
static int64_t shifted(int64_t i, int64_t n, bool inverse) {
    return (i + (inverse ? n / 2 : (n + 1) / 2)) % n;
}

static float limited(double x) {
    return (float)(x < -6 ? -6 : x > 6 ? 6 : x);
}

ap_status ap_fastmri_preprocess(const ap_fastmri_slice *s, double *work, float *input, float *target, float *mean,
                                float *std, ap_error *error) {
    const int64_t h = s->h, w = s->w, pixels = s->tall * s->wide;
    if (h < s->tall || w < s->wide)
        return ap_fail(error, AP_DATA, "a slice of %lld x %lld in k-space (the image needs %lld x %lld)", (long long)h,
                       (long long)w, (long long)s->tall, (long long)s->wide);
    double *image = work, *more = work + 2 * h * w;
    for (int64_t i = 0; i < h; i++)
        for (int64_t j = 0; j < w; j++) {
            const int64_t from = shifted(i, h, true) * w + shifted(j, w, true);
            const double keep = (double)s->keep[shifted(j, w, true)];
            for (int c = 0; c < 2; c++) image[2 * (i * w + j) + c] = keep * (double)s->kspace[2 * from + c];
        }
    if (!ap_fft2(h, w, true, image, more))
        return ap_fail(error, AP_DATA,
                       "a slice of %lld x %lld in k-space (extents with prime factors above %d are not "
                       "handled)",
                       (long long)h, (long long)w, AP_FFT_LARGEST_PRIME);
    double sum = 0, square = 0;
    const int64_t top = (h - s->tall) / 2, left = (w - s->wide) / 2;
    const double scale = sqrt((double)h * (double)w);
    for (int64_t k = 0; k < pixels; k++) {
        const int64_t i = shifted(top + k / s->wide, h, false), j = shifted(left + k % s->wide, w, false);
        const double *p = image + 2 * (i * w + j);
        input[k] = (float)(sqrt(p[0] * p[0] + p[1] * p[1]) * scale);
        sum += (double)input[k];
    }
    const double average = sum / (double)pixels;
    for (int64_t k = 0; k < pixels; k++) square += ((double)input[k] - average) * ((double)input[k] - average);
    const double deviation = sqrt(square / (double)pixels);
    if (!(deviation > 0) || !isfinite(deviation))
        return ap_fail(error, AP_DATA,
                       "a slice whose image has mean %g and standard deviation %g (it must vary, and be "
                       "finite)",
                       average, deviation);
    for (int64_t k = 0; k < pixels; k++) {
        input[k] = limited(((double)input[k] - average) / deviation);
        target[k] = limited(((double)s->target[k] - average) / deviation);
    }
    *mean = (float)average, *std = (float)deviation;
    return AP_OK;
}
