/* LibriSpeech's folders -> packed file: sound and words come back as they were, what is malformed is named with file,
 * line and rule, left out on demand, and counted. */
#include "check.h"
#include "prepare_alone.h"
#include "speech_folder.h"

#ifdef AP_HAVE_FLAC

#include "base/h5.h"
#include "data/flac.h"
#include "folder.h"
#include "workloads/speech/speech.h"
#include "workloads/speech/vocabulary.h"
#include "workloads/text/pieces.h"
#include "workloads/text/vocabulary.h"

static ap_error error;

static ap_status prepare(const char *from, const char *to, int64_t skip_bad) {
    const ap_workload *w;
    char source[AP_PATH], path[AP_PATH];
    snprintf(source, sizeof source, "%s", in_folder(from)), snprintf(path, sizeof path, "%s", in_folder(to));
    CHECK_INT(ap_workload_find("librispeech_conformer", &w, NULL), AP_OK);
    error = (ap_error){0};
    return prepare_alone(w, &(ap_prepare_options){.from = source, .to = path}, skip_bad, &error);
}
static ap_dataset *open_packed(const char *name) {
    ap_dataset *dataset = NULL;
    CHECK_INT(
        ap_dataset_open(in_folder(name), "librispeech", AP_SPEECH_FIELDS, ap_speech_generator.field, &dataset, &error),
        AP_OK);
    if (!dataset) printf("%s\n", error.text), exit(1);
    return dataset;
}
/* The words of an example, spelt by the file's own list of pieces; caller frees. */
static char *words_of(const ap_dataset *dataset, ap_example *e) {
    ap_vocabulary v;
    int64_t ids[512];
    const int64_t n = e->length[AP_SPEECH_TARGETS];
    CHECK(n < 512 && ap_vocabulary_open(ap_dataset_vocabulary(dataset), &v));
    for (int64_t k = 0; k < n; k++) ids[k] = ((int32_t *)e->data[AP_SPEECH_TARGETS])[k];
    CHECK_INT(ids[n - 1], AP_TOKEN_END);
    char *words = ap_vocabulary_text(&v, n, ids);
    ap_vocabulary_close(&v);
    return words;
}

static void write_small(const char *name) {
    const char *root = in_folder(name);
    CHECK(speech_write_chapter(root, "train", 1, 1, 3, 16000) && speech_write_chapter(root, "train", 2, 7, 2, 8000) &&
          speech_write_chapter(root, "valid", 1, 2, 2, 16000) && speech_write_chapter(root, "test", 1, 3, 1, 16000));
}

/* ---- what is good */

static void test_sound_and_words_come_back(void) {
    start();
    write_small("digits");
    CHECK_INT(prepare("digits", "digits.h5", 0), AP_OK);
    if (error.text[0]) printf("%s\n", error.text);
    ap_dataset *dataset = open_packed("digits.h5");
    CHECK(strcmp(ap_dataset_name(dataset), "digits") == 0);
    CHECK_INT(ap_dataset_count(dataset, AP_TRAIN), 5);
    CHECK_INT(ap_dataset_count(dataset, AP_VALIDATION), 2);
    CHECK_INT(ap_dataset_count(dataset, AP_TEST), 1);
    ap_example e = {0};
    for (int64_t i = 0; i < 5; i++) {
        CHECK_INT(ap_dataset_read(dataset, AP_TRAIN, i, &e, &error), AP_OK);
        const int doubled = i < 3 ? 1 : 2; /* speaker 2 was recorded at 8 kHz */
        const int64_t samples = i < 3 ? 8000 + 100 * i : 2 * (4000 + 100 * (i - 3));
        const int16_t *audio = e.data[AP_SPEECH_AUDIO];
        CHECK_INT(e.length[AP_SPEECH_AUDIO], samples);
        int64_t wrong = 0;
        for (int64_t k = 0; k < samples; k += doubled) wrong += audio[k] != speech_sample(k / doubled);
        CHECK_INT(wrong, 0);
        char *words = words_of(dataset, &e);
        CHECK(words && strcmp(words, "ONE TWO") == 0);
        free(words);
    }
    ap_example_free(&e);
    ap_dataset_close(dataset);
}

/* ---- what is malformed: one chapter with a record of every kind */

typedef struct record {
    const char *line; /* of the transcript, # for a byte 0; NULL: none */
    int number;       /* of the sound; -1: none */
    speech_sound sound;
    const char *expected; /* part of the error; NULL: it is good, or the published rules leave it out */
} record;
enum { LONG = 320001, TRUNCATED = 6, DAMAGED = 9, NO_FLAC = 10, WRONG_HEAD = 16 };
#define HALF_SECOND                                                                                                    \
    { 16000, 1, 16, 8000 }
