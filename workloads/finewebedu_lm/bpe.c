#include "workloads/finewebedu_lm/bpe.h"

#include "workloads/finewebedu_lm/bpe_table.h"

#include "base/digest.h"

#include <stdlib.h>
#include <string.h>

/* Words of up to WORD bytes and KEPT tokens are remembered, one a place: text repeats itself. */
enum { WORD = 27, KEPT = 8, PLACES = 1 << 16 };
typedef struct known {
    uint8_t n, tokens; /* n 0: empty */
    char word[WORD + 3];
    int32_t token[KEPT];
} known;

typedef struct symbol { /* of the word in work: a token, and its neighbours; token -1: it was merged away */
    int32_t token, before, after;
} symbol;
typedef struct candidate {
    int32_t rank, at, result; /* the pair that begins at this symbol */
} candidate;

struct ap_bpe_scratch {
    known *known;    /* [PLACES] */
    symbol *symbol;  /* [room] */
    candidate *heap; /* [3 room]; the first merge and, among its like, the leftmost one on top */
    size_t room;
    int32_t waiting;
};

bool ap_bpe_available(void) {
    return ap_words_available();
}

ap_status ap_bpe_create(ap_bpe **result, ap_error *error) {
    ap_bpe *bpe = calloc(1, sizeof *bpe);
    if (!bpe) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    bpe->end_of_text = -1;
    bpe->scratch = calloc(1, sizeof *bpe->scratch);
    if (bpe->scratch) bpe->scratch->known = calloc(PLACES, sizeof *bpe->scratch->known);
    ap_status status = bpe->scratch && bpe->scratch->known ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    if (status == AP_OK) status = ap_words_create(&bpe->words, error);
    if (status == AP_OK)
        *result = bpe;
    else
        ap_bpe_free(bpe);
    return status;
}

void ap_bpe_free(ap_bpe *bpe) {
    if (!bpe) return;
    if (bpe->scratch) free(bpe->scratch->known), free(bpe->scratch->symbol), free(bpe->scratch->heap);
    free(bpe->scratch);
    ap_words_free(bpe->words);
    free(bpe->bytes), free(bpe->token), free(bpe->index), free(bpe->merge);
    free(bpe);
}

ap_status ap_bpe_finish(ap_bpe *bpe, ap_error *error) {
    for (int b = 0; b < AP_BPE_BYTES; b++) {
        bpe->byte[b] = ap_bpe_find(bpe, &(char){(char)b}, 1);
        if (bpe->byte[b] < 0)
            return ap_fail(error, AP_DATA, "no token for the byte 0x%02x; byte-level tokens have one for each", b);
    }
    return AP_OK;
}

/* ---- the merges of a word */

