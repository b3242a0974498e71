/* algoperf-score report: one self-contained HTML page. */
#include "analysis/commands.h"

#include "analysis/report/page.h"
#include "base/file.h"

#include <limits.h>
#include <stdlib.h>

typedef struct settings {
    ap_leaderboard_options board;
    ap_bootstrap_words bootstrap;
    const char *output, *reference;
} settings;

static ap_status write_report(const ap_leaderboard *board, const settings *set, const ap_bootstrap_options *b,
                              ap_error *error) {
    ap_confidence confidence = {0};
    ap_speedups speedups = {0};
    ap_printed printed = {.board = board, .confidence = &confidence};
    char *page = NULL;
    size_t n;
    ap_status status;
    AP_TRY_GOTO(status, ap_score_speedups(board, set->reference, &printed, &speedups, error), done);
    AP_TRY_GOTO(status, ap_bootstrap(board, b, &confidence, error), done);
    AP_TRY_GOTO(status, ap_report_page(&printed, &page, &n, error), done);
    status = ap_write_file(set->output, page, n, error);
done:
    free(page);
    ap_confidence_free(&confidence);
    ap_speedups_free(&speedups);
    return status;
}

static ap_status read_and_write(char **roots, settings *set, ap_error *error) {
    ap_leaderboard board;
    ap_bootstrap_options b;
    bool wanted;
    if (!set->output) return ap_fail(error, AP_USAGE, "--output is missing: the page to write, such as report.html");
    if (!set->bootstrap.confidence) set->bootstrap.confidence = "0.95";
    AP_TRY(ap_score_parse_bootstrap(&set->bootstrap, &b, &wanted, error));
    set->board.details = true;
    AP_TRY(ap_leaderboard_read(roots, &set->board, &board, error));
    ap_leaderboard_warn(&board);
    ap_status status = write_report(&board, set, &b, error);
    ap_leaderboard_free(&board);
    return status;
}

static int report(int argc, char **argv) {
    settings set = {0};
    const ap_flag flags[] = {
        {"output", "FILE", "the page", &set.output},
        AP_LEADERBOARD_FLAGS(set.board),
        {"reference", "SUBMISSION", "what speedups are against; without it: baseline, if it is there", &set.reference},
        AP_BOOTSTRAP_FLAGS(set.bootstrap),
        {0},
    };
    char **roots;
    bool helped;
    ap_error error;
    if (ap_score_parse(&ap_command_report, argc, argv, flags, 1, INT_MAX, "the folder of results", &roots, &helped,
                       &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    return read_and_write(roots, &set, &error) ? ap_score_report(&error) : AP_OK;
}

const ap_command ap_command_report = {"report", "RESULTS... --output FILE",
                                      "everything as one HTML page with figures, for reading and printing", report,
                                      false};
