#include "analysis/report/figures_internal.h"

#include "analysis/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const ap_figure_names[] = {"scores", "profiles", "matrix", "curves", "hyperparameters", NULL};

/* ---- which */

bool ap_figure_exists(const ap_printed *p, ap_figure figure) {
    if (figure.kind == AP_FIGURE_HYPERPARAMETERS) return ap_trial_points_differ(p->board, figure.of);
    if (figure.kind != AP_FIGURE_CURVES) return true;
    for (size_t s = 0; s < p->board->scores->submissions; s++)
        if (ap_figure_trial(p->board, s, p->board->scores->workload[figure.of])) return true;
    return false;
}

static const char *of_workload(const ap_printed *p, ap_figure figure) {
    return p->board->targets.target[p->board->scores->workload[figure.of]].workload;
}

void ap_figure_title(const ap_printed *p, ap_figure figure, char text[AP_FIGURE_TEXT]) {
    switch (figure.kind) {
    case AP_FIGURE_SCORES: snprintf(text, AP_FIGURE_TEXT, "Benchmark scores"); return;
    case AP_FIGURE_PROFILES: snprintf(text, AP_FIGURE_TEXT, "Performance profiles"); return;
    case AP_FIGURE_MATRIX: snprintf(text, AP_FIGURE_TEXT, "Ratio to the fastest on every base workload"); return;
    case AP_FIGURE_CURVES: snprintf(text, AP_FIGURE_TEXT, "Training curves: %.200s", of_workload(p, figure)); return;
    case AP_FIGURE_HYPERPARAMETERS:
        snprintf(text, AP_FIGURE_TEXT, "Hyperparameters: %.200s", p->board->trials.submissions.name[figure.of]);
        return;
    case AP_FIGURE_KINDS: break;
    }
    *text = '\0';
}

static void describe_curves(const ap_printed *p, ap_figure figure, char text[AP_FIGURE_TEXT]) {
    const ap_leaderboard *b = p->board;
    const ap_target *target = &b->targets.target[b->scores->workload[figure.of]];
    size_t ran = 0, reached = 0;
    for (size_t s = 0; s < b->scores->submissions; s++) {
        double time = b->scores->time[s * b->scores->columns + figure.of];
        ran += isnan(time) == 0;
        reached += isfinite(time) != 0;
    }
    snprintf(text, AP_FIGURE_TEXT,
             "Validation %.60s against training %s, one trial of each submission: the one that counts in its median "
             "study or, if that missed the target, its best of all. The dashed line is the target, %s %.6g; a mark is "
             "where it was reached. %zu of %zu submissions reached it in the median.",
             target->metric, b->rules.metric == AP_METRIC_TIME ? "time" : "steps",
             target->maximise ? ">=" : "<=", target->validation_target, reached, ran);
}

void ap_figure_description(const ap_printed *p, ap_figure figure, char text[AP_FIGURE_TEXT]) {
    const ap_scores *scores = p->board->scores;
    const char *best = p->board->trials.submissions.name[scores->rank[0]];
    switch (figure.kind) {
    case AP_FIGURE_SCORES:
        snprintf(text, AP_FIGURE_TEXT, "Score of each of %zu submissions, best first%s. The best is %.200s with %.4f.",
                 scores->submissions, p->confidence ? ", with its interval" : "", best, scores->score[scores->rank[0]]);
        return;
    case AP_FIGURE_PROFILES:
        snprintf(
            text, AP_FIGURE_TEXT,
            "Share of the base workloads, of which there are %zu, whose target a submission reached within tau times "
            "the fastest, for tau from 1 to 4. The score is the area under a line.",
            scores->bases);
        return;
    case AP_FIGURE_MATRIX:
        snprintf(
            text, AP_FIGURE_TEXT,
            "One cell a submission and base workload: its %s to the target as a multiple of the fastest that earns "
            "credit, or why it earns none: 4x: over four times the fastest; miss: target not reached; none: never "
            "run; h: lost by a held-out workload.",
            p->board->rules.metric == AP_METRIC_TIME ? "time" : "steps");
        return;
    case AP_FIGURE_CURVES: describe_curves(p, figure, text); return;
    case AP_FIGURE_HYPERPARAMETERS:
        snprintf(text, AP_FIGURE_TEXT,
                 "One panel a hyperparameter: its value against the outcome of every trial of %.200s: the time to the "
                 "target as a multiple of the fastest trial of all on that workload (circle), or that it was missed "
                 "(cross).",
                 p->board->trials.submissions.name[figure.of]);
        return;
    case AP_FIGURE_KINDS: break;
    }
    *text = '\0';
}

