#include "workloads/text/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN, BEGIN, END, WORD = 32 };
static const char space[] = "\u2581", unknown[] = " \u2047 ";

bool ap_vocabulary_open(const char *text, ap_vocabulary *v) {
    *v = (ap_vocabulary){0};
    if (!text) return true;
    int64_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++) lines++;
    v->piece = malloc((size_t)(lines + 1) * sizeof *v->piece);
    if (!v->piece) return false;
    for (v->piece[0] = text; v->pieces < lines; v->pieces++)
        v->piece[v->pieces + 1] = strchr(v->piece[v->pieces], '\n') + 1;
    return true;
}

void ap_vocabulary_close(ap_vocabulary *v) {
    free(v->piece);
    *v = (ap_vocabulary){0};
}

/* Appends a piece, U+2581 as a space that does not begin the text. */
static void append_piece(const char *piece, size_t n, char *text, size_t *used) {
    for (size_t i = 0; i < n;) {
        if (n - i >= sizeof space - 1 && memcmp(piece + i, space, sizeof space - 1) == 0) {
            if (*used) text[(*used)++] = ' ';
            i += sizeof space - 1;
        } else {
            text[(*used)++] = piece[i++];
        }
    }
}

static size_t room_for(const ap_vocabulary *v, int64_t n, const int64_t *tokens) {
    size_t room = 1;
    for (int64_t i = 0; i < n; i++)
        room += WORD + (tokens[i] >= 0 && tokens[i] < v->pieces ? strcspn(v->piece[tokens[i]], "\n") : 0);
    return room;
}

char *ap_vocabulary_text(const ap_vocabulary *v, int64_t n, const int64_t *tokens) {
    char *text = malloc(room_for(v, n, tokens));
    size_t used = 0;
    for (int64_t i = 0; text && i < n; i++) {
        const int64_t t = tokens[i];
        if (t == BEGIN || t == END) continue;
        if (t == UNKNOWN || (v->piece && (t < 0 || t >= v->pieces)))
            append_piece(unknown, sizeof unknown - 1, text, &used);
        else if (v->piece)
            append_piece(v->piece[t], strcspn(v->piece[t], "\n"), text, &used);
        else
            used += (size_t)snprintf(text + used, WORD, used ? " w%lld" : "w%lld", (long long)t);
    }
    if (text) text[used] = 0;
    return text;
}
