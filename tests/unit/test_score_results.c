/* Scores from result trees of `algoperf`: result.h5 files with the data sets and attributes of harness/record.h that a
 * scorer needs, written here by base/h5.h alone. */
#include "scored.h"

#include "analysis/clocks.h"
#include "analysis/print.h"
#include "analysis/summary.h"

#include "base/h5.h"

/* One trial's result; fields that are NULL have the value of an ordinary one. */
typedef struct result {
    const char *workload, *variant, *scale, *data_set, *metric, *direction, *verdict, *clock, *cpu;
    double target;
    int64_t rows;
    const int64_t *step;
    const double *score, *validation;
    int64_t validation_rows;         /* 0: `rows` */
    const char *no_column, *no_text; /* left out */
} result;

static const int64_t steps[] = {10, 20, 30, 40};
static const double times[] = {1, 2, 3, 4};
static const double third[] = {0.1, 0.5, 0.9, 0.95}; /* reaches 0.85 at 3 s */
static const double never[] = {0.1, 0.2, 0.3, 0.4};
static const char mini[] = "mnist mini (fashion-mnist)";

static char root[64];

static result usual(const double *validation) {
    return (result){.target = 0.85, .rows = 4, .step = steps, .score = times, .validation = validation};
}

static void set_text(hid_t file, const result *r, const char *name, const char *text, const char *otherwise) {
    ap_error error = {0};
    if (r->no_text && !strcmp(r->no_text, name)) return;
    must(ap_h5_set_text(file, "/", name, text ? text : otherwise, &error), &error);
}
static void set_column(hid_t file, const result *r, const char *name, ap_dtype type, int64_t n, const void *data) {
    ap_error error = {0};
    char path[128];
    snprintf(path, sizeof path, "/evaluations/%s", name);
    if (!r->no_column || strcmp(r->no_column, name))
        must(ap_h5_write(file, path, type, 1, &n, data, NULL, &error), &error);
}

static void write_result(const char *place, result r) {
    char path[AP_PATH], below[256], metric[64];
    ap_error error = {0};
    ap_h5_writer *writer;
    snprintf(below, sizeof below, "%s/result.h5", place);
    snprintf(metric, sizeof metric, "validation/%s", r.metric ? r.metric : "accuracy");
    make_place(path, root, below);
    must(ap_h5_create(path, "result", &writer, &error), &error);
    hid_t file = ap_h5_writer_file(writer);
    set_text(file, &r, "submission", NULL, "whatever");
    set_text(file, &r, "workload", r.workload, "mnist");
    set_text(file, &r, "variant", r.variant, "");
    set_text(file, &r, "scale", r.scale, "mini");
    set_text(file, &r, "data_set", r.data_set, "fashion-mnist");
    set_text(file, &r, "target_metric", r.metric, "accuracy");
    set_text(file, &r, "direction", r.direction, "higher");
    set_text(file, &r, "clock", r.clock, "wall");
    set_text(file, &r, "ruleset", NULL, "external_tuning");
    set_text(file, &r, "verdict", r.verdict, "target_reached");
    must(ap_h5_set_f64(file, "/", "validation_target", r.target, &error), &error);
    must(ap_h5_make_group(file, "/provenance", &error), &error);
    if (r.cpu) must(ap_h5_set_text(file, "/provenance", "cpu_model", r.cpu, &error), &error);
    set_column(file, &r, "global_step", AP_I64, r.rows, r.step);
    set_column(file, &r, "score", AP_F64, r.rows, r.score);
    set_column(file, &r, "accumulated_submission_time", AP_F64, r.rows, r.score);
    set_column(file, &r, metric, AP_F64, r.validation_rows ? r.validation_rows : r.rows, r.validation);
    must(ap_h5_commit(writer, &error), &error);
}

static void end(scored *s) {
    free_scored(s);
    remove_folder(root);
}

/* ---- scores */

