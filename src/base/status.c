#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    ap_status status;
    const char *word, *meaning;
} codes[] = {
    {AP_OK, "done", "done; every study reached its target"},
    {AP_TARGET_NOT_REACHED, "target-not-reached", "done; a study ended without a trial that reached its target"},
    {AP_USAGE, "usage", "wrong command line"},
    {AP_CONFIG, "config", "a job, workload or search-space file is wrong"},
    {AP_DATA, "data", "a data set, checkpoint, result or fixture is malformed or damaged"},
    {AP_IO, "io", "the system refused a read or write (full disk, permissions)"},
    {AP_NUMERIC, "numeric", "training diverged, or a verification is out of tolerance"},
    {AP_ENVIRONMENT, "environment", "launch, ranks, memory, libraries, a stuck rank"},
    {AP_SUBMISSION, "submission", "a submission could not be loaded or failed"},
    {AP_BUG, "bug", "an invariant of this program does not hold; please report"},
    {AP_INTERRUPTED, "interrupted", "stopped by a signal after a checkpoint: requeue"},
};

const char *ap_status_word(ap_status status) {
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status) return codes[i].word;
    return "unknown";
}

const char *ap_status_meaning(ap_status status) {
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status) return codes[i].meaning;
    return "unknown status code";
}

ap_status ap_fail(ap_error *error, ap_status status, const char *format, ...) {
    if (!error) return status;
    error->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return status;
}

ap_status ap_fail_errno(ap_error *error, ap_status status, const char *format, ...) {
    if (!error) return status;
    int saved = errno;
    error->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof error->text - used, ": %s", strerror(saved));
    errno = saved;
    return status;
}

ap_status ap_context(ap_error *error, const char *format, ...) {
    if (!error) return AP_BUG;
    char text[AP_ERROR_TEXT];
    memcpy(text, error->text, sizeof text);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof error->text ? (size_t)n : sizeof error->text - 1;
    if (snprintf(error->text + used, sizeof error->text - used, ": %s", text) < 0)
        error->text[used] = 0; /* cut if long */
    return error->status;
}

/* Levenshtein distance, case ignored; words longer than 63 letters are never close. */
static size_t edit_distance(const char *a, const char *b) {
    enum { LONGEST = 63 };
    size_t n = strlen(a), m = strlen(b), row[LONGEST + 1];
    if (n > LONGEST || m > LONGEST) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (strncasecmp(a + i - 1, b + j - 1, 1) != 0);
            diagonal = row[j];
            size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[m];
}

const char *ap_closest(const char *word, const char *const *names) {
    const char *best = NULL;
    size_t distance = strlen(word) / 3 + 2; /* closer than this is a likely slip of the hand */
    for (; *names; names++) {
        size_t d = edit_distance(word, *names);
        if (d < distance) distance = d, best = *names;
    }
    return best;
}
