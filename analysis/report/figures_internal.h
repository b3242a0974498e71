/* What the files of the figures share. */
#ifndef AP_ANALYSIS_REPORT_FIGURES_INTERNAL_H
#define AP_ANALYSIS_REPORT_FIGURES_INTERNAL_H

#include "analysis/report/figures.h"
#include "analysis/report/gnuplot.h"

enum { AP_FIGURE_LABEL = 26 }; /* characters of a name in a figure */

/* "set key ..." for lines that are named after submissions. */
void ap_place_key(const ap_leaderboard *board, FILE *script);

/* " lc rgb ... dt ... pt ..." of line i. */
void ap_line_style(FILE *script, size_t i);

void ap_script_curves(const ap_printed *printed, size_t column, FILE *script);

/* Hyperparameter points; needs a board that was read with details. */
void ap_script_points(const ap_printed *printed, size_t submission, FILE *script);
bool ap_trial_points_differ(const ap_leaderboard *board, size_t submission);
int ap_trial_points_height(const ap_leaderboard *board, size_t submission);

#endif
