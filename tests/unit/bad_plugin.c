/* A plugin with one thing wrong, chosen by a macro (submission.cmake); SPARE_NAME: nothing. */
#include "submission/submission.h"

#ifdef UNRESOLVED
int a_function_that_nobody_has(ap_host *host);
#define UPDATE a_function_that_nobody_has
#else
#define UPDATE update_params
#endif

static int init_optimizer_state(ap_host *host) {
    (void)host;
    return 0;
}

static int update_params(ap_host *host) {
    (void)host;
    return 0;
}

static ap_submission submission = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "Spare_name-1.0",
    .summary = "a test",
    .source = "a test",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
};

static const ap_submission *table(void) {
    submission.update_params = UPDATE;
#if defined WRONG_ABI
    submission.abi = AP_SUBMISSION_ABI + 7;
#elif defined OLD_SIZE
    submission.struct_size -= sizeof(void *);
#elif defined NEW_SIZE
    submission.struct_size += sizeof(void *);
#elif defined NULL_TABLE
    return NULL;
#elif defined NO_INIT
    submission.init_optimizer_state = NULL;
#elif defined NO_UPDATE
    submission.update_params = NULL;
#elif defined NO_NAME
    submission.name = NULL;
#elif defined NO_SUMMARY
    submission.summary = NULL;
#elif defined NO_SOURCE
    submission.source = NULL;
#elif defined SLASH_NAME
    submission.name = "../../escape";
#elif defined DOT_NAME
    submission.name = "..";
#elif defined LONG_NAME
    submission.name =
        "a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j123456789k";
#elif defined BUILTIN_NAME
    submission.name = "nadamw";
#endif
    return &submission;
}

#ifdef NO_ENTRY
AP_SUBMISSION_EXPORT const ap_submission *my_entry(void);
const ap_submission *my_entry(void) {
    return table();
}
#else
const ap_submission *ap_submission_entry(void) {
    return table();
}
#endif
