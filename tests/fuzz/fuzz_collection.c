/* A collection that somebody sealed. */
#include "fuzz.h"

#include "analysis/archive.h"
#include "analysis/check.h"
#include "analysis/read_tree.h"

static void silent(const char *line, void *data) {
    (void)line, (void)data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ap_targets targets = {0};
    ap_trials trials = {0};
    ap_error error;
    ap_check check = {.say = silent};
    const char *path = fuzz_file("input.h5", AP_ARCHIVE_KIND, data, size);
    if (ap_read_tree(path, &targets, &trials, &error) == AP_OK) (void)ap_trials_sort(&trials, &error);
    ap_trials_free(&trials);
    ap_targets_free(&targets);
    (void)ap_check_tree(path, &check, &error);
    fuzz_check_closed();
    return 0;
}
