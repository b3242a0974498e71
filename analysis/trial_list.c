#include "analysis/trial_list.h"

#include "analysis/trials.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TRIALS = 1 << 20, MOST_STUDIES = 1 << 16, MOST_WORKLOADS = 1024, NAME = 256 };

static ap_status no_memory(const char *where, ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for the list of trials", where);
}

static ap_status add(ap_trial_list *list, const char *path, const char *hyperparameters, const char *where,
                     ap_error *error) {
    if (list->n == MOST_TRIALS) return ap_fail(error, AP_DATA, "%s: more than %d trials", where, MOST_TRIALS);
    ap_planned *grown = ap_room_for_one(list->trial, list->n, sizeof *grown);
    if (!grown) return no_memory(where, error);
    list->trial = grown;
    ap_planned *trial = &grown[list->n++];
    *trial = (ap_planned){.path = strdup(path), .hyperparameters = hyperparameters ? strdup(hyperparameters) : NULL};
    return trial->path && (trial->hyperparameters || !hyperparameters) ? AP_OK : no_memory(where, error);
}

void ap_trial_list_free(ap_trial_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        free(list->trial[i].path);
        free(list->trial[i].hyperparameters);
    }
    free(list->trial);
    *list = (ap_trial_list){0};
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const ap_planned *)a)->path, ((const ap_planned *)b)->path);
}

const ap_planned *ap_trial_list_find(const ap_trial_list *list, const char *path) {
    const ap_planned key = {.path = (char *)(size_t)path};
    return list->n ? bsearch(&key, list->trial, list->n, sizeof key, by_path) : NULL;
}

static ap_status sort(ap_trial_list *list, const char *where, ap_error *error) {
    if (list->n) qsort(list->trial, list->n, sizeof *list->trial, by_path);
    for (size_t i = 1; i < list->n; i++)
        if (!by_path(&list->trial[i - 1], &list->trial[i]))
            return ap_fail(error, AP_DATA, "%s: trial %.200s is listed twice", where, list->trial[i].path);
    return AP_OK;
}

/* ---- job.txt: "studies = 2", "workload = LABEL ...", "submission = NAME ...", below it a line of JSON a trial */

typedef struct job {
    int64_t studies;
    ap_names workloads;
} job;

/* The first word behind "key = ". */
static bool word_after(const char *line, const char *key, char word[NAME]) {
    size_t n = strlen(key);
    if (strncmp(line, key, n) || strncmp(line + n, " = ", 3)) return false;
    snprintf(word, NAME, "%.*s", (int)strcspn(line + n + 3, " "), line + n + 3);
    return true;
}

static ap_status each_trial(const job *j, const char *submission, int point, const char *json, ap_trial_list *list,
                            const char *where, ap_error *error) {
    char path[4 * NAME];
    for (int64_t study = 0; study < j->studies; study++)
        for (size_t w = 0; w < j->workloads.n; w++) {
            snprintf(path, sizeof path, "%s/study_%lld/%s/trial_%d", submission, (long long)study, j->workloads.name[w],
                     point + 1);
            AP_TRY(add(list, path, json, where, error));
        }
    return AP_OK;
}

/* Workloads come before submissions. `line` is cut off its text. */
static ap_status read_line(job *j, const char *line, char submission[NAME], int *point, ap_trial_list *list,
                           const char *where, ap_error *error) {
    char word[NAME];
    if (word_after(line, "studies", word)) {
        char *end;
        j->studies = strtoll(word, &end, 10);
        if (*end || j->studies < 1 || j->studies > MOST_STUDIES)
            return ap_fail(error, AP_DATA, "%s: job.txt: studies = %.40s (must be 1 to %d)", where, word, MOST_STUDIES);
    } else if (word_after(line, "workload", word)) {
        if (j->workloads.n == MOST_WORKLOADS)
            return ap_fail(error, AP_DATA, "%s: job.txt: more than %d workloads", where, MOST_WORKLOADS);
        AP_TRY(ap_names_add(&j->workloads, word, NULL, error));
    } else if (word_after(line, "submission", submission)) {
        *point = 0;
    } else if (*submission && !strncmp(line, "  ", 2)) {
        AP_TRY(each_trial(j, submission, (*point)++, line + 2, list, where, error));
    }
    return AP_OK;
}

static ap_status parse_job(const char *text, const char *where, ap_trial_list *list, ap_error *error) {
    job j = {0};
    char submission[NAME] = "", *copy = strdup(text), *next = copy;
    int point = 0;
    ap_status status = copy ? AP_OK : no_memory(where, error);
    for (char *line; status == AP_OK && (line = strsep(&next, "\n"));)
        status = read_line(&j, line, submission, &point, list, where, error);
    ap_names_free(&j.workloads);
    free(copy);
    if (status == AP_OK && !list->n)
        status = ap_fail(error, AP_DATA,
                         "%s: job.txt names no trial (it has %s studies, workloads and submissions with "
                         "their hyperparameters)",
                         where, j.studies ? "no" : "none of");
    return status == AP_OK ? sort(list, where, error) : status;
}

/* ---- trials.json: {"format": 1, "trials": [{"path": "..."}, ...]} */

static ap_status add_json(const json_t *trials, const ap_trial_list *job_list, ap_trial_list *list, const char *where,
                          ap_error *error) {
    for (size_t i = 0; i < json_array_size(trials); i++) {
        const char *path = json_string_value(json_object_get(json_array_get(trials, i), "path"));
        if (!path || !*path || strlen(path) > 3 * NAME)
            return ap_fail(error, AP_DATA, "%s: trials.json: trial %zu has no path", where, i);
        const ap_planned *planned = ap_trial_list_find(job_list, path);
        AP_TRY(add(list, path, planned ? planned->hyperparameters : NULL, where, error));
    }
    return sort(list, where, error);
}

static ap_status parse_json(const char *text, const ap_trial_list *job_list, const char *where, ap_trial_list *list,
                            ap_error *error) {
    json_error_t at;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &at);
    const json_t *trials = json_object_get(object, "trials");
    ap_status status = AP_OK;
    if (!object)
        status = ap_fail(error, AP_DATA, "%s: trials.json:%d: %s", where, at.line, at.text);
    else if (json_integer_value(json_object_get(object, "format")) != 1 || !json_array_size(trials))
        status = ap_fail(error, AP_DATA, "%s: trials.json is no list of trials (format 1, trials)", where);
    else
        status = add_json(trials, job_list, list, where, error);
    json_decref(object);
    return status;
}

ap_status ap_trial_list_parse(const char *trials_json, const char *job_txt, const char *where, ap_trial_list *list,
                              ap_error *error) {
    ap_trial_list from_job = {0};
    *list = (ap_trial_list){0};
    ap_status status = job_txt ? parse_job(job_txt, where, &from_job, error) : AP_OK;
    if (status == AP_OK && trials_json) status = parse_json(trials_json, &from_job, where, list, error);
    if (status == AP_OK && trials_json && job_txt && list->n != from_job.n)
        status = ap_fail(error, AP_DATA, "%s: trials.json lists %zu trials, job.txt describes %zu", where, list->n,
                         from_job.n);
    if (status == AP_OK && !trials_json) {
        *list = from_job;
        return AP_OK;
    }
    ap_trial_list_free(&from_job);
    if (status != AP_OK) ap_trial_list_free(list);
    return status;
}
