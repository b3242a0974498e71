/* RandAugment (Cubuk et al., arXiv 1909.13719) as the AlgoPerf reference applies it to ImageNet: two operations at full
 * magnitude, each drawn uniformly from sixteen, on 8-bit RGB pixels; nearest interpolation, what comes from outside is
 * grey 128. Pixel for pixel what Pillow and torchvision give. */
#ifndef AP_WORKLOADS_VISION_RANDAUGMENT_H
#define AP_WORKLOADS_VISION_RANDAUGMENT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    AP_AUGMENT_SHEAR_X,
    AP_AUGMENT_SHEAR_Y,
    AP_AUGMENT_TRANSLATE_X,
    AP_AUGMENT_TRANSLATE_Y,
    AP_AUGMENT_ROTATE,
    AP_AUGMENT_BRIGHTNESS,
    AP_AUGMENT_COLOUR,
    AP_AUGMENT_CONTRAST,
    AP_AUGMENT_SHARPNESS,
    AP_AUGMENT_POSTERIZE,
    AP_AUGMENT_SOLARIZE, /* threshold 256: leaves 8-bit pixels as they are */
    AP_AUGMENT_SOLARIZE_ADD,
    AP_AUGMENT_AUTO_CONTRAST,
    AP_AUGMENT_EQUALIZE,
    AP_AUGMENT_INVERT,
    AP_AUGMENT_CUTOUT,
    AP_AUGMENTS
};

/* One operation on pixels [h, w, 3], in place; sign +1 or -1 (of the first five); x, y in [0, 1): place of the cutout.
 * scratch [h, w, 3]. */
void ap_augment(int operation, int sign, float x, float y, int64_t h, int64_t w, uint8_t *pixels, uint8_t *scratch);

/* Both operations; draws: AP_RANDAUGMENT_DRAWS uniform numbers in [0, 1). */
enum { AP_RANDAUGMENT_OPERATIONS = 2, AP_RANDAUGMENT_DRAWS = 4 * AP_RANDAUGMENT_OPERATIONS };
void ap_randaugment(const float *draws, int64_t h, int64_t w, uint8_t *pixels, uint8_t *scratch);

#endif
