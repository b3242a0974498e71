/* Part of `algoperf verify`: the sequences that a model which writes finds by search, against recorded ones. */
#ifndef AP_CLI_VERIFY_SEARCH_H
#define AP_CLI_VERIFY_SEARCH_H

#include "workload/workload.h"

typedef struct ap_search_check {
    hid_t file;
    const char *path; /* for messages */
    const ap_workload *workload;
    const void *model;
    ap_params *params; /* altered and restored */
    ap_tape *tape;
    const ap_batch *batch; /* whose inputs the recorded searches are of */
    /* Results. */
    int cases;
    double wrong, score_error; /* sequences that differ; largest |a - b| / max(1, |b|) of scores */
    char worst[128], worst_score[128];
} ap_search_check;

/* Every member of a group of /extra that has `predicted` and `all_beams` (layout: tests/fixtures/README.md): the
 * model's embedding is multiplied as the case says, and the search run. */
ap_status ap_verify_search(ap_search_check *check, ap_error *error);

#endif
