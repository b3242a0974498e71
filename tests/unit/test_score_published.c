/* The published v0.5 external-tuning leaderboard: its logs through the whole scorer, compared with its golden tables.
 * Logs and tables are not part of this repository; AP_LEADERBOARD says where they may lie. */
#include "scored.h"

#include "analysis/csv.h"
#include "analysis/sensitivity.h"
#include "analysis/speedup.h"
#include "analysis/summary.h"

#define GOLDEN AP_LEADERBOARD "/v05_external/golden/"
#define LOGS AP_LEADERBOARD "/v05_external/logs.tar.xz"

static scored published;

/* Unpacks beside the test program, once; the folder is renamed when it is complete. */
static void unpack(void) {
    if (!ap_file_exists(LOGS)) SKIP("no " LOGS);
    if (ap_file_exists("published_v05/logs")) return;
    if (system("rm -rf published_v05.part && mkdir published_v05.part && tar -xJf '" LOGS "' -C published_v05.part && "
               "mv published_v05.part published_v05") != 0)
        SKIP("the logs could not be unpacked with tar and xz");
}

static void test_scoring(void) {
    unpack();
    published.board.rules = ap_rules_published();
    must(ap_targets_load("v05", &published.board.targets, &published.error), &published.error);
    published.status = score_stages(&published, (const char *const[]){"published_v05/logs", NULL});
    must(published.status, &published.error);
    CHECK_INT(published.board.trials.submissions.n, 11);
    CHECK_INT(published.board.scores->bases, 8);
    CHECK_INT(published.board.scores->columns, 14);
    CHECK_INT(published.board.trials.unlisted.n, 0);
}

/* ---- golden tables: calls `check` for every row and counts the rows */

static void each_row(const char *name, size_t rows, void (*check)(const ap_csv *csv)) {
    char path[AP_PATH], *text;
    size_t bytes, n = 0;
    ap_error error = {0};
    ap_csv csv;
    must(ap_path(path, &error, GOLDEN "%s", name), &error);
    must(ap_read_file(path, 16 << 20, &text, &bytes, &error), &error);
    must(ap_csv_open(text, path, &csv, &error), &error);
    for (bool more = true;; n++) {
        must(ap_csv_next(&csv, &more, &error), &error);
        if (!more) break;
        check(&csv);
    }
    ap_csv_close(&csv);
    CHECK_INT(n, rows);
}

static const char *text_at(const ap_csv *csv, const char *column) {
    return csv->cell[ap_csv_find(csv, column)];
}
static double number_at(const ap_csv *csv, size_t column) {
    double value;
    ap_error error = {0};
    must(ap_csv_number(csv, column, &value, &error), &error);
    return value;
}
static double number_in(const ap_csv *csv, const char *column) {
    return number_at(csv, (size_t)ap_csv_find(csv, column));
}

/* Equal to the last bit; NaN equals NaN. */
#define CHECK_SAME(got, want)                                                                                          \
    do {                                                                                                               \
        double g_ = (got), w_ = (want);                                                                                \
        if (g_ != w_ && !(isnan(g_) && isnan(w_))) {                                                                   \
            printf("%s:%d: golden line %zu: %s is %.17g, expected %.17g\n", __FILE__, __LINE__, csv->line, #got, g_,   \
                   w_);                                                                                                \
            ap_check_failures++;                                                                                       \
        }                                                                                                              \
    } while (0)

