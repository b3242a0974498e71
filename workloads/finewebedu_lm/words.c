#include "workloads/finewebedu_lm/words.h"

#include <stdlib.h>

#ifdef AP_HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* GPT-2's pattern. White space is spelt out, since PCRE2's \s has U+180E, too. */
#define SPACE "\\p{White_Space}"
static const char pattern[] =
    "'(?:s|t|re|ve|m|ll|d)| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" SPACE "+(?!\\P{White_Space})|" SPACE "+";

struct ap_words {
    pcre2_code *code;
    pcre2_match_data *match;
};

bool ap_words_available(void) {
    return true;
}

ap_status ap_words_create(ap_words **result, ap_error *error) {
    int code;
    size_t at;
    ap_words *w = calloc(1, sizeof *w);
    if (!w) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    w->code = pcre2_compile((PCRE2_SPTR)pattern, sizeof pattern - 1, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    w->match = w->code ? pcre2_match_data_create_from_pattern(w->code, NULL) : NULL;
    if (!w->match) {
        ap_words_free(w);
        return ap_fail(error, AP_ENVIRONMENT,
                       "PCRE2 cannot compile the pattern of words (code %d at %zu); 10.40 or newer is wanted", code,
                       at);
    }
    pcre2_jit_compile(w->code, PCRE2_JIT_COMPLETE); /* or else it interprets */
    *result = w;
    return AP_OK;
}

void ap_words_free(ap_words *w) {
    if (!w) return;
    pcre2_match_data_free(w->match);
    pcre2_code_free(w->code);
    free(w);
}

ap_status ap_words_next(ap_words *w, const char *text, size_t n, size_t at, size_t *length, ap_error *error) {
    *length = 0;
    if (at == n) return AP_OK;
    const int code = pcre2_match(w->code, (PCRE2_SPTR)text, n, at, PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, w->match, NULL);
    if (code < 1) return ap_fail(error, AP_ENVIRONMENT, "PCRE2 failed to find a word (code %d)", code);
    *length = pcre2_get_ovector_pointer(w->match)[1] - at;
    return AP_OK;
}

#else

bool ap_words_available(void) {
    return false;
}
ap_status ap_words_create(ap_words **words, ap_error *error) {
    (void)words;
    return ap_fail(error, AP_ENVIRONMENT,
                   "this program was built without PCRE2, which finds the words of a text; on Debian: apt-get install "
                   "libpcre2-dev, and build again (packed files can be trained on without it)");
}
void ap_words_free(ap_words *words) {
    (void)words;
}
ap_status ap_words_next(ap_words *words, const char *text, size_t n, size_t at, size_t *length, ap_error *error) {
    (void)words, (void)text, (void)n, (void)at, (void)length;
    return ap_fail(error, AP_BUG, "words without PCRE2");
}

#endif
