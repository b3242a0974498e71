#include "workloads/vision/resize.h"

#include "base/fmath.h"

#include <math.h>
#include <stdlib.h>

enum { COLOURS = 3, FRACTION = 22, TABLE = 1024 };

ap_image_view ap_image_view_crop(ap_image_view image, int64_t top, int64_t left, int64_t h, int64_t w) {
    return (ap_image_view){image.pixels + top * image.stride + left * COLOURS, h, w, image.stride};
}

static ap_status no_memory(ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "out of memory to resize an image");
}

/* ---- the triangle filter */

/* What outputs [first, first + n) of `size` take from the `in` inputs of a row or column. */
typedef struct taps {
    int64_t most;    /* of one output */
    int64_t *begin;  /* [n] first input */
    int32_t *count;  /* [n] */
    int32_t *weight; /* [n, most], 1 = 2^22 */
    double *scratch; /* [most] */
} taps;

static void free_taps(taps *t) {
    free(t->begin), free(t->count), free(t->weight), free(t->scratch);
}

static double triangle(double x) {
    x = x < 0 ? -x : x;
    return x < 1 ? 1 - x : 0;
}

static void fill_taps(taps *t, int64_t i, double centre, double width, int64_t in) {
    int64_t begin = (int64_t)(centre - width + 0.5), end = (int64_t)(centre + width + 0.5);
    if (begin < 0) begin = 0;
    if (end > in) end = in;
    double sum = 0;
    for (int64_t x = begin; x < end; x++) {
        const double w = triangle(((double)x - centre + 0.5) * (1.0 / width));
        t->scratch[x - begin] = w;
        sum += w;
    }
    t->begin[i] = begin;
    t->count[i] = (int32_t)(end - begin);
    for (int64_t k = 0; k < end - begin; k++)
        t->weight[i * t->most + k] = (int32_t)(0.5 + t->scratch[k] / sum * (1 << FRACTION));
}

static ap_status make_taps(taps *t, int64_t in, int64_t size, int64_t first, int64_t n, ap_error *error) {
    const double scale = (double)in / (double)size, width = scale < 1 ? 1 : scale;
    t->most = (int64_t)ceil(width) * 2 + 1;
    t->begin = malloc((size_t)n * sizeof *t->begin);
    t->count = malloc((size_t)n * sizeof *t->count);
    t->weight = malloc((size_t)(n * t->most) * sizeof *t->weight);
    t->scratch = malloc((size_t)t->most * sizeof *t->scratch);
    if (!t->begin || !t->count || !t->weight || !t->scratch) return no_memory(error);
    for (int64_t i = 0; i < n; i++) fill_taps(t, i, ((double)(first + i) + 0.5) * scale, width, in);
    return AP_OK;
}

