/* The built-in training algorithms: recorded trajectories (through the program's own verification), bits, restart,
 * clipping, hyperparameters, search spaces; and the verification against files that are not what it expects. */
#include "algorithms/algorithms.h"
#include "algorithms/schedule.h"
#include "base/file.h"
#include "base/fmath.h"
#include "base/h5.h"
#include "check.h"
#include "cli/verify.h"
#include "submission/solo_host.h"
#include "tuning/search_space.h"
#include <unistd.h>

static const char fixture[] = AP_TEST_FIXTURES "/optimizers.h5";

/* ---- a small problem: two parameters, one of an odd size, gradients from a formula */

enum { PARAMS = 2, LARGEST = 40003 };
static const int64_t shapes[PARAMS][1] = {{5}, {LARGEST}};
static const ap_param_info infos[PARAMS] = {
    {.name = "small", .rank = 1, .shape = shapes[0], .size = 5},
    {.name = "large", .rank = 1, .shape = shapes[1], .size = LARGEST},
};
static const ap_workload_info workload = {.name = "small",
                                          .variant = "",
                                          .scale = "full",
                                          .loss_type = "none",
                                          .target_metric = "loss",
                                          .step_hint = 50,
                                          .params = PARAMS,
                                          .param = infos};

static float initial_value(int p, int64_t i) {
    return (float)((i * 37 + p * 11) % 101 - 50) / 64;
}
static float gradient_of(int p, int64_t i, int64_t step, float w) {
    return 0.5F * w + (float)((i * 13 + p * 7 + step * 29) % 97 - 48) / 32;
}
static double formula(void *context, int64_t step, float *const *value, float *const *gradient) {
    (void)context;
    for (int p = 0; p < PARAMS; p++)
        for (int64_t i = 0; i < infos[p].size; i++) gradient[p][i] = gradient_of(p, i, step, value[p][i]);
    return 1;
}

static ap_solo *solo_with(const ap_point *point) {
    static float small[5], large[LARGEST];
    float *const initial[PARAMS] = {small, large};
    for (int p = 0; p < PARAMS; p++)
        for (int64_t i = 0; i < infos[p].size; i++) initial[p][i] = initial_value(p, i);
    const float *const start[PARAMS] = {small, large};
    ap_solo_problem problem = {.workload = &workload,
                               .initial = start,
                               .loss = formula,
                               .hyperparameters = point->n,
                               .name = point->name,
                               .value = point->value};
    ap_solo *solo = NULL;
    ap_error error;
    CHECK_INT(ap_solo_create(&problem, &solo, &error), AP_OK);
    return solo;
}

static ap_point point_of(const char *json) {
    ap_point point = {0};
    ap_error error;
    CHECK_INT(ap_point_parse(json, "point", &point, &error), AP_OK);
    return point;
}

static const ap_submission *algorithm(const char *name) {
    for (const ap_submission *const *a = ap_algorithms(); *a; a++)
        if (!strcmp((*a)->name, name)) return *a;
    printf("no algorithm %s\n", name);
    exit(1);
}

static void run(ap_solo *solo, const ap_submission *a, int steps) {
    ap_error error;
    for (int i = 0; i < steps; i++)
        if (ap_solo_step(solo, a, &error) != AP_OK) printf("%s\n", error.text), ap_check_failures++;
}

static void init(ap_solo *solo, const ap_submission *a) {
    ap_error error;
    if (ap_solo_init(solo, a, &error) != AP_OK) printf("%s\n", error.text), ap_check_failures++;
}

/* One point that every built-in algorithm accepts. */
static const char common[] = "{\"learning_rate\": 0.05, \"one_minus_beta1\": 0.1, \"beta2\": 0.99,"
                             " \"weight_decay\": 0.1, \"warmup_factor\": 0.1, \"decay_steps_factor\": 0.9,"
                             " \"end_factor\": 0.01}";

/* ---- the reference twins: one element, as the equations say */

typedef struct element {
    float w, m, v;
} element;
typedef void twin_step(element *e, float g, int64_t t);

