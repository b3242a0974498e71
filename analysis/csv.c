#include "analysis/csv.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_COLUMNS = 4096 }; /* the official logs have about 50; names are compared in pairs */

/* Cuts csv->next's line off: NUL instead of the line end, csv->next behind it. NULL after the last line. */
static char *take_line(ap_csv *csv) {
    char *line = csv->next;
    if (!line || !*line) return NULL;
    char *end = strchr(line, '\n');
    csv->next = end ? end + 1 : NULL;
    if (!end) end = line + strlen(line);
    if (end > line && end[-1] == '\r') end--;
    *end = '\0';
    csv->line++;
    return line;
}

/* Cuts a line at its commas into cells[0..limit) and returns how many cells it has, which may be more than `limit`. */
static size_t cut(char *line, char **cells, size_t limit) {
    size_t n = 0;
    for (char *p = line; p; n++) {
        if (n < limit) cells[n] = p;
        p = strchr(p, ',');
        if (p) *p++ = '\0';
    }
    return n;
}

static ap_status check_names(const ap_csv *csv, ap_error *error) {
    for (size_t i = 0; i < csv->columns; i++)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(csv->header[i], csv->header[j]))
                return ap_fail(error, AP_DATA, "%s:%zu: column \"%s\" is there twice (columns are found by name)",
                               csv->name, csv->line, csv->header[i]);
    return AP_OK;
}

ap_status ap_csv_open(char *text, const char *name, ap_csv *csv, ap_error *error) {
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* spreadsheets put it before UTF-8 */
    size_t skipped = strncmp(text, byte_order_mark, 3) ? 0 : 3;
    *csv = (ap_csv){.name = name, .text = text, .next = text + skipped};
    char *line = take_line(csv);
    if (!line || !*line) {
        ap_csv_close(csv);
        return ap_fail(error, AP_DATA, "%s: no header line; a table of comma-separated values is expected", name);
    }
    csv->columns = 1;
    for (const char *p = line; (p = strchr(p, ',')); p++) csv->columns++;
    if (csv->columns > MOST_COLUMNS) {
        ap_fail(error, AP_DATA, "%s:1: the header has %zu columns (at most %d are read)", name, csv->columns,
                MOST_COLUMNS);
        ap_csv_close(csv);
        return AP_DATA;
    }
    size_t bytes = 0;
    if (!ap_size_mul(csv->columns, 2 * sizeof *csv->header, &bytes) || !(csv->header = malloc(bytes))) {
        ap_csv_close(csv);
        return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for %zu columns", name, csv->columns);
    }
    csv->cell = csv->header + csv->columns;
    csv->columns = cut(line, csv->header, csv->columns);
    ap_status status = check_names(csv, error);
    if (status != AP_OK) ap_csv_close(csv);
    return status;
}

void ap_csv_close(ap_csv *csv) {
    free(csv->header);
    free(csv->text);
    *csv = (ap_csv){0};
}

ap_status ap_csv_next(ap_csv *csv, bool *more, ap_error *error) {
    char *line;
    do line = take_line(csv);
    while (line && !*line);
    *more = line != NULL;
    if (!line) return AP_OK;
    size_t n = cut(line, csv->cell, csv->columns);
    if (n != csv->columns)
        return ap_fail(error, AP_DATA,
                       "%s:%zu: %zu cells in a table of %zu columns; the line was cut off or damaged: restore the file",
                       csv->name, csv->line, n, csv->columns);
    return AP_OK;
}

int ap_csv_find(const ap_csv *csv, const char *column) {
    for (size_t i = 0; i < csv->columns; i++)
        if (!strcmp(csv->header[i], column)) return (int)i;
    return -1;
}

ap_status ap_csv_need(const ap_csv *csv, const char *column, size_t *index, ap_error *error) {
    int i = ap_csv_find(csv, column);
    if (i < 0) return ap_fail(error, AP_DATA, "%s: no column \"%s\"", csv->name, column);
    *index = (size_t)i;
    return AP_OK;
}

ap_status ap_csv_number(const ap_csv *csv, size_t column, double *value, ap_error *error) {
    const char *text = csv->cell[column];
    *value = NAN;
    if (!*text || !strcasecmp(text, "nan")) return AP_OK;
    bool infinite = !strcasecmp(text, "inf") || !strcasecmp(text, "-inf");
    char *end = NULL;
    *value = strtod(text, &end); /* glibc's is correctly rounded; no program here changes the locale */
    if (*end || (!infinite && strspn(text, "+-.0123456789eE") != strlen(text)))
        return ap_fail(error, AP_DATA,
                       "%s:%zu: column \"%s\" is \"%.40s\" (must be a decimal number, inf, nan or empty)", csv->name,
                       csv->line, csv->header[column], text);
    return AP_OK;
}
