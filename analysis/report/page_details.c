#include "analysis/report/page_internal.h"
#include "analysis/report/points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- hyperparameters */

static void write_point(ap_page *page, const ap_trial_points *points, const ap_point_summary *s) {
    const ap_trial *trial = &page->board->trials.trial[points->trial[s->first]];
    ap_html_row(page->out);
    ap_html_head_cell(page->out);
    ap_html_printf(page->out, "%s/%s", trial->study, trial->name);
    for (size_t k = 0; k < points->keys; k++) ap_page_number(page, points->value[s->first * AP_POINT_KEYS + k], "%.6g");
    ap_page_number(page, (double)s->runs, "%.0f");
    ap_page_number(page, (double)s->reached, "%.0f");
    if (isfinite(s->median)) {
        ap_page_number(page, s->median, "%.2f");
    } else {
        ap_html_cell(page->out, "n");
        fputs(isnan(s->median) ? "-" : "missed", page->out);
    }
}

static ap_status write_points(ap_page *page, size_t submission, ap_error *error) {
    ap_trial_points points;
    ap_point_summary *summary = NULL;
    size_t n = 0;
    const char *head[AP_POINT_KEYS + 5] = {"first run as"};
    AP_TRY(ap_trial_points_read(page->board, submission, &points, error));
    ap_status status = ap_trial_points_summarise(page->board, &points, &summary, &n, error);
    for (size_t k = 0; k < points.keys; k++) head[k + 1] = points.key[k];
    head[points.keys + 1] = "runs";
    head[points.keys + 2] = "reached";
    head[points.keys + 3] = "median outcome";
    if (status == AP_OK) {
        ap_page_details(page, "The points of this figure");
        ap_html_table(
            page->out,
            "Every distinct point: trials that ran it, those that reached their target, and the median of time "
            "to target over the fastest trial on that workload",
            head);
        for (size_t i = 0; i < n; i++) write_point(page, &points, &summary[i]);
        ap_html_table_end(page->out);
        ap_page_details_end(page);
    }
    free(summary);
    ap_trial_points_free(&points);
    return status;
}

ap_status ap_page_hyperparameters(ap_page *page, ap_error *error) {
    const ap_scores *s = page->board->scores;
    int before = page->figures;
    fputs("<section aria-labelledby=\"points\"><h2 id=\"points\">Hyperparameters and what came of them</h2>\n"
          "<div class=\"figures\">",
          page->out);
    for (size_t i = 0; i < s->submissions; i++) {
        const ap_figure figure = {AP_FIGURE_HYPERPARAMETERS, s->rank[i]};
        if (!ap_figure_exists(page->printed, figure)) continue;
        AP_TRY(ap_page_figure(page, figure, false, error));
        AP_TRY(write_points(page, s->rank[i], error));
        ap_page_figure_end(page);
    }
    fputs("</div>\n", page->out);
    if (page->figures == before)
        fputs("<p>No hyperparameter is known that is not the same in all trials of a submission.</p>\n", page->out);
    fputs("</section>\n", page->out);
    return AP_OK;
}

/* ---- provenance: what all trials share, and where they differ */

static size_t count_value(const ap_trials *trials, size_t kind, size_t value) {
    size_t n = 0;
    for (size_t i = 0; i < trials->n; i++)
        n += (kind < trials->trial[i].facts ? trials->trial[i].fact[kind] : 0) == value;
    return n;
}

static bool is_shared(const ap_trials *trials, size_t kind) {
    return trials->fact[kind].value.n == 1 && count_value(trials, kind, 1) == trials->n;
}

/* Verdicts and reasons are outcomes, not circumstances; they are told too, but only where they differ. */
static void write_shared(ap_page *page) {
    static const char *const head[] = {"what", "value", NULL};
    const ap_trials *t = &page->board->trials;
    ap_html_table(page->out, "The same in all trials", head);
    for (size_t kind = 0; kind < t->facts; kind++) {
        if (!is_shared(t, kind)) continue;
        ap_html_row(page->out);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, t->fact[kind].name);
        ap_html_cell(page->out, "long");
        ap_html_text(page->out, t->fact[kind].value.name[0]);
    }
    ap_html_table_end(page->out);
}

/* "value (12 trials)", most of them; what is different in nearly every trial (times, seeds) shows a few. */
static void write_values(ap_page *page, size_t kind) {
    enum { MOST = 6 };
    const ap_trials *t = &page->board->trials;
    const ap_fact_kind *fact = &t->fact[kind];
    size_t without = count_value(t, kind, 0);
    fprintf(page->out, "%zu values: ", fact->value.n);
    for (size_t v = 0; v < fact->value.n && v < MOST; v++) {
        fputs(v ? "; " : "", page->out);
        ap_html_printf(page->out, "%s", fact->value.name[v]);
        fprintf(page->out, " <b>(%zu)</b>", count_value(t, kind, v + 1));
    }
    if (fact->value.n > MOST) fputs("; \u2026", page->out);
    if (without) fprintf(page->out, "; not stated <b>(%zu)</b>", without);
}

static void write_different(ap_page *page) {
    static const char *const head[] = {"what", "values (trials)", NULL};
    const ap_trials *t = &page->board->trials;
    size_t n = 0;
    for (size_t kind = 0; kind < t->facts; kind++) n += !is_shared(t, kind);
    if (!n) {
        fputs("<p>Nothing that the results state differs between trials.</p>\n", page->out);
        return;
    }
    ap_html_table(page->out, "Different between trials", head);
    for (size_t kind = 0; kind < t->facts; kind++) {
        if (is_shared(t, kind)) continue;
        ap_html_row(page->out);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, t->fact[kind].name);
        ap_html_cell(page->out, "long");
        write_values(page, kind);
    }
    ap_html_table_end(page->out);
}

void ap_page_provenance(ap_page *page) {
    fputs("<section aria-labelledby=\"provenance\"><h2 id=\"provenance\">Provenance</h2>\n", page->out);
    write_different(page);
    write_shared(page);
    fputs("</section>\n", page->out);
}

/* ---- methods */

void ap_page_methods(ap_page *page) {
    const ap_bootstrap_options *o = &page->printed->confidence->options;
    fputs(
        "<section aria-labelledby=\"methods\"><h2 id=\"methods\">Methods</h2>\n"
        "<p>Scores are those of the AlgoPerf competition. A trial reaches the target at the first evaluation whose "
        "validation value is at least as good; the trial of a study that does so at the earliest evaluation counts; a "
        "workload's time is the median over studies. A time over four times the fastest is a miss, and a missed "
        "held-out workload takes the credit of its base workload. The score is the area under the performance profile "
        "from 1 to 4 by the trapezoid rule on 100 points.</p>\n",
        page->out);
    fprintf(
        page->out,
        "<p>Intervals are %g %% percentile intervals of a bootstrap with %zu resamples (seed %llu) over the studies of "
        "each submission%s; every resample is scored by all rules. They say how far the score would move if the "
        "studies were repeated with these submissions on these workloads and machines. With three to five studies they "
        "are rough: a median of few values takes few values, the best of a few trials is underestimated by drawing "
        "trials again, and a study that does not exist was not drawn at random.</p>\n</section>\n",
        100 * o->level, o->resamples, (unsigned long long)o->seed,
        o->studies_only ? "" : " and over the trials within each study");
}
