/* What must hold for any leaderboard: properties of the rules on thousands of random tables. */
#include "scored.h"

#include "base/random.h"

enum { BASES = 4, COLUMNS = 7, MOST = 6, TABLES = 3000 };

/* w0 has two held-out workloads, w1 one, the others none. */
static const char table[] = "workload,role,base_workload,metric,direction,validation_target\n"
                            "w0,base,,loss,min,1\nw1,base,,loss,min,1\nw2,base,,loss,min,1\nw3,base,,loss,min,1\n"
                            "w0_v,held_out,w0,loss,min,1\nw0_u,held_out,w0,loss,min,1\nw1_v,held_out,w1,loss,min,1\n";

static ap_targets targets;
static const ap_rules *published(void) {
    static ap_rules rules;
    rules = ap_rules_published();
    return &rules;
}

static uint64_t drawn;
static double uniform(void) {
    const ap_random stream = ap_random_stream(11, AP_RANDOM_SYNTHETIC, 0, 0);
    return (double)ap_random_uniform(&stream, drawn++);
}
static size_t below(size_t n) {
    return (size_t)(uniform() * (double)n);
}

/* A time: mostly between 1 and 8, so that all rules bite; sometimes a miss, no data, or a tie with other times. */
static double random_time(void) {
    double kind = uniform();
    if (kind < 0.1) return INFINITY;
    if (kind < 0.15) return NAN;
    if (kind < 0.3) return (double)(1 + below(5)); /* exactly 4 times another, too */
    return exp(uniform() * log(8));
}

/* [submissions x COLUMNS] -> scores. */
static ap_scores *score_table(const double *times, size_t submissions) {
    ap_scores *scores;
    ap_error error;
    must(ap_scores_create(&targets, submissions, &scores, &error), &error);
    memcpy(scores->time, times, submissions * COLUMNS * sizeof *times);
    ap_scores_compute(scores, published());
    return scores;
}

static size_t random_table(double *times) {
    size_t n = 1 + below(MOST - 1);
    for (size_t i = 0; i < n * COLUMNS; i++) times[i] = random_time();
    return n;
}

static void begin(void) {
    ap_error error;
    must(ap_targets_parse(strdup(table), "table", &targets, &error), &error);
}

/* ---- scores are shares */

static void test_scores_are_between_0_and_1(void) {
    double times[MOST * COLUMNS];
    begin();
    for (int i = 0; i < TABLES; i++) {
        size_t n = random_table(times);
        ap_scores *s = score_table(times, n);
        for (size_t a = 0; a < n; a++) CHECK(s->score[a] >= 0 && s->score[a] <= 1 + 1e-12);
        for (size_t a = 0; a < n; a++) CHECK(fabs(s->score[a] - s->exact[a]) <= 1.0 / 198 + 1e-12);
        ap_scores_free(s);
    }
}

/* ---- order and unit do not matter */

static void test_order_of_submissions(void) {
    double times[MOST * COLUMNS], turned[MOST * COLUMNS];
    for (int i = 0; i < TABLES; i++) {
        size_t n = random_table(times), shift = below(n);
        for (size_t a = 0; a < n; a++)
            memcpy(turned + (a + shift) % n * COLUMNS, times + a * COLUMNS, COLUMNS * sizeof *times);
        ap_scores *s = score_table(times, n), *t = score_table(turned, n);
        for (size_t a = 0; a < n; a++) CHECK(s->score[a] == t->score[(a + shift) % n]);
        ap_scores_free(s);
        ap_scores_free(t);
    }
}

/* Every workload in a unit of its own: by powers of two bit for bit; by any factor up to rounding, which the exact
 * integral shows (the trapezoid may jump by one cell). */