/* ---- a line that is told from the others by colour, dash and mark: nothing hangs on colour alone. Contrast to white
 * is at least 4.5 to 1. */

void ap_line_style(FILE *script, size_t i) {
    static const char *const colours[] = {"#0065A8", "#B03A00", "#00704F", "#8A2C8C", "#000000",
                                          "#8A5A00", "#C2185B", "#37474F", "#4A3AA7", "#557000"};
    static const int dashes[] = {1, 2, 4, 5, 3}, marks[] = {7, 5, 9, 11, 13, 6, 4, 8, 10, 12};
    enum { COLOURS = sizeof colours / sizeof *colours, DASHES = sizeof dashes / sizeof *dashes };
    enum { MARKS = sizeof marks / sizeof *marks };
    fprintf(script, " lc rgb '%s' dt %d pt %d", colours[i % COLOURS], dashes[(i + i / COLOURS) % DASHES],
            marks[(i + i / MARKS) % MARKS]);
}

/* Two columns below the plot, closer where names are long: gnuplot takes letters for wider than they are. */
void ap_place_key(const ap_leaderboard *board, FILE *script) {
    size_t longest = strlen("target <= 0.123456");
    for (size_t s = 0; s < board->trials.submissions.n; s++) {
        size_t n = strlen(board->trials.submissions.name[s]);
        if (n > longest) longest = n;
    }
    fprintf(script,
            "set key outside below left Left reverse maxcols 2 height 0.7 samplen 2.2 width %d font 'sans-serif,12'\n",
            longest > AP_FIGURE_LABEL - 8 ? -3 : 0);
}

/* ---- scores */

static void script_scores(const ap_printed *p, FILE *script) {
    const ap_scores *s = p->board->scores;
    const ap_confidence *c = p->confidence;
    fprintf(script, "$scores << EOD\n");
    for (size_t i = 0; i < s->submissions; i++) {
        size_t k = s->rank[i];
        fprintf(script, "%zu %.17g %.17g %.17g\n", i + 1, s->score[k], c ? c->low[k] : s->score[k],
                c ? c->high[k] : s->score[k]);
    }
    fprintf(script, "EOD\nset ytics nomirror (");
    for (size_t i = 0; i < s->submissions; i++) {
        fputs(i ? ", " : "", script);
        ap_gnuplot_quote(script, p->board->trials.submissions.name[s->rank[i]], AP_FIGURE_LABEL, true);
        fprintf(script, " %zu", i + 1);
    }
    fprintf(script, ")\nset yrange [%zu.5:0.5]\nset xrange [0:1]\nset xlabel 'score'\nset grid x\nunset key\n",
            s->submissions);
    fprintf(script, "plot $scores using 2:1:3:4 with xerrorbars pt 7 ps 1.1 lw 2 lc rgb '#0065A8'\n");
}

/* ---- profiles: every jump is a mark, so that nothing is smoothed over */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void profile_data(const ap_scores *s, size_t submission, double *sorted, FILE *script) {
    size_t n = 0;
    for (size_t b = 0; b < s->bases; b++)
        if (s->ratio[submission * s->bases + b] <= 4) sorted[n++] = s->ratio[submission * s->bases + b];
    qsort(sorted, n, sizeof *sorted, by_value);
    fprintf(script, "1 %.6g\n", ap_profile_at(s, submission, 1));
    for (size_t i = 0; i < n; i++)
        if (sorted[i] > 1 && (i + 1 == n || sorted[i + 1] > sorted[i]))
            fprintf(script, "%.17g %.6g\n", sorted[i], (double)(i + 1) / (double)s->bases);
}