static const record records[] = {
    {"2-1-0000 ONE TWO", 0, HALF_SECOND, NULL},
    {"2-1-0001 ", 1, HALF_SECOND, "2-1.trans.txt:2: 2-1-0001 has an empty transcript"},
    {"2-1-0002 THREE", -1, HALF_SECOND, "2-1.trans.txt:3: transcript without sound: "},
    {"2-1-0000 AGAIN", -1, HALF_SECOND, "2-1.trans.txt:4: id 2-1-0000 is that of line 1, too"},
    {"3-1-0004 FOUR", 4, HALF_SECOND, "2-1.trans.txt:5: id \"3-1-0004\" (2-1-NUMBER is expected)"},
    {"2-1-0005 CAF\xc3\x89", 5, HALF_SECOND, "2-1.trans.txt:6: 2-1-0005: character 4, byte 0xc3, is not in the"},
    {"2-1-0006 SIX", TRUNCATED, HALF_SECOND, "2-1-0006.flac: ends after "},
    {"2-1-0007 SEVEN", 7, {44100, 1, 16, 22050}, "2-1-0007.flac: 44100 samples a second (16000, or 8000"},
    {"2-1-0008 EIGHT", 8, {16000, 2, 16, 8000}, "2-1-0008.flac: has 2 channels (1 is expected)"},
    {"2-1-0009 NINE", DAMAGED, HALF_SECOND, "2-1-0009.flac: "},
    {"2-1-0010 TEN", NO_FLAC, HALF_SECOND, "2-1-0010.flac: is no FLAC file"},
    {"2-1-0011 I", 11, {16000, 1, 16, 300}, "2-1-0011.flac: 300 samples at 16000 Hz (at least 401"},
    {"2-1-0012 TWELVE WORDS", 12, {16000, 1, 16, 1600}, "tokens need 13 (the loss would be infinite)"},
    {"2-1-0013 DEEP", 13, {16000, 1, 24, 8000}, "2-1-0013.flac: has 24 bits a sample (16 is expected)"},
    {"", -1, HALF_SECOND, "2-1.trans.txt:15: is empty (an id and words are expected)"},
    {"2-1-0015 TOO LONG", 15, {16000, 1, 16, LONG}, NULL},
    {"2-1-0016 MORE", WRONG_HEAD, HALF_SECOND, "2-1-0016.flac: is damaged: it has 8000 samples, its head says 3904"},
    {"2-1-0017 IT'S  LAST", 17, {8000, 1, 16, 4000}, NULL},
    {" 2-1-0020 \tFROM WINDOWS \r", 20, HALF_SECOND, NULL},
    {"2-1-0021 WORDS#ARE LOST", 21, HALF_SECOND, "2-1.trans.txt:20: has a byte 0 (text is expected)"},
    {NULL, 18, HALF_SECOND, "2-1-0018.flac: sound without a transcript: "},
};
enum { RECORDS = sizeof records / sizeof *records };

static void change_byte(const char *path, int64_t at, int mask) {
    FILE *file = fopen(path, "r+");
    fseek(file, (long)at, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, (long)at, SEEK_SET);
    fputc(byte ^ mask, file);
    fclose(file);
}
static void spoil(const char *path, int number) {
    enum { TOTAL = 8 + 16 }; /* second lowest byte of the head's number of samples, 0x1f40 */
    struct stat info;
    CHECK_INT(stat(path, &info), 0);
    if (number == TRUNCATED) CHECK_INT(truncate(path, info.st_size * 6 / 10), 0);
    if (number == DAMAGED) change_byte(path, info.st_size / 2, 0x5a);
    if (number == WRONG_HEAD) change_byte(path, TOTAL, 0x10);
}

static int write_records(const char *root) {
    FILE *text = fopen(speech_path(root, "train/2/1/2-1.trans.txt"), "w");
    int bad = 0;
    for (int i = 0; i < RECORDS; i++) {
        const record *r = &records[i];
        for (const char *c = r->line; c && *c; c++) fputc(*c == '#' ? 0 : *c, text);
        if (r->line) fputc('\n', text);
        bad += r->expected != NULL;
        if (r->number < 0) continue;
        const char *path = speech_path(root, "train/2/1/%d-1-%04d.flac", r->number == 4 ? 3 : 2, r->number);
        CHECK(speech_write_sound(path, r->sound));
        spoil(path, r->number);
        if (r->number != NO_FLAC) continue;
        FILE *other = fopen(path, "w");
        fputs("RIFF or whatever", other);
        fclose(other);
    }
    fprintf(text, "2-1-0019 ");
    for (int i = 0; i < 257; i++) fputc('A', text); /* too long by the published rule, before its sound is looked at */
    fclose(text);
    CHECK(speech_write_sound(speech_path(root, "train/2/1/2-1-0019.flac"), (speech_sound)HALF_SECOND));
    return bad;
}

