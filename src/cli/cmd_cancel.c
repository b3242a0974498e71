/* algoperf cancel TRIAL..., algoperf retry TRIAL...: single trials of a sweep, also while it runs. */
#include "cli/cli.h"

#include "base/log.h"
#include "harness/claim.h"
#include "harness/retry.h"

#include <stdio.h>

typedef ap_status for_trial(const char *results, const ap_tree_list *list, int trial, ap_error *error);

/* Does all that can be done; the code is that of the first that failed. */
static int for_each(const ap_command *command, int argc, char **argv, for_trial *act) {
    char **rest;
    int count;
    bool helped;
    ap_error error;
    const ap_flag flags[] = {{0}};
    if (ap_cli_parse(command, argc, argv, flags, &rest, &count, &helped, &error)) return ap_cli_report(&error);
    if (helped) return AP_OK;
    if (count == 0) {
        ap_fail(&error, AP_USAGE, "algoperf %s: give trials, as RESULTS/SUBMISSION/study_N/WORKLOAD/trial_M",
                command->name);
        return ap_cli_report(&error);
    }
    int code = AP_OK;
    for (int i = 0; i < count; i++) {
        char results[AP_PATH];
        ap_tree_list list;
        int trial;
        ap_status status = ap_tree_find_trial(rest[i], results, &list, &trial, &error);
        if (!status) {
            status = act(results, &list, trial, &error);
            ap_tree_free_list(&list);
        }
        if (status) ap_cli_report(&error);
        if (!code) code = (int)status;
    }
    return code;
}

/* ---- cancel */

static ap_status has_verdict(const char *directory, const char *results, int trial, bool *has, ap_error *error) {
    ap_result_summary summary;
    AP_TRY(ap_verdict_read(results, trial, directory, &summary, error));
    *has = summary.evaluations >= 0 && summary.verdict != AP_VERDICT_RUNNING;
    if (*has)
        ap_fail(error, AP_USAGE, "%s: has ended with the verdict %s", directory, ap_verdict_names[summary.verdict]);
    return AP_OK;
}

static ap_status cancel(const char *results, const ap_tree_list *list, int trial, ap_error *error) {
    const ap_claimant nobody = {.results = results, .world = "", .asks = true};
    char directory[AP_PATH], owner[256];
    ap_claim_info info;
    bool has;
    AP_TRY(ap_path(directory, error, "%s/%s", results, list->trial[trial].path));
    AP_TRY(has_verdict(directory, results, trial, &has, error));
    if (has) return AP_USAGE;
    AP_TRY(ap_tree_prepare(results, error));
    AP_TRY(ap_cancel_ask(results, trial, error));
    AP_TRY(has_verdict(directory, results, trial, &has, error));
    if (has) { /* just now: the mark would cancel its next run */
        ap_cancel_forget(results, trial);
        return AP_USAGE;
    }
    if (!ap_claim_look(&nobody, trial, &info) || info.owner == AP_OWNER_GONE) {
        printf("%s: is not running; it gets the verdict `cancelled` when its turn comes\n", directory);
        return AP_OK;
    }
    ap_claim_owner_text(&info, owner);
    printf("%s: is run by %s, which stops it at its next step\n", directory, owner);
    return AP_OK;
}

static int cancel_command(int argc, char **argv) {
    return for_each(&ap_command_cancel, argc, argv, cancel);
}

const ap_command ap_command_cancel = {.name = "cancel",
                                      .arguments = "TRIAL...",
                                      .summary =
                                          "end trials of a sweep, running or pending, with the verdict `cancelled`",
                                      .run = cancel_command};

/* ---- retry */

static ap_status retry(const char *results, const ap_tree_list *list, int trial, ap_error *error) {
    AP_TRY(ap_retry(results, list, trial, error));
    printf("%s/%s: is pending again; the old result is result.previous.h5 there; `algoperf run %s` runs it\n", results,
           list->trial[trial].path, list->job_file);
    return AP_OK;
}

static int retry_command(int argc, char **argv) {
    return for_each(&ap_command_retry, argc, argv, retry);
}

const ap_command ap_command_retry = {.name = "retry",
                                     .arguments = "TRIAL...",
                                     .summary = "discard the verdicts of trials, so that they run again",
                                     .run = retry_command};
