/* The scoring rules on trees in the official layout: the worked examples (leaderboard rules 12, all checked with the
 * official program there), each rule by itself, and what a reader must cope with or refuse. */
#include "scored.h"

static const char table[] = "workload,role,base_workload,metric,direction,validation_target\n"
                            "a,base,a,loss,min,1.0\n"
                            "b,base,b,loss,min,1.0\n"
                            "a_v,held_out,a,loss,min,1.0\n";
static const char header[] = "accumulated_submission_time,global_step,score,test/loss,validation/loss\n";

static char root[64];

/* One trial: `rows` are lines "time,step,time,test,validation". */
static void trial_at(const char *place, const char *rows) {
    char path[256], text[1024];
    snprintf(path, sizeof path, "%s/eval_measurements.csv", place);
    snprintf(text, sizeof text, "%s%s", header, rows);
    put_text(root, path, text);
}
/* SUBMISSION: WORKLOAD = TIME, as the examples write it. */
static void hit(const char *submission, const char *workload, double time_s) {
    char place[128], rows[128];
    snprintf(place, sizeof place, "%s/study_0/%s_jax/trial_1", submission, workload);
    snprintf(rows, sizeof rows, "%.17g,100,%.17g,0.5,0.5\n", time_s, time_s);
    trial_at(place, rows);
}
static void three(const char *submission, double a, double b, double a_v) {
    hit(submission, "a", a);
    hit(submission, "b", b);
    hit(submission, "a_v", a_v);
}
static void begin(void) {
    new_folder(root);
    three("S", 10, 10, 10);
}
static void end(scored *s) {
    free_scored(s);
    remove_folder(root);
}

/* ---- worked examples, in the order of the table */

static void test_alone(void) {
    begin();
    scored s = score_folder(root, table);
    CHECK_INT(s.status, AP_OK);
    CHECK_NEAR(score_of(&s, "S"), 1, 1e-12);
    end(&s);
}

static void test_equality_reaches(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_1", "10,1,10,2,1.0\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 10, 0);
    end(&s);
}

static void test_nan_then_hit(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_1", "10,1,10,0.5,\n20,2,20,0.5,0.5\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 20, 0);
    CHECK_INT(s.board.studies[0].hit.index, 1);
    end(&s);
}

static void test_one_of_two_studies_missed(void) {
    begin();
    trial_at("S/study_1/a_jax/trial_1", "10,1,10,2,2\n");
    scored s = score_folder(root, table);
    CHECK(isinf(time_of(&s, "S", "a")));
    CHECK_NEAR(score_of(&s, "S"), 0.5, 1e-12);
    end(&s);
}

static void test_mean_of_two_studies(void) {
    begin();
    trial_at("S/study_1/a_jax/trial_1", "30,1,30,0.5,0.5\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 20, 0);
    end(&s);
}

static void test_study_without_csv_does_not_exist(void) {
    begin();
    put_text(root, "S/study_1/a_jax/trial_1/hparams.json", "{}");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 10, 0);
    CHECK_INT(s.board.trials.notes.n, 1);
    end(&s);
}

