/* SentencePiece (Kudo, Richardson 2018, arXiv 1808.06226) behind C: training a vocabulary and cutting text into pieces.
 * Without the library (ap_pieces_available() false) every call fails with AP_ENVIRONMENT. Not collective. */
#ifndef AP_WORKLOADS_TEXT_PIECES_H
#define AP_WORKLOADS_TEXT_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "base/status.h"

bool ap_pieces_available(void);

typedef struct ap_pieces ap_pieces;
/* Trains a unigram model as published: character coverage 1, ids 0 unknown, 1 beginning, 2 end. text: sentences with a
 * line break behind each, `bytes` long. Of a text that is too small for so many pieces, as many as it has. One thread,
 * no random numbers: the same text gives the same pieces. AP_DATA: there is no text. */
ap_status ap_pieces_train(const char *text, int64_t bytes, int64_t vocabulary, ap_pieces **pieces, ap_error *error);
/* A model file as SentencePiece writes it. AP_DATA: it is none, or its ids 0, 1, 2 are not those above. */
ap_status ap_pieces_load(const char *path, ap_pieces **pieces, ap_error *error);
void ap_pieces_free(ap_pieces *pieces); /* NULL is fine */

/* A piece a line, from id 0 on, from malloc; NULL: out of memory. */
char *ap_pieces_list(const ap_pieces *pieces);
/* Ids of a line of UTF-8, without end of sentence, into *ids (malloc'ed or grown by realloc, *room of them). Returns
 * their number; -1: out of memory, or the library failed. Thread-safe for one line at a time each. */
int64_t ap_pieces_cut(const ap_pieces *pieces, const char *line, int64_t bytes, int32_t **ids, int64_t *room);

#ifdef __cplusplus
}
#endif
#endif
