/* Digests: XXH3-128 (libxxhash), for damage detection and for the comparison of parameters; not a signature. */
#ifndef AP_BASE_DIGEST_H
#define AP_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

typedef struct ap_digest {
    uint64_t low, high;
} ap_digest;

enum { AP_DIGEST_TEXT = 33 };

ap_digest ap_digest_of(const void *bytes, size_t n);
uint64_t ap_digest64(const void *bytes, size_t n); /* XXH3-64, for short records */

/* Streaming form. create returns NULL when out of memory; final may be called at any time and does not end the stream.
 */
typedef struct ap_digest_stream ap_digest_stream;
ap_digest_stream *ap_digest_stream_create(void);
void ap_digest_stream_add(ap_digest_stream *stream, const void *bytes, size_t n);
ap_digest ap_digest_stream_final(const ap_digest_stream *stream);
void ap_digest_stream_destroy(ap_digest_stream *stream);

/* 32 lower-case hex digits, the canonical (big-endian) form that `xxhsum -H2` prints. */
void ap_digest_text(ap_digest digest, char text[AP_DIGEST_TEXT]);
int ap_digest_parse(const char *text, ap_digest *digest); /* 1 = fine, 0 = not 32 hex digits */
static inline int ap_digest_equal(ap_digest a, ap_digest b) {
    return a.low == b.low && a.high == b.high;
}

#endif
