#include "analysis/trials.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

void *ap_room_for_one(void *array, size_t n, size_t element_bytes) {
    enum { FIRST = 8 };
    size_t bytes;
    if (n == 0) return realloc(array, FIRST * element_bytes);
    if (n < FIRST || (n & (n - 1))) return array; /* capacities are powers of two */
    if (!ap_size_mul(n, 2, &bytes) || !ap_size_mul(bytes, element_bytes, &bytes)) return NULL;
    return realloc(array, bytes);
}

/* ---- names */

ap_status ap_names_add(ap_names *names, const char *name, size_t *index, ap_error *error) {
    size_t i = 0;
    while (i < names->n && strcmp(names->name[i], name)) i++;
    if (index) *index = i;
    if (i < names->n) return AP_OK;
    char **grown = ap_room_for_one(names->name, names->n, sizeof *grown);
    if (grown) names->name = grown;
    char *copy = grown ? strdup(name) : NULL;
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the name %s", name);
    names->name[names->n++] = copy;
    return AP_OK;
}

void ap_names_free(ap_names *names) {
    for (size_t i = 0; i < names->n; i++) free(names->name[i]);
    free(names->name);
    *names = (ap_names){0};
}

/* ---- trials */

static void free_trial(ap_trial *trial) {
    free(trial->study);
    free(trial->name);
    free(trial->path);
    free(trial->source);
    free(trial->folder);
    free(trial->parameters);
    free(trial->fact);
    free(trial->row);
}

void ap_trials_free(ap_trials *trials) {
    for (size_t i = 0; i < trials->n; i++) free_trial(&trials->trial[i]);
    free(trials->trial);
    ap_names_free(&trials->submissions);
    for (size_t i = 0; i < trials->facts; i++) {
        free(trials->fact[i].name);
        ap_names_free(&trials->fact[i].value);
    }
    free(trials->fact);
    ap_names_free(&trials->unlisted);
    ap_names_free(&trials->notes);
    *trials = (ap_trials){0};
}

/* "trial_10_old" -> 10; saturates. */
static uint64_t trial_number(const char *name) {
    const char *digits = name + strcspn(name, "0123456789");
    return strtoull(digits, NULL, 10);
}

ap_status ap_trials_add(ap_trials *trials, const ap_place *place, size_t workload, const char *path, ap_trial **trial,
                        ap_error *error) {
    size_t submission;
    AP_TRY(ap_names_add(&trials->submissions, place->submission, &submission, error));
    ap_trial *grown = ap_room_for_one(trials->trial, trials->n, sizeof *grown);
    if (!grown) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for trial %zu", path, trials->n + 1);
    trials->trial = grown;
    *trial = &grown[trials->n++];
    **trial = (ap_trial){.submission = submission,
                         .workload = workload,
                         .study = strdup(place->study),
                         .name = strdup(place->trial),
                         .path = strdup(path),
                         .source = strdup(place->source ? place->source : place->submission),
                         .folder = strdup(place->workload),
                         .number = trial_number(place->trial)};
    if (!(*trial)->study || !(*trial)->name || !(*trial)->path || !(*trial)->source || !(*trial)->folder)
        return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for trial %zu", path, trials->n);
    return AP_OK;
}

ap_status ap_trial_add_row(ap_trial *trial, ap_trial_row row, ap_error *error) {
    ap_trial_row *grown = ap_room_for_one(trial->row, trial->rows, sizeof *grown);
    if (!grown) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for %zu rows", trial->path, trial->rows + 1);
    trial->row = grown;
    trial->row[trial->rows++] = row;
    return AP_OK;
}

void ap_trials_remove(ap_trials *trials, size_t submission) {
    size_t kept = 0;
    for (size_t i = 0; i < trials->n; i++) {
        ap_trial trial = trials->trial[i];
        if (trial.submission == submission) {
            free_trial(&trial);
            continue;
        }
        trial.submission -= trial.submission > submission;
        trials->trial[kept++] = trial;
    }
    trials->n = kept;
    ap_names *names = &trials->submissions;
    free(names->name[submission]);
    memmove(names->name + submission, names->name + submission + 1, (names->n - submission - 1) * sizeof *names->name);
    names->n--;
}

