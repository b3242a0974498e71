/* algoperf-score plot: one figure of the report as SVG, PNG or PDF. */
#include "analysis/commands.h"

#include "analysis/report/figures.h"
#include "base/file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    ap_leaderboard_options board;
    ap_bootstrap_words bootstrap;
    const char *output, *workload, *submission;
} settings;

static ap_status parse_format(const char *path, ap_figure_format *format, ap_error *error) {
    static const char *const suffixes[] = {
        [AP_FIGURE_SVG] = ".svg", [AP_FIGURE_PNG] = ".png", [AP_FIGURE_PDF] = ".pdf"};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        *format = (ap_figure_format)i;
        if (n > 4 && !strcmp(path + n - 4, suffixes[i])) return AP_OK;
    }
    return ap_fail(error, AP_USAGE, "--output %.200s: must end in .svg, .png or .pdf", path);
}

static ap_status find_kind(const char *word, ap_figure_kind *kind, ap_error *error) {
    for (int k = 0; k < AP_FIGURE_KINDS; k++) {
        *kind = (ap_figure_kind)k;
        if (!strcmp(word, ap_figure_names[k])) return AP_OK;
    }
    const char *closest = ap_closest(word, ap_figure_names);
    return ap_fail(error, AP_USAGE,
                   "there is no figure \"%.60s\": it must be scores, profiles, matrix, curves or hyperparameters%s%s%s",
                   word, closest ? "; did you mean " : "", closest ? closest : "", closest ? "?" : "");
}

/* Column of --workload; without the option there must be just one. */
static ap_status find_column(const ap_leaderboard *board, const char *name, size_t *column, ap_error *error) {
    char list[700] = "";
    for (size_t c = 0; c < board->scores->columns; c++) {
        const char *workload = board->targets.target[board->scores->workload[c]].workload;
        *column = c;
        if (name ? !strcmp(workload, name) : board->scores->columns == 1) return AP_OK;
        size_t n = strlen(list);
        if (n < sizeof list - 1) snprintf(list + n, sizeof list - n, "%s%s", c ? ", " : "", workload);
    }
    return ap_fail(error, AP_USAGE, "--workload %.60s: must be one of: %s", name ? name : "(is missing)", list);
}

static ap_status choose_figure(const ap_leaderboard *board, const settings *set, ap_figure *figure, ap_error *error) {
    if (figure->kind == AP_FIGURE_CURVES) return find_column(board, set->workload, &figure->of, error);
    if (figure->kind != AP_FIGURE_HYPERPARAMETERS) return AP_OK;
    if (set->submission) return ap_leaderboard_find(board, set->submission, &figure->of, error);
    if (board->trials.submissions.n == 1) return AP_OK;
    return ap_leaderboard_find(board, "(--submission is missing)", &figure->of, error);
}

static ap_status draw(const ap_printed *printed, ap_figure figure, const settings *set, ap_figure_format format,
                      ap_error *error) {
    char *bytes = NULL;
    size_t n;
    if (!ap_figure_exists(printed, figure))
        return ap_fail(error, AP_DATA, "there is nothing to draw: %s",
                       figure.kind == AP_FIGURE_CURVES ? "nobody ran this workload"
                                                       : "no hyperparameter is known that is not always the same");
    AP_TRY(ap_figure_draw(printed, figure, format, "figure", &bytes, &n, error));
    ap_status status = ap_write_file(set->output, bytes, n, error);
    free(bytes);
    return status;
}

static ap_status draw_board(const ap_leaderboard *board, ap_figure figure, const settings *set,
                            const ap_bootstrap_options *b, ap_figure_format format, ap_error *error) {
    ap_printed printed = {.board = board};
    ap_confidence confidence = {0};
    AP_TRY(choose_figure(board, set, &figure, error));
    if (b) {
        AP_TRY(ap_bootstrap(board, b, &confidence, error));
        printed.confidence = &confidence;
    }
    ap_status status = draw(&printed, figure, set, format, error);
    ap_confidence_free(&confidence);
    return status;
}

static ap_status read_and_draw(char **words, settings *set, ap_error *error) {
    ap_figure figure = {0};
    ap_figure_format format;
    ap_bootstrap_options b;
    bool bootstrap;
    ap_leaderboard board;
    AP_TRY(find_kind(words[0], &figure.kind, error));
    if (!set->output) return ap_fail(error, AP_USAGE, "--output is missing: the file to write, .svg, .png or .pdf");
    AP_TRY(parse_format(set->output, &format, error));
    AP_TRY(ap_score_parse_bootstrap(&set->bootstrap, &b, &bootstrap, error));
    set->board.details = figure.kind == AP_FIGURE_HYPERPARAMETERS;
    AP_TRY(ap_leaderboard_read(words + 1, &set->board, &board, error));
    ap_leaderboard_warn(&board);
    ap_status status = draw_board(&board, figure, set, bootstrap ? &b : NULL, format, error);
    ap_leaderboard_free(&board);
    return status;
}

static int plot(int argc, char **argv) {
    settings set = {0};
    const ap_flag flags[] = {
        {"output", "FILE", "the figure: .svg, .png or .pdf", &set.output},
        {"workload", "NAME", "whose training curves", &set.workload},
        {"submission", "NAME", "whose hyperparameters", &set.submission},
        AP_LEADERBOARD_FLAGS(set.board),
        AP_BOOTSTRAP_FLAGS(set.bootstrap),
        {0},
    };
    char **words;
    bool helped;
    ap_error error;
    if (ap_score_parse(&ap_command_plot, argc, argv, flags, 2, INT_MAX, "the figure or the folder of results", &words,
                       &helped, &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    return read_and_draw(words, &set, &error) ? ap_score_report(&error) : AP_OK;
}

const ap_command ap_command_plot = {"plot", "scores|profiles|matrix|curves|hyperparameters RESULTS... --output FILE",
                                    "one figure of the report, drawn by gnuplot", plot, false};
