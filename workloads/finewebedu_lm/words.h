/* Cuts text into the words that byte-pair tokens do not cross, by GPT-2's pattern; PCRE2 does the matching. */
#ifndef AP_WORKLOADS_FINEWEBEDU_LM_WORDS_H
#define AP_WORKLOADS_FINEWEBEDU_LM_WORDS_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct ap_words ap_words;

bool ap_words_available(void);
ap_status ap_words_create(ap_words **words, ap_error *error);
void ap_words_free(ap_words *words); /* NULL is fine */
/* Length of the word that begins at text[at]; 0 at the end. text is UTF-8. */
ap_status ap_words_next(ap_words *words, const char *text, size_t n, size_t at, size_t *length, ap_error *error);

#endif
