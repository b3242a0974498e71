#include "analysis/report/page_internal.h"

#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const char ap_report_css[]; /* report.css */

/* ---- cells */

const char *ap_page_submission(const ap_page *page, size_t submission) {
    return page->board->trials.submissions.name[submission];
}
const char *ap_page_workload(const ap_page *page, size_t column) {
    return page->board->targets.target[page->board->scores->workload[column]].workload;
}

void ap_page_number(ap_page *page, double value, const char *format) {
    char text[48] = "-";
    if (!isnan(value)) snprintf(text, sizeof text, format, value);
    ap_html_cell(page->out, "n");
    ap_html_text(page->out, text);
}

void ap_page_time(ap_page *page, double time, const char *class) {
    char text[AP_TIME_TEXT];
    ap_html_cell(page->out, class);
    ap_html_text(page->out, ap_time_text(time, text));
}

void ap_page_details(ap_page *page, const char *summary) {
    fputs("<details><summary>", page->out);
    ap_html_text(page->out, summary);
    fputs("</summary>\n", page->out);
}
void ap_page_details_end(ap_page *page) {
    fputs("</details>\n", page->out);
}

/* ---- figures: gnuplot's SVG with ids of its own, and a title and description instead of gnuplot's */

/* Where `what` begins in [text, end); end if nowhere. */
static const char *find(const char *text, const char *end, const char *what) {
    const char *found = memmem(text, (size_t)(end - text), what, strlen(what));
    return found ? found : end;
}

/* Copies with every id and reference that gnuplot gives to all its pictures made the picture's own; the titles of its
 * groups ("fig3_plot_1") are dropped, since browsers show them. */
static void copy_body(FILE *out, const char *text, const char *end, const char *name) {
    static const char *const shared[] = {"'gp",       "'#gp",    "\"gnuplot_canvas", "'textbox'",
                                         "'greybox'", "url(#gp", "url(#textbox",     "url(#greybox"};
    char group_title[64];
    snprintf(group_title, sizeof group_title, "<title>%s_plot_", name);
    while (text < end) {
        size_t i = 0, n = sizeof shared / sizeof *shared;
        while (i < n && strncmp(text, shared[i], strlen(shared[i])) != 0) i++;
        if (i < n) {
            size_t head = strcspn(shared[i], "g#t\""); /* the quote, or url( */
            if (shared[i][0] == '"') head = 1;
            if (shared[i][head] == '#') head++;
            fprintf(out, "%.*s%s-%s", (int)head, shared[i], name, shared[i] + head);
            text += strlen(shared[i]);
        } else if (!strncmp(text, group_title, strlen(group_title))) {
            text = find(text, end, "</title>") + strlen("</title>");
        } else {
            fputc(*text++, out);
        }
    }
}

static void copy_svg(ap_page *page, ap_figure figure, const char *svg, size_t n, const char *name) {
    const char *end = svg + n, *start = find(svg, end, "<svg"), *title = find(start, end, "<title>");
    const char *body = find(title, end, "</desc>");
    char text[AP_FIGURE_TEXT];
    if (start == end || body == end) return; /* not what gnuplot writes: the caller checked that it is there */
    fprintf(page->out, "<svg role=\"img\" aria-labelledby=\"%s-t %s-d\" ", name, name);
    fwrite(start + strlen("<svg"), 1, (size_t)(title - start) - strlen("<svg"), page->out);
    fprintf(page->out, "<title id=\"%s-t\">", name);
    ap_figure_title(page->printed, figure, text);
    ap_html_text(page->out, text);
    fprintf(page->out, "</title><desc id=\"%s-d\">", name);
    ap_figure_description(page->printed, figure, text);
    ap_html_text(page->out, text);
    fputs("</desc>", page->out);
    copy_body(page->out, body + strlen("</desc>"), end, name);
}

