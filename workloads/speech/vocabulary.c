#include "workloads/speech/vocabulary.h"

#include <string.h>

enum { SPACE = 3, A = 4, Z = 29, APOSTROPHE = 30 };

int64_t ap_speech_token_of(char c) {
    if (c == ' ') return SPACE;
    if (c == '\'') return APOSTROPHE;
    return c >= 'A' && c <= 'Z' ? A + (c - 'A') : -1;
}

void ap_speech_text_of(int64_t n, const int64_t *tokens, char *text) {
    size_t length = 0;
    for (int64_t i = 0; i < n; i++) {
        if (tokens[i] >= A && tokens[i] <= Z)
            text[length++] = (char)('A' + (tokens[i] - A));
        else if (tokens[i] == APOSTROPHE)
            text[length++] = '\'';
        else if (tokens[i] == SPACE && length)
            text[length++] = ' ';
    }
    while (length && text[length - 1] == ' ') length--;
    text[length] = 0;
}
