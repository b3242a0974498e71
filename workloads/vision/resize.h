/* Resizing and cropping as the published ImageNet pipelines do it. */
#ifndef AP_WORKLOADS_VISION_RESIZE_H
#define AP_WORKLOADS_VISION_RESIZE_H

#include "base/status.h"
#include <stdint.h>

/* A rectangle of an image of RGB pixels in memory of its own or another's: row i begins at pixels + i stride. */
typedef struct ap_image_view {
    const uint8_t *pixels;
    int64_t h, w, stride; /* stride: bytes */
} ap_image_view;
ap_image_view ap_image_view_crop(ap_image_view image, int64_t top, int64_t left, int64_t h, int64_t w);

/* Rows [top, top + rows) and columns [left, left + columns) of the image resized to h x w, out [rows, columns, 3]: the
 * triangle filter, widened by the scale where it shrinks ("bilinear with antialias"), columns first, each pass in
 * integers of 22 fractional bits and rounded to 8 bits: pixel for pixel what Pillow 10 gives for resize(BILINEAR)
 * (newer versions take the rows first where that is cheaper, which differs by one in a few places). */
ap_status ap_image_resize(ap_image_view image, int64_t h, int64_t w, int64_t top, int64_t left, int64_t rows,
                          int64_t columns, uint8_t *out, ap_error *error);

/* The image resized to side x side, out [side, side, 3] float32, by Keys' cubic (a = -1/2) at the nearest of 1024
 * positions between two pixels, without antialias: what tf.image.resize(BICUBIC) does. Four rows are summed first, then
 * four columns, in order of their index, each product and sum rounded once; weights outside the image are 0 and the
 * others add up to 1. */
ap_status ap_image_resize_bicubic(ap_image_view image, int64_t side, float *out, ap_error *error);

/* Where the training crop lies: RandomResizedCrop of torchvision with area 0.08 to 1 and aspect 3/4 to 4/3, ten tries,
 * then the centre. draws: AP_CROP_DRAWS uniform numbers in [0, 1). */
enum { AP_CROP_TRIES = 10, AP_CROP_DRAWS = 2 * AP_CROP_TRIES + 2 };
typedef struct ap_image_box {
    int64_t top, left, h, w;
} ap_image_box;
ap_image_box ap_image_random_box(int64_t h, int64_t w, const float *draws);

#endif
