/* Training of byte-pair tokens. */
#include "workloads/finewebedu_lm/bpe_table.h"

#include "base/digest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct word {
    int64_t count;
    size_t at, n; /* its bytes in `text`, n of them at first; from the first merge on its tokens in `token` */
} word;

typedef struct pair {
    int32_t left, right;   /* left < 0: an empty place */
    int64_t count, queued; /* queued: the count of its newest entry in the queue */
    int32_t *where;        /* words that may have it: once had */
    int64_t found, room;
} pair;

typedef struct entry { /* of the queue: a pair as it was once */
    int64_t count;
    int32_t left, right;
} entry;

struct ap_bpe_trainer {
    ap_bpe *bpe;
    char *text; /* of the words, one behind the other */
    size_t used, room;
    word *word;
    int64_t words, word_room, *index, index_size; /* index: of words by their bytes, -1: empty */
    int32_t *token;
    pair *pair;
    int64_t pairs, pair_size;
    entry *queue; /* a heap: the most frequent pair on top; of equals the lowest */
    int64_t waiting, queue_room;
};

static ap_status no_memory(ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "out of memory for the training of tokens");
}

ap_status ap_bpe_trainer_create(ap_bpe_trainer **result, ap_error *error) {
    ap_bpe_trainer *t = calloc(1, sizeof *t);
    if (!t) return no_memory(error);
    const ap_status status = ap_bpe_create(&t->bpe, error);
    if (status == AP_OK)
        *result = t;
    else
        ap_bpe_trainer_free(t);
    return status;
}

void ap_bpe_trainer_free(ap_bpe_trainer *t) {
    if (!t) return;
    for (int64_t i = 0; i < t->pair_size; i++) free(t->pair[i].where);
    free(t->text), free(t->word), free(t->index), free(t->token), free(t->pair), free(t->queue);
    ap_bpe_free(t->bpe);
    free(t);
}

/* Doubles an array that is full. */
static bool grow(void **array, int64_t used, int64_t *room, size_t size) {
    if (used < *room) return true;
    const int64_t more = 2 * *room + 64;
    void *grown = realloc(*array, (size_t)more * size);
    if (!grown) return false;
    *array = grown, *room = more;
    return true;
}

/* ---- words */

static int64_t *word_place(const ap_bpe_trainer *t, const char *text, size_t n) {
    const uint64_t mask = (uint64_t)t->index_size - 1;
    for (uint64_t i = ap_digest64(text, n) & mask;; i = (i + 1) & mask) {
        const word *w = t->index[i] < 0 ? NULL : &t->word[t->index[i]];
        if (!w || (w->n == n && memcmp(t->text + w->at, text, n) == 0)) return &t->index[i];
    }
}

static bool grow_index(ap_bpe_trainer *t) {
    if (2 * t->words < t->index_size) return true;
    const int64_t size = t->index_size ? 2 * t->index_size : 4096;
    int64_t *index = malloc((size_t)size * sizeof *index);
    if (!index) return false;
    free(t->index);
    memset(index, 0xff, (size_t)size * sizeof *index);
    t->index = index, t->index_size = size;
    for (int64_t i = 0; i < t->words; i++) *word_place(t, t->text + t->word[i].at, t->word[i].n) = i;
    return true;
}

static bool count_word(ap_bpe_trainer *t, const char *text, size_t n) {
    if (!grow_index(t)) return false;
    int64_t *place = word_place(t, text, n);
    if (*place >= 0) {
        t->word[*place].count++;
        return true;
    }
    if (!grow((void **)&t->word, t->words, &t->word_room, sizeof *t->word)) return false;
    if (t->used + n > t->room) {
        const size_t room = 2 * (t->used + n) + 65536;
        char *grown = realloc(t->text, room);
        if (!grown) return false;
        t->text = grown, t->room = room;
    }
    memcpy(t->text + t->used, text, n);
    t->word[t->words] = (word){1, t->used, n};
    t->used += n;
    *place = t->words++;
    return true;
}

