/* The published v0.5 external-tuning leaderboard: its logs through the whole scorer, compared with its golden tables.
 * Logs and tables are not part of this repository; AP_LEADERBOARD says where they may lie. */
#include "scored.h"

#include "analysis/csv.h"

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
    must(ap_targets_load("v05", &published.targets, &published.error), &published.error);
    published.status = score_stages(&published, (const char *const[]){"published_v05/logs", NULL});
    must(published.status, &published.error);
    CHECK_INT(published.trials.submissions.n, 11);
    CHECK_INT(published.scores->bases, 8);
    CHECK_INT(published.scores->columns, 14);
    CHECK_INT(published.trials.unlisted.n, 0);
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
    check_workload_cells(csv, published.scores->time_s, published.scores->columns);
}
static void check_final(const ap_csv *csv) {
    check_workload_cells(csv, published.scores->final_s, published.scores->columns);
}
static void check_ratios(const ap_csv *csv) {
    check_workload_cells(csv, published.scores->ratio, published.scores->bases);
}
static void check_best(const ap_csv *csv) {
    CHECK_SAME(published.scores->best_s[column_named(&published, csv->cell[0])],
               number_in(csv, "four_x_reference_time"));
}
static void check_profile(const ap_csv *csv) {
    size_t s = submission_of(&published, csv->cell[0]);
    for (int k = 0; k < AP_TAUS; k++) {
        CHECK_SAME(ap_tau(k), strtod(csv->header[k + 1], NULL));
        CHECK_SAME(published.scores->profile[s * AP_TAUS + (size_t)k], number_at(csv, (size_t)k + 1));
    }
}

static size_t place; /* in the ranking */
static void check_score(const ap_csv *csv) {
    size_t s = submission_of(&published, csv->cell[0]);
    CHECK_NEAR(published.scores->score[s], number_in(csv, "score"), 1e-12);
    CHECK_NEAR(published.scores->exact[s], number_in(csv, "score_exact_integral"), 1e-12);
    char four[16];
    snprintf(four, sizeof four, "%.4f", published.scores->score[s]);
    CHECK(!strcmp(four, text_at(csv, "published")));
    CHECK_INT(published.scores->rank[place++], s);
}

static void check_study(const ap_csv *csv) {
    const char *study = text_at(csv, "study"), *best = text_at(csv, "best_trial");
    size_t submission = submission_of(&published, csv->cell[0]);
    size_t workload = ap_targets_find(&published.targets, text_at(csv, "workload"));
    for (size_t i = 0; i < published.study_count; i++) {
        const ap_study *s = &published.studies[i];
        if (s->submission != submission || s->workload != workload ||
            strcmp(published.trials.trial[s->first].study, study))
            continue;
        CHECK_SAME((double)s->trials, number_in(csv, "n_trials"));
        CHECK_SAME((double)s->trials_hit, number_in(csv, "n_trials_hit"));
        CHECK_SAME((double)s->hit.index, number_in(csv, "best_eval_index"));
        CHECK_SAME(s->hit.time_s, number_in(csv, "time"));
        CHECK(!strcmp(best, s->best < published.trials.n ? published.trials.trial[s->best].name : ""));
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
    while (i < published.trials.n && !is_trial_of(csv, &published.trials.trial[i])) i++;
    CHECK(i < published.trials.n);
    if (i == published.trials.n) return;
    const ap_trial *trial = &published.trials.trial[i];
    for (size_t k = 0; k < trial->rows; k++) nan_rows += isnan(trial->row[k].validation) != 0;
    ap_hit hit = ap_trial_hit(trial, &published.targets.target[trial->workload]);
    CHECK_SAME((double)trial->rows, number_in(csv, "n_evals"));
    CHECK_SAME((double)nan_rows, number_in(csv, "n_nan_evals"));
    CHECK_SAME((double)hit.index, number_in(csv, "hit_index"));
    CHECK_SAME(hit.index < 0 ? -1 : (double)trial->row[hit.index].step, number_in(csv, "hit_step"));
    CHECK_SAME(hit.time_s, number_in(csv, "hit_time"));
    CHECK_SAME(trial->row[trial->rows - 1].score_s, number_in(csv, "last_time"));
}

/* Adds "word" or "word:workload" of one column's loss to the golden file's list of reasons. */
static void add_reason(char *reasons, size_t size, size_t submission, size_t column, bool held_out) {
    static const char *const words[] = {
        [AP_LOST_NO_DATA] = "missing", [AP_LOST_NOT_REACHED] = "not_reached", [AP_LOST_OVER_4X] = "over_4x"};
    ap_loss_of_credit loss = ap_scores_loss(published.scores, submission, column);
    if (loss == AP_CREDIT_KEPT) return;
    size_t used = strlen(reasons);
    snprintf(reasons + used, size - used, "%s%s_%s%s%s", used ? ";" : "", held_out ? "heldout" : "base", words[loss],
             held_out ? ":" : "",
             held_out ? published.targets.target[published.scores->workload[column]].workload : "");
}
static void check_no_credit(const ap_csv *csv) {
    char reasons[256] = "";
    size_t s = submission_of(&published, csv->cell[0]), base = column_named(&published, text_at(csv, "workload"));
    for (size_t c = 0; c < published.scores->columns; c++)
        if (published.scores->base[c] == base) add_reason(reasons, sizeof reasons, s, c, c != base);
    if (strcmp(reasons, text_at(csv, "reasons"))) {
        printf("golden line %zu: reasons are %s\n", csv->line, reasons);
        ap_check_failures++;
    }
    CHECK(published.scores->ratio[s * published.scores->bases + base] > 4);
}

static void test_trials(void) {
    each_row("trials.csv", 3700, check_trial);
    CHECK_INT(published.trials.n, 3700); /* 18 more files lie in stray trial folders directly under a study */
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
}
static void test_ratios(void) {
    each_row("ratios.csv", 11, check_ratios);
}
static void test_profile(void) {
    each_row("performance_profile.csv", 11, check_profile);
}
static void test_scores(void) {
    each_row("scores.csv", 11, check_score);
    free_scored(&published);
}

AP_TEST_MAIN(test_scoring, test_trials, test_studies, test_times, test_best_times, test_times_after_the_rules,
             test_no_credit, test_ratios, test_profile, test_scores)
