/* Writing HTML: everything that comes from files goes through ap_html_text. Not collective. */
#ifndef AP_ANALYSIS_REPORT_HTML_H
#define AP_ANALYSIS_REPORT_HTML_H

#include "base/status.h"
#include <stdio.h>

/* Text for an element or a quoted attribute: & < > " ' are escaped, control characters and broken UTF-8 are '?'. */
void ap_html_text(FILE *out, const char *text);
/* printf-like, then the same. */
void ap_html_printf(FILE *out, const char *format, ...) AP_PRINTF(2, 3);

/* A table, which scrolls by itself where it does not fit. Rows and cells end where the next begin. */
void ap_html_table(FILE *out, const char *caption, const char *const *head); /* head: NULL-terminated */
void ap_html_row(FILE *out);
void ap_html_head_cell(FILE *out);               /* the row's name */
void ap_html_cell(FILE *out, const char *class); /* "": none; "n": a number, set right */
void ap_html_table_end(FILE *out);

#endif
