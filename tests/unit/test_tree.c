/* The result tree's own files: the list of trials, the index of verdicts, marks of cancelled trials. */
#include "folder.h"

#include "harness/tree.h"

static ap_tree_trial trials[] = {
    {.path = "nadamw/study_0/mnist/trial_1", .submission = "nadamw", .workload = "mnist", .expected_s = 12.5},
    {.path = "nadamw/study_1/mnist/trial_2",
     .submission = "nadamw",
     .workload = "mnist",
     .study = 1,
     .trial = 1,
     .expected_s = 3},
};
static const ap_tree_list two = {.n = 2, .identity = "abc", .job_file = "jobs/x.cfg", .trial = trials};

static void new_tree(void) {
    start();
    CHECK_INT(ap_tree_prepare(folder, NULL), AP_OK);
    CHECK_INT(ap_tree_write_list(folder, &two, NULL), AP_OK);
    CHECK_INT(ap_make_directories(in_folder(trials[1].path), NULL), AP_OK);
}

/* ---- the list */

static void test_the_list_comes_back(void) {
    ap_tree_list list;
    new_tree();
    CHECK_INT(ap_tree_read_list(folder, &list, NULL), AP_OK);
    CHECK_INT(list.n, 2);
    CHECK_TEXT(list.identity, "abc");
    CHECK_TEXT(list.trial[1].path, trials[1].path);
    CHECK_INT(list.trial[1].study, 1);
    CHECK_INT(list.trial[1].trial, 1);
    CHECK(list.trial[0].expected_s == 12.5);
    ap_tree_free_list(&list);
    const ap_tree_list other = {.n = 1, .identity = "x", .job_file = "y", .trial = trials};
    CHECK_INT(ap_tree_write_list(folder, &other, NULL), AP_OK); /* the first one stays */
    CHECK_INT(ap_tree_read_list(folder, &list, NULL), AP_OK);
    CHECK_INT(list.n, 2);
    ap_tree_free_list(&list);
}

static void test_lists_that_are_none(void) {
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{\"format\": 2, \"trials\": [{}]}",
                                        "{\"format\": 1}",
                                        "{\"format\": 1, \"trials\": []}",
                                        "{\"format\": 1, \"trials\": [3]}",
                                        "{\"format\": 1, \"trials\": [{\"path\": \"/etc/x\"}]}",
                                        "{\"format\": 1, \"trials\": [{\"path\": \"../x\"}]}"};
    ap_tree_list list;
    ap_error error;
    start();
    CHECK_INT(ap_tree_read_list(folder, &list, &error), AP_DATA);
    CHECK_TEXT(error.text, "no result tree");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK_INT(ap_write_file(in_folder("trials.json"), texts[i], strlen(texts[i]), NULL), AP_OK);
        CHECK_INT(ap_tree_read_list(folder, &list, &error), AP_DATA);
        CHECK_TEXT(error.text, "trials.json");
    }
}

static void test_finding_a_trial_by_its_folder(void) {
    static const char *const forms[] = {"nadamw/study_1/mnist/trial_2", "nadamw/study_1/mnist/trial_2//"};
    char results[AP_PATH], path[AP_PATH];
    ap_tree_list list;
    ap_error error;
    int trial;
    new_tree();
    for (int i = 0; i < 2; i++) {
        CHECK_INT(ap_tree_find_trial(in_folder(forms[i]), results, &list, &trial, &error), AP_OK);
        CHECK_INT(trial, 1);
        CHECK_TEXT(results, folder);
        ap_tree_free_list(&list);
    }
    CHECK_INT(ap_tree_find_trial(in_folder("nadamw/study_0/mnist/trial_1"), results, &list, &trial, NULL), AP_OK);
    CHECK_INT(trial, 0); /* has no folder yet */
    ap_tree_free_list(&list);
    CHECK_INT(ap_tree_find_trial(in_folder("nadamw/study_0/mnist/trial_9"), results, &list, &trial, &error), AP_USAGE);
    CHECK_TEXT(error.text, "no trial of the tree");
    CHECK_INT(ap_tree_find_trial(folder, results, &list, &trial, &error), AP_USAGE);
    CHECK_INT(ap_tree_find_trial("/nowhere/a/b/c/d", results, &list, &trial, &error), AP_USAGE);
    CHECK_TEXT(error.text, "trial_M");
    snprintf(path, sizeof path, "%s", in_folder("nadamw/study_1/mnist"));
    CHECK_INT(chdir(path), 0);
    CHECK_INT(ap_tree_find_trial("trial_2", results, &list, &trial, &error), AP_USAGE); /* names no tree */
    CHECK_INT(chdir("/"), 0);
}

