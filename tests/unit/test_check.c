/* check: a whole and consistent tree is VALID; with one thing wrong in it, exactly that is said. */
#include "analysis/archive.h"
#include "analysis/check.h"
#include "full_result.h"

static char root[64];
#define PLACE "nadamw/study_0/mnist/trial_1"
#define JOB                                                                                                            \
    "studies = 1\nworkload = mnist mini synthetic \n  hidden = 24\nsubmission = nadamw \n  {\"learning_rate\": 0.1}\n"

typedef struct said {
    ap_check check;
    char text[8192];
} said;

static void keep(const char *line, void *data) {
    said *s = data;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof s->text - n, "%s\n", line);
}

static said check_path(const char *name) {
    static said s;
    char path[AP_PATH];
    ap_error error = {0};
    s = (said){.check = {.say = keep, .data = &s}};
    snprintf(path, sizeof path, "%s/%s", root, name);
    must(ap_check_tree(path, &s.check, &error), &error);
    return s;
}

static void write_tree(full_result r) {
    new_folder(root);
    full_write(root, "R/" PLACE, r);
    put_text(root, "R/job.txt", JOB);
}

static void valid(const char *name) {
    said s = check_path(name);
    if (s.check.reasons) printf("%s", s.text);
    CHECK_INT(s.check.reasons, 0);
}

/* Exactly one reason, with this text. */
static void invalid(const char *name, const char *says) {
    said s = check_path(name);
    if (s.check.reasons != 1) printf("%s", s.text);
    CHECK_INT(s.check.reasons, 1);
    CHECK_TEXT(s.text, says);
}

static void wrong(full_result r, const char *says) {
    write_tree(r);
    invalid("R", says);
    remove_folder(root);
}

/* ---- valid */

static full_result reaching(const char *verdict) {
    full_result r = full_usual();
    r.target = 0.95; /* by the last evaluation */
    r.verdict = verdict;
    return r;
}

static void test_valid(void) {
    write_tree(full_usual());
    valid("R");
    said s = check_path("R");
    CHECK_INT(s.check.planned, 1);
    CHECK_INT(s.check.verdicts, 1);
    valid("R/" PLACE);
    valid("R/" PLACE "/result.h5");
    remove_folder(root);
    write_tree(reaching("target_reached"));
    valid("R");
    remove_folder(root);
    full_result r = full_usual();
    r.verdict = "crashed";
    r.status = 7;
    r.steps = 0;
    write_tree(r);
    valid("R");
    remove_folder(root);
}

static void test_collection(void) {
    ap_archive_summary summary;
    ap_error error = {0};
    char in[AP_PATH], out[AP_PATH];
    write_tree(full_usual());
    put_text(root, "R/" PLACE "/events.jsonl", "{\"event\":\"started\"}\n");
    snprintf(in, sizeof in, "%s/R", root);
    snprintf(out, sizeof out, "%s/R.h5", root);
    must(ap_archive_write((const char *const[]){in, NULL}, out, &summary, NULL, &error), &error);
    said a = check_path("R"), b = check_path("R.h5");
    CHECK_INT(a.check.reasons, 2); /* the log tells of no evaluation and no end */
    CHECK(!strcmp(a.text, b.text));
    CHECK_INT(b.check.planned, 1);
    remove_folder(root);
}

/* ---- one result */

static void test_head(void) {
    static const char *const facts[] = {"clock", "max_runtime_s", "global_batch_size", "buckets", "test_target"};
    full_result r = full_usual();
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        r.no_fact = facts[i];
        wrong(r, facts[i]);
    }
    r = full_usual();
    r.hyperparameters = "{\"learning_rate\":0.1,\"learning_rate\":0.1}";
    wrong(r, "no JSON object");
    r = full_usual();
    r.direction = "sideways\033[2J";
    wrong(r, "sideways?[2J");
}

static void test_rows(void) {
    full_result r = full_usual();
    r.repeat_step = true;
    wrong(r, "evaluations/global_step[1] is 8");
    r = full_usual();
    r.back_at = 2;
    wrong(r, "evaluations/total_duration[1] is 0.001");
    static const double score[] = {4, 9, 12}, endless[] = {4, INFINITY, INFINITY};
    r = full_usual();
    r.score = score;
    wrong(r, "equal under the wall clock");
    r.clock = "steps";
    write_tree(r);
    valid("R");
    remove_folder(root);
    r.score = endless;
    wrong(r, "evaluations/score[1] is inf");
    r = full_usual();
    r.digest = "0123";
    wrong(r, "parameter_digest[0] is \"0123\"");
    r = full_usual();
    r.steps_fact = 25;
    wrong(r, "24 rows of steps and 0 dropped, but the last step is 25");
    r.dropped = 1;
    write_tree(r);
    valid("R");
    remove_folder(root);
}

