/* Parallel text -> packed file: tokens spell the text again, a pair a line; malformed text is named with file, line and
 * rule. */
#include "check.h"
#include "prepare_alone.h"
#include "workloads/text/pieces.h"
#include "workloads/text/vocabulary.h"
#include "workloads/wmt/wmt.h"

#include <stdlib.h>

enum { LINES = 6000, SMALL = 40 };
static char folder[] = "/tmp/algoperf-wmt-XXXXXX";

static FILE *open_file(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    return file;
}

/* Words of one to four syllables, a sentence a line. */
static void write_text(const char *name, int lines, unsigned seed) {
    static const char consonants[] = "bdfghklmnprstvwz", vowels[] = "aeiou";
    FILE *file = open_file(name);
    for (int i = 0; i < lines; i++) {
        for (int w = 0; w < 6; w++) {
            for (int s = 0; s < 1 + w % 4; s++) {
                seed = seed * 1103515245u + 12345u;
                fprintf(file, "%c%c", consonants[seed >> 16 & 15], vowels[(seed >> 20) % 5]);
            }
            fputs(w < 5 ? " " : ".\n", file);
        }
    }
    fclose(file);
}

static void write_all(void) {
    write_text("train.de", LINES, 1), write_text("train.en", LINES, 2);
    write_text("valid.de", SMALL, 3), write_text("valid.en", SMALL, 4);
    write_text("test.de", SMALL, 5), write_text("test.en", SMALL, 6);
}

static const ap_wmt_model model = {.ntoken = 32000};

static ap_status prepare(const char *to, int64_t skip_bad, ap_error *error) {
    const ap_workload *w;
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, to);
    CHECK_INT(ap_workload_find("wmt", &w, NULL), AP_OK);
    return prepare_alone(w, &(ap_prepare_options){.from = folder, .to = path, .model = &model}, skip_bad, error);
}

static void test_tokens_spell_the_text(void) {
    ap_error error = {0};
    ap_dataset *dataset;
    char path[256], line[256];
    const ap_status prepared = prepare("good.h5", 0, &error);
    CHECK_INT(prepared, AP_OK);
    if (prepared != AP_OK) {
        printf("%s\n", error.text);
        return;
    }
    snprintf(path, sizeof path, "%s/good.h5", folder);
    CHECK_INT(ap_dataset_open(path, "wmt", AP_WMT_FIELDS, ap_wmt_generator.field, &dataset, &error), AP_OK);
    CHECK_INT(ap_dataset_count(dataset, AP_TRAIN), LINES);
    ap_vocabulary v;
    CHECK(ap_vocabulary_open(ap_dataset_vocabulary(dataset), &v));
    CHECK_INT(v.pieces, 1024);
    snprintf(path, sizeof path, "%s/test.en", folder);
    FILE *text = fopen(path, "r");
    ap_example e = {0};
    for (int64_t i = 0; text && i < SMALL; i++) {
        CHECK_INT(ap_dataset_read(dataset, AP_TEST, i, &e, &error), AP_OK);
        int64_t ids[256];
        const int64_t n = e.length[AP_WMT_TARGETS];
        for (int64_t k = 0; k < n && k < 256; k++) ids[k] = ((int32_t *)e.data[AP_WMT_TARGETS])[k];
        CHECK_INT(ids[n - 1], AP_WMT_EOS);
        char *spelt = ap_vocabulary_text(&v, n, ids);
        CHECK(fgets(line, sizeof line, text) != NULL);
        line[strcspn(line, "\n")] = 0;
        CHECK(spelt && strcmp(spelt, line) == 0);
        free(spelt);
    }
    if (text) fclose(text);
    ap_example_free(&e);
    ap_vocabulary_close(&v);
    ap_dataset_close(dataset);
}

/* A text has only so many pieces. */
static void test_more_pieces_than_the_text_has(void) {
    static const char text[] = "ba du\nba gu\ndu gu ba\n";
    ap_error error = {0};
    ap_pieces *pieces;
    CHECK_INT(ap_pieces_train(text, sizeof text - 1, 32000, &pieces, &error), AP_OK);
    char *list = ap_pieces_list(pieces);
    int64_t count = 0;
    for (const char *c = list; *c; c++) count += *c == '\n';
    CHECK(strstr(list, "du\n") != NULL);
    CHECK(count > 3 && count < 40);
    free(list);
    ap_pieces_free(pieces);
}

static void put(const char *name, const char *text) {
    FILE *file = open_file(name);
    fputs(text, file);
    fclose(file);
}

static void test_malformed_text_is_named(void) {
    ap_error error = {0};
    put("valid.de", "gut\n\xc3\x28 schlecht\nauch gut\n"), put("valid.en", "good\nbad\ngood too\n");
    CHECK_INT(prepare("bad.h5", 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "valid.de:2: byte 1, 0xc3, is not UTF-8");
    CHECK_INT(prepare("bad.h5", 1, &error), AP_OK); /* left out */
    static char longer[(1 << 20) + 32] = "gut\n";   /* line 2 is too long; the third pair stays */
    memset(longer + 4, 'x', (1 << 20) + 1), strcat(longer, "\nauch gut\n");
    put("valid.de", longer), put("valid.en", "good\nbad\ngood too\n");
    CHECK_INT(prepare("long.h5", 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "valid.de:2: a line of more than 1048576 bytes");
    CHECK_INT(prepare("long.h5", 1, &error), AP_OK);
    put("valid.de", "gut\nschlecht\nauch gut\n"), put("valid.en", "good\nbad\n");
    CHECK_INT(prepare("uneven.h5", 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "has 3 lines");
    put("valid.de", ""), put("valid.en", "");
    CHECK_INT(prepare("empty.h5", 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "valid.de: is empty; a split needs sentences");
    char path[256];
    snprintf(path, sizeof path, "%s/valid.en", folder);
    remove(path);
    CHECK_INT(prepare("missing.h5", 0, &error), AP_IO);
    CHECK_TEXT(error.text, "valid.en: is missing, plain, .gz and .xz");
    put("valid.en", "x\n"), put("valid.de", "y\n"), put("wmt_sentencepiece_model", "no model");
    CHECK_INT(prepare("model.h5", 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "is no SentencePiece model");
}

static void test_begin(void) {
    if (!ap_pieces_available()) {
        printf("built without SentencePiece\n");
        exit(77);
    }
    CHECK(mkdtemp(folder) != NULL);
    write_all();
}

static void test_end(void) {
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
}

AP_TEST_MAIN(test_begin, test_tokens_spell_the_text, test_more_pieces_than_the_text_has, test_malformed_text_is_named,
             test_end)
