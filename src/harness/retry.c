#include "harness/retry.h"

#include "harness/checkpoint.h"
#include "harness/claim.h"

#include <errno.h>
#include <stdio.h>

static ap_status check_verdict(const char *directory, ap_error *error) {
    ap_result_summary summary;
    ap_status status = ap_result_summarise(directory, &summary, error);
    if (status == AP_DATA) return AP_OK; /* a damaged result is a reason to run it again */
    AP_TRY(status);
    if (summary.evaluations >= 0 && summary.verdict != AP_VERDICT_RUNNING) return AP_OK;
    return ap_fail(error, AP_USAGE, "%s: has no verdict yet: there is nothing to retry, `algoperf run` goes on with it",
                   directory);
}

static ap_status set_aside(const char *directory, const char *name, const char *previous, ap_error *error) {
    char from[AP_PATH], to[AP_PATH];
    AP_TRY(ap_path(from, error, "%s/%s", directory, name));
    AP_TRY(ap_path(to, error, "%s/%s", directory, previous));
    if (rename(from, to) && errno != ENOENT) return ap_fail_errno(error, AP_IO, "%s: cannot be renamed", from);
    return AP_OK;
}

/* The index first: if this ends in between, whoever takes the trial finds the result and its verdict. */
static ap_status discard(const char *results, int trial, const char *directory, ap_error *error) {
    AP_TRY(check_verdict(directory, error)); /* now that nobody can change it */
    ap_verdict_forget(results, trial);
    ap_cancel_forget(results, trial);
    AP_TRY(set_aside(directory, "result.h5", "result.previous.h5", error));
    AP_TRY(set_aside(directory, "events.jsonl", "events.previous.jsonl", error));
    return ap_checkpoint_remove_all(directory, error); /* else it would go on from there */
}

ap_status ap_retry(const char *results, const ap_tree_list *list, int trial, ap_error *error) {
    char directory[AP_PATH], world[128];
    ap_claim claim;
    ap_world_name_make(world);
    const ap_claimant by = {.results = results, .world = world, .asks = true};
    AP_TRY(ap_path(directory, error, "%s/%s", results, list->trial[trial].path));
    AP_TRY(check_verdict(directory, error)); /* a void claim of an unfinished trial is not ours to take: it counts */
    AP_TRY(ap_tree_prepare(results, error));
    AP_TRY(ap_claim_take(&by, trial, -1, &claim, error));
    if (!claim.taken)
        return ap_fail(error, AP_USAGE, "%s: is held by %s: try again when it has ended", directory, claim.owner);
    ap_status status = discard(results, trial, directory, error);
    ap_claim_release(results, trial);
    return status;
}
