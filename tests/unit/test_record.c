/* A trial's record: what events.jsonl and result.h5 say is what happened, once each, whatever happened in between. */
#include "base/file.h"
#include "crash.h"
#include "data_scratch.h"
#include "harness/record.h"
#include <jansson.h>
#include <malloc.h>
#include <sys/stat.h>

static ap_error error;

static const char *folder(void) {
    scratch("");
    return scratch_folder;
}

/* ---- a trial of which everything is known in advance */

static ap_provenance provenance = {
    .n = 2, .item = {{.key = "host", .text = "node1"}, {.key = "compiler", .text = "GNU 12.2.0"}}};

static ap_record_head head_of(int study) {
    return (ap_record_head){.submission = "nadamw",
                            .workload = "mnist",
                            .variant = "",
                            .scale = "mini",
                            .data_set = "fashion-mnist",
                            .ruleset = "external_tuning",
                            .clock = "wall",
                            .hyperparameters = "{\"learning_rate\": 0.00125, \"beta1\": 0.9, \"name\": \"a\"}",
                            .loss_type = "softmax_cross_entropy",
                            .target_metric = "accuracy",
                            .direction = "higher",
                            .study = study,
                            .trial = 4,
                            .validation_target = 0.84,
                            .test_target = NAN,
                            .max_runtime_s = 60,
                            .eval_period_s = 5,
                            .step_hint = 1000,
                            .global_batch_size = 128,
                            .metrics = 2,
                            .metric_names = {"accuracy", "loss"},
                            .provenance = &provenance};
}

/* Evaluation i (from 1), after step 10 i. Every member is a different number; there is no test split. */
static ap_eval_row row_of(int i) {
    ap_eval_row row = {.global_step = 10 * i,
                       .preemption_count = 0,
                       .accumulated_submission_time = i / 3.0,
                       .accumulated_eval_time = i / 7.0,
                       .accumulated_logging_time = i / 11.0,
                       .total_duration = i / 13.0,
                       .score = i / 17.0,
                       .num_examples = {1000, 500, 0},
                       .parameter_digest = {(uint64_t)i, 0xabcdef0000000000}};
    for (int s = 0; s < AP_RECORD_SPLITS; s++)
        for (int m = 0; m < AP_RECORD_METRICS; m++) row.metric[s][m] = s == 2 || m > 1 ? NAN : i / 10.0 + s + m / 19.0;
    row.metric[1][0] = 0.75 + i / 64.0; /* validation accuracy, exact: better than 0.84 from evaluation 6 on */
    return row;
}

static ap_buckets buckets_at(int i) {
    return (ap_buckets){.ns = {600000000L * i, 300000000L * i, 50000000L * i, 30000000L * i, 0, 20000000L * i}};
}

static void step(ap_record *r, int64_t s) {
    ap_record_step(r, s, 1.0 / (double)s, (double)s / 30.0);
}

/* Steps and evaluations after `from` up to evaluation `to`. */
static void run(ap_record *r, int from, int to) {
    CHECK_OK(ap_record_reserve_steps(r, 10L * (to - from), &error));
    for (int i = from + 1; i <= to; i++) {
        for (int s = 10 * (i - 1) + 1; s <= 10 * i; s++) step(r, s);
        ap_eval_row row = row_of(i);
        ap_buckets buckets = buckets_at(i);
        CHECK_OK(ap_record_evaluation(r, &row, &buckets, &error));
    }
}

static ap_record *opened(const ap_record_head *head, const ap_checkpoint *resume) {
    ap_record *r = NULL;
    CHECK_OK(ap_record_open(folder(), head, resume, &r, &error));
    if (!r) exit(1);
    return r;
}

static ap_status save(ap_record *r, int64_t at_step) {
    ap_blob blobs[AP_RECORD_BLOBS];
    int n = ap_record_blobs(r, blobs);
    return ap_checkpoint_save(folder(), at_step, "trial", n, blobs, &error);
}

static ap_checkpoint loaded(void) {
    ap_checkpoint c;
    char note[AP_ERROR_TEXT];
    CHECK_OK(ap_checkpoint_load(folder(), "trial", &c, note, &error));
    return c;
}

/* A finished trial of n evaluations in the folder. */
static void finished(int n) {
    scratch_clear();
    ap_record_head head = head_of(0);
    ap_record *r = opened(&head, NULL);
    ap_buckets buckets = buckets_at(n);
    run(r, 0, n);
    CHECK_OK(ap_record_finish(r, AP_VERDICT_STEP_CAP, "max_steps = 70", &buckets, &error));
    ap_record_close(r);
}

/* ---- looking at the files */

/* The lines of events.jsonl, parsed; each must be a JSON object that ends in a newline. The caller frees. */
static json_t *events(void) {
    size_t n;
    char *text = (char *)scratch_read(scratch("events.jsonl"), &n), *line = text, *end;
    json_t *lines = json_array();
    for (; (end = memchr(line, '\n', n - (size_t)(line - text))); line = end + 1) {
        json_t *object = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);
        CHECK(json_is_object(object));
        json_array_append_new(lines, object);
    }
    CHECK(line == text + n);
    free(text);
    return lines;
}

static const char *event_name(json_t *lines, size_t i) {
    const char *name = json_string_value(json_object_get(json_array_get(lines, i), "event"));
    return name ? name : "";
}

static int64_t event_integer(json_t *line, const char *key) {
    const json_t *value = json_object_get(line, key);
    if (!json_is_integer(value)) {
        printf("%s is not an integer\n", key);
        ap_check_failures++;
    }
    return json_integer_value(value);
}

