#include "analysis/report/page_internal.h"

#include <math.h>

/* ---- what to know first */

static void list(ap_page *page, const ap_names *lines, const char *before) {
    for (size_t i = 0; i < lines->n; i++) {
        fputs("<li>", page->out);
        ap_html_printf(page->out, "%s%s", before, lines->name[i]);
    }
}

/* What changes how the numbers must be read stands open; what is missing here and there is folded away. */
void ap_page_warnings(ap_page *page) {
    const ap_leaderboard *b = page->board;
    size_t incomplete = ap_incomplete_studies(b), others = b->gaps.n + b->trials.unlisted.n + b->trials.notes.n;
    char summary[96];
    if (b->differences.n || incomplete) {
        fputs("<section class=\"note warning\" aria-label=\"Warning\"><p><b>Before reading the numbers</b></p><ul>",
              page->out);
        list(page, &b->differences, "Different clocks are compared: ");
        if (incomplete)
            fprintf(page->out, "<li>%zu of %zu studies are incomplete: trials are still running.", incomplete,
                    b->study_count);
        fputs("</ul></section>\n", page->out);
    }
    if (!others) return;
    snprintf(summary, sizeof summary, "What is missing or was left out: %zu note%s", others, others == 1 ? "" : "s");
    ap_page_details(page, summary);
    fputs("<ul>", page->out);
    list(page, &b->gaps, "");
    list(page, &b->trials.unlisted, "left out, since the table of targets does not have it: ");
    list(page, &b->trials.notes, "");
    fputs("</ul>", page->out);
    ap_page_details_end(page);
}

/* ---- ranking */

static void write_ranking(ap_page *page) {
    const ap_scores *s = page->board->scores;
    const ap_confidence *c = page->printed->confidence;
    static const double taus[] = {1, 1.5, 2, 4};
    char interval[48];
    snprintf(interval, sizeof interval, "%g %% interval", 100 * c->options.level);
    const char *const head[] = {"rank",      "submission",  "score",     interval,    "ranks in it",
                                "\u03c1(1)", "\u03c1(1.5)", "\u03c1(2)", "\u03c1(4)", NULL};
    ap_html_table(
        page->out,
        "Scores, best first; \u03c1(\u03c4): share of the base workloads reached within \u03c4 times the fastest",
        head);
    for (size_t i = 0; i < s->submissions; i++) {
        size_t k = s->rank[i];
        ap_html_row(page->out);
        ap_html_cell(page->out, "n");
        size_t rank = 1;
        for (size_t j = 0; j < s->submissions; j++) rank += s->score[j] > s->score[k] + 1e-12;
        fprintf(page->out, "%zu", rank);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, ap_page_submission(page, k));
        ap_page_number(page, s->score[k], "%.4f");
        ap_html_cell(page->out, "n");
        fprintf(page->out, "%.4f to %.4f", c->low[k], c->high[k]);
        ap_html_cell(page->out, "n");
        fprintf(page->out, "%.0f to %.0f", c->rank_low[k], c->rank_high[k]);
        for (size_t t = 0; t < sizeof taus / sizeof *taus; t++)
            ap_page_number(page, ap_profile_at(s, k, taus[t]), "%.3f");
        fputc('\n', page->out);
    }
    ap_html_table_end(page->out);
}

static void write_beats(ap_page *page) {
    const ap_scores *s = page->board->scores;
    const ap_confidence *c = page->printed->confidence;
    size_t n = s->submissions;
    enum { MOST = 40 };
    const char *head[MOST + 2] = {"submission"};
    if (n < 2 || n > MOST) return;
    for (size_t i = 0; i < n; i++) head[i + 1] = ap_page_submission(page, s->rank[i]);
    ap_page_details(page, "Probability that the row beats the column");
    ap_html_table(page->out,
                  "Share of the resamples in which the row's score is higher than the column's; equal ones count half",
                  head);
    for (size_t i = 0; i < n; i++) {
        ap_html_row(page->out);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, head[i + 1]);
        for (size_t j = 0; j < n; j++)
            ap_page_number(page, i == j ? NAN : c->beats[s->rank[i] * n + s->rank[j]], "%.3f");
    }
    ap_html_table_end(page->out);
    ap_page_details_end(page);
}

/* The profile at quarters, for those who do not see the figure. */
static void write_profile(ap_page *page) {
    const ap_scores *s = page->board->scores;
    static const char *const head[] = {"submission", "1", "1.25", "1.5", "1.75", "2", "2.25", "2.5",
                                       "2.75",       "3", "3.25", "3.5", "3.75", "4", NULL};
    ap_page_details(page, "The same as a table");
    ap_html_table(page->out, "Share of the base workloads reached within \u03c4 times the fastest", head);
    for (size_t i = 0; i < s->submissions; i++) {
        ap_html_row(page->out);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, ap_page_submission(page, s->rank[i]));
        for (int k = 0; k <= 12; k++) ap_page_number(page, ap_profile_at(s, s->rank[i], 1 + 0.25 * k), "%.3f");
    }
    ap_html_table_end(page->out);
    ap_page_details_end(page);
}

static void write_speedups(ap_page *page) {
    static const char *const head[] = {"submission", "time ratio", "speedup", "% faster", NULL};
    const ap_speedups *s = page->printed->speedups;
    char caption[300];
    if (!s) return;
    snprintf(caption, sizeof caption,
             "Against %.100s: geometric mean of the time ratios on the base workloads, a miss taken as the budget plus "
             "1 s; not used for ranking",
             ap_page_submission(page, s->reference));
    fputs("<h3>Speedup</h3>", page->out);
    ap_html_table(page->out, caption, head);
    for (size_t i = 0; i < page->board->scores->submissions; i++) {
        size_t k = page->board->scores->rank[i];
        if (k == s->reference) continue;
        ap_html_row(page->out);
        ap_html_head_cell(page->out);
        ap_html_text(page->out, ap_page_submission(page, k));
        ap_page_number(page, s->ratio[k], "%.4f");
        ap_page_number(page, 1 / s->ratio[k], "%.4f");
        ap_page_number(page, (1 - s->ratio[k]) * 100, "%.1f");
    }
    ap_html_table_end(page->out);
}

ap_status ap_page_ranking(ap_page *page, ap_error *error) {
    fputs("<section aria-labelledby=\"ranking\"><h2 id=\"ranking\">Ranking</h2>\n", page->out);
    write_ranking(page);
    write_beats(page);
    fputs("<div class=\"figures\">", page->out);
    AP_TRY(ap_page_figure(page, (ap_figure){AP_FIGURE_SCORES, 0}, false, error));
    ap_page_figure_end(page);
    AP_TRY(ap_page_figure(page, (ap_figure){AP_FIGURE_PROFILES, 0}, false, error));
    write_profile(page);
    ap_page_figure_end(page);
    fputs("</div>\n", page->out);
    write_speedups(page);
    fputs("</section>\n", page->out);
    return AP_OK;
}
