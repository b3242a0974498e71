#include "analysis/bootstrap.h"

#include "base/checked.h"
#include "base/log.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is sampled: the hits of one submission as a table [studies x trials x columns] */

typedef struct units {
    size_t studies, trials; /* trials: the most that a study has */
    const char **study;     /* [studies] names, borrowed */
    size_t *in_study;       /* [studies] trials of each */
    const ap_trial **trial; /* [studies x trials] one with that name, in the order of the list */
    ap_hit *hit;            /* [studies x trials x columns]; AP_HIT_LEFT_OUT where there is no such trial */
} units;

static void free_units(units *u) {
    free(u->study);
    free(u->in_study);
    free(u->trial);
    free(u->hit);
}

static int by_study(const void *a, const void *b) {
    return strverscmp(*(const char *const *)a, *(const char *const *)b);
}
/* The list's order among the trials of a study. */
static int by_trial(const void *a, const void *b) {
    const ap_trial *x = *(const ap_trial *const *)a, *y = *(const ap_trial *const *)b;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    int names = strcmp(x->name, y->name);
    return names ? names : strcmp(x->source, y->source);
}

static size_t study_index(const units *u, const char *name) {
    size_t i = 0;
    while (i < u->studies && strcmp(u->study[i], name)) i++;
    return i;
}

/* Is the trial scored at all? Its column; scores->columns if not. */
static size_t column_of(const ap_scores *scores, const ap_trial *trial) {
    size_t c = 0;
    while (c < scores->columns && scores->workload[c] != trial->workload) c++;
    return c;
}

static ap_status find_studies(const ap_leaderboard *board, size_t submission, units *u, ap_error *error) {
    for (size_t i = 0; i < board->trials.n; i++) {
        const ap_trial *trial = &board->trials.trial[i];
        if (trial->submission != submission || column_of(board->scores, trial) == board->scores->columns) continue;
        if (study_index(u, trial->study) < u->studies) continue;
        const char **grown = ap_room_for_one(u->study, u->studies, sizeof *grown);
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the studies of a submission");
        u->study = grown;
        u->study[u->studies++] = trial->study;
    }
    if (u->studies) qsort(u->study, u->studies, sizeof *u->study, by_study);
    return AP_OK;
}

/* Adds the trial's name to its study if it is new; `room` trials fit into each study. */
static void add_trial(units *u, size_t room, const ap_trial *trial) {
    size_t study = study_index(u, trial->study), n = u->in_study[study];
    for (size_t i = 0; i < n; i++)
        if (!by_trial(&u->trial[study * room + i], &trial)) return;
    u->trial[study * room + n] = trial;
    u->in_study[study]++;
}

/* The most trials that one study can have in all its workloads together. */
static size_t most_trials(const ap_leaderboard *board, size_t submission, const units *u) {
    size_t most = 0;
    for (size_t s = 0; s < u->studies; s++) {
        size_t n = 0;
        for (size_t i = 0; i < board->trials.n; i++)
            n += board->trials.trial[i].submission == submission && !strcmp(board->trials.trial[i].study, u->study[s]);
        if (n > most) most = n;
    }
    return most;
}

static void fill_hits(const ap_leaderboard *board, size_t submission, units *u) {
    size_t columns = board->scores->columns;
    for (size_t i = 0; i < u->studies * u->trials * columns; i++) u->hit[i] = (ap_hit){AP_HIT_LEFT_OUT, INFINITY};
    for (size_t i = 0; i < board->trials.n; i++) {
        const ap_trial *trial = &board->trials.trial[i];
        size_t column = column_of(board->scores, trial);
        if (trial->submission != submission || column == columns) continue;
        size_t study = study_index(u, trial->study), t = 0;
        while (by_trial(&u->trial[study * u->trials + t], &trial)) t++;
        u->hit[(study * u->trials + t) * columns + column] = board->hits[i];
    }
}