/* The log holds evaluations 1 .. n, in order, once each. */
static void check_log_has(int n) {
    json_t *lines = events();
    int next = 1;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        if (strcmp(event_name(lines, i), "evaluation") != 0) continue;
        json_t *line = json_array_get(lines, i);
        CHECK_INT(event_integer(line, "global_step"), 10 * next);
        CHECK(json_real_value(json_object_get(line, "score")) == row_of(next).score);
        next++;
    }
    CHECK_INT(next - 1, n);
    json_decref(lines);
}

static hid_t opened_result(void) {
    hid_t file = H5I_INVALID_HID;
    CHECK_OK(ap_h5_open_sealed(scratch("result.h5"), "result", true, &file, &error));
    return file;
}

static double *column(hid_t file, const char *name, int64_t expect) {
    void *data = NULL;
    int64_t n;
    CHECK_OK(ap_h5_read(file, name, AP_F64, expect, 1 << 20, &data, &n, &error));
    return data;
}

/* result.h5 holds evaluations 1 .. n and the steps up to the last of them, all columns with these numbers. */
static void check_result_has(int n) {
    hid_t file = opened_result();
    static const char *const names[] = {"global_step",
                                        "preemption_count",
                                        "accumulated_submission_time",
                                        "accumulated_eval_time",
                                        "accumulated_logging_time",
                                        "total_duration",
                                        "score",
                                        "train/accuracy",
                                        "train/loss",
                                        "validation/accuracy",
                                        "validation/loss",
                                        "test/accuracy",
                                        "test/loss",
                                        "train/num_examples",
                                        "validation/num_examples",
                                        "test/num_examples"};
    for (size_t c = 0; c < sizeof names / sizeof *names; c++) {
        char name[64];
        snprintf(name, sizeof name, "/evaluations/%s", names[c]);
        double *got = column(file, name, n);
        for (int i = 0; got && i < n; i++) {
            ap_eval_row r = row_of(i + 1);
            const double want[] = {(double)r.global_step,
                                   (double)r.preemption_count,
                                   r.accumulated_submission_time,
                                   r.accumulated_eval_time,
                                   r.accumulated_logging_time,
                                   r.total_duration,
                                   r.score,
                                   r.metric[0][0],
                                   r.metric[0][1],
                                   r.metric[1][0],
                                   r.metric[1][1],
                                   r.metric[2][0],
                                   r.metric[2][1],
                                   1000,
                                   500,
                                   0};
            CHECK(!memcmp(&got[i], &want[c], 8) || (isnan(got[i]) && isnan(want[c])));
        }
        free(got);
    }
    double *steps = column(file, "/steps/global_step", 10 * n), *loss = column(file, "/steps/loss", 10 * n),
           *time = column(file, "/steps/submission_time", 10 * n);
    for (int i = 0; steps && loss && time && i < 10 * n; i++)
        CHECK(steps[i] == i + 1 && loss[i] == 1.0 / (i + 1) && time[i] == (i + 1) / 30.0);
    free(steps);
    free(loss);
    free(time);
    ap_h5_close(file);
}

static void check_attribute(hid_t file, const char *object, const char *name, const char *want) {
    char *text = NULL;
    CHECK_OK(ap_h5_get_text(file, object, name, &text, &error));
    CHECK(text && !strcmp(text, want));
    free(text);
}

/* ---- a trial that nothing happens to */

static void test_a_fresh_record_has_its_first_line_and_an_empty_result(void) {
    scratch_clear();
    ap_record_head head = head_of(2);
    ap_record *r = opened(&head, NULL);
    json_t *lines = events(), *line = json_array_get(lines, 0);
    CHECK_INT(json_array_size(lines), 1);
    CHECK(!strcmp(event_name(lines, 0), "started"));
    CHECK(!strcmp(json_string_value(json_object_get(line, "submission")), "nadamw"));
    CHECK_INT(event_integer(line, "study"), 2);
    CHECK(json_is_null(json_object_get(line, "test_target"))); /* NaN */
    CHECK(json_real_value(json_object_get(json_object_get(line, "hyperparameters"), "learning_rate")) == 0.00125);
    CHECK(!strcmp(json_string_value(json_object_get(json_object_get(line, "provenance"), "host")), "node1"));
    CHECK_INT(strlen(json_string_value(json_object_get(line, "time"))), strlen("2026-01-31T12:00:00Z"));
    json_decref(lines);
    check_result_has(0);
    CHECK_INT(ap_record_rows(r), 0);
    ap_record_close(r);
    ap_record_close(NULL);
}

