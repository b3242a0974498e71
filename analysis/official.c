#include "analysis/official.h"

#include "analysis/tree.h"
#include "base/file.h"
#include "base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "evaluations/";

/* ---- eval_measurements.csv */

static bool is_official(const ap_column *column) {
    return !strncmp(column->name, prefix, strlen(prefix)) && column->kind != AP_VALUE_TEXT;
}

static const char *official_name(const ap_column *column) {
    return column->name + strlen(prefix);
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const ap_column *const *)a)->name, (*(const ap_column *const *)b)->name);
}

/* The official columns in the order of their names, as the official program writes them. *list is malloc'ed. */
static ap_status official_columns(const ap_result *r, const ap_column ***list, size_t *n, ap_error *error) {
    *n = 0;
    if (!(*list = calloc(r->columns + 1, sizeof **list)))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu columns", r->columns);
    for (size_t c = 0; c < r->columns; c++) {
        if (!is_official(&r->column[c])) continue;
        const char *name = official_name(&r->column[c]);
        if (strpbrk(name, ",\"\r\n")) {
            free(*list);
            return ap_fail(error, AP_DATA,
                           "column \"%s\" cannot be the header of an official log: it has a comma, "
                           "quote or line end",
                           name);
        }
        (*list)[(*n)++] = &r->column[c];
    }
    qsort(*list, *n, sizeof **list, by_name);
    return AP_OK;
}

static void print_cell(const ap_column *column, int64_t row, FILE *out) {
    char text[AP_DOUBLE_TEXT] = "";
    if (column->kind == AP_VALUE_I64)
        snprintf(text, sizeof text, "%" PRId64, column->i64[row]);
    else if (!isnan(column->f64[row]))
        ap_double_text(column->f64[row], text);
    fputs(text, out);
}

static void print_csv(const ap_result *r, const ap_column *const *list, size_t n, FILE *out) {
    for (size_t c = 0; c < n; c++) fprintf(out, "%s%s", c ? "," : "", official_name(list[c]));
    fputc('\n', out);
    for (int64_t row = 0; row < r->evaluations; row++) {
        for (size_t c = 0; c < n; c++) {
            if (c) fputc(',', out);
            print_cell(list[c], row, out);
        }
        fputc('\n', out);
    }
}

static ap_status write_new(const char *folder, const char *name, const char *text, size_t n, ap_error *error) {
    char path[AP_PATH];
    bool created = false;
    AP_TRY(ap_path(path, error, "%s/%s", folder, name));
    AP_TRY(ap_create_exclusive(path, text, n, &created, error));
    if (created) return AP_OK;
    return ap_fail(error, AP_USAGE, "%s: is there already, and nothing was changed in it; export into a new folder",
                   path);
}

static ap_status write_csv(const char *folder, const ap_result *r, ap_error *error) {
    const ap_column **list;
    size_t columns, n = 0;
    char *text = NULL;
    AP_TRY(official_columns(r, &list, &columns, error));
    FILE *out = open_memstream(&text, &n);
    if (out) print_csv(r, list, columns, out);
    bool fine = out && !ferror(out);
    if (out && fclose(out)) fine = false;
    free(list);
    ap_status status =
        fine ? write_new(folder, "eval_measurements.csv", text, n, error)
             : ap_fail(error, AP_ENVIRONMENT, "out of memory for a log of %" PRId64 " rows", r->evaluations);
    free(text);
    return status;
}

/* ---- the JSON files */

static void put_text(json_t *object, const char *key, const char *text) {
    char *copy = strdup(text), *clean_key = strdup(key);
    if (copy && clean_key) {
        ap_clean_text(copy);
        ap_clean_text(clean_key);
        json_object_set_new(object, clean_key, json_string(copy));
    }
    free(copy);
    free(clean_key);
}

static void put_fact(json_t *object, const char *key, const ap_fact *fact) {
    if (!fact) return;
    switch (fact->kind) {
    case AP_VALUE_TEXT: put_text(object, key, fact->text); break;
    case AP_VALUE_I64: json_object_set_new(object, key, json_integer(fact->i64)); break;
    case AP_VALUE_F64:
        json_object_set_new(object, key, isfinite(fact->f64) ? json_real(fact->f64) : json_null());
        break;
    }
}

/* Takes `object` over. */
static ap_status write_json(const char *folder, const char *name, json_t *object, ap_error *error) {
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(object);
    if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %s", name);
    ap_status status = write_new(folder, name, text, strlen(text), error);
    free(text);
    return status;
}

static ap_status write_hyperparameters(const char *folder, const ap_result *r, ap_error *error) {
    json_error_t where;
    const char *text = ap_facts_text(&r->head, "hyperparameters");
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(object)) {
        json_decref(object);
        return ap_fail(error, AP_DATA, "attribute hyperparameters is \"%.80s\" (must be a JSON object): %s", text,
                       object ? "it is another value" : where.text);
    }
    return write_json(folder, "hparams.json", object, error);
}

/* An official key and where its value is. */
typedef struct pair {
    const char *key, *ours;
} pair;

/* The official logs leave host names out, since they are published. */
static bool is_private(const char *key) {
    return !strcmp(key, "host") || !strcmp(key, "job_file") || !strcmp(key, "calibration_place") ||
           !strncmp(key, "SLURM_", strlen("SLURM_"));
}

