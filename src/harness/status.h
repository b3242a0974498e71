/* The state of a result tree for people who look at it: by its files, without the job file, and by what Slurm says of
 * its jobs. Reads only; safe while a sweep is running. Not collective. */
#ifndef AP_HARNESS_STATUS_H
#define AP_HARNESS_STATUS_H

#include "harness/claim.h"
#include "harness/slurm_jobs.h"
#include "harness/tree.h"

typedef enum ap_trial_state {
    AP_TRIAL_PENDING, /* nobody has it; `step` > 0: it was begun, and goes on from its checkpoint */
    AP_TRIAL_RUNNING, /* claimed; claim.owner says whether that can be verified from here */
    AP_TRIAL_STALE,   /* claimed by a process that is gone; the next group that looks takes it */
    AP_TRIAL_DONE,
    AP_TRIAL_STATES
} ap_trial_state;
extern const char *const ap_trial_state_names[AP_TRIAL_STATES];

typedef struct ap_trial_status {
    ap_trial_state state;
    bool cancelled;            /* asked for, no verdict yet */
    ap_result_summary summary; /* of a trial that is done */
    ap_claim_info claim;       /* running, stale */
    /* Begun: by its last evaluation in events.jsonl (step -1: none yet). */
    int64_t step;
    double score_s, budget_s; /* trial time used, and its limit */
    double metric, target;    /* validation; NaN: unknown */
    char metric_name[64];
    double wall_per_score; /* wall seconds a second of trial time; NaN: unknown */
} ap_trial_status;

typedef struct ap_tree_status {
    ap_tree_list list;
    ap_trial_status *trial; /* [list.n] */
    int states[AP_TRIAL_STATES], verdicts[AP_VERDICTS];
    ap_held_job held[AP_HELD_JOBS]; /* [held_count]: asked only while trials are left */
    int held_count;
    double latest_end_s; /* from now, by the budgets, with as many groups as are at work; NaN: none is */
} ap_tree_status;

/* AP_DATA: no result tree. Free with ap_tree_status_free. */
ap_status ap_tree_status_read(const char *results, ap_tree_status *status, ap_error *error);
void ap_tree_status_free(ap_tree_status *status);
/* One object: tree, counts, trials. Malloc'ed; NULL: out of memory. */
char *ap_tree_status_json(const char *results, const ap_tree_status *status);

#endif