ap_status ap_bpe_trainer_add(ap_bpe_trainer *t, const char *text, size_t n, ap_error *error) {
    size_t length;
    for (size_t at = 0; at < n; at += length) {
        AP_TRY(ap_words_next(t->bpe->words, text, n, at, &length, error));
        if (!count_word(t, text + at, length)) return no_memory(error);
    }
    return AP_OK;
}

/* ---- pairs */

static pair *pair_place(pair *pairs, int64_t size, int32_t left, int32_t right) {
    const uint64_t mask = (uint64_t)size - 1, key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t i = (key * 0x9e3779b97f4a7c15u >> 20) & mask;
    while (pairs[i].left >= 0 && (pairs[i].left != left || pairs[i].right != right)) i = (i + 1) & mask;
    return &pairs[i];
}

static bool grow_pairs(ap_bpe_trainer *t) {
    if (2 * t->pairs < t->pair_size) return true;
    const int64_t size = t->pair_size ? 2 * t->pair_size : 4096;
    pair *grown = calloc((size_t)size, sizeof *grown);
    if (!grown) return false;
    for (int64_t i = 0; i < size; i++) grown[i].left = -1;
    for (int64_t i = 0; i < t->pair_size; i++)
        if (t->pair[i].left >= 0) *pair_place(grown, size, t->pair[i].left, t->pair[i].right) = t->pair[i];
    free(t->pair);
    t->pair = grown, t->pair_size = size;
    return true;
}

/* `count` more (or fewer) of the pair, in word w. */
static bool change(ap_bpe_trainer *t, int32_t left, int32_t right, int64_t count, int64_t w) {
    if (!grow_pairs(t)) return false;
    pair *p = pair_place(t->pair, t->pair_size, left, right);
    if (p->left < 0) *p = (pair){.left = left, .right = right}, t->pairs++;
    p->count += count;
    if (count < 0 || (p->found && p->where[p->found - 1] == (int32_t)w)) return true;
    if (!grow((void **)&p->where, p->found, &p->room, sizeof *p->where)) return false;
    p->where[p->found++] = (int32_t)w;
    return true;
}

static bool comes_first(const entry *a, const entry *b) {
    if (a->count != b->count) return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static bool push(ap_bpe_trainer *t, pair *p) {
    if (p->count <= 0 || p->count == p->queued) return true;
    p->queued = p->count;
    if (!grow((void **)&t->queue, t->waiting, &t->queue_room, sizeof *t->queue)) return false;
    const entry e = {p->count, p->left, p->right};
    int64_t i = t->waiting++;
    for (; i > 0 && comes_first(&e, &t->queue[(i - 1) / 2]); i = (i - 1) / 2) t->queue[i] = t->queue[(i - 1) / 2];
    t->queue[i] = e;
    return true;
}

static entry pop(ap_bpe_trainer *t) {
    const entry top = t->queue[0], last = t->queue[--t->waiting];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < t->waiting; i = child) {
        if (child + 1 < t->waiting && comes_first(&t->queue[child + 1], &t->queue[child])) child++;
        if (!comes_first(&t->queue[child], &last)) break;
        t->queue[i] = t->queue[child];
    }
    t->queue[i] = last;
    return top;
}

/* ---- merging */

static bool begin(ap_bpe_trainer *t) {
    t->token = malloc((t->used + 1) * sizeof *t->token);
    if (!t->token || !ap_bpe_add_bytes(t->bpe)) return false;
    for (size_t i = 0; i < t->used; i++) t->token[i] = ap_bpe_find(t->bpe, &t->text[i], 1);
    for (int64_t w = 0; w < t->words; w++)
        for (size_t i = 0; i + 1 < t->word[w].n; i++) {
            const int32_t *token = t->token + t->word[w].at + i;
            if (!change(t, token[0], token[1], t->word[w].count, w)) return false;
        }
    for (int64_t i = 0; i < t->pair_size; i++)
        if (t->pair[i].left >= 0 && !push(t, &t->pair[i])) return false;
    return true;
}

