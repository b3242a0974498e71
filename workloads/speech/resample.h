/* Sound of 8 kHz at 16 kHz, in plain C: the small real set's recordings for a front end that is made for 16 kHz. */
#ifndef AP_SPEECH_RESAMPLE_H
#define AP_SPEECH_RESAMPLE_H

#include <stdint.h>

/* from [n] -> to [2 n]: to[2 i] = from[i]; in between, at i + 1/2, the windowed sinc (Kaiser, beta 10, 64 samples wide;
 * zeros beyond the ends), rounded to the nearest integer and kept within 16 bits. What lies above 3.6 kHz leaves an
 * image above 4.4 kHz that is damped less and less; the image of all below is damped by 100 dB. Every sum in double, in
 * a written order: nearest pair of samples first, so the same bits everywhere. Libraries for this (soxr,
 * libsamplerate) leave the order of sums to the compiler and the CPU. */
void ap_speech_double_rate(int64_t n, const int16_t *from, int16_t *to);

#endif
