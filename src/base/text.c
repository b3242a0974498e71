#include "base/text.h"

#include <jansson.h>
#include <stdbool.h>

/* jansson is the judge of UTF-8: what it refuses could not be written to events.jsonl. */
void ap_clean_text(char *text) {
    json_t *valid = json_string(text);
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        bool eight_bit_control = valid && c[0] == 0xc2 && c[1] < 0xa0; /* UTF-8: a second byte is there, from 0x80 up */
        if (*c < 0x20 || *c == 0x7f || (!valid && *c >= 0x80)) *c = '?';
        if (eight_bit_control) c[0] = c[1] = '?';
    }
    json_decref(valid);
}

size_t ap_utf8_valid(const char *bytes, size_t n) {
    const unsigned char *s = (const unsigned char *)bytes;
    size_t i = 0;
    while (i < n) {
        const unsigned char c = s[i];
        const size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : 3;
        if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || i + more >= n) return i;
        for (size_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80) return i;
        if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) || (c == 0xf0 && s[i + 1] < 0x90) ||
            (c == 0xf4 && s[i + 1] > 0x8f))
            return i; /* overlong, a surrogate, beyond U+10FFFF */
        i += more + 1;
    }
    return n;
}
