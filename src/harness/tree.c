#include "harness/tree.h"

#include "base/clock.h"
#include "harness/claim.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIST_LIMIT = 1 << 30, ENTRY_LIMIT = 1 << 14 };

ap_status ap_tree_prepare(const char *results, ap_error *error) {
    static const char *const folders[] = {"verdicts", "cancel"};
    char path[AP_PATH];
    for (int i = 0; i < 2; i++) {
        AP_TRY(ap_path(path, error, "%s/.sweep/%s", results, folders[i]));
        AP_TRY(ap_make_directories(path, error));
    }
    return ap_claims_prepare(results, error);
}

void ap_tree_tidy(const char *results) {
    static const char *const folders[] = {".", ".sweep/verdicts", ".sweep/cancel", ".sweep/worlds"};
    char path[AP_PATH];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (!ap_path(path, NULL, "%s/%s", results, folders[i])) ap_remove_stale_temps(path);
}

/* ---- JSON */

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}
static int64_t number_of(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

static ap_status no_memory(ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of trials");
}

/* ---- the list of trials */

static json_t *list_object(const ap_tree_list *list) {
    json_t *trials = json_array();
    for (int i = 0; trials && i < list->n; i++) {
        const ap_tree_trial *t = &list->trial[i];
        json_t *one =
            json_pack("{s:s, s:s, s:s, s:i, s:i, s:f}", "path", t->path, "submission", t->submission, "workload",
                      t->workload, "study", t->study, "trial", t->trial, "expected_s", t->expected_s);
        if (!one || json_array_append_new(trials, one)) {
            json_decref(trials);
            trials = NULL;
        }
    }
    return trials ? json_pack("{s:i, s:s, s:s, s:o}", "format", 1, "identity", list->identity, "job_file",
                              list->job_file, "trials", trials)
                  : NULL;
}

ap_status ap_tree_write_list(const char *results, const ap_tree_list *list, ap_error *error) {
    char path[AP_PATH];
    AP_TRY(ap_path(path, error, "%s/trials.json", results));
    if (ap_file_exists(path)) return AP_OK;
    json_t *object = list_object(list);
    char *text = object ? json_dumps(object, JSON_INDENT(1)) : NULL;
    json_decref(object);
    if (!text) return no_memory(error);
    bool created;
    ap_status status = ap_create_exclusive(path, text, strlen(text), &created, error);
    free(text);
    return status;
}

static ap_status read_trial(const char *path, const json_t *from, ap_tree_trial *t, ap_error *error) {
    *t = (ap_tree_trial){.study = (int)number_of(from, "study"),
                         .trial = (int)number_of(from, "trial"),
                         .expected_s = json_number_value(json_object_get(from, "expected_s")),
                         .path = strdup(text_of(from, "path")),
                         .submission = strdup(text_of(from, "submission")),
                         .workload = strdup(text_of(from, "workload"))};
    if (!t->path || !t->submission || !t->workload) return no_memory(error);
    if (!*t->path || *t->path == '/' || strstr(t->path, "..") || strlen(t->path) > AP_PATH / 2)
        return ap_fail(error, AP_DATA, "%s: a trial has the path \"%.80s\"", path, t->path);
    return AP_OK;
}

ap_status ap_tree_read_list(const char *results, ap_tree_list *list, ap_error *error) {
    char path[AP_PATH], *text = NULL;
    size_t n;
    *list = (ap_tree_list){0};
    AP_TRY(ap_path(path, error, "%s/trials.json", results));
    if (!ap_file_exists(path))
        return ap_fail(error, AP_DATA,
                       "%s: is no result tree (there is no trials.json in it); give the folder that "
                       "the job file calls `results`",
                       results);
    AP_TRY(ap_read_file(path, LIST_LIMIT, &text, &n, error));
    json_error_t where;
    json_t *object = json_loadb(text, n, 0, &where);
    free(text);
    const json_t *trials = json_object_get(object, "trials");
    ap_status status = AP_OK;
    if (number_of(object, "format") != 1 || json_array_size(trials) == 0)
        status = ap_fail(error, AP_DATA,
                         "%s: is not a list of trials of this program; remove it and start the job "
                         "again, which writes it anew",
                         path);
    if (!status) {
        list->identity = strdup(text_of(object, "identity"));
        list->job_file = strdup(text_of(object, "job_file"));
        list->trial = calloc(json_array_size(trials), sizeof *list->trial);
        if (!list->identity || !list->job_file || !list->trial) status = no_memory(error);
    }
    for (size_t i = 0; !status && i < json_array_size(trials); i++)
        status = read_trial(path, json_array_get(trials, i), &list->trial[list->n++], error);
    json_decref(object);
    if (status) ap_tree_free_list(list);
    return status;
}

void ap_tree_free_list(ap_tree_list *list) {
    for (int i = 0; i < list->n; i++) {
        free(list->trial[i].path);
        free(list->trial[i].submission);
        free(list->trial[i].workload);
    }
    free(list->trial);
    free(list->identity);
    free(list->job_file);
    *list = (ap_tree_list){0};
}

ap_status ap_tree_find_trial(const char *path, char results[AP_PATH], ap_tree_list *list, int *trial, ap_error *error) {
    char whole[AP_PATH], file[AP_PATH];
    AP_TRY(ap_path(whole, error, "%s%s", *path == '/' ? "" : "./", path));
    size_t n = strlen(whole);
    while (n > 1 && whole[n - 1] == '/') whole[--n] = '\0';
    for (char *slash = strrchr(whole, '/'); slash; slash = memrchr(whole, '/', (size_t)(slash - whole))) {
        AP_TRY(ap_path(results, error, "%.*s", slash == whole ? 1 : (int)(slash - whole), whole));
        AP_TRY(ap_path(file, error, "%s/trials.json", results));
        if (!ap_file_exists(file)) continue;
        if (*path != '/' && results[1] == '/') memmove(results, results + 2, strlen(results) - 1); /* the "./" above */
        AP_TRY(ap_tree_read_list(results, list, error));
        for (*trial = 0; *trial < list->n; ++*trial)
            if (!strcmp(list->trial[*trial].path, slash + 1)) return AP_OK;
        ap_tree_free_list(list);
        return ap_fail(error, AP_USAGE, "%s: is no trial of the tree %s (see `algoperf status %s`)", path, results,
                       results);
    }
    return ap_fail(error, AP_USAGE,
                   "%s: no folder above it is a result tree; name a trial as "
                   "RESULTS/SUBMISSION/study_N/WORKLOAD/trial_M",
                   path);
}

/* ---- verdicts */

static ap_status entry_path(char path[AP_PATH], const char *results, const char *folder, int trial, ap_error *error) {
    return ap_path(path, error, "%s/.sweep/%s/%06d", results, folder, trial);
}

/* Size and time of change of result.h5; false: it is not there. */
static bool stamp_of(const char *directory, int64_t *bytes, int64_t *changed_ns) {
    char path[AP_PATH];
    struct stat info;
    if (ap_path(path, NULL, "%s/result.h5", directory) || stat(path, &info)) return false;
    *bytes = info.st_size;
    *changed_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return true;
}

ap_status ap_verdict_record(const char *results, int trial, const char *directory, const ap_result_summary *summary,
                            ap_error *error) {
    char path[AP_PATH], now[24], reason[sizeof summary->reason];
    int64_t bytes = 0, changed_ns = 0;
    AP_TRY(entry_path(path, results, "verdicts", trial, error));
    stamp_of(directory, &bytes, &changed_ns);
    ap_clock_utc(now);
    snprintf(reason, sizeof reason, "%s", summary->reason);
    ap_clean_text(reason);
    json_t *entry = json_pack("{s:s, s:s, s:I, s:I, s:b, s:i, s:s, s:I, s:I}", "verdict",
                              ap_verdict_names[summary->verdict], "reason", reason, "steps", (json_int_t)summary->steps,
                              "evaluations", (json_int_t)summary->evaluations, "target_reached",
                              summary->target_reached, "status", (int)summary->status, "time", now, "result_bytes",
                              (json_int_t)bytes, "result_changed_ns", (json_int_t)changed_ns);
    char *text = entry ? json_dumps(entry, JSON_INDENT(1)) : NULL;
    json_decref(entry);
    if (!text) return no_memory(error);
    ap_status status = ap_write_file(path, text, strlen(text), error);
    free(text);
    if (!status) ap_cancel_forget(results, trial);
    return status;
}

ap_status ap_verdicts_list(const char *results, int trials, unsigned char *finished, ap_error *error) {
    char path[AP_PATH];
    memset(finished, 0, (size_t)trials);
    AP_TRY(ap_path(path, error, "%s/.sweep/verdicts", results));
    DIR *folder = opendir(path);
    if (!folder) return ap_fail_errno(error, AP_IO, "%s: the verdicts cannot be listed", path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *end;
        long trial = strtol(entry->d_name, &end, 10);
        if (*entry->d_name != '.' && !*end && trial >= 0 && trial < trials) finished[trial] = 1;
    }
    closedir(folder);
    return AP_OK;
}

static json_t *read_entry(const char *results, int trial) {
    char path[AP_PATH], *text = NULL;
    size_t n;
    if (entry_path(path, results, "verdicts", trial, NULL) || ap_read_file(path, ENTRY_LIMIT, &text, &n, NULL))
        return NULL;
    json_t *entry = json_loadb(text, n, 0, NULL);
    free(text);
    return entry;
}

static ap_verdict verdict_of(const json_t *entry) {
    int v = AP_VERDICTS - 1;
    while (v > AP_VERDICT_RUNNING && strcmp(text_of(entry, "verdict"), ap_verdict_names[v])) v--;
    return (ap_verdict)v;
}

ap_status ap_verdict_read(const char *results, int trial, const char *directory, ap_result_summary *summary,
                          ap_error *error) {
    json_t *entry = read_entry(results, trial);
    ap_verdict verdict = entry ? verdict_of(entry) : AP_VERDICT_RUNNING;
    int64_t status = number_of(entry, "status");
    if (verdict != AP_VERDICT_RUNNING) {
        *summary = (ap_result_summary){.verdict = verdict,
                                       .steps = number_of(entry, "steps"),
                                       .evaluations = number_of(entry, "evaluations"),
                                       .target_reached = json_is_true(json_object_get(entry, "target_reached")),
                                       .status = status >= AP_OK && status <= AP_BUG ? (ap_status)status : AP_BUG};
        snprintf(summary->reason, sizeof summary->reason, "%s", text_of(entry, "reason"));
    }
    json_decref(entry);
    return verdict != AP_VERDICT_RUNNING ? AP_OK : ap_result_summarise(directory, summary, error);
}

ap_status ap_verdict_check(const char *results, int trial, const char *directory, ap_error *error) {
    int64_t bytes, changed_ns;
    char path[AP_PATH];
    json_t *entry = read_entry(results, trial);
    bool good = stamp_of(directory, &bytes, &changed_ns) && verdict_of(entry) != AP_VERDICT_RUNNING &&
                number_of(entry, "result_bytes") == bytes && number_of(entry, "result_changed_ns") == changed_ns;
    json_decref(entry);
    if (good) return AP_OK;
    AP_TRY(entry_path(path, results, "verdicts", trial, error));
    if (unlink(path) == 0 || errno == ENOENT) return AP_OK;
    return ap_fail_errno(error, AP_IO, "%s: %s/result.h5 is gone or was changed, and its entry cannot be removed", path,
                         directory);
}

static void forget(const char *results, const char *folder, int trial) {
    char path[AP_PATH];
    if (!entry_path(path, results, folder, trial, NULL)) unlink(path);
}
void ap_verdict_remove_temps(const char *results, int trial) {
    char folder[AP_PATH], name[16];
    snprintf(name, sizeof name, "%06d", trial);
    if (!ap_path(folder, NULL, "%s/.sweep/verdicts", results)) ap_remove_temps(folder, name);
}
void ap_verdict_forget(const char *results, int trial) {
    forget(results, "verdicts", trial);
}

/* ---- cancelling */

ap_status ap_cancel_ask(const char *results, int trial, ap_error *error) {
    char path[AP_PATH], now[24];
    AP_TRY(entry_path(path, results, "cancel", trial, error));
    ap_clock_utc(now);
    return ap_write_file(path, now, strlen(now), error);
}

bool ap_cancel_is_asked(const char *results, int trial) {
    char path[AP_PATH];
    return !entry_path(path, results, "cancel", trial, NULL) && ap_file_exists(path);
}

void ap_cancel_forget(const char *results, int trial) {
    forget(results, "cancel", trial);
}