static json_t *meta_data(const ap_result *r) {
    static const pair head[] = {{"workload.target_metric_name", "target_metric"},
                                {"workload.validation_target_value", "validation_target"},
                                {"workload.test_target_value", "test_target"},
                                {"workload.max_allowed_runtime_sec", "max_runtime_s"},
                                {"workload.eval_period_time_sec", "eval_period_s"},
                                {"workload.step_hint", "step_hint"},
                                {"workload.loss_type", "loss_type"}};
    static const pair provenance[] = {{"os_platform", "kernel"},
                                      {"cpu_model_name", "cpu_model"},
                                      {"git_commit_hash", "source_revision"},
                                      {"rng_seed", "trial_seed"}};
    json_t *object = json_object();
    char key[256];
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        put_fact(object, head[i].key, ap_facts_find(&r->head, head[i].ours));
    for (size_t i = 0; i < sizeof provenance / sizeof *provenance; i++)
        put_fact(object, provenance[i].key, ap_facts_find(&r->provenance, provenance[i].ours));
    for (size_t i = 0; i < r->head.n; i++) {
        snprintf(key, sizeof key, "algoperf_mpi.%s", r->head.fact[i].name);
        put_fact(object, key, &r->head.fact[i]);
    }
    for (size_t i = 0; i < r->provenance.n; i++) {
        if (is_private(r->provenance.fact[i].name)) continue;
        snprintf(key, sizeof key, "algoperf_mpi.provenance.%s", r->provenance.fact[i].name);
        put_fact(object, key, &r->provenance.fact[i]);
    }
    return object;
}

static json_t *flags(const ap_result *r, const char *framework) {
    static const pair head[] = {{"workload", "workload"},          {"tuning_ruleset", "ruleset"},
                                {"submission_name", "submission"}, {"data_set", "data_set"},
                                {"workload_variant", "variant"},   {"workload_scale", "scale"}};
    json_t *object = json_pack("{s:s, s:s}", "framework", framework, "benchmark_program", "algoperf-mpi");
    for (size_t i = 0; object && i < sizeof head / sizeof *head; i++)
        put_fact(object, head[i].key, ap_facts_find(&r->head, head[i].ours));
    return object;
}

ap_status ap_official_write_trial(const char *folder, const char *framework, const ap_result *result, ap_error *error) {
    AP_TRY(ap_make_directories(folder, error));
    AP_TRY(write_hyperparameters(folder, result, error));
    AP_TRY(write_json(folder, "meta_data_0.json", meta_data(result), error));
    AP_TRY(write_json(folder, "flags_0.json", flags(result, framework), error));
    return write_csv(folder, result, error); /* last: it makes the trial */
}

/* ---- all trials */

/* "wmt_glu_tanh", "mnist_mini"; what others' results say must not lead out of the folder. */
static ap_status workload_name(const ap_result *r, char name[AP_PATH], ap_error *error) {
    const char *workload = ap_facts_text(&r->head, "workload"), *variant = ap_facts_text(&r->head, "variant"),
               *scale = ap_facts_text(&r->head, "scale");
    bool full = !strcmp(scale, "full");
    AP_TRY(
        ap_path(name, error, "%s%s%s%s%s", workload, *variant ? "_" : "", variant, full ? "" : "_", full ? "" : scale));
    if (*workload && *scale && *name != '.' && !strchr(name, '/') && strlen(name) < 200) return AP_OK;
    return ap_fail(error, AP_DATA,
                   "attributes workload, variant and scale are \"%.40s\", \"%.40s\", \"%.40s\" (together "
                   "they must be a file name)",
                   workload, variant, scale);
}

static ap_status write_result(const ap_entry *entry, const char *directory, const char *framework,
                              const ap_result *result, ap_error *error) {
    char folder[AP_PATH], workload[AP_PATH];
    AP_TRY(workload_name(result, workload, error));
    AP_TRY(ap_path(folder, error, "%s/%s/%s/%s_%s/%s", directory, entry->submission, entry->study, workload, framework,
                   entry->trial));
    return ap_official_write_trial(folder, framework, result, error);
}

static ap_status write_entry(const ap_tree *tree, const ap_entry *entry, const char *directory, const char *framework,
                             ap_error *error) {
    hid_t place;
    ap_result result;
    char where[2 * AP_PATH];
    if (entry->kind == AP_ENTRY_LOG)
        return ap_fail(error, AP_DATA, "%s: is an official log already; export takes results of algoperf", entry->path);
    AP_TRY(ap_tree_open_result(tree, entry, &place, error));
    ap_status status = ap_result_read(place, &result, error);
    ap_tree_close_result(place);
    if (status == AP_OK) {
        status = write_result(entry, directory, framework, &result, error);
        ap_result_free(&result);
    }
    if (status == AP_OK) return AP_OK;
    ap_entry_where(tree, entry, where, sizeof where);
    return ap_context(error, "%s", where);
}

static ap_status write_tree(const ap_tree *tree, const char *directory, const char *framework, size_t *trials,
                            ap_error *error) {
    if (tree->is_single)
        return ap_fail(error, AP_DATA,
                       "%s: is one trial's result; export takes a folder of results or a collection, "
                       "whose folder names say submission, study and trial",
                       tree->root);
    for (size_t i = 0; i < tree->n; i++) {
        if (tree->entry[i].kind == AP_ENTRY_NOTHING) continue;
        AP_TRY(write_entry(tree, &tree->entry[i], directory, framework, error));
        ++*trials;
    }
    return AP_OK;
}

ap_status ap_official_write(const char *const *roots, const char *directory, const char *framework, size_t *trials,
                            ap_error *error) {
    *trials = 0;
    if (strcmp(framework, "jax") && strcmp(framework, "pytorch"))
        return ap_fail(error, AP_USAGE, "--framework %s (must be jax or pytorch: the official program knows no other)",
                       framework);
    for (; *roots; roots++) {
        ap_tree tree = {0};
        ap_status status = ap_tree_open(*roots, &tree, error);
        if (status == AP_OK) status = write_tree(&tree, directory, framework, trials, error);
        ap_tree_close(&tree);
        AP_TRY(status);
    }
    return AP_OK;
}
