#include "analysis/report/points.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void ap_trial_points_free(ap_trial_points *points) {
    for (size_t k = 0; k < points->keys; k++) free(points->key[k]);
    free(points->trial);
    free(points->value);
    *points = (ap_trial_points){0};
}

/* ---- values: hyperparameters come from others' files; what is no flat object of numbers is passed over */

static bool is_number(const json_t *value) {
    return json_is_number(value) || json_is_boolean(value);
}

/* Index of a key, added if there is room; AP_POINT_KEYS if not. */
static size_t key_index(ap_trial_points *points, const char *name) {
    size_t k = 0;
    while (k < points->keys && strcmp(points->key[k], name)) k++;
    if (k < points->keys || k == AP_POINT_KEYS) return k;
    if (!(points->key[k] = strdup(name))) return AP_POINT_KEYS;
    points->keys++;
    return k;
}

static void read_values(ap_trial_points *points, const char *text, double *value) {
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const char *name;
    json_t *member;
    for (size_t k = 0; k < AP_POINT_KEYS; k++) value[k] = NAN;
    json_object_foreach(object, name, member) {
        size_t k = is_number(member) ? key_index(points, name) : AP_POINT_KEYS;
        if (k < AP_POINT_KEYS) value[k] = json_is_boolean(member) ? json_is_true(member) : json_number_value(member);
    }
    json_decref(object);
}

/* ---- keys that are always the same say nothing */

static bool varies(const ap_trial_points *points, size_t key) {
    const double *value = points->value;
    double first = NAN;
    for (size_t i = 0; i < points->trials; i++) {
        double v = value[i * AP_POINT_KEYS + key];
        if (isnan(v)) continue;
        if (!isnan(first) && v != first) return true;
        first = v;
    }
    return false;
}

static void drop_constant_keys(ap_trial_points *points) {
    size_t kept = 0;
    for (size_t k = 0; k < points->keys; k++) {
        if (!varies(points, k)) {
            free(points->key[k]);
            continue;
        }
        for (size_t i = 0; i < points->trials; i++)
            points->value[i * AP_POINT_KEYS + kept] = points->value[i * AP_POINT_KEYS + k];
        points->key[kept++] = points->key[k];
    }
    points->keys = kept;
}

ap_status ap_trial_points_read(const ap_leaderboard *board, size_t submission, ap_trial_points *points,
                               ap_error *error) {
    *points = (ap_trial_points){0};
    points->trial = malloc((board->trials.n + 1) * sizeof *points->trial);
    points->value = malloc((board->trials.n + 1) * AP_POINT_KEYS * sizeof *points->value);
    if (!points->trial || !points->value) {
        ap_trial_points_free(points);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for hyperparameters");
    }
    for (size_t i = 0; i < board->trials.n; i++) {
        const ap_trial *trial = &board->trials.trial[i];
        if (trial->submission != submission || !trial->parameters) continue;
        if (board->targets.target[trial->workload].role == AP_ROLE_OTHER) continue;
        read_values(points, trial->parameters, &points->value[points->trials * AP_POINT_KEYS]);
        points->trial[points->trials++] = i;
    }
    drop_constant_keys(points);
    return AP_OK;
}

/* ---- outcomes */

double ap_point_outcome(const ap_leaderboard *board, size_t trial) {
    size_t workload = board->trials.trial[trial].workload;
    double fastest = INFINITY;
    for (size_t i = 0; i < board->study_count; i++)
        if (board->studies[i].workload == workload) fastest = fmin(fastest, board->studies[i].fastest);
    double time = board->hits[trial].time;
    return time == fastest && isfinite(time) ? 1 : isinf(time) ? INFINITY : time / fastest;
}

static bool is_same_point(const ap_trial_points *points, size_t a, size_t b) {
    for (size_t k = 0; k < points->keys; k++) {
        double x = points->value[a * AP_POINT_KEYS + k], y = points->value[b * AP_POINT_KEYS + k];
        if (x != y && !(isnan(x) && isnan(y))) return false;
    }
    return true;
}

static ap_point_summary summarise(const ap_leaderboard *board, const ap_trial_points *points, size_t first,
                                  double *outcome) {
    ap_point_summary s = {.first = first};
    for (size_t i = first; i < points->trials; i++) {
        if (!is_same_point(points, first, i)) continue;
        outcome[s.runs] = ap_point_outcome(board, points->trial[i]);
        s.reached += isfinite(outcome[s.runs++]) != 0;
    }
    s.median = ap_median(outcome, s.runs);
    return s;
}

ap_status ap_trial_points_summarise(const ap_leaderboard *board, const ap_trial_points *points,
                                    ap_point_summary **summary, size_t *n, ap_error *error) {
    ap_point_summary *out = *summary = malloc((points->trials + 1) * sizeof *out);
    double *outcome = malloc((points->trials + 1) * sizeof *outcome);
    *n = 0;
    for (size_t i = 0; out && outcome && i < points->trials; i++) {
        bool met = false;
        for (size_t k = 0; k < *n && !met; k++) met = is_same_point(points, out[k].first, i);
        if (!met) out[(*n)++] = summarise(board, points, i, outcome);
    }
    bool fine = out && outcome;
    free(outcome);
    if (fine) return AP_OK;
    free(out);
    return ap_fail(error, AP_ENVIRONMENT, "out of memory for hyperparameters");
}
