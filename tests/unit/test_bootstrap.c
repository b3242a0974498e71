/* The bootstrap of scores: what it must give where the answer is known, and how often its intervals hold the truth. */
#include "scored.h"

#include "analysis/bootstrap.h"
#include "base/random.h"

/* ---- a leaderboard from a model, without files: hits are drawn, evaluations are not needed */

enum { SUBMISSIONS = 4, BASES = 6, COLUMNS = 7, PERIOD_S = 50 };

static const char table[] = "workload,role,base_workload,metric,direction,validation_target\n"
                            "w0,base,,loss,min,1\nw1,base,,loss,min,1\nw2,base,,loss,min,1\nw3,base,,loss,min,1\n"
                            "w4,base,,loss,min,1\nw5,base,,loss,min,1\nw0_v,held_out,w0,loss,min,1\n";

/* Mean seconds to target of a good hyperparameter point, chosen so that workloads and submissions differ, ratios are
 * spread over 1 to 4, and some are close to both ends. */
static double mean_time(int submission, int column) {
    static const double ratio[SUBMISSIONS][COLUMNS] = {{1, 1.2, 1.1, 1.7, 1, 1.4, 1.1},
                                                       {1.3, 1, 1.5, 1, 1.25, 1, 1.2},
                                                       {1.9, 1.4, 1, 2.2, 1.6, 3.2, 1},
                                                       {2.6, 3.1, 2, 1.5, 3.6, 2.4, 2.9}};
    return 2000 * ratio[submission][column];
}

/* A trial's time: its point is good or bad everywhere (factor shared by all workloads), and each run has noise. */
static ap_hit draw_hit(const ap_random *stream, uint64_t point, int submission, int column) {
    float z[2];
    ap_random_fill_normal(stream, point * 64, 1, 0, 1, &z[0]);
    ap_random_fill_normal(stream, point * 64 + 1 + (uint64_t)column, 1, 0, 1, &z[1]);
    double time = mean_time(submission, column) * exp(0.25 * fabs((double)z[0]) + 0.05 * (double)z[1]);
    return (ap_hit){(int64_t)ceil(time / PERIOD_S), time};
}

static void add_trial(ap_leaderboard *board, int submission, int column, int study, int trial, ap_error *error) {
    char names[3][24];
    ap_trial *added;
    snprintf(names[0], sizeof names[0], "s%d", submission);
    snprintf(names[1], sizeof names[1], "study_%d", study);
    snprintf(names[2], sizeof names[2], "trial_%d", trial);
    const ap_place place = {names[0], names[1], "w", names[2], NULL};
    must(ap_trials_add(&board->trials, &place, (size_t)column, "", &added, error), error);
}

/* A leaderboard with `studies` studies of `trials` trials, drawn by `seed`, and scored. */
static ap_leaderboard simulate(uint64_t seed, int studies, int trials) {
    ap_leaderboard board = {.rules = ap_rules_published()};
    ap_error error;
    must(ap_targets_parse(strdup(table), "table", &board.targets, &error), &error);
    for (int s = 0; s < SUBMISSIONS; s++)
        for (int c = 0; c < COLUMNS; c++)
            for (int study = 0; study < studies; study++)
                for (int t = 0; t < trials; t++) add_trial(&board, s, c, study, t, &error);
    must(ap_trials_sort(&board.trials, &error), &error);
    must(ap_leaderboard_score(&board, &error), &error);
    for (size_t i = 0; i < board.trials.n; i++) {
        const ap_trial *trial = &board.trials.trial[i];
        ap_random stream = ap_random_stream(seed, AP_RANDOM_SYNTHETIC, trial->submission, 0);
        uint64_t point = (uint64_t)atoi(trial->study + strlen("study_")) * 16 + trial->number;
        board.hits[i] = draw_hit(&stream, point, (int)trial->submission, (int)trial->workload);
    }
    free(board.studies);
    must(ap_studies(&board.trials, board.hits, &board.rules, &board.studies, &board.study_count, &error), &error);
    must(ap_scores_set_times(board.scores, board.studies, board.study_count, &board.rules, &error), &error);
    ap_scores_compute(board.scores, &board.rules);
    return board;
}

static ap_confidence bootstrap(const ap_leaderboard *board, ap_bootstrap_options options) {
    ap_confidence c;
    ap_error error;
    must(ap_bootstrap(board, &options, &c, &error), &error);
    return c;
}

/* ---- small cases whose answer is known */

/* Two submissions on one workload; times[0] are trials of "a", the study's number in front: one study each row. */
static ap_leaderboard duel(int studies, int trials, const double *a, double b) {
    ap_leaderboard board = {.rules = ap_rules_published()};
    ap_error error;
    must(ap_targets_add(&board.targets, "w", "loss", false, 1, &error), &error);
    for (int i = 0; i < studies * trials; i++) add_trial(&board, 0, 0, i / trials, i % trials, &error);
    add_trial(&board, 1, 0, 0, 0, &error);
    must(ap_trials_sort(&board.trials, &error), &error);
    must(ap_leaderboard_score(&board, &error), &error);
    for (int i = 0; i < studies * trials; i++) board.hits[i] = (ap_hit){(int64_t)a[i], a[i]};
    board.hits[studies * trials] = (ap_hit){(int64_t)b, b};
    return board;
}

