#include "analysis/check.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_LIMIT = 256 << 20 };

/* ---- the job's list of trials */

/* Of all sources of the tree. */
typedef struct plan {
    size_t n;
    ap_trial_list *list;
} plan;

static void free_plan(plan *p) {
    for (size_t i = 0; i < p->n; i++) ap_trial_list_free(&p->list[i]);
    free(p->list);
}

static ap_status read_plan(const ap_tree *tree, size_t source, const char *where, ap_check *check, ap_trial_list *list,
                           ap_error *error) {
    char *job = NULL, *trials = NULL;
    size_t n;
    ap_error why;
    ap_status status = ap_tree_read_file(tree, source, AP_TREE_JOB, &job, &n, error);
    if (status == AP_OK) status = ap_tree_read_file(tree, source, AP_TREE_TRIALS, &trials, &n, error);
    if (status == AP_OK && !job && !trials)
        ap_check_say(check, where, "has neither trials.json nor job.txt: nobody can tell whether trials are missing");
    else if (status == AP_OK && ap_trial_list_parse(trials, job, where, list, &why) != AP_OK)
        ap_check_say(check, tree->root, "%s", why.text);
    free(job);
    free(trials);
    return status;
}

static ap_status read_plans(const ap_tree *tree, ap_check *check, plan *p, ap_error *error) {
    char where[AP_PATH];
    size_t sources = ap_tree_sources(tree);
    if (!(p->list = calloc(sources + 1, sizeof *p->list)))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu lists of trials", sources);
    for (; p->n < sources; p->n++) {
        snprintf(where, sizeof where, tree->collection >= 0 ? "%.3000s in files/%zu" : "%.3000s", tree->root, p->n);
        AP_TRY(read_plan(tree, p->n, where, check, &p->list[p->n], error));
    }
    return AP_OK;
}

/* ---- one trial against its plan */

static void check_plan(ap_check *check, const char *trial, const ap_result *result, const plan *p) {
    const ap_planned *planned = NULL;
    size_t lists = 0;
    for (size_t i = 0; i < p->n && !planned; i++) {
        lists += p->list[i].n > 0;
        planned = ap_trial_list_find(&p->list[i], trial);
    }
    if (!planned) {
        if (lists) ap_check_say(check, trial, "is no trial of the job");
        return;
    }
    if (!planned->hyperparameters) return;
    json_t *wanted = json_loads(planned->hyperparameters, 0, NULL);
    json_t *used = json_loads(ap_facts_text(&result->head, "hyperparameters"), 0, NULL);
    if (wanted && !json_equal(wanted, used))
        ap_check_say(check, trial, "was run with hyperparameters %.300s, the job has %.300s",
                     ap_facts_text(&result->head, "hyperparameters"), planned->hyperparameters);
    json_decref(wanted);
    json_decref(used);
}

/* ---- left-overs in a trial's folder */

static bool has_end(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

static void check_folder(ap_check *check, const char *trial, const char *folder) {
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (*entry->d_name == '.' && has_end(entry->d_name, ".tmp"))
            ap_check_say(check, trial, "temp file %s of a process that did not finish a write", entry->d_name);
        if (!strcmp(entry->d_name, "claim") || !strncmp(entry->d_name, "claim.", strlen("claim.")))
            ap_check_say(check, trial, "%s: a claim: the trial runs, or who had it died", entry->d_name);
    }
    closedir(dir);
}

static void check_folder_of(ap_check *check, const char *trial, const ap_tree *tree, const ap_entry *entry) {
    char folder[AP_PATH];
    if (tree->collection >= 0 || ap_path(folder, NULL, "%s", entry->path) != AP_OK) return;
    char *slash = strrchr(folder, '/');
    if (entry->kind != AP_ENTRY_NOTHING && slash) *slash = '\0';
    if (entry->kind == AP_ENTRY_NOTHING || slash) check_folder(check, trial, folder);
}

/* Claims and temp files of the sweep: RESULTS/.sweep/claims/claim.000012 */
static void check_sweep_folder(ap_check *check, const ap_tree *tree) {
    char folder[AP_PATH];
    if (tree->collection >= 0 || tree->is_single) return;
    check_folder(check, tree->root, tree->root);
    if (ap_path(folder, NULL, "%s/.sweep/claims", tree->root) == AP_OK) check_folder(check, tree->root, folder);
}

