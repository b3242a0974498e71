/* algoperf-score score: times to target, performance profile and scores of any mix of results. */
#include "analysis/commands.h"

#include "analysis/print.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    ap_leaderboard_options board;
    ap_bootstrap_words bootstrap;
    const char *csv, *json, *reference;
} settings;

static ap_status print(const ap_printed *printed, const settings *set, ap_error *error) {
    AP_TRY(set->csv    ? ap_print_csv(printed, stdout, error)
           : set->json ? ap_print_json(printed, stdout, error)
                       : ap_print_text(printed, stdout, error));
    return ap_score_flush(error);
}

/* ---- all of it */

/* `b`: NULL: no bootstrap. */
static ap_status score_board(const ap_leaderboard *board, const settings *set, const ap_bootstrap_options *b,
                             ap_error *error) {
    ap_printed printed = {.board = board};
    ap_speedups speedups = {0};
    ap_confidence confidence = {0};
    ap_status status;
    AP_TRY_GOTO(status, ap_score_speedups(board, set->reference, &printed, &speedups, error), done);
    if (b) {
        AP_TRY_GOTO(status, ap_bootstrap(board, b, &confidence, error), done);
        printed.confidence = &confidence;
    }
    status = print(&printed, set, error);
done:
    ap_confidence_free(&confidence);
    ap_speedups_free(&speedups);
    return status;
}

static ap_status read_and_score(char **roots, const settings *set, ap_error *error) {
    ap_leaderboard board;
    ap_bootstrap_options b;
    bool bootstrap;
    if (set->csv && set->json) return ap_fail(error, AP_USAGE, "--csv and --json: one of them");
    AP_TRY(ap_score_parse_bootstrap(&set->bootstrap, &b, &bootstrap, error));
    AP_TRY(ap_leaderboard_read(roots, &set->board, &board, error));
    ap_leaderboard_warn(&board);
    ap_status status = score_board(&board, set, bootstrap ? &b : NULL, error);
    ap_leaderboard_free(&board);
    return status;
}

static int score(int argc, char **argv) {
    settings set = {0};
    const ap_flag flags[] = {
        AP_LEADERBOARD_FLAGS(set.board),
        {"csv", NULL, "print the score table alone, as CSV with every digit", &set.csv},
        {"json", NULL, "print everything, as one JSON object", &set.json},
        {"reference", "SUBMISSION", "what speedups are against; without it: baseline, if it is there", &set.reference},
        AP_BOOTSTRAP_FLAGS(set.bootstrap),
        {0},
    };
    char **roots;
    bool helped;
    ap_error error;
    if (ap_score_parse(&ap_command_score, argc, argv, flags, 1, INT_MAX, "the folder of results", &roots, &helped,
                       &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    return read_and_score(roots, &set, &error) ? ap_score_report(&error) : AP_OK;
}

const ap_command ap_command_score = {"score", "RESULTS... [options]",
                                     "times to target, performance profiles and benchmark scores", score, false};