static void test_the_result_has_all_that_was_recorded(void) {
    finished(7);
    check_log_has(7);
    check_result_has(7);
    hid_t file = opened_result();
    check_attribute(file, "/", "submission", "nadamw");
    check_attribute(file, "/", "variant", "");
    check_attribute(file, "/", "data_set", "fashion-mnist");
    check_attribute(file, "/", "direction", "higher");
    check_attribute(file, "/", "verdict", "step_cap");
    check_attribute(file, "/", "reason", "max_steps = 70");
    check_attribute(file, "/", "hyperparameters", head_of(0).hyperparameters);
    check_attribute(file, "/", "buckets",
                    "{\"submission\":4200000000,\"evaluation\":2100000000,\"checkpoint\":350000000,"
                    "\"logging\":210000000,\"setup\":0,\"harness\":140000000}");
    check_attribute(file, "/provenance", "host", "node1");
    check_attribute(file, "/evaluations/score", "unit", "s");
    check_attribute(file, "/evaluations/validation/num_examples", "unit", "example");
    check_attribute(file, "/steps/submission_time", "unit", "s");
    double target = 0;
    int64_t number = 0, n;
    char **digests;
    CHECK_OK(ap_h5_get_f64(file, "/", "validation_target", &target, &error));
    CHECK(target == 0.84);
    CHECK_OK(ap_h5_get_f64(file, "/", "test_target", &target, &error));
    CHECK(isnan(target));
    CHECK_OK(ap_h5_get_i64(file, "/", "trial", &number, &error));
    CHECK_INT(number, 4);
    CHECK_OK(ap_h5_get_i64(file, "/", "steps", &number, &error));
    CHECK_INT(number, 70);
    CHECK_OK(ap_h5_read_text(file, "/evaluations/parameter_digest", &n, &digests, &error));
    CHECK_INT(n, 7);
    CHECK(!strcmp(digests[2], "abcdef00000000000000000000000003")); /* high, then low */
    ap_h5_free_text(n, digests);
    ap_h5_close(file);
}

static void test_the_last_line_tells_the_end(void) {
    finished(7);
    json_t *lines = events(), *line = json_array_get(lines, 8);
    CHECK_INT(json_array_size(lines), 9);
    CHECK(!strcmp(event_name(lines, 8), "finished"));
    CHECK(!strcmp(json_string_value(json_object_get(line, "verdict")), "step_cap"));
    CHECK_INT(event_integer(line, "global_step"), 70);
    CHECK_INT(event_integer(json_object_get(line, "bucket_ns"), "submission"), 4200000000);
    json_t *evaluation = json_array_get(lines, 3);
    CHECK(json_is_null(json_object_get(evaluation, "test/accuracy")));
    CHECK(json_real_value(json_object_get(evaluation, "train/loss")) == row_of(3).metric[0][1]); /* 17 digits */
    CHECK_INT(event_integer(evaluation, "validation/num_examples"), 500);
    json_decref(lines);
}

static void test_a_trial_that_fails_at_once_has_its_verdict(void) {
    scratch_clear();
    ap_record_head head = head_of(0);
    ap_record *r = opened(&head, NULL);
    ap_buckets buckets = {0};
    ap_record_set_failure(r, AP_SUBMISSION);
    CHECK_OK(ap_record_finish(r, AP_VERDICT_FAILED, "my.so: init failed\x1b[31m \xff", &buckets, &error));
    ap_record_close(r);
    ap_result_summary s;
    CHECK_OK(ap_result_summarise(folder(), &s, &error));
    CHECK_INT(s.verdict, AP_VERDICT_FAILED);
    CHECK_INT(s.status, AP_SUBMISSION);
    CHECK_INT(s.evaluations, 0);
    CHECK_INT(s.steps, 0);
    CHECK(!s.target_reached);
    CHECK(!strcmp(s.reason, "my.so: init failed?[31m ?"));
    json_t *lines = events();
    CHECK(!strcmp(event_name(lines, 1), "failed"));
    json_decref(lines);
}

static void test_every_verdict_can_be_read_back(void) {
    for (int v = AP_VERDICT_RUNNING + 1; v < AP_VERDICTS; v++) {
        scratch_clear();
        ap_record_head head = head_of(0);
        ap_record *r = opened(&head, NULL);
        ap_buckets buckets = {0};
        ap_result_summary s;
        CHECK_OK(ap_result_summarise(folder(), &s, &error));
        CHECK_INT(s.verdict, AP_VERDICT_RUNNING);
        CHECK_OK(ap_record_finish(r, (ap_verdict)v, NULL, &buckets, &error));
        CHECK_OK(ap_result_summarise(folder(), &s, &error));
        CHECK_INT(s.verdict, v);
        CHECK_INT(s.status, v == AP_VERDICT_DIVERGED         ? AP_NUMERIC
                            : v == AP_VERDICT_CRASHED        ? AP_ENVIRONMENT
                            : v == AP_VERDICT_RULE_VIOLATION ? AP_SUBMISSION
                                                             : AP_OK);
        CHECK_INT(ap_record_finish(r, AP_VERDICT_RUNNING, NULL, &buckets, &error), AP_BUG);
        ap_record_close(r);
    }
}

static void test_steps_take_no_memory_and_what_has_no_room_is_counted(void) {
    scratch_clear();
    ap_record_head head = head_of(0);
    ap_record *r = opened(&head, NULL);
    ap_blob before[AP_RECORD_BLOBS], after[AP_RECORD_BLOBS];
    ap_buckets buckets = {0};
    CHECK_OK(ap_record_reserve_steps(r, 5000, &error));
    ap_record_blobs(r, before);
    size_t in_use = mallinfo2().uordblks;
    for (int s = 1; s <= 20000; s++) step(r, s);
    CHECK_INT(mallinfo2().uordblks, in_use);
    ap_record_blobs(r, after);
    for (int i = 0; i < AP_RECORD_BLOBS; i++) CHECK(before[i].data == after[i].data);
    CHECK_OK(ap_record_finish(r, AP_VERDICT_STOPPED, "", &buckets, &error));
    ap_record_close(r);
    hid_t file = opened_result();
    int64_t dropped = 0, n[AP_H5_MAX_RANK];
    int rank;
    CHECK_OK(ap_h5_get_i64(file, "/", "steps_dropped", &dropped, &error));
    CHECK_OK(ap_h5_shape(file, "/steps/loss", &rank, n, &error));
    CHECK(n[0] >= 5000);
    CHECK_INT(n[0] + dropped, 20000);
    ap_h5_close(file);
}

