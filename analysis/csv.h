/* Comma-separated tables as the benchmark writes them: one header line, no quotes, no spaces (leaderboard rules 2.1).
 *
 * Columns are found by name. Errors are AP_DATA and name file, line and column. Not collective. */
#ifndef AP_ANALYSIS_CSV_H
#define AP_ANALYSIS_CSV_H

#include "base/status.h"

typedef struct ap_csv {
    const char *name; /* of the file, for messages; borrowed */
    char *text;       /* the whole table, cut into cells in place */
    char *next;       /* first byte of the next line; NULL at the end */
    size_t line;      /* 1-based, of the row in `cell` */
    size_t columns;
    char **header; /* [columns], in `text` */
    char **cell;   /* [columns], in `text`: the row that ap_csv_next read */
} ap_csv;

/* Takes `text` (malloc'ed, NUL-terminated) whatever the result, and reads the header. The caller closes a table that
 * was opened. A text without a header line is an error, and so is a column name that is there twice. */
ap_status ap_csv_open(char *text, const char *name, ap_csv *csv, ap_error *error);
void ap_csv_close(ap_csv *csv);

/* Next row into csv->cell; *more = false after the last. Empty lines are skipped; a row of another length than the
 * header is an error. */
ap_status ap_csv_next(ap_csv *csv, bool *more, ap_error *error);

/* Index of a column, -1 if there is none; the second form makes that an error. */
int ap_csv_find(const ap_csv *csv, const char *column);
ap_status ap_csv_need(const ap_csv *csv, const char *column, size_t *index, ap_error *error);

/* The cell as a number, correctly rounded. Empty and "nan" are NaN, "inf" is infinite; hexadecimal is refused. */
ap_status ap_csv_number(const ap_csv *csv, size_t column, double *value, ap_error *error);

#endif
