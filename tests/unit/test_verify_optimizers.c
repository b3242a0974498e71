/* `algoperf verify --optimizers`: passes on the fixture, and on nothing else. It is the algorithms' golden test. */
#include "base/file.h"
#include "base/h5.h"
#include "check.h"
#include "cli/verify.h"
#include "cli/verify_settings.h"
#include <unistd.h>

static const char fixture[] = AP_TEST_FIXTURES "/optimizers.h5";

static void test_recorded_trajectories(void) {
    ap_error error = {0};
    CHECK_INT(ap_verify_optimizers(fixture, &error), AP_OK);
    if (error.status) printf("%s\n", error.text);
}

/* Settings off the recorded ones, and outliers and zeros in the gradients. */
static void test_other_settings(void) {
    ap_error error = {0};
    CHECK_INT(ap_verify_optimizers(AP_TEST_FIXTURES "/optimizer_settings.h5", &error), AP_OK);
    if (error.status) printf("%s\n", error.text);
}

static char scratch[64];

/* A copy of the fixture, open for writing, in a file of this process. */
static hid_t open_copy(void) {
    char *bytes;
    size_t n;
    ap_error error;
    snprintf(scratch, sizeof scratch, "optimizers_%ld.h5", (long)getpid());
    CHECK_INT(ap_read_file(fixture, 16 << 20, &bytes, &n, &error), AP_OK);
    CHECK_INT(ap_write_file(scratch, bytes, n, &error), AP_OK);
    free(bytes);
    return H5Fopen(scratch, H5F_ACC_RDWR, H5P_DEFAULT);
}

static void check_verdict(hid_t file, ap_status want, const char *text) {
    ap_error error = {0};
    if (file >= 0) H5Fclose(file);
    CHECK_INT(ap_verify_optimizers(scratch, &error), want);
    CHECK_TEXT(error.text, text);
    remove(scratch);
}

static void write_all(hid_t file, const char *name, hid_t type, const void *data) {
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    CHECK(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set);
}

static void test_wrong_trajectory_fails(void) {
    hid_t file = open_copy();
    void *data;
    int64_t n;
    ap_error error;
    CHECK_INT(ap_h5_read(file, "/nadamw/trajectory/w2", AP_F32, 21 * 30, 1 << 20, &data, &n, &error), AP_OK);
    ((float *)data)[n - 1] += 4e-5F; /* twice what is allowed */
    write_all(file, "/nadamw/trajectory/w2", H5T_NATIVE_FLOAT, data);
    free(data);
    check_verdict(file, AP_NUMERIC, "1 of 46 rules, schedules and averages");
}

static void test_nan_in_a_trajectory_fails(void) {
    hid_t file = open_copy();
    float data[21 * 7];
    for (int i = 0; i < 21 * 7; i++) data[i] = NAN;
    write_all(file, "/momentum/trajectory/w1", H5T_NATIVE_FLOAT, data);
    check_verdict(file, AP_NUMERIC, "1 of 46 rules, schedules and averages");
}

static void test_wrong_learning_rates_fail(void) {
    hid_t file = open_copy();
    void *data;
    int64_t n;
    ap_error error;
    CHECK_INT(ap_h5_read(file, "/adamw/lr", AP_F64, 20, 1 << 20, &data, &n, &error), AP_OK);
    ((double *)data)[7] *= 1 + 1e-11;
    write_all(file, "/adamw/lr", H5T_NATIVE_DOUBLE, data);
    free(data);
    check_verdict(file, AP_NUMERIC, "1 of 46 rules, schedules and averages");
}

static void test_wrong_average_fails(void) {
    hid_t file = open_copy();
    float data[30] = {0};
    write_all(file, "/lawa/queue_avg_of_last3_of_first5/w2", H5T_NATIVE_FLOAT, data);
    check_verdict(file, AP_NUMERIC, "1 of 46 rules, schedules and averages");
}