static void test_an_event_may_have_members(void) {
    scratch_clear();
    ap_record_head head = head_of(0);
    ap_record *r = opened(&head, NULL);
    CHECK_OK(ap_record_event(r, "interrupted", "{\"signal\": 10, \"event\": \"mine\"}", &error));
    CHECK_OK(ap_record_event(r, "interrupted", NULL, &error));
    CHECK_INT(ap_record_event(r, "interrupted", "[1]", &error), AP_BUG);
    CHECK_INT(ap_record_event(r, "interrupted", "{", &error), AP_BUG);
    json_t *lines = events();
    CHECK_INT(json_array_size(lines), 3);
    CHECK(!strcmp(event_name(lines, 1), "interrupted"));
    CHECK_INT(event_integer(json_array_get(lines, 1), "signal"), 10);
    json_decref(lines);
    ap_record_close(r);
}

static void test_hyperparameters_must_be_an_object(void) {
    scratch_clear();
    static const char *const wrong[] = {NULL, "", "{", "[1]", "1", "{\"a\": NaN}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ap_record_head head = head_of(0);
        ap_record *r;
        head.hyperparameters = wrong[i];
        CHECK_INT(ap_record_open(folder(), &head, NULL, &r, &error), AP_BUG);
    }
    CHECK_INT(scratch_files(), 0);
}

/* ---- resume */

static void resumed_and_finished(const ap_checkpoint *from, int first, int last) {
    ap_record_head head = head_of(0);
    ap_record *r = opened(&head, from);
    ap_buckets buckets = buckets_at(last);
    CHECK_INT(ap_record_rows(r), first);
    check_result_has(first); /* what is run again is not told twice, not even for a moment */
    check_log_has(first);
    run(r, first, last);
    CHECK_OK(ap_record_finish(r, AP_VERDICT_STEP_CAP, "max_steps = 70", &buckets, &error));
    ap_record_close(r);
    check_log_has(last);
    check_result_has(last);
}

static json_t *find_event(json_t *lines, const char *name) {
    for (size_t i = 0; i < json_array_size(lines); i++)
        if (!strcmp(event_name(lines, i), name)) return json_array_get(lines, i);
    return NULL;
}

/* A trial with a checkpoint after evaluation 3, that went on to evaluation `to` and was killed. */
static ap_checkpoint killed_trial(int to) {
    scratch_clear();
    ap_record_head head = head_of(0);
    ap_record *r = opened(&head, NULL);
    run(r, 0, 3);
    CHECK_OK(save(r, 30));
    run(r, 3, to);
    ap_record_close(r);
    return loaded();
}

static void append_to_log(const char *text) {
    FILE *log = fopen(scratch("events.jsonl"), "ab");
    CHECK(log && fputs(text, log) >= 0 && !fclose(log));
}

static void test_rows_come_back_bit_for_bit(void) {
    scratch_clear();
    ap_record_head head = head_of(0);
    ap_record *r = opened(&head, NULL);
    ap_eval_row row = row_of(1);
    ap_buckets buckets = buckets_at(1);
    uint64_t odd[] = {0x7ff8dead0000beef, 0x8000000000000000, 0xfff0000000000000}; /* NaN payload, -0, -inf */
    memcpy(&row.metric[0][0], &odd[0], 8);
    memcpy(&row.metric[1][1], &odd[1], 8);
    memcpy(&row.score, &odd[2], 8);
    CHECK_OK(ap_record_reserve_steps(r, 1, &error));
    double loss;
    memcpy(&loss, &odd[0], 8);
    ap_record_step(r, 10, loss, -0.0);
    CHECK_OK(ap_record_evaluation(r, &row, &buckets, &error));
    CHECK_OK(save(r, 10));
    ap_record_close(r);

    ap_checkpoint from = loaded();
    r = opened(&head, &from);
    CHECK_INT(ap_record_rows(r), 1);
    CHECK(!memcmp(ap_record_row(r, 0), &row, sizeof row));
    ap_blob blobs[AP_RECORD_BLOBS];
    CHECK_INT(ap_record_blobs(r, blobs), AP_RECORD_BLOBS);
    for (int i = 0; i < AP_RECORD_BLOBS; i++) { /* saved again, it is the same, but for the count of resumes */
        void *data;
        CHECK_OK(ap_checkpoint_find(&from, blobs[i].name, blobs[i].type, blobs[i].n, &data, &error));
        if (i > 0) CHECK(!memcmp(data, blobs[i].data, (size_t)blobs[i].n * ap_dtype_size(blobs[i].type)));
    }
    CHECK_INT(ap_record_resumes(r), 1);
    ap_record_close(r);
    ap_checkpoint_free(&from);
}

static void test_evaluations_after_the_checkpoint_are_dropped_and_run_again(void) {
    ap_checkpoint from = killed_trial(5);
    resumed_and_finished(&from, 3, 7);
    json_t *lines = events(), *line = find_event(lines, "resumed");
    CHECK_INT(event_integer(line, "global_step"), 30);
    CHECK_INT(event_integer(line, "evaluations"), 3);
    CHECK_INT(event_integer(line, "dropped_evaluations"), 2);
    CHECK_INT(event_integer(line, "repeated_steps"), 20);
    CHECK_INT(event_integer(line, "restored_evaluations"), 0);
    CHECK_INT(event_integer(line, "damaged_lines"), 0);
    json_decref(lines);
    ap_checkpoint_free(&from);
}

