/* Status codes and error texts: how every function of this program that can fail says so.
 *
 * A function that can fail returns ap_status and takes an `ap_error *` that the caller owns and the callee fills. The
 * text says what failed, the value seen, what is allowed and what to do next; callers on the way up add context in
 * front ("jobs/a.cfg: trial_3: ..."). Nothing below cli/ prints, exits or aborts.
 *
 * The status codes are the programs' exit codes. */
#ifndef AP_BASE_STATUS_H
#define AP_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum ap_status {
    AP_OK = 0,                 /* done; every target that can be reached was reached */
    AP_TARGET_NOT_REACHED = 1, /* done; a study ended without a trial that reached its target */
    AP_USAGE = 2,              /* wrong command line */
    AP_CONFIG = 3,             /* a job, workload or search-space file is wrong */
    AP_DATA = 4,               /* a data set, checkpoint, result or fixture is malformed or damaged */
    AP_IO = 5,                 /* the operating system refused a read or write (full disk, permissions) */
    AP_NUMERIC = 6,            /* training diverged (non-finite loss), or a verification is out of tolerance */
    AP_ENVIRONMENT = 7,        /* launch, ranks, memory, libraries, a stuck rank */
    AP_SUBMISSION = 8,         /* a submission could not be loaded, has the wrong ABI, or reported a failure */
    AP_BUG = 9,                /* an invariant of this program does not hold; please report */
    AP_INTERRUPTED = 75,       /* stopped by a signal after a checkpoint: requeue me (EX_TEMPFAIL) */
} ap_status;

enum { AP_ERROR_TEXT = 1024 };
typedef struct ap_error {
    ap_status status;
    char text[AP_ERROR_TEXT];
} ap_error;

#define AP_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Fills *error (NULL: nothing) and returns `status`, so that a failure is one line: return ap_fail(error, AP_DATA,
 * ...). */
ap_status ap_fail(ap_error *error, ap_status status, const char *format, ...) AP_PRINTF(3, 4);

/* The same, with ": " and the text of errno (as it was at the call) at the end. */
ap_status ap_fail_errno(ap_error *error, ap_status status, const char *format, ...) AP_PRINTF(3, 4);

/* Puts context in front of the text that is there ("context: text") and returns error->status. */
ap_status ap_context(ap_error *error, const char *format, ...) AP_PRINTF(2, 3);

/* One word for the code ("data"), and a line for `--help` and the documentation. Never NULL. */
const char *ap_status_word(ap_status status);
const char *ap_status_meaning(ap_status status);

/* The closest of `names` (NULL-terminated) to `word` by edit distance, or NULL if none is close: "did you mean". */
const char *ap_closest(const char *word, const char *const *names);

/* Evaluates `call`; on failure leaves the calling function with its status. */
#define AP_TRY(call)                                                                                                   \
    do {                                                                                                               \
        ap_status ap_try_ = (call);                                                                                    \
        if (ap_try_ != AP_OK) return ap_try_;                                                                          \
    } while (0)
/* The same, but goes to `label` with the status in `variable`, for functions that clean up. */
#define AP_TRY_GOTO(variable, call, label)                                                                             \
    do {                                                                                                               \
        (variable) = (call);                                                                                           \
        if ((variable) != AP_OK) goto label;                                                                           \
    } while (0)

#endif
