/* From token ids back to text, by the list of pieces that a packed file carries: what SentencePiece's decoder does,
 * without the library. */
#ifndef AP_WORKLOADS_TEXT_VOCABULARY_H
#define AP_WORKLOADS_TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ap_vocabulary {
    int64_t pieces;
    const char **piece; /* [pieces + 1]: the beginning of each, a line break behind it */
} ap_vocabulary;
/* text: a piece a line, from id 0 on, borrowed; NULL: every token is a word of its own, "w17". false: out of memory. */
bool ap_vocabulary_open(const char *text, ap_vocabulary *vocabulary);
void ap_vocabulary_close(ap_vocabulary *vocabulary);
/* The text of n tokens, from malloc; NULL: out of memory. U+2581 becomes a space, not at the beginning; 0 is unknown, 1
 * and 2 (beginning and end) are nothing. */
char *ap_vocabulary_text(const ap_vocabulary *vocabulary, int64_t n, const int64_t *tokens);

#endif
