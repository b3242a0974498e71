#include "analysis/read_result.h"

#include "analysis/clocks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDENTITY = 512, COLUMN_NAME = 256 };
#define SUBMISSION_TIME "evaluations/accumulated_submission_time"

/* What a result says about itself. Texts are malloc'ed. */
typedef struct head {
    const char *path; /* of the file, for messages (those of base/h5.h name it themselves) */
    char *workload, *variant, *scale, *data_set, *metric, *direction, *clock, *ruleset, *verdict;
    double validation_target;
    double max_runtime_s, step_hint; /* NaN: not stated */
    char name[IDENTITY / 2];         /* workload or, for a held-out variant, workload_variant */
    char identity[IDENTITY];         /* "NAME SCALE (DATA SET)" */
} head;

static void free_head(head *h) {
    free(h->workload);
    free(h->variant);
    free(h->scale);
    free(h->data_set);
    free(h->metric);
    free(h->direction);
    free(h->clock);
    free(h->ruleset);
    free(h->verdict);
}

static ap_status get_text(hid_t file, const head *h, const char *name, char **text, ap_error *error) {
    enum { LONGEST = 64 };
    AP_TRY(ap_h5_get_text(file, ".", name, text, error));
    if (strlen(*text) > LONGEST)
        return ap_fail(error, AP_DATA, "%s: attribute %s is longer than %d bytes", h->path, name, LONGEST);
    return AP_OK;
}

static ap_status read_head(hid_t file, head *h, ap_error *error) {
    AP_TRY(get_text(file, h, "workload", &h->workload, error));
    AP_TRY(get_text(file, h, "variant", &h->variant, error));
    AP_TRY(get_text(file, h, "scale", &h->scale, error));
    AP_TRY(get_text(file, h, "data_set", &h->data_set, error));
    AP_TRY(get_text(file, h, "target_metric", &h->metric, error));
    AP_TRY(get_text(file, h, "direction", &h->direction, error));
    AP_TRY(get_text(file, h, "clock", &h->clock, error));
    AP_TRY(get_text(file, h, "ruleset", &h->ruleset, error));
    AP_TRY(get_text(file, h, "verdict", &h->verdict, error));
    AP_TRY(ap_h5_get_f64(file, ".", "validation_target", &h->validation_target, error));
    int64_t step_hint = 0;
    h->max_runtime_s = h->step_hint = NAN;
    if (ap_h5_has_attribute(file, ".", "max_runtime_s"))
        AP_TRY(ap_h5_get_f64(file, ".", "max_runtime_s", &h->max_runtime_s, error));
    if (ap_h5_has_attribute(file, ".", "step_hint")) AP_TRY(ap_h5_get_i64(file, ".", "step_hint", &step_hint, error));
    if (step_hint > 0) h->step_hint = (double)step_hint;
    if (strcmp(h->direction, "higher") && strcmp(h->direction, "lower") && strcmp(h->direction, "lower_or_equal"))
        return ap_fail(error, AP_DATA, "%s: attribute direction is \"%s\" (must be higher, lower or lower_or_equal)",
                       h->path, h->direction);
    if (!isfinite(h->validation_target))
        return ap_fail(error, AP_DATA, "%s: attribute validation_target is %g (must be finite)", h->path,
                       h->validation_target);
    snprintf(h->name, sizeof h->name, *h->variant ? "%s_%s" : "%s", h->workload, h->variant);
    snprintf(h->identity, sizeof h->identity, "%s %s (%s)", h->name, h->scale, h->data_set);
    return AP_OK;
}

/* ---- which workload is it? */

static ap_status check_same_target(const ap_target *target, const head *h, ap_error *error) {
    bool maximise = !strcmp(h->direction, "higher");
    if (!strcmp(target->metric, h->metric) && target->maximise == maximise &&
        target->validation_target == h->validation_target)
        return AP_OK;
    return ap_fail(
        error, AP_DATA,
        "%s: %s was trained to %s %s %.17g, but earlier results of the same workload to %s %s %.17g; times to "
        "different targets cannot be compared: score them apart, or to one target by --targets FILE",
        h->path, h->identity, h->metric, maximise ? ">=" : "<=", h->validation_target, target->metric,
        target->maximise ? ">=" : "<=", target->validation_target);
}

/* Results of two data sets must not meet in one column: the first decides which it is. */
static ap_status claim(ap_target *target, const head *h, ap_error *error) {
    if (!target->identity && !(target->identity = strdup(h->identity)))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for the name of a workload");
    if (!strcmp(target->identity, h->identity)) return AP_OK;
    return ap_fail(error, AP_DATA, "%s: is of %s, but earlier results for %s of the table are of %s: score them apart",
                   h->path, h->identity, target->workload, target->identity);
}

static ap_status find_workload(const head *h, ap_targets *targets, size_t *workload, ap_error *error) {
    *workload = ap_targets_find(targets, h->identity);
    if (targets->name) {
        if (*workload == targets->n && !strcmp(h->scale, "full")) *workload = ap_targets_find(targets, h->name);
        return *workload < targets->n ? claim(&targets->target[*workload], h, error) : AP_OK;
    }
    if (*workload == targets->n) {
        AP_TRY(ap_targets_add(targets, h->identity, h->metric, !strcmp(h->direction, "higher"), h->validation_target,
                              error));
        AP_TRY(claim(&targets->target[*workload], h, error));
        for (int r = 0; r < AP_RULESETS; r++)
            if (!strcmp(h->ruleset, ap_ruleset_names[r])) targets->target[*workload].budget_s[r] = h->max_runtime_s;
        targets->target[*workload].step_hint = h->step_hint;
    }
    return check_same_target(&targets->target[*workload], h, error);
}