static void script_profiles(const ap_printed *p, FILE *script) {
    const ap_scores *s = p->board->scores;
    double *sorted = malloc((s->bases + 1) * sizeof *sorted);
    for (size_t i = 0; sorted && i < s->submissions; i++) {
        fprintf(script, "$p%zu << EOD\n", i);
        profile_data(s, s->rank[i], sorted, script);
        fprintf(script, "EOD\n$l%zu << EOD\n", i);
        profile_data(s, s->rank[i], sorted, script);
        fprintf(script, "4 %.6g\nEOD\n", ap_profile_at(s, s->rank[i], 4));
    }
    free(sorted);
    fprintf(script, "set xrange [1:4]\nset yrange [-0.02:1.02]\nset xlabel 'tau: times the fastest'\n"
                    "set ylabel 'share of workloads'\nset grid\n");
    ap_place_key(p->board, script);
    fprintf(script, "plot ");
    for (size_t i = 0; i < s->submissions; i++) {
        fprintf(script, "%s$l%zu using 1:2 with steps lw 2", i ? ", " : "", i);
        ap_line_style(script, i);
        fprintf(script, " notitle, $p%zu using 1:2 with points ps 1.1", i);
        ap_line_style(script, i);
        fprintf(script, " notitle, NaN with linespoints lw 2 ps 1.1");
        ap_line_style(script, i);
        fprintf(script, " title ");
        ap_gnuplot_quote(script, p->board->trials.submissions.name[s->rank[i]], AP_FIGURE_LABEL, false);
    }
    fputc('\n', script);
}

/* ---- matrix */

#define MATRIX_HEIGHT(submissions) (235 + 24 * (int)(submissions))

static const char *lost_text(const ap_scores *s, size_t submission, size_t base) {
    static const char *const words[] = {
        [AP_CREDIT_KEPT] = "h", [AP_LOST_NO_DATA] = "none", [AP_LOST_NOT_REACHED] = "miss", [AP_LOST_OVER_4X] = "4x"};
    return words[ap_scores_loss(s, submission, base)];
}

static void matrix_cells(const ap_scores *s, FILE *script) {
    fprintf(script, "$cells << EOD\n");
    for (size_t i = 0; i < s->submissions; i++)
        for (size_t b = 0; b < s->bases; b++) {
            double ratio = s->ratio[s->rank[i] * s->bases + b];
            char cell[32];
            snprintf(cell, sizeof cell, "%.2f", ratio);
            double blue = ratio <= 4 ? (4 - ratio) / 3 : 0; /* light enough for black text everywhere */
            int red = ratio <= 4 ? 255 - (int)(115 * blue) : 246, green = ratio <= 4 ? 255 - (int)(60 * blue) : 226;
            fprintf(script, "%zu %zu %d %s\n", b + 1, i + 1, red * 65536 + green * 256 + (ratio <= 4 ? 255 : 222),
                    ratio <= 4 ? cell : lost_text(s, s->rank[i], b));
        }
    fprintf(script, "EOD\n");
}

