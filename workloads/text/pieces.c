/* Where SentencePiece was not found when the program was built. */
#include "workloads/text/pieces.h"

#ifndef AP_SENTENCEPIECE

#include <stddef.h>

static ap_status absent(ap_error *error) {
    return ap_fail(
        error, AP_ENVIRONMENT,
        "this program was built without SentencePiece, which cuts text into tokens; on Debian: apt-get install "
        "libsentencepiece-dev, and build again (packed files can be trained on without it)");
}

bool ap_pieces_available(void) {
    return false;
}
ap_status ap_pieces_train(const char *text, int64_t bytes, int64_t vocabulary, ap_pieces **pieces, ap_error *error) {
    (void)text, (void)bytes, (void)vocabulary, (void)pieces;
    return absent(error);
}
ap_status ap_pieces_load(const char *path, ap_pieces **pieces, ap_error *error) {
    (void)path, (void)pieces;
    return absent(error);
}
void ap_pieces_free(ap_pieces *pieces) {
    (void)pieces;
}
char *ap_pieces_list(const ap_pieces *pieces) {
    (void)pieces;
    return NULL;
}
int64_t ap_pieces_cut(const ap_pieces *pieces, const char *line, int64_t bytes, int32_t **ids, int64_t *room) {
    (void)pieces, (void)line, (void)bytes, (void)ids, (void)room;
    return -1;
}

#endif
