#include "workloads/speech/features.h"

#include "base/fmath.h"

#include <math.h>
#include <string.h>
#include <threads.h>

enum { WINDOW = 400, FFT = 512, HALF = FFT / 2, SPECTRUM = HALF + 1 };

/* Means and deviations of the log-mel bins over the published training set, as the reference code has them. */
static const float bin_mean[AP_SPEECH_BINS] = {
    -7.60478163f, -7.12062263f, -6.88642454f, -6.87057686f, -6.96677208f, -7.1084094f,  -6.95280266f, -6.7839942f,
    -6.61955214f, -6.48762655f, -6.41206598f, -6.39404774f, -6.42448711f, -6.39937115f, -6.51582718f, -6.71379995f,
    -6.84768772f, -6.98850012f, -6.92213869f, -7.14614868f, -7.20404005f, -7.05375528f, -7.31403828f, -7.12232494f,
    -7.30251408f, -7.12121439f, -7.24257326f, -7.17305374f, -7.0979414f,  -7.0887475f,  -6.98499107f, -6.87877321f,
    -6.76027536f, -6.63009453f, -6.51457691f, -6.42450571f, -6.3565135f,  -6.31787634f, -6.26607704f, -6.24683285f,
    -6.28215265f, -6.19083881f, -6.2484355f,  -6.147264f,   -6.09247255f, -6.01710033f, -5.92504025f, -5.85358334f,
    -5.82091093f, -5.81189299f, -5.80783749f, -5.77146292f, -5.74537325f, -5.77056551f, -5.77656412f, -5.78316736f,
    -5.79540873f, -5.79948235f, -5.80234766f, -5.80471182f, -5.81681824f, -5.88448f,    -5.97271061f, -6.04446602f,
    -6.12848663f, -6.22575855f, -6.31574965f, -6.39061165f, -6.49285984f, -6.5498457f,  -6.60543203f, -6.6508379f,
    -6.6691761f,  -6.67268896f, -6.68423462f, -6.69745779f, -6.7547183f,  -6.79491425f, -6.86342096f, -6.94186544f,
};
static const float bin_deviation[AP_SPEECH_BINS] = {
    3.43532825f, 3.59629321f, 3.70124722f, 3.7369206f,  3.75351048f, 3.69362926f, 3.69224977f, 3.76415229f, 3.84197164f,
    3.89998484f, 3.92942405f, 3.931741f,   3.91395855f, 3.90315986f, 3.86919999f, 3.81550813f, 3.76449704f, 3.70991063f,
    3.69650865f, 3.60037661f, 3.54932261f, 3.54651213f, 3.45003605f, 3.47128129f, 3.40846109f, 3.44081354f, 3.41048813f,
    3.4217639f,  3.43128514f, 3.41992092f, 3.43058062f, 3.43826652f, 3.45803666f, 3.48179913f, 3.49587107f, 3.50367928f,
    3.5047574f,  3.49887347f, 3.49305606f, 3.48229432f, 3.45943046f, 3.46127701f, 3.45590639f, 3.47554231f, 3.49715495f,
    3.53265572f, 3.57051992f, 3.59203124f, 3.59690738f, 3.59135008f, 3.58659315f, 3.58268094f, 3.58377433f, 3.58957911f,
    3.58193135f, 3.58378696f, 3.58611846f, 3.58895898f, 3.59221482f, 3.5939455f,  3.58566308f, 3.58841133f, 3.59210229f,
    3.58704901f, 3.58065701f, 3.57310677f, 3.56175327f, 3.54980731f, 3.55273747f, 3.54753661f, 3.53878498f, 3.52561784f,
    3.5031836f,  3.49227262f, 3.48796463f, 3.47255945f, 3.45583892f, 3.43518281f, 3.42842937f, 3.4299171f,
};

/* ---- tables, made once */

typedef struct complex_number {
    double re, im;
} complex_number;

static struct {
    double window[WINDOW];
    complex_number root[FFT]; /* exp(-2 pi i j / FFT) */
    double weight[AP_SPEECH_BINS][SPECTRUM];
    int first[AP_SPEECH_BINS], last[AP_SPEECH_BINS]; /* of the spectrum's entries with weight */
    double least;                                    /* level of all up to 1e-5 */
} tables;

static double mel_of(double hertz) {
    return 1127 * ap_f64_log(1 + hertz / 700);
}

/* Triangles that are linear in mel, from 125 to 7600 Hz; entry 0 of the spectrum counts nowhere. */
static void make_mel(void) {
    const double low = mel_of(125), width = (mel_of(7600) - low) / (AP_SPEECH_BINS + 1);
    for (int b = 0; b < AP_SPEECH_BINS; b++) {
        tables.first[b] = SPECTRUM;
        for (int k = 1; k < SPECTRUM; k++) {
            const double at = (mel_of((double)k * AP_SPEECH_RATE / FFT) - low) / width - b; /* 0 .. 2 in the triangle */
            const double w = at < 1 ? at : 2 - at;
            if (w <= 0) continue;
            tables.weight[b][k] = w;
            if (k < tables.first[b]) tables.first[b] = k;
            tables.last[b] = k;
        }
    }
}

static void make_tables(void) {
    const double turn = 6.283185307179586;
    for (int i = 0; i < WINDOW; i++) tables.window[i] = 0.5 - 0.5 * ap_f64_cos(turn * i / WINDOW);
    for (int j = 0; j < FFT; j++)
        tables.root[j] = (complex_number){ap_f64_cos(turn * j / FFT), -ap_f64_sin(turn * j / FFT)};
    make_mel();
    tables.least = ap_f64_log(1e-5);
}

/* ---- one frame */