/* A table whose columns behind the first are workloads. */
static void check_workload_cells(const ap_csv *csv, const double *table, size_t columns) {
    size_t s = submission_of(&published, csv->cell[0]);
    for (size_t i = 1; i < csv->columns; i++)
        CHECK_SAME(table[s * columns + column_named(&published, csv->header[i])], number_at(csv, i));
}
static void check_times(const ap_csv *csv) {
    check_workload_cells(csv, published.board.scores->time, published.board.scores->columns);
}
static void check_final(const ap_csv *csv) {
    check_workload_cells(csv, published.board.scores->final, published.board.scores->columns);
}
static void check_ratios(const ap_csv *csv) {
    check_workload_cells(csv, published.board.scores->ratio, published.board.scores->bases);
}
/* What ratios are taken to; held-out workloads have none. */
static double fastest_left(size_t column) {
    const ap_scores *scores = published.board.scores;
    double best = INFINITY;
    for (size_t s = 0; s < scores->submissions; s++) best = fmin(best, scores->final[s * scores->columns + column]);
    return column < scores->bases ? best : NAN;
}
static void check_best(const ap_csv *csv) {
    CHECK_SAME(published.board.scores->best[column_named(&published, csv->cell[0])],
               number_in(csv, "four_x_reference_time"));
    CHECK_SAME(fastest_left(column_named(&published, csv->cell[0])), number_in(csv, "normalisation_time"));
}
static void check_profile(const ap_csv *csv) {
    size_t s = submission_of(&published, csv->cell[0]);
    for (int k = 0; k < AP_TAUS; k++) {
        CHECK_SAME(ap_tau(k), strtod(csv->header[k + 1], NULL));
        CHECK_SAME(published.board.scores->profile[s * AP_TAUS + (size_t)k], number_at(csv, (size_t)k + 1));
    }
}

static size_t place; /* in the ranking */
static void check_score(const ap_csv *csv) {
    size_t s = submission_of(&published, csv->cell[0]);
    CHECK_NEAR(published.board.scores->score[s], number_in(csv, "score"), 1e-12);
    CHECK_NEAR(published.board.scores->exact[s], number_in(csv, "score_exact_integral"), 1e-12);
    char four[16];
    snprintf(four, sizeof four, "%.4f", published.board.scores->score[s]);
    CHECK(!strcmp(four, text_at(csv, "published")));
    CHECK_INT(published.board.scores->rank[place++], s);
}

static void check_study(const ap_csv *csv) {
    const char *study = text_at(csv, "study"), *best = text_at(csv, "best_trial");
    size_t submission = submission_of(&published, csv->cell[0]);
    size_t workload = ap_targets_find(&published.board.targets, text_at(csv, "workload"));
    for (size_t i = 0; i < published.board.study_count; i++) {
        const ap_study *s = &published.board.studies[i];
        if (s->submission != submission || s->workload != workload ||
            strcmp(published.board.trials.trial[s->first].study, study))
            continue;
        CHECK_SAME((double)s->trials, number_in(csv, "n_trials"));
        CHECK_SAME((double)s->trials_hit, number_in(csv, "n_trials_hit"));
        CHECK_SAME((double)s->hit.index, number_in(csv, "best_eval_index"));
        CHECK_SAME(s->hit.time, number_in(csv, "time"));
        CHECK_SAME((double)s->tied, number_in(csv, "n_tied"));
        CHECK_SAME(s->tied_min, number_in(csv, "tied_time_min"));
        CHECK_SAME(s->tied_max, number_in(csv, "tied_time_max"));
        CHECK_SAME(s->fastest, number_in(csv, "fastest_hit_time"));
        CHECK_SAME(s->best < published.board.trials.n
                       ? (double)published.board.trials.trial[s->best].row[s->hit.index].step
                       : -1,
                   number_in(csv, "best_step"));
        CHECK(!strcmp(best, s->best < published.board.trials.n ? published.board.trials.trial[s->best].name : ""));
        return;
    }
    printf("no study %s of %s on %s\n", study, csv->cell[0], text_at(csv, "workload"));
    ap_check_failures++;
}