ap_status ap_page_figure(ap_page *page, ap_figure figure, bool alone, ap_error *error) {
    char name[16], text[AP_FIGURE_TEXT], *svg = NULL;
    size_t n;
    snprintf(name, sizeof name, "fig%d", ++page->figures);
    ap_figure_title(page->printed, figure, text);
    ap_log_live("report: figure %d, %.60s", page->figures, text);
    AP_TRY(ap_figure_draw(page->printed, figure, AP_FIGURE_SVG, name, &svg, &n, error));
    fprintf(page->out, "<figure id=\"%s\"%s><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", name,
            alone ? " class=\"alone\"" : "");
    ap_html_text(page->out, text);
    fputs("\">", page->out);
    copy_svg(page, figure, svg, n, name);
    free(svg);
    fprintf(page->out, "</div><figcaption><b>Figure %d.</b> ", page->figures);
    ap_figure_description(page->printed, figure, text);
    ap_html_text(page->out, text);
    fputs("</figcaption>\n", page->out);
    return AP_OK;
}

void ap_page_figure_end(ap_page *page) {
    fputs("</figure>\n", page->out);
}

/* ---- the page */

static void write_head(ap_page *page) {
    static const char *const sections[][2] = {{"ranking", "Ranking"},        {"times", "Time to target"},
                                              {"credit", "Lost credit"},     {"curves", "Training curves"},
                                              {"points", "Hyperparameters"}, {"provenance", "Provenance"},
                                              {"methods", "Methods"}};
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
          "img-src data:\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>AlgoPerf report</title>\n<style>\n",
          page->out);
    fputs(ap_report_css, page->out);
    fputs("</style></head>\n<body>\n<a class=\"skip\" href=\"#ranking\">Skip to the ranking</a>\n<header>"
          "<h1>AlgoPerf report</h1>\n<nav aria-label=\"Sections\"><ul>",
          page->out);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        fprintf(page->out, "<li><a href=\"#%s\">%s</a>", sections[i][0], sections[i][1]);
    fputs("</ul></nav></header>\n<main>\n", page->out);
}

static void write_fact(ap_page *page, const char *name, const char *value) {
    fputs("<dt>", page->out);
    ap_html_text(page->out, name);
    fputs("<dd>", page->out);
    ap_html_text(page->out, value);
}

static void write_facts(ap_page *page) {
    const ap_leaderboard *b = page->board;
    char text[256];
    fputs("<dl class=\"facts\">", page->out);
    snprintf(text, sizeof text, "%zu, %zu trials in %zu studies", b->scores->submissions, b->trials.n, b->study_count);
    write_fact(page, "submissions", text);
    snprintf(text, sizeof text, "%zu base, %zu held-out", b->scores->bases, b->scores->columns - b->scores->bases);
    write_fact(page, "workloads", text);
    write_fact(page, "targets", b->targets.name ? b->targets.name : "those that the results name");
    write_fact(page, "ruleset", ap_ruleset_names[b->rules.ruleset]);
    write_fact(page, "compared", b->rules.metric == AP_METRIC_TIME ? "seconds to target" : "update steps to target");
    fputs("</dl>\n", page->out);
}

static ap_status write_page(ap_page *page, ap_error *error) {
    write_head(page);
    write_facts(page);
    ap_page_warnings(page);
    AP_TRY(ap_page_ranking(page, error));
    AP_TRY(ap_page_times(page, error));
    AP_TRY(ap_page_curves(page, error));
    AP_TRY(ap_page_hyperparameters(page, error));
    ap_page_provenance(page);
    ap_page_methods(page);
    fputs("</main>\n<footer><p>Made by algoperf-score " ALGOPERF_VERSION ". This page needs nothing outside of it."
          "</p></footer>\n</body></html>\n",
          page->out);
    return AP_OK;
}

ap_status ap_report_page(const ap_printed *printed, char **text, size_t *n, ap_error *error) {
    ap_page page = {.printed = printed, .board = printed->board};
    *text = NULL;
    if (!(page.out = open_memstream(text, n))) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the page");
    ap_status status = write_page(&page, error);
    ap_log_live_end();
    if (fclose(page.out) && status == AP_OK) status = ap_fail(error, AP_ENVIRONMENT, "out of memory for the page");
    if (status != AP_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}
