/* Job files: every mistake is told with its place, and the identity covers what decides the training, nothing else. */
#include "folder.h"

#include "harness/job.h"

static const char *const workloads = "workloads = ( { name = \"dummy\"; } );\n";
/* All of nadamw's hyperparameters but learning_rate; and ranges of all but beta2. */
#define REST "\"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0, \"warmup_factor\": 0"
#define RANGES                                                                                                         \
    "\"learning_rate\": {\"min\": 1e-3, \"max\": 1, \"scaling\": \"log\"}, \"one_minus_beta1\": "                      \
    "{\"feasible_points\": [0.1]},"                                                                                    \
    " \"weight_decay\": {\"feasible_points\": [0]}, \"warmup_factor\": {\"feasible_points\": [0]}"
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
    with_lists("workloads = ( { name = \"dummy\"; label = \"a/b\"; } );", submissions, 2, "a/b");
    with_lists("workloads = ( { name = \"dummy\"; label = \".\"; } );", submissions, 2, "label");
    with_lists("workloads = ( { name = \"dummy\"; max_runtime_s = -1.0; } );", submissions, 2, "max_runtime_s");
    with_lists("workloads = ( { name = \"dummy\"; label = \"mnist\"; },\n { name = \"mnist\"; } );", submissions, 3,
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

/* nadamw on s.json with two trials. */
static void with_space(const char *part) {
    char text[2048];
    snprintf(
        text, sizeof text,
        "results = \"r\"; trials = 2;\n%s\nsubmissions = ( { submission = \"nadamw\"; search_space = \"s.json\"; } );",
        workloads);
    refused_whole(text, 4, part);
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

    /* what the algorithm makes of the points */
    write_text("s.json",
               "[{\"learning_rate\": 0.5, " REST
               "}, {\"learning_rate\": 0.5,\n \"one_minus_beta1\": 0.1, \"beta2\": 0.99,\n \"weight_decay\": 0}]");
    with_space("hyperparameter warmup_factor is missing");
    write_text("s.json", "[{\"learning_rate\": 0.5, " REST "},\n{\"learning_rate\": 0.5, " REST ",\n \"lambda\": 1}]");
    with_space("s.json:3: point 2: submission nadamw has no hyperparameter lambda");
    write_text("s.json", "{" RANGES ",\n \"beta2\": {\"feasible_points\": [1.5]}}");
    with_space("s.json:2: point 1: ");
    with_space("hyperparameter beta2 = 1.5 (must be in [0, 1))");
    write_text("s.json", "[{\"learning_rate\": 0.5, " REST "}]");
    with_space("a list of 1 points, 2 trials are wanted");
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
    write_text("s.json", "{" RANGES ", \"beta2\": {\"feasible_points\": [0.9]}}");
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
        "seed = 2;",          "studies = 2;",         "trials = 2;",    "shards = 4;",     "math = \"blas\";",
        "clock = \"steps\";", "max_runtime_s = 9.0;", "max_steps = 7;", "eval_every = 3;", "end = \"budget\";"};
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

static void test_a_workload_may_be_there_twice_under_labels(void) {
    start();
    char base[AP_DIGEST_TEXT], other[AP_DIGEST_TEXT];
    identity_of("results = \"r\";", "workloads = ( { name = \"dummy\"; }, { name = \"dummy\"; label = \"d2\"; } );\n",
                base);
    identity_of("results = \"r\";",
                "workloads = ( { name = \"dummy\"; }, { name = \"dummy\"; label = \"d2\"; max_runtime_s = 3.0; } );\n",
                other);
    CHECK(strcmp(base, other) != 0);
}

/* ---- what a good file gives */

static void test_trials_and_points(void) {
    start();
    ap_error error;
    ap_job *job;
    char text[1024];
    write_text("s.json", "[{\"learning_rate\": 0.5, " REST "}, {\"learning_rate\": 0.25, " REST "}]");
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
    write_text("p.json", "{\"learning_rate\": 0.5, " REST "}");
    snprintf(text, sizeof text,
             "results = \"r\"; ruleset = \"self_tuning\"; trials = 3;\n%ssubmissions = ( { submission = \"nadamw\"; "
             "search_space = "
             "\"p.json\"; } );",
             workloads);
    CHECK_INT(open_text(text, &job, &error), AP_OK);
    if (job) CHECK_INT(ap_job_trials(job, 0), 1);
    ap_job_close(job);
}

/* ---- which trial has which point */

static ap_job *with_points(const char *settings) {
    ap_error error;
    ap_job *job = NULL;
    char text[1024];
    snprintf(text, sizeof text,
             "results = \"r\"; trials = 4; studies = 3; %s\n%ssubmissions = ( { submission = \"adamw\"; } );", settings,
             workloads);
    CHECK_INT(open_text(text, &job, &error), AP_OK);
    return job;
}
static double rate_of(const ap_job *job, int study, int trial) {
    double rate = NAN;
    ap_point_get(ap_job_point(job, 0, study, trial), "learning_rate", &rate);
    return rate;
}

static void test_studies_have_the_same_points(void) {
    start();
    ap_job *job = with_points("");
    CHECK_INT(ap_job_trials(job, 0), 4);
    for (int t = 0; t < 4; t++) {
        CHECK(rate_of(job, 0, t) == rate_of(job, 1, t) && rate_of(job, 0, t) == rate_of(job, 2, t));
        for (int u = 0; u < t; u++) CHECK(rate_of(job, 0, t) != rate_of(job, 0, u));
    }
    ap_job_close(job);
}

static void test_shuffled_studies_have_them_in_orders_of_their_own(void) {
    start();
    ap_job *same = with_points(""), *job = with_points("points = \"shuffled\";"),
           *again = with_points("points = \"shuffled\";");
    ap_job *other = with_points("points = \"shuffled\"; seed = 2;");
    int moved = 0, others = 0;
    CHECK_INT(ap_job_trials(job, 0), 4);
    for (int s = 0; s < 3; s++)
        for (int t = 0; t < 4; t++) {
            int found = 0;
            for (int u = 0; u < 4; u++) found += rate_of(job, s, u) == rate_of(same, s, t);
            CHECK_INT(found, 1);
            moved += rate_of(job, s, t) != rate_of(same, s, t);
            others += rate_of(job, s, t) != rate_of(other, s, t);
            CHECK(rate_of(job, s, t) == rate_of(again, s, t));
        }
    CHECK(moved > 0 && others > 0);
    ap_job_close(same);
    ap_job_close(job);
    ap_job_close(again);
    ap_job_close(other);
}

static void test_fresh_studies_go_on_in_the_sequence(void) {
    start();
    ap_job *same = with_points(""), *job = with_points("points = \"fresh\";");
    CHECK_INT(ap_job_trials(job, 0), 4);
    for (int t = 0; t < 4; t++) CHECK(rate_of(job, 0, t) == rate_of(same, 0, t)); /* it begins with the same ones */
    for (int i = 0; i < 12; i++)
        for (int k = 0; k < i; k++) CHECK(rate_of(job, i / 4, i % 4) != rate_of(job, k / 4, k % 4));
    ap_job_close(same);
    ap_job_close(job);
    ap_error error;
    char text[1024];
    snprintf(text, sizeof text,
             "results = \"r\"; trials = 5; studies = 2; points = \"fresh\";\n%ssubmissions = ( { submission = "
             "\"nadamw\"; } );",
             workloads);
    CHECK_INT(open_text(text, &job, &error), AP_CONFIG); /* five points are published */
    CHECK_TEXT(error.text, "a list of 5 points, 10 trials are wanted");
}

static void test_points_are_shown(void) {
    start();
    ap_job *job = with_points("");
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    ap_job_print_points(job, false, out);
    fclose(out);
    int lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    CHECK_INT(lines, 12);
    CHECK_TEXT(text, "adamw study 2 trial 4: learning_rate = ");
    free(text);
    text = NULL;
    out = open_memstream(&text, &n);
    ap_job_print_points(job, true, out);
    fclose(out);
    CHECK_TEXT(text,
               "{\"submission\": \"adamw\", \"study\": 2, \"trial\": 4, \"hyperparameters\": {\"learning_rate\": ");
    free(text);
    ap_job_close(job);
}

static void test_rules_have_versions(void) {
    CHECK_NEAR(ap_rules_self_tuning_factor(AP_RULES_V06), 1.5, 0);
    CHECK_NEAR(ap_rules_self_tuning_factor(AP_RULES_V05), 3, 0);
    ap_workload wmt = {.name = "wmt"}, mnist = {.name = "mnist"};
    ap_problem full = {.workload = &wmt, .scale = {.name = "full", .max_runtime_s = 43336, .step_hint = 120000}};
    ap_problem mini = {.workload = &wmt, .scale = {.name = "mini", .max_runtime_s = 60, .step_hint = 100}};
    ap_problem later = {.workload = &mnist, .scale = {.name = "full", .max_runtime_s = 60, .step_hint = 7813}};
    ap_rules_apply(AP_RULES_V06, &full);
    CHECK_NEAR(full.scale.max_runtime_s, 43336, 0);
    ap_rules_apply(AP_RULES_V05, &full);
    ap_rules_apply(AP_RULES_V05, &mini);
    ap_rules_apply(AP_RULES_V05, &later);
    CHECK_NEAR(full.scale.max_runtime_s, 48151, 0);
    CHECK_INT(full.scale.step_hint, 133333);
    CHECK_NEAR(mini.scale.max_runtime_s, 60, 0);
    CHECK_NEAR(later.scale.max_runtime_s, 60, 0);
}

AP_TEST_MAIN(test_settings_are_checked, test_workloads_are_checked, test_submissions_are_checked,
             test_search_spaces_are_checked, test_missing_files_are_io_errors_with_their_place,
             test_results_must_be_named, test_too_many_trials_are_refused, test_identity_leaves_out_what_does_not_train,
             test_identity_covers_what_trains, test_a_workload_may_be_there_twice_under_labels, test_trials_and_points,
             test_self_tuning_has_one_trial, test_studies_have_the_same_points,
             test_shuffled_studies_have_them_in_orders_of_their_own, test_fresh_studies_go_on_in_the_sequence,
             test_points_are_shown, test_rules_have_versions)