static bool comes_first(const candidate *a, const candidate *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(ap_bpe_scratch *s, candidate c) {
    int32_t i = s->waiting++;
    for (; i > 0 && comes_first(&c, &s->heap[(i - 1) / 2]); i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = c;
}

static candidate pop(ap_bpe_scratch *s) {
    const candidate top = s->heap[0], last = s->heap[--s->waiting];
    int32_t i = 0;
    for (int32_t child; (child = 2 * i + 1) < s->waiting; i = child) {
        if (child + 1 < s->waiting && comes_first(&s->heap[child + 1], &s->heap[child])) child++;
        if (!comes_first(&s->heap[child], &last)) break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
    return top;
}

static void consider(const ap_bpe *bpe, int32_t at) {
    ap_bpe_scratch *s = bpe->scratch;
    if (at < 0 || s->symbol[at].after < 0) return;
    const ap_bpe_merge *m = ap_bpe_find_merge(bpe, s->symbol[at].token, s->symbol[s->symbol[at].after].token);
    if (m) push(s, (candidate){m->rank, at, m->result});
}

/* Is the pair still there that was looked at? */
static bool stands(const ap_bpe *bpe, const candidate *c) {
    const symbol *symbols = bpe->scratch->symbol, *left = &symbols[c->at];
    if (left->token < 0 || left->after < 0) return false;
    const ap_bpe_merge *m = ap_bpe_find_merge(bpe, left->token, symbols[left->after].token);
    return m && m->rank == c->rank;
}

static void merge_all(const ap_bpe *bpe) {
    ap_bpe_scratch *s = bpe->scratch;
    while (s->waiting) {
        const candidate c = pop(s);
        if (!stands(bpe, &c)) continue;
        symbol *left = &s->symbol[c.at], *right = &s->symbol[left->after];
        left->token = c.result, left->after = right->after, right->token = -1;
        if (left->after >= 0) s->symbol[left->after].before = c.at;
        consider(bpe, left->before);
        consider(bpe, c.at);
    }
}

static bool reserve(ap_bpe_scratch *s, size_t n) {
    if (n <= s->room) return true;
    free(s->symbol), free(s->heap);
    s->room = 2 * n + 64;
    s->symbol = malloc(s->room * sizeof *s->symbol);
    s->heap = malloc(3 * s->room * sizeof *s->heap); /* a pair each at the beginning, two a merge */
    if (s->symbol && s->heap) return true;
    s->room = 0;
    return false;
}

static bool append(ap_bpe_ids *ids, int32_t id) {
    if (ids->n + 1 >= ids->room) {
        const int64_t room = 2 * ids->room + 1024;
        int32_t *grown = realloc(ids->id, (size_t)room * sizeof *grown);
        if (!grown) return false;
        ids->id = grown, ids->room = room;
    }
    ids->id[ids->n++] = id;
    return true;
}

static bool cut_word(ap_bpe *bpe, const char *word, size_t n, ap_bpe_ids *ids) {
    ap_bpe_scratch *s = bpe->scratch;
    if (n > INT32_MAX / 4 || !reserve(s, n)) return false;
    const int32_t count = (int32_t)n;
    for (int32_t i = 0; i < count; i++)
        s->symbol[i] = (symbol){bpe->byte[(unsigned char)word[i]], i - 1, i + 1 < count ? i + 1 : -1};
    s->waiting = 0;
    for (int32_t i = 0; i < count; i++) consider(bpe, i);
    merge_all(bpe);
    for (int32_t i = 0; i >= 0; i = s->symbol[i].after)
        if (!append(ids, s->symbol[i].token)) return false;
    return true;
}

/* ---- text */

static bool encode_word(ap_bpe *bpe, const char *word, size_t n, ap_bpe_ids *ids) {
    if (n > WORD) return cut_word(bpe, word, n, ids);
    known *k = &bpe->scratch->known[ap_digest64(word, n) % PLACES];
    if (k->n == n && memcmp(k->word, word, n) == 0) {
        for (int i = 0; i < k->tokens; i++)
            if (!append(ids, k->token[i])) return false;
        return true;
    }
    const int64_t from = ids->n;
    if (!cut_word(bpe, word, n, ids)) return false;
    if (ids->n - from > KEPT) return true;
    k->n = (uint8_t)n, k->tokens = (uint8_t)(ids->n - from);
    memcpy(k->word, word, n);
    memcpy(k->token, ids->id + from, k->tokens * sizeof *k->token);
    return true;
}

static ap_status encode_plain(ap_bpe *bpe, const char *text, size_t n, ap_bpe_ids *ids, ap_error *error) {
    size_t length;
    for (size_t at = 0; at < n; at += length) {
        AP_TRY(ap_words_next(bpe->words, text, n, at, &length, error));
        if (!encode_word(bpe, text + at, length, ids))
            return ap_fail(error, AP_ENVIRONMENT, "out of memory for the tokens of %zu bytes of text", n);
    }
    return AP_OK;
}

ap_status ap_bpe_encode(ap_bpe *bpe, const char *text, size_t n, ap_bpe_ids *ids, ap_error *error) {
    static const size_t end = sizeof AP_BPE_END_OF_TEXT - 1;
    for (const char *found; (found = memmem(text, n, AP_BPE_END_OF_TEXT, end));) {
        const size_t before = (size_t)(found - text);
        AP_TRY(encode_plain(bpe, text, before, ids, error));
        if (!append(ids, bpe->end_of_text)) return ap_fail(error, AP_ENVIRONMENT, "out of memory for tokens");
        text += before + end, n -= before + end;
    }
    return encode_plain(bpe, text, n, ids, error);
}
