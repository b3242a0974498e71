/* Folders of LibriSpeech's form for tests, their sound written by libFLAC's encoder. Includers define AP_HAVE_FLAC
 * where it was found; without it nothing is here. */
#ifndef AP_TESTS_SPEECH_FOLDER_H
#define AP_TESTS_SPEECH_FOLDER_H

#ifdef AP_HAVE_FLAC
#include <FLAC/stream_encoder.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct speech_sound {
    int rate, channels, bits;
    int64_t samples;
} speech_sound;

/* Sample i: two tones. */
static inline int speech_sample(int64_t i) {
    return (int)lrint(9000 * sin(0.05 * (double)i) + 3000 * sin(0.4 * (double)i));
}

static inline bool speech_write_sound(const char *path, speech_sound s) {
    FLAC__StreamEncoder *e = FLAC__stream_encoder_new();
    FLAC__int32 *all = malloc((size_t)(s.samples * s.channels + 1) * sizeof *all);
    for (int64_t i = 0; i < s.samples * s.channels; i++) all[i] = speech_sample(i / s.channels);
    FLAC__stream_encoder_set_channels(e, (unsigned)s.channels);
    FLAC__stream_encoder_set_bits_per_sample(e, (unsigned)s.bits);
    FLAC__stream_encoder_set_sample_rate(e, (unsigned)s.rate);
    FLAC__stream_encoder_set_blocksize(e, 1024);
    FLAC__stream_encoder_set_total_samples_estimate(e, (FLAC__uint64)s.samples);
    bool fine = FLAC__stream_encoder_init_file(e, path, NULL, NULL) == FLAC__STREAM_ENCODER_INIT_STATUS_OK &&
                FLAC__stream_encoder_process_interleaved(e, all, (unsigned)s.samples);
    fine = FLAC__stream_encoder_finish(e) && fine;
    FLAC__stream_encoder_delete(e);
    free(all);
    return fine;
}

/* A printf-like path below `root` whose folders are made. */
static inline const char *speech_path(const char *root, const char *format, ...) {
    static char path[4096];
    const int n = snprintf(path, sizeof path, "%s/", root);
    va_list args;
    va_start(args, format);
    vsnprintf(path + n, sizeof path - (size_t)n, format, args);
    va_end(args);
    for (char *c = path + 1; *c; c++) {
        if (*c != '/') continue;
        *c = 0;
        mkdir(path, 0777);
        *c = '/';
    }
    return path;
}

/* SPLIT/SPEAKER/CHAPTER with `count` utterances of ONE TWO, each of half a second and a little more. */
static inline bool speech_write_chapter(const char *root, const char *split, int speaker, int chapter, int count,
                                        int rate) {
    FILE *text = fopen(speech_path(root, "%s/%d/%d/%d-%d.trans.txt", split, speaker, chapter, speaker, chapter), "w");
    bool fine = text != NULL;
    for (int i = 0; fine && i < count; i++) {
        fprintf(text, "%d-%d-%04d ONE TWO\n", speaker, chapter, i);
        fine = speech_write_sound(
            speech_path(root, "%s/%d/%d/%d-%d-%04d.flac", split, speaker, chapter, speaker, chapter, i),
            (speech_sound){rate, 1, 16, rate / 2 + 100 * i});
    }
    return text && fclose(text) == 0 && fine;
}

#endif
#endif
