#include "base/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

ap_digest ap_digest_of(const void *bytes, size_t n) {
    XXH128_hash_t h = XXH3_128bits(bytes, n);
    return (ap_digest){h.low64, h.high64};
}

uint64_t ap_digest64(const void *bytes, size_t n) {
    return XXH3_64bits(bytes, n);
}

/* The library's own state, under our name. */
static XXH3_state_t *state_of(const ap_digest_stream *stream) {
    return (XXH3_state_t *)(uintptr_t)stream;
}

ap_digest_stream *ap_digest_stream_create(void) {
    XXH3_state_t *state = XXH3_createState();
    if (state) XXH3_128bits_reset(state);
    return (ap_digest_stream *)state;
}

void ap_digest_stream_add(ap_digest_stream *stream, const void *bytes, size_t n) {
    if (n) XXH3_128bits_update(state_of(stream), bytes, n);
}

ap_digest ap_digest_stream_final(const ap_digest_stream *stream) {
    XXH128_hash_t h = XXH3_128bits_digest(state_of(stream));
    return (ap_digest){h.low64, h.high64};
}

void ap_digest_stream_destroy(ap_digest_stream *stream) {
    if (stream) XXH3_freeState(state_of(stream));
}

void ap_digest_text(ap_digest digest, char text[AP_DIGEST_TEXT]) {
    snprintf(text, AP_DIGEST_TEXT, "%016" PRIx64 "%016" PRIx64, digest.high, digest.low);
}

int ap_digest_parse(const char *text, ap_digest *digest) {
    uint64_t half[2] = {0, 0};
    if (strlen(text) != AP_DIGEST_TEXT - 1) return 0;
    for (int i = 0; i < AP_DIGEST_TEXT - 1; i++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, text[i]);
        if (!at) return 0;
        half[i / 16] = half[i / 16] << 4 | (uint64_t)(at - digits);
    }
    *digest = (ap_digest){.high = half[0], .low = half[1]};
    return 1;
}
