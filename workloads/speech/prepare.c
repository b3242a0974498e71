/* algoperf prepare librispeech_conformer, librispeech_deepspeech: LibriSpeech's folders, or small ones of their form ->
 * sound and token ids in one packed file, with the list of pieces. A part is a chapter.
 *
 * As published: utterances with more than LONGEST_TEXT characters or LONGEST_SOUND samples are left out; tokens are
 * SentencePiece's, of a unigram model with PIECES pieces trained on the first CORPUS characters of train-clean-100, or
 * of `spm_model.vocab` in the folder. The small folders (train, valid, test) have single characters. */
#include "workloads/speech/chapters.h"
#include "workloads/speech/features.h"
#include "workloads/speech/resample.h"
#include "workloads/speech/speech.h"
#include "workloads/speech/vocabulary.h"
#include "workloads/text/pieces.h"

#include "data/flac.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_TEXT = 256, LONGEST_SOUND = 320000, PIECES = 1024, CORPUS = 10000000, HALF_RATE = AP_SPEECH_RATE / 2 };
static const char model_file[] = "spm_model.vocab";

typedef struct reader {
    ap_chapters chapters;
    ap_pieces *pieces; /* NULL: single characters */
    char name[AP_FOLDER_NAME];
    char tokens[128]; /* what they are, for the record */
} reader;

static void release(void *user) {
    reader *r = user;
    ap_chapters_free(&r->chapters);
    ap_pieces_free(r->pieces);
    free(r);
}

/* ---- an utterance */

typedef struct work {
    ap_flac sound;
    int32_t *token;
    int64_t tokens, room;
    ap_example example;
} work;

static void free_work(work *w) {
    ap_flac_free(&w->sound);
    free(w->token);
    ap_example_free(&w->example);
}

static bool has_room(work *w, int64_t n) {
    if (n <= w->room && w->token) return true;
    int32_t *grown = realloc(w->token, (size_t)(2 * n + 16) * sizeof *grown);
    if (!grown) return false;
    w->token = grown, w->room = 2 * n + 16;
    return true;
}

/* Runs of spaces count once, as with SentencePiece. */
static ap_status spell(work *w, const char *text, ap_error *error) {
    if (!has_room(w, (int64_t)strlen(text) + 1)) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    w->tokens = 0;
    for (const char *c = text; *c; c++) {
        if (c > text && *c == ' ' && c[-1] == ' ') continue;
        const int64_t token = ap_speech_token_of(*c);
        if (token < 0)
            return ap_fail(error, AP_DATA,
                           "character %td, byte 0x%02x, is not in the vocabulary (A to Z, the apostrophe, the space)",
                           c - text + 1, (unsigned char)*c);
        w->token[w->tokens++] = (int32_t)token;
    }
    return AP_OK;
}

/* Token ids of a transcript, end of sentence included. */
static ap_status cut_text(const reader *r, work *w, const char *text, ap_error *error) {
    if (!r->pieces) AP_TRY(spell(w, text, error));
    if (r->pieces) w->tokens = ap_pieces_cut(r->pieces, text, (int64_t)strlen(text), &w->token, &w->room);
    if (w->tokens < 0 || !has_room(w, w->tokens + 1))
        return ap_fail(error, AP_ENVIRONMENT, "SentencePiece failed, or memory is out");
    for (int64_t i = 0; i < w->tokens; i++)
        if (w->token[i] == AP_TOKEN_BLANK)
            return ap_fail(error, AP_DATA, "the transcript has characters that the pieces do not cover (%s)",
                           r->tokens);
    w->token[w->tokens++] = AP_TOKEN_END;
    return AP_OK;
}

/* Steps of an alignment: a blank lies between equal tokens. */
static int64_t steps_needed(const work *w) {
    int64_t steps = w->tokens;
    for (int64_t i = 1; i < w->tokens; i++) steps += w->token[i] == w->token[i - 1];
    return steps;
}