/* Transform of x [HALF] in place, decimation in time (Cooley & Tukey 1965). */
static void transform(complex_number *x) {
    for (unsigned i = 1, j = 0; i < HALF; i++) {
        unsigned bit = HALF >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            const complex_number swap = x[i];
            x[i] = x[j], x[j] = swap;
        }
    }
    for (int size = 2; size <= HALF; size *= 2)
        for (int start = 0; start < HALF; start += size)
            for (int k = 0; k < size / 2; k++) {
                const complex_number w = tables.root[k * (FFT / size)], b = x[start + k + size / 2], a = x[start + k];
                const complex_number t = {b.re * w.re - b.im * w.im, b.re * w.im + b.im * w.re};
                x[start + k] = (complex_number){a.re + t.re, a.im + t.im};
                x[start + k + size / 2] = (complex_number){a.re - t.re, a.im - t.im};
            }
}

/* |transform|^2 of real y [FFT]: even and odd samples as one complex sequence of half the length. */
static void power_spectrum(const double *y, double *power) {
    complex_number z[HALF];
    for (int i = 0; i < HALF; i++) z[i] = (complex_number){y[2 * i], y[2 * i + 1]};
    transform(z);
    for (int k = 0; k < SPECTRUM; k++) {
        const complex_number a = z[k % HALF], b = z[(HALF - k) % HALF], w = tables.root[k % FFT];
        const double even_re = 0.5 * (a.re + b.re), even_im = 0.5 * (a.im - b.im), odd_re = 0.5 * (a.im + b.im),
                     odd_im = 0.5 * (b.re - a.re);
        const double re = even_re + (odd_re * w.re - odd_im * w.im), im = even_im + (odd_re * w.im + odd_im * w.re);
        power[k] = re * re + im * im;
    }
}

/* Samples of one frame, `valid` of them not padding -> y: scaled, pre-emphasised within the frame (HTK), windowed. */
static void take_frame(const float *samples, int64_t valid, double *y) {
    double before = 0;
    memset(y, 0, FFT * sizeof *y);
    for (int i = 0; i < WINDOW; i++) {
        const double x = i < valid ? (double)samples[i] * 0x1p-15 : 0;
        y[i] = (i ? x - 0.97 * before : (1 - 0.97) * x) * tables.window[i];
        before = x;
    }
}

/* ---- the front end */

int64_t ap_speech_frames(int64_t samples) {
    return samples < AP_SPEECH_FRAME ? 0 : (samples - AP_SPEECH_FRAME) / AP_SPEECH_STEP + 1;
}

int64_t ap_speech_valid_frames(int64_t count, int64_t valid) {
    const int64_t frames = ap_speech_frames(count), with_sound = (valid + AP_SPEECH_STEP - 1) / AP_SPEECH_STEP;
    return with_sound < frames ? with_sound : frames;
}

void ap_speech_log_mel(int64_t count, int64_t valid, const float *samples, float *features) {
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, make_tables);
    double y[FFT], power[SPECTRUM];
    for (int64_t f = 0; f < ap_speech_frames(count); f++) {
        const int64_t left = valid - f * AP_SPEECH_STEP;
        float *const row = features + f * AP_SPEECH_BINS;
        if (left <= -AP_SPEECH_STEP) { /* silence, as the frame before */
            memcpy(row, row - AP_SPEECH_BINS, AP_SPEECH_BINS * sizeof *row);
            continue;
        }
        take_frame(samples + f * AP_SPEECH_STEP, left, y);
        power_spectrum(y, power);
        for (int b = 0; b < AP_SPEECH_BINS; b++) {
            double energy = 0;
            for (int k = tables.first[b]; k <= tables.last[b]; k++) energy += tables.weight[b][k] * power[k];
            const double level = energy > 1e-5 ? ap_f64_log(energy) : tables.least;
            row[b] = (float)((level - (double)bin_mean[b]) / (double)bin_deviation[b]);
        }
    }
}

/* ---- SpecAugment */

void ap_spec_augment_draw(const ap_random *stream, int64_t index, ap_spec_draws *draws) {
    float *const rows[4] = {draws->time_length, draws->time_start, draws->frequency_length, draws->frequency_start};
    for (int i = 0; i < 4; i++)
        ap_random_fill_uniform(stream, (uint64_t)(4 * index + i) * AP_SPEC_MASKS, AP_SPEC_MASKS, 0, 1, rows[i]);
}

/* A mask over `range` positions, at most `most` long, and at most the share `ratio` of the range (at least 1): where it
 * starts and how long it is. In float, as published. */
typedef struct span {
    int64_t start, length;
} span;
static span span_of(float length_draw, float start_draw, float most, float ratio, float range) {
    const float share = floorf(ratio * range), limit = share > 1 ? share : 1;
    float length = floorf(most * length_draw);
    if (length > limit) length = limit;
    return (span){(int64_t)floorf(start_draw * (range - length + 1)), (int64_t)length};
}

void ap_spec_augment_apply(const ap_spec_augment *o, const ap_spec_draws *d, int64_t frames, int64_t valid,
                           float *features) {
    for (int i = 0; i < o->time_masks; i++) {
        const span s = span_of(d->time_length[i], d->time_start[i], 0.05f * (float)valid, 0.05f, (float)valid);
        for (int64_t t = s.start; t < s.start + s.length && t < frames; t++)
            memset(features + t * AP_SPEECH_BINS, 0, AP_SPEECH_BINS * sizeof *features);
    }
    for (int i = 0; i < o->frequency_masks; i++) {
        const span s = span_of(d->frequency_length[i], d->frequency_start[i], 27, 1, AP_SPEECH_BINS);
        for (int64_t t = 0; t < frames; t++)
            for (int64_t b = s.start; b < s.start + s.length && b < AP_SPEECH_BINS; b++)
                features[t * AP_SPEECH_BINS + b] = 0;
    }
}
