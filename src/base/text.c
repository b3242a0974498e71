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