static void test_two_submissions(void) {
    static const double slower[] = {2, 4, 6, 8};
    new_folder(root);
    result b = usual(third);
    b.score = slower;
    write_result("fast/study_0/mnist/trial_1", usual(third));
    write_result("slow/study_0/mnist/trial_1", b);
    scored s = score_folder(root, NULL);
    CHECK_INT(s.status, AP_OK);
    CHECK_INT(s.board.scores->bases, 1);
    CHECK_NEAR(time_of(&s, "fast", mini), 3, 0);
    CHECK_NEAR(time_of(&s, "slow", mini), 6, 0);
    CHECK_NEAR(score_of(&s, "fast"), 1, 1e-12);
    CHECK_NEAR(score_of(&s, "slow"), (99 - 33 + 0.5) / 99, 1e-12); /* ratio 2 is grid point 33: closed form */
    end(&s);
}

static void test_equal_value_reaches(void) {
    new_folder(root);
    result r = usual(third);
    r.target = third[1];
    write_result("s/study_0/mnist/trial_1", r);
    scored s = score_folder(root, NULL);
    CHECK_NEAR(time_of(&s, "s", mini), times[1], 0);
    end(&s);
}

static void test_lower_is_better(void) {
    static const double loss[] = {2, 0.9, 0.2, 0.1};
    new_folder(root);
    result r = usual(loss);
    r.metric = "loss";
    r.direction = "lower";
    r.target = 0.5;
    write_result("s/study_0/mnist/trial_1", r);
    scored s = score_folder(root, NULL);
    CHECK_NEAR(time_of(&s, "s", mini), 3, 0);
    end(&s);
}

static void test_hit_before_a_failure_is_a_hit(void) {
    static const double lost[] = {0.1, 0.9, NAN, NAN};
    new_folder(root);
    result r = usual(lost);
    r.verdict = "diverged";
    write_result("s/study_0/mnist/trial_1", r);
    r = usual(never);
    r.verdict = "failed";
    write_result("s/study_0/mnist/trial_2", r);
    scored s = score_folder(root, NULL);
    CHECK_NEAR(time_of(&s, "s", mini), 2, 0);
    CHECK_INT(s.board.studies[0].trials, 2);
    CHECK_INT(s.board.studies[0].trials_hit, 1);
    end(&s);
}

static void test_failed_before_the_first_evaluation(void) {
    new_folder(root);
    result r = usual(never);
    r.rows = 0;
    r.verdict = "failed";
    write_result("s/study_0/mnist/trial_1", r);
    scored s = score_folder(root, NULL);
    CHECK_INT(s.status, AP_OK);
    CHECK(isinf(time_of(&s, "s", mini)));
    end(&s);
}

static void test_scales_and_data_sets_are_workloads(void) {
    new_folder(root);
    result r = usual(third);
    write_result("s/study_0/mnist/trial_1", r);
    r.scale = "full";
    r.target = 0.9;
    write_result("s/study_0/mnist_full/trial_1", r);
    r.data_set = "synthetic";
    write_result("s/study_0/mnist_synthetic/trial_1", r);
    r.variant = "wide";
    write_result("s/study_0/mnist_wide/trial_1", r);
    scored s = score_folder(root, NULL);
    CHECK_INT(s.board.scores->bases, 4);
    CHECK_NEAR(time_of(&s, "s", mini), 3, 0);
    CHECK_NEAR(time_of(&s, "s", "mnist full (fashion-mnist)"), 3, 0);
    CHECK_NEAR(time_of(&s, "s", "mnist full (synthetic)"), 3, 0);
    CHECK_NEAR(time_of(&s, "s", "mnist_wide full (synthetic)"), 3, 0);
    end(&s);
}

static void test_workload_that_one_never_ran(void) {
    new_folder(root);
    write_result("a/study_0/mnist/trial_1", usual(third));
    write_result("b/study_0/mnist/trial_1", usual(third));
    result r = usual(third);
    r.workload = "cifar";
    write_result("a/study_0/cifar/trial_1", r);
    scored s = score_folder(root, NULL);
    CHECK_NEAR(score_of(&s, "a"), 1, 1e-12);
    CHECK_NEAR(score_of(&s, "b"), 0.5, 1e-12);
    end(&s);
}

