/* A result.h5 that somebody sealed: the bytes are the HDF5 file behind the seal. */
#include "fuzz.h"

#include "analysis/check.h"
#include "analysis/compare.h"
#include "analysis/read_result.h"

#include <stdio.h>

static void silent(const char *line, void *data) {
    (void)line, (void)data;
}

/* The scorer's reader. */
static void read_trial(const ap_tree *tree) {
    const ap_place place = {.submission = "submission", .study = "study_0", .workload = "workload", .trial = "trial_1"};
    ap_targets targets = {0};
    ap_trials trials = {0};
    ap_error error;
    hid_t at;
    if (ap_tree_open_result(tree, &tree->entry[0], &at, &error) == AP_OK) {
        (void)ap_read_result(at, "result.h5", &place, &targets, &trials, &error);
        ap_tree_close_result(at);
    }
    ap_trials_free(&trials);
    ap_targets_free(&targets);
}

/* Everything there is of it, compared with itself and printed. */
static void read_all(const ap_tree *tree) {
    ap_comparison comparison;
    ap_error error;
    if (ap_compare_trees(tree, tree, &comparison, &error)) return;
    FILE *out = fopen("/dev/null", "w");
    (void)ap_comparison_print(&comparison, tree, tree, true, true, out, &error);
    (void)ap_comparison_json(&comparison, tree, tree, true, true, out, &error);
    fclose(out);
    ap_comparison_free(&comparison);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ap_tree tree = {0};
    ap_error error;
    ap_check check = {.say = silent};
    const char *path = fuzz_file("input.h5", "result", data, size);
    if (ap_tree_open(path, &tree, &error) == AP_OK) {
        read_trial(&tree);
        read_all(&tree);
    }
    ap_tree_close(&tree);
    (void)ap_check_tree(path, &check, &error);
    fuzz_check_closed();
    return 0;
}
