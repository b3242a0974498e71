#include "analysis/text_table.h"

#include "analysis/trials.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void ap_text_table_add(ap_text_table *table, const char *format, ...) {
    char **grown = ap_room_for_one(table->cell, table->n, sizeof *grown);
    if (grown) table->cell = grown;
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (!grown || vasprintf(&text, format, args) < 0) {
        table->out_of_memory = true;
    } else {
        ap_clean_text(text); /* names of folders, and what results say, may be anyone's */
        table->cell[table->n++] = text;
    }
    va_end(args);
}

static size_t column_width(const ap_text_table *table, size_t columns, size_t column) {
    size_t width = 0;
    for (size_t i = column; i < table->n; i += columns)
        if (strlen(table->cell[i]) > width) width = strlen(table->cell[i]);
    return width;
}

/* Spaces are printed only before text: no line ends in one. */
static void print_rows(const ap_text_table *table, size_t columns, const size_t *width, FILE *out) {
    size_t spaces = 0;
    for (size_t i = 0; i < table->n; i++) {
        size_t c = i % columns, n = strlen(table->cell[i]), padding = width[c] - n;
        bool right = table->align[c] == 'r';
        spaces += 2 + (right ? padding : 0);
        if (n) {
            fprintf(out, "%*s%s", (int)spaces, "", table->cell[i]);
            spaces = 0;
        }
        if (!right) spaces += padding;
        if (c < columns - 1) continue;
        fputc('\n', out);
        spaces = 0;
    }
}

ap_status ap_text_table_print(ap_text_table *table, FILE *out, ap_error *error) {
    size_t columns = strlen(table->align);
    size_t *width = malloc(columns * sizeof *width);
    bool fine = width && !table->out_of_memory;
    if (fine) {
        for (size_t c = 0; c < columns; c++) width[c] = column_width(table, columns, c);
        print_rows(table, columns, width, out);
    }
    for (size_t i = 0; i < table->n; i++) free(table->cell[i]);
    free(table->cell);
    free(width);
    *table = (ap_text_table){0};
    return fine ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for a table of text");
}