static void test_unit_of_time(void) {
    double times[MOST * COLUMNS], scaled[MOST * COLUMNS], any[MOST * COLUMNS];
    for (int i = 0; i < TABLES; i++) {
        size_t n = random_table(times);
        for (size_t c = 0; c < COLUMNS; c++) {
            double power = ldexp(1, (int)below(40) - 20), factor = 0.1 + 1000 * uniform();
            for (size_t a = 0; a < n; a++) {
                scaled[a * COLUMNS + c] = power * times[a * COLUMNS + c];
                any[a * COLUMNS + c] = factor * times[a * COLUMNS + c];
            }
        }
        ap_scores *s = score_table(times, n), *t = score_table(scaled, n), *u = score_table(any, n);
        bool at_limit = false; /* exactly 4 times the fastest may fall on either side once it is rounded */
        for (size_t k = 0; k < n * COLUMNS; k++) at_limit |= times[k] == 4 * s->best[k % COLUMNS];
        for (size_t a = 0; a < n; a++) {
            CHECK(s->score[a] == t->score[a]);
            if (!at_limit) CHECK_NEAR(s->exact[a], u->exact[a], 1e-12);
        }
        ap_scores_free(s);
        ap_scores_free(t);
        ap_scores_free(u);
    }
}

/* ---- adding a submission
 *
 * "Adding a slower submission never raises another's score" is true if slower means: in no column, base or held-out,
 * faster than the fastest of the others (after step A). Then no limit of the 4x rule moves and nobody's credit does;
 * the new one can only become the fastest that is left where the faster ones lost their credit, which lowers ratios. It
 * is enough that one submission of the others is as fast in every column.
 *
 * It is false if slower means slower on the base workloads, or of a lower score: a new submission that is fast on a
 * held-out workload alone moves that limit, takes a base workload's fastest out, and raises everybody behind it. */

static double as_slow(double time) {
    return isnan(time) ? INFINITY : time;
}

static void test_slower_submission_raises_nobody(void) {
    double times[MOST * COLUMNS];
    for (int i = 0; i < TABLES; i++) {
        size_t n = random_table(times), model = below(n);
        for (size_t c = 0; c < COLUMNS; c++) {
            double slower = as_slow(times[model * COLUMNS + c]) * (1 + (uniform() < 0.3 ? 0 : uniform()));
            times[n * COLUMNS + c] = uniform() < 0.05 ? NAN : slower;
        }
        ap_scores *without = score_table(times, n), *with = score_table(times, n + 1);
        for (size_t a = 0; a < n; a++) {
            CHECK(with->score[a] <= without->score[a]);
            CHECK(with->exact[a] <= without->exact[a]);
            for (size_t b = 0; b < BASES; b++)
                CHECK(ap_scores_loss(with, a, b) == ap_scores_loss(without, a, b) &&
                      isinf(with->final[a * COLUMNS + b]) == isinf(without->final[a * COLUMNS + b]));
        }
        ap_scores_free(without);
        ap_scores_free(with);
    }
}

/* A slower one that earns nothing changes nothing. */
static void test_slower_submission_without_credit_changes_nothing(void) {
    double times[MOST * COLUMNS];
    for (int i = 0; i < TABLES; i++) {
        size_t n = random_table(times);
        for (size_t c = 0; c < COLUMNS; c++) times[n * COLUMNS + c] = uniform() < 0.5 ? NAN : INFINITY;
        ap_scores *without = score_table(times, n), *with = score_table(times, n + 1);
        for (size_t a = 0; a < n; a++) CHECK(with->score[a] == without->score[a]);
        ap_scores_free(without);
        ap_scores_free(with);
    }
}

static void test_slower_on_base_workloads_alone_can_raise(void) {
    enum { FAST, BEHIND, NEW };
    double times[3 * COLUMNS] = {[FAST * COLUMNS] = 10,   10, 10, 10, 10, 10, 10,
                                 [BEHIND * COLUMNS] = 20, 20, 20, 20, 4,  4,  10,
                                 [NEW * COLUMNS] = 60,    60, 60, 60, 1,  1,  10};
    ap_scores *without = score_table(times, 2), *with = score_table(times, 3);
    CHECK(with->score[NEW] < with->score[BEHIND]);
    CHECK(with->score[BEHIND] > without->score[BEHIND]); /* FAST lost w0: 10 s are over 4 x 1 s on w0_v */
    CHECK(with->score[FAST] < without->score[FAST]);
    ap_scores_free(without);
    ap_scores_free(with);
}

