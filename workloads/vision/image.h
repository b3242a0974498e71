/* From pixels to the model's arrays: crop, flip, normalisation. */
#ifndef AP_WORKLOADS_VISION_IMAGE_H
#define AP_WORKLOADS_VISION_IMAGE_H

#include "workload/workload.h"

enum { AP_COLOURS = 3 };

/* (x / 255 - mean) / std for each colour, in float32, each operation rounded once. */
typedef struct ap_colour_scale {
    float mean[AP_COLOURS], std[AP_COLOURS];
} ap_colour_scale;

/* The part of an image that is taken: pixel (i, j) of the result is (top + i, left + j), or (.., left + width - 1 - j)
 * when flipped. Pixels outside are 0 before normalisation. */
typedef struct ap_crop {
    int64_t top, left;
    bool flip;
} ap_crop;

/* pixels [h, w, 3] uint8 -> out [3, size_h, size_w] */
void ap_image_normalise(const uint8_t *pixels, int64_t h, int64_t w, const ap_crop *crop, const ap_colour_scale *scale,
                        int64_t size_h, int64_t size_w, float *out);

/* In place: [3, size, size] -> [3, times size, times size], each pixel repeated to a square. */
void ap_image_enlarge(float *image, int64_t size, int64_t times);

/* Batch arrays of n labelled images: `inputs` float32 [padded_to, 3, h, w], `targets` int64 [padded_to], and `weights`
 * where a batch has them (see ap_collate); rows behind n are zeroed. AP_ENVIRONMENT without memory. */
typedef struct ap_image_batch {
    float *inputs, *weights;
    int64_t *targets;
} ap_image_batch;
ap_status ap_image_batch_add(const ap_collate_key *key, int64_t n, int64_t padded_to, int64_t h, int64_t w,
                             ap_batch *batch, ap_image_batch *arrays, ap_error *error);

/* `count` uniform numbers in [0, 1) for example i of the batch; at most 64. Keyed by (seed, step, shard, i). */
void ap_image_draws(const ap_collate_key *key, int64_t i, int count, float *draws);

#endif
