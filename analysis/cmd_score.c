/* algoperf-score score: times to target, performance profile and scores of any mix of results. */
#include "analysis/commands.h"

#include "analysis/read_tree.h"
#include "analysis/report.h"
#include "base/log.h"

#include <limits.h>
#include <stdlib.h>

static void warn(const ap_trials *trials, const ap_targets *targets) {
    for (size_t i = 0; i < trials->notes.n; i++) ap_log(AP_GLOBAL, AP_LOG_WARNING, "%s", trials->notes.name[i]);
    for (size_t i = 0; i < trials->unlisted.n; i++)
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "workload %s is not in the table of targets %s: left out",
               trials->unlisted.name[i], targets->name);
    if (trials->clocks.n > 1)
        ap_log(AP_GLOBAL, AP_LOG_WARNING,
               "times of %zu different clocks are compared (listed above the scores): the ratios mean little",
               trials->clocks.n);
}

static ap_status print(const ap_report *report, bool csv, ap_error *error) {
    AP_TRY(csv ? ap_report_csv(report, stdout, error) : ap_report_text(report, stdout, error));
    return ap_score_flush(error);
}

static ap_status score_trials(const ap_trials *trials, const ap_targets *targets, bool csv, ap_error *error) {
    ap_study *studies = NULL;
    ap_scores *scores = NULL;
    size_t n = 0;
    ap_status status;
    AP_TRY_GOTO(status, ap_studies(trials, targets, &studies, &n, error), done);
    AP_TRY_GOTO(status, ap_scores_create(targets, trials->submissions.n, &scores, error), done);
    AP_TRY_GOTO(status, ap_scores_set_times(scores, studies, n, error), done);
    ap_scores_compute(scores);
    const ap_report report = {targets, trials, studies, n, scores};
    status = print(&report, csv, error);
done:
    ap_scores_free(scores);
    free(studies);
    return status;
}

static ap_status read_and_score(char **roots, const char *table, bool csv, ap_targets *targets, ap_trials *trials,
                                ap_error *error) {
    if (table) AP_TRY(ap_targets_load(table, targets, error));
    for (; *roots; roots++) AP_TRY(ap_read_tree(*roots, targets, trials, error));
    AP_TRY(ap_trials_sort(trials, error));
    warn(trials, targets);
    if (!trials->n)
        return ap_fail(error, AP_DATA, "nothing to score: no workload of the results is in the table of targets %s",
                       targets->name ? targets->name : "");
    return score_trials(trials, targets, csv, error);
}

static int score(int argc, char **argv) {
    const char *table = NULL, *csv = NULL;
    const ap_flag flags[] = {
        {"targets", "v05|v06|FILE",
         "table of workloads and targets, published or of the same columns;\n"
         "official logs need one, results of algoperf name their own targets",
         &table},
        {"csv", NULL, "print the score table alone, as CSV with every digit", &csv},
        {0},
    };
    char **roots;
    bool helped;
    ap_error error;
    if (ap_score_parse(&ap_command_score, argc, argv, flags, 1, INT_MAX, "the folder of results", &roots, &helped,
                       &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    ap_targets targets = {0};
    ap_trials trials = {0};
    ap_status status = read_and_score(roots, table, csv != NULL, &targets, &trials, &error);
    ap_trials_free(&trials);
    ap_targets_free(&targets);
    return status == AP_OK ? AP_OK : ap_score_report(&error);
}

const ap_command ap_command_score = {"score", "RESULTS... [options]",
                                     "times to target, performance profiles and benchmark scores", score, false};