static bool is_trial_of(const ap_csv *csv, const ap_trial *trial) {
    char end[AP_PATH];
    snprintf(end, sizeof end, "/%s/%s/%s/%s/", csv->cell[0], text_at(csv, "study"), text_at(csv, "workload_dir"),
             text_at(csv, "trial"));
    return strstr(trial->path, end) != NULL;
}
static void check_trial(const ap_csv *csv) {
    size_t i = 0, nan_rows = 0;
    while (i < published.board.trials.n && !is_trial_of(csv, &published.board.trials.trial[i])) i++;
    CHECK(i < published.board.trials.n);
    if (i == published.board.trials.n) return;
    const ap_trial *trial = &published.board.trials.trial[i];
    for (size_t k = 0; k < trial->rows; k++) nan_rows += isnan(trial->row[k].validation) != 0;
    ap_hit hit = ap_trial_hit(trial, &published.board.targets.target[trial->workload], &published.board.rules);
    CHECK_SAME((double)trial->rows, number_in(csv, "n_evals"));
    CHECK_SAME((double)nan_rows, number_in(csv, "n_nan_evals"));
    CHECK_SAME((double)hit.index, number_in(csv, "hit_index"));
    CHECK_SAME(hit.index < 0 ? -1 : (double)trial->row[hit.index].step, number_in(csv, "hit_step"));
    CHECK_SAME(hit.time, number_in(csv, "hit_time"));
    CHECK_SAME(trial->row[trial->rows - 1].score_s, number_in(csv, "last_time"));
}

/* Adds "word" or "word:workload" of one column's loss to the golden file's list of reasons. */
static void add_reason(char *reasons, size_t size, size_t submission, size_t column, bool held_out) {
    static const char *const words[] = {
        [AP_LOST_NO_DATA] = "missing", [AP_LOST_NOT_REACHED] = "not_reached", [AP_LOST_OVER_4X] = "over_4x"};
    ap_loss_of_credit loss = ap_scores_loss(published.board.scores, submission, column);
    if (loss == AP_CREDIT_KEPT) return;
    size_t used = strlen(reasons);
    snprintf(reasons + used, size - used, "%s%s_%s%s%s", used ? ";" : "", held_out ? "heldout" : "base", words[loss],
             held_out ? ":" : "",
             held_out ? published.board.targets.target[published.board.scores->workload[column]].workload : "");
}
static size_t no_credit;
static void check_no_credit(const ap_csv *csv) {
    char reasons[256] = "";
    size_t s = submission_of(&published, csv->cell[0]), base = column_named(&published, text_at(csv, "workload"));
    for (size_t c = 0; c < published.board.scores->columns; c++)
        if (published.board.scores->base[c] == base) add_reason(reasons, sizeof reasons, s, c, c != base);
    if (strcmp(reasons, text_at(csv, "reasons"))) {
        printf("golden line %zu: reasons are %s\n", csv->line, reasons);
        ap_check_failures++;
    }
    CHECK(!ap_scores_credit(published.board.scores, s, base));
    CHECK_SAME(published.board.scores->time[s * published.board.scores->columns + base], number_in(csv, "raw_time"));
    CHECK_SAME(published.board.scores->final[s * published.board.scores->columns + base], number_in(csv, "final_time"));
    no_credit++;
}

/* ---- medians of all workloads, the ignored ones too */

static void check_long(const ap_csv *csv) {
    size_t submission = submission_of(&published, csv->cell[0]), n = 0, hit = 0;
    size_t workload = ap_targets_find(&published.board.targets, text_at(csv, "workload"));
    double times[16];
    for (size_t i = 0; i < published.board.study_count; i++) {
        const ap_study *s = &published.board.studies[i];
        if (s->submission != submission || s->workload != workload) continue;
        times[n++] = s->hit.time;
        hit += s->trials_hit > 0;
    }
    CHECK_SAME((double)n, number_in(csv, "n_studies"));
    CHECK_SAME((double)hit, number_in(csv, "n_studies_hit"));
    CHECK_SAME(ap_median(times, n), number_in(csv, "median_time"));
}

/* ---- the per-trial summary */