/* The median of three draws from three is the smallest with probability (1/3)^3 + 3 (1/3)^2 (2/3) = 7/27. */
static void test_median_of_three_studies(void) {
    ap_leaderboard board = duel(3, 1, (double[]){10, 20, 30}, 15);
    ap_confidence c = bootstrap(&board, (ap_bootstrap_options){.level = 0.9, .resamples = 20000});
    CHECK_NEAR(c.beats[1], 7.0 / 27, 0.01);
    CHECK_NEAR(c.beats[1] + c.beats[2], 1, 1e-12);
    CHECK_NEAR(c.rank_low[0], 1, 0);
    CHECK_NEAR(c.rank_high[0], 2, 0);
    CHECK_NEAR(c.high[0], 1, 1e-12);
    CHECK_NEAR(c.low[0], (99 - 33 + 0.5) / 99, 1e-12); /* 30 against 15: the closed form at ratio 2 */
    ap_confidence_free(&c);
    ap_leaderboard_free(&board);
}

/* Of two trials the good one is drawn with probability 3/4; if only studies are drawn, always. */
static void test_best_of_two_trials(void) {
    ap_leaderboard board = duel(1, 2, (double[]){10, 30}, 20);
    ap_confidence c = bootstrap(&board, (ap_bootstrap_options){.level = 0.9, .resamples = 20000});
    CHECK_NEAR(c.beats[1], 0.75, 0.01);
    ap_confidence_free(&c);
    c = bootstrap(&board, (ap_bootstrap_options){.level = 0.9, .resamples = 100, .studies_only = true});
    CHECK_NEAR(c.beats[1], 1, 0);
    CHECK_NEAR(c.error[0], 0, 1e-12);
    ap_confidence_free(&c);
    ap_leaderboard_free(&board);
}

static void test_equal_scores_count_half(void) {
    ap_leaderboard board = duel(1, 1, (double[]){10}, 10);
    ap_confidence c = bootstrap(&board, (ap_bootstrap_options){.level = 0.9, .resamples = 10});
    CHECK_NEAR(c.beats[1], 0.5, 0);
    CHECK_NEAR(c.rank_high[0], 1, 0);
    CHECK_NEAR(c.low[0], 1, 1e-12);
    ap_confidence_free(&c);
    ap_leaderboard_free(&board);
}

static void test_seed_decides(void) {
    ap_leaderboard board = simulate(3, 4, 3);
    const ap_bootstrap_options one = {.level = 0.9, .resamples = 200, .seed = 1}, two = {0.9, 2, 200, false};
    ap_confidence a = bootstrap(&board, one), b = bootstrap(&board, one), c = bootstrap(&board, two);
    CHECK(!memcmp(a.beats, b.beats, SUBMISSIONS * SUBMISSIONS * sizeof *a.beats));
    CHECK(!memcmp(a.error, b.error, SUBMISSIONS * sizeof *a.error));
    CHECK(memcmp(a.error, c.error, SUBMISSIONS * sizeof *a.error) != 0);
    ap_confidence_free(&a);
    ap_confidence_free(&b);
    ap_confidence_free(&c);
    ap_leaderboard_free(&board);
}

/* ---- coverage: in how many of many leaderboards does the interval hold the score that infinitely many studies give?
 */

static double coverage(int studies, double level, bool studies_only) {
    int leaderboards = getenv("AP_TEST_LEADERBOARDS") ? atoi(getenv("AP_TEST_LEADERBOARDS")) : 40;
    ap_leaderboard truth = simulate(1000000, 1501, 5);
    int held = 0;
    for (int i = 0; i < leaderboards; i++) {
        ap_leaderboard board = simulate((uint64_t)i, studies, 5);
        ap_confidence c = bootstrap(&board, (ap_bootstrap_options){level, 7, 300, studies_only});
        for (int s = 0; s < SUBMISSIONS; s++)
            held += c.low[s] <= truth.scores->score[s] + 1e-12 && truth.scores->score[s] <= c.high[s] + 1e-12;
        ap_confidence_free(&c);
        ap_leaderboard_free(&board);
    }
    ap_leaderboard_free(&truth);
    double share = (double)held / (leaderboards * SUBMISSIONS);
    printf("%2d studies of 5 trials, %s drawn: intervals of level %g hold the truth in %.3f of %d leaderboards\n",
           studies, studies_only ? "studies" : "trials too", level, share, leaderboards);
    return share;
}

/* Drawing trials too counts the spread within a study twice: such intervals hold the truth more often than they say.
 * The numbers of README.md are those of AP_TEST_LEADERBOARDS=1000. */
static void test_coverage(void) {
    CHECK(coverage(5, 0.95, false) >= 0.95);
    CHECK(coverage(3, 0.95, false) >= 0.93);
    double share = coverage(5, 0.95, true);
    CHECK(share >= 0.90 && share <= 0.995);
    share = coverage(5, 0.5, true); /* and an interval can miss: one of half the level does, often */
    CHECK(share >= 0.35 && share <= 0.75);
    coverage(3, 0.95, true);
}

AP_TEST_MAIN(test_median_of_three_studies, test_best_of_two_trials, test_equal_scores_count_half, test_seed_decides,
             test_coverage)
