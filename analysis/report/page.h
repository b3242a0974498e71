/* The report: one self-contained HTML page. Not collective. */
#ifndef AP_ANALYSIS_REPORT_PAGE_H
#define AP_ANALYSIS_REPORT_PAGE_H

#include "analysis/print.h"

/* Draws all figures and returns the page as a text from malloc; nothing in it refers to anything outside of it. The
 * board was read with details; there is a bootstrap. Errors are those of ap_figure_draw. */
ap_status ap_report_page(const ap_printed *printed, char **page, size_t *n, ap_error *error);

#endif
