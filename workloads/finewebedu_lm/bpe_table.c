#include "workloads/finewebedu_lm/bpe_table.h"

#include "base/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes as characters */

static bool prints(int byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

int ap_bpe_character(unsigned char byte) {
    int others = 0;
    if (prints(byte)) return byte;
    for (int b = 0; b < byte; b++) others += !prints(b);
    return AP_BPE_BYTES + others;
}

int64_t ap_bpe_unspell(const char *text, size_t n, char *bytes) {
    static int16_t byte_of[0x144];
    if (!byte_of['!']) {
        memset(byte_of, 0xff, sizeof byte_of);
        for (int b = 0; b < AP_BPE_BYTES; b++) byte_of[ap_bpe_character((unsigned char)b)] = (int16_t)b;
    }
    int64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)text[i];
        if (c >= 0xc2 && c <= 0xc5 && i + 1 < n) c = (c & 0x1f) << 6 | (text[++i] & 0x3f);
        if (c >= 0x144 || byte_of[c] < 0) return -1;
        bytes[count++] = (char)byte_of[c];
    }
    return count;
}

/* ---- tokens */

static bool same(const ap_bpe *bpe, int32_t token, const char *bytes, size_t n) {
    const ap_bpe_token *t = &bpe->token[token];
    return t->n == n && memcmp(bpe->bytes + t->at, bytes, n) == 0;
}

/* The place in the index: of the token with these bytes, or the empty one where it would be. */
static uint32_t place(const ap_bpe *bpe, const char *bytes, size_t n) {
    const uint32_t mask = (uint32_t)bpe->index_size - 1;
    uint32_t i = (uint32_t)ap_digest64(bytes, n) & mask;
    while (bpe->index[i] >= 0 && !same(bpe, bpe->index[i], bytes, n)) i = (i + 1) & mask;
    return i;
}

int32_t ap_bpe_find(const ap_bpe *bpe, const char *bytes, size_t n) {
    return bpe->index_size ? bpe->index[place(bpe, bytes, n)] : -1;
}

static bool grow_index(ap_bpe *bpe) {
    const int32_t size = bpe->index_size ? 2 * bpe->index_size : 1024;
    int32_t *index = malloc((size_t)size * sizeof *index);
    if (!index) return false;
    free(bpe->index);
    memset(index, 0xff, (size_t)size * sizeof *index);
    bpe->index = index, bpe->index_size = size;
    for (int32_t t = 0; t < bpe->tokens; t++) index[place(bpe, bpe->bytes + bpe->token[t].at, bpe->token[t].n)] = t;
    return true;
}

static bool grow_tokens(ap_bpe *bpe, size_t n) {
    if (bpe->tokens == bpe->token_room) {
        const int32_t room = 2 * bpe->token_room + 512;
        ap_bpe_token *token = realloc(bpe->token, (size_t)room * sizeof *token);
        if (!token) return false;
        bpe->token = token, bpe->token_room = room;
    }
    if (bpe->used + n > bpe->room) {
        const size_t room = 2 * (bpe->used + n) + 4096;
        char *bytes = realloc(bpe->bytes, room);
        if (!bytes) return false;
        bpe->bytes = bytes, bpe->room = room;
    }
    return 2 * bpe->tokens < bpe->index_size || grow_index(bpe);
}

int32_t ap_bpe_add(ap_bpe *bpe, const char *bytes, size_t n) {
    const int32_t there = ap_bpe_find(bpe, bytes, n);
    if (there >= 0) return there;
    if (!grow_tokens(bpe, n)) return -1;
    memcpy(bpe->bytes + bpe->used, bytes, n);
    bpe->token[bpe->tokens] = (ap_bpe_token){bpe->used, n};
    bpe->used += n;
    bpe->index[place(bpe, bytes, n)] = bpe->tokens;
    return bpe->tokens++;
}

