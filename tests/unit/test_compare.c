/* compare: result trees that differ in one thing, and what is said about it. */
#include "analysis/compare.h"
#include "full_result.h"

#include <jansson.h>

static char root[64];
#define PLACE "nadamw/study_0/mnist/trial_1"

typedef struct compared {
    ap_tree a, b;
    ap_comparison c;
    ap_status status;
    ap_error error;
} compared;

static compared compare_paths(const char *a, const char *b) {
    compared r = {0};
    char path[2][AP_PATH];
    must(ap_path(path[0], &r.error, "%s/%s", root, a), &r.error);
    must(ap_path(path[1], &r.error, "%s/%s", root, b), &r.error);
    r.status = ap_tree_open(path[0], &r.a, &r.error);
    if (!r.status) r.status = ap_tree_open(path[1], &r.b, &r.error);
    if (!r.status) r.status = ap_compare_trees(&r.a, &r.b, &r.c, &r.error);
    return r;
}

static compared compare_two(full_result a, full_result b) {
    new_folder(root);
    full_write(root, "A/" PLACE, a);
    full_write(root, "B/" PLACE, b);
    return compare_paths("A", "B");
}

static void end(compared *r) {
    ap_comparison_free(&r->c);
    ap_tree_close(&r->a);
    ap_tree_close(&r->b);
    remove_folder(root);
}

static void check_one(const compared *r, ap_outcome outcome, bool same, bool strictly) {
    if (r->status) printf("%s\n", r->error.text);
    CHECK_INT(r->status, AP_OK);
    CHECK_INT(r->c.pairs, 1);
    if (r->c.pairs == 1) CHECK_INT(r->c.pair[0].outcome, outcome);
    CHECK_INT(ap_comparison_same(&r->c, false), same);
    CHECK_INT(ap_comparison_same(&r->c, true), strictly);
}

/* ---- the same */

static void test_identical(void) {
    full_result b = full_usual();
    b.speed = 2;
    compared r = compare_two(full_usual(), b);
    check_one(&r, AP_IDENTICAL, true, true);
    CHECK_INT(r.c.pair[0].evaluations, 3);
    CHECK_INT(r.c.pair[0].steps, 24);
    CHECK_INT(r.c.pair[0].differing, 0);
    CHECK_NEAR(r.c.step_ratio, 4, 1e-12);
    CHECK_NEAR(r.c.evaluation_ratio, 1, 1e-12);
    CHECK_INT(r.c.clues, 0);
    end(&r);
}

static void test_nan_is_nan(void) {
    full_result a = full_usual();
    a.nan_from = 16;
    a.verdict = "diverged";
    compared r = compare_two(a, a);
    check_one(&r, AP_IDENTICAL, true, true);
    end(&r);
}

static void test_no_rows(void) {
    full_result a = full_usual();
    a.steps = 0;
    a.verdict = "failed";
    compared r = compare_two(a, a);
    check_one(&r, AP_IDENTICAL, true, true);
    end(&r);
}

/* ---- where they part */

static void check_first(const compared *r, int64_t step, const char *quantity, int64_t differing) {
    check_one(r, AP_DIFFERENT, false, false);
    CHECK_INT(r->c.pair[0].first_step, step);
    CHECK(!strcmp(r->c.pair[0].quantity, quantity));
    CHECK_INT(r->c.pair[0].differing, differing);
}

static void test_one_bit_of_one_loss(void) {
    full_result b = full_usual();
    b.loss_from = 17;
    compared r = compare_two(full_usual(), b);
    check_first(&r, 17, "steps/loss", 8);
    CHECK_TEXT(r.c.pair[0].value[0], "0.1176470588235294");
    CHECK(strcmp(r.c.pair[0].value[0], r.c.pair[0].value[1]));
    CHECK(strtod(r.c.pair[0].value[1], NULL) == nextafter(2.0 / 17, 9));
    end(&r);
}

static void test_digest(void) {
    full_result b = full_usual();
    b.digest_from = 16;
    compared r = compare_two(full_usual(), b);
    check_first(&r, 16, "evaluations/parameter_digest", 2);
    end(&r);
}

/* The loss of step 16 is that of the parameters before the update that the evaluation sees. */
static void test_the_earliest_is_named(void) {
    full_result b = full_usual();
    b.digest_from = 16;
    b.loss_from = 16;
    compared r = compare_two(full_usual(), b);
    check_first(&r, 16, "steps/loss", 9 + 2);
    b.loss_from = 17;
    end(&r);
    r = compare_two(full_usual(), b);
    check_first(&r, 16, "evaluations/parameter_digest", 8 + 2);
    end(&r);
}

