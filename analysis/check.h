/* Is this a complete and consistent set of results?
 *
 * Nothing here says that a result is honest, only that it is whole, that it is what a result is, that its parts agree
 * with each other and with the job, and that every trial of the job has one verdict. Not collective; main thread only.
 */
#ifndef AP_ANALYSIS_CHECK_H
#define AP_ANALYSIS_CHECK_H

#include "analysis/result.h"
#include "analysis/tree.h"
#include "analysis/trial_list.h"

/* What is wrong goes to `say`, a line each, as it is found: "TRIAL: REASON", cleaned. */
typedef struct ap_check {
    void (*say)(const char *line, void *data);
    void *data;
    size_t reasons;                 /* said so far */
    size_t planned, verdicts, logs; /* trials of the job (0: not known), results with a verdict, official logs */
} ap_check;

void ap_check_say(ap_check *check, const char *trial, const char *format, ...) AP_PRINTF(3, 4);

/* All of a place of results (tree.h). AP_OK if it could be checked, whatever was found; damage is a finding, not an
 * error. AP_IO, AP_ENVIRONMENT: it could not. */
ap_status ap_check_tree(const char *root, ap_check *check, ap_error *error);

/* check_result.c: one result; returns whether it has a verdict. events: the trial's log or NULL. */
bool ap_check_result(ap_check *check, const char *trial, const ap_result *result);
void ap_check_events(ap_check *check, const char *trial, const ap_result *result, const char *events, size_t n);
/* An official log; the table's text is taken over. */
void ap_check_log(ap_check *check, const char *trial, char *text, size_t n);

#endif