/* Samples at 16 kHz of the sound that was read. */
static ap_status check_sound(const ap_flac *sound, const char *path, int64_t *samples, ap_error *error) {
    if (sound->rate != AP_SPEECH_RATE && sound->rate != HALF_RATE)
        return ap_fail(error, AP_DATA, "%s: %" PRId64 " samples a second (%d, or %d, which is doubled, are expected)",
                       path, sound->rate, AP_SPEECH_RATE, HALF_RATE);
    *samples = sound->rate == HALF_RATE ? 2 * sound->samples : sound->samples;
    if (*samples < AP_SPEECH_FRAME)
        return ap_fail(error, AP_DATA, "%s: %" PRId64 " samples at %d Hz (at least %d: a frame of features)", path,
                       *samples, AP_SPEECH_RATE, AP_SPEECH_FRAME);
    return AP_OK;
}

/* The example of `samples` samples, which were read from `path`, and of the tokens. */
static ap_status append(work *w, const char *path, int64_t samples, ap_part_output *output, ap_error *error) {
    const int64_t steps = ap_speech_valid_steps(samples + AP_SPEECH_RATE, samples);
    if (steps_needed(w) > steps)
        return ap_fail(error, AP_DATA,
                       "%s: %" PRId64 " samples are %" PRId64 " steps, its %" PRId64 " tokens need %" PRId64
                       " (the loss would be infinite)",
                       path, samples, steps, w->tokens, steps_needed(w));
    AP_TRY(ap_example_reserve(&w->example, AP_SPEECH_FIELDS, ap_speech_generator.field, (int64_t[]){samples, w->tokens},
                              error));
    if (w->sound.rate == HALF_RATE)
        ap_speech_double_rate(w->sound.samples, w->sound.sample, w->example.data[AP_SPEECH_AUDIO]);
    else
        memcpy(w->example.data[AP_SPEECH_AUDIO], w->sound.sample, (size_t)samples * sizeof *w->sound.sample);
    memcpy(w->example.data[AP_SPEECH_TARGETS], w->token, (size_t)w->tokens * sizeof *w->token);
    return ap_part_append(output, &w->example, error);
}

static ap_status read_utterance(const reader *r, const ap_chapter *chapter, const ap_transcript *t, int64_t index,
                                work *w, ap_part_output *output, ap_error *error) {
    const ap_utterance *u = &t->utterance[index];
    char path[AP_PATH];
    int64_t samples = 0;
    AP_TRY(ap_transcript_check(chapter, t, index, error));
    if (strlen(u->text) > LONGEST_TEXT) {
        ap_part_leave_out(output);
        return AP_OK;
    }
    AP_TRY(ap_path(path, error, "%s/%s.flac", chapter->path, u->id));
    AP_TRY(ap_flac_read(path, &w->sound, error));
    AP_TRY(check_sound(&w->sound, path, &samples, error));
    if (samples > LONGEST_SOUND) {
        ap_part_leave_out(output);
        return AP_OK;
    }
    if (cut_text(r, w, u->text, error)) return ap_context(error, "%s:%" PRId64 ": %s", t->path, u->line, u->id);
    return append(w, path, samples, output, error);
}

static ap_status read_part(void *user, int64_t index, ap_part_output *output, ap_error *error) {
    const reader *r = user;
    const ap_chapter *chapter = &r->chapters.chapter[index];
    ap_transcript transcript;
    work w = {0};
    ap_status status = ap_transcript_read(chapter, &transcript, error);
    for (int64_t i = 0; status == AP_OK && i < transcript.count; i++) {
        status = read_utterance(r, chapter, &transcript, i, &w, output, error);
        if (status != AP_OK) status = ap_part_skip(output, error);
    }
    free_work(&w);
    ap_transcript_free(&transcript);
    return status;
}

/* ---- tokens */

