/* Job files: every mistake is told with its place, and the identity covers what decides the training, nothing else. */
#include "folder.h"

#include "harness/job.h"

static const char *const workloads = "workloads = ( { name = \"dummy\"; } );\n";
static const char *const submissions = "submissions = ( { submission = \"nadamw\"; } );\n";

static void write_text(const char *name, const char *text) {
    CHECK_INT(ap_write_file(in_folder(name), text, strlen(text), NULL), AP_OK);
}

static ap_status open_text(const char *text, ap_job **job, ap_error *error) {
    *error = (ap_error){0};
    *job = NULL;
    write_text("x.cfg", text);
    return ap_job_open(in_folder("x.cfg"), job, error);
}

/* The file `head` + good lists fails with AP_CONFIG; the message has `text`, and the place `line` exactly once. */
static void refused_whole(const char *text, int line, const char *part) {
    char where[AP_PATH];
    ap_error error;
    ap_job *job;
    CHECK_INT(open_text(text, &job, &error), AP_CONFIG);
    CHECK(job == NULL);
    CHECK_TEXT(error.text, part);
    snprintf(where, sizeof where, line ? "%s:%d: " : "%s: ", in_folder("x.cfg"), line);
    CHECK(!strncmp(error.text, where, strlen(where)));
    CHECK(!strstr(error.text + strlen(where), "x.cfg:"));
    if (strncmp(error.text, where, strlen(where)) || !strstr(error.text, part)) printf("    %s\n", error.text);
    ap_job_close(job);
}
static void refused(const char *setting, const char *part) {
    char text[2048];
    snprintf(text, sizeof text, "results = \"r\";\n%s\n%s%s", setting, workloads, submissions);
    refused_whole(text, 2, part);
}

static void test_settings_are_checked(void) {
    start();
    refused("sede = 1;", "seed");
    refused("seed = -1;", "seed");
    refused("seed = 1.5;", "seed");
    refused("shards = 6;", "power of two");
    refused("shards = 0;", "shards");
    refused("shards = 2048;", "shards");
    refused("ranks_per_trial = 3;", "power of two");
    refused("ranks_per_trial = 16;", "at most shards = 8");
    refused("trials = 0;", "trials");
    refused("studies = 0;", "studies");
    refused("threads = 0;", "threads");
    refused("math = \"fast\";", "ordered");
    refused("clock = \"sun\";", "steps");
    refused("ruleset = \"external\";", "external_tuning");
    refused("max_runtime_s = -1.0;", "max_runtime_s");
    refused("watchdog_s = \"long\";", "watchdog_s");
    refused("max_attempts = 0;", "max_attempts");
}

static void with_lists(const char *w, const char *s, int line, const char *part) {
    char text[2048];
    snprintf(text, sizeof text, "results = \"r\";\n%s\n%s", w, s);
    refused_whole(text, line, part);
}

static void test_workloads_are_checked(void) {
    start();
    with_lists("workloads = ( { name = \"dumy\"; } );", submissions, 2, "dummy");
    with_lists("workloads = ( { nam = \"dummy\"; } );", submissions, 2, "name");
    with_lists("workloads = ( { name = \"dummy\"; scale = \"huge\"; } );", submissions, 2, "mini");
    with_lists("workloads = ( { name = \"dummy\"; variant = \"odd\"; } );", submissions, 2, "odd");
    with_lists("workloads = ( { name = \"dummy\"; options = { falt = 1; }; } );", submissions, 2, "fault");
    with_lists("workloads = ( { name = \"dummy\"; options = { sleep_ms = -1; }; } );", submissions, 2, "sleep_ms");
    with_lists("workloads = ( { name = \"dummy\"; },\n { name = \"dummy\"; scale = \"full\"; } );", submissions, 3,
               "twice");
    with_lists("workloads = ( );", submissions, 0, "at least one");
}

static void test_submissions_are_checked(void) {
    start();
    with_lists(workloads, "submissions = ( { submission = \"nadamv\"; } );", 4, "nadamw");
    with_lists(workloads, "submissions = ( { submission = \"nadamw\"; search_spac = \"x\"; } );", 4, "search_space");
    with_lists(workloads, "submissions = ( { submission = \"nadamw\"; },\n{ submission = \"nadamw\"; } );", 5,
               "in the job already");
    with_lists(workloads, "", 0, "submissions = (");
}

static void test_search_spaces_are_checked(void) {
    start();
    static const char *const one = "submissions = ( { submission = \"nadamw\"; search_space = \"s.json\"; } );";
    write_text("s.json", "[{\"learning_rate\": ");
    with_lists(workloads, one, 4, "s.json");
    write_text("s.json", "[]");
    with_lists(workloads, one, 4, "s.json");
    write_text("s.json", "{\"learning_rate\": {\"min\": 2, \"max\": 1, \"scaling\": \"linear\"}}");
    with_lists(workloads, one, 4, "s.json");
}

static void test_missing_files_are_io_errors_with_their_place(void) {
    start();
    ap_error error;
    ap_job *job;
    char text[1024];
    snprintf(text, sizeof text,
             "results = \"r\";\n%ssubmissions = ( { submission = \"nadamw\"; search_space = \"no.json\"; } );",
             workloads);
    CHECK_INT(open_text(text, &job, &error), AP_IO);
    CHECK_TEXT(error.text, "x.cfg:3: ");
    CHECK_TEXT(error.text, "no.json");
    snprintf(text, sizeof text, "results = \"r\";\nworkloads = ( { name = \"mnist\"; data = \"no.h5\"; } );\n%s",
             submissions);
    CHECK_INT(open_text(text, &job, &error), AP_IO);
    CHECK_TEXT(error.text, "x.cfg:2: ");
    CHECK_TEXT(error.text, "no.h5");
    CHECK_INT(ap_job_open(in_folder("none.cfg"), &job, &error), AP_IO);
    CHECK_TEXT(error.text, "none.cfg");
}