/* ---- a faster time of one's own never lowers one's own score, all else equal */

static void test_faster_is_never_worse(void) {
    double times[MOST * COLUMNS];
    for (int i = 0; i < TABLES; i++) {
        size_t n = random_table(times), me = below(n), column = below(COLUMNS);
        ap_scores *before = score_table(times, n);
        double *time = &times[me * COLUMNS + column];
        *time = isfinite(*time) ? *time * (0.2 + 0.8 * uniform()) : 1 + uniform();
        ap_scores *after = score_table(times, n);
        CHECK(after->score[me] >= before->score[me]);
        ap_scores_free(before);
        ap_scores_free(after);
    }
}

/* ---- the order in which trials and folders are met does not matter */

typedef struct found {
    size_t submission, workload, study, trial, rows;
    double value[8], time[8];
} found;

static ap_leaderboard score_found(const found *trial, size_t n) {
    ap_leaderboard board = {.rules = ap_rules_published()};
    ap_error error;
    must(ap_targets_parse(strdup(table), "table", &board.targets, &error), &error);
    for (size_t i = 0; i < n; i++) {
        char text[3][24];
        ap_trial *added;
        snprintf(text[0], sizeof text[0], "s%zu", trial[i].submission);
        snprintf(text[1], sizeof text[1], "study_%zu", trial[i].study);
        snprintf(text[2], sizeof text[2], "trial_%zu", trial[i].trial);
        const ap_place place = {text[0], text[1], "w", text[2], NULL};
        must(ap_trials_add(&board.trials, &place, trial[i].workload, "", &added, &error), &error);
        for (size_t r = 0; r < trial[i].rows; r++) {
            const ap_trial_row row = {(int64_t)r + 1, trial[i].time[r], trial[i].time[r], trial[i].value[r]};
            must(ap_trial_add_row(added, row, &error), &error);
        }
    }
    must(ap_trials_sort(&board.trials, &error), &error);
    must(ap_leaderboard_score(&board, &error), &error);
    return board;
}

/* 3 submissions, 2 studies of up to 3 trials; values around the target, and few distinct times, so that ties happen. */
static size_t random_trials(found *trial) {
    size_t n = 0;
    for (size_t s = 0; s < 3; s++)
        for (size_t w = 0; w < COLUMNS; w++)
            for (size_t k = 0; k < 6; k++) {
                if (uniform() < 0.2) continue;
                found *t = &trial[n++];
                *t = (found){s, w, k / 3, k % 3 + 1, 1 + below(8), {0}, {0}};
                for (size_t r = 0; r < t->rows; r++) {
                    t->value[r] = uniform() < 0.1 ? NAN : 0.8 + uniform();
                    t->time[r] = (double)(10 * (r + 1) + below(2));
                }
            }
    return n;
}

static void test_order_of_trials(void) {
    static found trial[3 * COLUMNS * 6];
    for (int i = 0; i < 200; i++) {
        size_t n = random_trials(trial);
        ap_leaderboard sorted = score_found(trial, n);
        for (size_t k = n; k > 1; k--) {
            size_t other = below(k);
            found kept = trial[k - 1];
            trial[k - 1] = trial[other];
            trial[other] = kept;
        }
        ap_leaderboard shuffled = score_found(trial, n);
        size_t cells = sorted.scores->submissions * COLUMNS;
        CHECK_INT(sorted.study_count, shuffled.study_count);
        CHECK(!memcmp(sorted.scores->time, shuffled.scores->time, cells * sizeof(double)));
        CHECK(!memcmp(sorted.scores->score, shuffled.scores->score, sorted.scores->submissions * sizeof(double)));
        ap_leaderboard_free(&sorted);
        ap_leaderboard_free(&shuffled);
    }
    ap_targets_free(&targets);
}

AP_TEST_MAIN(test_scores_are_between_0_and_1, test_order_of_submissions, test_unit_of_time,
             test_slower_submission_raises_nobody, test_slower_submission_without_credit_changes_nothing,
             test_slower_on_base_workloads_alone_can_raise, test_faster_is_never_worse, test_order_of_trials)