/* ---- entries */

static ap_status check_result(ap_check *check, const ap_tree *tree, const ap_entry *entry, const char *trial,
                              const plan *p, ap_error *error) {
    hid_t place;
    ap_result result;
    ap_error why;
    char *events = NULL;
    size_t n;
    ap_status status = ap_tree_open_result(tree, entry, &place, &why);
    if (status == AP_OK) {
        status = ap_result_read(place, &result, &why);
        ap_tree_close_result(place);
    }
    if (status != AP_OK) {
        ap_check_say(check, trial, "%s", why.text);
        return AP_OK;
    }
    check->verdicts += ap_check_result(check, trial, &result);
    if (!tree->is_single) check_plan(check, trial, &result, p);
    status = ap_tree_read_events(tree, entry, &events, &n, error);
    if (status == AP_OK && events) ap_check_events(check, trial, &result, events, n);
    free(events);
    ap_result_free(&result);
    return status;
}

static ap_status check_log(ap_check *check, const ap_entry *entry, const char *trial, ap_error *error) {
    char *text;
    size_t n;
    AP_TRY(ap_read_file(entry->path, LOG_LIMIT, &text, &n, error));
    ap_check_log(check, trial, text, n);
    check->logs++;
    return AP_OK;
}

static ap_status check_entry(ap_check *check, const ap_tree *tree, const ap_entry *entry, const plan *p,
                             ap_error *error) {
    char trial[AP_PATH];
    ap_entry_name(tree, entry, trial, sizeof trial);
    check_folder_of(check, trial, tree, entry);
    switch (entry->kind) {
    case AP_ENTRY_RESULT: return check_result(check, tree, entry, trial, p, error);
    case AP_ENTRY_LOG: return check_log(check, entry, trial, error);
    case AP_ENTRY_NOTHING: return AP_OK; /* missing, if the job has such a trial */
    }
    return AP_OK;
}

/* ---- exactly N verdicts */

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Trials of the job that have no result. `there`: sorted names of those that have one. */
static void check_missing(ap_check *check, const plan *p, char *const *there, size_t n) {
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->list[i].n; k++) {
            char *const path = p->list[i].trial[k].path;
            if (!n || !bsearch(&path, there, n, sizeof *there, by_text)) ap_check_say(check, path, "has no result");
        }
}

static ap_status check_complete(ap_check *check, const ap_tree *tree, const plan *p, ap_error *error) {
    char name[AP_PATH], **there = calloc(tree->n + 1, sizeof *there);
    size_t n = 0;
    bool fine = there != NULL;
    for (size_t i = 0; fine && i < tree->n; i++) {
        if (tree->entry[i].kind != AP_ENTRY_RESULT) continue;
        ap_entry_name(tree, &tree->entry[i], name, sizeof name);
        fine = (there[n] = strdup(name)) != NULL;
        n += fine;
    }
    if (fine) {
        qsort(there, n, sizeof *there, by_text);
        check_missing(check, p, there, n);
        for (size_t i = 0; i < p->n; i++) check->planned += p->list[i].n;
    }
    ap_h5_free_text((int64_t)n, there);
    return fine ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of trials");
}

static bool has_only_logs(const ap_tree *tree) {
    for (size_t i = 0; i < tree->n; i++)
        if (tree->entry[i].kind == AP_ENTRY_RESULT) return false;
    return true;
}

static ap_status check_all(ap_check *check, const ap_tree *tree, plan *p, ap_error *error) {
    if (!tree->is_single && !has_only_logs(tree)) AP_TRY(read_plans(tree, check, p, error));
    check_sweep_folder(check, tree);
    for (size_t i = 0; i < tree->n; i++) AP_TRY(check_entry(check, tree, &tree->entry[i], p, error));
    return check_complete(check, tree, p, error);
}

ap_status ap_check_tree(const char *root, ap_check *check, ap_error *error) {
    ap_tree tree = {0};
    plan p = {0};
    ap_error why;
    ap_status status = ap_tree_open(root, &tree, &why);
    if (status == AP_DATA) {
        ap_check_say(check, root, "%s", why.text);
        status = AP_OK;
    } else if (status != AP_OK) {
        if (error) *error = why;
    } else {
        status = check_all(check, &tree, &p, error);
    }
    free_plan(&p);
    ap_tree_close(&tree);
    return status;
}
