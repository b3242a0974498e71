/* Child programs: their output, their exit code, and that one which does not end is ended. */
#include "check.h"

#include "base/child.h"

#include <stdlib.h>
#include <string.h>

static ap_status shell(const char *script, double limit_s, char *output, size_t size, int *code, ap_error *error) {
    return ap_child_output((const char *const[]){"sh", "-c", script, NULL}, limit_s, output, size, code, error);
}

static void test_output_and_exit_code(void) {
    static const struct {
        const char *script, *output;
        int code;
    } cases[] = {{"echo one; echo two >&2; exit 3", "one\ntwo\n", 3},
                 {"cat", "", 0}, /* no input */
                 {"kill -9 $$", "", 128 + 9},
                 {"printf 123456789012345678901234567890", "1234567890123456789", 0}}; /* cut */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char output[20];
        int code = -1;
        CHECK_INT(shell(cases[i].script, 60, output, sizeof output, &code, NULL), AP_OK);
        CHECK(!strcmp(output, cases[i].output));
        CHECK_INT(code, cases[i].code);
    }
}

/* What the script itself has started goes too: else the pipe would stay open for its 600 s. */
static void test_a_child_that_does_not_end_is_killed_with_its_own(void) {
    char output[64];
    int code;
    ap_error error;
    CHECK_INT(shell("echo begun; sleep 600 & sleep 600", 0.3, output, sizeof output, &code, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "0.3 s");
    CHECK_TEXT(output, "begun");
}

static void test_a_program_that_is_not_there(void) {
    char output[64];
    int code;
    ap_error error;
    CHECK_INT(ap_child_output((const char *const[]){"no-such-program", NULL}, 1, output, sizeof output, &code, &error),
              AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "no-such-program");
    CHECK(!ap_child_exists("no-such-program"));
    CHECK(ap_child_exists("sh"));
    setenv("PATH", "", 1);
    CHECK(!ap_child_exists("sh"));
}

AP_TEST_MAIN(test_output_and_exit_code, test_a_child_that_does_not_end_is_killed_with_its_own,
             test_a_program_that_is_not_there)
