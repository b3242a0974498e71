/* The figures of a report, drawn by gnuplot (Debian: gnuplot-nox), which is looked for at run time. A figure here is a
 * list of what is to be seen; where each pixel goes is gnuplot's business. Not collective. */
#ifndef AP_ANALYSIS_REPORT_FIGURES_H
#define AP_ANALYSIS_REPORT_FIGURES_H

#include "analysis/print.h"

typedef enum ap_figure_kind {
    AP_FIGURE_SCORES,          /* scores, with intervals if there was a bootstrap */
    AP_FIGURE_PROFILES,        /* performance profiles */
    AP_FIGURE_MATRIX,          /* ratio or reason of every submission on every base workload */
    AP_FIGURE_CURVES,          /* validation metric over time on one workload, with its target */
    AP_FIGURE_HYPERPARAMETERS, /* of one submission: each point against its outcome */
    AP_FIGURE_KINDS
} ap_figure_kind;
extern const char *const ap_figure_names[AP_FIGURE_KINDS + 1]; /* NULL-terminated */

typedef struct ap_figure {
    ap_figure_kind kind;
    size_t of; /* curves: column of the scores; hyperparameters: submission */
} ap_figure;

/* Is there anything to draw? Curves: somebody ran the workload; hyperparameters: numbers that differ are known. */
bool ap_figure_exists(const ap_printed *printed, ap_figure figure);

/* A title and a sentence or two for those who do not see it. */
enum { AP_FIGURE_TEXT = 512 };
void ap_figure_title(const ap_printed *printed, ap_figure figure, char text[AP_FIGURE_TEXT]);
void ap_figure_description(const ap_printed *printed, ap_figure figure, char text[AP_FIGURE_TEXT]);

typedef enum ap_figure_format { AP_FIGURE_SVG, AP_FIGURE_PNG, AP_FIGURE_PDF } ap_figure_format;

/* Draws into memory; the caller frees *bytes. `name` makes the ids of an SVG its own ([a-z0-9]). AP_ENVIRONMENT:
 * gnuplot is not there, or failed (its words are in the text). */
ap_status ap_figure_draw(const ap_printed *printed, ap_figure figure, ap_figure_format format, const char *name,
                         char **bytes, size_t *n, ap_error *error);

/* The trial that stands for a submission on a workload in its curves: the one that counts in the study nearest to the
 * median, or, if that is a miss, the one that came nearest to the target. NULL: it never ran. */
const ap_trial *ap_figure_trial(const ap_leaderboard *board, size_t submission, size_t workload);

#endif
