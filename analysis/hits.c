#include "analysis/hits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const ap_metric_names[] = {"time", "steps", NULL};
const char *const ap_tie_names[] = {"min_time", "max_time", "lowest_trial", "highest_trial", NULL};

/* ---- one trial */

/* The target as the rules move it, and the last second that counts. */
static ap_target moved_target(const ap_target *target, const ap_rules *rules, double *last_s) {
    ap_target moved = *target;
    double shift = rules->harder * fabs(target->validation_target);
    moved.validation_target += target->maximise ? shift : -shift;
    double budget = target->budget_s[rules->ruleset];
    *last_s = isinf(rules->budget) || isnan(budget) ? INFINITY : rules->budget * budget;
    return moved;
}

ap_hit ap_trial_hit(const ap_trial *trial, const ap_target *target, const ap_rules *rules) {
    double last_s;
    const ap_target moved = moved_target(target, rules, &last_s);
    for (size_t i = 0; i < trial->rows; i++) {
        const ap_trial_row *row = &trial->row[i];
        if (!ap_target_is_reached(&moved, row->validation)) continue;
        if (row->score_s > last_s) break;
        return (ap_hit){(int64_t)i, rules->metric == AP_METRIC_TIME ? row->score_s : (double)row->step};
    }
    return (ap_hit){AP_HIT_NONE, INFINITY};
}

ap_status ap_hits(const ap_trials *trials, const ap_targets *targets, const ap_rules *rules, ap_hit **hits,
                  ap_error *error) {
    *hits = malloc((trials->n + 1) * sizeof **hits);
    if (!*hits) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu trials", trials->n);
    for (size_t i = 0; i < trials->n; i++)
        (*hits)[i] = ap_trial_hit(&trials->trial[i], &targets->target[trials->trial[i].workload], rules);
    return AP_OK;
}

/* -1: a before b, 1: after it; a time that is not known (NaN) comes last. */
static int compare_times(double a, double b) {
    if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
    return (a > b) - (a < b);
}

/* What is equal in all is decided by the trial number, which is the order of the list. */
bool ap_hit_is_better(const ap_rules *rules, ap_hit a, ap_hit b) {
    if (a.index < 0 || b.index < 0) return a.index >= 0 && b.index < 0;
    int times = compare_times(a.time, b.time);
    if (rules->best_by_time) return times < 0;
    if (a.index != b.index) return a.index < b.index;
    switch (rules->tie) {
    case AP_TIE_MIN_TIME: return times < 0;
    case AP_TIE_MAX_TIME: return times > 0;
    case AP_TIE_LOWEST_TRIAL: return false;
    case AP_TIE_HIGHEST_TRIAL:
    case AP_TIES: break;
    }
    return true;
}

/* ---- one study */

static bool is_same_study(const ap_trial *a, const ap_trial *b) {
    return a->submission == b->submission && a->workload == b->workload && !strcmp(a->study, b->study);
}

static void count_hit(ap_study *study, ap_hit hit) {
    if (hit.index < 0) return;
    study->trials_hit++;
    if (hit.time < study->fastest) study->fastest = hit.time;
    if (hit.index != study->hit.index) return;
    study->tied++;
    if (study->tied == 1 || hit.time < study->tied_min) study->tied_min = hit.time;
    if (study->tied == 1 || hit.time > study->tied_max) study->tied_max = hit.time;
}

static ap_study read_study(const ap_trials *trials, const ap_hit *hits, const ap_rules *rules, size_t first) {
    const ap_trial *trial = &trials->trial[first];
    ap_study study = {.submission = trial->submission,
                      .workload = trial->workload,
                      .first = first,
                      .best = trials->n,
                      .hit = {AP_HIT_NONE, INFINITY},
                      .tied_min = INFINITY,
                      .tied_max = INFINITY,
                      .fastest = INFINITY};
    for (size_t i = first; i < trials->n && is_same_study(trial, &trials->trial[i]); i++) {
        study.span++;
        if (hits[i].index == AP_HIT_LEFT_OUT) continue;
        study.trials++;
        study.trials_running += trials->trial[i].running;
        if (!ap_hit_is_better(rules, hits[i], study.hit)) continue;
        study.hit = hits[i];
        study.best = i;
    }
    for (size_t i = first; i < first + study.span; i++) count_hit(&study, hits[i]);
    return study;
}

ap_status ap_studies(const ap_trials *trials, const ap_hit *hits, const ap_rules *rules, ap_study **studies, size_t *n,
                     ap_error *error) {
    *studies = NULL;
    *n = 0;
    for (size_t i = 0; i < trials->n;) {
        ap_study *grown = ap_room_for_one(*studies, *n, sizeof *grown);
        if (!grown) {
            free(*studies);
            *studies = NULL;
            return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu studies", *n + 1);
        }
        *studies = grown;
        grown[*n] = read_study(trials, hits, rules, i);
        i += grown[*n].span;
        *n += grown[*n].trials > 0;
    }
    return AP_OK;
}

/* ---- over studies */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool any_nan(const double *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (isnan(values[i])) return true;
    return false;
}

double ap_median(double *values, size_t n) {
    if (!n || any_nan(values, n)) return NAN;
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double ap_over_studies_of(const ap_rules *rules, double *values, size_t n) {
    if (rules->over == AP_MEDIAN || !n || any_nan(values, n)) return ap_median(values, n);
    double sum = 0, smallest = INFINITY;
    for (size_t i = 0; i < n; i++) {
        sum += values[i];
        if (values[i] < smallest) smallest = values[i];
    }
    return rules->over == AP_MEAN ? sum / (double)n : smallest;
}
