/* collect and export: what comes out is what went in. */
#include "analysis/archive.h"
#include "analysis/official.h"
#include "analysis/result.h"
#include "analysis/tree.h"
#include "full_result.h"

#include <jansson.h>

static char root[64];
#define PLACE "nadamw/study_0/mnist/trial_1"
static const char mini[] = "mnist mini (synthetic)";

static const char *in_root(const char *name) {
    static char path[2][AP_PATH];
    static int turn;
    turn = !turn;
    snprintf(path[turn], AP_PATH, "%s/%s", root, name);
    return path[turn];
}

static full_result reaching(void) {
    full_result r = full_usual();
    r.target = 0.95;
    r.verdict = "target_reached";
    return r;
}

/* Two submissions, one of which reaches the target; a log and a job beside the results. */
static void write_tree(const char *name) {
    char place[128];
    full_result slow = full_usual();
    slow.target = 0.95;
    slow.steps = 16;
    slow.nan_from = 8;
    slow.speed = 1.0 / 3;
    snprintf(place, sizeof place, "%s/" PLACE, name);
    full_write(root, place, reaching());
    snprintf(place, sizeof place, "%s/" PLACE "/events.jsonl", name);
    put_bytes(root, place, "{\"event\":\"started\"}\nanything\0else", 33);
    snprintf(place, sizeof place, "%s/momentum/study_0/mnist/trial_1", name);
    full_write(root, place, slow);
    snprintf(place, sizeof place, "%s/job.txt", name);
    put_text(root, place, "studies = 1\n");
}

static ap_status collect(const char *const *names, const char *output, ap_archive_summary *summary, ap_error *error) {
    char path[4][AP_PATH], target[AP_PATH];
    const char *roots[5] = {0};
    for (int i = 0; names[i]; i++) {
        snprintf(path[i], AP_PATH, "%s/%s", root, names[i]);
        roots[i] = path[i];
    }
    snprintf(target, sizeof target, "%s/%s", root, output);
    return ap_archive_write(roots, target, summary, NULL, error);
}

static void collect_one(const char *name, const char *output) {
    ap_archive_summary summary;
    ap_error error = {0};
    must(collect((const char *const[]){name, NULL}, output, &summary, &error), &error);
}

/* ---- collect */

static void check_same_facts(const ap_facts *a, const ap_facts *b) {
    CHECK_INT(a->n, b->n);
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        CHECK(!strcmp(a->fact[i].name, b->fact[i].name));
        CHECK(ap_fact_same(&a->fact[i], &b->fact[i]));
    }
}

static void check_same_result(const ap_result *a, const ap_result *b) {
    check_same_facts(&a->head, &b->head);
    check_same_facts(&a->provenance, &b->provenance);
    CHECK_INT(a->columns, b->columns);
    for (size_t c = 0; c < a->columns && c < b->columns; c++) {
        const ap_column *x = &a->column[c], *y = &b->column[c];
        CHECK(!strcmp(x->name, y->name));
        CHECK((!x->unit && !y->unit) || (x->unit && y->unit && !strcmp(x->unit, y->unit)));
        CHECK_INT(x->n, y->n);
        for (int64_t i = 0; i < x->n && x->n == y->n; i++) CHECK(ap_column_same(x, i, y, i));
    }
}