static void test_a_torn_last_line_is_cut_off(void) {
    static const char *const torn[] = {"{\"event\":\"evalu", "{\"event\":\"evaluation\",\"global_step\":40}", "\x00",
                                       "{"};
    for (size_t i = 0; i < sizeof torn / sizeof *torn; i++) {
        ap_checkpoint from = killed_trial(3);
        append_to_log(torn[i]);
        resumed_and_finished(&from, 3, 7);
        json_t *lines = events();
        CHECK_INT(event_integer(find_event(lines, "resumed"), "damaged_lines"), torn[i][0] ? 1 : 0);
        json_decref(lines);
        ap_checkpoint_free(&from);
    }
}

static void test_state_changes_survive_a_resume(void) {
    ap_checkpoint from = killed_trial(4);
    append_to_log("{\"event\":\"interrupted\",\"time\":\"2026-01-31T12:00:00Z\",\"signal\":10}\n");
    resumed_and_finished(&from, 3, 7);
    json_t *lines = events();
    CHECK_INT(event_integer(find_event(lines, "interrupted"), "signal"), 10);
    CHECK(!strcmp(event_name(lines, 0), "started"));
    json_decref(lines);
    ap_checkpoint_free(&from);
}

/* A log that was damaged, shortened or removed is put right from the checkpoint. */
static void test_rows_that_the_log_lacks_are_put_back(void) {
    for (int variant = 0; variant < 4; variant++) {
        ap_checkpoint from = killed_trial(5);
        size_t n;
        char *text = (char *)scratch_read(scratch("events.jsonl"), &n);
        text[n] = '\0';
        char *second = strstr(text, "\"global_step\":20");
        if (variant == 0) unlink(scratch("events.jsonl"));
        if (variant == 1) scratch_write("events.jsonl", text, (size_t)(second - text)); /* torn in evaluation 2 */
        if (variant == 2) second[0] = '!', scratch_write("events.jsonl", text, n);      /* not JSON any more */
        if (variant == 3) second[15] = '1', scratch_write("events.jsonl", text, n);     /* another step: 10 -> 11 */
        free(text);
        resumed_and_finished(&from, 3, 7);
        json_t *lines = events();
        CHECK_INT(event_integer(find_event(lines, "resumed"), "restored_evaluations"), variant == 0 ? 3 : 2);
        json_decref(lines);
        ap_checkpoint_free(&from);
    }
}

static void test_resumes_are_counted(void) {
    ap_checkpoint from = killed_trial(4);
    ap_record_head head = head_of(0);
    for (int i = 1; i <= 3; i++) { /* killed each time before the next checkpoint */
        ap_record *r = opened(&head, &from);
        CHECK_INT(ap_record_resumes(r), i);
        ap_record_close(r);
    }
    hid_t file = opened_result();
    int64_t resumes = 0;
    CHECK_OK(ap_h5_get_i64(file, "/", "resumes", &resumes, &error));
    CHECK_INT(resumes, 3);
    check_attribute(file, "/", "buckets", /* as of evaluation 3 */
                    "{\"submission\":1800000000,\"evaluation\":900000000,\"checkpoint\":150000000,"
                    "\"logging\":90000000,\"setup\":0,\"harness\":60000000}");
    ap_h5_close(file);
    ap_checkpoint_free(&from);
}

static void test_a_checkpoint_without_a_record_is_refused(void) {
    ap_checkpoint from = killed_trial(5);
    size_t before, after;
    uint8_t *log = scratch_read(scratch("events.jsonl"), &before);
    ap_record_head head = head_of(0);
    ap_record *r;
    ap_checkpoint empty = {.step = 30, .path = "c.h5"};
    CHECK_INT(ap_record_open(folder(), &head, &empty, &r, &error), AP_DATA);
    CHECK_TEXT(error.text, "/record/state");
    int64_t *state = NULL;
    CHECK_OK(ap_checkpoint_find(&from, "/record/state", AP_I64, from.blobs[0].n, (void **)&state, &error));
    for (int word = 0; word < 3; word++) { /* words of a row, rows, steps */
        int64_t kept = state[word];
        static const int64_t wrong[] = {-1, INT64_MAX, 1};
        for (int i = 0; i < 3; i++) {
            state[word] = wrong[i];
            CHECK_INT(ap_record_open(folder(), &head, &from, &r, &error), AP_DATA);
        }
        state[word] = kept;
    }
    uint8_t *log_after = scratch_read(scratch("events.jsonl"), &after); /* nothing was touched */
    CHECK(before == after && !memcmp(log, log_after, before));
    check_result_has(5);
    free(log);
    free(log_after);
    ap_checkpoint_free(&from);
}

/* ---- kills and full disks */

enum { WHOLE = 12 }; /* evaluations of the trial that is killed all the time */

static void train(void *argument) {
    ap_record_head head = head_of(0);
    ap_checkpoint from = loaded();
    int done = from.step < 0 ? 0 : (int)from.step / 10;
    (void)argument;
    setenv("AP_TEST_WRITE_DELAY_MS", "1", 1);
    ap_record *r = opened(&head, from.step < 0 ? NULL : &from);
    for (; done < WHOLE; done++) {
        run(r, done, done + 1);
        if (done % 2 == 0) CHECK_OK(save(r, 10 * (done + 1)));
    }
    ap_buckets buckets = buckets_at(WHOLE);
    CHECK_OK(ap_record_finish(r, AP_VERDICT_STEP_CAP, "max_steps", &buckets, &error));
    ap_record_close(r);
    ap_checkpoint_free(&from);
}