/* In one word: each occurrence from the left; the pairs around it change. */
static bool merge_in(ap_bpe_trainer *t, int64_t w, entry e, int32_t result) {
    word *it = &t->word[w];
    int32_t *token = t->token + it->at;
    size_t n = 0;
    for (size_t i = 0; i < it->n; i++) {
        if (i + 1 == it->n || token[i] != e.left || token[i + 1] != e.right) {
            token[n++] = token[i];
            continue;
        }
        if (n && (!change(t, token[n - 1], e.left, -it->count, w) || !change(t, token[n - 1], result, it->count, w)))
            return false;
        if (i + 2 < it->n &&
            (!change(t, e.right, token[i + 2], -it->count, w) || !change(t, result, token[i + 2], it->count, w)))
            return false;
        token[n++] = result;
        i++;
    }
    it->n = n;
    return true;
}

/* Pairs with the new token wait from now on. */
static bool push_new(ap_bpe_trainer *t, const int32_t *where, int64_t found, int32_t result) {
    for (int64_t k = 0; k < found; k++) {
        const word *w = &t->word[where[k]];
        for (size_t i = 0; i + 1 < w->n; i++) {
            const int32_t *token = t->token + w->at + i;
            if (token[0] != result && token[1] != result) continue;
            if (!push(t, pair_place(t->pair, t->pair_size, token[0], token[1]))) return false;
        }
    }
    return true;
}

/* The most frequent pair; false in *found: no word has two tokens any more. */
static bool merge_next(ap_bpe_trainer *t, bool *found) {
    entry e = {0};
    *found = false;
    while (t->waiting && !*found) {
        e = pop(t);
        pair *now = pair_place(t->pair, t->pair_size, e.left, e.right);
        *found = now->count == e.count;
        if (!*found && !push(t, now)) return false;
    }
    if (!*found) return true;
    const int32_t result = ap_bpe_join(t->bpe, e.left, e.right);
    pair *p = pair_place(t->pair, t->pair_size, e.left, e.right);
    int32_t *where = p->where;
    const int64_t places = p->found;
    p->where = NULL, p->found = p->room = 0;
    bool fine = result >= 0 && ap_bpe_add_merge(t->bpe, e.left, e.right, result);
    for (int64_t i = 0; fine && i < places; i++) fine = merge_in(t, where[i], e, result);
    pair_place(t->pair, t->pair_size, e.left, e.right)->count = 0;
    fine = fine && push_new(t, where, places, result);
    free(where);
    return fine;
}

ap_status ap_bpe_trainer_finish(ap_bpe_trainer *t, int64_t size, ap_bpe **bpe, ap_error *error) {
    if (size <= AP_BPE_BYTES || size > INT32_MAX / 4)
        return ap_fail(error, AP_CONFIG, "%" PRId64 " tokens (at least %d: the bytes and " AP_BPE_END_OF_TEXT ")", size,
                       AP_BPE_BYTES + 1);
    if (!begin(t)) return no_memory(error);
    for (bool found = true; t->bpe->tokens < size - 1;) {
        if (!merge_next(t, &found)) return no_memory(error);
        if (!found)
            return ap_fail(error, AP_DATA,
                           "%" PRId64 " tokens cannot be trained on %" PRId64 " different words: all are whole after "
                           "%d; give more text, or a tokenizer's file (--vocabulary)",
                           size, t->words, t->bpe->tokens);
    }
    t->bpe->end_of_text = ap_bpe_add(t->bpe, AP_BPE_END_OF_TEXT, sizeof AP_BPE_END_OF_TEXT - 1);
    if (t->bpe->end_of_text < 0) return no_memory(error);
    AP_TRY(ap_bpe_finish(t->bpe, error));
    *bpe = t->bpe;
    t->bpe = NULL;
    return AP_OK;
}