static void test_wrong_schedule_fails(void) {
    hid_t file = open_copy();
    double data[110] = {0};
    write_all(file, "/schedules/torch_linear_warmup_cosine_hint100_factor0.02", H5T_NATIVE_DOUBLE, data);
    check_verdict(file, AP_NUMERIC, "1 of 46 rules, schedules and averages");
}

static void set_hyperparameters(hid_t file, const char *json) {
    ap_error error;
    H5Adelete_by_name(file, "/adamw", "hyperparameters", H5P_DEFAULT);
    CHECK_INT(ap_h5_set_text(file, "/adamw", "hyperparameters", json, &error), AP_OK);
}

static void test_hyperparameters_the_rule_cannot_use_fail(void) {
    hid_t file = open_copy();
    set_hyperparameters(file, "{\"beta1\": 0.05}");
    check_verdict(file, AP_NUMERIC, "1 of 46 rules, schedules and averages");
}

static void test_damaged_files_are_refused(void) {
    hid_t file = open_copy();
    set_hyperparameters(file, "{\"learning_rate\": ");
    check_verdict(file, AP_DATA, "/adamw");

    file = open_copy();
    H5Adelete_by_name(file, "/adamw", "hyperparameters", H5P_DEFAULT);
    check_verdict(file, AP_DATA, "hyperparameters");

    file = open_copy();
    H5Ldelete(file, "/problem", H5P_DEFAULT);
    check_verdict(file, AP_DATA, "/problem/initial");

    file = open_copy();
    H5Ldelete(file, "/problem/noise/w4", H5P_DEFAULT);
    check_verdict(file, AP_DATA, "/problem/noise/w4");

    file = open_copy();
    H5Ldelete(file, "/nesterov/trajectory/w2b", H5P_DEFAULT);
    check_verdict(file, AP_DATA, "/nesterov/trajectory/w2b");

    file = open_copy();
    H5Ldelete(file, "/nesterov/lr", H5P_DEFAULT);
    H5Lcreate_hard(file, "/problem/a/w1", H5L_SAME_LOC, "/nesterov/lr", H5P_DEFAULT, H5P_DEFAULT);
    check_verdict(file, AP_DATA, "/nesterov/lr"); /* 7 numbers where 20 are due */

    file = open_copy();
    H5Ldelete(file, "/problem/c/w1", H5P_DEFAULT);
    H5Lcreate_hard(file, "/problem/a/w2", H5L_SAME_LOC, "/problem/c/w1", H5P_DEFAULT, H5P_DEFAULT);
    check_verdict(file, AP_DATA, "/problem/c/w1");
}

static void test_files_that_are_not_fixtures_are_refused(void) {
    ap_error error = {0};
    snprintf(scratch, sizeof scratch, "optimizers_%ld.h5", (long)getpid());
    check_verdict(-1, AP_IO, scratch); /* none there */

    CHECK_INT(ap_write_file(scratch, "hello, I am a text\n", 19, &error), AP_OK);
    check_verdict(-1, AP_DATA, scratch);

    hid_t file = open_copy();
    H5Fclose(file);
    CHECK(truncate(scratch, 700000) == 0);
    check_verdict(-1, AP_DATA, scratch);

    CHECK_INT(ap_verify_optimizers(AP_TEST_FIXTURES "/mnist.h5", &error), AP_DATA);
    CHECK_TEXT(error.text, "/problem/initial");
}

static void test_a_file_without_known_rules_is_no_success(void) {
    hid_t file = open_copy();
    int64_t n;
    char **names;
    ap_error error;
    CHECK_INT(ap_h5_list(file, "/", &n, &names, &error), AP_OK);
    for (int64_t i = 0; i < n; i++)
        if (strcmp(names[i], "problem") != 0) H5Ldelete(file, names[i], H5P_DEFAULT);
    ap_h5_free_text(n, names);
    check_verdict(file, AP_DATA, "nothing was verified");
}

/* ---- what the settings of a recording become */