int32_t ap_bpe_join(ap_bpe *bpe, int32_t left, int32_t right) {
    const size_t l = bpe->token[left].n, n = l + bpe->token[right].n;
    char *bytes = malloc(n);
    if (!bytes) return -1;
    memcpy(bytes, bpe->bytes + bpe->token[left].at, l);
    memcpy(bytes + l, bpe->bytes + bpe->token[right].at, n - l);
    const int32_t token = ap_bpe_add(bpe, bytes, n);
    free(bytes);
    return token;
}

bool ap_bpe_add_bytes(ap_bpe *bpe) {
    for (int printing = 1; printing >= 0; printing--)
        for (int b = 0; b < AP_BPE_BYTES; b++)
            if (prints(b) == printing && ap_bpe_add(bpe, &(char){(char)b}, 1) < 0) return false;
    return true;
}

/* ---- merges */

static uint32_t merge_place(const ap_bpe *bpe, int32_t left, int32_t right) {
    const uint32_t mask = (uint32_t)bpe->merge_size - 1;
    const uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t i = (uint32_t)(pair * 0x9e3779b97f4a7c15u >> 32) & mask;
    while (bpe->merge[i].left >= 0 && (bpe->merge[i].left != left || bpe->merge[i].right != right)) i = (i + 1) & mask;
    return i;
}

const ap_bpe_merge *ap_bpe_find_merge(const ap_bpe *bpe, int32_t left, int32_t right) {
    if (!bpe->merge_size) return NULL;
    const ap_bpe_merge *m = &bpe->merge[merge_place(bpe, left, right)];
    return m->left >= 0 ? m : NULL;
}

static bool grow_merges(ap_bpe *bpe) {
    const int32_t size = bpe->merge_size, new_size = size ? 2 * size : 1024;
    ap_bpe_merge *old = bpe->merge, *merge = malloc((size_t)new_size * sizeof *merge);
    if (!merge) return false;
    for (int32_t i = 0; i < new_size; i++) merge[i].left = -1;
    bpe->merge = merge, bpe->merge_size = new_size;
    for (int32_t i = 0; i < size; i++)
        if (old[i].left >= 0) merge[merge_place(bpe, old[i].left, old[i].right)] = old[i];
    free(old);
    return true;
}

bool ap_bpe_add_merge(ap_bpe *bpe, int32_t left, int32_t right, int32_t result) {
    if (2 * bpe->merges >= bpe->merge_size && !grow_merges(bpe)) return false;
    ap_bpe_merge *m = &bpe->merge[merge_place(bpe, left, right)];
    if (m->left < 0) *m = (ap_bpe_merge){left, right, bpe->merges, result};
    bpe->merges++;
    return true;
}

/* ---- the list */

char *ap_bpe_list(const ap_bpe *bpe) {
    char *list = malloc(2 * bpe->used + (size_t)bpe->tokens + 1), *to = list;
    for (int32_t t = 0; list && t < bpe->tokens; t++) {
        for (size_t i = 0; i < bpe->token[t].n; i++) {
            const int c = ap_bpe_character((unsigned char)bpe->bytes[bpe->token[t].at + i]);
            if (c >= 0x80) *to++ = (char)(0xc0 | c >> 6);
            *to++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
        }
        *to++ = '\n';
    }
    if (list) *to = 0;
    return list;
}

uint64_t ap_bpe_digest(const ap_bpe *bpe) {
    uint64_t sum = 0; /* the table's order is that of its growth: a sum over merges does not depend on it */
    for (int32_t i = 0; i < bpe->merge_size; i++)
        if (bpe->merge[i].left >= 0) sum += ap_digest64(&bpe->merge[i], sizeof bpe->merge[i]);
    for (int32_t t = 0; t < bpe->tokens; t++)
        sum = sum * 31 + ap_digest64(bpe->bytes + bpe->token[t].at, bpe->token[t].n);
    return sum * 31 + (uint64_t)bpe->end_of_text;
}

int64_t ap_bpe_size(const ap_bpe *bpe) {
    return bpe->tokens;
}
int32_t ap_bpe_end_of_text(const ap_bpe *bpe) {
    return bpe->end_of_text;
}
