/* Tables: a table of targets, and a log that is read and checked. */
#include "fuzz.h"

#include "analysis/check.h"
#include "analysis/csv.h"
#include "analysis/targets.h"

#include <string.h>

static void silent(const char *line, void *data) {
    (void)line, (void)data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ap_error error;
    ap_targets targets;
    ap_csv csv;
    if (ap_targets_parse(fuzz_text(data, size), "table", &targets, &error) == AP_OK) ap_targets_free(&targets);
    ap_check check = {.say = silent};
    ap_check_log(&check, "trial", fuzz_text(data, size), size);
    if (ap_csv_open(fuzz_text(data, size), "table", &csv, &error)) return 0;
    for (bool more = true; ap_csv_next(&csv, &more, &error) == AP_OK && more;)
        for (size_t i = 0; i < csv.columns; i++) {
            double value;
            (void)ap_csv_number(&csv, i, &value, &error);
        }
    ap_csv_close(&csv);
    return 0;
}
