/* Which trials a job has: from what `algoperf run` leaves in a folder of results. Not collective. */
#ifndef AP_ANALYSIS_TRIAL_LIST_H
#define AP_ANALYSIS_TRIAL_LIST_H

#include "base/status.h"
#include <stddef.h>

typedef struct ap_planned {
    char *path;            /* "nadamw/study_0/mnist/trial_1" */
    char *hyperparameters; /* JSON; NULL: not known */
} ap_planned;

typedef struct ap_trial_list {
    size_t n;
    ap_planned *trial; /* sorted by path */
} ap_trial_list;

/* From trials.json (which names every trial) and job.txt (which says what each was given); either may be NULL, and
 * without the first the second says which trials there are: studies x workloads x submissions x points. `where` names
 * the folder in messages. AP_DATA: one of them is malformed, or they are not of one job. */
ap_status ap_trial_list_parse(const char *trials_json, const char *job_txt, const char *where, ap_trial_list *list,
                              ap_error *error);
void ap_trial_list_free(ap_trial_list *list); /* a zeroed one is fine */

const ap_planned *ap_trial_list_find(const ap_trial_list *list, const char *path); /* NULL: not planned */

#endif