static void check_attributes(const char *name, int64_t skipped, int64_t left_out) {
    hid_t file;
    char *texts = NULL;
    int64_t n = 0;
    CHECK_INT(ap_h5_open(in_folder(name), &file, &error), AP_OK);
    CHECK_INT(ap_h5_get_i64(file, "/", "skipped", &n, &error), AP_OK);
    CHECK_INT(n, skipped);
    CHECK_INT(ap_h5_get_i64(file, "/", "left_out", &n, &error), AP_OK);
    CHECK_INT(n, left_out);
    CHECK_INT(ap_h5_get_text(file, "/", "skipped_records", &texts, &error), AP_OK);
    for (int i = 0; texts && i < RECORDS; i++)
        if (records[i].expected) CHECK_TEXT(texts, records[i].expected);
    free(texts);
    ap_h5_close(file);
}

static void test_malformed_records_are_named(void) {
    start();
    write_small("bad");
    const int bad = write_records(in_folder("bad"));
    CHECK_INT(prepare("bad", "none.h5", 0), AP_DATA); /* the first one */
    CHECK_TEXT(error.text, records[1].expected);
    CHECK_INT(prepare("bad", "fewer.h5", bad - 1), AP_DATA);
    CHECK_TEXT(error.text, "more than ");
    CHECK_INT(access(in_folder("none.h5"), F_OK), -1);
    CHECK_INT(access(in_folder("fewer.h5"), F_OK), -1);
    CHECK_INT(prepare("bad", "most.h5", bad), AP_OK);
    if (error.text[0]) printf("%s\n", error.text);
    check_attributes("most.h5", bad, 2);
    ap_dataset *dataset = open_packed("most.h5");
    CHECK_INT(ap_dataset_count(dataset, AP_TRAIN), 5 + 3);
    ap_example e = {0};
    static const char *const good[] = {"ONE TWO", "IT'S LAST", "FROM WINDOWS"};
    for (int i = 0; i < 3; i++) {
        CHECK_INT(ap_dataset_read(dataset, AP_TRAIN, 3 + i, &e, &error), AP_OK); /* chapters 1-1, 2-1, 2-7 */
        char *words = words_of(dataset, &e);
        CHECK(words && strcmp(words, good[i]) == 0);
        free(words);
    }
    ap_example_free(&e);
    ap_dataset_close(dataset);
}

static void test_folders_are_named(void) {
    start();
    CHECK_INT(prepare("nowhere", "x.h5", 0), AP_IO);
    CHECK_TEXT(error.text, "has neither LibriSpeech's folders");
    write_small("twice");
    CHECK(speech_write_chapter(in_folder("twice"), "valid", 1, 1, 1, 16000));
    CHECK_INT(prepare("twice", "x.h5", 0), AP_DATA);
    CHECK_TEXT(error.text, "the same chapter of the same speaker twice");
    CHECK(speech_write_chapter(in_folder("part"), "train", 1, 1, 1, 16000) &&
          speech_write_chapter(in_folder("part"), "test", 1, 2, 1, 16000));
    CHECK_INT(prepare("part", "x.h5", 0), AP_DATA);
    CHECK_TEXT(error.text, "part: has no chapters for validation (folders valid/SPEAKER/CHAPTER are expected)");
    CHECK_INT(access(in_folder("x.h5"), F_OK), -1);
    CHECK_INT(access(in_folder("x.h5.parts"), F_OK), -1);
}

/* ---- LibriSpeech's own folders: word pieces */

enum { LINES = 1500 };