static void test_settings(void) {
    full_result b = full_usual();
    b.hyperparameters = "{\"learning_rate\":0.2}";
    b.loss_from = 1;
    compared r = compare_two(full_usual(), b);
    check_first(&r, -1, "hyperparameters", 25);
    CHECK_TEXT(r.c.pair[0].value[1], "0.2");
    end(&r);
}

static void test_missing_column(void) {
    full_result b = full_usual();
    b.no_test = true;
    for (int swapped = 0; swapped < 2; swapped++) {
        compared r = swapped ? compare_two(b, full_usual()) : compare_two(full_usual(), b);
        check_first(&r, -1, "evaluations/test/accuracy", 3);
        CHECK(!strcmp(r.c.pair[0].value[swapped], "a column"));
        end(&r);
    }
}

/* ---- other ends */

static void test_wall_clock_ends_elsewhere(void) {
    full_result b = full_usual();
    b.steps = 20;
    b.every = 4;
    b.verdict = "budget_spent";
    compared r = compare_two(full_usual(), b);
    check_one(&r, AP_SAME_SO_FAR, true, false);
    CHECK_INT(r.c.pair[0].steps, 20);
    CHECK_INT(r.c.pair[0].evaluations, 2); /* after steps 8 and 16 */
    end(&r);
    b.digest_from = 16;
    r = compare_two(full_usual(), b);
    check_first(&r, 16, "evaluations/parameter_digest", 1);
    end(&r);
}

static void test_ends_that_no_clock_explains(void) {
    full_result a = full_usual(), b = full_usual();
    a.clock = b.clock = "steps";
    b.steps = 16;
    compared r = compare_two(a, b);
    check_one(&r, AP_UNEXPLAINED, false, false);
    end(&r);
    static const char *const verdicts[] = {"running", "failed", "crashed", "diverged"};
    for (int i = 0; i < 4; i++) {
        a = b = full_usual();
        b.verdict = verdicts[i];
        b.steps = 16;
        r = compare_two(a, b);
        check_one(&r, AP_UNEXPLAINED, false, false);
        end(&r);
    }
    b.verdict = "step_cap";
    b.steps = 0;
    r = compare_two(full_usual(), b); /* nothing in common */
    check_one(&r, AP_UNEXPLAINED, false, false);
    end(&r);
}

static void test_score_under_the_steps_clock(void) {
    static const double score[] = {1, 2, 4};
    full_result a = full_usual(), b = full_usual();
    b.score = score;
    compared r = compare_two(a, b);
    check_one(&r, AP_IDENTICAL, true, true); /* the wall clock's score is a measured time */
    end(&r);
    a.clock = b.clock = "steps";
    r = compare_two(a, b);
    check_first(&r, 8, "evaluations/score", 3);
    end(&r);
}

/* ---- trees */

static void test_only_in_one(void) {
    new_folder(root);
    full_write(root, "A/" PLACE, full_usual());
    full_write(root, "A/nadamw/study_0/mnist/trial_2", full_usual());
    full_write(root, "B/" PLACE, full_usual());
    full_write(root, "B/other/study_0/mnist/trial_1", full_usual());
    put_text(root, "B/nadamw/study_0/mnist/trial_2/events.jsonl", "{}\n"); /* a trial folder without a result */
    compared r = compare_paths("A", "B");
    CHECK_INT(r.status, AP_OK);
    CHECK_INT(r.c.count[AP_IDENTICAL], 1);
    CHECK_INT(r.c.count[AP_ONLY_IN_A], 1);
    CHECK_INT(r.c.count[AP_ONLY_IN_B], 1);
    CHECK(!ap_comparison_same(&r.c, false));
    CHECK_TEXT(r.c.pair[1].name, "nadamw/study_0/mnist/trial_2");
    CHECK_TEXT(r.c.pair[2].name, "other/study_0/mnist/trial_1");
    end(&r);
}

static void test_clues(void) {
    full_result b = full_usual();
    b.machine = "another machine";
    b.extra_fact = "optimizer_state_bytes";
    b.target = 0.95;
    compared r = compare_two(full_usual(), b);
    check_one(&r, AP_IDENTICAL, true, true);
    CHECK_INT(r.c.clues, 3);
    CHECK(!strcmp(r.c.clue[0].key, "optimizer_state_bytes") && r.c.clue[0].weight == 0 && !r.c.clue[0].a);
    CHECK(!strcmp(r.c.clue[1].key, "cpu_model") && r.c.clue[1].weight == 1);
    CHECK_TEXT(r.c.clue[1].b, "another machine");
    CHECK(!strcmp(r.c.clue[2].key, "validation_target") && r.c.clue[2].weight == 2);
    end(&r);
    full_result a = full_usual();
    a.math = b.math = "blas";
    r = compare_two(a, b);
    CHECK(!strcmp(r.c.clue[0].key, "cpu_model") && r.c.clue[0].weight == 0); /* nothing is promised for blas */
    end(&r);
}

