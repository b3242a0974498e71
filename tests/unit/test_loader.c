/* Finding and loading submissions: built in, the worked example, and everything that can be wrong with a plugin. */
#include "algorithms/algorithms.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/h5.h"
#include "check.h"
#include "submission/loader.h"
#include "submission/solo_host.h"
#include "tuning/search_space.h"
#include <sys/stat.h>
#include <unistd.h>

static const char plugins[] = AP_TEST_PLUGINS;

static ap_loaded_submission *load(const char *what, const char *base_directory) {
    ap_loaded_submission *loaded = NULL;
    ap_error error = {0};
    CHECK_INT(ap_submission_load(what, base_directory, ap_algorithms(), &loaded, &error), AP_OK);
    if (!loaded) {
        printf("%s\n", error.text);
        exit(1);
    }
    return loaded;
}

static void check_refused(const char *what, const char *base_directory, ap_status want, const char *text) {
    ap_loaded_submission *loaded = NULL;
    ap_error error = {0};
    CHECK_INT(ap_submission_load(what, base_directory, ap_algorithms(), &loaded, &error), want);
    CHECK_TEXT(error.text, text);
    CHECK(!loaded);
}

/* ---- what loads */

static void test_builtin_by_name(void) {
    ap_loaded_submission *loaded = load("nadamw", "");
    CHECK(!strcmp(loaded->name, "nadamw"));
    CHECK(loaded->path[0] == '\0' && loaded->digest[0] == '\0' && !loaded->handle);
    CHECK(!strcmp(loaded->submission->name, "nadamw"));
    ap_submission_unload(loaded);
}

static void check_example(const ap_loaded_submission *loaded) {
    char *bytes, digest[AP_DIGEST_TEXT], path[AP_PATH];
    size_t n;
    ap_error error;
    CHECK(!strcmp(loaded->name, "my_optimizer"));
    CHECK(loaded->handle != NULL);
    CHECK_INT(ap_path(path, &error, "%s/my_optimizer.so", plugins), AP_OK);
    CHECK_INT(ap_read_file(path, 1 << 24, &bytes, &n, &error), AP_OK);
    ap_digest_text(ap_digest_of(bytes, n), digest);
    CHECK(!strcmp(loaded->digest, digest));
    free(bytes);
}

static void test_plugin_by_absolute_path(void) {
    ap_loaded_submission *loaded = load(AP_TEST_PLUGINS "/my_optimizer.so", "not/there");
    check_example(loaded);
    CHECK(!strcmp(loaded->path, AP_TEST_PLUGINS "/my_optimizer.so"));
    ap_submission_unload(loaded);
}

static void test_plugin_relative_to_the_base_directory(void) {
    ap_loaded_submission *bare = load("my_optimizer.so", plugins), *dotted = load("./my_optimizer.so", plugins);
    check_example(bare);
    check_example(dotted);
    CHECK(bare->submission == dotted->submission); /* one copy in memory, two owners */
    ap_submission_unload(bare);
    check_example(dotted);
    ap_submission_unload(dotted);
}

static void test_plugin_in_the_current_directory(void) {
    char was[AP_PATH];
    CHECK(getcwd(was, sizeof was) && chdir(plugins) == 0);
    ap_loaded_submission *loaded = load("my_optimizer.so", ""); /* not searched on the library path */
    check_example(loaded);
    ap_submission_unload(loaded);
    CHECK(chdir(was) == 0);
}

static void test_all_characters_a_name_may_have(void) {
    ap_loaded_submission *loaded = load("SPARE_NAME.so", plugins);
    CHECK(!strcmp(loaded->name, "Spare_name-1.0"));
    ap_submission_unload(loaded);
    ap_submission_unload(NULL);
}

/* ---- what does not */

static void test_unknown_names(void) {
    check_refused("nadamww", "", AP_CONFIG, "did you mean \"nadamw\"?");
    check_refused("nadam", "", AP_CONFIG, "adafactor, adamg, adamw");
    check_refused("something else", "", AP_CONFIG, "\"something else\" is not built in");
    check_refused("", "", AP_CONFIG, "is not built in");
    check_refused("NADAMW", "", AP_CONFIG, "is not built in");
}

