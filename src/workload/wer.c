#include "workload/wer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- greedy decoding */

int64_t ap_ctc_greedy(int64_t frames, int64_t valid, int64_t classes, const float *logits, int64_t *out) {
    int64_t n = 0, before = 0;
    for (int64_t t = 0; t < frames; t++) {
        const float *row = logits + t * classes;
        int64_t best = 0;
        for (int64_t k = 1; t < valid && k < classes; k++)
            if (row[k] > row[best]) best = k;
        if (best && best != before) out[n++] = best;
        before = best;
    }
    return n;
}

/* ---- words */

typedef struct word {
    const char *text;
    size_t length;
} word;

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The words of a text; NULL when out of memory. */
static word *split(const char *text, int64_t *count) {
    word *words = malloc((strlen(text) / 2 + 1) * sizeof *words);
    *count = 0;
    for (const char *p = text; words && *p;) {
        while (is_space(*p)) p++;
        const char *start = p;
        while (*p && !is_space(*p)) p++;
        if (p > start) words[(*count)++] = (word){start, (size_t)(p - start)};
    }
    return words;
}

static bool same(word a, word b) {
    return a.length == b.length && !memcmp(a.text, b.text, a.length);
}

/* Levenshtein distance (1966), one row of the table at a time; row [m + 1]. */
static int64_t distance(int64_t n, const word *a, int64_t m, const word *b, int64_t *row) {
    for (int64_t j = 0; j <= m; j++) row[j] = j;
    for (int64_t i = 1; i <= n; i++) {
        int64_t corner = row[0];
        row[0] = i;
        for (int64_t j = 1; j <= m; j++) {
            int64_t best = corner + !same(a[i - 1], b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

ap_status ap_wer_plain(const char *decoded, const char *target, ap_wer *result, ap_error *error) {
    int64_t n, m;
    word *a = split(decoded, &n), *b = split(target, &m);
    int64_t *row = b ? malloc(((size_t)m + 1) * sizeof *row) : NULL;
    const bool fits = a && row;
    if (fits) *result = (ap_wer){distance(n, a, m, b, row), m > 1 ? m : 1};
    free(a), free(b), free(row);
    return fits ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for the words of an utterance");
}

/* ---- the published form */

/* One byte as Python's repr of bytes writes it within `quote`, into out [5]; returns its length. */
static size_t write_byte(unsigned char c, char quote, char *out) {
    const char *const plain = "\t\n\r", *const letters = "tnr", *const at = c ? strchr(plain, c) : NULL;
    if (at) return (size_t)sprintf(out, "\\%c", letters[at - plain]);
    if (c == '\\' || c == (unsigned char)quote) return (size_t)sprintf(out, "\\%c", c);
    if (c < ' ' || c > '~') return (size_t)sprintf(out, "\\x%02x", c);
    out[0] = (char)c;
    return 1;
}

/* malloc'ed; NULL when out of memory. */
static char *wrapped(const char *text) {
    const char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    char *out = malloc(4 * strlen(text) + 64);
    if (!out) return NULL;
    size_t n = (size_t)sprintf(out, "tf.Tensor(b%c", quote);
    for (const char *p = text; *p; p++) n += write_byte((unsigned char)*p, quote, out + n);
    sprintf(out + n, "%c, shape=(), dtype=string)", quote);
    return out;
}

ap_status ap_wer_published(const char *decoded, const char *target, ap_wer *result, ap_error *error) {
    char *a = wrapped(decoded), *b = wrapped(target);
    const ap_status status = a && b ? ap_wer_plain(a, b, result, error)
                                    : ap_fail(error, AP_ENVIRONMENT, "out of memory for the words of an utterance");
    free(a), free(b);
    return status;
}
