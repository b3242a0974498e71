#include "analysis/score.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one time per study */

ap_hit ap_trial_hit(const ap_trial *trial, const ap_target *target) {
    for (size_t i = 0; i < trial->rows; i++)
        if (ap_target_is_reached(target, trial->row[i].validation))
            return (ap_hit){.index = (int64_t)i, .time_s = trial->row[i].score_s};
    return (ap_hit){.index = -1, .time_s = INFINITY};
}

/* The order of 3.2: smallest index, not smallest time; the time only among equal indices, one that is not known last.
 * What is equal in both is decided by the trial number, which is the order of the list. */
static bool is_better(ap_hit a, ap_hit b) {
    if (a.index < 0 || b.index < 0) return a.index >= 0 && b.index < 0;
    if (a.index != b.index) return a.index < b.index;
    return a.time_s < b.time_s || (!isnan(a.time_s) && isnan(b.time_s));
}

static bool is_same_study(const ap_trial *a, const ap_trial *b) {
    return a->submission == b->submission && a->workload == b->workload && !strcmp(a->study, b->study);
}

static ap_study read_study(const ap_trials *trials, const ap_targets *targets, size_t first) {
    const ap_trial *trial = &trials->trial[first];
    ap_study study = {.submission = trial->submission, .workload = trial->workload, .first = first, .best = trials->n};
    study.hit = (ap_hit){.index = -1, .time_s = INFINITY};
    for (size_t i = first; i < trials->n && is_same_study(trial, &trials->trial[i]); i++) {
        ap_hit hit = ap_trial_hit(&trials->trial[i], &targets->target[trial->workload]);
        study.trials++;
        study.trials_hit += hit.index >= 0;
        study.trials_running += trials->trial[i].running;
        if (!is_better(hit, study.hit)) continue;
        study.hit = hit;
        study.best = i;
    }
    return study;
}

ap_status ap_studies(const ap_trials *trials, const ap_targets *targets, ap_study **studies, size_t *n,
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
        grown[*n] = read_study(trials, targets, i);
        i += grown[*n].trials;
        ++*n;
    }
    return AP_OK;
}

