/* Whole leaderboards from folders by the published tables: dated folders, workloads that are only listed, rulesets,
 * strict mode, speedups. */
#include "scored.h"

#include "analysis/sensitivity.h"
#include "analysis/speedup.h"

static char root[64];

static const char *const bases[] = {"criteo1tb",
                                    "fastmri",
                                    "imagenet_resnet",
                                    "imagenet_vit",
                                    "librispeech_conformer",
                                    "librispeech_deepspeech",
                                    "ogbg",
                                    "wmt",
                                    NULL};
static const char *const held_out[] = {"criteo1tb_embed_init",
                                       "fastmri_tanh",
                                       "imagenet_resnet_large_bn_init",
                                       "librispeech_conformer_layernorm",
                                       "ogbg_model_size",
                                       "wmt_glu_tanh",
                                       NULL};

/* A log that reaches any target of any workload after `time_s`: each metric has a column, all with perfect values. */
static void put_log(const char *submission, const char *study, const char *workload, int trial, double time_s) {
    char path[AP_PATH], text[512];
    snprintf(path, sizeof path, "%s/%s/%s_jax/trial_%d/eval_measurements.csv", submission, study, workload, trial);
    snprintf(
        text, sizeof text,
        "global_step,accumulated_submission_time,score,validation/loss,validation/ssim,validation/accuracy,"
        "validation/wer,validation/mean_average_precision,validation/bleu,validation/ppl\n10,%g,%g,0,1,1,0,1,99,1\n",
        time_s, time_s);
    put_text(root, path, text);
}
static void put_study(const char *submission, const char *study, const char *const *workloads, int trials,
                      double time_s) {
    for (; *workloads; workloads++)
        for (int t = 1; t <= trials; t++) put_log(submission, study, *workloads, t, time_s);
}

static scored read_by(ap_leaderboard_options options) {
    scored s = {0};
    char *roots[] = {root, NULL};
    s.status = ap_leaderboard_read(roots, &options, &s.board, &s.error);
    return s;
}
static void end(scored *s) {
    free_scored(s);
    remove_folder(root);
}

/* ---- v0.6: three studies, no held-out workloads, n = 8 or 9 */

static void test_v06_divides_by_8(void) {
    new_folder(root);
    put_study("a", "study_0", bases, 1, 10);
    put_study("b", "study_0", bases, 1, 20);
    put_study("b", "study_0", held_out, 1, 1); /* variants there: ignored */
    scored s = read_by((ap_leaderboard_options){.targets = "v06", .ruleset = "self_tuning"});
    CHECK_INT(s.status, AP_OK);
    CHECK_INT(s.board.scores->bases, 8);
    CHECK_INT(s.board.scores->columns, 8);
    CHECK_NEAR(score_of(&s, "a"), 1, 1e-12);
    CHECK_NEAR(score_of(&s, "b"), (99 - 33 + 0.5) / 99, 1e-12);
    end(&s);
}

static void test_listed_workload_counts_when_somebody_ran_it(void) {
    new_folder(root);
    put_study("a", "study_0", bases, 1, 10);
    put_study("b", "study_0", bases, 1, 10);
    put_log("b", "study_0", "finewebedu_lm", 1, 10);
    scored s = read_by((ap_leaderboard_options){.targets = "v06", .ruleset = "self_tuning"});
    CHECK_INT(s.board.scores->bases, 9);
    CHECK_NEAR(score_of(&s, "a"), 8.0 / 9, 1e-12);
    CHECK_NEAR(score_of(&s, "b"), 1, 1e-12);
    bool said = false;
    for (size_t i = 0; i < s.board.trials.notes.n; i++)
        said |= strstr(s.board.trials.notes.name[i], "finewebedu_lm") != NULL;
    CHECK(said);
    end(&s);
}

/* ---- strict mode (rules 8) */

static void test_strict_v05(void) {
    static const char *const studies[] = {"study_0", "study_1", "study_2", "study_3", "study_4"};
    new_folder(root);
    for (int i = 0; i < 5; i++) {
        put_study("a", studies[i], bases, 1, 10);
        put_study("a", studies[i], held_out, 1, 10);
    }
    scored s = read_by((ap_leaderboard_options){.targets = "v05", .ruleset = "self_tuning", .strict = ""});
    CHECK_INT(s.status, AP_OK);
    CHECK_INT(s.board.gaps.n, 0);
    free_scored(&s);
    s = read_by((ap_leaderboard_options){.targets = "v05", .strict = ""}); /* external tuning: 5 trials a study */
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "a: studies without 5 trials (70)");
    free_scored(&s);
    s = read_by((ap_leaderboard_options){.targets = "v06", .ruleset = "self_tuning", .strict = ""});
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "a: workloads that are not scored (6)");
    CHECK_TEXT(s.error.text, "a: workloads without 3 studies (8): criteo1tb (5)");
    end(&s);
}

