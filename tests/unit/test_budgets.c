/* Budget files: what is written is read back, every mistake is told with its place, and the label names the numbers. */
#include "folder.h"

#include "harness/budgets.h"
#include "harness/job.h"

/* A good file, without its digest. */
static const char *const head = "name = \"here-2x1\"; ranks = 2; threads = 1;\n";
static const char *const mini =
    "{ workload = \"mnist\"; scale = \"mini\"; step_hint = 5000; batch_size = 128; step_time_s = 0.001;\n"
    "  max_runtime_s = 5.0; eval_period_s = 0.5; }";

static void write_text(const char *name, const char *text) {
    CHECK_INT(ap_write_file(in_folder(name), text, strlen(text), NULL), AP_OK);
}

static ap_status read_text(const char *text, ap_budgets **budgets, ap_error *error) {
    *budgets = NULL;
    *error = (ap_error){0};
    write_text("b.cfg", text);
    return ap_budgets_read(in_folder("b.cfg"), budgets, error);
}

/* The file with head and entries is refused; the message begins with file and line and has `part`. */
static void refused(const char *top, const char *entries, int line, const char *part) {
    char text[4096], where[AP_PATH];
    ap_error error;
    ap_budgets *b;
    snprintf(text, sizeof text, "%sbudgets = ( %s );\n", top, entries);
    CHECK_INT(read_text(text, &b, &error), AP_CONFIG);
    CHECK(b == NULL);
    CHECK_TEXT(error.text, part);
    snprintf(where, sizeof where, line ? "%s:%d: " : "%s: ", in_folder("b.cfg"), line);
    if (strncmp(error.text, where, strlen(where))) {
        printf("%s:%d: the message begins elsewhere: %s\n", __FILE__, __LINE__, error.text);
        ap_check_failures++;
    }
    ap_budgets_free(b);
}

static void test_mistakes_are_told_with_their_place(void) {
    start();
    refused("nam = \"x\"; ranks = 2; threads = 1;\n", mini, 1, "name");
    refused("name = \"\"; ranks = 2; threads = 1;\n", mini, 1, "name");
    refused("name = \"a b\"; ranks = 2; threads = 1;\n", mini, 1, "a b");
    refused("name = \"a2345678901234567890123456789012\"; ranks = 2; threads = 1;\n", mini, 1, "31");
    refused("name = \"x\"; threads = 1;\n", mini, 0, "ranks");
    refused("name = \"x\"; ranks = 0; threads = 1;\n", mini, 1, "ranks");
    refused("name = \"x\"; ranks = 2; threads = \"two\";\n", mini, 1, "threads");
    refused(head, "", 0, "empty");
    refused(head,
            "{ workload = \"mnits\"; scale = \"mini\"; step_hint = 5000; batch_size = 1; step_time_s = 0.1;\n"
            "max_runtime_s = 5.0; eval_period_s = 0.5; }",
            2, "did you mean \"mnist\"");
    refused(head,
            "{ workload = \"mnist\"; scale = \"medium\"; step_hint = 5000; batch_size = 1; step_time_s = 0.1;\n"
            "max_runtime_s = 5.0; eval_period_s = 0.5; }",
            2, "full, mini");
    refused(head,
            "{ workload = \"mnist\"; scale = \"mini\"; step_hint = 4999; batch_size = 1; step_time_s = 0.1;\n"
            "max_runtime_s = 5.0; eval_period_s = 0.5; }",
            2, "5000");
    refused(head,
            "{ workload = \"mnist\"; scale = \"mini\"; step_hint = 5000; batch_size = 1; step_time_s = 0.1;\n"
            "max_runtime_s = -5.0; eval_period_s = 0.5; }",
            3, "max_runtime_s");
    refused(head,
            "{ workload = \"mnist\"; scale = \"mini\"; step_hint = 5000; batch_size = 1; step_time_s = 0.1;\n"
            "max_runtime_s = 5.0; eval_period_s = 50.0; }",
            3, "eval_period_s");
    refused(head,
            "{ workload = \"mnist\"; scale = \"mini\"; step_hint = 5000; batch_size = 1; step_time_s = 0.1;\n"
            "max_runtime = 5.0; eval_period_s = 0.5; }",
            3, "max_runtime_s");
    refused(head, "{ workload = \"mnist\"; scale = \"mini\"; step_hint = 5000; batch_size = 1; step_time_s = 0.1; }", 2,
            "max_runtime_s");
    char twice[1024];
    snprintf(twice, sizeof twice, "%s,\n%s", mini, mini);
    refused(head, twice, 4, "twice");
    refused("name = \"x\"; ranks = 2; threads = 1;\ndigest = \"00\";\n", mini, 2, "changed");
    ap_error error;
    ap_budgets *b;
    CHECK_INT(ap_budgets_read(in_folder("none.cfg"), &b, &error), AP_IO);
    CHECK_TEXT(error.text, "none.cfg");
}

