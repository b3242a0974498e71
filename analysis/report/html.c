#include "analysis/report/html.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void ap_html_text(FILE *out, const char *text) {
    char *clean = strdup(text);
    if (!clean) return;
    ap_clean_text(clean);
    for (const char *p = clean; *p; p++) switch (*p) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default: fputc(*p, out);
        }
    free(clean);
}

void ap_html_printf(FILE *out, const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0) {
        ap_html_text(out, text);
        free(text);
    }
    va_end(args);
}

/* ---- tables: closing tags of rows and cells may be left out in HTML, so a row needs no end */

/* The caption stands before the scrolling part, so that it wraps where the table does not fit. */
void ap_html_table(FILE *out, const char *caption, const char *const *head) {
    fputs("<p class=\"caption\">", out);
    ap_html_text(out, caption);
    fputs("</p><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", out);
    ap_html_text(out, caption);
    fputs("\"><table><thead><tr>", out);
    for (; *head; head++) {
        fputs("<th scope=\"col\">", out);
        ap_html_text(out, *head);
    }
    fputs("</thead><tbody>\n", out);
}

void ap_html_row(FILE *out) {
    fputs("<tr>", out);
}

void ap_html_cell(FILE *out, const char *class) {
    if (*class)
        fprintf(out, "<td class=\"%s\">", class);
    else
        fputs("<td>", out);
}

void ap_html_head_cell(FILE *out) {
    fputs("<th scope=\"row\">", out);
}

void ap_html_table_end(FILE *out) {
    fputs("</tbody></table></div>\n", out);
}