static void script_matrix(const ap_printed *p, FILE *script) {
    const ap_scores *s = p->board->scores;
    matrix_cells(s, script);
    fprintf(script, "set xtics out nomirror rotate by 40 right (");
    for (size_t b = 0; b < s->bases; b++) {
        fputs(b ? ", " : "", script);
        ap_gnuplot_quote(script, p->board->targets.target[s->workload[b]].workload, AP_FIGURE_LABEL, true);
        fprintf(script, " %zu", b + 1);
    }
    fprintf(script, ")\nset ytics out nomirror (");
    for (size_t i = 0; i < s->submissions; i++) {
        fputs(i ? ", " : "", script);
        ap_gnuplot_quote(script, p->board->trials.submissions.name[s->rank[i]], AP_FIGURE_LABEL, true);
        fprintf(script, " %zu", i + 1);
    }
    fprintf(script,
            ")\nset xrange [0.5:%zu.5]\nset yrange [%zu.5:0.5]\nunset key\nset style fill solid border lc rgb "
            "'#888888'\n",
            s->bases, s->submissions);
    fprintf(script,
            "set lmargin 24\nset rmargin 2\nset label 1 '4x: over four times the fastest   miss: target not reached' "
            "at screen 0.02,%.4f font 'sans-serif,12'\n"
            "set label 2 'none: never run   h: lost by a held-out workload' at screen 0.02,%.4f font "
            "'sans-serif,12'\n",
            32.0 / MATRIX_HEIGHT(s->submissions), 13.0 / MATRIX_HEIGHT(s->submissions));
    fprintf(script,
            "plot $cells using 1:2:(0.5):(0.5):3 with boxxyerror lc rgb variable, $cells using 1:2:4 with labels "
            "font 'sans-serif,12' tc rgb '#000000'\n");
}

/* ---- drawing */

/* Width and height in points of the SVG; the other formats have the same shape. */
static void size_of(const ap_printed *p, ap_figure figure, int *width, int *height) {
    int n = (int)p->board->scores->submissions, rows = (n + 2) / 2; /* of the key */
    *width = 520;                                                   /* narrow: its text is still readable on a phone */
    switch (figure.kind) {
    case AP_FIGURE_SCORES: *height = 140 + 24 * n; return;
    case AP_FIGURE_PROFILES:
    case AP_FIGURE_CURVES: *height = 350 + 17 * rows; return;
    case AP_FIGURE_MATRIX: *height = MATRIX_HEIGHT(n); return;
    case AP_FIGURE_HYPERPARAMETERS: *height = ap_trial_points_height(p->board, figure.of); return;
    case AP_FIGURE_KINDS: break;
    }
    *height = 400;
}

static void script_of(const ap_printed *p, ap_figure figure, FILE *script) {
    char title[AP_FIGURE_TEXT];
    ap_figure_title(p, figure, title);
    fprintf(script, "set title ");
    ap_gnuplot_quote(script, title, 70, false);
    fprintf(script, "\nset border lc rgb '#444444'\nset tics textcolor rgb '#000000'\n");
    switch (figure.kind) {
    case AP_FIGURE_SCORES: script_scores(p, script); return;
    case AP_FIGURE_PROFILES: script_profiles(p, script); return;
    case AP_FIGURE_MATRIX: script_matrix(p, script); return;
    case AP_FIGURE_CURVES: ap_script_curves(p, figure.of, script); return;
    case AP_FIGURE_HYPERPARAMETERS: ap_script_points(p, figure.of, script); return;
    case AP_FIGURE_KINDS: return;
    }
}

ap_status ap_figure_draw(const ap_printed *p, ap_figure figure, ap_figure_format format, const char *name, char **bytes,
                         size_t *n, ap_error *error) {
    char terminal[256], *script = NULL;
    size_t length = 0;
    int width, height;
    FILE *out = open_memstream(&script, &length);
    if (!out) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a figure");
    script_of(p, figure, out);
    if (fclose(out)) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a figure");
    size_of(p, figure, &width, &height);
    if (format == AP_FIGURE_SVG)
        snprintf(terminal, sizeof terminal,
                 "svg size %d,%d dynamic noenhanced font 'sans-serif,14' name '%s' background '#ffffff'", width, height,
                 name);
    else if (format == AP_FIGURE_PNG)
        snprintf(terminal, sizeof terminal,
                 "pngcairo size %d,%d noenhanced font 'sans-serif,15' fontscale 1.5 linewidth 2 pointscale 2 "
                 "background '#ffffff'",
                 2 * width, 2 * height);
    else
        snprintf(terminal, sizeof terminal, "pdfcairo size %gin,%gin noenhanced font 'sans-serif,11' fontscale 0.8",
                 width / 100.0, height / 100.0);
    ap_status status = ap_gnuplot(terminal, script, bytes, n, error);
    free(script);
    return status;
}
