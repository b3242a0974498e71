#include "analysis/read_tree.h"

#include "analysis/read_logs.h"
#include "analysis/read_result.h"
#include "analysis/tree.h"
#include "base/file.h"

#include <stdio.h>

static ap_status read_result(const ap_tree *tree, const ap_entry *entry, const ap_place *place, ap_targets *targets,
                             ap_trials *trials, ap_error *error) {
    char path[2 * AP_PATH];
    hid_t at;
    snprintf(path, sizeof path, "%s%s%s", tree->collection >= 0 ? tree->root : "", tree->collection >= 0 ? " in " : "",
             entry->path);
    AP_TRY(ap_tree_open_result(tree, entry, &at, error));
    ap_status status = ap_read_result(at, path, place, targets, trials, error);
    ap_h5_close(at);
    return status;
}

static ap_status read_entry(const ap_tree *tree, const ap_entry *entry, ap_targets *targets, ap_trials *trials,
                            ap_error *error) {
    const ap_place place = {entry->submission, entry->study, entry->workload, entry->trial};
    switch (entry->kind) {
    case AP_ENTRY_RESULT: return read_result(tree, entry, &place, targets, trials, error);
    case AP_ENTRY_LOG: return ap_read_log(entry->path, &place, targets, trials, error);
    case AP_ENTRY_NOTHING: return AP_OK;
    }
    return AP_OK;
}

static ap_status note_empty(const ap_tree *tree, ap_trials *trials, ap_error *error) {
    char note[AP_PATH + 128];
    size_t empty = tree->n - tree->trials;
    if (!empty) return AP_OK;
    snprintf(note, sizeof note, "%s: %zu trial folders hold no result (stopped or still before the first evaluation)",
             tree->root, empty);
    return ap_names_add(&trials->notes, note, NULL, error);
}

static ap_status read_all(const ap_tree *tree, ap_targets *targets, ap_trials *trials, ap_error *error) {
    if (tree->is_single)
        return ap_fail(error, AP_DATA,
                       "%s: is one trial's result; scores come from folders of results: name the folder that holds "
                       "the submissions",
                       tree->root);
    for (size_t i = 0; i < tree->n; i++) AP_TRY(read_entry(tree, &tree->entry[i], targets, trials, error));
    return note_empty(tree, trials, error);
}

ap_status ap_read_tree(const char *root, ap_targets *targets, ap_trials *trials, ap_error *error) {
    ap_tree tree = {0};
    ap_status status = ap_tree_open(root, &tree, error);
    if (status == AP_OK) status = read_all(&tree, targets, trials, error);
    ap_tree_close(&tree);
    return status;
}
