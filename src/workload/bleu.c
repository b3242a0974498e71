#include "workload/bleu.h"

#include "base/fmath.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- tokens: the rules of mteval-v13a, each a pass over the text */

/* As Python has them: the four separators 0x1c .. 0x1f too. */
static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Replaces `from` by `to`, which is not longer. */
static void replace(char *text, const char *from, const char *to) {
    const size_t length = strlen(from), put = strlen(to);
    char *out = text;
    for (const char *in = text; *in;)
        if (strncmp(in, from, length) == 0) {
            memcpy(out, to, put);
            out += put, in += length;
        } else {
            *out++ = *in++;
        }
    *out = 0;
}

/* Unicode's spaces part words as the ASCII ones do. */
static const char *const wide_spaces[] = {"\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
                                          "\u2004",   "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
                                          "\u2028",   "\u2029", "\u202f", "\u205f", "\u3000"};

static void plain_text(char *text) {
    for (size_t i = 0; i < sizeof wide_spaces / sizeof *wide_spaces; i++) replace(text, wide_spaces[i], " ");
    for (size_t n = strlen(text); n && is_space(text[n - 1]); n--) text[n - 1] = 0;
    replace(text, "<skipped>", "");
    replace(text, "-\n", "");
    replace(text, "\n", " ");
    replace(text, "&quot;", "\"");
    replace(text, "&amp;", "&");
    replace(text, "&lt;", "<");
    replace(text, "&gt;", ">");
}

/* Those that stand alone; not ' , - . */
static bool is_symbol(char c) {
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
           (c >= ':' && c <= '@') || c == '/';
}

static size_t put(char *out, const char *format) {
    const size_t n = strlen(format);
    memcpy(out, format, n);
    return n;
}

/* Each pass reads `in` from left to right and writes into `out`; a rule's match takes its characters away, as a
 * substitution by regular expression does. */
static void split_symbols(const char *in, char *out) {
    for (; *in; in++) {
        const char three[] = {' ', *in, ' ', 0};
        if (is_symbol(*in))
            out += put(out, three);
        else
            *out++ = *in;
    }
    *out = 0;
}

/* ([^0-9])([\.,]) -> \1 \2 with a space on either side of \2 */
static void split_behind_others(const char *in, char *out) {
    while (*in)
        if (!is_digit(in[0]) && (in[1] == '.' || in[1] == ',')) {
            const char four[] = {in[0], ' ', in[1], ' ', 0};
            out += put(out, four), in += 2;
        } else {
            *out++ = *in++;
        }
    *out = 0;
}

/* ([\.,])([^0-9]) -> a space before \1 and one behind it, then \2 */
static void split_before_others(const char *in, char *out) {
    while (*in)
        if ((in[0] == '.' || in[0] == ',') && in[1] && !is_digit(in[1])) {
            const char four[] = {' ', in[0], ' ', in[1], 0};
            out += put(out, four), in += 2;
        } else {
            *out++ = *in++;
        }
    *out = 0;
}

/* ([0-9])(-) -> \1 \2 with spaces */
static void split_dashes(const char *in, char *out) {
    while (*in)
        if (is_digit(in[0]) && in[1] == '-') {
            const char four[] = {in[0], ' ', '-', ' ', 0};
            out += put(out, four), in += 2;
        } else {
            *out++ = *in++;
        }
    *out = 0;
}

static void squeeze(const char *in, char *out) {
    char *const begin = out;
    for (; *in; in++) {
        if (!is_space(*in))
            *out++ = *in;
        else if (out > begin && out[-1] != ' ')
            *out++ = ' ';
    }
    while (out > begin && out[-1] == ' ') out--;
    *out = 0;
}

char *ap_bleu_tokens(const char *line) {
    const size_t room = 3 * strlen(line) + 8; /* a pass that is to split a character finds it unsplit */
    char *a = malloc(3 * room), *b = malloc(3 * room);
    if (a && b) {
        a[0] = ' ';
        strcpy(a + 1, line);
        plain_text(a + 1);
        strcat(a, " ");
        split_symbols(a, b);
        split_behind_others(b, a);
        split_before_others(a, b);
        split_dashes(b, a);
        squeeze(a, b);
    } else {
        free(b);
        b = NULL;
    }
    free(a);
    return b;
}

/* ---- counts: each n-gram is a run of words; two are equal if their texts are */

typedef struct words {
    char *text;
    int64_t n;
    const char **word; /* [n] their beginnings; n-gram i of order k is the text from word i to the end of word i + k */
} words;

static bool split(const char *line, words *w) {
    *w = (words){.text = ap_bleu_tokens(line)};
    if (!w->text) return false;
    w->word = malloc((strlen(w->text) / 2 + 2) * sizeof *w->word);
    if (!w->word) return false;
    for (const char *at = w->text; *at;) {
        w->word[w->n++] = at;
        at += strcspn(at, " ");
        if (*at) at++;
    }
    w->word[w->n] = w->text + strlen(w->text) + 1; /* where a further word would begin */
    return true;
}

static bool equal(const words *a, int64_t i, const words *b, int64_t j, int order) {
    const ptrdiff_t n = a->word[i + order] - a->word[i];
    return n == b->word[j + order] - b->word[j] && memcmp(a->word[i], b->word[j], (size_t)n - 1) == 0;
}

static int64_t occurrences(const words *in, int64_t count, const words *of, int64_t at, int order) {
    int64_t found = 0;
    for (int64_t i = 0; i + order <= in->n && i < count; i++) found += equal(in, i, of, at, order);
    return found;
}

bool ap_bleu_add(const char *hypothesis, const char *reference, ap_bleu_counts *counts) {
    words h = {0}, r = {0};
    const bool split_both = split(hypothesis, &h) && split(reference, &r);
    for (int order = 1; split_both && order <= AP_BLEU_ORDERS; order++)
        for (int64_t i = 0; i + order <= h.n; i++) {
            counts->total[order - 1]++;
            /* the k-th of its kind is correct if the reference has as many */
            counts->correct[order - 1] += occurrences(&r, r.n, &h, i, order) > occurrences(&h, i, &h, i, order);
        }
    if (split_both) counts->hypothesis += (double)h.n, counts->reference += (double)r.n;
    free(h.text), free(h.word), free(r.text), free(r.word);
    return split_both;
}

/* ---- score */

double ap_bleu_score(const ap_bleu_counts *c) {
    double logs = 0, smooth = 1;
    for (int i = 0; i < AP_BLEU_ORDERS; i++) {
        if (c->total[i] == 0) return 0;
        double precision = c->correct[i] / c->total[i];
        if (c->correct[i] == 0) {
            smooth *= 2;
            precision = 1 / (smooth * c->total[i]);
        }
        logs += ap_f64_log(100 * precision);
    }
    const double brevity = c->hypothesis < c->reference ? ap_f64_exp(1 - c->reference / c->hypothesis) : 1;
    return brevity * ap_f64_exp(logs / AP_BLEU_ORDERS);
}
