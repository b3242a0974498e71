/* The built-in training algorithms: bits, restart, clipping, hyperparameters, search spaces. (Against recorded
 * trajectories: test_verify_optimizers.c; against twins of their equations: test_algorithm_twins.c.) */
#include "algorithm_problem.h"
#include "algorithms/schedule.h"
#include "base/fmath.h"
#include "tensor/kernels/isa.h"

/* One point for the first-order rules. */
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

static bool same_parameters(const ap_solo *a, const ap_solo *b) {
    bool same = true;
    for (int p = 0; p < PARAMS; p++)
        same &= !memcmp(ap_solo_value(a, p), ap_solo_value(b, p), (size_t)infos[p].size * sizeof(float));
    return same;
}

static void test_threads_change_nothing(void) {
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        ap_point point = own_point(*a);
        ap_solo *one = solo_with(&point), *many = solo_with(&point);
        ap_host_calls calls = *ap_solo_host(many)->call;
        calls.threads = three;
        ap_solo_host(many)->call = &calls;
        init(one, *a);
        init(many, *a);
        run(one, *a, 5);
        run(many, *a, 5);
        if (!same_parameters(one, many)) printf("%s: threads change bits\n", (*a)->name), ap_check_failures++;
        ap_solo_destroy(one);
        ap_solo_destroy(many);
        ap_point_free(&point);
    }
}

/* ---- instruction sets: those of the kernels that the host offers; the rules' own are picked when the program starts,
 * and cli.algorithms runs the program once for each */

static void test_instruction_sets_change_nothing(void) {
    ap_isa before = ap_isa_current();
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        ap_point point = own_point(*a);
        ap_solo *first = NULL;
        for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++) {
            if (!ap_isa_force(isa)) continue;
            ap_solo *solo = solo_with(&point);
            init(solo, *a);
            run(solo, *a, 7);
            if (first && !same_parameters(first, solo))
                printf("%s: %s changes bits\n", (*a)->name, ap_isa_name(isa)), ap_check_failures++;
            if (first)
                ap_solo_destroy(solo);
            else
                first = solo;
        }
        ap_solo_destroy(first);
        ap_point_free(&point);
    }
    ap_isa_force(before);
}

/* ---- restart: nothing lives outside the host's state, also not between prepare_for_eval and the next step */

static void check_restart(const ap_submission *a, bool evaluate) {
    ap_point point = own_point(a);
    ap_solo *straight = solo_with(&point), *first = solo_with(&point), *second = solo_with(&point);
    ap_error error;
    init(straight, a);
    init(first, a);
    init(second, a);
    run(straight, a, 4);
    run(first, a, 4);
    if (evaluate) {
        CHECK_INT(ap_solo_prepare_for_eval(straight, a, &error), AP_OK);
        CHECK_INT(ap_solo_prepare_for_eval(first, a, &error), AP_OK);
    }
    CHECK_INT(ap_solo_copy(second, first, &error), AP_OK);
    run(straight, a, 9);
    run(second, a, 9);
    if (!same_parameters(straight, second)) printf("%s: a restart changes bits\n", a->name), ap_check_failures++;
    if (same_parameters(straight, first)) printf("%s: does not move\n", a->name), ap_check_failures++;
    ap_solo_destroy(straight);
    ap_solo_destroy(first);
    ap_solo_destroy(second);
    ap_point_free(&point);
}

static void test_restart_changes_nothing(void) {
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        check_restart(*a, false);
        check_restart(*a, true);
    }
}

/* An evaluation in between does not change the training. */
static void test_prepare_for_eval_changes_no_training(void) {
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        ap_point point = own_point(*a);
        ap_solo *straight = solo_with(&point), *evaluated = solo_with(&point);
        ap_error error;
        init(straight, *a);
        init(evaluated, *a);
        run(straight, *a, 8);
        for (int i = 0; i < 2; i++) {
            run(evaluated, *a, 4);
            if (i == 0) CHECK_INT(ap_solo_prepare_for_eval(evaluated, *a, &error), AP_OK);
        }
        if (!same_parameters(straight, evaluated))
            printf("%s: evaluating changes it\n", (*a)->name), ap_check_failures++;
        ap_solo_destroy(straight);
        ap_solo_destroy(evaluated);
        ap_point_free(&point);
    }
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
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        ap_point point = own_point(*a);
        ap_loss_request request;
        set(&point, "dropout_rate", 0.25);
        set(&point, "label_smoothing", 0.125);
        ap_solo *solo = solo_with(&point);
        init(solo, *a);
        run(solo, *a, 1);
        CHECK(ap_solo_losses(solo, &request) >= 1);
        CHECK(request.dropout_rate == 0.25F && request.label_smoothing == 0.125F && !request.no_gradient);
        ap_solo_destroy(solo);
        ap_point_free(&point);
    }
}

/* Two gradients a step for SAM, of which the second keeps the running statistics; the batch-norm refresh of the later
 * schedule-free algorithms is a pass without gradient. */
static void test_passes_of_a_step(void) {
    static const struct {
        const char *name;
        int steps, passes; /* of the steps 0, 1, ... */
        bool keep_state;
    } want[] = {{"nadamw", 3, 3, false},
                {"sam", 3, 6, true},
                {"schedule_free_adamw", 3, 3, false},
                {"schedule_free_adamw_v2", 3, 5, true},
                {"weighted_schedule_free_adamw", 3, 5, true}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const ap_submission *a = algorithm(want[i].name);
        ap_point point = own_point(a);
        ap_loss_request request;
        ap_solo *solo = solo_with(&point);
        init(solo, a);
        run(solo, a, want[i].steps);
        CHECK_INT(ap_solo_losses(solo, &request), want[i].passes);
        CHECK(request.keep_state == want[i].keep_state);
        ap_solo_destroy(solo);
        ap_point_free(&point);
    }
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
        CHECK((*a)->summary && (*a)->source && ((*a)->search_space || (*a)->self_tuning_point));
        if ((*a)->search_space)
            CHECK_INT(ap_search_space_draw(*(*a)->search_space, (*a)->name, strcmp((*a)->name, "muon_torch") ? 5 : 2,
                                           &points, &error),
                      AP_OK);
        for (int i = 0; i < points.n; i++) {
            ap_solo *solo = solo_with(&points.point[i]);
            init(solo, *a);
            for (int k = 0; k < points.point[i].n; k++)
                if (!ap_solo_asked(solo, k))
                    printf("%s does not use %s\n", (*a)->name, points.point[i].name[k]), ap_check_failures++;
            ap_solo_destroy(solo);
        }
        ap_points_free(&points);
        if (!(*a)->self_tuning_point) continue;
        ap_point point = point_of(*(*a)->self_tuning_point);
        ap_solo *solo = solo_with(&point);
        init(solo, *a);
        for (int k = 0; k < point.n; k++) CHECK(ap_solo_asked(solo, k));
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

AP_TEST_MAIN(test_bits_of_adamw, test_bits_of_nadamw, test_bits_of_momentum, test_bits_of_nesterov,
             test_threads_change_nothing, test_instruction_sets_change_nothing, test_restart_changes_nothing,
             test_prepare_for_eval_changes_no_training, test_gradients_are_clipped_to_the_global_norm,
             test_a_norm_below_the_limit_is_left_alone, test_dropout_and_smoothing_reach_the_workload,
             test_passes_of_a_step, test_missing_hyperparameters_are_named,
             test_hyperparameters_out_of_range_are_refused, test_every_algorithm_starts_from_each_of_its_points,
             test_self_tuning_nadamw_is_its_fifth_point)