static void check_summary(const ap_csv *csv) {
    size_t i = 0;
    char end[AP_PATH];
    snprintf(end, sizeof end, "/%s/%s/%s/%s/", csv->cell[0], text_at(csv, "study"), text_at(csv, "workload"),
             text_at(csv, "trial"));
    while (i < published.board.trials.n && !strstr(published.board.trials.trial[i].path, end)) i++;
    CHECK(i < published.board.trials.n);
    if (i == published.board.trials.n) return;
    const ap_trial *trial = &published.board.trials.trial[i];
    const ap_target *target = &published.board.targets.target[trial->workload];
    ap_trial_summary s = ap_trial_summarise(trial, target);
    CHECK(!strcmp(target->metric, text_at(csv, "val target metric name") + strlen("validation/")));
    CHECK_SAME(target->validation_target, number_in(csv, "val target metric value"));
    CHECK(!strcmp(s.reached ? "True" : "False", text_at(csv, "val target reached")));
    CHECK_SAME(s.best, number_in(csv, "best metric value on val"));
    CHECK_SAME(s.best_time_s, number_in(csv, "time to best eval on val (s)"));
    CHECK_SAME(s.target_time_s, number_in(csv, "time to target on val (s)"));
    double step_s = published.board.step_s[trial->submission * published.board.targets.n + trial->workload];
    CHECK_NEAR(step_s / number_in(csv, "step_time (s)"), 1, 1e-12);
    CHECK_SAME(target->step_hint, number_in(csv, "step_hint"));
}

/* ---- speedups */

static ap_speedups speedups;

static void check_speedup(const ap_csv *csv) {
    double ratio = speedups.ratio[submission_of(&published, csv->cell[0])], want = number_in(csv, "gmean_time_ratio");
    if (isnan(want)) {
        CHECK(isnan(ratio));
        return;
    }
    CHECK_NEAR(ratio / want, 1, 1e-12);
    CHECK_NEAR(1 / ratio / number_in(csv, "gmean_speedup_factor"), 1, 1e-12);
    CHECK_NEAR((1 - ratio) * 100, number_in(csv, "percent_faster"), 1e-10);
}
static void check_speedup_term(const ap_csv *csv) {
    size_t s = submission_of(&published, csv->cell[0]), b = column_named(&published, text_at(csv, "workload"));
    const ap_speedup_term *term = &speedups.term[s * published.board.scores->bases + b];
    CHECK_SAME(term->reference_time, number_in(csv, "reference_time_raw"));
    CHECK_SAME(term->time, number_in(csv, "time_raw"));
    CHECK_SAME(term->reference_time_used, number_in(csv, "reference_time_used"));
    CHECK_SAME(term->time_used, number_in(csv, "time_used"));
    CHECK_SAME(term->ratio, number_in(csv, "ratio"));
}

/* ---- scores by other rules, so that a mistake is recognised by its numbers */

static double score_by(ap_rules rules, const char *submission) {
    static ap_rules last;
    static double scores[16];
    static bool there;
    if (!there || memcmp(&last, &rules, sizeof rules) != 0) {
        ap_leaderboard *b = &published.board, other = {.rules = rules, .targets = b->targets, .trials = b->trials};
        must(ap_leaderboard_score(&other, &published.error), &published.error);
        memcpy(scores, other.scores->score, other.scores->submissions * sizeof *scores);
        other.trials = (ap_trials){0}; /* borrowed */
        other.targets = (ap_targets){0};
        ap_leaderboard_free(&other);
        last = rules;
        there = true;
    }
    return scores[submission_of(&published, submission)];
}

static void check_tie_rule(const ap_csv *csv) {
    ap_rules rules = ap_rules_published();
    int tie = 0;
    while (ap_tie_names[tie] && strcmp(ap_tie_names[tie], csv->cell[0])) tie++;
    CHECK(tie < AP_TIES);
    rules.tie = (ap_tie)tie;
    CHECK_NEAR(score_by(rules, csv->cell[1]), number_in(csv, "score"), 1e-12);
}

static ap_rules variant(const char *name) {
    ap_rules r = ap_rules_published();
    int n;
    if (!strcmp(name, "best_trial_by_time"))
        r.best_by_time = true;
    else if (!strcmp(name, "no_held_out_rule"))
        r.no_held_out = true;
    else if (!strcmp(name, "no_4x_rule"))
        r.limit = INFINITY;
    else if (!strcmp(name, "missing_held_out_allowed"))
        r.missing_held_out = true;
    else if (!strcmp(name, "minimum_over_studies"))
        r.over = AP_MINIMUM;
    else if (!strcmp(name, "mean_over_studies"))
        r.over = AP_MEAN;
    else if (!strcmp(name, "exact_integral"))
        r.taus = 0;
    else if (sscanf(name, "first_%d_studies", &n) == 1)
        r.first_studies = (size_t)n;
    else if (sscanf(name, "tau_points_%d", &n) == 1)
        r.taus = n;
    else
        CHECK(!strcmp(name, "reference"));
    return r;
}
static void check_variant(const ap_csv *csv) {
    double got = score_by(variant(csv->cell[0]), csv->cell[1]), want = number_in(csv, "score");
    if (!(fabs(got - want) <= 1e-12)) {
        printf("%s of %s is %.17g, expected %.17g\n", csv->cell[0], csv->cell[1], got, want);
        ap_check_failures++;
    }
}