static void test_results_must_be_named(void) {
    start();
    char text[1024];
    snprintf(text, sizeof text, "results = \"\";\n%s%s", workloads, submissions);
    refused_whole(text, 1, "results is empty");
    ap_error error;
    ap_job *job;
    snprintf(text, sizeof text, "%s%s", workloads, submissions);
    CHECK_INT(open_text(text, &job, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "results");
}

static void test_too_many_trials_are_refused(void) {
    start();
    char text[1024];
    write_text("s.json", "{\"learning_rate\": {\"min\": 1e-3, \"max\": 1, \"scaling\": \"log\"}}");
    snprintf(
        text, sizeof text,
        "results = \"r\"; studies = 1000; trials = 2000;\n%ssubmissions = ( { submission = \"nadamw\"; search_space = "
        "\"s.json\"; } );",
        workloads);
    refused_whole(text, 0, "2000000 trials");
}

/* ---- identity */

static void identity_of(const char *settings, const char *w, char identity[AP_DIGEST_TEXT]) {
    char text[2048];
    ap_error error;
    ap_job *job;
    snprintf(text, sizeof text, "%s\n%s%s", settings, w, submissions);
    CHECK_INT(open_text(text, &job, &error), AP_OK);
    if (!job) printf("    %s\n", error.text), exit(1);
    memcpy(identity, job->identity, AP_DIGEST_TEXT);
    ap_job_close(job);
}

static void test_identity_leaves_out_what_does_not_train(void) {
    start();
    static const char *const others[] = {"results = \"elsewhere\";",
                                         "results = \"r\"; ranks_per_trial = 2;",
                                         "results = \"r\"; threads = 2;",
                                         "results = \"r\"; watchdog_s = 1.0;",
                                         "results = \"r\"; checkpoint_s = 1.0;",
                                         "results = \"r\"; max_attempts = 9;",
                                         "results = \"r\"; seed = 1; # the default"};
    char base[AP_DIGEST_TEXT], other[AP_DIGEST_TEXT];
    identity_of("results = \"r\";", workloads, base);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        identity_of(others[i], workloads, other);
        CHECK(!strcmp(base, other));
    }
}

static void test_identity_covers_what_trains(void) {
    start();
    static const char *const others[] = {
        "seed = 2;",          "studies = 2;",         "trials = 2;",    "shards = 4;",    "math = \"blas\";",
        "clock = \"steps\";", "max_runtime_s = 9.0;", "max_steps = 7;", "eval_every = 3;"};
    char base[AP_DIGEST_TEXT], other[AP_DIGEST_TEXT], text[128];
    identity_of("results = \"r\";", workloads, base);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(text, sizeof text, "results = \"r\"; %s", others[i]);
        identity_of(text, workloads, other);
        CHECK(strcmp(base, other) != 0);
    }
    identity_of("results = \"r\";", "workloads = ( { name = \"dummy\"; scale = \"full\"; } );\n", other);
    CHECK(strcmp(base, other) != 0);
    identity_of("results = \"r\";", "workloads = ( { name = \"dummy\"; options = { fault_step = 2; }; } );\n", other);
    CHECK(strcmp(base, other) != 0);
}

/* ---- what a good file gives */

static void test_trials_and_points(void) {
    start();
    ap_error error;
    ap_job *job;
    char text[1024];
    write_text("s.json", "[{\"learning_rate\": 0.5}, {\"learning_rate\": 0.25}]");
    snprintf(
        text, sizeof text,
        "results = \"r\"; trials = 2;\n%ssubmissions = ( { submission = \"nadamw\"; search_space = \"s.json\"; },\n"
        "{ submission = \"adamw\"; } );",
        workloads);
    CHECK_INT(open_text(text, &job, &error), AP_OK);
    if (!job) return;
    CHECK_INT(ap_job_trials(job, 0), 2);
    CHECK_INT(ap_job_trials(job, 1), 2);
    double rate = 0;
    CHECK(ap_point_get(&job->submission[0].points.point[1], "learning_rate", &rate));
    CHECK_NEAR(rate, 0.25, 0);
    ap_job_close(job);
    ap_job_close(NULL);
}

static void test_self_tuning_has_one_trial(void) {
    start();
    ap_error error;
    ap_job *job;
    char text[1024];
    write_text("p.json", "{\"learning_rate\": 0.5}");
    snprintf(text, sizeof text,
             "results = \"r\"; ruleset = \"self_tuning\"; trials = 3;\n%ssubmissions = ( { submission = \"nadamw\"; "
             "search_space = "
             "\"p.json\"; } );",
             workloads);
    CHECK_INT(open_text(text, &job, &error), AP_OK);
    if (job) CHECK_INT(ap_job_trials(job, 0), 1);
    ap_job_close(job);
}

AP_TEST_MAIN(test_settings_are_checked, test_workloads_are_checked, test_submissions_are_checked,
             test_search_spaces_are_checked, test_missing_files_are_io_errors_with_their_place,
             test_results_must_be_named, test_too_many_trials_are_refused, test_identity_leaves_out_what_does_not_train,
             test_identity_covers_what_trains, test_trials_and_points, test_self_tuning_has_one_trial)
