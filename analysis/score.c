#include "analysis/score.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables */

void ap_scores_free(ap_scores *scores) {
    if (!scores) return;
    free(scores->workload);
    free(scores->base);
    free(scores->time);
    free(scores->best);
    free(scores->final);
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
    scores->time = new_table(submissions, scores->columns, &fine);
    scores->best = new_table(1, scores->columns, &fine);
    scores->final = new_table(submissions, scores->columns, &fine);
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

ap_status ap_scores_set_times(ap_scores *scores, const ap_study *studies, size_t n, const ap_rules *rules,
                              ap_error *error) {
    double *times = malloc((n + 1) * sizeof *times);
    if (!times) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu studies", n);
    for (size_t i = 0; i < scores->submissions * scores->columns; i++) scores->time[i] = NAN;
    for (size_t i = 0; i < n;) {
        size_t submission = studies[i].submission, workload = studies[i].workload, count = 0;
        for (; i < n && studies[i].submission == submission && studies[i].workload == workload; i++)
            if (!rules->first_studies || count < rules->first_studies) times[count++] = studies[i].hit.time;
        size_t column = column_of(scores, workload);
        if (column < scores->columns)
            scores->time[submission * scores->columns + column] = ap_over_studies_of(rules, times, count);
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

/* The same of a held-out workload; `forgiving`: one that was never run is no miss (not the published rule). */
static bool is_held_out_missed(double time, bool forgiving) {
    return isinf(time) || (isnan(time) && !forgiving);
}

/* Step A: a held-out time only counts with its base. Before step B, since it decides who may set the 4x limit. */
static void drop_held_out_without_base(const ap_scores *scores, bool forgiving, double *t) {
    for (size_t s = 0; s < scores->submissions; s++, t += scores->columns)
        for (size_t h = scores->bases; h < scores->columns; h++)
            if (is_missed(t[scores->base[h]]) && !(forgiving && isnan(t[h]))) t[h] = INFINITY;
}

/* Is `time` over `limit` times the fastest? Strictly: exactly four times is not. No limit: nothing is (and no best of 0
 * makes a NaN of it). */
static bool is_over(double time, double limit, double best) {
    return isfinite(limit) && time > limit * best;
}

/* Step B. */
static void apply_4x_rule(ap_scores *scores, double limit, double *t) {
    for (size_t c = 0; c < scores->columns; c++) {
        scores->best[c] = column_minimum(t, scores->submissions, scores->columns, c);
        for (size_t s = 0; s < scores->submissions; s++) {
            double *time = &t[s * scores->columns + c];
            if (is_over(*time, limit, scores->best[c])) *time = INFINITY;
        }
    }
}

/* Step C: a held-out workload that was missed, or never run, takes the base workload away. */
static void take_bases_away(const ap_scores *scores, bool forgiving, double *t) {
    for (size_t s = 0; s < scores->submissions; s++, t += scores->columns)
        for (size_t h = scores->bases; h < scores->columns; h++)
            if (is_held_out_missed(t[h], forgiving)) t[scores->base[h]] = INFINITY;
}

/* ---- ratios, profile, score (4.5, 5) */

/* The fastest that is left has exactly 1, also where its time is 0. */
static double ratio_to(double time, double best) {
    if (isinf(time)) return INFINITY;
    return time == best ? 1 : time / best;
}

static void compute_ratios(ap_scores *scores) {
    for (size_t b = 0; b < scores->bases; b++) {
        double best = column_minimum(scores->final, scores->submissions, scores->columns, b);
        for (size_t s = 0; s < scores->submissions; s++)
            scores->ratio[s * scores->bases + b] = ratio_to(scores->final[s * scores->columns + b], best);
    }
}

/* Point k of n; for 100 points bit-equal to the published grid. */
static double grid_point(int k, int n) {
    const double step = 3.0 / (n - 1);
    return k == n - 1 ? 4.0 : k * step + 1.0;
}

double ap_tau(int k) {
    return grid_point(k, AP_TAUS);
}

double ap_profile_at(const ap_scores *scores, size_t submission, double tau) {
    size_t within = 0;
    for (size_t b = 0; b < scores->bases; b++) within += scores->ratio[submission * scores->bases + b] <= tau;
    return (double)within / (double)scores->bases;
}

static double trapezoid(const ap_scores *scores, size_t submission, int taus) {
    double sum = 0, tau = 1, rho = ap_profile_at(scores, submission, tau);
    for (int k = 1; k < taus; k++) {
        double next_tau = grid_point(k, taus), next_rho = ap_profile_at(scores, submission, next_tau);
        sum += (next_tau - tau) * (rho + next_rho) / 2;
        tau = next_tau;
        rho = next_rho;
    }
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

void ap_scores_compute(ap_scores *scores, const ap_rules *rules) {
    scores->limit = rules->limit;
    memcpy(scores->final, scores->time, scores->submissions * scores->columns * sizeof *scores->final);
    if (!rules->no_held_out) drop_held_out_without_base(scores, rules->missing_held_out, scores->final);
    apply_4x_rule(scores, rules->limit, scores->final);
    if (!rules->no_held_out) take_bases_away(scores, rules->missing_held_out, scores->final);
    compute_ratios(scores);
    for (size_t s = 0; s < scores->submissions; s++) {
        for (int k = 0; k < AP_TAUS; k++)
            scores->profile[s * AP_TAUS + (size_t)k] = ap_profile_at(scores, s, ap_tau(k));
        scores->exact[s] = exact_integral(&scores->ratio[s * scores->bases], scores->bases);
        scores->score[s] = rules->taus ? trapezoid(scores, s, rules->taus) : scores->exact[s];
    }
    rank(scores);
}

bool ap_scores_credit(const ap_scores *scores, size_t submission, size_t base) {
    return scores->ratio[submission * scores->bases + base] <= 4;
}

/* ---- why no credit */

ap_loss_of_credit ap_scores_loss(const ap_scores *scores, size_t submission, size_t column) {
    double time = scores->time[submission * scores->columns + column];
    if (isnan(time)) return AP_LOST_NO_DATA;
    if (isinf(time)) return AP_LOST_NOT_REACHED;
    return is_over(time, scores->limit, scores->best[column]) ? AP_LOST_OVER_4X : AP_CREDIT_KEPT;
}
