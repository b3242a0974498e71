#include "analysis/read_tree.h"

#include "analysis/read_logs.h"
#include "analysis/read_result.h"
#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SUBMISSION, STUDY, WORKLOAD, TRIAL, LEVELS };

typedef struct walk {
    ap_targets *targets;
    ap_trials *trials;
    const char *folder[LEVELS]; /* names on the way down */
    size_t found, empty;        /* trial folders with and without a result */
} walk;

static ap_status read_trial(walk *w, const char *directory, ap_error *error) {
    const ap_place place = {w->folder[SUBMISSION], w->folder[STUDY], w->folder[WORKLOAD], w->folder[TRIAL]};
    char path[AP_PATH];
    w->found++;
    AP_TRY(ap_path(path, error, "%s/result.h5", directory));
    if (ap_file_exists(path)) return ap_read_result(path, &place, w->targets, w->trials, error);
    AP_TRY(ap_path(path, error, "%s/eval_measurements.csv", directory));
    if (ap_file_exists(path)) return ap_read_log(path, &place, w->targets, w->trials, error);
    w->found--;
    w->empty++;
    return AP_OK;
}

static bool is_trial_name(const char *name) {
    return !strncmp(name, "trial_", 6) && isdigit((unsigned char)name[6]);
}

static ap_status descend(walk *w, const char *directory, int level, ap_error *error);

static ap_status visit(walk *w, const char *directory, const char *name, int level, ap_error *error) {
    char path[AP_PATH];
    struct stat info;
    if (*name == '.' || (level == TRIAL && !is_trial_name(name))) return AP_OK;
    AP_TRY(ap_path(path, error, "%s/%s", directory, name));
    if (stat(path, &info) != 0) /* gone since it was listed, or a link to nothing: neither is a folder */
        return errno == ENOENT ? AP_OK : ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    if (!S_ISDIR(info.st_mode)) return AP_OK;
    w->folder[level] = name;
    return level == TRIAL ? read_trial(w, path, error) : descend(w, path, level + 1, error);
}

static ap_status descend(walk *w, const char *directory, int level, ap_error *error) {
    struct dirent **entries;
    int n = scandir(directory, &entries, NULL, alphasort); /* sorted: messages and notes come in the same order */
    if (n < 0) return ap_fail_errno(error, AP_IO, "%s: the folder cannot be read", directory);
    ap_status status = AP_OK;
    for (int i = 0; i < n && status == AP_OK; i++) status = visit(w, directory, entries[i]->d_name, level, error);
    for (int i = 0; i < n; i++) free(entries[i]);
    free(entries);
    return status;
}

static ap_status note_empty(const walk *w, const char *root, ap_error *error) {
    char note[AP_PATH + 128];
    if (!w->empty) return AP_OK;
    snprintf(note, sizeof note, "%s: %zu trial folders hold no result (stopped or still before the first evaluation)",
             root, w->empty);
    return ap_names_add(&w->trials->notes, note, NULL, error);
}

ap_status ap_read_tree(const char *root, ap_targets *targets, ap_trials *trials, ap_error *error) {
    walk w = {.targets = targets, .trials = trials};
    AP_TRY(descend(&w, root, SUBMISSION, error));
    if (!w.found)
        return ap_fail(error, AP_DATA,
                       "%s: no trial found; expected %s/SUBMISSION/STUDY/WORKLOAD/trial_N with a result.h5 (or an "
                       "official eval_measurements.csv) in it: name the folder that holds the submissions",
                       root, root);
    return note_empty(&w, root, error);
}