/* ---- median */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ap_median(double *values, size_t n) {
    if (!n) return NAN;
    for (size_t i = 0; i < n; i++)
        if (isnan(values[i])) return NAN;
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- tables */

void ap_scores_free(ap_scores *scores) {
    if (!scores) return;
    free(scores->workload);
    free(scores->base);
    free(scores->time_s);
    free(scores->best_s);
    free(scores->final_s);
    free(scores->ratio);
    free(scores->profile);
    free(scores->score);
    free(scores->exact);
    free(scores->rank);
    free(scores);
}

/* Base workloads first, then the held-out ones, whose `base` is turned from an index of the targets into a column. */
static void set_columns(ap_scores *scores, const ap_targets *targets) {
    size_t c = 0;
    for (size_t i = 0; i < targets->n; i++)
        if (targets->target[i].role == AP_ROLE_BASE) scores->workload[c++] = i;
    for (size_t i = 0; i < targets->n; i++)
        if (targets->target[i].role == AP_ROLE_HELD_OUT) scores->workload[c++] = i;
    for (c = 0; c < scores->columns; c++)
        for (size_t b = 0; b < scores->bases; b++)
            if (scores->workload[b] == targets->target[scores->workload[c]].base) scores->base[c] = b;
}

static double *new_table(size_t rows, size_t columns, bool *fine) {
    size_t n = 0;
    double *table = ap_size_mul(rows, columns, &n) ? calloc(n + 1, sizeof *table) : NULL;
    if (!table) *fine = false;
    for (size_t i = 0; table && i < n; i++) table[i] = NAN;
    return table;
}

ap_status ap_scores_create(const ap_targets *targets, size_t submissions, ap_scores **out, ap_error *error) {
    ap_scores *scores = *out = calloc(1, sizeof *scores);
    if (!scores) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the score table");
    scores->submissions = submissions;
    for (size_t i = 0; i < targets->n; i++) {
        scores->bases += targets->target[i].role == AP_ROLE_BASE;
        scores->columns += targets->target[i].role != AP_ROLE_OTHER;
    }
    bool fine = true;
    scores->workload = calloc(scores->columns + 1, sizeof *scores->workload);
    scores->base = calloc(scores->columns + 1, sizeof *scores->base);
    scores->rank = calloc(submissions + 1, sizeof *scores->rank);
    scores->time_s = new_table(submissions, scores->columns, &fine);
    scores->best_s = new_table(1, scores->columns, &fine);
    scores->final_s = new_table(submissions, scores->columns, &fine);
    scores->ratio = new_table(submissions, scores->bases, &fine);
    scores->profile = new_table(submissions, AP_TAUS, &fine);
    scores->score = new_table(submissions, 1, &fine);
    scores->exact = new_table(submissions, 1, &fine);
    if (!fine || !scores->workload || !scores->base || !scores->rank) {
        ap_scores_free(scores);
        *out = NULL;
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for the scores of %zu submissions", submissions);
    }
    set_columns(scores, targets);
    return AP_OK;
}

/* The column of a workload; `columns` if it is not scored. */
static size_t column_of(const ap_scores *scores, size_t workload) {
    size_t c = 0;
    while (c < scores->columns && scores->workload[c] != workload) c++;
    return c;
}

ap_status ap_scores_set_times(ap_scores *scores, const ap_study *studies, size_t n, ap_error *error) {
    double *times = malloc((n + 1) * sizeof *times);
    if (!times) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu studies", n);
    for (size_t i = 0; i < n;) {
        size_t submission = studies[i].submission, workload = studies[i].workload, count = 0;
        for (; i < n && studies[i].submission == submission && studies[i].workload == workload; i++)
            times[count++] = studies[i].hit.time_s;
        size_t column = column_of(scores, workload);
        if (column < scores->columns) scores->time_s[submission * scores->columns + column] = ap_median(times, count);
    }
    free(times);
    return AP_OK;
}

/* ---- steps A to C (4.2 to 4.4): `t` is [submissions x columns] and changed in place */

/* Minimum of one column, NaN left out; INFINITY if nothing is left. */
static double column_minimum(const double *table, size_t rows, size_t columns, size_t column) {
    double best = INFINITY;
    for (size_t s = 0; s < rows; s++)
        if (table[s * columns + column] < best) best = table[s * columns + column];
    return best;
}

static bool is_missed(double time) {
    return isnan(time) || isinf(time);
}

/* Step A: a held-out time only counts with its base. Before step B, since it decides who may set the 4x limit. */
static void drop_held_out_without_base(const ap_scores *scores, double *t) {
    for (size_t s = 0; s < scores->submissions; s++, t += scores->columns)
        for (size_t h = scores->bases; h < scores->columns; h++)
            if (is_missed(t[scores->base[h]])) t[h] = INFINITY;
}

/* Step B: strictly more than four times the fastest is a miss; exactly four times is not. */
static void apply_4x_rule(ap_scores *scores, double *t) {
    for (size_t c = 0; c < scores->columns; c++) {
        scores->best_s[c] = column_minimum(t, scores->submissions, scores->columns, c);
        for (size_t s = 0; s < scores->submissions; s++) {
            double *time = &t[s * scores->columns + c];
            if (*time > 4 * scores->best_s[c]) *time = INFINITY;
        }
    }
}

/* Step C: a held-out workload that was missed, or never run, takes the base workload away. */
static void take_bases_away(const ap_scores *scores, double *t) {
    for (size_t s = 0; s < scores->submissions; s++, t += scores->columns)
        for (size_t h = scores->bases; h < scores->columns; h++)
            if (is_missed(t[h])) t[scores->base[h]] = INFINITY;
}

/* ---- ratios, profile, score (4.5, 5) */

/* The fastest that is left has exactly 1, also where its time is 0. */
static double ratio_to(double time, double best) {
    if (isinf(time)) return INFINITY;
    return time == best ? 1 : time / best;
}

static void compute_ratios(ap_scores *scores) {
    for (size_t b = 0; b < scores->bases; b++) {
        double best = column_minimum(scores->final_s, scores->submissions, scores->columns, b);
        for (size_t s = 0; s < scores->submissions; s++)
            scores->ratio[s * scores->bases + b] = ratio_to(scores->final_s[s * scores->columns + b], best);
    }
}

double ap_tau(int k) {
    const double step = 3.0 / (AP_TAUS - 1);
    return k == AP_TAUS - 1 ? 4.0 : k * step + 1.0;
}

double ap_profile_at(const ap_scores *scores, size_t submission, double tau) {
    size_t within = 0;
    for (size_t b = 0; b < scores->bases; b++) within += scores->ratio[submission * scores->bases + b] <= tau;
    return (double)within / (double)scores->bases;
}

static double trapezoid(const double *profile) {
    double sum = 0;
    for (int k = 0; k < AP_TAUS - 1; k++) sum += (ap_tau(k + 1) - ap_tau(k)) * (profile[k] + profile[k + 1]) / 2;
    return sum / 3;
}

static double exact_integral(const double *ratio, size_t bases) {
    double sum = 0;
    for (size_t b = 0; b < bases; b++)
        if (ratio[b] < 4) sum += (4 - ratio[b]) / 3;
    return sum / (double)bases;
}

/* Insertion sort: few submissions, and stable, so that equal scores stay alphabetical. */
static void rank(ap_scores *scores) {
    for (size_t i = 0; i < scores->submissions; i++) {
        size_t j = i;
        for (; j > 0 && scores->score[scores->rank[j - 1]] < scores->score[i]; j--)
            scores->rank[j] = scores->rank[j - 1];
        scores->rank[j] = i;
    }
}

void ap_scores_compute(ap_scores *scores) {
    memcpy(scores->final_s, scores->time_s, scores->submissions * scores->columns * sizeof *scores->final_s);
    drop_held_out_without_base(scores, scores->final_s);
    apply_4x_rule(scores, scores->final_s);
    take_bases_away(scores, scores->final_s);
    compute_ratios(scores);
    for (size_t s = 0; s < scores->submissions; s++) {
        for (int k = 0; k < AP_TAUS; k++)
            scores->profile[s * AP_TAUS + (size_t)k] = ap_profile_at(scores, s, ap_tau(k));
        scores->score[s] = trapezoid(&scores->profile[s * AP_TAUS]);
        scores->exact[s] = exact_integral(&scores->ratio[s * scores->bases], scores->bases);
    }
    rank(scores);
}

/* ---- why no credit */

ap_loss_of_credit ap_scores_loss(const ap_scores *scores, size_t submission, size_t column) {
    double time = scores->time_s[submission * scores->columns + column];
    if (isnan(time)) return AP_LOST_NO_DATA;
    if (isinf(time)) return AP_LOST_NOT_REACHED;
    return time > 4 * scores->best_s[column] ? AP_LOST_OVER_4X : AP_CREDIT_KEPT;
}