static void test_what_is_written_is_read_back(void) {
    start();
    ap_error error;
    ap_budgets *b, *again = NULL;
    char text[4096], label[AP_BUDGETS_LABEL];
    snprintf(text, sizeof text, "%shosts = \"a \\\"b\\\\\"; budgets = ( %s );", head, mini);
    CHECK_INT(read_text(text, &b, &error), AP_OK);
    if (!b) return;
    CHECK_TEXT(b->label, "here-2x1 ");
    CHECK_INT(strlen(b->label), strlen("here-2x1 ") + 32);
    CHECK_INT(ap_budgets_write(b, in_folder("w.cfg"), &error), AP_OK);
    snprintf(label, sizeof label, "%s", b->label);
    CHECK_INT(ap_budgets_read(in_folder("w.cfg"), &again, &error), AP_OK);
    if (again) {
        CHECK(!strcmp(again->label, label));
        CHECK(!strcmp(again->hosts, "a \"b\\"));
        CHECK_INT(strlen(again->digest), 32);
        const ap_budget *found = ap_budgets_find(again, "mnist", "mini");
        CHECK(found && found->max_runtime_s == 5 && found->eval_period_s == 0.5 && found->step_time_s == 0.001);
        CHECK(ap_budgets_find(again, "mnist", "full") == NULL);
    }
    CHECK_INT(ap_budgets_write(b, in_folder("w.cfg"), &error), AP_OK); /* one of ours may be replaced */
    ap_budgets_free(again);

    /* A number changed by hand no longer fits the digest. */
    char *whole = NULL, *at;
    size_t n;
    CHECK_INT(ap_read_file(in_folder("w.cfg"), 1 << 20, &whole, &n, NULL), AP_OK);
    if (whole && (at = strstr(whole, "max_runtime_s = 5.0"))) {
        at[strlen("max_runtime_s = ")] = '6';
        write_text("w.cfg", whole);
        CHECK_INT(ap_budgets_read(in_folder("w.cfg"), &again, &error), AP_CONFIG);
        CHECK_TEXT(error.text, "changed");
    } else {
        CHECK_TEXT(whole, "max_runtime_s = 5.0");
    }
    free(whole);
    ap_budgets_free(b);
}

static void test_other_files_are_not_overwritten(void) {
    start();
    ap_error error;
    ap_budgets *b;
    char text[4096], *there = NULL;
    size_t n;
    snprintf(text, sizeof text, "%sbudgets = ( %s );", head, mini);
    CHECK_INT(read_text(text, &b, &error), AP_OK);
    write_text("precious.cfg", "results = \"r\";");
    CHECK_INT(ap_budgets_write(b, in_folder("precious.cfg"), &error), AP_USAGE);
    CHECK_TEXT(error.text, "precious.cfg");
    CHECK_INT(ap_read_file(in_folder("precious.cfg"), 1 << 20, &there, &n, NULL), AP_OK);
    CHECK(there && !strcmp(there, "results = \"r\";"));
    CHECK_INT(ap_budgets_write(b, in_folder("no/folder/b.cfg"), &error), AP_IO);
    free(there);
    ap_budgets_free(b);
}

/* ---- in a job */