/* Whenever it is killed, the result that is there can be read; in the end no row is missing or there twice. */
static void test_kills_lose_and_repeat_nothing(void) {
    scratch_clear();
    folder();
    srand((unsigned)getpid());
    int killed = 0;
    for (int i = 0; i < 30; i++) {
        ap_result_summary s;
        killed += !killed_after((useconds_t)(10000 + rand() % 60000), train, NULL);
        CHECK_OK(ap_result_summarise(folder(), &s, &error));
    }
    CHECK(killed > 0);
    in_child(train, NULL);
    check_log_has(WHOLE);
    check_result_has(WHOLE);
    ap_remove_stale_temps(folder());
    DIR *there = opendir(folder());
    for (struct dirent *entry; there && (entry = readdir(there));) CHECK(!strstr(entry->d_name, ".tmp"));
    closedir(there);
}

static void grow_beyond_the_limit(void *argument) {
    ap_record_head head = head_of(0);
    ap_checkpoint from = loaded();
    ap_record *r = opened(&head, &from);
    struct stat log;
    ap_eval_row row = row_of(4);
    ap_buckets buckets = buckets_at(4);
    (void)argument;
    CHECK_INT(stat(scratch("events.jsonl"), &log), 0);
    limit_files((size_t)log.st_size + 100); /* in the middle of the next line */
    CHECK_INT(ap_record_evaluation(r, &row, &buckets, &error), AP_IO);
    CHECK_TEXT(error.text, "events.jsonl");
    CHECK_INT(ap_record_rows(r), 3);
    CHECK_INT(ap_record_finish(r, AP_VERDICT_FAILED, "no room", &buckets, &error), AP_IO);
    ap_record_close(r);
    ap_checkpoint_free(&from);
}

static void test_a_line_that_does_not_fit_leaves_no_half_line(void) {
    ap_checkpoint from = killed_trial(3);
    in_child(grow_beyond_the_limit, NULL);
    check_log_has(3);
    check_result_has(3);
    resumed_and_finished(&from, 3, 7);
    ap_checkpoint_free(&from);
}

/* The disk is full for good: what is there stays readable, and with room again the trial goes on from it. */
static void fill_the_disk(void *argument) {
    const char *disk = argument;
    if (!small_disk(disk, "size=256k")) {
        printf("not tried: a full disk (mounting a tmpfs is not permitted)\n");
        return;
    }
    strcpy(scratch_folder, disk);
    ap_record_head head = head_of(0);
    ap_record *r = opened(&head, NULL);
    run(r, 0, 3);
    char block[4096] = {0};
    FILE *filler = fopen(scratch("filler"), "wb");
    setvbuf(filler, NULL, _IONBF, 0);
    while (fwrite(block, 1, sizeof block, filler) == sizeof block) continue;
    fclose(filler);
    ap_eval_row row = row_of(4);
    ap_buckets buckets = buckets_at(4);
    CHECK_INT(ap_record_evaluation(r, &row, &buckets, &error), AP_IO);
    CHECK_TEXT(error.text, "No space left");
    check_result_has(3);
    CHECK_INT(ap_record_finish(r, AP_VERDICT_FAILED, "no room", &buckets, &error), AP_IO);
    unlink(scratch("filler"));
    CHECK_OK(ap_record_finish(r, AP_VERDICT_FAILED, "no room", &buckets, &error));
    ap_result_summary s;
    CHECK_OK(ap_result_summarise(disk, &s, &error));
    CHECK_INT(s.verdict, AP_VERDICT_FAILED);
    ap_record_close(r);
}

static void test_a_full_disk_is_said_and_damages_nothing(void) {
    scratch_clear();
    char disk[sizeof scratch_folder];
    snprintf(disk, sizeof disk, "%.200s/disk", folder());
    CHECK(!mkdir(disk, 0777));
    in_child(fill_the_disk, disk);
    rmdir(disk);
}

static void test_no_folder_is_an_io_error(void) {
    ap_record_head head = head_of(0);
    ap_record *r;
    CHECK_INT(ap_record_open("/no/such/folder", &head, NULL, &r, &error), AP_IO);
    CHECK_TEXT(error.text, "/no/such/folder");
}

/* ---- reading */

static void test_no_result_is_not_an_error(void) {
    scratch_clear();
    ap_result_summary s;
    CHECK_OK(ap_result_summarise(folder(), &s, &error));
    CHECK_INT(s.verdict, AP_VERDICT_RUNNING);
    CHECK_INT(s.evaluations, -1);
    CHECK_INT(ap_result_print(folder(), stdout, &error), AP_DATA);
    CHECK_TEXT(error.text, "result.h5");
    CHECK_INT(ap_result_print(scratch("nothing"), stdout, &error), AP_IO);
}

