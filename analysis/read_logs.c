#include "analysis/read_logs.h"

#include "analysis/csv.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKLOAD_NAME = 256, COLUMN_NAME = 256 }; /* a folder's name has at most 255 bytes, a metric's 200 */

/* "wmt_glu_tanh_jax" -> "wmt_glu_tanh": exactly one framework suffix is cut off. */
static void workload_name(const char *folder, char name[WORKLOAD_NAME]) {
    static const char *const suffixes[] = {"_jax", "_pytorch"};
    snprintf(name, WORKLOAD_NAME, "%s", folder);
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t m = strlen(suffixes[i]);
        if (n > m && !strcmp(name + n - m, suffixes[i])) {
            name[n - m] = '\0';
            return;
        }
    }
}

static ap_status read_step(const ap_csv *csv, size_t column, int64_t *step, ap_error *error) {
    double value;
    AP_TRY(ap_csv_number(csv, column, &value, error));
    if (!(value >= 0 && value < 9e15) || value != floor(value))
        return ap_fail(error, AP_DATA, "%s:%zu: global_step is \"%.40s\" (must be an integer that is not negative)",
                       csv->name, csv->line, csv->cell[column]);
    *step = (int64_t)value;
    return AP_OK;
}

/* An empty time is NaN and stays it: the hit then has no time (rules, section 12). */
static ap_status read_time(const ap_csv *csv, size_t column, double *time, ap_error *error) {
    AP_TRY(ap_csv_number(csv, column, time, error));
    if (*time < 0)
        return ap_fail(error, AP_DATA, "%s:%zu: %s is \"%.40s\" s (a time must not be negative)", csv->name, csv->line,
                       csv->header[column], csv->cell[column]);
    return AP_OK;
}

static ap_status read_rows(ap_csv *csv, const ap_target *target, ap_trial *trial, ap_error *error) {
    char metric[COLUMN_NAME];
    snprintf(metric, sizeof metric, "validation/%s", target->metric);
    size_t score, step;
    AP_TRY(ap_csv_need(csv, "score", &score, error));
    AP_TRY(ap_csv_need(csv, "global_step", &step, error));
    int validation = ap_csv_find(csv, metric); /* a missing metric column never reaches the target */
    int submission = ap_csv_find(csv, "accumulated_submission_time");
    for (;;) {
        bool more;
        AP_TRY(ap_csv_next(csv, &more, error));
        if (!more) return AP_OK;
        ap_trial_row row = {.validation = NAN, .submission_s = NAN};
        AP_TRY(read_time(csv, score, &row.score_s, error));
        if (submission >= 0) AP_TRY(read_time(csv, (size_t)submission, &row.submission_s, error));
        AP_TRY(read_step(csv, step, &row.step, error));
        if (validation >= 0) AP_TRY(ap_csv_number(csv, (size_t)validation, &row.validation, error));
        AP_TRY(ap_trial_add_row(trial, row, error));
    }
}

static ap_status note_empty(const char *path, ap_trials *trials, ap_error *error) {
    char note[AP_PATH + 64];
    snprintf(note, sizeof note, "%s: 0 bytes, so there is no such trial", path);
    return ap_names_add(&trials->notes, note, NULL, error);
}

/* hparams.json beside the log is optional, and nothing is scored by it:. */
static ap_status read_parameters(const char *log, ap_trial *trial, ap_error *error) {
    enum { LIMIT = 1 << 20 };
    char path[AP_PATH];
    size_t bytes;
    AP_TRY(ap_path(path, error, "%.*s/hparams.json", (int)(strrchr(log, '/') - log), log));
    if (!ap_file_exists(path)) return AP_OK;
    return ap_read_file(path, LIMIT, &trial->parameters, &bytes, error);
}

ap_status ap_read_log(const char *path, const ap_place *place, const ap_targets *targets, ap_trials *trials,
                      ap_error *error) {
    enum { LIMIT = 256 << 20 }; /* the published logs have at most 200 kB a trial */
    if (!targets->name)
        return ap_fail(error, AP_USAGE,
                       "%s: a log of this kind does not name its target; add --targets v05, v06 or a "
                       "table of your own",
                       path);
    char name[WORKLOAD_NAME];
    workload_name(place->workload, name);
    size_t workload = ap_targets_find(targets, name);
    if (workload == targets->n) return ap_names_add(&trials->unlisted, name, NULL, error);

    char *text = NULL;
    size_t bytes;
    AP_TRY(ap_read_file(path, LIMIT, &text, &bytes, error));
    if (!bytes || strlen(text) != bytes) {
        free(text);
        if (!bytes) return note_empty(path, trials, error);
        return ap_fail(error, AP_DATA, "%s: contains a NUL byte, so it is no text; restore the file", path);
    }
    ap_trial *trial;
    ap_csv csv;
    AP_TRY(ap_csv_open(text, path, &csv, error));
    ap_status status = ap_trials_add(trials, place, workload, path, &trial, error);
    if (status == AP_OK) status = read_rows(&csv, &targets->target[workload], trial, error);
    ap_csv_close(&csv);
    if (status == AP_OK && trials->details) status = read_parameters(path, trial, error);
    if (status != AP_OK) return status;
    return ap_trials_set_fact(trials, trial, "source", "official logs", error);
}