/* ---- facts */

size_t ap_trials_find_fact(const ap_trials *trials, const char *name) {
    size_t kind = 0;
    while (kind < trials->facts && strcmp(trials->fact[kind].name, name)) kind++;
    return kind;
}

const char *ap_trial_fact(const ap_trials *trials, const ap_trial *trial, size_t kind) {
    return kind < trial->facts && trial->fact[kind] ? trials->fact[kind].value.name[trial->fact[kind] - 1] : NULL;
}

static ap_status add_fact_kind(ap_trials *trials, const char *name, ap_error *error) {
    ap_fact_kind *grown = ap_room_for_one(trials->fact, trials->facts, sizeof *grown);
    if (grown) trials->fact = grown;
    char *copy = grown ? strdup(name) : NULL;
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the name %s", name);
    grown[trials->facts++] = (ap_fact_kind){.name = copy};
    return AP_OK;
}

ap_status ap_trials_set_fact(ap_trials *trials, ap_trial *trial, const char *name, const char *value, ap_error *error) {
    size_t kind = ap_trials_find_fact(trials, name), index;
    if (kind == trials->facts) AP_TRY(add_fact_kind(trials, name, error));
    AP_TRY(ap_names_add(&trials->fact[kind].value, value, &index, error));
    if (kind >= trial->facts) {
        size_t *grown = realloc(trial->fact, trials->facts * sizeof *grown);
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for what it says of itself", trial->path);
        for (size_t i = trial->facts; i < trials->facts; i++) grown[i] = 0;
        trial->fact = grown;
        trial->facts = trials->facts;
    }
    trial->fact[kind] = index + 1;
    return AP_OK;
}

/* ---- order */

static int by_place(const void *a, const void *b) {
    const ap_trial *x = a, *y = b;
    if (x->submission != y->submission) return x->submission < y->submission ? -1 : 1;
    if (x->workload != y->workload) return x->workload < y->workload ? -1 : 1;
    int studies = strverscmp(x->study, y->study); /* study_2 before study_10 */
    if (studies) return studies;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    int names = strcmp(x->name, y->name);
    return names ? names : strcmp(x->source, y->source); /* a merged folder may hold the same name again */
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Alphabetical submissions, and the trials' indices with them. */
static ap_status sort_submissions(ap_trials *trials, ap_error *error) {
    ap_names *names = &trials->submissions;
    if (!names->n) return AP_OK;
    char **before = malloc(names->n * sizeof *before);
    size_t *place = malloc(names->n * sizeof *place);
    if (before && place) {
        memcpy(before, names->name, names->n * sizeof *before);
        qsort(names->name, names->n, sizeof *names->name, by_text);
        for (size_t i = 0; i < names->n; i++)
            for (size_t j = 0; j < names->n; j++)
                if (before[i] == names->name[j]) place[i] = j;
        for (size_t i = 0; i < trials->n; i++) trials->trial[i].submission = place[trials->trial[i].submission];
    }
    bool done = before && place;
    free(before);
    free(place);
    return done ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of submissions");
}

ap_status ap_trials_sort(ap_trials *trials, ap_error *error) {
    AP_TRY(sort_submissions(trials, error));
    if (trials->n) qsort(trials->trial, trials->n, sizeof *trials->trial, by_place);
    for (size_t i = 1; i < trials->n; i++)
        if (by_place(&trials->trial[i - 1], &trials->trial[i]) == 0)
            return ap_fail(
                error, AP_DATA,
                "the same trial of the same study is there twice, so it would count twice:\n  %s\n  %s\nname "
                "only one of the folders, or rename the submission or the study of one",
                trials->trial[i - 1].path, trials->trial[i].path);
    return AP_OK;
}