static void test_strict_names_what_is_missing(void) {
    new_folder(root);
    put_study("a", "study_0", bases, 1, 10);
    scored s = read_by((ap_leaderboard_options){.targets = "v05", .ruleset = "self_tuning", .strict = ""});
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "a: scored workloads never run (6): criteo1tb_embed_init, fastmri_tanh");
    end(&s);
}

/* ---- dated folders (rules 2, official habit a) */

static void test_dated_folder_is_merged_and_by_itself(void) {
    new_folder(root);
    put_study("a", "study_0", bases, 1, 10);
    put_study("a-2024-03-01-10-20-30", "study_0", bases, 1, 5); /* same study, same trial name */
    put_study("a-2024-03-01-10-20-30", "study_1", bases, 1, 7);
    put_study("b-2024-03-01-10-20-30", "study_0", bases, 1, 5); /* there is no b: a name like any other */
    put_study("a-2024-03-01", "study_0", bases, 1, 5);          /* not the pattern */
    scored s = read_by((ap_leaderboard_options){.targets = "v06", .ruleset = "self_tuning"});
    CHECK_INT(s.status, AP_OK);
    CHECK_INT(s.board.trials.submissions.n, 4);
    CHECK_NEAR(time_of(&s, "a", "wmt"), 6, 0); /* study_0: 5 of two trials; study_1: 7 */
    CHECK_NEAR(time_of(&s, "a-2024-03-01-10-20-30", "wmt"), 6, 0);
    CHECK_NEAR(time_of(&s, "b-2024-03-01-10-20-30", "wmt"), 5, 0);
    end(&s);
}

/* ---- speedups (rules 6): v0.5 budgets for all versions, 3 times them under self-tuning */

static void test_speedup_of_a_miss(void) {
    ap_speedups speedups;
    new_folder(root);
    put_study("baseline", "study_0", bases, 1, 100);
    put_study("a", "study_0", bases + 1, 1, 50);
    put_text(root, "a/study_0/criteo1tb_jax/trial_1/eval_measurements.csv",
             "global_step,score,validation/loss\n10,100,0.9\n");
    scored s = read_by((ap_leaderboard_options){.targets = "v06", .ruleset = "self_tuning"});
    must(ap_speedups_compute(&s.board, submission_of(&s, "baseline"), &speedups, &s.error), &s.error);
    double miss = 3 * 7703 + 1;
    CHECK_NEAR(speedups.term[0].time_used, miss, 0);
    CHECK_NEAR(speedups.ratio[submission_of(&s, "a")], exp((7 * log(0.5) + log(miss / 100)) / 8), 1e-12);
    CHECK_NEAR(speedups.ratio[submission_of(&s, "baseline")], 1, 1e-12);
    ap_speedups_free(&speedups);
    end(&s);
}

static void test_speedup_of_what_was_never_run(void) {
    ap_speedups speedups;
    new_folder(root);
    put_study("baseline", "study_0", bases, 1, 100);
    put_study("a", "study_0", bases + 1, 1, 50);
    scored s = read_by((ap_leaderboard_options){.targets = "v06"});
    must(ap_speedups_compute(&s.board, submission_of(&s, "baseline"), &speedups, &s.error), &s.error);
    CHECK(isnan(speedups.ratio[submission_of(&s, "a")]));
    ap_speedups_free(&speedups);
    end(&s);
}

static void test_submission_without_trials_is_noted(void) {
    new_folder(root);
    put_study("a", "study_0", bases, 1, 10);
    put_text(root, "crashed/study_0/wmt_jax/trial_1/hparams.json", "{}");
    scored s = read_by((ap_leaderboard_options){.targets = "v06"});
    CHECK_INT(s.board.trials.submissions.n, 1);
    CHECK_INT(s.board.trials.notes.n, 2);
    CHECK_TEXT(s.board.trials.notes.name[1], "crashed holds no usable trial");
    end(&s);
}

/* ---- sensitivity: what is left out is as if it had never been there */

static const ap_change *change_of(const ap_sensitivity *s, ap_change_group group, const char *what) {
    for (size_t i = 0; i < s->n; i++)
        if (s->change[i].group == group && !strcmp(s->change[i].what, what)) return &s->change[i];
    printf("no change %s %s\n", ap_change_group_names[group], what);
    exit(1);
}

/* Compares with the folder from which `path` was removed. */
static void check_left_out(const ap_change *change, const scored *whole, const char *path) {
    char full[AP_PATH];
    ap_error error;
    must(ap_path(full, &error, "%s/%s", root, path), &error);
    remove_folder(full);
    scored rest = read_by((ap_leaderboard_options){.targets = "v06"});
    CHECK_INT(rest.status, AP_OK);
    for (size_t i = 0; i < rest.board.trials.submissions.n; i++) {
        const char *name = rest.board.trials.submissions.name[i];
        CHECK_NEAR(change->score[submission_of(whole, name)], rest.board.scores->score[i], 0);
    }
    free_scored(&rest);
}