static void test_missing_files(void) {
    check_refused("./nothing.so", plugins, AP_SUBMISSION, "nothing.so cannot be opened");
    check_refused("nothing.so", "no/such/folder", AP_SUBMISSION, "no/such/folder/nothing.so");
    check_refused("./nothing.so", plugins, AP_SUBMISSION, "No such file");
}

static void test_files_that_are_no_shared_objects(void) {
    char folder[AP_PATH], text[AP_PATH], empty[AP_PATH];
    ap_error error;
    snprintf(folder, sizeof folder, "loader_%ld.so", (long)getpid());
    snprintf(text, sizeof text, "loader_text_%ld.so", (long)getpid());
    snprintf(empty, sizeof empty, "loader_empty_%ld.so", (long)getpid());
    CHECK(mkdir(folder, 0700) == 0);
    static const char words[] =
        "This text is long enough to be taken for the header of a shared object, but is none.\n";
    CHECK_INT(ap_write_file(text, words, sizeof words - 1, &error), AP_OK);
    CHECK_INT(ap_write_file(empty, "", 0, &error), AP_OK);
    check_refused(folder, "", AP_SUBMISSION, "is a directory");
    check_refused(text, "", AP_SUBMISSION, "cannot be loaded");
    check_refused(empty, "", AP_SUBMISSION, "cannot be loaded");
    check_refused("/dev/null", "", AP_SUBMISSION, "not a regular file");
    rmdir(folder);
    remove(text);
    remove(empty);
}

static void test_truncated_plugin(void) {
    char path[AP_PATH], copy[AP_PATH], *bytes;
    size_t n;
    ap_error error;
    snprintf(path, sizeof path, "%s/my_optimizer.so", plugins);
    snprintf(copy, sizeof copy, "loader_cut_%ld.so", (long)getpid());
    CHECK_INT(ap_read_file(path, 1 << 24, &bytes, &n, &error), AP_OK);
    for (size_t kept = n / 2; kept >= 64; kept /= 3) {
        CHECK_INT(ap_write_file(copy, bytes, kept, &error), AP_OK);
        check_refused(copy, "", AP_SUBMISSION, "is cut short");
    }
    free(bytes);
    remove(copy);
}