/* ---- verdicts */

static const ap_result_summary summary = {.verdict = AP_VERDICT_FAILED,
                                          .reason = "my.so: \"quoted\" and \x1b raw",
                                          .steps = 77,
                                          .evaluations = 3,
                                          .target_reached = true,
                                          .status = AP_SUBMISSION};

static void write_result(const char *text) {
    CHECK_INT(ap_write_file(in_folder("nadamw/study_1/mnist/trial_2/result.h5"), text, strlen(text), NULL), AP_OK);
}
static void record(void) {
    CHECK_INT(ap_verdict_record(folder, 1, in_folder(trials[1].path), &summary, NULL), AP_OK);
}
static bool finished(int trial) {
    unsigned char flags[2];
    CHECK_INT(ap_verdicts_list(folder, 2, flags, NULL), AP_OK);
    return flags[trial];
}

static void test_a_verdict_comes_back_without_its_result(void) {
    ap_result_summary found;
    new_tree();
    CHECK(!finished(1));
    CHECK_INT(ap_cancel_ask(folder, 1, NULL), AP_OK);
    record();
    CHECK(finished(1) && !finished(0));
    CHECK(!ap_cancel_is_asked(folder, 1));
    CHECK_INT(ap_verdict_read(folder, 1, in_folder(trials[1].path), &found, NULL), AP_OK);
    CHECK_INT(found.verdict, AP_VERDICT_FAILED);
    CHECK_TEXT(found.reason, "my.so: \"quoted\" and ? raw");
    CHECK_INT(found.steps, 77);
    CHECK_INT(found.evaluations, 3);
    CHECK(found.target_reached);
    CHECK_INT(found.status, AP_SUBMISSION);
    ap_verdict_forget(folder, 1);
    CHECK(!finished(1));
    CHECK_INT(ap_verdict_read(folder, 1, in_folder(trials[1].path), &found, NULL), AP_OK);
    CHECK_INT(found.evaluations, -1); /* nor is there a result */
}

static void test_a_result_that_changed_is_dropped_from_the_index(void) {
    new_tree();
    write_result("some bytes");
    record();
    CHECK_INT(ap_verdict_check(folder, 1, in_folder(trials[1].path), NULL), AP_OK);
    CHECK(finished(1));
    write_result("longer bytes"); /* times of change have the grain of a clock tick */
    CHECK_INT(ap_verdict_check(folder, 1, in_folder(trials[1].path), NULL), AP_OK);
    CHECK(!finished(1));
    record();
    unlink(in_folder("nadamw/study_1/mnist/trial_2/result.h5"));
    CHECK_INT(ap_verdict_check(folder, 1, in_folder(trials[1].path), NULL), AP_OK);
    CHECK(!finished(1));
}

/* A torn or foreign entry says nothing: the result is asked. */
static void test_damaged_entries_of_the_index(void) {
    static const char *const texts[] = {"", "{", "{\"verdict\": \"running\"}", "{\"verdict\": \"splendid\"}", "[7]"};
    ap_result_summary found;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        new_tree();
        CHECK_INT(ap_write_file(in_folder(".sweep/verdicts/000001"), texts[i], strlen(texts[i]), NULL), AP_OK);
        CHECK_INT(ap_verdict_read(folder, 1, in_folder(trials[1].path), &found, NULL), AP_OK);
        CHECK_INT(found.evaluations, -1);
        CHECK_INT(ap_verdict_check(folder, 1, in_folder(trials[1].path), NULL), AP_OK);
        CHECK(!finished(1));
    }
    CHECK_INT(ap_write_file(in_folder(".sweep/verdicts/000001x"), "", 0, NULL), AP_OK);
    CHECK_INT(ap_write_file(in_folder(".sweep/verdicts/999999"), "", 0, NULL), AP_OK);
    CHECK(!finished(0) && !finished(1));
}

AP_TEST_MAIN(test_the_list_comes_back, test_lists_that_are_none, test_finding_a_trial_by_its_folder,
             test_a_verdict_comes_back_without_its_result, test_a_result_that_changed_is_dropped_from_the_index,
             test_damaged_entries_of_the_index)
