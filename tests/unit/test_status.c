/* base/status: error texts, context, the closest name. */
#include "base/status.h"
#include "check.h"

#include <errno.h>

static ap_status inner(ap_error *error) {
    return ap_fail(error, AP_DATA, "record %d is %s", 7, "short");
}

static ap_status tries(ap_error *error, bool *went_on) {
    AP_TRY(inner(error));
    *went_on = true;
    return AP_OK;
}

static void test_fail_fills_text_and_returns_status(void) {
    ap_error error = {0};
    CHECK_INT(inner(&error), AP_DATA);
    CHECK_INT(error.status, AP_DATA);
    CHECK(strcmp(error.text, "record 7 is short") == 0);
}

static void test_error_may_be_null(void) {
    CHECK_INT(inner(NULL), AP_DATA);
    errno = ENOENT;
    CHECK_INT(ap_fail_errno(NULL, AP_IO, "x"), AP_IO);
}

static void test_errno_text_is_added_and_errno_kept(void) {
    ap_error error;
    errno = ENOSPC;
    CHECK_INT(ap_fail_errno(&error, AP_IO, "%s: cannot be written", "a.h5"), AP_IO);
    CHECK(strcmp(error.text, "a.h5: cannot be written: No space left on device") == 0);
    CHECK_INT(errno, ENOSPC);
}

static void test_context_goes_in_front(void) {
    ap_error error;
    ap_fail(&error, AP_NUMERIC, "loss is nan");
    CHECK_INT(ap_context(&error, "trial_%d", 3), AP_NUMERIC);
    CHECK_INT(ap_context(&error, "job.cfg"), AP_NUMERIC);
    CHECK(strcmp(error.text, "job.cfg: trial_3: loss is nan") == 0);
}

static void test_long_texts_are_cut_not_overrun(void) {
    char longer[2 * AP_ERROR_TEXT];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ap_error error;
    ap_fail(&error, AP_DATA, "%s", longer);
    CHECK_INT(strlen(error.text), AP_ERROR_TEXT - 1);
    errno = EIO;
    ap_fail_errno(&error, AP_IO, "%s", longer);
    CHECK_INT(strlen(error.text), AP_ERROR_TEXT - 1);
    ap_context(&error, "%s", longer);
    CHECK_INT(strlen(error.text), AP_ERROR_TEXT - 1);
    CHECK_INT(error.status, AP_IO);
}

static void test_try_leaves_with_the_status(void) {
    bool went_on = false;
    CHECK_INT(tries(NULL, &went_on), AP_DATA);
    CHECK(!went_on);
}

static void test_every_code_has_a_word_and_a_meaning(void) {
    for (int code = 0; code <= AP_BUG; code++) {
        CHECK(strcmp(ap_status_word((ap_status)code), "unknown") != 0);
        CHECK(strlen(ap_status_meaning((ap_status)code)) > 3);
    }
    CHECK(strcmp(ap_status_word(AP_INTERRUPTED), "interrupted") == 0);
    CHECK(strcmp(ap_status_word((ap_status)42), "unknown") == 0);
}

static void test_closest_finds_slips_and_nothing_else(void) {
    const char *const names[] = {"learning_rate", "beta1", "beta2", "weight_decay", NULL}, *const none[] = {NULL};
    const char *found = ap_closest("lerning_rate", names);
    CHECK_TEXT(found, "learning_rate");
    CHECK_TEXT(ap_closest("Beta2", names), "beta2");
    CHECK(ap_closest("momentum", names) == NULL);
    CHECK(ap_closest("", names) == NULL);
    CHECK(ap_closest("beta", none) == NULL);
    char longer[200];
    memset(longer, 'b', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK(ap_closest(longer, names) == NULL);
}

AP_TEST_MAIN(test_fail_fills_text_and_returns_status, test_error_may_be_null, test_errno_text_is_added_and_errno_kept,
             test_context_goes_in_front, test_long_texts_are_cut_not_overrun, test_try_leaves_with_the_status,
             test_every_code_has_a_word_and_a_meaning, test_closest_finds_slips_and_nothing_else)
