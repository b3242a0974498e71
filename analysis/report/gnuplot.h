/* Runs gnuplot on a script and writes texts into scripts. Not collective. */
#ifndef AP_ANALYSIS_REPORT_GNUPLOT_H
#define AP_ANALYSIS_REPORT_GNUPLOT_H

#include "base/status.h"
#include <stdio.h>

/* Runs the script, whose first lines (terminal and output) are made here: `terminal` is what follows "set terminal".
 * The picture comes back in memory, the caller frees *bytes. AP_ENVIRONMENT if there is no gnuplot, or it says no. */
ap_status ap_gnuplot(const char *terminal, const char *script, char **bytes, size_t *n, ap_error *error);

/* A string constant of the script, with its quotes, whatever is in `text`: single quotes (gnuplot reads nothing in
 * them), control characters and broken UTF-8 as '?', cut to `most` characters. `format`: where gnuplot takes a '%' for
 * a format (labels of tics). */
void ap_gnuplot_quote(FILE *script, const char *text, size_t most, bool format);

#endif
