#include "workloads/speech/vocabulary.h"

enum { SPACE = 3, A = 4, Z = 29, APOSTROPHE = 30 };

int64_t ap_speech_token_of(char c) {
    if (c == ' ') return SPACE;
    if (c == '\'') return APOSTROPHE;
    return c >= 'A' && c <= 'Z' ? A + (c - 'A') : -1;
}

const char ap_speech_characters[] =
    "<unk>\n<s>\n</s>\n\u2581\nA\nB\nC\nD\nE\nF\nG\nH\nI\nJ\nK\nL\nM\nN\nO\nP\nQ\nR\nS\nT\nU\nV\nW\nX\n"
    "Y\nZ\n'\n";