static void test_smallest_index_not_time(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_1", "5,1,5,2,2\n10,2,10,0.5,0.5\n");
    trial_at("S/study_0/a_jax/trial_0", "500,1,500,0.5,0.5\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 500, 0);
    end(&s);
}

static void test_tie_goes_to_the_smaller_time(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_1", "5,1,5,2,2\n10,2,10,0.5,0.5\n");
    trial_at("S/study_0/a_jax/trial_0", "5,1,5,2,2\n99,2,99,0.5,0.5\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 10, 0);
    CHECK_TEXT(s.board.trials.trial[s.board.studies[0].best].name, "trial_1");
    end(&s);
}

static void test_exactly_4x_survives(void) {
    begin();
    three("Q", 40, 40, 40);
    scored s = score_folder(root, table);
    CHECK_NEAR(score_of(&s, "Q"), 1.0 / 198, 1e-12);
    CHECK_NEAR(score_of(&s, "S"), 1, 1e-12);
    end(&s);
}

static void test_a_hair_over_4x_does_not(void) {
    begin();
    three("Q", 40.00001, 40.00001, 40.00001);
    scored s = score_folder(root, table);
    CHECK_NEAR(score_of(&s, "Q"), 0, 0);
    CHECK_NEAR(score_of(&s, "S"), 1, 1e-12);
    end(&s);
}

static void test_held_out_over_4x_takes_the_base(void) {
    begin();
    three("Q", 10, 10, 41);
    scored s = score_folder(root, table);
    CHECK_NEAR(score_of(&s, "Q"), 0.5, 1e-12);
    CHECK_NEAR(score_of(&s, "S"), 1, 1e-12);
    CHECK_INT(ap_scores_loss(s.board.scores, submission_of(&s, "Q"), column_named(&s, "a")), AP_CREDIT_KEPT);
    CHECK_INT(ap_scores_loss(s.board.scores, submission_of(&s, "Q"), column_named(&s, "a_v")), AP_LOST_OVER_4X);
    end(&s);
}

static void test_held_out_never_run_takes_the_base(void) {
    begin();
    hit("Q", "a", 10);
    hit("Q", "b", 10);
    scored s = score_folder(root, table);
    CHECK(isnan(time_of(&s, "Q", "a_v")));
    CHECK_NEAR(score_of(&s, "Q"), 0.5, 1e-12);
    CHECK_NEAR(score_of(&s, "S"), 1, 1e-12);
    end(&s);
}

static void test_base_never_run(void) {
    begin();
    hit("Q", "a", 10);
    hit("Q", "a_v", 10);
    scored s = score_folder(root, table);
    CHECK_NEAR(score_of(&s, "Q"), 0.5, 1e-12);
    CHECK_NEAR(score_of(&s, "S"), 1, 1e-12);
    end(&s);
}

static void test_disqualified_time_still_sets_the_limit(void) {
    begin();
    hit("Q", "a", 2);
    hit("Q", "b", 2);
    trial_at("Q/study_0/a_v_jax/trial_1", "2,1,2,2,2\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(score_of(&s, "Q"), 0.5, 1e-12);
    CHECK_NEAR(score_of(&s, "S"), 0, 0);
    end(&s);
}

static void test_trial_with_a_suffix_counts(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_1", "5,1,5,2,2\n10,2,10,0.5,0.5\n");
    trial_at("S/study_0/a_jax/trial_1_old", "3,1,3,0.5,0.5\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 3, 0);
    end(&s);
}

static void test_hit_without_a_time(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_1", "10,1,,0.5,0.5\n");
    scored s = score_folder(root, table);
    CHECK(isnan(time_of(&s, "S", "a")));
    CHECK_NEAR(score_of(&s, "S"), 0.5, 1e-12);
    end(&s);
}

/* ---- single rules */

/* Step A: a held-out time whose base was missed sets no limit for the others. */
static void test_held_out_without_its_base_sets_no_limit(void) {
    begin();
    three("Q", 10, 10, 2);
    trial_at("Q/study_0/a_jax/trial_1", "10,1,10,2,2\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(score_of(&s, "S"), 1, 1e-12);
    CHECK_NEAR(score_of(&s, "Q"), 0.5, 1e-12);
    end(&s);
}

static void test_full_tie_goes_to_the_smaller_number(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_10", "10,1,10,0.5,0.5\n");
    trial_at("S/study_0/a_jax/trial_2", "10,1,10,0.5,0.5\n");
    char path[128];
    snprintf(path, sizeof path, "%s/S/study_0/a_jax/trial_1", root);
    remove_folder(path);
    scored s = score_folder(root, table);
    CHECK_TEXT(s.board.trials.trial[s.board.studies[0].best].name, "trial_2");
    end(&s);
}

static void test_maximised_metric(void) {
    const ap_target target = {.maximise = true, .validation_target = 0.5};
    CHECK(ap_target_is_reached(&target, 0.5));
    CHECK(ap_target_is_reached(&target, 0.6));
    CHECK(!ap_target_is_reached(&target, 0.4));
    CHECK(!ap_target_is_reached(&target, NAN));
}

static void test_median(void) {
    double odd[] = {INFINITY, 3, 1}, even[] = {4, 1, 3, 2}, half[] = {1, INFINITY}, unknown[] = {1, NAN, 2};
    CHECK_NEAR(ap_median(odd, 3), 3, 0);
    CHECK_NEAR(ap_median(even, 4), 2.5, 0);
    CHECK(isinf(ap_median(half, 2)));
    CHECK(isnan(ap_median(unknown, 3)));
    CHECK(isnan(ap_median(odd, 0)));
}

static void test_grid(void) {
    CHECK(ap_tau(0) == 1.0);
    CHECK(ap_tau(1) == 1.0303030303030303);
    CHECK(ap_tau(33) == 2.0);
    CHECK(ap_tau(98) == 3.9696969696969697);
    CHECK(ap_tau(99) == 4.0);
}

/* One workload's share by the closed form of section 5. */
static double closed_form(double r) {
    if (r <= 1) return 1;
    if (!(r <= 4)) return 0;
    int k = 0;
    while (ap_tau(k) < r) k++;
    return (99 - k + 0.5) / 99;
}

static void test_score_equals_the_closed_form(void) {
    const ap_rules rules = ap_rules_published();
    ap_targets targets = {0};
    ap_error error = {0};
    must(ap_targets_add(&targets, "w", "loss", false, 1, &error), &error);
    const double ratios[] = {1, 1.0000001, 1.01, 1.5, 2, 2.5, 3.9, 3.97, 3.999, 4, 4.0001, INFINITY, NAN};
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        ap_scores *scores;
        must(ap_scores_create(&targets, 2, &scores, &error), &error);
        scores->time[0] = 1;
        scores->time[1] = ratios[i];
        ap_scores_compute(scores, &rules);
        CHECK_NEAR(scores->score[1], closed_form(ratios[i]), 1e-12);
        CHECK_NEAR(scores->exact[1], ratios[i] < 4 ? (4 - ratios[i]) / 3 : 0, 1e-12);
        CHECK_NEAR(scores->score[0], 1, 1e-12);
        ap_scores_free(scores);
    }
    ap_targets_free(&targets);
}

static void test_nobody_reaches(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_1", "10,1,10,2,2\n");
    trial_at("S/study_0/b_jax/trial_1", "10,1,10,2,2\n");
    scored s = score_folder(root, table);
    CHECK_NEAR(score_of(&s, "S"), 0, 0);
    CHECK(isinf(s.board.scores->ratio[0]));
    end(&s);
}

static void test_fastest_at_zero_seconds_has_ratio_one(void) {
    begin();
    three("Q", 0, 0, 0);
    scored s = score_folder(root, table);
    CHECK_NEAR(score_of(&s, "Q"), 1, 1e-12);
    CHECK_NEAR(score_of(&s, "S"), 0, 0);
    end(&s);
}

/* ---- what a reader must cope with (rules 2) */

static void test_other_things_in_the_tree(void) {
    begin();
    trial_at("S/study_0/trial_1/trial_1", "1,1,1,0.5,0.5\n"); /* a stray trial: at workload level, and not listed */
    trial_at("S/study_0/a_jax/trial_x", "1,1,1,0.5,0.5\n");
    trial_at("S/study_0/a_jax/.trial_2", "1,1,1,0.5,0.5\n");
    trial_at("S/study_0/a_silu_jax/trial_1", "1,1,1,0.5,0.5\n");
    put_text(root, "notes.txt", "a plain file");
    put_text(root, "S/notes.txt", "a plain file");
    put_text(root, "S/study_0/notes.txt", "a plain file");
    put_text(root, "S/study_0/a_jax/trial_7", "a plain file");
    scored s = score_folder(root, table);
    CHECK_INT(s.status, AP_OK);
    CHECK_NEAR(time_of(&s, "S", "a"), 10, 0);
    CHECK_INT(s.board.trials.n, 3);
    CHECK_INT(s.board.trials.unlisted.n, 2);
    end(&s);
}

static void test_metric_column_missing(void) {
    begin();
    put_text(root, "S/study_0/a_jax/trial_1/eval_measurements.csv", "score,global_step\n1,1\n");
    scored s = score_folder(root, table);
    CHECK(isinf(time_of(&s, "S", "a")));
    end(&s);
}

static void test_columns_are_found_by_name(void) {
    begin();
    put_text(root, "S/study_0/a_jax/trial_1/eval_measurements.csv",
             "train/loss,validation/loss,x,score,global_step\r\n0.1,nan,,7,1\r\n\r\n9,0.5,,8.5,2");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 8.5, 0);
    end(&s);
}

static void test_header_without_rows(void) {
    begin();
    trial_at("S/study_0/a_jax/trial_1", "");
    scored s = score_folder(root, table);
    CHECK(isinf(time_of(&s, "S", "a")));
    end(&s);
}

static void test_csv_of_no_bytes_is_no_trial(void) {
    begin();
    put_text(root, "S/study_1/a_jax/trial_1/eval_measurements.csv", "");
    scored s = score_folder(root, table);
    CHECK_NEAR(time_of(&s, "S", "a"), 10, 0);
    CHECK_INT(s.board.trials.notes.n, 1);
    CHECK_TEXT(s.board.trials.notes.name[0], "0 bytes");
    end(&s);
}

static void test_both_frameworks(void) {
    begin();
    trial_at("S/study_0/a_pytorch/trial_1", "3,1,3,0.5,0.5\n");
    scored s = score_folder(root, table);
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "a_jax/trial_1");
    CHECK_TEXT(s.error.text, "a_pytorch/trial_1");
    end(&s);
}

static void test_one_folder_named_twice(void) {
    begin();
    scored s = score_folders((const char *const[]){root, root, NULL}, table);
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "twice");
    end(&s);
}

static void test_two_folders_are_one_leaderboard(void) {
    begin();
    char first[64], both[64];
    memcpy(first, root, sizeof first);
    new_folder(root);
    three("Q", 20, 20, 20);
    memcpy(both, root, sizeof both);
    scored s = score_folders((const char *const[]){first, both, NULL}, table);
    CHECK_NEAR(score_of(&s, "Q"), closed_form(2), 1e-12);
    remove_folder(first);
    end(&s);
}

/* ---- what is refused */

typedef struct bad {
    const char *file, *says;
} bad;

static void test_bad_logs(void) {
    static const bad cases[] = {
        {"score,global_step,validation/loss\n1,1,0.5,9\n", ":2: 4 cells in a table of 3"},
        {"score,global_step,validation/loss\n1,1,0.5\n1,2\n", ":3: 2 cells"},
        {"score,global_step,validation/loss\n1,1,abc\n", ":2: column \"validation/loss\" is \"abc\""},
        {"score,global_step,validation/loss\n1,1,0x1p3\n", "0x1p3"},
        {"score,global_step,validation/loss\n1,1,1.5e\n", "1.5e"},
        {"score,global_step,validation/loss\n-1,1,0.5\n", "must not be negative"},
        {"score,global_step,validation/loss\n1,1.5,0.5\n", "global_step is \"1.5\""},
        {"score,global_step,validation/loss\n1,-5,0.5\n", "global_step is \"-5\""},
        {"score,global_step,validation/loss\n1,99999999999999999999,0.5\n", "global_step"},
        {"score,validation/loss\n1,0.5\n", "no column \"global_step\""},
        {"global_step,validation/loss\n1,0.5\n", "no column \"score\""},
        {"score,score,global_step\n1,1,1\n", "\"score\" is there twice"},
        {"\n", "no header line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        put_text(root, "S/study_0/a_jax/trial_1/eval_measurements.csv", cases[i].file);
        scored s = score_folder(root, table);
        CHECK_INT(s.status, AP_DATA);
        CHECK_TEXT(s.error.text, "S/study_0/a_jax/trial_1/eval_measurements.csv");
        CHECK_TEXT(s.error.text, cases[i].says);
        end(&s);
    }
}

static void test_nul_byte_in_a_log(void) {
    static const char text[] = "score,global_step,validation/loss\n1,1,\0000.5\n";
    begin();
    put_bytes(root, "S/study_0/a_jax/trial_1/eval_measurements.csv", text, sizeof text - 1);
    scored s = score_folder(root, table);
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "NUL byte");
    end(&s);
}

static void test_logs_need_a_table(void) {
    begin();
    scored s = score_folder(root, NULL);
    CHECK_INT(s.status, AP_USAGE);
    CHECK_TEXT(s.error.text, "--targets");
    end(&s);
}

static void test_folder_without_trials(void) {
    begin();
    char path[128];
    snprintf(path, sizeof path, "%s/S", root); /* one level too deep */
    scored s = score_folder(path, table);
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "no trial found");
    end(&s);
}

