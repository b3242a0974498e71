#include "workloads/vision/photo.h"

#include "data/jpeg.h"
#include "workloads/vision/randaugment.h"
#include "workloads/vision/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAW_FLIP = 0, DRAW_BOX = 1, DRAW_AUGMENT = 24, DRAWS = DRAW_AUGMENT + AP_RANDAUGMENT_DRAWS };

void ap_photo_memory_free(ap_photo_memory *memory) {
    free(memory->decoded), free(memory->image), free(memory->scratch), free(memory->smooth);
    *memory = (ap_photo_memory){0};
}

static ap_status reserve(ap_photo_memory *memory, size_t decoded, int64_t side, ap_error *error) {
    const size_t pixels = (size_t)(side * side * AP_COLOURS);
    if (decoded > memory->room) {
        free(memory->decoded);
        memory->decoded = malloc(decoded);
        memory->room = memory->decoded ? decoded : 0;
    }
    if (!memory->image) memory->image = malloc(pixels);
    if (!memory->scratch) memory->scratch = malloc(pixels);
    if (!memory->smooth) memory->smooth = malloc(pixels * sizeof *memory->smooth);
    if (!memory->decoded || !memory->image || !memory->scratch || !memory->smooth)
        return ap_fail(error, AP_ENVIRONMENT, "out of memory to decode an image");
    return AP_OK;
}

static void flip(uint8_t *image, int64_t side) {
    for (int64_t y = 0; y < side; y++)
        for (int64_t a = 0, b = side - 1; a < b; a++, b--) {
            uint8_t *left = image + (y * side + a) * AP_COLOURS, *right = image + (y * side + b) * AP_COLOURS,
                    kept[AP_COLOURS];
            memcpy(kept, left, AP_COLOURS);
            memcpy(left, right, AP_COLOURS);
            memcpy(right, kept, AP_COLOURS);
        }
}

static ap_status for_training(ap_image_view photo, const float *draws, int64_t side, bool augment,
                              ap_photo_memory *memory, ap_error *error) {
    const ap_image_box box = ap_image_random_box(photo.h, photo.w, draws + DRAW_BOX);
    const ap_image_view part = ap_image_view_crop(photo, box.top, box.left, box.h, box.w);
    AP_TRY(ap_image_resize(part, side, side, 0, 0, side, side, memory->image, error));
    if (draws[DRAW_FLIP] < 0.5f) flip(memory->image, side);
    if (augment) ap_randaugment(draws + DRAW_AUGMENT, side, side, memory->image, memory->scratch);
    return AP_OK;
}

/* Halves to even, as Python rounds. */
static ap_status for_validation(ap_image_view photo, int64_t side, ap_photo_memory *memory, ap_error *error) {
    const int64_t shorter = (side * 16 + 7) / 14;
    const int64_t h = photo.h <= photo.w ? shorter : (int64_t)((double)shorter * (double)photo.h / (double)photo.w);
    const int64_t w = photo.h <= photo.w ? (int64_t)((double)shorter * (double)photo.w / (double)photo.h) : shorter;
    return ap_image_resize(photo, h, w, (int64_t)rint((double)(h - side) / 2), (int64_t)rint((double)(w - side) / 2),
                           side, side, memory->image, error);
}

static ap_status for_test(ap_image_view photo, int64_t side, ap_photo_memory *memory, ap_error *error) {
    const int64_t shorter = photo.h < photo.w ? photo.h : photo.w;
    int64_t square = (int64_t)(224.0f / 256.0f * (float)shorter);
    if (square < 1) square = 1;
    const ap_image_view part =
        ap_image_view_crop(photo, (photo.h - square + 1) / 2, (photo.w - square + 1) / 2, square, square);
    return ap_image_resize_bicubic(part, side, memory->smooth, error);
}

/* (x - 255 mean) / (255 std), x [side, side, 3] */
static void normalise_smooth(const float *x, int64_t side, const ap_colour_scale *scale, float *out) {
    for (int c = 0; c < AP_COLOURS; c++) {
        const float mean = scale->mean[c] * 255.0f, std = scale->std[c] * 255.0f;
        for (int64_t i = 0; i < side * side; i++) out[c * side * side + i] = (x[i * AP_COLOURS + c] - mean) / std;
    }
}

ap_status ap_photo_prepare(const ap_collate_key *key, int64_t i, const uint8_t *bytes, size_t n, int64_t h, int64_t w,
                           int64_t side, bool augment, const ap_colour_scale *scale, ap_photo_memory *memory,
                           float *out, ap_error *error) {
    float draws[DRAWS];
    if (h < 1 || w < 1 || h * w > AP_JPEG_LARGEST)
        return ap_fail(error, AP_DATA, "an image of %lld x %lld pixels", (long long)h, (long long)w);
    AP_TRY(reserve(memory, (size_t)(h * w * AP_COLOURS), side, error));
    AP_TRY(ap_jpeg_decode(bytes, n, h, w, memory->decoded, error));
    const ap_image_view photo = {memory->decoded, h, w, w * AP_COLOURS};
    if (!key->training && key->split == AP_TEST) {
        AP_TRY(for_test(photo, side, memory, error));
        normalise_smooth(memory->smooth, side, scale, out);
        return AP_OK;
    }
    if (key->training) {
        ap_image_draws(key, i, DRAWS, draws);
        AP_TRY(for_training(photo, draws, side, augment, memory, error));
    } else {
        AP_TRY(for_validation(photo, side, memory, error));
    }
    ap_image_normalise(memory->image, side, side, &(ap_crop){0}, scale, side, side, out);
    return AP_OK;
}
