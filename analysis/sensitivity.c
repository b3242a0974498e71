#include "analysis/sensitivity.h"

#include "base/log.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const ap_change_group_names[AP_CHANGE_GROUPS] = {
    [AP_CHANGE_TARGET] = "target",
    [AP_CHANGE_BUDGET] = "budget",
    [AP_CHANGE_LIMIT] = "4x rule",
    [AP_CHANGE_TIE] = "tie rule",
    [AP_CHANGE_BEST_TRIAL] = "best trial",
    [AP_CHANGE_OVER_STUDIES] = "over studies",
    [AP_CHANGE_HELD_OUT] = "held-out rule",
    [AP_CHANGE_GRID] = "profile grid",
    [AP_CHANGE_STUDY] = "study left out",
    [AP_CHANGE_ONE_STUDY] = "one study of one submission left out",
    [AP_CHANGE_TRIAL] = "trial left out",
    [AP_CHANGE_ONE_TRIAL] = "one trial of one study left out",
    [AP_CHANGE_SUBMISSION] = "submission left out",
    [AP_CHANGE_WORKLOAD] = "workload left out",
};

void ap_sensitivity_free(ap_sensitivity *s) {
    for (size_t i = 0; i < s->n; i++) free(s->change[i].score);
    free(s->change);
    *s = (ap_sensitivity){0};
}

size_t ap_rank_of(const double *score, size_t submissions, size_t submission) {
    size_t rank = 1;
    if (isnan(score[submission])) return 0;
    for (size_t i = 0; i < submissions; i++) rank += score[i] > score[submission] + 1e-12;
    return rank;
}

size_t ap_pairs_swapped(const double *before, const double *after, size_t submissions) {
    size_t n = 0;
    for (size_t a = 0; a < submissions; a++)
        for (size_t b = 0; b < submissions; b++) n += before[a] > before[b] + 1e-12 && after[a] < after[b] - 1e-12;
    return n;
}

/* ---- one change */

typedef struct run {
    const ap_leaderboard *board;
    ap_sensitivity *out;
    ap_hit *hits; /* [trials] scratch */
} run;

/* Room for the next change's scores, and its name. */
static ap_status begin(run *r, ap_change_group group, ap_error *error, const char *format, ...) AP_PRINTF(4, 5);
static ap_status begin(run *r, ap_change_group group, ap_error *error, const char *format, ...) {
    ap_change *grown = ap_room_for_one(r->out->change, r->out->n, sizeof *grown);
    if (grown) r->out->change = grown;
    double *score = grown ? calloc(r->out->submissions + 1, sizeof *score) : NULL;
    if (!score) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu changes", r->out->n + 1);
    ap_change *change = &grown[r->out->n++];
    *change = (ap_change){.group = group, .score = score};
    va_list args;
    va_start(args, format);
    vsnprintf(change->what, sizeof change->what, format, args);
    va_end(args);
    if (r->out->n % 16 == 0) ap_log_live("sensitivity: %zu changes", r->out->n);
    return AP_OK;
}

/* Scores the last change: these hits, rules and targets (of the same workloads; roles may differ). */
static ap_status score(run *r, const ap_hit *hits, const ap_rules *rules, const ap_targets *targets, ap_error *error) {
    double *out = r->out->change[r->out->n - 1].score;
    ap_study *studies = NULL;
    ap_scores *scores = NULL;
    size_t n = 0;
    ap_status status;
    AP_TRY_GOTO(status, ap_studies(&r->board->trials, hits, rules, &studies, &n, error), done);
    AP_TRY_GOTO(status, ap_scores_create(targets, r->out->submissions, &scores, error), done);
    AP_TRY_GOTO(status, ap_scores_set_times(scores, studies, n, rules, error), done);
    ap_scores_compute(scores, rules);
    memcpy(out, scores->score, r->out->submissions * sizeof *out);
done:
    ap_scores_free(scores);
    free(studies);
    return status;
}

/* A change of rules; the hits are found anew. */
static ap_status score_rules(run *r, const ap_rules *rules, ap_error *error) {
    ap_hit *hits;
    AP_TRY(ap_hits(&r->board->trials, &r->board->targets, rules, &hits, error));
    ap_status status = score(r, hits, rules, &r->board->targets, error);
    free(hits);
    return status;
}

/* ---- changes of the rules */

static ap_status change_targets(run *r, ap_error *error) {
    static const double shares[] = {-0.05, -0.02, -0.01, -0.005, 0.005, 0.01, 0.02, 0.05};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        ap_rules rules = r->board->rules;
        rules.harder = shares[i];
        AP_TRY(
            begin(r, AP_CHANGE_TARGET, error, "%g %% %s", fabs(shares[i]) * 100, shares[i] < 0 ? "easier" : "harder"));
        AP_TRY(score_rules(r, &rules, error));
    }
    return AP_OK;
}

