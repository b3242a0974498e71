/* Word error rate in both forms, and greedy decoding, against recorded cases of the published code. */
#include "base/h5.h"
#include "check.h"
#include "workload/wer.h"

/* components/wer.json */
static const struct {
    const char *decoded, *target;
    int plain_errors, plain_words, published_errors, published_words;
} cases[] = {
    {"a b c", "a b c", 0, 3, 0, 5},
    {"a b", "a b c", 1, 3, 2, 5},
    {"a b c d", "a b c", 1, 3, 2, 5},
    {"a x c", "a b c", 1, 3, 1, 5},
    {"", "a b c", 3, 3, 3, 5},
    {"a b c", "", 3, 1, 3, 3},
    {"", "", 0, 1, 0, 3},
    {"b c d a", "a b c d", 2, 4, 4, 6},
    {"the cat sat on the mat", "the cat is on a mat now", 3, 7, 4, 9},
    {"HELLO", "HELLO WORLD", 1, 2, 2, 4},
    {"DON'T GO", "DO NOT GO", 2, 3, 3, 5},
    {"IT'S", "IT'S", 0, 1, 0, 3},
    {"a  b   c", "a b c", 0, 3, 0, 5},
    {"one two three four five six", "six five four three two one", 6, 6, 6, 8},
};

static void test_recorded_cases(void) {
    ap_wer plain = {0}, published = {0}, one;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int before = ap_check_failures;
        CHECK_INT(ap_wer_plain(cases[i].decoded, cases[i].target, &one, NULL), AP_OK);
        CHECK_INT(one.errors, cases[i].plain_errors);
        CHECK_INT(one.words, cases[i].plain_words);
        plain.errors += one.errors, plain.words += one.words;
        CHECK_INT(ap_wer_published(cases[i].decoded, cases[i].target, &one, NULL), AP_OK);
        CHECK_INT(one.errors, cases[i].published_errors);
        CHECK_INT(one.words, cases[i].published_words);
        published.errors += one.errors, published.words += one.words;
        if (ap_check_failures > before) printf("in case \"%s\", \"%s\"\n", cases[i].decoded, cases[i].target);
    }
    CHECK_NEAR((double)plain.errors / (double)plain.words, 0.5348837209302325, 1e-12);
    CHECK_NEAR((double)published.errors / (double)published.words, 0.4225352112676056, 1e-12);
}

/* The wrapping shows wherever the words at the ends or the quotes differ. */
static void test_wrapping(void) {
    ap_wer r;
    /* b"it's a" and b'its a': the first word, and the last because of the quote behind it. */
    CHECK_INT(ap_wer_published("IT'S A", "ITS A", &r, NULL), AP_OK);
    CHECK_INT(r.errors, 2);
    /* With both quotes Python takes ' and escapes it; a tab inside becomes two letters and no longer separates. */
    CHECK_INT(ap_wer_published("\"IT'S\" X", "\"IT'S\" X", &r, NULL), AP_OK);
    CHECK_INT(r.errors, 0);
    CHECK_INT(ap_wer_published("A\tB", "A B", &r, NULL), AP_OK);
    CHECK_INT(r.errors, 2);
    CHECK_INT(ap_wer_plain("A\tB", "A B", &r, NULL), AP_OK);
    CHECK_INT(r.errors, 0);
}

static void test_greedy(void) {
    enum { N = 6, FRAMES = 12, CLASSES = 6 };
    static const char *const names[] = {"/logits", "/logit_paddings", "/decoded"};
    static const int64_t sizes[] = {N * FRAMES * CLASSES, N * FRAMES, N * FRAMES};
    hid_t file;
    void *data[3];
    int64_t n;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/greedy_decode.h5", &file, NULL), AP_OK);
    for (int i = 0; i < 3; i++)
        CHECK_INT(ap_h5_read(file, names[i], i < 2 ? AP_F32 : AP_I64, sizes[i], 1 << 16, &data[i], &n, NULL), AP_OK);
    ap_h5_close(file);
    for (int i = 0; i < N; i++) {
        const float *padding = (const float *)data[1] + i * FRAMES;
        int64_t valid = 0, got[FRAMES] = {0};
        while (valid < FRAMES && padding[valid] == 0) valid++;
        ap_ctc_greedy(FRAMES, valid, CLASSES, (const float *)data[0] + (int64_t)i * FRAMES * CLASSES, got);
        for (int t = 0; t < FRAMES; t++) CHECK_INT(got[t], ((const int64_t *)data[2])[i * FRAMES + t]);
    }
    for (int i = 0; i < 3; i++) free(data[i]);
}

AP_TEST_MAIN(test_recorded_cases, test_wrapping, test_greedy)
