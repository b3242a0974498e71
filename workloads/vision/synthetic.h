/* Generated labelled images (README.md). Pure functions of (seed, split, index). */
#ifndef AP_WORKLOADS_VISION_SYNTHETIC_H
#define AP_WORKLOADS_VISION_SYNTHETIC_H

#include "data/dataset.h"

/* Class of an example, uniform in 0 .. classes - 1. */
int64_t ap_synthetic_label(uint64_t seed, ap_split split, int64_t index, int64_t classes);
/* Pixels [size, size, 3]; silhouettes and textures are turned by up to `turn` radians. About 0.06 us a pixel. */
void ap_synthetic_image(uint64_t seed, ap_split split, int64_t index, int64_t classes, int64_t size, double turn,
                        uint8_t *pixels);

/* Option `synthetic_turn`; member of the struct `model` by the same name. */
#define AP_SYNTHETIC_TURN_OPTION(model)                                                                                \
    {                                                                                                                  \
        .name = "synthetic_turn", .type = AP_OPTION_FLOAT, .offset = offsetof(model, synthetic_turn), .min = 0,        \
        .max = 4, .fallback = "3.2",                                                                                   \
        .help = "synthetic images: forms and textures are turned by up to this angle, radians; less is easier"         \
    }

#endif
