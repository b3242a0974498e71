#include "analysis/report/figures_internal.h"

#include "analysis/summary.h"

#include <math.h>
#include <stdlib.h>

/* ---- which trial */

static double distance(double a, double b) {
    if (isinf(a) && isinf(b)) return 0;
    return isfinite(a) && isfinite(b) ? fabs(a - b) : INFINITY;
}

/* The trial that came nearest to the target, of all its trials on the workload. */
static const ap_trial *nearest_miss(const ap_leaderboard *board, size_t submission, size_t workload) {
    const ap_target *target = &board->targets.target[workload];
    const ap_trial *found = NULL;
    double best = NAN;
    for (size_t i = 0; i < board->trials.n; i++) {
        const ap_trial *trial = &board->trials.trial[i];
        if (trial->submission != submission || trial->workload != workload) continue;
        double value = ap_trial_summarise(trial, target).best;
        bool better = isnan(best) || (target->maximise ? value > best : value < best);
        if (found && (isnan(value) || !better)) continue;
        found = trial;
        best = value;
    }
    return found;
}

const ap_trial *ap_figure_trial(const ap_leaderboard *board, size_t submission, size_t workload) {
    const ap_scores *s = board->scores;
    size_t column = 0;
    while (column < s->columns && s->workload[column] != workload) column++;
    double median = column < s->columns ? s->time[submission * s->columns + column] : INFINITY;
    const ap_study *found = NULL;
    for (size_t i = 0; i < board->study_count; i++) {
        const ap_study *study = &board->studies[i];
        if (study->submission != submission || study->workload != workload || study->best == board->trials.n) continue;
        if (!found || distance(study->hit.time, median) < distance(found->hit.time, median)) found = study;
    }
    if (found && isfinite(median)) return &board->trials.trial[found->best];
    return nearest_miss(board, submission, workload);
}

/* ---- ranges: what is far from the target at the start would press everything else flat */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct view {
    double low, high; /* of the metric */
    double end;       /* of time, in `unit` */
    double unit;
    const char *name; /* of the unit */
} view;

static void set_unit(view *v, ap_metric metric) {
    v->unit = 1;
    v->name = metric == AP_METRIC_STEPS ? "update steps" : "training time (s)";
    if (metric == AP_METRIC_STEPS) return;
    if (v->end > 7200)
        v->unit = 3600, v->name = "training time (h)";
    else if (v->end > 600)
        v->unit = 60, v->name = "training time (min)";
}

static double x_of(const ap_leaderboard *board, const ap_trial_row *row) {
    return board->rules.metric == AP_METRIC_STEPS ? (double)row->step : row->score_s;
}

/* Beyond the worst fifth of all values, and 5 % around the target. */
static view find_view(const ap_leaderboard *board, size_t workload) {
    const ap_target *target = &board->targets.target[workload];
    view v = {.low = target->validation_target, .high = target->validation_target};
    size_t n = 0, room = 0;
    for (size_t s = 0; s < board->trials.submissions.n; s++) {
        const ap_trial *trial = ap_figure_trial(board, s, workload);
        room += trial ? trial->rows : 0;
    }
    double *values = malloc((room + 1) * sizeof *values);
    for (size_t s = 0; values && s < board->trials.submissions.n; s++) {
        const ap_trial *trial = ap_figure_trial(board, s, workload);
        for (size_t i = 0; trial && i < trial->rows; i++) {
            if (isfinite(trial->row[i].validation)) values[n++] = trial->row[i].validation;
            v.end = fmax(v.end, x_of(board, &trial->row[i]));
        }
    }
    if (n) {
        qsort(values, n, sizeof *values, by_value);
        v.low = fmin(v.low, values[target->maximise ? n / 5 : 0]);
        v.high = fmax(v.high, values[target->maximise ? n - 1 : n - 1 - n / 5]);
    }
    free(values);
    double margin = fmax(0.06 * (v.high - v.low), 1e-6 * fabs(v.high) + 1e-12);
    v.low -= margin;
    v.high += margin;
    set_unit(&v, board->rules.metric);
    return v;
}

/* ---- the script */

static void write_trial(const ap_leaderboard *board, const ap_trial *trial, const view *v, size_t i, FILE *script) {
    int64_t hit = board->hits[trial - board->trials.trial].index;
    fprintf(script, "$c%zu << EOD\n", i);
    for (size_t r = 0; r < trial->rows; r++) {
        const ap_trial_row *row = &trial->row[r];
        if (isfinite(row->validation) && isfinite(x_of(board, row)))
            fprintf(script, "%.8g %.10g\n", x_of(board, row) / v->unit, row->validation);
        else
            fprintf(script, "\n"); /* a gap */
    }
    fprintf(script, "NaN NaN\nEOD\n$h%zu << EOD\n", i);
    if (hit >= 0) fprintf(script, "%.8g %.10g\n", x_of(board, &trial->row[hit]) / v->unit, trial->row[hit].validation);
    fprintf(script, "NaN NaN\nEOD\n");
}

static void plot_trial(const ap_printed *p, size_t submission, size_t i, FILE *script) {
    fprintf(script, ", $c%zu using 1:2 with lines lw 1.6", i);
    ap_line_style(script, i);
    fprintf(script, " notitle, $h%zu using 1:2 with points ps 1.3 lw 2", i);
    ap_line_style(script, i);
    fprintf(script, " notitle, NaN with linespoints lw 1.6 ps 1");
    ap_line_style(script, i);
    fprintf(script, " title ");
    ap_gnuplot_quote(script, p->board->trials.submissions.name[submission], AP_FIGURE_LABEL, false);
}

void ap_script_curves(const ap_printed *p, size_t column, FILE *script) {
    const ap_leaderboard *b = p->board;
    size_t workload = b->scores->workload[column];
    const ap_target *target = &b->targets.target[workload];
    view v = find_view(b, workload);
    for (size_t i = 0; i < b->scores->submissions; i++) {
        const ap_trial *trial = ap_figure_trial(b, b->scores->rank[i], workload);
        if (trial) write_trial(b, trial, &v, i, script);
    }
    fprintf(script, "set xlabel '%s'\nset ylabel ", v.name);
    ap_gnuplot_quote(script, target->metric, AP_FIGURE_LABEL, false);
    fprintf(script, "\nset yrange [%.10g:%.10g]\nset xrange [0:%.8g]\nset grid\n", v.low, v.high,
            v.end > 0 ? 1.02 * v.end / v.unit : 1);
    ap_place_key(b, script);
    fprintf(script, "plot %.17g with lines lw 2 dt 2 lc rgb '#000000' title 'target %s %.6g'",
            target->validation_target, target->maximise ? ">=" : "<=", target->validation_target);
    for (size_t i = 0; i < b->scores->submissions; i++)
        if (ap_figure_trial(b, b->scores->rank[i], workload)) plot_trial(p, b->scores->rank[i], i, script);
    fputc('\n', script);
}