static void test_running_trials_make_a_study_incomplete(void) {
    new_folder(root);
    result r = usual(never);
    r.verdict = "running";
    write_result("s/study_0/mnist/trial_1", r);
    write_result("s/study_1/mnist/trial_1", usual(third));
    scored s = score_folder(root, NULL);
    CHECK_INT(s.board.studies[0].trials_running, 1);
    CHECK_INT(s.board.studies[1].trials_running, 0);
    CHECK_INT(ap_incomplete_studies(&s.board), 1);
    end(&s);
}

/* ---- clocks: what may be compared */

static ap_names differences(scored *s, ap_metric metric) {
    ap_names lines = {0};
    must(ap_clocks_compare(&s->board.trials, &s->board.targets, metric, &lines, &s->error), &s->error);
    return lines;
}

static void test_clocks_are_told_apart(void) {
    new_folder(root);
    result r = usual(third);
    write_result("a/study_0/mnist/trial_1", r);
    write_result("a/study_0/mnist/trial_2", r);
    r.clock = "steps";
    write_result("b/study_0/mnist/trial_1", r);
    scored s = score_folder(root, NULL);
    ap_names lines = differences(&s, AP_METRIC_TIME);
    CHECK_INT(lines.n, 1);
    CHECK_TEXT(lines.name[0], "clock differs on ");
    CHECK_TEXT(lines.name[0], "\"wall\" (2 trials, the first a/study_0/trial_1)");
    CHECK_TEXT(lines.name[0], "\"steps\" (1 trial, the first b/study_0/trial_1)");
    ap_names_free(&lines);
    lines = differences(&s, AP_METRIC_STEPS); /* a step is a step on any clock */
    CHECK_INT(lines.n, 0);
    end(&s);
}

static void test_machines_are_told_apart(void) {
    new_folder(root);
    result r = usual(third);
    r.cpu = "Abacus 1";
    write_result("a/study_0/mnist/trial_1", r);
    r.cpu = "Abacus 2";
    write_result("b/study_0/mnist/trial_1", r);
    scored s = score_folder(root, NULL);
    ap_names lines = differences(&s, AP_METRIC_TIME);
    CHECK_INT(lines.n, 1);
    CHECK_TEXT(lines.name[0], "cpu_model differs");
    ap_names_free(&lines);
    end(&s);
}

/* Other machines for other workloads are no mix: what is compared was timed alike. */
static void test_machines_may_differ_between_workloads(void) {
    new_folder(root);
    result r = usual(third);
    r.cpu = "Abacus 1";
    write_result("a/study_0/mnist/trial_1", r);
    r.cpu = "Abacus 2";
    r.workload = "dummy";
    write_result("a/study_0/dummy/trial_1", r);
    scored s = score_folder(root, NULL);
    ap_names lines = differences(&s, AP_METRIC_TIME);
    CHECK_INT(lines.n, 0);
    end(&s);
}

static void test_step_score(void) {
    static const int64_t many[] = {100, 200, 300, 400};
    new_folder(root);
    result r = usual(third);
    write_result("few/study_0/mnist/trial_1", r);
    r.step = many;
    write_result("many/study_0/mnist/trial_1", r);
    char *roots[] = {root, NULL};
    scored s = {0};
    const ap_leaderboard_options options = {.metric = "steps"};
    must(ap_leaderboard_read(roots, &options, &s.board, &s.error), &s.error);
    CHECK_NEAR(time_of(&s, "few", mini), 30, 0);
    CHECK_NEAR(time_of(&s, "many", mini), 300, 0);
    CHECK_NEAR(score_of(&s, "many"), 0, 0); /* 10 times the fewest steps */
    CHECK(ap_counts_other_steps(&s.board, submission_of(&s, "few")));
    CHECK_NEAR(ap_step_ratio(&s.board, submission_of(&s, "many"), 0), 10, 1e-12);
    end(&s);
}

/* ---- with a table of targets */

#define COLUMNS "workload,role,base_workload,metric,direction,validation_target\n"

static void test_table_overrules_the_target(void) {
    new_folder(root);
    write_result("s/study_0/mnist/trial_1", usual(third));
    scored s = score_folder(root, COLUMNS "mnist mini (fashion-mnist),base,x,accuracy,max,0.95\n");
    CHECK_NEAR(time_of(&s, "s", mini), 4, 0);
    end(&s);
}

