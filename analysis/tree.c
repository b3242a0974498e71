#include "analysis/tree.h"

#include "analysis/archive.h"
#include "analysis/trials.h"
#include "base/file.h"
#include "base/guard.h"
#include "base/seal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SUBMISSION, STUDY, WORKLOAD, TRIAL, LEVELS };

typedef struct walk {
    ap_tree *tree;
    const char *folder[LEVELS]; /* names on the way down */
} walk;

static ap_status add_entry(const walk *w, ap_entry_kind kind, const char *path, ap_error *error) {
    ap_tree *tree = w->tree;
    ap_entry *grown = ap_room_for_one(tree->entry, tree->n, sizeof *grown);
    if (!grown) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for the list of trials", path);
    tree->entry = grown;
    ap_entry *entry = &grown[tree->n++];
    *entry = (ap_entry){.kind = kind,
                        .submission = strdup(w->folder[SUBMISSION]),
                        .study = strdup(w->folder[STUDY]),
                        .workload = strdup(w->folder[WORKLOAD]),
                        .trial = strdup(w->folder[TRIAL]),
                        .path = strdup(path)};
    tree->trials += kind != AP_ENTRY_NOTHING;
    if (!entry->submission || !entry->study || !entry->workload || !entry->trial || !entry->path)
        return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for the list of trials", path);
    return AP_OK;
}

static bool is_trial_name(const char *name) {
    return !strncmp(name, "trial_", 6) && isdigit((unsigned char)name[6]);
}

/* ---- folders */

/* A pipe or a device in a result's place would be waited for, or never end. */
static ap_status there_is(const char *path, bool *there, ap_error *error) {
    struct stat info;
    *there = stat(path, &info) == 0;
    if (*there && !S_ISREG(info.st_mode)) return ap_fail(error, AP_DATA, "%s: is not a regular file", path);
    return AP_OK;
}