static void test_collection_holds_the_same_bits(void) {
    ap_tree a = {0}, b = {0};
    ap_error error = {0};
    new_folder(root);
    write_tree("R");
    collect_one("R", "R.h5");
    must(ap_tree_open(in_root("R"), &a, &error), &error);
    must(ap_tree_open(in_root("R.h5"), &b, &error), &error);
    CHECK_INT(a.n, 2);
    CHECK_INT(b.n, 2);
    for (size_t i = 0; i < 2; i++) {
        hid_t place;
        ap_result in_folder, in_file;
        CHECK(!strcmp(a.entry[i].submission, b.entry[i].submission));
        must(ap_tree_open_result(&a, &a.entry[i], &place, &error), &error);
        must(ap_result_read(place, &in_folder, &error), &error);
        ap_tree_close_result(place);
        must(ap_tree_open_result(&b, &b.entry[i], &place, &error), &error);
        must(ap_result_read(place, &in_file, &error), &error);
        ap_tree_close_result(place);
        check_same_result(&in_folder, &in_file);
        CHECK(in_folder.columns == 20);
        ap_result_free(&in_folder);
        ap_result_free(&in_file);
    }
    char *text;
    size_t n;
    must(ap_tree_read_events(&b, &b.entry[1], &text, &n, &error), &error);
    CHECK_INT(n, 33);
    CHECK(text && !memcmp(text, "{\"event\":\"started\"}\nanything\0else", 34));
    free(text);
    must(ap_tree_read_events(&b, &b.entry[0], &text, &n, &error), &error);
    CHECK(!text);
    CHECK_INT(ap_tree_sources(&b), 1);
    must(ap_tree_read_file(&b, 0, AP_TREE_JOB, &text, &n, &error), &error);
    CHECK_TEXT(text, "studies = 1\n");
    free(text);
    must(ap_tree_read_file(&b, 0, AP_TREE_TRIALS, &text, &n, &error), &error);
    CHECK(!text);
    ap_tree_close(&a);
    ap_tree_close(&b);
    remove_folder(root);
}

static void test_collection_scores_the_same(void) {
    new_folder(root);
    write_tree("R");
    collect_one("R", "R.h5");
    scored a = score_folder(in_root("R"), NULL), b = score_folder(in_root("R.h5"), NULL);
    if (b.status) printf("%s\n", b.error.text);
    CHECK_INT(a.status, AP_OK);
    CHECK_INT(b.status, AP_OK);
    CHECK_NEAR(time_of(&a, "nadamw", mini), 12, 0);
    CHECK(time_of(&b, "nadamw", mini) == time_of(&a, "nadamw", mini));
    CHECK(score_of(&b, "nadamw") == 1 && score_of(&b, "momentum") == 0);
    free_scored(&a);
    free_scored(&b);
    remove_folder(root);
}

static void test_collections_are_collected(void) {
    ap_archive_summary summary;
    ap_error error = {0};
    char *a, *b;
    size_t n, m;
    new_folder(root);
    write_tree("R");
    full_write(root, "Q/other/study_0/mnist/trial_1", full_usual());
    collect_one("R", "R.h5");
    must(collect((const char *const[]){"R", "Q", NULL}, "both.h5", &summary, &error), &error);
    CHECK_INT(summary.trials, 3);
    must(collect((const char *const[]){"R.h5", "Q", NULL}, "again.h5", &summary, &error), &error);
    must(ap_read_file(in_root("both.h5"), 1 << 24, &a, &n, &error), &error);
    must(ap_read_file(in_root("again.h5"), 1 << 24, &b, &m, &error), &error);
    CHECK(n == m && !memcmp(a, b, n));
    free(a);
    free(b);
    remove_folder(root);
}

/* Whatever is refused, the file that was there stays. */
static void refused(const char *const *names, const char *says) {
    ap_archive_summary summary;
    ap_error error = {0};
    put_text(root, "out.h5", "older");
    CHECK_INT(collect(names, "out.h5", &summary, &error), AP_DATA);
    CHECK_TEXT(error.text, says);
    char *text;
    size_t n;
    must(ap_read_file(in_root("out.h5"), 100, &text, &n, &error), &error);
    CHECK(!strcmp(text, "older"));
    free(text);
}

