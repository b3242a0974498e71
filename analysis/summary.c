#include "analysis/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one trial */

static bool is_better_value(const ap_target *target, double a, double b) {
    return isnan(b) || (target->maximise ? a > b : a < b);
}

ap_trial_summary ap_trial_summarise(const ap_trial *trial, const ap_target *target) {
    ap_trial_summary s = {.best = NAN, .best_time_s = NAN, .target_time_s = INFINITY};
    size_t first_nan = trial->rows;
    for (size_t i = trial->rows; i-- > 0;) { /* backwards: what is met last is first */
        const ap_trial_row *row = &trial->row[i];
        if (isnan(row->validation)) first_nan = i;
        if (!ap_target_is_reached(target, row->validation)) continue;
        s.reached = true;
        s.target_time_s = row->submission_s;
    }
    for (size_t i = 0; i < trial->rows && first_nan > 0; i++) {
        if (isnan(trial->row[i].validation) || !is_better_value(target, trial->row[i].validation, s.best)) continue;
        s.best = trial->row[i].validation;
        s.best_time_s = trial->row[i].submission_s;
    }
    if (first_nan < trial->rows) s.best_time_s = trial->row[first_nan].submission_s;
    return s;
}

/* ---- seconds a step */

static size_t add_quotients(const ap_trial *trial, double *quotient) {
    size_t n = 0;
    double time = 0, step = 0;
    for (size_t i = 0; i < trial->rows; i++) {
        double next_time = trial->row[i].submission_s, next_step = (double)trial->row[i].step;
        double q = (next_time - time) / (next_step - step);
        if (!isnan(q)) quotient[n++] = q;
        time = next_time;
        step = next_step;
    }
    return n;
}

ap_status ap_step_seconds(const ap_trials *trials, const ap_targets *targets, double **step_s, ap_error *error) {
    size_t pairs = trials->submissions.n * targets->n, rows = 0;
    for (size_t i = 0; i < trials->n; i++) rows += trials->trial[i].rows;
    double *quotient = malloc((rows + 1) * sizeof *quotient), *median = malloc((pairs + 1) * sizeof *median);
    *step_s = median;
    if (!quotient || !median) {
        free(quotient);
        free(median);
        *step_s = NULL;
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for the step times of %zu evaluations", rows);
    }
    for (size_t i = 0; i < pairs; i++) median[i] = NAN;
    for (size_t i = 0; i < trials->n;) {
        size_t submission = trials->trial[i].submission, workload = trials->trial[i].workload, n = 0;
        for (; i < trials->n && trials->trial[i].submission == submission && trials->trial[i].workload == workload; i++)
            n += add_quotients(&trials->trial[i], quotient + n);
        median[submission * targets->n + workload] = ap_median(quotient, n);
    }
    free(quotient);
    return AP_OK;
}

/* ---- are steps counted in the same unit? */

double ap_step_ratio(const ap_leaderboard *board, size_t submission, size_t workload) {
    enum { MOST = 1024 };
    double others[MOST], mine = board->step_s[submission * board->targets.n + workload];
    size_t n = 0;
    for (size_t s = 0; s < board->trials.submissions.n && n < MOST; s++) {
        double step = board->step_s[s * board->targets.n + workload];
        if (s != submission && step > 0 && isfinite(step)) others[n++] = step;
    }
    if (!n || !(mine > 0) || isinf(mine)) return 1;
    double ratio = mine / ap_median(others, n);
    return ratio < 1 ? 1 / ratio : ratio;
}

bool ap_counts_other_steps(const ap_leaderboard *board, size_t submission) {
    for (size_t c = 0; c < board->scores->columns; c++)
        if (ap_step_ratio(board, submission, board->scores->workload[c]) >= AP_OTHER_UNITS) return true;
    return false;
}
