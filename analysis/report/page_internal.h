/* What the files of the page share. */
#ifndef AP_ANALYSIS_REPORT_PAGE_INTERNAL_H
#define AP_ANALYSIS_REPORT_PAGE_INTERNAL_H

#include "analysis/report/figures.h"
#include "analysis/report/html.h"
#include "analysis/report/page.h"

typedef struct ap_page {
    const ap_printed *printed;
    const ap_leaderboard *board; /* printed->board */
    FILE *out;
    int figures; /* drawn so far */
} ap_page;

/* Draws the figure into the page as an inline SVG with title, description and caption; nothing if there is nothing to
 * draw. `alone`: not in a grid. The element stays open for a table of the same data: ap_page_figure_end. */
ap_status ap_page_figure(ap_page *page, ap_figure figure, bool alone, ap_error *error);
void ap_page_figure_end(ap_page *page);
void ap_page_details(ap_page *page, const char *summary); /* what is folded away; ended by ap_page_details_end */
void ap_page_details_end(ap_page *page);

const char *ap_page_submission(const ap_page *page, size_t submission);
const char *ap_page_workload(const ap_page *page, size_t column);
void ap_page_number(ap_page *page, double value, const char *format); /* a cell; NaN is "-" */
void ap_page_time(ap_page *page, double time, const char *class);

/* The sections, in their order. */
void ap_page_warnings(ap_page *page);
ap_status ap_page_ranking(ap_page *page, ap_error *error);
ap_status ap_page_times(ap_page *page, ap_error *error);
ap_status ap_page_curves(ap_page *page, ap_error *error);
ap_status ap_page_hyperparameters(ap_page *page, ap_error *error);
void ap_page_provenance(ap_page *page);
void ap_page_methods(ap_page *page);

#endif
