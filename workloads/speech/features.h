/* From sound to features: the log-mel front end and SpecAugment of the speech workloads (workloads/
 * librispeech_conformer, "Log-mel front end", "SpecAugment"). Fixed functions, no gradient. Not collective; any
 * thread. */
#ifndef AP_SPEECH_FEATURES_H
#define AP_SPEECH_FEATURES_H

#include "base/random.h"

#include <stdint.h>

enum {
    AP_SPEECH_RATE = 16000, /* samples a second */
    AP_SPEECH_FRAME = 401,  /* samples a frame looks at */
    AP_SPEECH_STEP = 160,   /* samples from frame to frame */
    AP_SPEECH_BINS = 80,
};

/* Whole frames of `samples` samples; 0 if there is none. */
int64_t ap_speech_frames(int64_t samples);

/* samples [count] at int16 scale; those from `valid` on count as 0 -> features [ap_speech_frames(count), 80]: the
 * logarithm of the mel spectrum, normalised per bin with the published means and deviations. In double, rounded once
 * per bin: the same bits everywhere. */
void ap_speech_log_mel(int64_t count, int64_t valid, const float *samples, float *features);
/* Frames that are not padding: a frame is padding if all its samples are. */
int64_t ap_speech_valid_frames(int64_t count, int64_t valid);

/* SpecAugment (Park et al. 2019): spans of time and of frequency that are set to 0. */
typedef struct ap_spec_augment {
    int time_masks, frequency_masks;
} ap_spec_augment;
enum { AP_SPEC_MASKS = 32 }; /* at most of each kind */
/* Uniform numbers in [0, 1): [time_masks], [time_masks], [frequency_masks], [frequency_masks]. */
typedef struct ap_spec_draws {
    float time_length[AP_SPEC_MASKS], time_start[AP_SPEC_MASKS];
    float frequency_length[AP_SPEC_MASKS], frequency_start[AP_SPEC_MASKS];
} ap_spec_draws;
/* Draws of one example: elements from 4 AP_SPEC_MASKS index of the stream on. */
void ap_spec_augment_draw(const ap_random *stream, int64_t index, ap_spec_draws *draws);
/* Applies the masks to features [frames, 80] of which `valid` are no padding. */
void ap_spec_augment_apply(const ap_spec_augment *options, const ap_spec_draws *draws, int64_t frames, int64_t valid,
                           float *features);

#endif
