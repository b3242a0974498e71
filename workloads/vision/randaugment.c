#include "workloads/vision/randaugment.h"

#include <math.h>
#include <string.h>

enum { COLOURS = 3, GREY = 128, TRANSLATE = 100, CUTOUT = 40, SOLARIZE_ADD = 110 };
static const double SHEAR = 0.3, COS_30 = 0.866025403784439, SIN_30 = 0.5; /* cosine to 15 digits, as Pillow has it */
static const float FACTOR = 1.9f;

/* ---- geometry: pixel (x, y) of the result is pixel (a x + b y + c, d x + e y + f) of the image */

/* In steps of 2^-16 pixel, from pixel centres, as Pillow's nearest-neighbour transform goes. */
static void transform(const double m[6], int64_t h, int64_t w, uint8_t *pixels, uint8_t *scratch) {
    int64_t fixed[6];
    const double centred[6] = {m[0], m[1], m[2] + m[0] * 0.5 + m[1] * 0.5, m[3], m[4], m[5] + m[3] * 0.5 + m[4] * 0.5};
    for (int i = 0; i < 6; i++) fixed[i] = (int64_t)floor(centred[i] * 65536.0 + 0.5);
    memcpy(scratch, pixels, (size_t)(h * w * COLOURS));
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
            const int64_t from_x = (fixed[2] + y * fixed[1] + x * fixed[0]) >> 16;
            const int64_t from_y = (fixed[5] + y * fixed[4] + x * fixed[3]) >> 16;
            const bool inside = from_x >= 0 && from_x < w && from_y >= 0 && from_y < h;
            uint8_t *to = pixels + (y * w + x) * COLOURS;
            if (inside)
                memcpy(to, scratch + (from_y * w + from_x) * COLOURS, COLOURS);
            else
                memset(to, GREY, COLOURS);
        }
}

/* By `sign` 30 degrees about the centre, counter-clockwise. */
static void rotate(int sign, int64_t h, int64_t w, uint8_t *pixels, uint8_t *scratch) {
    const double x = (double)w / 2, y = (double)h / 2, c = COS_30, s = -SIN_30 * sign;
    transform((double[]){c, s, c * -x + s * -y + x, -s, c, -s * -x + c * -y + y}, h, w, pixels, scratch);
}

/* ---- colours */

static int luma(const uint8_t *p) {
    return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16;
}

/* from + 1.9 (to - from), cut to a byte, fractions dropped */
static uint8_t blend(int from, int to) {
    const float value = (float)from + FACTOR * (float)(to - from);
    return (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : value);
}

static void brightness(int64_t n, uint8_t *pixels) {
    for (int64_t i = 0; i < n * COLOURS; i++) pixels[i] = blend(0, pixels[i]);
}

static void colour(int64_t n, uint8_t *pixels) {
    for (int64_t i = 0; i < n; i++) {
        const int grey = luma(pixels + i * COLOURS);
        for (int c = 0; c < COLOURS; c++) pixels[i * COLOURS + c] = blend(grey, pixels[i * COLOURS + c]);
    }
}

static void contrast(int64_t n, uint8_t *pixels) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += luma(pixels + i * COLOURS);
    const int mean = (int)((double)sum / (double)n + 0.5);
    for (int64_t i = 0; i < n * COLOURS; i++) pixels[i] = blend(mean, pixels[i]);
}

/* Against the image smoothed by 1 1 1 / 1 5 1 / 1 1 1, rounded; the border is not smoothed. */
static void sharpness(int64_t h, int64_t w, uint8_t *pixels, uint8_t *scratch) {
    const int64_t row = w * COLOURS;
    memcpy(scratch, pixels, (size_t)(h * row));
    for (int64_t y = 1; y < h - 1; y++)
        for (int64_t b = COLOURS; b < row - COLOURS; b++) {
            const uint8_t *p = scratch + y * row + b;
            int sum = 4 * p[0];
            for (int64_t dy = -1; dy <= 1; dy++)
                for (int64_t dx = -1; dx <= 1; dx++) sum += p[dy * row + dx * COLOURS];
            pixels[y * row + b] = blend((2 * sum + 13) / 26, p[0]);
        }
    /* On the border both are the same, and the blend with itself changes nothing. */
}

/* ---- tables: each byte becomes another, for each colour by itself */

static void apply_table(const uint8_t table[256], int64_t n, uint8_t *pixels, int c) {
    for (int64_t i = 0; i < n; i++) pixels[i * COLOURS + c] = table[pixels[i * COLOURS + c]];
}

static void count_values(int64_t n, const uint8_t *pixels, int c, int64_t count[256]) {
    memset(count, 0, 256 * sizeof *count);
    for (int64_t i = 0; i < n; i++) count[pixels[i * COLOURS + c]]++;
}