/* Words of two to four syllables, six a line: enough for 1024 pieces. Line 0 alone has sound. */
static void write_published(const char *root, char *first, size_t room) {
    static const char consonants[] = "BDFGHKLMNPRSTVWZ", vowels[] = "AEIOU";
    CHECK(speech_write_chapter(root, "train-clean-100", 1, 1, 1, 16000));
    CHECK(speech_write_sound(speech_path(root, "train-clean-100/1/1/1-1-0000.flac"),
                             (speech_sound){16000, 1, 16, 48000}));
    FILE *text = fopen(speech_path(root, "train-clean-100/1/1/1-1.trans.txt"), "w");
    unsigned seed = 1;
    for (int i = 0; i < LINES; i++) {
        char line[128];
        size_t n = 0;
        for (int w = 0; w < 6; w++) {
            if (w) line[n++] = ' ';
            for (int s = 0; s < 2 + w % 3; s++) {
                seed = seed * 1103515245u + 12345u;
                line[n++] = consonants[seed >> 16 & 15], line[n++] = vowels[(seed >> 20) % 5];
            }
        }
        line[n] = 0;
        if (i == 0) snprintf(first, room, "%s", line);
        fprintf(text, "1-1-%04d %s\n", i, line);
    }
    fclose(text);
    static const char *const others[] = {"train-clean-360", "train-other-500", "dev-clean", "dev-other"};
    for (int i = 0; i < 4; i++) CHECK(speech_write_chapter(root, others[i], 2 + i, 1, 1, 16000));
}

static void test_word_pieces(void) {
    char first[128];
    start();
    write_published(in_folder("LibriSpeech"), first, sizeof first);
    CHECK_INT(prepare("LibriSpeech", "pieces.h5", LINES), AP_DATA);
    CHECK_TEXT(error.text, "has no chapters for test (folders test-clean/SPEAKER/CHAPTER are expected)");
    CHECK(speech_write_chapter(in_folder("LibriSpeech"), "test-clean", 9, 1, 1, 16000));
    if (!ap_pieces_available()) {
        CHECK_INT(prepare("LibriSpeech", "pieces.h5", LINES), AP_ENVIRONMENT);
        CHECK_TEXT(error.text, "built without SentencePiece");
        return;
    }
    CHECK_INT(prepare("LibriSpeech", "pieces.h5", LINES), AP_OK);
    if (error.text[0]) printf("%s\n", error.text);
    ap_dataset *dataset = open_packed("pieces.h5");
    CHECK(strcmp(ap_dataset_name(dataset), "librispeech") == 0);
    CHECK_INT(ap_dataset_count(dataset, AP_TRAIN), 3);
    CHECK_INT(ap_dataset_count(dataset, AP_VALIDATION), 2);
    ap_vocabulary v;
    CHECK(ap_vocabulary_open(ap_dataset_vocabulary(dataset), &v));
    CHECK_INT(v.pieces, 1024);
    ap_vocabulary_close(&v);
    ap_example e = {0};
    CHECK_INT(ap_dataset_read(dataset, AP_TRAIN, 0, &e, &error), AP_OK);
    char *words = words_of(dataset, &e);
    CHECK(words && strcmp(words, first) == 0);
    free(words);
    ap_speech model = {.vocab_size = 32}; /* a model with fewer classes says so */
    CHECK_INT(ap_speech_attach(&model, dataset, &error), AP_DATA);
    CHECK_TEXT(error.text, "a vocabulary of 1024 pieces (the model has 32 classes: option vocab_size)");
    ap_example_free(&e);
    ap_dataset_close(dataset);
    FILE *other = fopen(in_folder("LibriSpeech/spm_model.vocab"), "w");
    fputs("no model", other);
    fclose(other);
    CHECK_INT(prepare("LibriSpeech", "other.h5", LINES), AP_DATA);
    CHECK_TEXT(error.text, "spm_model.vocab: is no SentencePiece model");
    /* A model of pieces <s>, <unk>, </s>, A: ModelProto's field 1, of name (1), score (2) and kind (3). */
    static const char strange[] = "\x0a\x07\x0a\x03<s>\x18\x03"
                                  "\x0a\x09\x0a\x05<unk>\x18\x02"
                                  "\x0a\x08\x0a\x04</s>\x18\x03"
                                  "\x0a\x08\x0a\x01"
                                  "A\x15\x00\x00\x80\xbf";
    other = fopen(in_folder("LibriSpeech/spm_model.vocab"), "w");
    fwrite(strange, 1, sizeof strange - 1, other);
    fclose(other);
    CHECK_INT(prepare("LibriSpeech", "strange.h5", LINES), AP_DATA);
    CHECK_TEXT(error.text, "spm_model.vocab: has unknown, beginning and end of sentence as pieces 1, 0, 2 (0, 1, 2");
}

AP_TEST_MAIN(test_sound_and_words_come_back, test_malformed_records_are_named, test_folders_are_named, test_word_pieces)

#else

static void test_absent(void) {
    SKIP("built without libFLAC");
}
AP_TEST_MAIN(test_absent)

#endif
