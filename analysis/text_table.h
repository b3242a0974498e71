/* Aligned text tables: cells first, widths from all of them, one space-padded line a row. Not collective. */
#ifndef AP_ANALYSIS_TEXT_TABLE_H
#define AP_ANALYSIS_TEXT_TABLE_H

#include "base/status.h"
#include <stdio.h>

typedef struct ap_text_table {
    const char *align; /* one letter a column: 'l' left, 'r' right; borrowed */
    size_t n;          /* cells so far, row after row; the first row is the header */
    char **cell;
    bool out_of_memory;
} ap_text_table;

/* Adds the next cell. printf-like; failure is kept until ap_text_table_print. */
void ap_text_table_add(ap_text_table *table, const char *format, ...) AP_PRINTF(2, 3);

/* Prints the rows, indented by two spaces, and frees the cells whatever the result. */
ap_status ap_text_table_print(ap_text_table *table, FILE *out, ap_error *error);

#endif