static ap_status make_units(const ap_leaderboard *board, size_t submission, units *u, ap_error *error) {
    AP_TRY(find_studies(board, submission, u, error));
    u->trials = most_trials(board, submission, u);
    size_t cells = 0;
    bool fine = ap_size_mul(u->studies, u->trials, &cells);
    u->in_study = calloc(u->studies + 1, sizeof *u->in_study);
    u->trial = fine ? calloc(cells + 1, sizeof *u->trial) : NULL;
    fine = fine && ap_size_mul(cells, board->scores->columns, &cells);
    u->hit = fine ? calloc(cells + 1, sizeof *u->hit) : NULL;
    if (!u->in_study || !u->trial || !u->hit)
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for resampling %zu studies of %zu trials", u->studies,
                       u->trials);
    for (size_t i = 0; i < board->trials.n; i++) {
        const ap_trial *trial = &board->trials.trial[i];
        if (trial->submission == submission && column_of(board->scores, trial) < board->scores->columns)
            add_trial(u, u->trials, trial);
    }
    for (size_t s = 0; s < u->studies; s++) qsort(u->trial + s * u->trials, u->in_study[s], sizeof *u->trial, by_trial);
    fill_hits(board, submission, u);
    return AP_OK;
}

/* ---- one resample */

typedef struct sampler {
    const ap_leaderboard *board;
    units *units;  /* [submissions] */
    bool *drawn;   /* [most trials] is the trial among those drawn? How often does not matter: the best one counts */
    double *times; /* [columns x most studies] of the studies drawn */
    size_t *n;     /* [columns] how many of them exist for the workload */
    size_t most;   /* studies */
    bool studies_only;
    ap_scores *scores;
} sampler;

static size_t draw(const ap_random *stream, uint64_t *element, size_t n) {
    return (size_t)((uint64_t)ap_random_bits(stream, (*element)++) * n >> 32);
}

/* Best of the drawn trials of one study on one workload. false: none of them exists there. */
static bool best_drawn(const sampler *s, const units *u, size_t study, size_t column, double *time) {
    ap_hit best = {AP_HIT_NONE, INFINITY};
    bool exists = false;
    const ap_hit *hit = &u->hit[study * u->trials * s->board->scores->columns + column];
    for (size_t t = 0; t < u->in_study[study]; t++, hit += s->board->scores->columns) {
        if (!s->drawn[t] || hit->index == AP_HIT_LEFT_OUT) continue;
        exists = true;
        if (ap_hit_is_better(&s->board->rules, *hit, best)) best = *hit;
    }
    *time = best.time;
    return exists;
}

static void resample_submission(sampler *s, size_t submission, const ap_random *stream) {
    const units *u = &s->units[submission];
    size_t columns = s->scores->columns;
    uint64_t element = 0;
    memset(s->n, 0, columns * sizeof *s->n);
    for (size_t i = 0; i < u->studies; i++) {
        size_t study = draw(stream, &element, u->studies);
        memset(s->drawn, 0, u->trials * sizeof *s->drawn);
        for (size_t t = 0; t < u->in_study[study]; t++)
            s->drawn[s->studies_only ? t : draw(stream, &element, u->in_study[study])] = true;
        for (size_t c = 0; c < columns; c++) s->n[c] += best_drawn(s, u, study, c, &s->times[c * s->most + s->n[c]]);
    }
    for (size_t c = 0; c < columns; c++)
        s->scores->time[submission * columns + c] =
            ap_over_studies_of(&s->board->rules, &s->times[c * s->most], s->n[c]);
}

static void resample(sampler *s, uint64_t seed, size_t number) {
    for (size_t i = 0; i < s->scores->submissions; i++) {
        ap_random stream = ap_random_stream(seed, AP_RANDOM_BOOTSTRAP, number, (uint32_t)i);
        resample_submission(s, i, &stream);
    }
    ap_scores_compute(s->scores, &s->board->rules);
}

/* ---- what the resamples say */

/* Scores are sums: equal ones may differ in the last bits (rules 5). */
static int compare_scores(double a, double b) {
    return (a > b + 1e-12) - (a < b - 1e-12);
}

