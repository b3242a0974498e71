/* Word error rate (workloads/librispeech_conformer, "Metric"), and the greedy CTC decoding before it. Not collective.
 */
#ifndef AP_WORKLOAD_WER_H
#define AP_WORKLOAD_WER_H

#include "base/status.h"

#include <stdint.h>

/* The rate of a split is the sum of errors over the sum of words. */
typedef struct ap_wer {
    int64_t errors; /* substitutions + insertions + deletions, the fewest that turn one into the other */
    int64_t words;  /* of the target; at least 1 */
} ap_wer;

/* Words are what white space separates. AP_ENVIRONMENT when out of memory. */
ap_status ap_wer_plain(const char *decoded, const char *target, ap_wer *result, ap_error *error);
/* The published metric, which the targets were set with: both texts are first written the way the reference does it by
 * accident, as Python prints the tensor: tf.Tensor(b'TEXT', shape=(), dtype=string). That adds two words to each, and
 * glues the prefix to the first and the suffix to the last word. */
ap_status ap_wer_published(const char *decoded, const char *target, ap_wer *result, ap_error *error);

/* Best class of each frame of logits [frames, classes] (the first of equals), repeats collapsed, blanks (class 0)
 * removed, into out [frames]; frames from `valid` on count as blank. Returns how many labels there are. */
int64_t ap_ctc_greedy(int64_t frames, int64_t valid, int64_t classes, const float *logits, int64_t *out);

#endif