/* The words of the chapter, a line an utterance; *full when no more may be added. */
static ap_status add_words(const ap_chapter *chapter, char *corpus, int64_t *bytes, bool *full, ap_error *error) {
    ap_transcript t;
    ap_status status = ap_transcript_read(chapter, &t, error);
    for (int64_t i = 0; status == AP_OK && !*full && i < t.count; i++) {
        const int64_t n = t.utterance[i].line ? (int64_t)strlen(t.utterance[i].text) : 0;
        *full = *bytes + n + 1 > CORPUS;
        if (*full || !n) continue;
        memcpy(corpus + *bytes, t.utterance[i].text, (size_t)n);
        *bytes += n;
        corpus[(*bytes)++] = '\n';
    }
    ap_transcript_free(&t);
    return status;
}

/* On the transcripts of the first folder of training: train-clean-100. */
static ap_status train_pieces(reader *r, ap_error *error) {
    const ap_chapters *c = &r->chapters;
    char *corpus = malloc(CORPUS);
    int64_t bytes = 0;
    bool full = false;
    if (!corpus) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_status status = AP_OK;
    for (int64_t i = 0; status == AP_OK && !full && i < c->count && c->chapter[i].folder == c->chapter[0].folder &&
                        c->chapter[i].split == AP_TRAIN;
         i++)
        status = add_words(&c->chapter[i], corpus, &bytes, &full, error);
    if (status == AP_OK) status = ap_pieces_train(corpus, bytes, PIECES, &r->pieces, error);
    free(corpus);
    snprintf(r->tokens, sizeof r->tokens, "up to %d pieces trained on %" PRId64 " bytes", PIECES, bytes);
    return status;
}

static ap_status choose_tokens(reader *r, const char *from, ap_prepare_plan *plan, ap_error *error) {
    char path[AP_PATH];
    AP_TRY(ap_path(path, error, "%s/%s", from, model_file));
    if (ap_file_exists(path)) {
        snprintf(r->tokens, sizeof r->tokens, "pieces of %s", model_file);
        AP_TRY(ap_pieces_load(path, &r->pieces, error));
    } else if (r->chapters.published) {
        AP_TRY(train_pieces(r, error));
    } else {
        snprintf(r->tokens, sizeof r->tokens, "single characters");
    }
    plan->vocabulary = r->pieces ? ap_pieces_list(r->pieces) : strdup(ap_speech_characters);
    return plan->vocabulary ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of pieces");
}

/* ---- the plan */

static ap_status plan_parts(const reader *r, ap_prepare_plan *plan, ap_error *error) {
    const ap_chapters *c = &r->chapters;
    char pieces[AP_DIGEST_TEXT], files[AP_DIGEST_TEXT];
    ap_digest_text(ap_digest_of(plan->vocabulary, strlen(plan->vocabulary)), pieces);
    ap_digest_text(ap_digest_stream_final(c->digest), files);
    for (int64_t i = 0; i < c->count; i++)
        AP_TRY(ap_prepare_plan_add(plan, c->chapter[i].split, c->chapter[i].bytes, c->chapter[i].stamp, error,
                                   "%s, vocabulary %s", c->chapter[i].short_path, pieces));
    return ap_prepare_plan_source(plan, error, "%" PRId64 " chapters; xxh3_128=%s of their files' names and sizes; %s",
                                  c->count, files, r->tokens);
}

ap_status ap_speech_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    reader *r = calloc(1, sizeof *r);
    if (!r) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    *plan = (ap_prepare_plan){.data_set = r->name, .reader = r, .read = read_part, .release = release};
    ap_prepare_folder_name(options->from, "speech", r->name);
    if (!ap_flac_available()) return ap_flac_read(options->from, NULL, error); /* says what to install */
    AP_TRY(ap_chapters_list(options->from, &r->chapters, error));
    if (r->chapters.published && r->chapters.complete) snprintf(r->name, sizeof r->name, "librispeech");
    AP_TRY(choose_tokens(r, options->from, plan, error));
    return plan_parts(r, plan, error);
}