static double cosine_rate(int64_t t) {
    return 0.05 * ap_schedule_warmup_cosine(t - 1, 5, 50);
}
static void twin_adam(element *e, float g, int64_t t, bool nesterov) {
    double h = cosine_rate(t), b1 = 1 - 0.1;
    float beta1 = (float)b1, rest1 = (float)(1 - b1), beta2 = 0.99F, rest2 = (float)(1 - 0.99);
    float step_size = (float)(h / (1 - ap_f64_powi(b1, t)));
    e->w *= (float)(1 - h * 0.1);
    e->m = e->m * beta1 + rest1 * g;
    e->v = e->v * beta2 + rest2 * g * g;
    float numerator = nesterov ? e->m * beta1 + rest1 * g : e->m;
    e->w -= step_size * numerator / (sqrtf(e->v) / (float)sqrt(1 - ap_f64_powi(0.99, t)) + 1e-8F);
}
static void twin_adamw(element *e, float g, int64_t t) {
    twin_adam(e, g, t, false);
}
static void twin_nadamw(element *e, float g, int64_t t) {
    twin_adam(e, g, t, true);
}
static void twin_sgd(element *e, float g, int64_t t, bool nesterov) {
    float h = (float)(0.05 * ap_schedule_warmup_linear(t - 1, 5, 50, 0.9, 0.01)), beta = (float)(1 - 0.1);
    float d = g + 0.1F * e->w;
    e->m = e->m * beta + d;
    e->w -= h * (nesterov ? d + beta * e->m : e->m);
}
static void twin_momentum(element *e, float g, int64_t t) {
    twin_sgd(e, g, t, false);
}
static void twin_nesterov(element *e, float g, int64_t t) {
    twin_sgd(e, g, t, true);
}

/* Vectors, blocks and remainders change no bit. */
static void check_twin(const char *name, twin_step *twin) {
    enum { STEPS = 12 };
    ap_point point = point_of(common);
    ap_solo *solo = solo_with(&point);
    init(solo, algorithm(name));
    run(solo, algorithm(name), STEPS);
    int64_t different = 0;
    for (int p = 0; p < PARAMS; p++)
        for (int64_t i = 0; i < infos[p].size; i++) {
            element e = {.w = initial_value(p, i)};
            for (int64_t t = 1; t <= STEPS; t++) twin(&e, gradient_of(p, i, t - 1, e.w), t);
            different += memcmp(&e.w, &ap_solo_value(solo, p)[i], sizeof e.w) != 0;
        }
    if (different) printf("%s: %lld elements differ from the twin\n", name, (long long)different);
    CHECK_INT(different, 0);
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

static void test_bits_of_adamw(void) {
    check_twin("adamw", twin_adamw);
}
static void test_bits_of_nadamw(void) {
    check_twin("nadamw", twin_nadamw);
}
static void test_bits_of_momentum(void) {
    check_twin("momentum", twin_momentum);
}
static void test_bits_of_nesterov(void) {
    check_twin("nesterov", twin_nesterov);
}

static int three(ap_host *host) {
    (void)host;
    return 3;
}

static void test_threads_change_nothing(void) {
    ap_point point = point_of(common);
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        ap_solo *one = solo_with(&point), *many = solo_with(&point);
        ap_host_calls calls = *ap_solo_host(many)->call;
        calls.threads = three;
        ap_solo_host(many)->call = &calls;
        init(one, *a);
        init(many, *a);
        run(one, *a, 3);
        run(many, *a, 3);
        CHECK(!memcmp(ap_solo_value(one, 1), ap_solo_value(many, 1), LARGEST * sizeof(float)));
        ap_solo_destroy(one);
        ap_solo_destroy(many);
    }
    ap_point_free(&point);
}

/* ---- restart: nothing lives outside the host's state */

static void test_restart_changes_nothing(void) {
    ap_point point = point_of(common);
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        ap_solo *straight = solo_with(&point), *first = solo_with(&point), *second = solo_with(&point);
        ap_error error;
        init(straight, *a);
        init(first, *a);
        init(second, *a);
        run(straight, *a, 9);
        run(first, *a, 4);
        CHECK_INT(ap_solo_copy(second, first, &error), AP_OK);
        run(second, *a, 5);
        for (int p = 0; p < PARAMS; p++)
            CHECK(!memcmp(ap_solo_value(straight, p), ap_solo_value(second, p), (size_t)infos[p].size * sizeof(float)));
        CHECK(memcmp(ap_solo_value(straight, 0), ap_solo_value(first, 0), 5 * sizeof(float)) != 0);
        ap_solo_destroy(straight);
        ap_solo_destroy(first);
        ap_solo_destroy(second);
    }
    ap_point_free(&point);
}

/* ---- clipping */

/* Momentum in its first effective step is w - h g: the clipped gradient can be read off the parameters. */
static const char plain_sgd[] = "{\"learning_rate\": 1, \"one_minus_beta1\": 1, \"weight_decay\": 0,"
                                " \"warmup_factor\": 0, \"decay_steps_factor\": 1, \"end_factor\": 1%s}";