static void test_what_collect_refuses(void) {
    new_folder(root);
    write_tree("R");
    collect_one("R", "R.h5");
    refused((const char *const[]){"R", "R.h5", NULL}, "this trial is there twice");
    refused((const char *const[]){"R/" PLACE, NULL}, "one trial's result");
    put_text(root, "L/s/study_0/w_jax/trial_1/eval_measurements.csv", "score\n1\n");
    refused((const char *const[]){"L", NULL}, "official log");
    put_text(root, "D/s/study_0/w/trial_1/result.h5", "damage");
    refused((const char *const[]){"D", NULL}, "D/s/study_0/w/trial_1/result.h5");
    full_result bad = full_usual();
    full_write(root, "N/s/study_0/w/trial_1", bad);
    put_text(root, "N/s/study_0/w/trial_2/claim", "");
    ap_archive_summary summary;
    ap_error error = {0};
    must(collect((const char *const[]){"N", NULL}, "N.h5", &summary, &error), &error);
    CHECK_INT(summary.trials, 1);
    CHECK_INT(summary.empty, 1);
    remove_folder(root);
}

static void test_other_versions(void) {
    ap_error error = {0};
    ap_h5_writer *writer;
    ap_tree tree = {0};
    new_folder(root);
    must(ap_h5_create(in_root("new.h5"), AP_ARCHIVE_KIND, &writer, &error), &error);
    must(ap_h5_set_i64(ap_h5_writer_file(writer), "/", "format_version", 2, &error), &error);
    must(ap_h5_commit(writer, &error), &error);
    CHECK_INT(ap_tree_open(in_root("new.h5"), &tree, &error), AP_DATA);
    CHECK_TEXT(error.text, "format_version 2");
    ap_tree_close(&tree);
    remove_folder(root);
}

/* ---- export */

static size_t export_tree(const char *name, const char *directory) {
    ap_error error = {0};
    size_t trials;
    char target[AP_PATH];
    snprintf(target, sizeof target, "%s/%s", root, directory);
    must(ap_official_write((const char *const[]){in_root(name), NULL}, target, "jax", &trials, &error), &error);
    return trials;
}

static void test_export_reads_back_as_the_same_score(void) {
    new_folder(root);
    write_tree("R");
    CHECK_INT(export_tree("R", "official"), 2);
    scored a = score_folder(in_root("R"), NULL);
    scored b = score_folder(in_root("official"), "workload,role,base_workload,metric,direction,validation_target\n"
                                                 "mnist_mini,base,mnist_mini,accuracy,max,0.95\n");
    if (b.status) printf("%s\n", b.error.text);
    CHECK_INT(b.status, AP_OK);
    CHECK(time_of(&b, "nadamw", "mnist_mini") == time_of(&a, "nadamw", mini));
    CHECK(score_of(&b, "nadamw") == score_of(&a, "nadamw"));
    for (size_t i = 0; i < a.board.trials.n; i++) {
        const ap_trial *x = &a.board.trials.trial[i], *y = &b.board.trials.trial[i];
        CHECK_INT(x->rows, y->rows);
        for (size_t k = 0; k < x->rows && k < y->rows; k++) {
            CHECK(x->row[k].score_s == y->row[k].score_s && x->row[k].step == y->row[k].step);
            CHECK(x->row[k].validation == y->row[k].validation ||
                  (isnan(x->row[k].validation) && isnan(y->row[k].validation)));
        }
    }
    free_scored(&a);
    free_scored(&b);
    remove_folder(root);
}

