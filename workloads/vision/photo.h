/* A JPEG photograph as the ImageNet models see it: the published crops of training and evaluation. */
#ifndef AP_WORKLOADS_VISION_PHOTO_H
#define AP_WORKLOADS_VISION_PHOTO_H

#include "workloads/vision/image.h"

/* Memory that the photographs of one batch share; starts as zeros. */
typedef struct ap_photo_memory {
    uint8_t *decoded, *image, *scratch;
    float *smooth;
    size_t room; /* bytes of `decoded` */
} ap_photo_memory;
void ap_photo_memory_free(ap_photo_memory *memory);

/* The photograph `bytes` of h x w pixels as out [3, side, side], normalised; example i of the batch.
 *
 * Training: a random box (resize.h) resized to side x side, flipped with p = 0.5, then RandAugment if `augment`.
 * Evaluation: the shorter side resized to 256/224 side, of which the centre is taken (the PyTorch form); of the test
 * split, as the reference does it there, the centre square of 224/256 of the shorter side, by bicubic interpolation.
 * Draws: elements of ap_image_draws, 0 flip, 1 to 22 the box, 24 to 31 RandAugment. */
ap_status ap_photo_prepare(const ap_collate_key *key, int64_t i, const uint8_t *bytes, size_t n, int64_t h, int64_t w,
                           int64_t side, bool augment, const ap_colour_scale *scale, ap_photo_memory *memory,
                           float *out, ap_error *error);

#endif