static ap_status open_job(const char *settings, const char *workloads, ap_job **job, ap_error *error) {
    char text[4096];
    *job = NULL;
    snprintf(text, sizeof text,
             "results = \"r\";\n%s\nworkloads = ( %s );\nsubmissions = ( { submission = \"nadamw\"; } );", settings,
             workloads);
    write_text("job.cfg", text);
    return ap_job_open(in_folder("job.cfg"), job, error);
}
static const char *const mnist_mini = "{ name = \"mnist\"; }";

static void write_budgets(const char *name, const char *top, const char *entries) {
    char text[4096];
    snprintf(text, sizeof text, "%sbudgets = ( %s );", top, entries);
    write_text(name, text);
}

static void test_a_job_takes_the_budgets(void) {
    start();
    ap_error error;
    ap_job *job;
    write_budgets("b.cfg", head, mini);
    CHECK_INT(open_job("budgets = \"b.cfg\";", mnist_mini, &job, &error), AP_OK);
    if (!job) return;
    CHECK_NEAR(job->workload[0].problem->scale.max_runtime_s, 5, 0);
    CHECK_NEAR(job->workload[0].problem->scale.eval_period_s, 0.5, 0);
    CHECK_TEXT(job->description, job->budgets->label);
    ap_job_close(job);
}

static void test_two_calibrations_are_two_jobs(void) {
    start();
    ap_error error;
    ap_job *job;
    char identity[4][AP_DIGEST_TEXT] = {{0}};
    static const char *const settings[] = {"", "budgets = \"a.cfg\";", "budgets = \"b.cfg\";", "budgets = \"c.cfg\";"};
    write_budgets("a.cfg", head, mini);
    write_budgets("b.cfg", "name = \"there-2x1\"; ranks = 2; threads = 1;\n", mini);
    write_budgets("c.cfg", head,
                  "{ workload = \"mnist\"; scale = \"mini\"; step_hint = 5000; batch_size = 128; step_time_s = 0.001;"
                  " max_runtime_s = 5.5; eval_period_s = 0.5; }");
    for (int i = 0; i < 4; i++) {
        CHECK_INT(open_job(settings[i], mnist_mini, &job, &error), AP_OK);
        if (job) memcpy(identity[i], job->identity, sizeof identity[i]);
        ap_job_close(job);
        for (int k = 0; k < i; k++) CHECK(strcmp(identity[i], identity[k]) != 0);
    }
    /* Where the file lies is not what it says. */
    write_budgets("d.cfg", head, mini);
    CHECK_INT(open_job("budgets = \"d.cfg\";", mnist_mini, &job, &error), AP_OK);
    CHECK(job && !strcmp(job->identity, identity[1]));
    ap_job_close(job);
}

static void test_bad_budgets_of_a_job(void) {
    start();
    ap_error error;
    ap_job *job;
    write_budgets("b.cfg", head, mini);
    CHECK_INT(open_job("budgets = \"none.cfg\";", mnist_mini, &job, &error), AP_IO);
    CHECK_TEXT(error.text, "job.cfg:2: ");
    CHECK_TEXT(error.text, "none.cfg");
    CHECK_INT(open_job("budgets = \"b.cfg\";", "{ name = \"dummy\"; }", &job, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "job.cfg:3: ");
    CHECK_TEXT(error.text, "no budget for workload dummy, scale mini");
    CHECK_TEXT(error.text, "algoperf calibrate --workloads dummy");
    write_budgets("bad.cfg", "name = \"x\"; ranks = 2;\n", mini);
    CHECK_INT(open_job("budgets = \"bad.cfg\";", mnist_mini, &job, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "job.cfg:2: ");
    CHECK_TEXT(error.text, "bad.cfg: ");
    CHECK_TEXT(error.text, "threads");
}

AP_TEST_MAIN(test_mistakes_are_told_with_their_place, test_what_is_written_is_read_back,
             test_other_files_are_not_overwritten, test_a_job_takes_the_budgets, test_two_calibrations_are_two_jobs,
             test_bad_budgets_of_a_job)
