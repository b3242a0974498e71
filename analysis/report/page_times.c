#include "analysis/report/page_internal.h"

#include "analysis/summary.h"

#include <math.h>
#include <stdlib.h>

/* ---- the matrix as a table: the time, and the ratio or why it earns nothing */

static void write_matrix_cell(ap_page *page, size_t submission, size_t column) {
    const ap_scores *s = page->board->scores;
    double time = s->time[submission * s->columns + column];
    char text[AP_TIME_TEXT];
    bool base = column < s->bases;
    double ratio = base ? s->ratio[submission * s->bases + column] : NAN;
    ap_loss_of_credit loss = ap_scores_loss(s, submission, column);
    ap_html_cell(page->out, ratio == 1 ? "first" : (base && !(ratio <= 4)) || loss ? "lost" : "n");
    ap_html_text(page->out, ap_time_text(time, text));
    if (ratio <= 4)
        ap_html_printf(page->out, " (%.2f)", ratio);
    else if (loss == AP_LOST_OVER_4X)
        fputs(" (over 4x)", page->out);
    else if (base && loss == AP_CREDIT_KEPT)
        fputs(" (held-out)", page->out);
}

static void write_matrix(ap_page *page) {
    const ap_scores *s = page->board->scores;
    bool steps = page->board->rules.metric == AP_METRIC_STEPS;
    const char **head = calloc(s->columns + 2, sizeof *head);
    if (!head) return;
    head[0] = "submission";
    for (size_t c = 0; c < s->columns; c++) head[c + 1] = ap_page_workload(page, c);
    ap_html_table(
        page->out,
        steps ? "Steps to target, median over studies (ratio to the fastest that earns credit, or why there is none)"
              : "Seconds to target, median over studies (ratio to the fastest that earns credit, or why there is none)",
        head);
    for (size_t i = 0; i < s->submissions; i++) {
        ap_html_row(page->out);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, ap_page_submission(page, s->rank[i]));
        for (size_t c = 0; c < s->columns; c++) write_matrix_cell(page, s->rank[i], c);
        fputc('\n', page->out);
    }
    ap_html_table_end(page->out);
    free(head);
}

static void write_targets(ap_page *page) {
    static const char *const head[] = {"workload", "role", "validation target", "budget (s)", "results of", NULL};
    const ap_leaderboard *b = page->board;
    ap_page_details(page, "Workloads and their targets");
    ap_html_table(page->out, "Workloads that are scored", head);
    for (size_t c = 0; c < b->scores->columns; c++) {
        const ap_target *t = &b->targets.target[b->scores->workload[c]];
        ap_html_row(page->out);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, t->workload);
        ap_html_cell(page->out, "");
        fputs(c < b->scores->bases ? "base" : "held-out", page->out);
        ap_html_cell(page->out, "");
        ap_html_printf(page->out, "%s %s %.6g", t->metric, t->maximise ? ">=" : "<=", t->validation_target);
        ap_page_number(page, t->budget_s[b->rules.ruleset], "%.6g");
        ap_html_cell(page->out, "");
        ap_html_text(page->out, t->identity ? t->identity : "official logs");
    }
    ap_html_table_end(page->out);
    ap_page_details_end(page);
}

static void write_studies(ap_page *page) {
    static const char *const head[] = {"workload",   "submission", "study",     "trials", "reached",
                                       "best trial", "step",       "to target", NULL};
    const ap_leaderboard *b = page->board;
    ap_page_details(page, "Every study");
    ap_html_table(page->out, "To target, every study; best trial: the one that reached it at the earliest evaluation",
                  head);
    for (size_t c = 0; c < b->scores->columns; c++)
        for (size_t i = 0; i < b->study_count; i++) {
            const ap_study *s = &b->studies[i];
            if (s->workload != b->scores->workload[c]) continue;
            const ap_trial *best = s->best < b->trials.n ? &b->trials.trial[s->best] : NULL;
            ap_html_row(page->out);
            ap_html_head_cell(page->out);
            ap_html_text(page->out, ap_page_workload(page, c));
            ap_html_cell(page->out, "");
            ap_html_text(page->out, ap_page_submission(page, s->submission));
            ap_html_cell(page->out, "");
            ap_html_text(page->out, b->trials.trial[s->first].study);
            ap_page_number(page, (double)s->trials, "%.0f");
            ap_page_number(page, (double)s->trials_hit, "%.0f");
            ap_html_cell(page->out, "");
            ap_html_text(page->out, best ? best->name : "-");
            ap_page_number(page, best ? (double)best->row[s->hit.index].step : NAN, "%.0f");
            ap_page_time(page, s->hit.time, "n");
            fputc('\n', page->out);
        }
    ap_html_table_end(page->out);
    ap_page_details_end(page);
}

