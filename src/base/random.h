/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2,
 * 3", SC'11). Numbers are a pure function of (seed, purpose, step, shard, element), never of rank, thread or call order
 * (design decision 1). */
#ifndef AP_BASE_RANDOM_H
#define AP_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* out = philox4x32-10(counter, key); the published test vectors (Random123 kat_vectors) are in tests/unit. */
void ap_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* What a stream is for. Values are part of the bitwise promise: append, never renumber. */
typedef enum ap_random_purpose {
    AP_RANDOM_INIT = 1,       /* parameter initialisation; step = parameter index, shard = 0 */
    AP_RANDOM_SHUFFLE = 2,    /* order of the training set; step = epoch */
    AP_RANDOM_DROPOUT = 3,    /* step, shard; element counts through the layers of a pass */
    AP_RANDOM_AUGMENT = 4,    /* step, shard; element = index in the shard */
    AP_RANDOM_SYNTHETIC = 5,  /* synthetic data; step = example index, shard = split */
    AP_RANDOM_SUBMISSION = 6, /* the submission's own stream */
    AP_RANDOM_TUNING = 7,     /* search */
    AP_RANDOM_EVAL_TRAIN = 8, /* the choice of the eval_train subset */
    AP_RANDOM_BOOTSTRAP = 9,  /* resampling of results; step = resample, shard = submission */
} ap_random_purpose;

/* The stream of (seed, purpose, step, shard): a value, not an object; make one where it is needed.
 *
 * Key and counter of Philox, 32-bit words, low first (part of the bitwise promise):
 *     key     = seed low, seed high
 *     counter = block, attempt << 24 | shard, step low, purpose << 24 | step high
 * block: element / 4. attempt: 0, but for redraws of the truncated normal (1 .. 231) and the rounds of the permutation
 * (232 .. 255, block = the half that is hashed). So different numbers never share an input as long as step < 2^56,
 * shard < 2^24 and element < 2^34, which is asserted; within a stream only the functions below read the same elements.
 */
typedef struct ap_random {
    uint64_t seed;
    uint64_t step; /* with purpose << 56 */
    uint32_t shard;
} ap_random;
ap_random ap_random_stream(uint64_t seed, ap_random_purpose purpose, uint64_t step, uint32_t shard);

/* Element e of a stream (block e/4, lane e%4), random access. */
uint32_t ap_random_bits(const ap_random *stream, uint64_t element);
float ap_random_uniform(const ap_random *stream, uint64_t element); /* [0,1), a multiple of 2^-24: exact in float32 */

/* Fills out[0..n) with elements first..first+n. `scale` and `shift`: out = shift + scale * u, rounded once (fma). */
void ap_random_fill_uniform(const ap_random *stream, uint64_t first, size_t n, float shift, float scale, float *out);
/* Normal(mean, std) by the Box-Muller method on the bits r, t of elements 2e and 2e+1 (element e of the normal stream):
 * mean + std * sqrt(-2 log((r + 1/2) 2^-32)) cos(2 pi t 2^-32), in double with our own log and cosine, so that the bits
 * do not depend on libm. */
void ap_random_fill_normal(const ap_random *stream, uint64_t first, size_t n, float mean, float std, float *out);
/* N(0, std^2) truncated to [-2 std, 2 std] by resampling: draw a = 0, 1, ... of element e is the normal element e at
 * attempt a. */
void ap_random_fill_truncated_normal(const ap_random *stream, uint64_t first, size_t n, float std, float *out);

/* Position i of a keyed permutation of [0, n), n >= 1, 0 <= i < n: a Feistel network of 8 (n < 1024: 24) Philox
 * rounds with cycle walking. Random access, no table: any rank can ask for its own examples. */
int64_t ap_random_permute(const ap_random *stream, int64_t n, int64_t i);

#endif