static ap_status change_budget(run *r, ap_error *error) {
    static const double shares[] = {1, 0.75, 0.5, 0.25};
    bool known = false;
    for (size_t w = 0; w < r->board->targets.n; w++)
        known |= !isnan(r->board->targets.target[w].budget_s[r->board->rules.ruleset]);
    for (size_t i = 0; known && i < sizeof shares / sizeof *shares; i++) {
        ap_rules rules = r->board->rules;
        rules.budget = shares[i];
        AP_TRY(begin(r, AP_CHANGE_BUDGET, error, "enforced at %g of it", shares[i]));
        AP_TRY(score_rules(r, &rules, error));
    }
    return AP_OK;
}

static ap_status change_limit(run *r, ap_error *error) {
    static const double limits[] = {2, 3, 5, 6, 8, INFINITY};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        ap_rules rules = r->board->rules;
        rules.limit = limits[i];
        if (isinf(limits[i]))
            AP_TRY(begin(r, AP_CHANGE_LIMIT, error, "none"));
        else
            AP_TRY(begin(r, AP_CHANGE_LIMIT, error, "%gx instead of 4x", limits[i]));
        AP_TRY(score(r, r->board->hits, &rules, &r->board->targets, error));
    }
    return AP_OK;
}

static ap_status change_rule(run *r, ap_change_group group, const ap_rules *rules, const char *what, ap_error *error) {
    AP_TRY(begin(r, group, error, "%s", what));
    return score(r, r->board->hits, rules, &r->board->targets, error);
}

static ap_status change_other_rules(run *r, ap_error *error) {
    for (int tie = AP_TIE_MIN_TIME + 1; tie < AP_TIES; tie++) {
        ap_rules rules = r->board->rules;
        rules.tie = (ap_tie)tie;
        AP_TRY(change_rule(r, AP_CHANGE_TIE, &rules, ap_tie_names[tie], error));
    }
    ap_rules by_time = r->board->rules, minimum = by_time, mean = by_time, none = by_time, forgiving = by_time;
    by_time.best_by_time = true;
    minimum.over = AP_MINIMUM;
    mean.over = AP_MEAN;
    none.no_held_out = true;
    forgiving.missing_held_out = true;
    AP_TRY(change_rule(r, AP_CHANGE_BEST_TRIAL, &by_time, "smallest time instead of earliest evaluation", error));
    AP_TRY(change_rule(r, AP_CHANGE_OVER_STUDIES, &minimum, "minimum instead of median", error));
    AP_TRY(change_rule(r, AP_CHANGE_OVER_STUDIES, &mean, "mean instead of median", error));
    if (r->board->scores->columns > r->board->scores->bases) {
        AP_TRY(change_rule(r, AP_CHANGE_HELD_OUT, &none, "none", error));
        AP_TRY(change_rule(r, AP_CHANGE_HELD_OUT, &forgiving, "one that was never run is no miss", error));
    }
    static const int points[] = {50, 1000, 0};
    static const char *const names[] = {"50 points", "1000 points", "exact integral"};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        ap_rules grid = r->board->rules;
        grid.taus = points[i];
        AP_TRY(change_rule(r, AP_CHANGE_GRID, &grid, names[i], error));
    }
    return AP_OK;
}

/* ---- something left out */

static const ap_trial *trial(const run *r, size_t i) {
    return &r->board->trials.trial[i];
}

static ap_status score_left(run *r, ap_error *error) {
    return score(r, r->hits, &r->board->rules, &r->board->targets, error);
}

/* Distinct names of studies or trials, of one submission or all. */
static ap_status names_of(const run *r, bool studies, size_t submission, ap_names *names, ap_error *error) {
    for (size_t i = 0; i < r->board->trials.n; i++)
        if (submission == r->out->submissions || trial(r, i)->submission == submission)
            AP_TRY(ap_names_add(names, studies ? trial(r, i)->study : trial(r, i)->name, NULL, error));
    return AP_OK;
}