static void test_left_out(void) {
    ap_sensitivity s;
    new_folder(root);
    put_study("a", "study_0", bases, 2, 10);
    put_study("a", "study_1", bases, 2, 30);
    put_study("b", "study_0", bases, 2, 20);
    put_study("b", "study_1", bases, 1, 12);
    put_log("b", "study_1", "wmt", 1, 11);
    put_log("b", "study_1", "wmt", 2, 25);
    put_study("c", "study_0", bases, 1, 17);
    scored whole = read_by((ap_leaderboard_options){.targets = "v06"});
    must(ap_sensitivity_compute(&whole.board, &s, &whole.error), &whole.error);
    check_left_out(change_of(&s, AP_CHANGE_ONE_TRIAL, "b study_1 wmt trial_1"), &whole, "b/study_1/wmt_jax/trial_1");
    put_log("b", "study_1", "wmt", 1, 11);
    check_left_out(change_of(&s, AP_CHANGE_ONE_STUDY, "a study_0"), &whole, "a/study_0");
    put_study("a", "study_0", bases, 2, 10);
    check_left_out(change_of(&s, AP_CHANGE_SUBMISSION, "b"), &whole, "b");
    CHECK(isnan(change_of(&s, AP_CHANGE_SUBMISSION, "b")->score[submission_of(&whole, "b")]));
    ap_sensitivity_free(&s);
    end(&whole);
}

static void test_enforced_budget(void) {
    ap_sensitivity s;
    new_folder(root);
    put_study("a", "study_0", bases, 1, 4000); /* over half of the smallest budgets: criteo1tb 7703 s, fastmri 4430 s */
    scored whole = read_by((ap_leaderboard_options){.targets = "v06"});
    must(ap_sensitivity_compute(&whole.board, &s, &whole.error), &whole.error);
    CHECK_NEAR(change_of(&s, AP_CHANGE_BUDGET, "enforced at 1 of it")->score[0], 1, 1e-12);
    CHECK_NEAR(change_of(&s, AP_CHANGE_BUDGET, "enforced at 0.75 of it")->score[0], 7.0 / 8, 1e-12);
    CHECK_NEAR(change_of(&s, AP_CHANGE_BUDGET, "enforced at 0.5 of it")->score[0], 6.0 / 8, 1e-12);
    CHECK_NEAR(change_of(&s, AP_CHANGE_BUDGET, "enforced at 0.25 of it")->score[0], 5.0 / 8, 1e-12); /* ogbg: 12011 */
    ap_sensitivity_free(&s);
    end(&whole);
}

/* A log whose accuracy is just over the target, and one just under it. */
static void test_moved_target(void) {
    ap_sensitivity s;
    static const char text[] =
        "workload,role,base_workload,metric,direction,validation_target\nw,base,w,accuracy,max,0.8\n"
        "l,base,l,loss,min,2\n";
    new_folder(root);
    put_text(root, "over/study_0/w_jax/trial_1/eval_measurements.csv",
             "global_step,score,validation/accuracy\n1,9,0.801\n");
    put_text(root, "under/study_0/w_jax/trial_1/eval_measurements.csv",
             "global_step,score,validation/accuracy\n1,9,0.795\n");
    put_text(root, "over/study_0/l_jax/trial_1/eval_measurements.csv",
             "global_step,score,validation/loss\n1,9,1.999\n");
    put_text(root, "under/study_0/l_jax/trial_1/eval_measurements.csv",
             "global_step,score,validation/loss\n1,9,2.015\n");
    scored whole = score_folder(root, text);
    must(ap_sensitivity_compute(&whole.board, &s, &whole.error), &whole.error);
    static const char *const what[] = {"0.5 % easier", "1 % easier", "0.5 % harder"};
    static const double want[][2] = {{1, 0}, {1, 1}, {0, 0}};
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < 2; k++)
            CHECK_NEAR(change_of(&s, AP_CHANGE_TARGET, what[i])->score[k], want[i][k], 1e-12);
    ap_sensitivity_free(&s);
    end(&whole);
}

AP_TEST_MAIN(test_v06_divides_by_8, test_listed_workload_counts_when_somebody_ran_it, test_strict_v05,
             test_strict_names_what_is_missing, test_dated_folder_is_merged_and_by_itself, test_speedup_of_a_miss,
             test_speedup_of_what_was_never_run, test_submission_without_trials_is_noted, test_left_out,
             test_enforced_budget, test_moved_target)