static void test_plain_name_is_the_full_scale(void) {
    static const double later[] = {5, 6, 7, 8};
    new_folder(root);
    result r = usual(third);
    write_result("s/study_0/mnist/trial_1", r);
    r.scale = "full";
    r.score = later;
    write_result("s/study_0/mnist_full/trial_1", r);
    scored s = score_folder(root, COLUMNS "mnist,base,mnist,accuracy,max,0.85\n");
    CHECK_NEAR(time_of(&s, "s", "mnist"), 7, 0);
    CHECK_INT(s.board.trials.unlisted.n, 1);
    CHECK_TEXT(s.board.trials.unlisted.name[0], mini);
    end(&s);
}

static void test_two_data_sets_never_share_a_column(void) {
    new_folder(root);
    result r = usual(third);
    r.scale = "full";
    write_result("a/study_0/mnist/trial_1", r);
    r.data_set = "synthetic";
    write_result("b/study_0/mnist/trial_1", r);
    scored s = score_folder(root, COLUMNS "mnist,base,mnist,accuracy,max,0.85\n");
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "mnist full (synthetic)");
    CHECK_TEXT(s.error.text, "mnist full (fashion-mnist)");
    end(&s);
}

/* ---- what is refused */

static void test_different_targets(void) {
    new_folder(root);
    result r = usual(third);
    write_result("a/study_0/mnist/trial_1", r);
    r.target = 0.86;
    write_result("b/study_0/mnist/trial_1", r);
    scored s = score_folder(root, NULL);
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "b/study_0/mnist/trial_1/result.h5");
    CHECK_TEXT(s.error.text, "0.85");
    end(&s);
}

/* Every kind of wrong content in a file whose digest is right. */
static void refused(result r, const char *says) {
    new_folder(root);
    write_result("s/study_0/mnist/trial_1", r);
    scored s = score_folder(root, NULL);
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, "s/study_0/mnist/trial_1/result.h5");
    CHECK_TEXT(s.error.text, says);
    end(&s);
}

static void test_wrong_content(void) {
    static const char *const texts[] = {"workload", "variant",   "scale", "data_set", "target_metric",
                                        "verdict",  "direction", "clock", "ruleset"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        result r = usual(third);
        r.no_text = texts[i];
        refused(r, texts[i]);
    }
    static const char *const columns[] = {"global_step", "score", "validation/accuracy"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        result r = usual(third);
        r.no_column = columns[i];
        refused(r, columns[i]);
    }
}

static void test_wrong_values(void) {
    static const int64_t back[] = {10, 20, 20, 30};
    static const double negative[] = {1, 2, -3, 4}, endless[] = {1, 2, INFINITY, 4};
    result r = usual(third);
    r.step = back;
    refused(r, "global_step[2] is 20");
    r = usual(third);
    r.score = negative;
    refused(r, "score[2] is -3");
    r.score = endless;
    refused(r, "score[2] is inf");
    r = usual(third);
    r.validation_rows = 3;
    refused(r, "validation/accuracy");
    r = usual(third);
    r.direction = "sideways";
    refused(r, "sideways");
    r = usual(third);
    r.target = NAN;
    refused(r, "validation_target");
    r = usual(third);
    r.data_set = "a name of more than sixty-four bytes, which would make every table unreadable";
    refused(r, "data_set");
}

