/* FLAC files to samples, by libFLAC (optional: without it every call is AP_ENVIRONMENT and says so). Lossless, so the
 * same samples everywhere; the MD5 of all samples that a FLAC file carries is checked. Not collective; thread-safe. */
#ifndef AP_DATA_FLAC_H
#define AP_DATA_FLAC_H

#include "base/status.h"
#include <stdint.h>

bool ap_flac_available(void);

typedef struct ap_flac {
    int64_t rate, samples; /* samples a second; number of samples */
    int16_t *sample;       /* from malloc */
    int64_t room;          /* private */
} ap_flac;
enum { AP_FLAC_LONGEST = 1 << 28 }; /* samples */
/* Reads a file of one channel of 16 bits a sample into *sound, whose memory grows and is reused. AP_DATA, with the
 * path: it is no FLAC file, has other channels or bits, ends too early, is damaged. AP_IO: it cannot be opened. */
ap_status ap_flac_read(const char *path, ap_flac *sound, ap_error *error);
void ap_flac_free(ap_flac *sound); /* frees the samples, not the struct */

#endif
