#include "analysis/report/figures_internal.h"
#include "analysis/report/points.h"

#include <math.h>
#include <stdlib.h>

/* Two panels a row. Outcomes beyond this many times the fastest are drawn at it; misses above. */
enum { MOST = 8, MISSED = 13 };
#define MISSED_SPREAD 1.2

bool ap_trial_points_differ(const ap_leaderboard *board, size_t submission) {
    ap_trial_points points;
    if (ap_trial_points_read(board, submission, &points, NULL) != AP_OK) return false;
    bool differ = points.keys > 0;
    ap_trial_points_free(&points);
    return differ;
}

int ap_trial_points_height(const ap_leaderboard *board, size_t submission) {
    ap_trial_points points;
    if (ap_trial_points_read(board, submission, &points, NULL) != AP_OK) return 0;
    int rows = (int)(points.keys + 1) / 2;
    ap_trial_points_free(&points);
    return 50 + 190 * rows;
}

/* Values over more than a factor of 20 are seen on a logarithmic axis. */
static bool wants_logarithm(const ap_trial_points *points, size_t key) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < points->trials; i++) {
        double v = points->value[i * AP_POINT_KEYS + key];
        low = fmin(low, v);
        high = fmax(high, v);
    }
    return low > 0 && high / low > 20;
}

/* What the values span, and the room around them. */
typedef struct axis {
    bool logarithm;
    double low, high, from, to, step; /* step: of the tics, 1, 2 or 5 times a power of ten */
} axis;

static axis find_axis(const ap_trial_points *points, size_t key) {
    axis a = {.logarithm = wants_logarithm(points, key), .low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < points->trials; i++) {
        a.low = fmin(a.low, points->value[i * AP_POINT_KEYS + key]);
        a.high = fmax(a.high, points->value[i * AP_POINT_KEYS + key]);
    }
    double room = 0.08 * (a.high - a.low), factor = pow(a.high / a.low, 0.08);
    a.from = a.logarithm ? a.low / factor : a.low - room;
    a.to = a.logarithm ? a.high * factor : a.high + room;
    double rough = (a.high - a.low) / (a.high < 1e-3 || a.high > 1e5 ? 1.2 : 4), power = pow(10, floor(log10(rough)));
    a.step = power * (rough <= 2 * power ? 2 : rough <= 5 * power ? 5 : 10);
    return a;
}

/* Many trials share a value: they are set side by side, in the order of the list, over a few hundredths of the axis. */
static double shifted(const axis *a, double value, size_t i, size_t n) {
    double share = 0.06 * ((double)i / (double)(n > 1 ? n - 1 : 1) - 0.5);
    return a->logarithm ? value * pow(a->high / a->low, share) : value + share * (a->high - a->low);
}

static void write_data(const ap_leaderboard *board, const ap_trial_points *points, size_t key, const axis *a,
                       bool reached, FILE *script) {
    fprintf(script, "$%s%zu << EOD\n", reached ? "hit" : "miss", key);
    for (size_t i = 0; i < points->trials; i++) {
        double v = points->value[i * AP_POINT_KEYS + key], outcome = ap_point_outcome(board, points->trial[i]);
        if (!isfinite(v) || isnan(outcome) || (isfinite(outcome) != 0) != reached) continue;
        double missed = MISSED * pow(MISSED_SPREAD, (double)(i % 7) / 3 - 1); /* so that many look like many */
        fprintf(script, "%.17g %.6g\n", shifted(a, v, i, points->trials), reached ? fmin(outcome, MOST) : missed);
    }
    fprintf(script, "-1e300 %d\nEOD\n", MISSED); /* outside: no block is empty */
}

static void write_panel(const ap_leaderboard *board, const ap_trial_points *points, size_t key, FILE *script) {
    axis a = find_axis(points, key);
    write_data(board, points, key, &a, true, script);
    write_data(board, points, key, &a, false, script);
}

static void plot_panel(const ap_trial_points *points, size_t key, FILE *script) {
    axis a = find_axis(points, key);
    fprintf(script, "set title ");
    ap_gnuplot_quote(script, points->key[key], AP_FIGURE_LABEL, false);
    fprintf(script, " offset 0,-0.6\nset xrange [%.17g:%.17g]\n", a.from, a.to);
    if (a.logarithm)
        fprintf(script, "set logscale x\nset xtics %d format '%%g'\n", a.high / a.low > 500 ? 100 : 10);
    else
        fprintf(script, "unset logscale x\nset xtics %.17g format '%%g'\n", a.step);
    fprintf(
        script,
        "plot $hit%zu using 1:2 with points pt 6 ps 0.8 lw 1.2 lc rgb '#0065A8', $miss%zu using 1:2 with points pt 2 "
        "ps 0.6 lw 1.2 lc rgb '#B03A00'\n",
        key, key);
}

void ap_script_points(const ap_printed *p, size_t submission, FILE *script) {
    ap_trial_points points;
    if (ap_trial_points_read(p->board, submission, &points, NULL) != AP_OK) return;
    for (size_t k = 0; k < points.keys; k++) write_panel(p->board, &points, k, script);
    char title[AP_FIGURE_TEXT];
    ap_figure_title(p, (ap_figure){AP_FIGURE_HYPERPARAMETERS, submission}, title);
    fprintf(script, "unset title\nset multiplot layout %zu,2 title ", (points.keys + 1) / 2);
    ap_gnuplot_quote(script, title, 70, false);
    fprintf(script,
            "\nunset key\nset logscale y\nset yrange [0.9:18]\nset grid\nset ytics nomirror ('1x' 1, '2x' 2, '4x' 4, "
            "'8x+' %d, 'missed' %d)\nset xtics nomirror offset 0,0.3\nset tmargin 2.2\nset bmargin 2\n",
            MOST, MISSED);
    for (size_t k = 0; k < points.keys; k++) plot_panel(&points, k, script);
    fprintf(script, "unset multiplot\n");
    ap_trial_points_free(&points);
}