/* Darkest to 0, brightest to 255. */
static void auto_contrast(int64_t n, uint8_t *pixels) {
    for (int c = 0; c < COLOURS; c++) {
        int64_t count[256];
        uint8_t table[256];
        int low = 0, high = 255;
        count_values(n, pixels, c, count);
        while (low < 255 && !count[low]) low++;
        while (high > 0 && !count[high]) high--;
        if (high <= low) continue;
        const double scale = 255.0 / (high - low), offset = -low * scale;
        for (int v = 0; v < 256; v++) {
            const double value = v * scale + offset;
            table[v] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
        apply_table(table, n, pixels, c);
    }
}

/* Values that are equally frequent, as far as whole numbers go: Pillow's rule. */
static void equalize(int64_t n, uint8_t *pixels) {
    for (int c = 0; c < COLOURS; c++) {
        int64_t count[256], last = 0;
        uint8_t table[256];
        count_values(n, pixels, c, count);
        for (int v = 0; v < 256; v++) last = count[v] ? count[v] : last;
        const int64_t step = (n - last) / 255;
        if (step == 0) continue;
        for (int64_t v = 0, sum = step / 2; v < 256; sum += count[v], v++)
            table[v] = (uint8_t)(sum / step > 255 ? 255 : sum / step);
        apply_table(table, n, pixels, c);
    }
}

static void simple_table(int operation, int64_t n, uint8_t *pixels) {
    uint8_t table[256];
    for (int v = 0; v < 256; v++) {
        const int added = v + SOLARIZE_ADD > 255 ? 255 : v + SOLARIZE_ADD;
        table[v] = (uint8_t)(operation == AP_AUGMENT_POSTERIZE ? v & 0xf0
                             : operation == AP_AUGMENT_INVERT  ? 255 - v
                             : v < 128                         ? added
                                                               : v);
    }
    for (int64_t i = 0; i < n * COLOURS; i++) pixels[i] = table[pixels[i]];
}

/* ---- cutout */

/* A square of side 80, its last row and column beyond that, about a place that the reference draws between 1 and the
 * extent (its call names the lower end only). */
static void cutout(float x, float y, int64_t h, int64_t w, uint8_t *pixels) {
    const double place_x = (double)w + (double)x * (1 - (double)w), place_y = (double)h + (double)y * (1 - (double)h);
    const int64_t left = place_x > CUTOUT ? (int64_t)(place_x - CUTOUT) : 0;
    const int64_t top = place_y > CUTOUT ? (int64_t)(place_y - CUTOUT) : 0;
    for (int64_t i = top; i <= top + 2 * CUTOUT && i < h; i++)
        for (int64_t j = left; j <= left + 2 * CUTOUT && j < w; j++)
            memset(pixels + (i * w + j) * COLOURS, GREY, COLOURS);
}

/* ---- all of them */

void ap_augment(int operation, int sign, float x, float y, int64_t h, int64_t w, uint8_t *pixels, uint8_t *scratch) {
    const int64_t n = h * w;
    const double shear = SHEAR * sign, shift = -TRANSLATE * sign;
    switch (operation) {
    case AP_AUGMENT_SHEAR_X: transform((double[]){1, shear, 0, 0, 1, 0}, h, w, pixels, scratch); break;
    case AP_AUGMENT_SHEAR_Y: transform((double[]){1, 0, 0, shear, 1, 0}, h, w, pixels, scratch); break;
    case AP_AUGMENT_TRANSLATE_X: transform((double[]){1, 0, shift, 0, 1, 0}, h, w, pixels, scratch); break;
    case AP_AUGMENT_TRANSLATE_Y: transform((double[]){1, 0, 0, 0, 1, shift}, h, w, pixels, scratch); break;
    case AP_AUGMENT_ROTATE: rotate(sign, h, w, pixels, scratch); break;
    case AP_AUGMENT_BRIGHTNESS: brightness(n, pixels); break;
    case AP_AUGMENT_COLOUR: colour(n, pixels); break;
    case AP_AUGMENT_CONTRAST: contrast(n, pixels); break;
    case AP_AUGMENT_SHARPNESS: sharpness(h, w, pixels, scratch); break;
    case AP_AUGMENT_AUTO_CONTRAST: auto_contrast(n, pixels); break;
    case AP_AUGMENT_EQUALIZE: equalize(n, pixels); break;
    case AP_AUGMENT_SOLARIZE: break;
    case AP_AUGMENT_CUTOUT: cutout(x, y, h, w, pixels); break;
    default: simple_table(operation, n, pixels); break;
    }
}

void ap_randaugment(const float *draws, int64_t h, int64_t w, uint8_t *pixels, uint8_t *scratch) {
    for (int k = 0; k < AP_RANDAUGMENT_OPERATIONS; k++, draws += 4)
        ap_augment((int)(draws[0] * AP_AUGMENTS), draws[1] < 0.5f ? 1 : -1, draws[2], draws[3], h, w, pixels, scratch);
}