static uint8_t to_byte(int64_t sum) {
    const int64_t value = sum >> FRACTION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* in [*, w, 3] of one row -> out [columns, 3] */
static void resize_row(const uint8_t *in, const taps *t, int64_t columns, uint8_t *out) {
    for (int64_t j = 0; j < columns; j++) {
        const uint8_t *from = in + t->begin[j] * COLOURS;
        const int32_t *weight = t->weight + j * t->most;
        int32_t sum[COLOURS] = {1 << (FRACTION - 1), 1 << (FRACTION - 1), 1 << (FRACTION - 1)};
        for (int32_t k = 0; k < t->count[j]; k++)
            for (int c = 0; c < COLOURS; c++) sum[c] += from[COLOURS * k + c] * weight[k];
        for (int c = 0; c < COLOURS; c++) out[COLOURS * j + c] = to_byte(sum[c]);
    }
}

/* in: rows `first`, first + 1, ... of `bytes` bytes each; sum: [bytes] */
static void mix_rows(const uint8_t *in, int64_t first, const taps *t, int64_t i, int64_t bytes, int32_t *sum,
                     uint8_t *out) {
    const int32_t *weight = t->weight + i * t->most;
    for (int64_t b = 0; b < bytes; b++) sum[b] = 1 << (FRACTION - 1);
    for (int32_t k = 0; k < t->count[i]; k++) {
        const uint8_t *row = in + (t->begin[i] + k - first) * bytes;
        for (int64_t b = 0; b < bytes; b++) sum[b] += row[b] * weight[k];
    }
    for (int64_t b = 0; b < bytes; b++) out[b] = to_byte(sum[b]);
}

static ap_status resize(ap_image_view image, const taps *across, const taps *down, int64_t rows, int64_t columns,
                        uint8_t *out, ap_error *error) {
    const int64_t first = down->begin[0], last = down->begin[rows - 1] + down->count[rows - 1];
    const int64_t bytes = columns * COLOURS;
    uint8_t *narrow = malloc((size_t)((last - first) * bytes));
    int32_t *sum = malloc((size_t)bytes * sizeof *sum);
    if (narrow && sum) {
        for (int64_t y = first; y < last; y++)
            resize_row(image.pixels + y * image.stride, across, columns, narrow + (y - first) * bytes);
        for (int64_t i = 0; i < rows; i++) mix_rows(narrow, first, down, i, bytes, sum, out + i * bytes);
    }
    const bool fine = narrow && sum;
    free(narrow);
    free(sum);
    return fine ? AP_OK : no_memory(error);
}

ap_status ap_image_resize(ap_image_view image, int64_t h, int64_t w, int64_t top, int64_t left, int64_t rows,
                          int64_t columns, uint8_t *out, ap_error *error) {
    taps across = {0}, down = {0};
    ap_status status = make_taps(&across, image.w, w, left, columns, error);
    if (status == AP_OK) status = make_taps(&down, image.h, h, top, rows, error);
    if (status == AP_OK) status = resize(image, &across, &down, rows, columns, out, error);
    free_taps(&across);
    free_taps(&down);
    return status;
}

/* ---- Keys' cubic */

typedef struct cubic {
    int64_t at[4];
    float weight[4];
} cubic;

/* Weight of the pixel `far` = 0: next to, 1: second next to a place that is i / TABLE away from it. */
static float keys(int64_t i, int far) {
    const double a = -0.5;
    float x = (float)((double)i / TABLE);
    if (!far) return (float)(((a + 2) * (double)x - (a + 3)) * (double)x * (double)x + 1);
    x += 1.0f;
    return (float)(((a * (double)x - 5 * a) * (double)x + 8 * a) * (double)x - 4 * a);
}

static cubic make_cubic(int64_t out, float scale, int64_t limit) {
    const float place = ((float)out + 0.5f) * scale - 0.5f, whole = floorf(place);
    const int64_t at = (int64_t)whole, offset = lrintf((place - whole) * TABLE);
    const float weight[4] = {keys(offset, 1), keys(offset, 0), keys(TABLE - offset, 0), keys(TABLE - offset, 1)};
    cubic c;
    float sum = 0;
    for (int k = 0; k < 4; k++) {
        const int64_t wanted = at - 1 + k;
        c.at[k] = wanted < 0 ? 0 : wanted >= limit ? limit - 1 : wanted;
        c.weight[k] = c.at[k] == wanted ? weight[k] : 0;
        sum += c.weight[k];
    }
    const float factor = 1.0f / sum;
    for (int k = 0; k < 4; k++) c.weight[k] *= factor;
    return c;
}

static float cubic_sum(const float value[4], const float weight[4]) {
    return value[0] * weight[0] + value[1] * weight[1] + value[2] * weight[2] + value[3] * weight[3];
}

static float cubic_pixel(ap_image_view image, const cubic *y, const cubic *x, int colour) {
    float column[4];
    for (int j = 0; j < 4; j++) {
        float value[4];
        for (int i = 0; i < 4; i++) value[i] = image.pixels[y->at[i] * image.stride + x->at[j] * COLOURS + colour];
        column[j] = cubic_sum(value, y->weight);
    }
    return cubic_sum(column, x->weight);
}

ap_status ap_image_resize_bicubic(ap_image_view image, int64_t side, float *out, ap_error *error) {
    const float down = (float)image.h / (float)side, across = (float)image.w / (float)side;
    cubic *x = malloc((size_t)side * sizeof *x);
    if (!x) return no_memory(error);
    for (int64_t j = 0; j < side; j++) x[j] = make_cubic(j, across, image.w);
    for (int64_t i = 0; i < side; i++) {
        const cubic y = make_cubic(i, down, image.h);
        for (int64_t j = 0; j < side; j++)
            for (int c = 0; c < COLOURS; c++) out[(i * side + j) * COLOURS + c] = cubic_pixel(image, &y, &x[j], c);
    }
    free(x);
    return AP_OK;
}

/* ---- the training crop */

/* Where no try fits: the centre, as wide or high as the aspects allow. */
static ap_image_box central_box(int64_t h, int64_t w) {
    ap_image_box box = {.h = h, .w = w};
    const double ratio = (double)w / (double)h;
    if (ratio < 3.0 / 4) box.h = (int64_t)rint((double)w / (3.0 / 4));
    if (ratio > 4.0 / 3) box.w = (int64_t)rint((double)h * (4.0 / 3));
    box.top = (h - box.h) / 2;
    box.left = (w - box.w) / 2;
    return box;
}

ap_image_box ap_image_random_box(int64_t h, int64_t w, const float *draws) {
    const double area = (double)(h * w), low = ap_f64_log(3.0 / 4), high = ap_f64_log(4.0 / 3);
    for (int t = 0; t < AP_CROP_TRIES; t++) {
        const double target = area * (0.08 + (1 - 0.08) * (double)draws[2 * t]);
        const double aspect = ap_f64_exp(low + (high - low) * (double)draws[2 * t + 1]);
        const int64_t box_w = (int64_t)rint(sqrt(target * aspect)), box_h = (int64_t)rint(sqrt(target / aspect));
        if (box_w < 1 || box_w > w || box_h < 1 || box_h > h) continue;
        const float *place = draws + 2 * AP_CROP_TRIES;
        return (ap_image_box){.top = (int64_t)((double)place[0] * (double)(h - box_h + 1)),
                              .left = (int64_t)((double)place[1] * (double)(w - box_w + 1)),
                              .h = box_h,
                              .w = box_w};
    }
    return central_box(h, w);
}