/* Each study or trial name left out, of one submission (or everybody, if it is the number of submissions). */
static ap_status leave_out_names(run *r, bool studies, size_t submission, ap_error *error) {
    bool all = submission == r->out->submissions;
    ap_change_group group = !studies ? AP_CHANGE_TRIAL : all ? AP_CHANGE_STUDY : AP_CHANGE_ONE_STUDY;
    ap_names names = {0};
    ap_status status = names_of(r, studies, submission, &names, error);
    for (size_t k = 0; k < names.n && names.n > 1 && status == AP_OK; k++) {
        for (size_t i = 0; i < r->board->trials.n; i++) {
            const char *name = studies ? trial(r, i)->study : trial(r, i)->name;
            bool left_out = (all || trial(r, i)->submission == submission) && !strcmp(name, names.name[k]);
            r->hits[i] = left_out ? (ap_hit){AP_HIT_LEFT_OUT, INFINITY} : r->board->hits[i];
        }
        status = begin(r, group, error, "%.120s%s%.120s", all ? "" : r->board->trials.submissions.name[submission],
                       all ? "" : " ", names.name[k]);
        if (status == AP_OK) status = score_left(r, error);
    }
    ap_names_free(&names);
    return status;
}

static ap_status leave_out_best_trials(run *r, ap_error *error) {
    memcpy(r->hits, r->board->hits, r->board->trials.n * sizeof *r->hits);
    for (size_t i = 0; i < r->board->study_count; i++) {
        const ap_study *study = &r->board->studies[i];
        if (study->best == r->board->trials.n || r->board->targets.target[study->workload].role == AP_ROLE_OTHER)
            continue;
        const ap_trial *best = trial(r, study->best);
        r->hits[study->best] = (ap_hit){AP_HIT_LEFT_OUT, INFINITY};
        AP_TRY(begin(r, AP_CHANGE_ONE_TRIAL, error, "%.70s %.50s %.70s %.50s",
                     r->board->trials.submissions.name[best->submission], best->study,
                     r->board->targets.target[best->workload].workload, best->name));
        AP_TRY(score_left(r, error));
        r->hits[study->best] = r->board->hits[study->best];
    }
    return AP_OK;
}

static ap_status leave_out_submissions(run *r, ap_error *error) {
    for (size_t s = 0; s < r->out->submissions && r->out->submissions > 1; s++) {
        for (size_t i = 0; i < r->board->trials.n; i++)
            r->hits[i] = trial(r, i)->submission == s ? (ap_hit){AP_HIT_LEFT_OUT, INFINITY} : r->board->hits[i];
        AP_TRY(begin(r, AP_CHANGE_SUBMISSION, error, "%.200s", r->board->trials.submissions.name[s]));
        AP_TRY(score_left(r, error));
        r->out->change[r->out->n - 1].score[s] = NAN;
    }
    return AP_OK;
}

static ap_status leave_out_workloads(run *r, ap_error *error) {
    const ap_targets *targets = &r->board->targets;
    for (size_t b = 0; b < r->board->scores->bases && r->board->scores->bases > 1; b++) {
        size_t workload = r->board->scores->workload[b];
        ap_targets rest = *targets;
        if (!(rest.target = malloc(targets->n * sizeof *rest.target)))
            return ap_fail(error, AP_ENVIRONMENT, "out of memory for the workloads");
        memcpy(rest.target, targets->target, targets->n * sizeof *rest.target);
        for (size_t w = 0; w < rest.n; w++)
            if (w == workload || (rest.target[w].role == AP_ROLE_HELD_OUT && rest.target[w].base == workload))
                rest.target[w].role = AP_ROLE_OTHER;
        ap_status status = begin(r, AP_CHANGE_WORKLOAD, error, "%.200s", targets->target[workload].workload);
        if (status == AP_OK) status = score(r, r->board->hits, &r->board->rules, &rest, error);
        free(rest.target);
        AP_TRY(status);
    }
    return AP_OK;
}

/* ---- all of them */

static ap_status change_all(run *r, ap_error *error) {
    AP_TRY(change_targets(r, error));
    AP_TRY(change_budget(r, error));
    AP_TRY(change_limit(r, error));
    AP_TRY(change_other_rules(r, error));
    AP_TRY(leave_out_names(r, true, r->out->submissions, error));
    for (size_t s = 0; s < r->out->submissions; s++) AP_TRY(leave_out_names(r, true, s, error));
    AP_TRY(leave_out_names(r, false, r->out->submissions, error));
    AP_TRY(leave_out_best_trials(r, error));
    AP_TRY(leave_out_submissions(r, error));
    return leave_out_workloads(r, error);
}

ap_status ap_sensitivity_compute(const ap_leaderboard *board, ap_sensitivity *sensitivity, ap_error *error) {
    *sensitivity = (ap_sensitivity){.submissions = board->trials.submissions.n};
    run r = {.board = board, .out = sensitivity, .hits = malloc((board->trials.n + 1) * sizeof(ap_hit))};
    ap_status status = r.hits ? change_all(&r, error) : ap_fail(error, AP_ENVIRONMENT, "out of memory for the trials");
    ap_log_live_end();
    free(r.hits);
    if (status != AP_OK) ap_sensitivity_free(sensitivity);
    return status;
}