static double number(const char *json, const char *group, const char *name) {
    ap_point point = {0};
    ap_error error;
    double value = NAN;
    CHECK_INT(ap_verify_settings(json, group, &point, &error), AP_OK);
    ap_point_get(&point, name, &value);
    ap_point_free(&point);
    return value;
}

static void test_settings_become_hyperparameters(void) {
    static const char shampoo[] =
        "{\"lr\": \"0.05\", \"betas\": \"(0.0, 0.99)\", \"momentum\": \"0.9\", \"use_nadam\": \"False\","
        " \"preconditioner_dtype\": \"torch.float64\", \"distributed_config\": \"None\","
        " \"grafting_config\": \"RMSpropGraftingConfig(beta2=0.98, epsilon=1e-06)\"}";
    static const char muon[] = "{\"lr\": 0.02, \"beta\": 0.9, \"adjust_lr\": null,"
                               " \"vector_optimizer\": \"AdamW lr .01 betas .9/.999 wd .1\"}";
    CHECK_NEAR(number(shampoo, "/shampoo_x", "learning_rate"), 0.05, 0);
    CHECK_NEAR(number(shampoo, "/shampoo_x", "beta1"), 0, 0);
    CHECK_NEAR(number(shampoo, "/shampoo_x", "beta2"), 0.99, 0);
    CHECK_NEAR(number(shampoo, "/shampoo_x", "use_momentum"), 1, 0);
    CHECK_NEAR(number(shampoo, "/shampoo_x", "use_nadam"), 0, 0);
    CHECK_NEAR(number(shampoo, "/shampoo_x", "double_preconditioner"), 1, 0);
    CHECK_NEAR(number(shampoo, "/shampoo_x", "grafting_beta2"), 0.98, 0);
    CHECK_NEAR(number(shampoo, "/shampoo_x", "grafting_epsilon"), 1e-6, 0);
    CHECK_NEAR(number(shampoo, "/shampoo_x", "constant_rate"), 1, 0);
    CHECK(isnan(number(shampoo, "/shampoo_x", "distributed_config")));
    CHECK_NEAR(number(muon, "/muon_torch_bf16", "learning_rate"), 0.01, 0);
    CHECK_NEAR(number(muon, "/muon_torch_bf16", "muon_lr_multiplier"), 2, 0);
    CHECK_NEAR(number(muon, "/muon_torch_bf16", "muon_beta"), 0.9, 0);
    CHECK_NEAR(number(muon, "/muon_torch_bf16", "pair_beta2"), 0.999, 0);
    CHECK_NEAR(number(muon, "/muon_torch_bf16", "newton_schulz_bfloat16"), 1, 0);
    CHECK_NEAR(number(muon, "/muon_torch_f32", "newton_schulz_bfloat16"), 0, 0);
    CHECK_NEAR(number("{\"lr\": 1, \"betas\": [0.1, 0.2, 0.3]}", "/x_float32_state", "beta3"), 0.3, 0);
    CHECK_NEAR(number("{\"lr\": 1}", "/x_float32_state", "float32_state"), 1, 0);
    CHECK_NEAR(number("{\"eta\": {\"w\": 0.5}, \"reduced_shapes\": {\"w\": [6, 1]}}", "/amos", "eta.w"), 0.5, 0);
    CHECK_NEAR(number("{\"reduced_shapes\": {\"w\": [6, 1], \"b\": []}}", "/amos", "reduced.b"), 0, 0);
    CHECK(isnan(number("{\"learning_rate\": 1, \"warmup_factor\": 0.1}", "/adamw", "constant_rate")));
}

AP_TEST_MAIN(test_recorded_trajectories, test_other_settings, test_wrong_trajectory_fails,
             test_nan_in_a_trajectory_fails, test_wrong_learning_rates_fail, test_wrong_average_fails,
             test_wrong_schedule_fails, test_hyperparameters_the_rule_cannot_use_fail, test_damaged_files_are_refused,
             test_files_that_are_not_fixtures_are_refused, test_a_file_without_known_rules_is_no_success,
             test_settings_become_hyperparameters)