static void test_the_target_is_reached_in_the_metrics_direction(void) {
    static const struct {
        const char *direction;
        double target;
        bool reached;
    } cases[] = {{"higher", 0.84, true},     {"higher", 0.859375, false},        {"lower", 0.77, true},
                 {"lower", 0.765625, false}, {"lower_or_equal", 0.765625, true}, {"lower_or_equal", 0.765, false},
                 {"higher", NAN, false},     {"lower_or_equal", NAN, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_clear();
        ap_record_head head = head_of(0);
        head.direction = cases[i].direction;
        head.validation_target = cases[i].target;
        ap_record *r = opened(&head, NULL);
        ap_result_summary s;
        run(r, 0, 7); /* validation accuracy 0.765625 ... 0.859375 */
        ap_record_close(r);
        CHECK_OK(ap_result_summarise(folder(), &s, &error));
        CHECK_INT(s.evaluations, 7);
        CHECK_INT(s.steps, 70);
        if (s.target_reached != cases[i].reached) printf("%s %g\n", cases[i].direction, cases[i].target);
        CHECK_INT(s.target_reached, cases[i].reached);
    }
}

static void test_every_flipped_bit_of_a_result_is_noticed(void) {
    finished(5);
    size_t n;
    uint8_t *bytes = scratch_read(scratch("result.h5"), &n);
    ap_result_summary s;
    srand(5);
    for (int i = 0; i < 500; i++) {
        size_t at = i < 100 ? (size_t)rand() % 512 : (size_t)rand() % n;
        uint8_t bit = (uint8_t)(1 << rand() % 8);
        bytes[at] ^= bit;
        scratch_write("result.h5", bytes, n);
        CHECK_INT(ap_result_summarise(folder(), &s, &error), AP_DATA);
        CHECK_TEXT(error.text, "result.h5");
        CHECK_INT(s.evaluations, -1);
        bytes[at] ^= bit;
    }
    for (size_t cut = 0; cut < n; cut += 997) {
        scratch_write("result.h5", bytes, cut);
        CHECK_INT(ap_result_summarise(folder(), &s, &error), AP_DATA);
    }
    scratch_write("result.h5", bytes, n);
    CHECK_OK(ap_result_summarise(folder(), &s, &error));
    free(bytes);
}

/* Changes a good result within a seal that holds: someone else's file. */
static void tamper(void (*change)(hid_t file)) {
    char path[300];
    size_t n;
    ap_h5_writer *writer;
    finished(3);
    uint8_t *bytes = scratch_read(scratch("result.h5"), &n);
    scratch_write("plain.h5", bytes, n);
    free(bytes);
    hid_t from = H5Fopen(scratch("plain.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    snprintf(path, sizeof path, "%s/result.h5", folder());
    CHECK_OK(ap_h5_create(path, "result", &writer, &error));
    hid_t file = ap_h5_writer_file(writer);
    static const char *const groups[] = {"evaluations", "steps", "provenance"};
    for (int i = 0; i < 3; i++) CHECK(H5Ocopy(from, groups[i], file, groups[i], H5P_DEFAULT, H5P_DEFAULT) >= 0);
    static const char *const texts[] = {"submission", "workload", "variant",         "scale",     "data_set",
                                        "ruleset",    "clock",    "hyperparameters", "loss_type", "target_metric",
                                        "direction",  "verdict",  "reason",          "buckets"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = NULL;
        CHECK_OK(ap_h5_get_text(from, "/", texts[i], &text, &error));
        CHECK_OK(ap_h5_set_text(file, "/", texts[i], text, &error));
        free(text);
    }
    CHECK_OK(ap_h5_set_f64(file, "/", "validation_target", 0.79, &error));
    CHECK_OK(ap_h5_set_f64(file, "/", "test_target", NAN, &error));
    CHECK_OK(ap_h5_set_i64(file, "/", "steps", 30, &error));
    CHECK_OK(ap_h5_set_i64(file, "/", "status", 0, &error));
    if (change) change(file);
    H5Fclose(from);
    CHECK_OK(ap_h5_commit(writer, &error));
}

static void replace(hid_t file, const char *name, int rank, int64_t n) {
    const int64_t shape[] = {n, 1};
    double zeros[16] = {0};
    H5Ldelete(file, name, H5P_DEFAULT);
    CHECK_OK(ap_h5_write(file, name, AP_F64, rank, shape, zeros, NULL, &error));
}
static void unknown_verdict(hid_t file) {
    ap_h5_set_text(file, "/", "verdict", "splendid", &error);
}
static void no_verdict(hid_t file) {
    H5Adelete(file, "verdict");
}
static void longer_column(hid_t file) {
    replace(file, "/evaluations/score", 1, 4);
}
static void shorter_metric(hid_t file) {
    replace(file, "/evaluations/validation/accuracy", 1, 2);
}
static void matrix_column(hid_t file) {
    replace(file, "/evaluations/score", 2, 3);
}
static void shorter_steps(hid_t file) {
    replace(file, "/steps/loss", 1, 3);
}
static void no_metric(hid_t file) {
    H5Ldelete(file, "/evaluations/validation/accuracy", H5P_DEFAULT);
}
static void no_split(hid_t file) {
    H5Ldelete(file, "/evaluations/test", H5P_DEFAULT);
}
static void linked_away(hid_t file) {
    H5Ldelete(file, "/evaluations/score", H5P_DEFAULT);
    H5Lcreate_external("plain.h5", "/evaluations/score", file, "/evaluations/score", H5P_DEFAULT, H5P_DEFAULT);
}

static void test_a_sealed_file_with_wrong_content_is_refused(void) {
    FILE *nowhere = fopen("/dev/null", "w");
    ap_result_summary s;
    tamper(NULL);
    CHECK_OK(ap_result_summarise(folder(), &s, &error)); /* the copy itself is good */
    CHECK(s.target_reached);
    CHECK_OK(ap_result_print(folder(), nowhere, &error));
    void (*const changes[])(hid_t) = {unknown_verdict, no_verdict,    longer_column, shorter_metric,
                                      matrix_column,   shorter_steps, no_metric,     no_split};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        tamper(changes[i]);
        CHECK_INT(ap_result_summarise(folder(), &s, &error), AP_DATA);
        CHECK_TEXT(error.text, "result.h5");
        CHECK_INT(ap_result_print(folder(), nowhere, &error), AP_DATA);
    }
    tamper(linked_away);
    CHECK_INT(ap_result_print(folder(), nowhere, &error), AP_DATA);
    fclose(nowhere);
}

/* ---- the story */

/* Until the next call. */
static const char *story(const char *path) {
    static char text[1 << 16];
    FILE *out = fmemopen(text, sizeof text, "w");
    CHECK_OK(ap_result_print(path, out, &error));
    fclose(out);
    return text;
}

static void test_the_story_tells_what_happened(void) {
    ap_checkpoint from = killed_trial(5);
    resumed_and_finished(&from, 3, 7);
    ap_checkpoint_free(&from);
    char *same = strdup(story(scratch("result.h5")));
    const char *text = story(folder());
    CHECK(!strcmp(text, same));
    CHECK_TEXT(text, "nadamw");
    CHECK_TEXT(text, "mnist, scale mini");
    CHECK_TEXT(text, "study_0, trial_5");
    CHECK_TEXT(text, "learning_rate            0.00125");
    CHECK_TEXT(text, "Verdict: step_cap (max_steps = 70)");
    CHECK_TEXT(text, "validation target 0.84 reached at evaluation 6 of 7: step 60, 0.353 s"); /* 6 / 17 */
    CHECK_TEXT(text, "test target - (none)");
    CHECK_TEXT(text, "node1");
    CHECK_TEXT(text, "resumed");
    CHECK_TEXT(text, "dropped_evaluations 2");
    CHECK_TEXT(text, "restarts                      1");
    free(same);
}

/* 1/3 each would print as 33.3 three times: 99.9. */
static void test_shares_add_up_to_100_percent(void) {
    static const int64_t cases[][AP_BUCKETS] = {{1, 1, 1, 0, 0, 0},
                                                {1, 1, 1, 1, 1, 1},
                                                {1, 999999999999, 0, 0, 0, 0},
                                                {7, 11, 13, 17, 19, 23},
                                                {0, 0, 0, 0, 0, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_clear();
        ap_record_head head = head_of(0);
        ap_record *r = opened(&head, NULL);
        ap_buckets buckets = {0};
        memcpy(buckets.ns, cases[i], sizeof buckets.ns);
        CHECK_OK(ap_record_finish(r, AP_VERDICT_STOPPED, "", &buckets, &error));
        ap_record_close(r);
        const char *text = story(folder());
        const char *at = strstr(text, "Time by bucket\n");
        int tenths = 0, whole, tenth;
        for (int b = 0; b < AP_BUCKETS && at; b++) {
            at = strchr(at, '\n') + 1;
            CHECK_INT(sscanf(at, " %*s %*f s %d.%d %%", &whole, &tenth), 2);
            tenths += 10 * whole + tenth;
            double exact = 0;
            for (int k = 0; k < AP_BUCKETS; k++) exact += (double)cases[i][k];
            CHECK_NEAR(10 * whole + tenth, 1000 * (double)cases[i][b] / exact, 1);
        }
        CHECK_INT(tenths, 1000);
    }
}

static void escapes(hid_t file) {
    CHECK_OK(ap_h5_set_text(file, "/", "submission", "\x1b]0;title\x07 name", &error));
    CHECK_OK(ap_h5_set_text(file, "/", "hyperparameters", "{\"a\\u001b[2J\": \"\\u001b[31m\"}", &error));
    CHECK_OK(ap_h5_set_text(file, "/provenance", "host", "\x1b[2J", &error));
}

static void test_the_story_of_a_strangers_file_does_not_drive_the_terminal(void) {
    tamper(escapes);
    append_to_log("{\"event\":\"\\u001b[31mred\",\"time\":\"\\u0007\",\"\\u001b[1m\":1}\nno json\n");
    const char *text = story(folder());
    CHECK_TEXT(text, "?]0;title? name");
    CHECK_TEXT(text, "a line that cannot be read");
    for (const char *c = text; *c; c++) CHECK(*c == '\n' || (unsigned char)*c >= 0x20);
}

AP_TEST_MAIN(test_a_fresh_record_has_its_first_line_and_an_empty_result, test_the_result_has_all_that_was_recorded,
             test_the_last_line_tells_the_end, test_a_trial_that_fails_at_once_has_its_verdict,
             test_every_verdict_can_be_read_back, test_steps_take_no_memory_and_what_has_no_room_is_counted,
             test_an_event_may_have_members, test_hyperparameters_must_be_an_object, test_rows_come_back_bit_for_bit,
             test_evaluations_after_the_checkpoint_are_dropped_and_run_again, test_a_torn_last_line_is_cut_off,
             test_state_changes_survive_a_resume, test_rows_that_the_log_lacks_are_put_back, test_resumes_are_counted,
             test_a_checkpoint_without_a_record_is_refused, test_kills_lose_and_repeat_nothing,
             test_a_line_that_does_not_fit_leaves_no_half_line, test_a_full_disk_is_said_and_damages_nothing,
             test_no_folder_is_an_io_error, test_no_result_is_not_an_error,
             test_the_target_is_reached_in_the_metrics_direction, test_every_flipped_bit_of_a_result_is_noticed,
             test_a_sealed_file_with_wrong_content_is_refused, test_the_story_tells_what_happened,
             test_shares_add_up_to_100_percent, test_the_story_of_a_strangers_file_does_not_drive_the_terminal)