static void test_plugins_with_one_thing_wrong(void) {
    static const char *const cases[][2] = {
        {"WRONG_ABI", "has ABI 8 (must be 1)"},
        {"OLD_SIZE", "has struct_size"},
        {"NEW_SIZE", "has struct_size"},
        {"NO_ENTRY", "no symbol ap_submission_entry"},
        {"NULL_TABLE", "returned NULL"},
        {"NO_INIT", "no function init_optimizer_state"},
        {"NO_UPDATE", "no function update_params"},
        {"NO_NAME", "calls itself \"\""},
        {"NO_SUMMARY", "no text summary"},
        {"NO_SOURCE", "no text source"},
        {"SLASH_NAME", "calls itself \"../../escape\""},
        {"DOT_NAME", "calls itself \"..\""},
        {"LONG_NAME", "must be 1 to 100"},
        {"BUILTIN_NAME", "the name of a built-in one"},
        {"UNRESOLVED", "a_function_that_nobody_has"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char what[64];
        snprintf(what, sizeof what, "./%s.so", cases[i][0]);
        check_refused(what, plugins, AP_SUBMISSION, cases[i][1]);
        check_refused(what, plugins, AP_SUBMISSION, what + 2); /* the file is named */
    }
}

/* ---- the worked example computes what it says: Lion, as recorded (tests/fixtures/optimizers.h5, lion_v07) */

enum { STEPS = 20, W2 = 30 };

static float *read_floats(hid_t file, const char *name, int64_t n) {
    void *data = NULL;
    int64_t got;
    ap_error error;
    if (ap_h5_read(file, name, AP_F32, n, 1 << 20, &data, &got, &error) != AP_OK) {
        printf("%s\n", error.text);
        exit(1);
    }
    return data;
}

typedef struct quadratic {
    float *a, *c, *noise;
} quadratic;
static double gradient_at(void *context, int64_t step, float *const *value, float *const *gradient) {
    const quadratic *q = context;
    for (int i = 0; i < W2; i++) gradient[0][i] = q->a[i] * (value[0][i] - q->c[i]) + q->noise[step * W2 + i];
    return 0;
}

static void test_example_is_lion(void) {
    hid_t file;
    ap_error error;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/optimizers.h5", &file, &error), AP_OK);
    quadratic q = {read_floats(file, "/problem/a/w2", W2), read_floats(file, "/problem/c/w2", W2),
                   read_floats(file, "/problem/noise/w2", (int64_t)STEPS * W2)};
    float *want = read_floats(file, "/lion_v07/trajectory/w2", (int64_t)(STEPS + 1) * W2);
    ap_h5_close(file);

    /* warmup 0 and end factor 1: the constant rate of the recording */
    ap_point point;
    CHECK_INT(ap_point_parse("{\"learning_rate\": 0.02, \"beta1\": 0.95, \"beta2\": 0.98, \"weight_decay\": 0.5,"
                             " \"warmup_factor\": 0, \"end_factor\": 1}",
                             "lion", &point, &error),
              AP_OK);
    static const int64_t shape[] = {6, 5};
    static const ap_param_info info = {.name = "w2", .rank = 2, .shape = shape, .size = W2};
    static const ap_workload_info workload = {.name = "lion", .step_hint = 25, .params = 1, .param = &info};
    const float *initial = want;
    ap_solo_problem problem = {.workload = &workload,
                               .initial = &initial,
                               .loss = gradient_at,
                               .context = &q,
                               .hyperparameters = point.n,
                               .name = point.name,
                               .value = point.value};
    ap_solo *solo = NULL;
    ap_loaded_submission *loaded = load("./my_optimizer.so", plugins);
    CHECK_INT(ap_solo_create(&problem, &solo, &error), AP_OK);
    CHECK_INT(ap_solo_init(solo, loaded->submission, &error), AP_OK);
    for (int t = 1; t <= STEPS; t++) {
        CHECK_INT(ap_solo_step(solo, loaded->submission, &error), AP_OK);
        for (int i = 0; i < W2; i++) CHECK_NEAR(ap_solo_value(solo, 0)[i], want[t * W2 + i], 2e-5);
    }
    ap_solo_destroy(solo);
    ap_submission_unload(loaded);
    ap_point_free(&point);
    free(q.a);
    free(q.c);
    free(q.noise);
    free(want);
}

static void test_example_accepts_its_search_space(void) {
    ap_points points = {0};
    ap_error error = {0};
    char *json;
    size_t n;
    CHECK_INT(ap_read_file(AP_TEST_EXAMPLE "/my_optimizer.json", 1 << 16, &json, &n, &error), AP_OK);
    CHECK_INT(ap_search_space_draw(json, "my_optimizer.json", 10, &points, &error), AP_OK);
    free(json);
    static const ap_workload_info workload = {.name = "none", .step_hint = 25};
    ap_loaded_submission *loaded = load("./my_optimizer.so", plugins);
    for (int i = 0; i < points.n; i++) {
        ap_solo_problem problem = {.workload = &workload,
                                   .loss = gradient_at,
                                   .hyperparameters = points.point[i].n,
                                   .name = points.point[i].name,
                                   .value = points.point[i].value};
        ap_solo *solo = NULL;
        CHECK_INT(ap_solo_create(&problem, &solo, &error), AP_OK);
        CHECK_INT(ap_solo_init(solo, loaded->submission, &error), AP_OK);
        for (int k = 0; k < points.point[i].n; k++) CHECK(ap_solo_asked(solo, k));
        ap_solo_destroy(solo);
    }
    ap_submission_unload(loaded);
    ap_points_free(&points);
}

AP_TEST_MAIN(test_builtin_by_name, test_plugin_by_absolute_path, test_plugin_relative_to_the_base_directory,
             test_plugin_in_the_current_directory, test_all_characters_a_name_may_have, test_unknown_names,
             test_missing_files, test_files_that_are_no_shared_objects, test_truncated_plugin,
             test_plugins_with_one_thing_wrong, test_example_is_lion, test_example_accepts_its_search_space)
