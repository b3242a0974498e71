/* Text -> windows of tokens: they spell the documents again, whatever the format and wherever files are cut; a tenth is
 * drawn for validation; malformed text is named with file, line and rule. */
#include "data_scratch.h" /* CHECK_OK */
#include "workloads/finewebedu_lm/bpe.h"
#include "workloads/finewebedu_lm/finewebedu_lm.h"

#include <sys/stat.h>
#include <zlib.h>

extern const ap_workload ap_workload_finewebedu_lm;
enum { SEQUENCE = 7, TOKENS = 280, DOCUMENTS = 400 };
static char base[] = "/tmp/algoperf-text-XXXXXX", from[256];
static const ap_lm_cut published = {.part_bytes = 32 << 20};

static void new_folder(const char *name) {
    snprintf(from, sizeof from, "%s/%s", base, name);
    CHECK_INT(mkdir(from, 0777), 0);
}

static void put(const char *name, const char *text, size_t n) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", from, name);
    gzFile file = gzopen(path, strstr(name, ".gz") ? "w" : "wT"); /* T: as it is */
    CHECK(file != NULL);
    if (n) CHECK_INT(gzwrite(file, text, (unsigned)n), n);
    CHECK_INT(gzclose(file), Z_OK);
}

/* Document i, from which the test knows it again; document 3 k + 1 is as often as there are k the same. */
static void document(int i, char text[64]) {
    if (i % 3 == 1)
        snprintf(text, 64, "the same words, \"again\" and \\ again \xc3\xa9");
    else
        snprintf(text, 64, "document number %d of %d says hello", i, DOCUMENTS);
}

