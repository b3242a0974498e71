/* Generated labelled images (README.md). Pure functions of (seed, split, index). */
#ifndef AP_WORKLOADS_VISION_SYNTHETIC_H
#define AP_WORKLOADS_VISION_SYNTHETIC_H

#include "data/dataset.h"

/* Class of an example, uniform in 0 .. classes - 1. */
int64_t ap_synthetic_label(uint64_t seed, ap_split split, int64_t index, int64_t classes);
/* Pixels [size, size, 3]. About 0.15 us a pixel. */
void ap_synthetic_image(uint64_t seed, ap_split split, int64_t index, int64_t classes, int64_t size, uint8_t *pixels);

#endif