/* ---- its evaluations */

typedef struct rows {
    int64_t *step;
    double *score, *submission, *validation;
} rows;

/* *n < 0: any length, which *n then is. */
static ap_status read_column(hid_t file, const char *path, const char *name, ap_dtype type, int64_t *n, void **data,
                             ap_error *error) {
    int rank;
    int64_t shape[AP_H5_MAX_RANK];
    AP_TRY(ap_h5_shape(file, name, &rank, shape, error));
    if (rank != 1) return ap_fail(error, AP_DATA, "%s: %s has %d dimensions (must have 1)", path, name, rank);
    return ap_h5_read(file, name, type, *n, ap_h5_file_bytes(file), data, n, error);
}

static ap_status check_row(const char *path, const rows *r, int64_t i, ap_error *error) {
    if (r->step[i] < 0 || (i > 0 && r->step[i] <= r->step[i - 1]))
        return ap_fail(error, AP_DATA,
                       "%s: /evaluations/global_step[%lld] is %lld (must not be negative and must increase)", path,
                       (long long)i, (long long)r->step[i]);
    if (!(r->score[i] >= 0 && isfinite(r->score[i])))
        return ap_fail(error, AP_DATA, "%s: /evaluations/score[%lld] is %g s (must be finite and not negative)", path,
                       (long long)i, r->score[i]);
    return AP_OK;
}

static ap_status read_rows(hid_t file, const char *metric, ap_trial *trial, rows *r, ap_error *error) {
    char column[COLUMN_NAME];
    snprintf(column, sizeof column, "evaluations/validation/%s", metric);
    int64_t n = -1;
    AP_TRY(read_column(file, trial->path, "evaluations/global_step", AP_I64, &n, (void **)&r->step, error));
    AP_TRY(read_column(file, trial->path, "evaluations/score", AP_F64, &n, (void **)&r->score, error));
    AP_TRY(read_column(file, trial->path, column, AP_F64, &n, (void **)&r->validation, error));
    if (ap_h5_exists(file, SUBMISSION_TIME))
        AP_TRY(read_column(file, trial->path, SUBMISSION_TIME, AP_F64, &n, (void **)&r->submission, error));
    for (int64_t i = 0; i < n; i++) {
        AP_TRY(check_row(trial->path, r, i, error));
        ap_trial_row row = {.step = r->step[i],
                            .score_s = r->score[i],
                            .submission_s = r->submission ? r->submission[i] : NAN,
                            .validation = r->validation[i]};
        AP_TRY(ap_trial_add_row(trial, row, error));
    }
    return AP_OK;
}

/* ---- how it came about */

/* An attribute that other versions may not have; all are texts. */
static ap_status read_fact(hid_t file, const char *object, const char *name, ap_trials *trials, ap_trial *trial,
                           ap_error *error) {
    char *text = NULL;
    if (!ap_h5_has_attribute(file, object, name)) return AP_OK;
    AP_TRY(ap_h5_get_text(file, object, name, &text, error));
    ap_status status = *text ? ap_trials_set_fact(trials, trial, name, text, error) : AP_OK; /* "": not stated */
    free(text);
    return status;
}

static ap_status read_all_provenance(hid_t file, ap_trials *trials, ap_trial *trial, ap_error *error) {
    int64_t n = 0;
    char **names = NULL;
    AP_TRY(ap_h5_list_attributes(file, "provenance", &n, &names, error));
    ap_status status = AP_OK;
    for (int64_t i = 0; i < n && status == AP_OK; i++)
        status = read_fact(file, "provenance", names[i], trials, trial, error);
    ap_h5_free_text(n, names);
    return status;
}

static ap_status read_facts(hid_t file, ap_trials *trials, ap_trial *trial, ap_error *error) {
    static const char *const of_trial[] = {"clock", "calibration", "ruleset", "verdict", "reason"};
    AP_TRY(ap_trials_set_fact(trials, trial, "source", "results of algoperf", error));
    for (size_t i = 0; i < sizeof of_trial / sizeof *of_trial; i++)
        AP_TRY(read_fact(file, ".", of_trial[i], trials, trial, error));
    if (ap_h5_exists(file, "provenance")) {
        if (trials->details) AP_TRY(read_all_provenance(file, trials, trial, error));
        for (const char *const *name = ap_clock_facts; *name && !trials->details; name++)
            AP_TRY(read_fact(file, "provenance", *name, trials, trial, error));
    }
    if (trials->details && ap_h5_has_attribute(file, ".", "hyperparameters"))
        return ap_h5_get_text(file, ".", "hyperparameters", &trial->parameters, error);
    return AP_OK;
}

static ap_status read_file(hid_t file, const ap_place *place, ap_targets *targets, ap_trials *trials, head *h, rows *r,
                           ap_error *error) {
    AP_TRY(read_head(file, h, error));
    size_t workload;
    AP_TRY(find_workload(h, targets, &workload, error));
    if (workload == targets->n) return ap_names_add(&trials->unlisted, h->identity, NULL, error);
    ap_trial *trial;
    AP_TRY(ap_trials_add(trials, place, workload, h->path, &trial, error));
    trial->running = !strcmp(h->verdict, "running");
    AP_TRY(read_rows(file, targets->target[workload].metric, trial, r, error));
    return read_facts(file, trials, trial, error);
}

ap_status ap_read_result(hid_t at, const char *path, const ap_place *place, ap_targets *targets, ap_trials *trials,
                         ap_error *error) {
    head h = {.path = path};
    rows r = {0};
    ap_status status = read_file(at, place, targets, trials, &h, &r, error);
    free(r.step);
    free(r.score);
    free(r.submission);
    free(r.validation);
    free_head(&h);
    return status;
}
