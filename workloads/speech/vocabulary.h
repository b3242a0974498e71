/* Tokens and texts. Ids 0, 1, 2 are blank (also the unknown token), beginning and end of sentence, as published. */
#ifndef AP_SPEECH_VOCABULARY_H
#define AP_SPEECH_VOCABULARY_H

#include <stdint.h>

enum { AP_TOKEN_BLANK = 0, AP_TOKEN_END = 2 };

/* Single characters: 3 the space, 4 to 29 the letters A to Z, 30 the apostrophe. */
enum { AP_SPEECH_CHARACTERS = 31 };
/* Token of a character of a transcript; -1: none. */
int64_t ap_speech_token_of(char c);
/* Their list, a piece a line from id 0 on, as packed files have it (workloads/text/vocabulary.h). */
extern const char ap_speech_characters[];

#endif
