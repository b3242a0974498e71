/* base/text: nothing that a terminal would obey comes through. */
#include "base/text.h"
#include "check.h"

#include <string.h>

static void becomes(const char *text, const char *want) {
    char copy[128];
    strcpy(copy, text);
    ap_clean_text(copy);
    CHECK(!strcmp(copy, want));
}

static void test_clean(void) {
    becomes("", "");
    becomes("plain text", "plain text");
    becomes("\033[2J\a\b\n\t\x7f", "?[2J?????");
    becomes("gr\xc3\xb6\xc3\x9f"
            "e \xf0\x9f\x98\x80",
            "gr\xc3\xb6\xc3\x9f"
            "e \xf0\x9f\x98\x80");
    becomes("\xc2\x9b"
            "2J",
            "??2J");                                 /* CSI as one character */
    becomes("\xc2\xa0\xc3\x9b", "\xc2\xa0\xc3\x9b"); /* no controls */
    becomes("\xff\xc3\xb6", "???");                  /* not UTF-8 as a whole */
    becomes("\xc3", "?");
    becomes("\xed\xa0\x80", "???"); /* half of a surrogate pair */
    becomes("\xc0\xaf", "??");      /* longer than need be */
}

AP_TEST_MAIN(test_clean)
