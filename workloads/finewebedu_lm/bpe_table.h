/* The inside of byte-pair tokens, shared by encoding (bpe.c), the published files (bpe_files.c) and training
 * (bpe_train.c). */
#ifndef AP_WORKLOADS_FINEWEBEDU_LM_BPE_TABLE_H
#define AP_WORKLOADS_FINEWEBEDU_LM_BPE_TABLE_H

#include "workloads/finewebedu_lm/bpe.h"
#include "workloads/finewebedu_lm/words.h"

#define AP_BPE_END_OF_TEXT "<|endoftext|>"
enum { AP_BPE_BYTES = 256 };

typedef struct ap_bpe_token {
    size_t at, n; /* in bpe->bytes */
} ap_bpe_token;

typedef struct ap_bpe_merge {
    int32_t left, right, rank, result; /* left < 0: an empty place of the table */
} ap_bpe_merge;

typedef struct ap_bpe_scratch ap_bpe_scratch;

struct ap_bpe {
    char *bytes; /* of all tokens, one behind the other */
    size_t used, room;
    ap_bpe_token *token;
    int32_t tokens, token_room;
    int32_t *index; /* [index_size] tokens by their bytes, -1: empty; open addressing, a power of two */
    int32_t index_size;
    ap_bpe_merge *merge; /* [merge_size] by pair, the same way */
    int32_t merges, merge_size;
    int32_t byte[AP_BPE_BYTES], end_of_text;
    ap_words *words;
    ap_bpe_scratch *scratch;
};

/* No tokens yet. */
ap_status ap_bpe_create(ap_bpe **bpe, ap_error *error);
/* Call when all is in it: looks the bytes up and makes ready to encode. AP_DATA names a byte without a token. */
ap_status ap_bpe_finish(ap_bpe *bpe, ap_error *error);

int32_t ap_bpe_find(const ap_bpe *bpe, const char *bytes, size_t n); /* -1: there is none */
/* The token of these bytes, a new one if there is none. -1: out of memory. */
int32_t ap_bpe_add(ap_bpe *bpe, const char *bytes, size_t n);
/* The next merge of the list; a pair that has one keeps it. */
bool ap_bpe_add_merge(ap_bpe *bpe, int32_t left, int32_t right, int32_t result);
const ap_bpe_merge *ap_bpe_find_merge(const ap_bpe *bpe, int32_t left, int32_t right); /* NULL: there is none */
/* Token of both one behind the other, -1: out of memory. */
int32_t ap_bpe_join(ap_bpe *bpe, int32_t left, int32_t right);
/* The 256 bytes in GPT-2's order: those that print first. */
bool ap_bpe_add_bytes(ap_bpe *bpe);

/* The character that stands for a byte in published files, below U+0144. */
int ap_bpe_character(unsigned char byte);
/* Bytes of a published spelling, into bytes[strlen(text)]; -1: a character that stands for no byte. */
int64_t ap_bpe_unspell(const char *text, size_t n, char *bytes);

#endif