static void test_verdicts(void) {
    full_result r = full_usual();
    r.verdict = "running";
    wrong(r, "has no verdict yet");
    r.verdict = "won";
    wrong(r, "\"won\", which this program does not know");
    r.verdict = "diverged";
    wrong(r, "the status is 0");
    r.verdict = "stopped";
    r.status = 6;
    wrong(r, "that of a failure");
}

static void test_targets(void) {
    full_result r = full_usual();
    r.verdict = "target_reached";
    wrong(r, "no evaluation reaches the targets");
    wrong(reaching("budget_spent"), "the verdict is budget_spent");
    r = full_usual();
    r.target = 0.92;
    wrong(r, "reached in evaluation 1, but there are 1 more");
    r.target = 1 - 1.0 / 24; /* equality does not end a training */
    write_tree(r);
    valid("R");
    remove_folder(root);
    r.direction = "lower_or_equal";
    r.target = 0.875;
    wrong(r, "reached in evaluation 0, but there are 2 more");
}

/* ---- its log */

static const char *evaluation_line(int64_t step) {
    static char line[256];
    char hex[AP_DIGEST_TEXT];
    ap_digest_text(ap_digest_of(&step, sizeof step), hex);
    snprintf(line, sizeof line, "{\"event\":\"evaluation\",\"global_step\":%lld,\"parameter_digest\":\"%s\"}\n",
             (long long)step, hex);
    return line;
}

static void test_events(void) {
    static const char *const starts[] = {"{\"event\":\"started\"}\n", "{\"event\":\"resumed\"}\n"};
    static const struct {
        int start, evaluations;
        int64_t shift;
        const char *end, *says;
    } logs[] = {
        {0, 3, 0, "{\"event\":\"finished\",\"verdict\":\"step_cap\"}\n", NULL},
        {1, 3, 0, "{\"event\":\"finished\",\"verdict\":\"step_cap\"}\n", "does not tell of the start"},
        {0, 3, 0, "", "does not tell of the end"},
        {0, 3, 0, "{\"event\":\"finished\",\"verdict\":\"budget_spent\"}\n", "ends with the verdict budget_spent"},
        {0, 2, 0, "{\"event\":\"finished\",\"verdict\":\"step_cap\"}\n", "tells of 2 evaluations, the result has 3"},
        {0, 3, 1, "{\"event\":\"finished\",\"verdict\":\"step_cap\"}\n", "evaluation 0 is after step 9"},
        {0, 3, 0, "{\"event\":\"finished\",\"verdict\":\"step_cap\"}\n{\"eve", "events.jsonl:6 is cut off"},
        {0, 3, 0, "\n{\"event\":\"finished\",\"verdict\":\"step_cap\"}\n", "events.jsonl:5 is no event"},
    };
    write_tree(full_usual());
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        char text[2048];
        snprintf(text, sizeof text, "%s", starts[logs[i].start]);
        for (int k = 1; k <= logs[i].evaluations; k++) strcat(text, evaluation_line(8 * k + logs[i].shift));
        strcat(text, logs[i].end);
        put_text(root, "R/" PLACE "/events.jsonl", text);
        logs[i].says ? invalid("R", logs[i].says) : valid("R");
    }
    remove_folder(root);
}

/* ---- the tree */

static void test_complete(void) {
    write_tree(full_usual());
    full_write(root, "R/nadamw/study_0/mnist/trial_2", full_usual());
    invalid("R", "trial_2: is no trial of the job");
    put_text(root, "R/job.txt", JOB "  {\"learning_rate\": 0.1}\n");
    valid("R");
    put_text(root, "R/job.txt", JOB "  {\"learning_rate\": 0.2}\n");
    invalid("R", "trial_2: was run with hyperparameters {\"learning_rate\":0.1}, the job has {\"learning_rate\": 0.2}");
    put_text(root, "R/job.txt", JOB "  {\"learning_rate\": 0.1}\n  {\"learning_rate\": 0.1}\n");
    invalid("R", "nadamw/study_0/mnist/trial_3: has no result");
    put_text(root, "R/nadamw/study_0/mnist/trial_3/events.jsonl", "");
    invalid("R", "nadamw/study_0/mnist/trial_3: has no result");
    put_text(root, "R/trials.json", "{\"format\":1,\"trials\":[{\"path\":\"" PLACE "\"}]}");
    said s = check_path("R");
    CHECK_TEXT(s.text, "trials.json lists 1 trials, job.txt describes 3");
    put_text(root, "R/job.txt", JOB);
    invalid("R", "trial_2: is no trial of the job");
    remove_folder(root);
    new_folder(root);
    full_write(root, "R/" PLACE, full_usual());
    invalid("R", "has neither trials.json nor job.txt");
    put_text(root, "R/trials.json", "{\"format\":1,\"trials\":[{\"path\":\"" PLACE "\"}]}");
    valid("R");
    remove_folder(root);
}

