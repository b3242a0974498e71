#include "analysis/read_tree.h"

#include "analysis/read_logs.h"
#include "analysis/read_result.h"
#include "analysis/tree.h"
#include "base/file.h"
#include "base/log.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static ap_status read_result(const ap_tree *tree, const ap_entry *entry, const ap_place *place, ap_targets *targets,
                             ap_trials *trials, ap_error *error) {
    char path[2 * AP_PATH];
    hid_t at;
    ap_entry_where(tree, entry, path, sizeof path);
    AP_TRY(ap_tree_open_result(tree, entry, &at, error));
    ap_status status = ap_read_result(at, path, place, targets, trials, error);
    ap_tree_close_result(at);
    return status;
}

/* `submission`: whose trial it is; not the folder's name if that is merged into another. */
static ap_status read_entry(const ap_tree *tree, const ap_entry *entry, const char *submission, ap_targets *targets,
                            ap_trials *trials, ap_error *error) {
    const ap_place place = {submission, entry->study, entry->workload, entry->trial, entry->submission};
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

/* A submission without any trial does not take part, and says so. Entries are sorted by submission. */
static ap_status note_absent(const ap_tree *tree, ap_trials *trials, ap_error *error) {
    char note[AP_PATH + 512];
    for (size_t i = 0; i < tree->n;) {
        const char *submission = tree->entry[i].submission;
        size_t usable = 0;
        for (; i < tree->n && !strcmp(tree->entry[i].submission, submission); i++)
            usable += tree->entry[i].kind != AP_ENTRY_NOTHING;
        if (usable) continue;
        snprintf(note, sizeof note, "%s/%.255s holds no usable trial, so it does not take part", tree->root,
                 submission);
        AP_TRY(ap_names_add(&trials->notes, note, NULL, error));
    }
    return AP_OK;
}

/* ---- dated folders: "NAME-YYYY-MM-DD-hh-mm-ss" next to "NAME" (rules 2, official habit a) */

static bool is_submission(const ap_tree *tree, const char *name) {
    for (size_t i = 0; i < tree->n; i++)
        if (!strcmp(tree->entry[i].submission, name)) return true;
    return false;
}

/* Copies NAME into plain[size] if it is so. */
static bool is_dated(const ap_tree *tree, const char *name, char *plain, size_t size) {
    static const char pattern[] = "-dddd-dd-dd-dd-dd-dd";
    size_t n = strlen(name), tail = sizeof pattern - 1;
    if (n <= tail) return false;
    for (size_t i = 0; i < tail; i++) {
        char c = name[n - tail + i];
        if (pattern[i] == 'd' ? !isdigit((unsigned char)c) : c != pattern[i]) return false;
    }
    snprintf(plain, size, "%.*s", (int)(n - tail), name);
    return is_submission(tree, plain);
}

/* Such a folder counts twice: as a submission of its own, and merged into the one it is named after. */
static ap_status merge_dated(const ap_tree *tree, ap_targets *targets, ap_trials *trials, ap_error *error) {
    char plain[NAME_MAX + 1], note[1024];
    for (size_t i = 0; i < tree->n; i++) {
        const ap_entry *entry = &tree->entry[i];
        if (!is_dated(tree, entry->submission, plain, sizeof plain)) continue;
        snprintf(note, sizeof note,
                 "%s is merged into %s, and a submission of its own too, as the official program has it",
                 entry->submission, plain);
        AP_TRY(ap_names_add(&trials->notes, note, NULL, error));
        AP_TRY(read_entry(tree, entry, plain, targets, trials, error));
    }
    return AP_OK;
}

static ap_status read_all(const ap_tree *tree, ap_targets *targets, ap_trials *trials, ap_error *error) {
    if (tree->is_single)
        return ap_fail(error, AP_DATA,
                       "%s: is one trial's result; scores come from folders of results: name the folder that holds "
                       "the submissions",
                       tree->root);
    for (size_t i = 0; i < tree->n; i++) {
        if (i % 64 == 0) ap_log_live("%s: reading %zu of %zu trials", tree->root, i, tree->n);
        AP_TRY(read_entry(tree, &tree->entry[i], tree->entry[i].submission, targets, trials, error));
    }
    AP_TRY(merge_dated(tree, targets, trials, error));
    AP_TRY(note_empty(tree, trials, error));
    return note_absent(tree, trials, error);
}

ap_status ap_read_tree(const char *root, ap_targets *targets, ap_trials *trials, ap_error *error) {
    ap_tree tree = {0};
    ap_status status = ap_tree_open(root, &tree, error);
    if (status == AP_OK) status = read_all(&tree, targets, trials, error);
    ap_log_live_end();
    ap_tree_close(&tree);
    return status;
}