static void check_clipped(const char *clip, double limit) {
    char json[512];
    snprintf(json, sizeof json, plain_sgd, clip);
    ap_point point = point_of(json);
    ap_solo *solo = solo_with(&point);
    init(solo, algorithm("momentum"));
    run(solo, algorithm("momentum"), 1);
    double squares = 0;
    for (int p = 0; p < PARAMS; p++)
        for (int64_t i = 0; i < infos[p].size; i++) {
            double g = gradient_of(p, i, 0, initial_value(p, i));
            squares += g * g;
        }
    double factor = fmin(1, limit / (sqrt(squares) + 1e-6));
    for (int p = 0; p < PARAMS; p++)
        for (int64_t i = 0; i < 5; i++) {
            double w = initial_value(p, i), g = gradient_of(p, i, 0, (float)w);
            CHECK_NEAR(ap_solo_value(solo, p)[i], w - factor * g, 1e-6);
        }
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

static void test_gradients_are_clipped_to_the_global_norm(void) {
    check_clipped(", \"grad_clip\": 0.5", 0.5);
    check_clipped(", \"grad_clip\": 100", 100); /* the norm is about 180 */
}
static void test_a_norm_below_the_limit_is_left_alone(void) {
    check_clipped(", \"grad_clip\": 1e6", 1e6);
    check_clipped("", INFINITY);
}

/* ---- hyperparameters */

static void test_dropout_and_smoothing_reach_the_workload(void) {
    static const char json[] = "{\"learning_rate\": 0.05, \"one_minus_beta1\": 0.1, \"beta2\": 0.99,"
                               " \"weight_decay\": 0.1, \"warmup_factor\": 0.1, \"decay_steps_factor\": 0.9,"
                               " \"end_factor\": 0.01, \"dropout_rate\": 0.25, \"label_smoothing\": 0.125}";
    ap_point with = point_of(json), without = point_of(common);
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        ap_loss_request request;
        ap_solo *solo = solo_with(&with), *bare = solo_with(&without);
        init(solo, *a);
        init(bare, *a);
        run(solo, *a, 1);
        run(bare, *a, 1);
        CHECK_INT(ap_solo_losses(solo, &request), 1);
        CHECK(request.dropout_rate == 0.25F && request.label_smoothing == 0.125F);
        CHECK(!request.no_gradient && !request.keep_state);
        CHECK_INT(ap_solo_losses(bare, &request), 1);
        CHECK(request.dropout_rate == 0 && request.label_smoothing == 0);
        ap_solo_destroy(solo);
        ap_solo_destroy(bare);
    }
    ap_point_free(&with);
    ap_point_free(&without);
}

static void check_refused(const char *name, const char *json, const char *text) {
    ap_point point = point_of(json);
    ap_solo *solo = solo_with(&point);
    ap_error error = {0};
    CHECK_INT(ap_solo_init(solo, algorithm(name), &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, text);
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

static void test_missing_hyperparameters_are_named(void) {
    check_refused("nadamw", "{\"learning_rate\": 1}", "one_minus_beta1 is missing");
    check_refused("momentum", "{\"lr\": 1}", "learning_rate is missing");
    check_refused("nesterov",
                  "{\"learning_rate\": 1, \"one_minus_beta1\": 0.1, \"weight_decay\": 0, \"warmup_factor\": 0,"
                  " \"decay_steps_factor\": 1}",
                  "end_factor is missing");
}

static void test_hyperparameters_out_of_range_are_refused(void) {
    static const struct {
        const char *name, *value, *text;
    } bad[] = {
        {"learning_rate", "-1e-3", "learning_rate = -0.001 (must be in [0, 1e9])"},
        {"one_minus_beta1", "0", "one_minus_beta1 = 0"},
        {"one_minus_beta1", "1.5", "one_minus_beta1 = 1.5"},
        {"beta2", "1", "beta2 = 1 (must be in [0, 1))"},
        {"beta2", "-0.5", "beta2 = -0.5"},
        {"weight_decay", "-1", "weight_decay = -1"},
        {"warmup_factor", "1.01", "warmup_factor = 1.01"},
        {"dropout_rate", "1", "dropout_rate = 1"},
        {"label_smoothing", "1", "label_smoothing = 1"},
        {"label_smoothing", "-0.1", "label_smoothing = -0.1"},
        {"grad_clip", "0", "grad_clip = 0 (must be above 0"},
    };
    static const char *const names[] = {"learning_rate", "one_minus_beta1", "beta2",           "weight_decay",
                                        "warmup_factor", "dropout_rate",    "label_smoothing", "grad_clip"};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        char json[512] = "{";
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            size_t used = strlen(json);
            snprintf(json + used, sizeof json - used, "%s\"%s\": %s", i ? ", " : "", names[i],
                     strcmp(names[i], bad[b].name) ? "0.5" : bad[b].value);
        }
        strcat(json, "}");
        check_refused("nadamw", json, bad[b].text);
    }
}

/* ---- the table and the search spaces */