/* Reads the result, lets `damage` change its bytes, writes it back, and expects a refusal that names it. */
static void damaged(size_t (*damage)(char *bytes, size_t n)) {
    char path[AP_PATH], *bytes;
    size_t n;
    ap_error error = {0};
    new_folder(root);
    write_result("s/study_0/mnist/trial_1", usual(third));
    must(ap_path(path, &error, "%s/s/study_0/mnist/trial_1/result.h5", root), &error);
    must(ap_read_file(path, 1 << 24, &bytes, &n, &error), &error);
    n = damage(bytes, n);
    must(ap_write_file(path, bytes, n, &error), &error);
    free(bytes);
    scored s = score_folder(root, NULL);
    CHECK_INT(s.status, AP_DATA);
    CHECK_TEXT(s.error.text, path);
    end(&s);
}
static size_t flip(char *bytes, size_t n) {
    bytes[n / 2] = (char)(bytes[n / 2] ^ 4);
    return n;
}
static size_t cut(char *bytes, size_t n) {
    (void)bytes;
    return n - 1;
}
static size_t nothing_left(char *bytes, size_t n) {
    (void)bytes, (void)n;
    return 0;
}
static size_t wrong_magic(char *bytes, size_t n) {
    bytes[0] = 'A';
    return n;
}
static void test_damaged_files(void) {
    damaged(flip);
    damaged(cut);
    damaged(nothing_left);
    damaged(wrong_magic);
}

/* ---- report */

static char *printed(const scored *s, ap_status (*print)(const ap_printed *, FILE *, ap_error *)) {
    static char text[8192];
    ap_error error = {0};
    FILE *out = fmemopen(text, sizeof text, "w");
    must(print(&(ap_printed){.board = &s->board}, out, &error), &error);
    fclose(out);
    return text;
}

static void test_report(void) {
    new_folder(root);
    result r = usual(never);
    r.verdict = "running";
    write_result("fast/study_0/mnist/trial_1", usual(third));
    write_result("fast/study_0/mnist/trial_2", usual(never));
    write_result("none/study_0/mnist/trial_1", r);
    scored s = score_folder(root, NULL);
    char *text = printed(&s, ap_print_text);
    CHECK_TEXT(text, "2 submissions, 3 trials, 1 base workload; targets: those the results name\n");
    CHECK_TEXT(text, "clock: wall\n");
    CHECK_TEXT(text, "accuracy >= 0.85");
    CHECK_TEXT(text,
               "mnist mini (fashion-mnist)  fast        study_0       2        1  trial_1       30            3\n");
    CHECK_TEXT(text, "mnist mini (fashion-mnist)  none        study_0       1        0  -              -  not reached  "
                     "incomplete: 1 running\n");
    CHECK_TEXT(text, "no: not reached\n");
    CHECK_TEXT(text, "fast        1.0000");
    CHECK_TEXT(text, "none        0.0000");
    CHECK_TEXT(text, "1 of 2 studies are incomplete");
    CHECK(!strstr(text, " \n"));
    end(&s);
}

static void test_submission_that_is_no_csv_cell(void) {
    new_folder(root);
    write_result("a,b/study_0/mnist/trial_1", usual(third));
    scored s = score_folder(root, NULL);
    CHECK_INT(ap_print_csv(&(ap_printed){.board = &s.board}, stdout, &s.error), AP_DATA);
    CHECK_TEXT(s.error.text, "a,b");
    end(&s);
}

static void test_csv(void) {
    new_folder(root);
    write_result("a/study_0/mnist/trial_1", usual(never));
    write_result("b/study_0/mnist/trial_1", usual(third));
    scored s = score_folder(root, NULL);
    char *text = printed(&s, ap_print_csv);
    const char start[] = "submission,score,score_exact_integral\nb,";
    CHECK(!strncmp(text, start, strlen(start)));
    CHECK(strtod(text + strlen(start), NULL) == score_of(&s, "b"));
    CHECK_TEXT(text, "\na,0,0\n");
    end(&s);
}

AP_TEST_MAIN(test_two_submissions, test_equal_value_reaches, test_lower_is_better, test_hit_before_a_failure_is_a_hit,
             test_failed_before_the_first_evaluation, test_scales_and_data_sets_are_workloads,
             test_workload_that_one_never_ran, test_running_trials_make_a_study_incomplete, test_clocks_are_told_apart,
             test_machines_are_told_apart, test_machines_may_differ_between_workloads, test_step_score,
             test_table_overrules_the_target, test_plain_name_is_the_full_scale,
             test_two_data_sets_never_share_a_column, test_different_targets, test_wrong_content, test_wrong_values,
             test_damaged_files, test_report, test_csv, test_submission_that_is_no_csv_cell)