/* As lines of text, or of JSON. `spelt`: what tokens must spell. */
static void make_text(bool json, char *all, char *spelt) {
    for (int i = 0; i < DOCUMENTS; i++) {
        char text[64];
        document(i, text);
        if (json) {
            all += sprintf(all, "{\"id\": %d, \"text\": \"", i);
            for (const char *c = text; *c; c++) all += sprintf(all, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
            all += sprintf(all, "\"}\n");
        } else {
            all += sprintf(all, i % 5 ? "%s\n" : " \n%s\r\n", text); /* a line without a document; CRLF */
        }
        spelt += sprintf(spelt, "%s<|endoftext|>", text);
    }
}

static ap_status prepare(const char *to, const ap_lm_cut *cut, const char *vocabulary, int64_t skip_bad,
                         ap_error *error) {
    const ap_workload *w = &ap_workload_finewebedu_lm;
    const ap_finewebedu_lm_model model = {.seq_len = SEQUENCE, .vocab_size = TOKENS};
    const ap_prepare_options options = {.from = from, .to = to, .vocabulary = vocabulary, .model = &model};
    const ap_prepare_target target = {
        .to = to, .workload = ap_workload_packed_as(w), .fields = w->fields, .field = w->field, .skip_bad = skip_bad};
    ap_prepare_plan plan = {0};
    *error = (ap_error){0};
    ap_status status = ap_lm_plan_cut(&options, cut, &plan, error);
    if (status == AP_OK) status = ap_prepare_alone(&target, &plan, error);
    ap_prepare_plan_free(&plan);
    return status;
}

/* The text that a split's windows spell by the file's own vocabulary; the caller frees. */
static char *spell(const char *path, ap_split split) {
    ap_error error = {0};
    ap_dataset *dataset;
    ap_example e = {0};
    char *text = calloc(1, 1 << 20), *to = text;
    CHECK_OK(ap_dataset_open(path, "finewebedu_lm", AP_LM_FIELDS, ap_finewebedu_lm_generator.field, &dataset, &error));
    const char *token[TOKENS] = {0}, *at = ap_dataset_vocabulary(dataset);
    for (int t = 0; t < TOKENS && *at; t++, at = strchr(at, '\n') + 1) token[t] = at;
    for (int64_t i = 0; i < ap_dataset_count(dataset, split); i++) {
        CHECK_OK(ap_dataset_read(dataset, split, i, &e, &error));
        CHECK_INT(e.length[0], SEQUENCE + 1);
        for (int64_t k = 0; k < e.length[0]; k++)
            for (const char *c = token[((int32_t *)e.data[0])[k]]; *c != '\n'; c++) {
                const bool two = (*c & 0xe0) == 0xc0; /* U+0120 is a space, U+00C3 and U+00A9 the bytes of e acute */
                const int point = two ? (c[0] & 0x1f) << 6 | (c[1] & 0x3f) : *c;
                *to++ = (char)(point == 0x120 ? ' ' : point);
                c += two;
            }
    }
    ap_example_free(&e);
    ap_dataset_close(dataset);
    return text;
}

static bool same_files(const char *a, const char *b) {
    char command[1100];
    snprintf(command, sizeof command, "cmp -s '%s' '%s'", a, b);
    return system(command) == 0;
}

static void test_windows_spell_the_documents(void) {
    static char all[1 << 17], spelt[1 << 17];
    char to[512], cut_to[512];
    ap_error error;
    for (int json = 0; json < 2; json++) {
        new_folder(json ? "json" : "plain");
        make_text(json, all, spelt);
        put(json ? "train-00.jsonl.gz" : "train.txt", all, strlen(all));
        put(json ? "val.json" : "valid.txt.gz", all, strlen(all));
        snprintf(to, sizeof to, "%s.h5", from);
        CHECK_OK(prepare(to, &published, NULL, 0, &error));
        for (ap_split s = AP_TRAIN; s <= AP_VALIDATION; s++) {
            char *text = spell(to, s);
            const size_t n = strlen(text), whole = strlen(spelt);
            CHECK(n <= whole && whole - n < 20 * (SEQUENCE + 1) && strncmp(text, spelt, n) == 0);
            free(text);
        }
        for (int64_t bytes = 1700; bytes < 20000; bytes *= 5) {
            snprintf(cut_to, sizeof cut_to, "%s-%d.h5", from, (int)bytes);
            CHECK_OK(prepare(cut_to, &(ap_lm_cut){.part_bytes = bytes}, NULL, 0, &error));
            CHECK(same_files(to, cut_to));
        }
    }
}

/* Documents of more than 64 KiB, in which parts begin; one that is longer than allowed is left out. */
static void test_long_documents(void) {
    enum { LONG = 200000, TOO_LONG = (16 << 20) + 1 };
    static char all[3 * LONG + TOO_LONG + 8];
    char to[512], cut_to[512];
    ap_error error;
    new_folder("long");
    for (int i = 0; i < 3 * LONG; i++) all[i] = (char)(i % LONG == LONG - 1 ? '\n' : i % 7 == 3 ? ' ' : 'a' + i % 26);
    put("train.txt", all, 3 * LONG), put("valid.txt", all, LONG);
    snprintf(to, sizeof to, "%s.h5", from), snprintf(cut_to, sizeof cut_to, "%s-cut.h5", from);
    CHECK_OK(prepare(to, &published, NULL, 0, &error));
    CHECK_OK(prepare(cut_to, &(ap_lm_cut){.part_bytes = 70000}, NULL, 0, &error));
    CHECK(same_files(to, cut_to));
    snprintf(to, sizeof to, "%s-more.h5", from);
    memset(all + 3 * LONG, 'b', TOO_LONG), all[3 * LONG + TOO_LONG] = '\n';
    put("train.txt", all, 3 * LONG + TOO_LONG + 1);
    CHECK_INT(prepare(to, &published, NULL, 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "train.txt:4: a line of more than 16777216 bytes");
    CHECK_OK(prepare(to, &published, NULL, 1, &error));
    char *whole = spell(cut_to, AP_TRAIN), *left = spell(to, AP_TRAIN);
    CHECK(strlen(whole) > 2 * LONG && strcmp(whole, left) == 0);
    free(whole), free(left);
}

static int count(const char *text, const char *part) {
    int n = 0;
    for (; (text = strstr(text, part)); text++) n++;
    return n;
}

static void test_validation_is_drawn(void) {
    static char all[1 << 17], spelt[1 << 17];
    char to[512];
    ap_error error;
    new_folder("drawn");
    make_text(false, all, spelt);
    put("some.txt", all, strlen(all) / 2), put("more.txt", all + strlen(all) / 2, strlen(all) - strlen(all) / 2);
    snprintf(to, sizeof to, "%s.h5", from);
    CHECK_OK(prepare(to, &published, NULL, 0, &error));
    char *train = spell(to, AP_TRAIN), *validation = spell(to, AP_VALIDATION);
    const int drawn = count(validation, "document number"), kept = count(train, "document number");
    CHECK(drawn > 10 && drawn < 50 && drawn + kept > 260 && drawn + kept <= 268); /* of 267, some cut in two */
    CHECK(!count(train, "the same") || !count(validation, "the same"));
    free(train), free(validation);
}

/* With a good set around it; line 2 of the file is malformed, and it is left out where that is allowed. */
static void check_malformed(const char *name, const char *text, size_t n, bool skipped, const char *says) {
    static int number;
    char to[512], folder[32];
    ap_error error;
    snprintf(folder, sizeof folder, "bad-%d", number++);
    new_folder(folder);
    static char all[1 << 17], spelt[1 << 17];
    make_text(false, all, spelt);
    put("train.txt", all, 600), put(name, text, n);
    snprintf(to, sizeof to, "%s.h5", from);
    for (int small = number == 1; small >= 0; small--) { /* the line is the same wherever parts begin */
        CHECK_INT(prepare(to, small ? &(ap_lm_cut){.part_bytes = 60} : &published, NULL, 0, &error), AP_DATA);
        CHECK_TEXT(error.text, says);
    }
    CHECK_INT(prepare(to, &published, NULL, 1, &error), skipped ? AP_OK : AP_DATA);
    CHECK(skipped || access(to, F_OK) != 0);
}

#define LINE "{\"text\": \"a document that is long enough\"}\n"
static void test_malformed_text_is_named(void) {
    static char gzip[1 << 12];
    char path[512];
    static const struct {
        const char *name, *text, *says;
    } bad[] = {
        {"valid.txt", "good is this text\nbad \xff text\nand good is this again\n",
         "valid.txt:2: byte 5, 0xff, is not UTF-8"},
        {"valid.jsonl", LINE "{\"text\": \"x}\n" LINE, "valid.jsonl:2: no JSON, by column "},
        {"valid.jsonl", LINE "{\"text\": \"\xc3(\"}\n" LINE, "valid.jsonl:2: no JSON, by column "},
        {"valid.jsonl", LINE "{\"txt\": \"x\"}\n" LINE, "valid.jsonl:2: no object with a string `text`"},
        {"valid.jsonl", LINE "{\"text\": 7}\n" LINE, "valid.jsonl:2: no object with a string `text`"},
        {"valid.jsonl", LINE "[]\n" LINE, "valid.jsonl:2: no object with a string `text`"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_malformed(bad[i].name, bad[i].text, strlen(bad[i].text), true, bad[i].says);
    check_malformed("valid.txt", "", 0, false, "is empty; a file needs documents");
    check_malformed("valid.txt", " \n\n", 3, false, "validation has 0 tokens in all");
    check_malformed("other.txt", "x\n", 2, false, "begins neither with train nor val nor test");
    new_folder("zipped");
    put("x.gz", LINE LINE LINE, 3 * (sizeof LINE - 1));
    snprintf(path, sizeof path, "%s/x.gz", from);
    FILE *file = fopen(path, "r");
    const size_t n = fread(gzip, 1, sizeof gzip, file);
    fclose(file);
    new_folder("cut");
    snprintf(path, sizeof path, "%s/some.jsonl.gz", from);
    file = fopen(path, "w");
    CHECK(fwrite(gzip, 1, n - 12, file) == n - 12);
    fclose(file);
    ap_error error;
    snprintf(path, sizeof path, "%s.h5", from);
    CHECK_INT(prepare(path, &published, NULL, 9, &error), AP_DATA);
    CHECK_TEXT(error.text, "some.jsonl.gz: the gzip stream ends early");
}

static void test_vocabularies(void) {
    char path[512], to[512];
    ap_error error;
    snprintf(to, sizeof to, "%s/v.h5", base), snprintf(from, sizeof from, "%s/plain", base);
    CHECK_INT(prepare(to, &published, AP_TEST_FIXTURES "/bpe_merges.txt", 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "bpe_merges.txt: 1257 tokens; the model of this scale has 280");
    put("merges.txt", "a b\nz z\n", 8); /* beside the text: taken in place of training */
    CHECK_OK(prepare(to, &published, NULL, 0, &error));
    snprintf(path, sizeof path, "%s/merges.txt", from);
    unlink(path);
    new_folder("none");
    CHECK_INT(prepare(to, &published, NULL, 0, &error), AP_IO);
    CHECK_TEXT(error.text, "has no text (.jsonl, .json or .txt");
}

static void test_begin(void) {
    if (!ap_bpe_available()) {
        printf("built without PCRE2\n");
        exit(77);
    }
    CHECK(mkdtemp(base) != NULL);
}

static void test_end(void) {
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    CHECK_INT(system(command), 0);
}

AP_TEST_MAIN(test_begin, test_windows_spell_the_documents, test_long_documents, test_validation_is_drawn,
             test_malformed_text_is_named, test_vocabularies, test_end)