static ap_status add_folder(const walk *w, const char *directory, ap_error *error) {
    char path[AP_PATH];
    bool there = false;
    AP_TRY(ap_path(path, error, "%s/result.h5", directory));
    AP_TRY(there_is(path, &there, error));
    if (there) return add_entry(w, AP_ENTRY_RESULT, path, error);
    AP_TRY(ap_path(path, error, "%s/eval_measurements.csv", directory));
    AP_TRY(there_is(path, &there, error));
    return add_entry(w, there ? AP_ENTRY_LOG : AP_ENTRY_NOTHING, there ? path : directory, error);
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
    return level == TRIAL ? add_folder(w, path, error) : descend(w, path, level + 1, error);
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

/* ---- collections */

static size_t file_bytes(const char *path) {
    struct stat info;
    return stat(path, &info) ? 0 : (size_t)info.st_size;
}

static ap_status descend_group(walk *w, const char *group, int level, ap_error *error) {
    int64_t n;
    char **names, path[AP_PATH];
    AP_TRY(ap_h5_list(w->tree->collection, group, &n, &names, error));
    ap_status status = AP_OK;
    for (int64_t i = 0; i < n && status == AP_OK; i++) {
        if (*names[i] == '.' || (level == TRIAL && !is_trial_name(names[i]))) continue;
        w->folder[level] = names[i];
        status = ap_path(path, error, "%s/%s", group, names[i]);
        if (status == AP_OK)
            status =
                level == TRIAL ? add_entry(w, AP_ENTRY_RESULT, path, error) : descend_group(w, path, level + 1, error);
    }
    ap_h5_free_text(n, names);
    return status;
}

static ap_status count_sources(ap_tree *tree, ap_error *error) {
    int64_t n;
    char **names;
    AP_TRY(ap_h5_list(tree->collection, AP_ARCHIVE_FILES, &n, &names, error));
    ap_h5_free_text(n, names);
    tree->sources = (size_t)n;
    return AP_OK;
}

static ap_status list_collection(walk *w, const char *path, ap_error *error) {
    AP_TRY(ap_h5_open_sealed(path, AP_ARCHIVE_KIND, true, &w->tree->collection, error));
    AP_TRY(ap_archive_check_version(w->tree->collection, error));
    AP_TRY(count_sources(w->tree, error));
    return descend_group(w, AP_ARCHIVE_TRIALS, SUBMISSION, error);
}

/* ---- one result */

static ap_status add_single(walk *w, const char *path, ap_error *error) {
    for (int level = 0; level < LEVELS; level++) w->folder[level] = "";
    w->tree->is_single = true;
    return add_entry(w, AP_ENTRY_RESULT, path, error);
}

static ap_status open_file(walk *w, const char *path, ap_error *error) {
    char kind[AP_SEAL_KIND];
    AP_TRY(ap_seal_kind(path, kind, error));
    if (strcmp(kind, AP_ARCHIVE_KIND) != 0) return add_single(w, path, error); /* opening it tells what it is not */
    ap_guard_begin(path, file_bytes(path));
    ap_status status = list_collection(w, path, error);
    ap_guard_end();
    return status;
}

/* ---- any of them */

ap_status ap_tree_open(const char *root, ap_tree *tree, ap_error *error) {
    *tree = (ap_tree){.collection = H5I_INVALID_HID};
    walk w = {.tree = tree};
    struct stat info;
    char single[AP_PATH];
    if (!(tree->root = strdup(root))) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", root);
    if (stat(root, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", root);
    if (!S_ISDIR(info.st_mode)) {
        AP_TRY(open_file(&w, root, error));
    } else {
        AP_TRY(ap_path(single, error, "%s/result.h5", root));
        tree->sources = ap_file_exists(single) ? 0 : 1;
        AP_TRY(tree->sources ? descend(&w, root, SUBMISSION, error) : add_single(&w, single, error));
    }
    if (!tree->trials)
        return ap_fail(error, AP_DATA,
                       "%s: no trial found; expected %s/SUBMISSION/STUDY/WORKLOAD/trial_N with a result.h5 (or an "
                       "official eval_measurements.csv) in it: name the folder that holds the submissions",
                       root, root);
    return AP_OK;
}

void ap_tree_close(ap_tree *tree) {
    for (size_t i = 0; i < tree->n; i++) {
        ap_entry *entry = &tree->entry[i];
        free(entry->submission);
        free(entry->study);
        free(entry->workload);
        free(entry->trial);
        free(entry->path);
    }
    if (tree->root && tree->collection >= 0) { /* of a zeroed tree it is no id */
        ap_guard_begin(tree->root, file_bytes(tree->root));
        ap_h5_close(tree->collection);
        ap_guard_end();
    }
    free(tree->entry);
    free(tree->root);
    *tree = (ap_tree){.collection = H5I_INVALID_HID};
}

ap_status ap_tree_open_result(const ap_tree *tree, const ap_entry *entry, hid_t *place, ap_error *error) {
    bool packed = tree->collection >= 0;
    const char *path = packed ? tree->root : entry->path;
    ap_guard_begin(path, file_bytes(path));
    ap_status status = packed ? ap_h5_open_group(tree->collection, entry->path, place, error)
                              : ap_h5_open_sealed(path, "result", true, place, error);
    if (status != AP_OK) ap_guard_end();
    return status;
}

void ap_tree_close_result(hid_t place) {
    ap_h5_close(place);
    ap_guard_end();
}

/* ---- what lies beside the results */

enum { BESIDE_LIMIT = 1 << 30 };

static ap_status read_beside(const char *path, char **bytes, size_t *n, ap_error *error) {
    bool there;
    AP_TRY(there_is(path, &there, error));
    return there ? ap_read_file(path, BESIDE_LIMIT, bytes, n, error) : AP_OK;
}

static ap_status read_packed(hid_t place, const char *name, char **bytes, size_t *n, ap_error *error) {
    void *data;
    int64_t count;
    if (!ap_h5_exists(place, name)) return AP_OK;
    AP_TRY(ap_h5_read(place, name, AP_U8, -1, ap_h5_file_bytes(place), &data, &count, error));
    char *text = realloc(data, (size_t)count + 1);
    if (!text) {
        free(data);
        return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for %lld bytes", name, (long long)count);
    }
    text[count] = '\0';
    *bytes = text;
    *n = (size_t)count;
    return AP_OK;
}

static ap_status read_guarded(const ap_tree *tree, const char *name, char **bytes, size_t *n, ap_error *error) {
    ap_guard_begin(tree->root, file_bytes(tree->root));
    ap_status status = read_packed(tree->collection, name, bytes, n, error);
    ap_guard_end();
    return status;
}

ap_status ap_tree_read_events(const ap_tree *tree, const ap_entry *entry, char **events, size_t *n, ap_error *error) {
    char path[AP_PATH];
    *events = NULL;
    *n = 0;
    if (tree->collection >= 0) {
        AP_TRY(ap_path(path, error, "%s/" AP_ARCHIVE_EVENTS, entry->path));
        return read_guarded(tree, path, events, n, error);
    }
    const char *slash = strrchr(entry->path, '/');
    int folder = slash ? (int)(slash - entry->path) + 1 : 0;
    AP_TRY(ap_path(path, error, "%.*s" AP_ARCHIVE_EVENTS, folder, entry->path));
    return read_beside(path, events, n, error);
}

const char *const ap_tree_files[] = {AP_TREE_JOB, AP_TREE_TRIALS, NULL};

size_t ap_tree_sources(const ap_tree *tree) {
    return tree->sources;
}

ap_status ap_tree_read_file(const ap_tree *tree, size_t source, const char *name, char **text, size_t *n,
                            ap_error *error) {
    char path[AP_PATH];
    *text = NULL;
    *n = 0;
    if (tree->collection >= 0) {
        AP_TRY(ap_path(path, error, AP_ARCHIVE_FILES "/%zu/%s", source, name));
        return read_guarded(tree, path, text, n, error);
    }
    AP_TRY(ap_path(path, error, "%s/%s", tree->root, name));
    return read_beside(path, text, n, error);
}

void ap_entry_name(const ap_tree *tree, const ap_entry *entry, char *name, size_t size) {
    if (tree->is_single)
        snprintf(name, size, "%s", entry->path);
    else
        snprintf(name, size, "%s/%s/%s/%s", entry->submission, entry->study, entry->workload, entry->trial);
}

void ap_entry_where(const ap_tree *tree, const ap_entry *entry, char *where, size_t size) {
    bool packed = tree->collection >= 0;
    snprintf(where, size, "%s%s%s", packed ? tree->root : "", packed ? " in " : "", entry->path);
}