static void test_every_algorithm_starts_from_each_of_its_points(void) {
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        ap_points points = {0};
        ap_error error = {0};
        CHECK_INT((*a)->abi, AP_SUBMISSION_ABI);
        CHECK((*a)->struct_size == sizeof(ap_submission));
        CHECK(a == ap_algorithms() || strcmp(a[-1]->name, (*a)->name) < 0); /* in order, so no name twice */
        CHECK((*a)->summary && (*a)->source && (*a)->search_space);
        CHECK_INT(ap_search_space_draw(*(*a)->search_space, (*a)->name, 20, &points, &error), AP_OK);
        CHECK(points.n >= 5);
        for (int i = 0; i < points.n; i++) {
            ap_solo *solo = solo_with(&points.point[i]);
            init(solo, *a);
            for (int k = 0; k < points.point[i].n; k++) CHECK(ap_solo_asked(solo, k));
            ap_solo_destroy(solo);
        }
        ap_points_free(&points);
        if (!(*a)->self_tuning_point) continue;
        ap_point point = point_of(*(*a)->self_tuning_point);
        ap_solo *solo = solo_with(&point);
        init(solo, *a);
        ap_solo_destroy(solo);
        ap_point_free(&point);
    }
}

static void test_self_tuning_nadamw_is_its_fifth_point(void) {
    const ap_submission *nadamw = algorithm("nadamw");
    ap_points points = {0};
    ap_error error;
    CHECK_INT(ap_search_space_draw(*nadamw->search_space, "nadamw", 5, &points, &error), AP_OK);
    ap_point point = point_of(*nadamw->self_tuning_point);
    CHECK_INT(points.n, 5);
    CHECK_INT(point.n, points.point[4].n - 1);
    for (int i = 0; i < point.n; i++) {
        double fifth = NAN;
        CHECK(ap_point_get(&points.point[4], point.name[i], &fifth));
        CHECK(fifth == point.value[i]);
    }
    ap_points_free(&points);
    ap_point_free(&point);
}

/* ---- the verification: passes on the fixture, and on nothing else */

static void test_recorded_trajectories(void) {
    ap_error error = {0};
    CHECK_INT(ap_verify_optimizers(fixture, &error), AP_OK);
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
    check_verdict(file, AP_NUMERIC, "1 of 9 rules and schedules");
}

static void test_nan_in_a_trajectory_fails(void) {
    hid_t file = open_copy();
    float data[21 * 7];
    for (int i = 0; i < 21 * 7; i++) data[i] = NAN;
    write_all(file, "/momentum/trajectory/w1", H5T_NATIVE_FLOAT, data);
    check_verdict(file, AP_NUMERIC, "1 of 9 rules and schedules");
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
    check_verdict(file, AP_NUMERIC, "1 of 9 rules and schedules");
}

static void test_wrong_schedule_fails(void) {
    hid_t file = open_copy();
    double data[110] = {0};
    write_all(file, "/schedules/torch_linear_warmup_cosine_hint100_factor0.02", H5T_NATIVE_DOUBLE, data);
    check_verdict(file, AP_NUMERIC, "1 of 9 rules and schedules");
}

static void set_hyperparameters(hid_t file, const char *json) {
    ap_error error;
    H5Adelete_by_name(file, "/adamw", "hyperparameters", H5P_DEFAULT);
    CHECK_INT(ap_h5_set_text(file, "/adamw", "hyperparameters", json, &error), AP_OK);
}

static void test_hyperparameters_the_rule_cannot_use_fail(void) {
    hid_t file = open_copy();
    set_hyperparameters(file, "{\"lr\": 0.05}");
    check_verdict(file, AP_NUMERIC, "1 of 9 rules and schedules");
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
    static const char *const gone[] = {"/adamw",    "/nadamw",   "/baseline_nadamw_self_tuning_hparams",
                                       "/momentum", "/nesterov", "/schedules"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) H5Ldelete(file, gone[i], H5P_DEFAULT);
    check_verdict(file, AP_DATA, "nothing was verified");
}

AP_TEST_MAIN(test_bits_of_adamw, test_bits_of_nadamw, test_bits_of_momentum, test_bits_of_nesterov,
             test_threads_change_nothing, test_restart_changes_nothing, test_gradients_are_clipped_to_the_global_norm,
             test_a_norm_below_the_limit_is_left_alone, test_dropout_and_smoothing_reach_the_workload,
             test_missing_hyperparameters_are_named, test_hyperparameters_out_of_range_are_refused,
             test_every_algorithm_starts_from_each_of_its_points, test_self_tuning_nadamw_is_its_fifth_point,
             test_recorded_trajectories, test_wrong_trajectory_fails, test_nan_in_a_trajectory_fails,
             test_wrong_learning_rates_fail, test_wrong_schedule_fails, test_hyperparameters_the_rule_cannot_use_fail,
             test_damaged_files_are_refused, test_files_that_are_not_fixtures_are_refused,
             test_a_file_without_known_rules_is_no_success)