static void test_left_overs(void) {
    static const char *const names[] = {"R/" PLACE "/.result.h5.n1.77.tmp", "R/.job.txt.n1.77.tmp", "R/" PLACE "/claim",
                                        "R/.sweep/claims/claim.000000"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        write_tree(full_usual());
        put_text(root, names[i], "");
        invalid("R", strrchr(names[i], '/') + 1);
        remove_folder(root);
    }
}

static void test_damage(void) {
    write_tree(full_usual());
    put_text(root, "R/" PLACE "/result.h5", "no");
    said s = check_path("R");
    CHECK_INT(s.check.reasons, 1);
    CHECK_TEXT(s.text, PLACE "/result.h5: is no");
    remove_folder(root);
    new_folder(root);
    put_text(root, "R/file", "");
    invalid("R", "no trial found");
    ap_check check = {.say = keep};
    ap_error error = {0};
    CHECK_INT(ap_check_tree("no such folder", &check, &error), AP_IO);
    remove_folder(root);
}

/* ---- plans and logs that are wrong */

static void bad_plan(const char *trials, const char *job, const char *says) {
    write_tree(full_usual());
    if (job) put_text(root, "R/job.txt", job);
    if (trials) put_text(root, "R/trials.json", trials);
    said s = check_path("R");
    CHECK(s.check.reasons > 0);
    CHECK_TEXT(s.text, says);
    remove_folder(root);
}

static void test_bad_plans(void) {
    bad_plan(NULL, "", "job.txt names no trial");
    bad_plan(NULL, "studies = many\n", "studies = many");
    bad_plan(NULL, "studies = 999999999999\n", "studies = 999999999999");
    bad_plan(NULL, JOB "submission = nadamw\n  {}\n", "is listed twice");
    bad_plan("{", NULL, "trials.json:1");
    bad_plan("[]", NULL, "is no list of trials");
    bad_plan("{\"format\":2,\"trials\":[{\"path\":\"x\"}]}", NULL, "is no list of trials");
    bad_plan("{\"format\":1,\"trials\":[{\"path\":7}]}", NULL, "trial 0 has no path");
    bad_plan("{\"format\":1,\"trials\":[{\"path\":\"a\"},{\"path\":\"a\"}]}", NULL, "trial a is listed twice");
}

static void log_says(const char *text, size_t n, const char *says) {
    new_folder(root);
    put_bytes(root, "R/s/study_0/w_jax/trial_1/eval_measurements.csv", text, n);
    says ? invalid("R", says) : valid("R");
    remove_folder(root);
}
#define HEADER "accumulated_submission_time,global_step,score\n"

static void test_official_logs(void) {
    static const struct {
        const char *text, *says;
    } logs[] = {{HEADER "1,1,1\n2,2,2\n", NULL},
                {HEADER "1,1,1\n2,1,2\n", "eval_measurements.csv:3: column \"global_step\" is \"1\""},
                {HEADER "1,1,2\n2,2,1\n", "eval_measurements.csv:3: column \"score\" is \"1\""},
                {HEADER "1,1\n", "eval_measurements.csv:2: 2 cells"},
                {"score\n1\n", "no column \"global_step\""},
                {HEADER "1,1,x\n", "column \"score\" is \"x\""}};
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) log_says(logs[i].text, strlen(logs[i].text), logs[i].says);
    log_says(HEADER "1,\0,1\n", strlen(HEADER) + 6, "NUL");
}

AP_TEST_MAIN(test_valid, test_collection, test_head, test_rows, test_verdicts, test_targets, test_events, test_complete,
             test_left_overs, test_damage, test_bad_plans, test_official_logs)