/* ---- who lost credit, and why */

static void write_losses(ap_page *page) {
    static const char *const head[] = {"submission", "workload", "to target", "no credit because", NULL};
    const ap_scores *s = page->board->scores;
    fputs("<section aria-labelledby=\"credit\"><h2 id=\"credit\">Who lost credit where, and why</h2>\n", page->out);
    ap_html_table(page->out, "Base workloads that earn a submission nothing", head);
    for (size_t i = 0; i < s->submissions; i++)
        for (size_t b = 0; b < s->bases; b++) {
            char reasons[AP_REASONS];
            if (ap_scores_credit(s, s->rank[i], b)) continue;
            ap_reasons(page->board, s->rank[i], b, reasons);
            ap_html_row(page->out);
            ap_html_head_cell(page->out);
            ap_html_text(page->out, ap_page_submission(page, s->rank[i]));
            ap_html_cell(page->out, "");
            ap_html_text(page->out, ap_page_workload(page, b));
            ap_page_time(page, s->time[s->rank[i] * s->columns + b], "n");
            ap_html_cell(page->out, "long");
            ap_html_text(page->out, reasons);
        }
    ap_html_table_end(page->out);
    fputs("</section>\n", page->out);
}

ap_status ap_page_times(ap_page *page, ap_error *error) {
    fputs("<section aria-labelledby=\"times\"><h2 id=\"times\">Time to target</h2>\n", page->out);
    AP_TRY(ap_page_figure(page, (ap_figure){AP_FIGURE_MATRIX, 0}, true, error));
    ap_page_figure_end(page);
    write_matrix(page);
    write_targets(page);
    write_studies(page);
    fputs("</section>\n", page->out);
    write_losses(page);
    return AP_OK;
}

/* ---- training curves */

static void write_curve_table(ap_page *page, size_t column) {
    static const char *const head[] = {"submission", "trial", "evaluations", "best value", "to target", NULL};
    const ap_leaderboard *b = page->board;
    size_t workload = b->scores->workload[column];
    ap_page_details(page, "The trials of this figure");
    ap_html_table(page->out, "One trial of each submission", head);
    for (size_t i = 0; i < b->scores->submissions; i++) {
        const ap_trial *trial = ap_figure_trial(b, b->scores->rank[i], workload);
        if (!trial) continue;
        ap_trial_summary s = ap_trial_summarise(trial, &b->targets.target[workload]);
        ap_html_row(page->out);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, ap_page_submission(page, b->scores->rank[i]));
        ap_html_cell(page->out, "");
        ap_html_printf(page->out, "%s/%s", trial->study, trial->name);
        ap_page_number(page, (double)trial->rows, "%.0f");
        ap_page_number(page, s.best, "%.6g");
        ap_page_time(page, b->hits[trial - b->trials.trial].time, "n");
    }
    ap_html_table_end(page->out);
    ap_page_details_end(page);
}

ap_status ap_page_curves(ap_page *page, ap_error *error) {
    fputs("<section aria-labelledby=\"curves\"><h2 id=\"curves\">Training curves</h2>\n<div class=\"figures\">",
          page->out);
    for (size_t c = 0; c < page->board->scores->columns; c++) {
        const ap_figure figure = {AP_FIGURE_CURVES, c};
        if (!ap_figure_exists(page->printed, figure)) continue;
        AP_TRY(ap_page_figure(page, figure, false, error));
        write_curve_table(page, c);
        ap_page_figure_end(page);
    }
    fputs("</div></section>\n", page->out);
    return AP_OK;
}