static void test_trials(void) {
    each_row("trials.csv", 3700, check_trial);
    CHECK_INT(published.board.trials.n, 3700); /* 18 more files lie in stray trial folders directly under a study */
}
static void test_studies(void) {
    each_row("study_times.csv", 756, check_study);
}
static void test_times(void) {
    each_row("time_to_target.csv", 11, check_times);
}
static void test_best_times(void) {
    each_row("best_times.csv", 14, check_best);
}
static void test_times_after_the_rules(void) {
    each_row("time_after_filters.csv", 11, check_final);
}
static void test_no_credit(void) {
    each_row("no_credit.csv", 34, check_no_credit);
    size_t without = 0; /* and nobody else */
    for (size_t s = 0; s < published.board.scores->submissions; s++)
        for (size_t b = 0; b < published.board.scores->bases; b++)
            without += !ap_scores_credit(published.board.scores, s, b);
    CHECK_INT(without, no_credit);
}
static void test_ratios(void) {
    each_row("ratios.csv", 11, check_ratios);
}
static void test_profile(void) {
    each_row("performance_profile.csv", 11, check_profile);
}
static void test_scores(void) {
    each_row("scores.csv", 11, check_score);
}
static void test_medians(void) {
    each_row("time_to_target_long.csv", 153, check_long);
}
static void test_summary(void) {
    each_row("summary.csv", 3700, check_summary);
}
static void test_speedups(void) {
    must(ap_speedups_compute(&published.board, submission_of(&published, "baseline"), &speedups, &published.error),
         &published.error);
    each_row("speedups.csv", 10, check_speedup);
    each_row("speedup_terms.csv", 80, check_speedup_term);
    ap_speedups_free(&speedups);
}
static void test_tie_rules(void) {
    each_row("tie_rule_scores.csv", 44, check_tie_rule);
}
/* The changes that `sensitivity` tries are these variants, where there is a golden one. */
static void test_sensitivity(void) {
    static const char *const pairs[][2] = {{"smallest time instead of earliest evaluation", "best_trial_by_time"},
                                           {"minimum instead of median", "minimum_over_studies"},
                                           {"mean instead of median", "mean_over_studies"},
                                           {"one that was never run is no miss", "missing_held_out_allowed"},
                                           {"50 points", "tau_points_50"},
                                           {"1000 points", "tau_points_1000"},
                                           {"exact integral", "exact_integral"}};
    ap_sensitivity s;
    size_t met = 0;
    must(ap_sensitivity_compute(&published.board, &s, &published.error), &published.error);
    for (size_t i = 0; i < s.n; i++)
        for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
            if (strcmp(s.change[i].what, pairs[p][0]) != 0) continue;
            met++;
            for (size_t k = 0; k < s.submissions; k++)
                CHECK_NEAR(s.change[i].score[k],
                           score_by(variant(pairs[p][1]), published.board.trials.submissions.name[k]), 0);
        }
    CHECK_INT(met, sizeof pairs / sizeof *pairs);
    ap_sensitivity_free(&s);
}
static void test_variants(void) {
    each_row("variant_scores.csv", 154, check_variant);
    free_scored(&published);
}

AP_TEST_MAIN(test_scoring, test_trials, test_studies, test_times, test_best_times, test_times_after_the_rules,
             test_no_credit, test_ratios, test_profile, test_scores, test_medians, test_summary, test_speedups,
             test_tie_rules, test_sensitivity, test_variants)
