/* Tokens and texts. Ids 0, 1, 2 are blank (also the unknown token), beginning and end of sentence, as published. */
#ifndef AP_SPEECH_VOCABULARY_H
#define AP_SPEECH_VOCABULARY_H

#include <stdint.h>

enum { AP_TOKEN_BLANK = 0, AP_TOKEN_END = 2 };

/* Single characters: 3 the space, 4 to 29 the letters A to Z, 30 the apostrophe. */
enum { AP_SPEECH_CHARACTERS = 31 };
/* Token of a character of a transcript; -1: none. */
int64_t ap_speech_token_of(char c);
/* The text of n tokens into text [n + 1]; others than characters are left out, spaces at the ends too. */
void ap_speech_text_of(int64_t n, const int64_t *tokens, char *text);

#endif
