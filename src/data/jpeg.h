/* JPEG images to RGB pixels, by libjpeg-turbo (optional: without it every call is AP_ENVIRONMENT and says so).
 *
 * The same pixels on every CPU: the slow integer transform (JDCT_ISLOW) and smooth upsampling, whose SIMD code equals
 * the C code bit for bit; the approximate transforms and merged upsampling are not used. It is also what the published
 * reference decodes with (Pillow's defaults). Grey becomes three equal colours. CMYK and YCCK, which are taken to be
 * inverted as Adobe writes them, become nk - c nk / 255 for each colour, as Pillow's `convert("RGB")` does. Pixels are
 * not turned by what Exif says, as the reference does not. Not collective; thread-safe. */
#ifndef AP_DATA_JPEG_H
#define AP_DATA_JPEG_H

#include "base/status.h"
#include <stdint.h>

bool ap_jpeg_available(void);
const char *ap_jpeg_library(void); /* "libjpeg-turbo 2.1.5" */

enum { AP_JPEG_LARGEST = 1 << 27 }; /* pixels */
/* Height and width from the header. AP_DATA: not a JPEG, no known colour space, too large. */
ap_status ap_jpeg_size(const uint8_t *bytes, size_t n, int64_t *h, int64_t *w, ap_error *error);
/* pixels [h, w, 3]. AP_DATA if the size is another, or the data are damaged or end too early: libjpeg goes on with grey
 * pixels then, which nobody wants to train on. */
ap_status ap_jpeg_decode(const uint8_t *bytes, size_t n, int64_t h, int64_t w, uint8_t *pixels, ap_error *error);

#endif
