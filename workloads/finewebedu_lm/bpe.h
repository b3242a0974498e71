/* Byte-level byte-pair tokens (Sennrich, Haddow, Birch 2016, arXiv 1508.07909; over bytes: Radford et al. 2019, GPT-2):
 * text is cut into words by a published pattern, a word begins as its bytes, and the merges, in the order of their
 * list, join neighbours. Ids equal those of the Python package `tokenizers`. Main thread only; not collective. */
#ifndef AP_WORKLOADS_FINEWEBEDU_LM_BPE_H
#define AP_WORKLOADS_FINEWEBEDU_LM_BPE_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ap_bpe ap_bpe;

/* Words are found by PCRE2. Without it (false) loading and training fail with AP_ENVIRONMENT, which says what to
 * install. */
bool ap_bpe_available(void);

/* The tokenizer's published file, told apart by its first character:
 *   tokenizer.json (Hugging Face): a BPE model, pre-tokenizer ByteLevel without prefix space, no normalizer, and
 *   <|endoftext|> as the only added token;
 *   merges.txt (OpenAI's vocab.bpe): a merge a line, first line "#version"; ids are GPT-2's: the 256 bytes, the merges,
 *   <|endoftext|>.
 * AP_DATA names file, place and rule; AP_IO. */
ap_status ap_bpe_load(const char *path, ap_bpe **bpe, ap_error *error);
void ap_bpe_free(ap_bpe *bpe); /* NULL is fine */

int64_t ap_bpe_size(const ap_bpe *bpe); /* ids are 0 .. size - 1 */
int32_t ap_bpe_end_of_text(const ap_bpe *bpe);
/* A token a line, from id 0 on, as tokenizer.json spells them (a space is U+0120); from malloc, NULL: out of memory. */
char *ap_bpe_list(const ap_bpe *bpe);
/* All that ids depend on: the tokens and the merges. */
uint64_t ap_bpe_digest(const ap_bpe *bpe);

typedef struct ap_bpe_ids {
    int32_t *id; /* from malloc; the caller frees */
    int64_t n, room;
} ap_bpe_ids;
/* Appends the tokens of text, which is UTF-8 and not empty; there is room for one more behind them. <|endoftext|> spelt
 * out in it is that token, as in the published pipeline. */
ap_status ap_bpe_encode(ap_bpe *bpe, const char *text, size_t n, ap_bpe_ids *ids, ap_error *error);

/* Training: words are counted, then the most frequent pair of neighbours is merged until there are `size` tokens, the
 * last of them <|endoftext|>; of equally frequent pairs the one with the lower ids. The same merges as `tokenizers`'
 * BpeTrainer makes with all bytes as its alphabet. Memory: the distinct words. */
typedef struct ap_bpe_trainer ap_bpe_trainer;
ap_status ap_bpe_trainer_create(ap_bpe_trainer **trainer, ap_error *error);
void ap_bpe_trainer_free(ap_bpe_trainer *trainer); /* NULL is fine */
ap_status ap_bpe_trainer_add(ap_bpe_trainer *trainer, const char *text, size_t n, ap_error *error);
/* AP_DATA: so many tokens cannot be made of this text. */
ap_status ap_bpe_trainer_finish(ap_bpe_trainer *trainer, int64_t size, ap_bpe **bpe, ap_error *error);

#endif