static void test_folder_that_is_not_there(void) {
    scored s = score_folder("no/such/folder", table);
    CHECK_INT(s.status, AP_IO);
    CHECK_TEXT(s.error.text, "no/such/folder");
    free_scored(&s);
}

static void test_bad_tables(void) {
#define COLUMNS "workload,role,base_workload,metric,direction,validation_target\n"
    static const bad cases[] = {
        {"", "no header"},
        {"workload,role\n", "no column \"base_workload\""},
        {COLUMNS, "no workload has the role base"},
        {COLUMNS "a,bass,a,loss,min,1\n", "t:2: role is \"bass\""},
        {COLUMNS "a,base,a,loss,low,1\n", "t:2: direction is \"low\""},
        {COLUMNS "a,base,a,loss,min,nan\n", "validation_target is \"nan\""},
        {COLUMNS "a,base,a,loss,min,x\n", "\"x\""},
        {COLUMNS ",base,a,loss,min,1\n", "workload is \"\""},
        {COLUMNS "a,base,a,loss,min,1\na,base,a,loss,min,1\n", "t:3: workload \"a\" is there twice"},
        {COLUMNS "a,base,a,loss,min,1\nh,held_out,c,loss,min,1\n", "base_workload of h is \"c\""},
        {COLUMNS "a,base,a,loss,min,1\nh,held_out,h,loss,min,1\n", "base_workload of h is \"h\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ap_targets targets;
        ap_error error = {0};
        CHECK_INT(ap_targets_parse(strdup(cases[i].file), "t", &targets, &error), AP_DATA);
        CHECK_TEXT(error.text, cases[i].says);
    }
}

static void test_published_tables(void) {
    static const struct {
        const char *name;
        size_t base, held_out;
    } tables[] = {{"v05", 8, 6}, {"v06", 8, 0}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        ap_targets targets;
        ap_error error = {0};
        must(ap_targets_load(tables[i].name, &targets, &error), &error);
        size_t base = 0, held_out = 0;
        for (size_t w = 0; w < targets.n; w++) {
            base += targets.target[w].role == AP_ROLE_BASE;
            held_out += targets.target[w].role == AP_ROLE_HELD_OUT;
        }
        CHECK_INT(base, tables[i].base);
        CHECK_INT(held_out, tables[i].held_out);
        const ap_target *wmt = &targets.target[ap_targets_find(&targets, "wmt")];
        CHECK_NEAR(wmt->validation_target, 30.8491, 0);
        CHECK(wmt->maximise);
        ap_targets_free(&targets);
    }
}

static void test_unknown_table(void) {
    ap_targets targets;
    ap_error error = {0};
    CHECK_INT(ap_targets_load("v07", &targets, &error), AP_USAGE);
    CHECK_TEXT(error.text, "v05, v06");
}

AP_TEST_MAIN(test_alone, test_equality_reaches, test_nan_then_hit, test_one_of_two_studies_missed,
             test_mean_of_two_studies, test_study_without_csv_does_not_exist, test_smallest_index_not_time,
             test_tie_goes_to_the_smaller_time, test_exactly_4x_survives, test_a_hair_over_4x_does_not,
             test_held_out_over_4x_takes_the_base, test_held_out_never_run_takes_the_base, test_base_never_run,
             test_disqualified_time_still_sets_the_limit, test_trial_with_a_suffix_counts, test_hit_without_a_time,
             test_held_out_without_its_base_sets_no_limit, test_full_tie_goes_to_the_smaller_number,
             test_maximised_metric, test_median, test_grid, test_score_equals_the_closed_form, test_nobody_reaches,
             test_fastest_at_zero_seconds_has_ratio_one, test_other_things_in_the_tree, test_metric_column_missing,
             test_columns_are_found_by_name, test_header_without_rows, test_csv_of_no_bytes_is_no_trial,
             test_both_frameworks, test_one_folder_named_twice, test_two_folders_are_one_leaderboard, test_bad_logs,
             test_nul_byte_in_a_log, test_logs_need_a_table, test_folder_without_trials, test_folder_that_is_not_there,
             test_bad_tables, test_published_tables, test_unknown_table)