static void count(const sampler *s, ap_confidence *c, double *score, double *rank) {
    size_t n = c->submissions;
    for (size_t a = 0; a < n; a++) {
        score[a] = s->scores->score[a];
        rank[a] = 1;
        for (size_t b = 0; b < n; b++) {
            int order = compare_scores(s->scores->score[a], s->scores->score[b]);
            rank[a] += order < 0;
            c->beats[a * n + b] += order > 0 ? 1 : order == 0 ? 0.5 : 0;
        }
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Percentiles of column `i` of `table` ([resamples x submissions]) by nearest rank, outwards. */
static void percentiles(const ap_confidence *c, const double *table, size_t i, double *sorted, double *low,
                        double *high) {
    for (size_t r = 0; r < c->options.resamples; r++) sorted[r] = table[r * c->submissions + i];
    qsort(sorted, c->options.resamples, sizeof *sorted, by_value);
    size_t below = (size_t)floor((1 - c->options.level) / 2 * (double)c->options.resamples);
    *low = sorted[below];
    *high = sorted[c->options.resamples - 1 - below];
}

static double deviation(const double *values, size_t n) {
    double mean = 0, sum = 0;
    for (size_t i = 0; i < n; i++) mean += values[i] / (double)n;
    for (size_t i = 0; i < n; i++) sum += (values[i] - mean) * (values[i] - mean);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : 0;
}

static void conclude(ap_confidence *c, const double *score, const double *rank, double *sorted) {
    for (size_t i = 0; i < c->submissions; i++) {
        percentiles(c, rank, i, sorted, &c->rank_low[i], &c->rank_high[i]);
        percentiles(c, score, i, sorted, &c->low[i], &c->high[i]);
        c->error[i] = deviation(sorted, c->options.resamples);
    }
    for (size_t i = 0; i < c->submissions * c->submissions; i++) c->beats[i] /= (double)c->options.resamples;
}

/* ---- all of it */

void ap_confidence_free(ap_confidence *c) {
    free(c->low);
    free(c->high);
    free(c->rank_low);
    free(c->rank_high);
    free(c->error);
    free(c->beats);
    *c = (ap_confidence){0};
}

static double *new_row(size_t n) {
    return calloc(n + 1, sizeof(double));
}

static bool make_confidence(ap_confidence *c) {
    size_t n = c->submissions;
    return (c->low = new_row(n)) && (c->high = new_row(n)) && (c->rank_low = new_row(n)) &&
           (c->rank_high = new_row(n)) && (c->error = new_row(n)) && (c->beats = new_row(n * n));
}

static ap_status make_sampler(sampler *s, ap_error *error) {
    size_t most_trials_ = 0, n = s->board->trials.submissions.n, columns = s->board->scores->columns;
    s->units = calloc(n + 1, sizeof *s->units);
    if (!s->units) return ap_fail(error, AP_ENVIRONMENT, "out of memory for resampling");
    for (size_t i = 0; i < n; i++) {
        AP_TRY(make_units(s->board, i, &s->units[i], error));
        if (s->units[i].studies > s->most) s->most = s->units[i].studies;
        if (s->units[i].trials > most_trials_) most_trials_ = s->units[i].trials;
    }
    s->drawn = calloc(most_trials_ + 1, sizeof *s->drawn);
    s->times = new_row(columns * s->most + 1);
    s->n = calloc(columns + 1, sizeof *s->n);
    if (!s->drawn || !s->times || !s->n) return ap_fail(error, AP_ENVIRONMENT, "out of memory for resampling");
    return ap_scores_create(&s->board->targets, n, &s->scores, error);
}

static void free_sampler(sampler *s) {
    for (size_t i = 0; s->units && i < s->board->trials.submissions.n; i++) free_units(&s->units[i]);
    free(s->units);
    free(s->drawn);
    free(s->times);
    free(s->n);
    ap_scores_free(s->scores);
}

static ap_status run(sampler *s, ap_confidence *c, ap_error *error) {
    size_t cells = 0;
    AP_TRY(make_sampler(s, error));
    bool fine = ap_size_mul(c->options.resamples, c->submissions, &cells);
    double *score = fine ? new_row(cells) : NULL, *rank = fine ? new_row(cells) : NULL,
           *sorted = new_row(c->options.resamples);
    fine = score && rank && sorted;
    for (size_t r = 0; fine && r < c->options.resamples; r++) {
        if (r % 256 == 0) ap_log_live("bootstrap: %zu of %zu resamples", r, c->options.resamples);
        resample(s, c->options.seed, r);
        count(s, c, score + r * c->submissions, rank + r * c->submissions);
    }
    ap_log_live_end();
    if (fine) conclude(c, score, rank, sorted);
    free(score);
    free(rank);
    free(sorted);
    return fine ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu resamples", c->options.resamples);
}

ap_status ap_bootstrap(const ap_leaderboard *board, const ap_bootstrap_options *options, ap_confidence *confidence,
                       ap_error *error) {
    *confidence = (ap_confidence){.options = *options, .submissions = board->trials.submissions.n};
    sampler s = {.board = board, .studies_only = options->studies_only};
    ap_status status = make_confidence(confidence) ? run(&s, confidence, error)
                                                   : ap_fail(error, AP_ENVIRONMENT, "out of memory for the intervals");
    free_sampler(&s);
    if (status != AP_OK) ap_confidence_free(confidence);
    return status;
}