static void test_single_results(void) {
    full_result b = full_usual();
    b.loss_from = 3;
    new_folder(root);
    full_write(root, "A/" PLACE, full_usual());
    full_write(root, "B/x/study_1/y/trial_9", b);
    compared r = compare_paths("A/" PLACE, "B/x/study_1/y/trial_9/result.h5");
    check_first(&r, 3, "steps/loss", 22);
    ap_comparison_free(&r.c);
    ap_tree_close(&r.a);
    ap_tree_close(&r.b);
    r = compare_paths("A", "B/x/study_1/y/trial_9/result.h5");
    CHECK_INT(r.status, AP_DATA);
    CHECK_TEXT(r.error.text, "two of a kind");
    end(&r);
}

/* ---- bad input */

static void refused(full_result b, const char *says) {
    compared r = compare_two(full_usual(), b);
    CHECK_INT(r.status, AP_DATA);
    CHECK_TEXT(r.error.text, says);
    CHECK_TEXT(r.error.text, "B/" PLACE);
    end(&r);
}

static void test_bad_input(void) {
    full_result b = full_usual();
    b.repeat_step = true;
    refused(b, "evaluations/global_step[1] is 8");
    new_folder(root);
    full_write(root, "A/" PLACE, full_usual());
    put_text(root, "B/" PLACE "/result.h5", "no result");
    compared r = compare_paths("A", "B");
    CHECK_INT(r.status, AP_DATA);
    CHECK_TEXT(r.error.text, "B/" PLACE "/result.h5");
    end(&r);
    new_folder(root);
    full_write(root, "A/" PLACE, full_usual());
    put_text(root, "B/" PLACE "/eval_measurements.csv", "global_step,score\n1,2\n");
    r = compare_paths("A", "B");
    CHECK_INT(r.status, AP_DATA);
    CHECK_TEXT(r.error.text, "official logs");
    end(&r);
}

/* ---- print */

static char *print_json(const compared *r, bool times) {
    char *text = NULL;
    size_t n;
    ap_error error = {0};
    FILE *out = open_memstream(&text, &n);
    must(ap_comparison_json(&r->c, &r->a, &r->b, times, false, out, &error), &error);
    fclose(out);
    return text;
}

static void test_json(void) {
    full_result b = full_usual();
    b.loss_from = 17;
    compared r = compare_two(full_usual(), b);
    char *text = print_json(&r, true);
    json_t *object = json_loads(text, 0, NULL), *first = NULL;
    CHECK(json_is_false(json_object_get(object, "same")));
    const char *outcome = NULL, *quantity = NULL, *value = NULL;
    json_int_t step = 0;
    CHECK(!json_unpack(object, "{s:[{s:s,s:o}]}", "trials", "outcome", &outcome, "first_difference", &first));
    CHECK(!json_unpack(first, "{s:I,s:s,s:[s]}", "global_step", &step, "quantity", &quantity, "value", &value));
    CHECK(outcome && !strcmp(outcome, "different"));
    CHECK_INT(step, 17);
    CHECK(quantity && !strcmp(quantity, "steps/loss"));
    CHECK(value && strtod(value, NULL) == 2.0 / 17);
    CHECK_TEXT(text, "step_time_ratio");
    json_decref(object);
    free(text);
    end(&r);
}

static void test_text_without_times(void) {
    char *text[2];
    for (int i = 0; i < 2; i++) {
        full_result b = full_usual();
        b.speed = 1 + i;
        compared r = compare_two(full_usual(), b);
        size_t n;
        FILE *out = open_memstream(&text[i], &n);
        free(r.a.root), free(r.b.root); /* the temp folder's name */
        r.a.root = strdup("A"), r.b.root = strdup("\033[2JB");
        must(ap_comparison_print(&r.c, &r.a, &r.b, false, false, out, &r.error), &r.error);
        fclose(out);
        end(&r);
    }
    CHECK(!strcmp(text[0], text[1]));
    CHECK_TEXT(text[0], "SAME: 1 identical\n");
    CHECK(!strchr(text[0], '\033'));
    free(text[0]);
    free(text[1]);
}

AP_TEST_MAIN(test_identical, test_nan_is_nan, test_no_rows, test_one_bit_of_one_loss, test_digest,
             test_the_earliest_is_named, test_settings, test_missing_column, test_wall_clock_ends_elsewhere,
             test_ends_that_no_clock_explains, test_score_under_the_steps_clock, test_only_in_one, test_clues,
             test_single_results, test_bad_input, test_json, test_text_without_times)
