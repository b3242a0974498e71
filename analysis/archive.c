#include "analysis/archive.h"

#include "analysis/result.h"
#include "analysis/tree.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, LONGEST_NAME = 700 }; /* names of data sets come behind it; base/h5 reads 1023 bytes */

ap_status ap_archive_check_version(hid_t collection, ap_error *error) {
    int64_t version;
    AP_TRY(ap_h5_get_i64(collection, ".", "format_version", &version, error));
    if (version == VERSION) return AP_OK;
    return ap_fail(error, AP_DATA,
                   "a collection of format_version %lld; this program reads %d: use the one that wrote it",
                   (long long)version, VERSION);
}

/* ---- one result */

static ap_status write_facts(hid_t file, const char *object, const ap_facts *facts, ap_error *error) {
    for (size_t i = 0; i < facts->n; i++) {
        const ap_fact *fact = &facts->fact[i];
        switch (fact->kind) {
        case AP_VALUE_TEXT: AP_TRY(ap_h5_set_text(file, object, fact->name, fact->text, error)); break;
        case AP_VALUE_I64: AP_TRY(ap_h5_set_i64(file, object, fact->name, fact->i64, error)); break;
        case AP_VALUE_F64: AP_TRY(ap_h5_set_f64(file, object, fact->name, fact->f64, error)); break;
        }
    }
    return AP_OK;
}

static ap_status write_column(hid_t file, const char *group, const ap_column *column, ap_error *error) {
    char name[AP_PATH];
    AP_TRY(ap_path(name, error, "%s/%s", group, column->name));
    switch (column->kind) {
    case AP_VALUE_I64: return ap_h5_write(file, name, AP_I64, 1, &column->n, column->i64, column->unit, error);
    case AP_VALUE_F64: return ap_h5_write(file, name, AP_F64, 1, &column->n, column->f64, column->unit, error);
    case AP_VALUE_TEXT: break;
    }
    AP_TRY(ap_h5_write_text(file, name, column->n, (const char *const *)column->text, error));
    return column->unit ? ap_h5_set_text(file, name, "unit", column->unit, error) : AP_OK;
}

static ap_status write_result(hid_t file, const char *group, const ap_result *result, ap_error *error) {
    char provenance[AP_PATH];
    AP_TRY(ap_path(provenance, error, "%s/provenance", group));
    AP_TRY(ap_h5_make_group(file, provenance, error));
    AP_TRY(write_facts(file, group, &result->head, error));
    AP_TRY(write_facts(file, provenance, &result->provenance, error));
    for (size_t i = 0; i < result->columns; i++) AP_TRY(write_column(file, group, &result->column[i], error));
    return AP_OK;
}

static ap_status write_bytes(hid_t file, const char *name, char *bytes, size_t n, ap_error *error) {
    int64_t count = (int64_t)n;
    ap_status status = bytes ? ap_h5_write(file, name, AP_U8, 1, &count, bytes, NULL, error) : AP_OK;
    free(bytes);
    return status;
}

static ap_status read_result(const ap_tree *tree, const ap_entry *entry, ap_result *result, ap_error *error) {
    hid_t place;
    AP_TRY(ap_tree_open_result(tree, entry, &place, error));
    ap_status status = ap_result_read(place, result, error);
    ap_tree_close_result(place);
    return status;
}

static ap_status pack_trial(hid_t file, const ap_tree *tree, const ap_entry *entry, ap_error *error) {
    char group[AP_PATH], name[AP_PATH], *events;
    size_t n;
    AP_TRY(ap_path(group, error, AP_ARCHIVE_TRIALS "/%s/%s/%s/%s", entry->submission, entry->study, entry->workload,
                   entry->trial));
    if (strlen(group) > LONGEST_NAME)
        return ap_fail(error, AP_DATA, "the names of its folders have %zu bytes in all (at most %d)", strlen(group),
                       LONGEST_NAME);
    if (ap_h5_exists(file, group)) return ap_fail(error, AP_DATA, "this trial is there twice, in two of the folders");
    ap_result result;
    AP_TRY(read_result(tree, entry, &result, error));
    ap_status status = write_result(file, group, &result, error);
    ap_result_free(&result);
    if (status == AP_OK) status = ap_path(name, error, "%s/" AP_ARCHIVE_EVENTS, group);
    if (status == AP_OK) status = ap_tree_read_events(tree, entry, &events, &n, error);
    return status == AP_OK ? write_bytes(file, name, events, n, error) : status;
}

