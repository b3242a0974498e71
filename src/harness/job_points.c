/* The hyperparameter points of a job's submissions: drawing, checking before anything runs, and which trial has which.
 */
#include "harness/job_points.h"

#include "algorithms/algorithms.h"
#include "base/file.h"
#include "base/random.h"
#include "submission/solo_host.h"

#include <stdlib.h>
#include <string.h>

/* ---- a built-in algorithm says what it makes of a point: run its set-up on a problem without parameters */

static const ap_workload_info empty = {.name = "",
                                       .variant = "",
                                       .scale = "",
                                       .loss_type = "",
                                       .target_metric = "",
                                       .step_hint = 1,
                                       .max_runtime_s = 1,
                                       .eval_period_s = 1};

/* The hyperparameter that a failure speaks of; "": none. */
static void named_in(const char *text, char name[128]) {
    const char *at = strstr(text, "hyperparameter ");
    name[0] = '\0';
    if (at) sscanf(at, "hyperparameter %127[A-Za-z0-9_]", name);
}

static ap_status check_unused(const ap_solo *solo, const ap_point *point, const ap_submission *s, const char *where,
                              ap_error *error) {
    for (int i = 0; i < point->n; i++)
        if (!ap_solo_asked(solo, i))
            return ap_fail(error, AP_CONFIG,
                           "%s: submission %s has no hyperparameter %s; take it out of the search space, or correct "
                           "its name",
                           where, s->name, point->name[i]);
    return AP_OK;
}

static ap_status check_point(const ap_submission *s, const ap_point *point, const char *name, const char *json,
                             int number, ap_error *error) {
    ap_solo_problem problem = {.workload = &empty,
                               .hyperparameters = point->n,
                               .name = point->name,
                               .value = point->value,
                               .text = point->text};
    ap_solo *solo;
    ap_error failure;
    char where[AP_PATH + 32], key[128] = "";
    AP_TRY(ap_solo_create(&problem, &solo, error));
    ap_status status = ap_solo_init(solo, s, &failure);
    int unused = -1;
    for (int i = 0; !status && unused < 0 && i < point->n; i++)
        if (!ap_solo_asked(solo, i)) unused = i;
    if (status) named_in(failure.text, key);
    const char *at = status ? key : unused >= 0 ? point->name[unused] : "";
    snprintf(where, sizeof where, "%s:%d: point %d", name, ap_search_space_line(json, number, at), number + 1);
    if (status)
        status = ap_fail(error, AP_CONFIG, "%s: %s", where, failure.text);
    else
        status = check_unused(solo, point, s, where, error);
    ap_solo_destroy(solo);
    return status;
}

static bool is_built_in(const ap_submission *s) {
    for (const ap_submission *const *a = ap_algorithms(); *a; a++)
        if (*a == s) return true;
    return false;
}

/* ---- drawing */

static ap_status draw(const ap_job *job, const char *json, const char *name, ap_points *points, ap_error *error) {
    int64_t studies = job->points == AP_POINTS_FRESH ? job->settings.studies : 1;
    if (job->ruleset == AP_EXTERNAL_TUNING)
        return ap_search_space_draw(json, name, (int)(job->settings.trials * studies), points, error);
    points->point = calloc(1, sizeof *points->point);
    if (!points->point) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the hyperparameters");
    points->n = 1;
    return ap_point_parse(json, name, points->point, error);
}

ap_status ap_job_draw_points(const ap_job *job, ap_job_submission *s, const char *file, ap_error *error) {
    const ap_submission *table = s->loaded->submission;
    bool self_tuning = job->ruleset == AP_SELF_TUNING;
    const char *const *built_in = self_tuning ? table->self_tuning_point : table->search_space;
    char *text = NULL, name[AP_PATH];
    size_t n;
    snprintf(name, sizeof name, "%s of %s", self_tuning ? "self-tuning point" : "search space", s->loaded->name);
    if (*file) {
        snprintf(name, sizeof name, "%s", file);
        AP_TRY(ap_read_file(file, 1 << 20, &text, &n, error));
    } else if (!built_in) {
        return ap_fail(error, AP_CONFIG,
                       "submission %s has no %s of its own: give `search_space = \"FILE.json\"` beside it",
                       s->loaded->name, self_tuning ? "self-tuning point" : "search space");
    }
    const char *json = text ? text : *built_in;
    ap_status status = draw(job, json, name, &s->points, error);
    for (int i = 0; !status && is_built_in(table) && i < s->points.n; i++)
        status = check_point(table, &s->points.point[i], name, json, i, error);
    free(text);
    return status;
}

/* ---- which trial has which */

int ap_job_trials(const ap_job *job, int submission) {
    int n = job->submission[submission].points.n;
    bool fresh = job->points == AP_POINTS_FRESH && job->ruleset == AP_EXTERNAL_TUNING;
    return fresh ? n / (int)job->settings.studies : n;
}

enum { SHUFFLES = 1 << 20 }; /* beyond the studies: their streams are for the trials' seeds */

const ap_point *ap_job_point(const ap_job *job, int submission, int study, int trial) {
    const ap_points *points = &job->submission[submission].points;
    if (job->ruleset == AP_SELF_TUNING) return &points->point[0];
    switch (job->points) {
    case AP_POINTS_FRESH: return &points->point[study * ap_job_trials(job, submission) + trial];
    case AP_POINTS_SHUFFLED: {
        ap_random stream =
            ap_random_stream((uint64_t)job->settings.seed, AP_RANDOM_TUNING, (uint64_t)study + SHUFFLES, 0);
        return &points->point[ap_random_permute(&stream, points->n, trial)];
    }
    case AP_POINTS_SAME: break;
    }
    return &points->point[trial];
}

/* ---- the preview */

static void print_value(FILE *out, const ap_point *p, int i) {
    if (p->text && p->text[i])
        fprintf(out, "%s", p->text[i]);
    else
        fprintf(out, "%.9g", p->value[i]);
}

static void print_trial(FILE *out, bool json, const char *submission, int study, int trial, const ap_point *p,
                        bool first) {
    if (json) {
        char *point = ap_point_json(p);
        fprintf(out, "%s\n  {\"submission\": \"%s\", \"study\": %d, \"trial\": %d, \"hyperparameters\": %s}",
                first ? "" : ",", submission, study, trial + 1, point ? point : "{}");
        free(point);
        return;
    }
    fprintf(out, "%s study %d trial %d:", submission, study, trial + 1);
    for (int i = 0; i < p->n; i++) {
        fprintf(out, "%s%s = ", i ? ", " : " ", p->name[i]);
        print_value(out, p, i);
    }
    fprintf(out, "\n");
}

void ap_job_print_points(const ap_job *job, bool json, FILE *out) {
    bool first = true;
    if (json) fprintf(out, "[");
    for (int s = 0; s < job->submissions; s++)
        for (int study = 0; study < job->settings.studies; study++)
            for (int trial = 0; trial < ap_job_trials(job, s); trial++) {
                print_trial(out, json, job->submission[s].loaded->name, study, trial,
                            ap_job_point(job, s, study, trial), first);
                first = false;
            }
    if (json) fprintf(out, "\n]\n");
}
