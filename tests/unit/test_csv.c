/* Tables from outside: what is read, and what is refused with file, line and column. */
#include "analysis/csv.h"
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ap_error error;

static ap_status open_text(const char *text, ap_csv *csv) {
    error.text[0] = '\0';
    return ap_csv_open(strdup(text), "t.csv", csv, &error);
}

static void test_line_ends_and_marks(void) {
    static const char *const texts[] = {"a,b\n1,2\n", "a,b\r\n1,2\r\n",
                                        ("\xef\xbb\xbf"
                                         "a,b\n1,2"),
                                        "a,b\n\n\r\n1,2\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ap_csv csv;
        bool more = false;
        double value = 0;
        CHECK_INT(open_text(texts[i], &csv), AP_OK);
        CHECK_INT(csv.columns, 2);
        CHECK_INT(ap_csv_find(&csv, "a"), 0);
        CHECK_INT(ap_csv_next(&csv, &more, &error), AP_OK);
        CHECK(more);
        CHECK_INT(ap_csv_number(&csv, 1, &value, &error), AP_OK);
        CHECK_NEAR(value, 2, 0);
        CHECK_INT(ap_csv_next(&csv, &more, &error), AP_OK);
        CHECK(!more);
        ap_csv_close(&csv);
    }
}

static void refused(const char *text, const char *says) {
    ap_csv csv;
    ap_status status = open_text(text, &csv);
    bool more = true;
    while (status == AP_OK && more) {
        double value;
        status = ap_csv_next(&csv, &more, &error);
        for (size_t i = 0; status == AP_OK && more && i < csv.columns; i++)
            status = ap_csv_number(&csv, i, &value, &error);
        if (status != AP_OK || !more) ap_csv_close(&csv);
    }
    CHECK_INT(status, AP_DATA);
    CHECK_TEXT(error.text, says);
    CHECK_TEXT(error.text, "t.csv");
}

static void test_what_is_refused(void) {
    refused("", "no header line");
    refused("\n1,2\n", "no header line");
    refused("\xef\xbb\xbf", "no header line");
    refused("a,b,a\n", "t.csv:1: column \"a\" is there twice");
    refused(",,\n", "t.csv:1: column \"\" is there twice");
    refused(",a\n1\n", "t.csv:2: 1 cells in a table of 2 columns");
    refused("a,b\n1,2\n1,2,3\n", "t.csv:3: 3 cells in a table of 2 columns");
    refused("a,b\n1,2\n\n1,0x10\n", "t.csv:4: column \"b\" is \"0x10\"");
    refused("a\n1;5\n", "column \"a\" is \"1;5\"");
    refused("a\n1e\n", "column \"a\" is \"1e\"");
    refused("a\n\"1\"\n", "column \"a\"");
    refused("a\n 1\n", "column \"a\" is \" 1\"");
}

static void test_a_header_without_end(void) {
    enum { COLUMNS = 5000 };
    char *text = malloc(8 * COLUMNS);
    size_t n = 0;
    for (int i = 0; i < COLUMNS; i++) n += (size_t)sprintf(text + n, "%s%d", i ? "," : "", i);
    ap_csv csv;
    CHECK_INT(open_text(text, &csv), AP_DATA);
    CHECK_TEXT(error.text, "the header has 5000 columns (at most 4096");
    free(text);
}

static void test_numbers(void) {
    static const struct {
        const char *text;
        double value;
    } cells[] = {{"0.1", 0.1}, {"-1e-400", -0.0}, {"1e999", INFINITY}, {"inf", INFINITY}, {"-INF", -INFINITY},
                 {"+5", 5},    {"nan", NAN},      {"NaN", NAN},        {"", NAN}};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char text[64];
        ap_csv csv;
        bool more;
        double value = 7;
        snprintf(text, sizeof text, "a,b\n%s,1\n", cells[i].text);
        CHECK_INT(open_text(text, &csv), AP_OK);
        CHECK_INT(ap_csv_next(&csv, &more, &error), AP_OK);
        CHECK_INT(ap_csv_number(&csv, 0, &value, &error), AP_OK);
        CHECK(value == cells[i].value || (isnan(value) && isnan(cells[i].value)));
        ap_csv_close(&csv);
    }
}

AP_TEST_MAIN(test_line_ends_and_marks, test_what_is_refused, test_a_header_without_end, test_numbers)
