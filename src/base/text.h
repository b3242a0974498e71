/* Texts from outside: what may go into JSON, HDF5 and onto a terminal. Not collective. */
#ifndef AP_BASE_TEXT_H
#define AP_BASE_TEXT_H

#include <stddef.h>

/* Replaces control characters (also the 8-bit ones, U+0080 to U+009F) by '?', and all bytes above 127 too unless the
 * text is UTF-8 as a whole. Never changes the length. */
void ap_clean_text(char *text);

/* Index of the first of n bytes that is not UTF-8 (overlong forms, surrogates and beyond U+10FFFF are not), or n. */
size_t ap_utf8_valid(const char *bytes, size_t n);

#endif
