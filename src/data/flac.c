#include "data/flac.h"

#include <stdlib.h>

void ap_flac_free(ap_flac *sound) {
    free(sound->sample);
    *sound = (ap_flac){0};
}

#ifdef AP_HAVE_FLAC

#include <FLAC/stream_decoder.h>
#include <stdio.h>

bool ap_flac_available(void) {
    return true;
}

typedef struct reading {
    const char *path;
    ap_flac *sound;
    int64_t announced; /* samples, as the head says; 0: it does not */
    bool begun, damaged;
    const char *damage;
    ap_status status; /* of the callbacks */
    ap_error *error;
} reading;

static bool has_room(ap_flac *sound, int64_t samples) {
    if (samples <= sound->room) return true;
    const int64_t room = samples + samples / 2;
    int16_t *grown = realloc(sound->sample, (size_t)room * sizeof *grown);
    if (!grown) return false;
    sound->sample = grown, sound->room = room;
    return true;
}

static void take_head(const FLAC__StreamDecoder *decoder, const FLAC__StreamMetadata *block, void *user) {
    (void)decoder;
    reading *r = user;
    if (block->type != FLAC__METADATA_TYPE_STREAMINFO) return;
    const FLAC__StreamMetadata_StreamInfo *info = &block->data.stream_info;
    r->begun = true;
    r->sound->rate = info->sample_rate;
    r->announced = (int64_t)info->total_samples;
    if (info->channels != 1)
        r->status = ap_fail(r->error, AP_DATA, "%s: has %u channels (1 is expected)", r->path, info->channels);
    else if (info->bits_per_sample != 16)
        r->status =
            ap_fail(r->error, AP_DATA, "%s: has %u bits a sample (16 is expected)", r->path, info->bits_per_sample);
    else if (r->announced > AP_FLAC_LONGEST)
        r->status = ap_fail(r->error, AP_DATA, "%s: %lld samples (at most %d are read)", r->path,
                            (long long)r->announced, AP_FLAC_LONGEST);
}

static FLAC__StreamDecoderWriteStatus take_samples(const FLAC__StreamDecoder *decoder, const FLAC__Frame *frame,
                                                   const FLAC__int32 *const buffer[], void *user) {
    (void)decoder;
    reading *r = user;
    const unsigned n = frame->header.blocksize;
    const int64_t all = r->sound->samples + n;
    if (frame->header.channels != 1 || frame->header.bits_per_sample != 16 || all > AP_FLAC_LONGEST)
        r->status = ap_fail(r->error, AP_DATA, "%s: is damaged: a block of samples does not fit the head", r->path);
    else if (!has_room(r->sound, all))
        r->status = ap_fail(r->error, AP_ENVIRONMENT, "%s: out of memory for %lld samples", r->path, (long long)all);
    if (r->status != AP_OK) return FLAC__STREAM_DECODER_WRITE_STATUS_ABORT;
    for (unsigned i = 0; i < n; i++) r->sound->sample[r->sound->samples + i] = (int16_t)buffer[0][i];
    r->sound->samples = all;
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
}

static void take_error(const FLAC__StreamDecoder *decoder, FLAC__StreamDecoderErrorStatus status, void *user) {
    (void)decoder;
    reading *r = user;
    if (!r->damaged) r->damage = FLAC__StreamDecoderErrorStatusString[status];
    r->damaged = true;
}

/* Decoder with the file open, not yet read. */
static ap_status decode(FLAC__StreamDecoder *decoder, reading *r, ap_error *error) {
    FILE *file = fopen(r->path, "rbe");
    if (!file) return ap_fail_errno(error, AP_IO, "%s: cannot be opened", r->path);
    FLAC__stream_decoder_set_md5_checking(decoder, true);
    if (FLAC__stream_decoder_init_FILE(decoder, file, take_samples, take_head, take_error, r) !=
        FLAC__STREAM_DECODER_INIT_STATUS_OK) {
        fclose(file);
        return ap_fail(error, AP_ENVIRONMENT, "%s: libFLAC could not begin", r->path);
    }
    FLAC__stream_decoder_process_until_end_of_metadata(decoder);
    if (r->status == AP_OK && !r->begun) return ap_fail(error, AP_DATA, "%s: is no FLAC file", r->path);
    if (r->status == AP_OK) FLAC__stream_decoder_process_until_end_of_stream(decoder);
    const bool intact = FLAC__stream_decoder_finish(decoder); /* closes the file */
    if (r->status != AP_OK) return r->status;
    if (r->announced && r->sound->samples < r->announced)
        return ap_fail(error, AP_DATA, "%s: ends after %lld of %lld samples: it is truncated or damaged", r->path,
                       (long long)r->sound->samples, (long long)r->announced);
    if (r->announced && r->sound->samples > r->announced)
        return ap_fail(error, AP_DATA, "%s: is damaged: it has %lld samples, its head says %lld", r->path,
                       (long long)r->sound->samples, (long long)r->announced);
    if (r->damaged) return ap_fail(error, AP_DATA, "%s: is damaged: libFLAC says %s", r->path, r->damage);
    if (!intact)
        return ap_fail(error, AP_DATA, "%s: is damaged: the MD5 of its samples is not the one it carries", r->path);
    return AP_OK;
}

ap_status ap_flac_read(const char *path, ap_flac *sound, ap_error *error) {
    reading r = {.path = path, .sound = sound, .error = error};
    sound->rate = sound->samples = 0;
    FLAC__StreamDecoder *decoder = FLAC__stream_decoder_new();
    if (!decoder) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for a decoder", path);
    const ap_status status = decode(decoder, &r, error);
    FLAC__stream_decoder_delete(decoder); /* closes what is still open */
    return status;
}

#else

bool ap_flac_available(void) {
    return false;
}

ap_status ap_flac_read(const char *path, ap_flac *sound, ap_error *error) {
    (void)sound;
    return ap_fail(
        error, AP_ENVIRONMENT,
        "%s: this program was built without libFLAC, so it cannot read FLAC files; on Debian: apt-get install "
        "libflac-dev, then build again",
        path);
}

#endif