/* ---- one root */

static ap_status pack_files(hid_t file, const ap_tree *tree, size_t *packed, ap_error *error) {
    for (size_t source = 0; source < ap_tree_sources(tree); source++, ++*packed) {
        char name[AP_PATH], *text;
        size_t n;
        AP_TRY(ap_path(name, error, AP_ARCHIVE_FILES "/%zu", *packed));
        AP_TRY(ap_h5_make_group(file, name, error));
        for (const char *const *of = ap_tree_files; *of; of++) {
            AP_TRY(ap_tree_read_file(tree, source, *of, &text, &n, error));
            ap_status status = ap_path(name, error, AP_ARCHIVE_FILES "/%zu/%s", *packed, *of);
            if (status != AP_OK) free(text);
            AP_TRY(status);
            AP_TRY(write_bytes(file, name, text, n, error));
        }
    }
    return AP_OK;
}

static ap_status check_root(const ap_tree *tree, ap_error *error) {
    if (tree->is_single)
        return ap_fail(error, AP_DATA,
                       "%s: is one trial's result, which is a file already; collect packs folders of results",
                       tree->root);
    for (size_t i = 0; i < tree->n; i++)
        if (tree->entry[i].kind == AP_ENTRY_LOG)
            return ap_fail(error, AP_DATA, "%s: is an official log; collect packs results of algoperf",
                           tree->entry[i].path);
    return AP_OK;
}

typedef struct packing {
    hid_t file;
    size_t sources;
    ap_archive_summary *summary;
    void (*progress)(const char *root, size_t done, size_t all);
} packing;

static ap_status pack_tree(packing *p, const ap_tree *tree, ap_error *error) {
    char where[2 * AP_PATH];
    AP_TRY(check_root(tree, error));
    for (size_t i = 0; i < tree->n; i++) {
        if (p->progress) p->progress(tree->root, i, tree->n);
        if (tree->entry[i].kind != AP_ENTRY_RESULT) {
            p->summary->empty++;
            continue;
        }
        ap_status status = pack_trial(p->file, tree, &tree->entry[i], error);
        if (status != AP_OK) {
            ap_entry_where(tree, &tree->entry[i], where, sizeof where);
            return ap_context(error, "%s", where);
        }
        p->summary->trials++;
    }
    return pack_files(p->file, tree, &p->sources, error);
}

static ap_status pack_root(packing *p, const char *root, ap_error *error) {
    ap_tree tree = {0};
    ap_status status = ap_tree_open(root, &tree, error);
    if (status == AP_OK) status = pack_tree(p, &tree, error);
    ap_tree_close(&tree);
    return status;
}

/* ---- the whole */

ap_status ap_archive_write(const char *const *roots, const char *path, ap_archive_summary *summary,
                           void (*progress)(const char *root, size_t done, size_t all), ap_error *error) {
    ap_h5_writer *writer;
    *summary = (ap_archive_summary){0};
    AP_TRY(ap_h5_create_large(path, AP_ARCHIVE_KIND, &writer, error));
    packing p = {.file = ap_h5_writer_file(writer), .summary = summary, .progress = progress};
    ap_status status = ap_h5_set_i64(p.file, "/", "format_version", VERSION, error);
    if (status == AP_OK) status = ap_h5_make_group(p.file, AP_ARCHIVE_TRIALS, error);
    if (status == AP_OK) status = ap_h5_make_group(p.file, AP_ARCHIVE_FILES, error);
    for (; *roots && status == AP_OK; roots++) status = pack_root(&p, *roots, error);
    if (status == AP_OK) return ap_h5_commit(writer, error);
    ap_h5_abandon(writer);
    return status;
}