static void test_exported_files(void) {
    char *text;
    size_t n;
    ap_error error = {0};
    new_folder(root);
    write_tree("R");
    export_tree("R", "official");
    must(ap_read_file(in_root("official/momentum/study_0/mnist_mini_jax/trial_1/eval_measurements.csv"), 1 << 16, &text,
                      &n, &error),
         &error);
    CHECK_TEXT(text, "accumulated_eval_time,accumulated_logging_time,accumulated_submission_time,global_step,"
                     "preemption_count,score,test/accuracy,test/loss,test/num_examples,total_duration,train/accuracy,"
                     "train/loss,train/num_examples,validation/accuracy,validation/loss,validation/num_examples\n");
    CHECK_TEXT(text, "\n0.125,0.125,2.6666666666666665,8,0,2.6666666666666665,,0.041666666666666664,1000,");
    free(text);
    must(ap_read_file(in_root("official/"
                              "nadamw/study_0/mnist_mini_jax/trial_1/hparams.json"),
                      1 << 16, &text, &n, &error),
         &error);
    json_t *object = json_loads(text, 0, NULL);
    CHECK_NEAR(json_real_value(json_object_get(object, "learning_rate")), 0.1, 0);
    json_decref(object);
    free(text);
    must(ap_read_file(in_root("official/nadamw/study_0/mnist_mini_jax/trial_1/meta_data_0.json"), 1 << 16, &text, &n,
                      &error),
         &error);
    object = json_loads(text, 0, NULL);
    CHECK_NEAR(json_real_value(json_object_get(object, "workload.validation_target_value")), 0.95, 0);
    CHECK(json_object_get(object, "algoperf_mpi.provenance.math"));
    CHECK(!json_object_get(object, "algoperf_mpi.provenance.host"));
    json_decref(object);
    free(text);
    remove_folder(root);
}

static void export_refused(const char *name, ap_status status, const char *says) {
    ap_error error = {0};
    size_t trials;
    char target[AP_PATH];
    snprintf(target, sizeof target, "%s/refused", root);
    CHECK_INT(ap_official_write((const char *const[]){in_root(name), NULL}, target, "jax", &trials, &error), status);
    CHECK_TEXT(error.text, says);
}

static void test_what_export_refuses(void) {
    new_folder(root);
    full_result r = full_usual();
    full_write(root, "R/" PLACE, r);
    export_tree("R", "refused");
    export_refused("R", AP_USAGE, "is there already");
    r.workload = "../../out";
    full_write(root, "S/" PLACE, r);
    export_refused("S", AP_DATA, "must be a file name");
    CHECK(!ap_file_exists(in_root("out")));
    r = full_usual();
    r.hyperparameters = "[1]";
    full_write(root, "H/other/study_0/mnist/trial_1", r);
    export_refused("H", AP_DATA, "must be a JSON object");
    export_refused("R/" PLACE, AP_DATA, "one trial's result");
    ap_error error = {0};
    size_t trials;
    CHECK_INT(ap_official_write((const char *const[]){in_root("R"), NULL}, "x", "tensorflow", &trials, &error),
              AP_USAGE);
    remove_folder(root);
}

static void test_full_scale_has_the_published_name(void) {
    new_folder(root);
    full_result r = full_usual();
    r.scale = "full";
    r.workload = "ogbg";
    full_write(root, "R/" PLACE, r);
    export_tree("R", "official");
    CHECK(ap_file_exists(in_root("official/nadamw/study_0/ogbg_jax/trial_1/eval_measurements.csv")));
    remove_folder(root);
}

static void test_double_text(void) {
    static const double values[] = {0,
                                    -0.0,
                                    0.1,
                                    1.0 / 3,
                                    1e-300,
                                    5e-324,
                                    1e22,
                                    123456789,
                                    INFINITY,
                                    -INFINITY,
                                    0.30000000000000004,
                                    1.7976931348623157e308};
    char text[AP_DOUBLE_TEXT];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        ap_double_text(values[i], text);
        double back = strtod(text, NULL);
        CHECK(!memcmp(&back, &values[i], sizeof back));
    }
    ap_double_text(0.1, text);
    CHECK(!strcmp(text, "0.1"));
    ap_double_text(NAN, text);
    CHECK(!strcmp(text, "nan"));
}

AP_TEST_MAIN(test_collection_holds_the_same_bits, test_collection_scores_the_same, test_collections_are_collected,
             test_what_collect_refuses, test_other_versions, test_export_reads_back_as_the_same_score,
             test_exported_files, test_what_export_refuses, test_full_scale_has_the_published_name, test_double_text)
