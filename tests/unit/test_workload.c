/* The workload table and its configuration: names, scales, variants and targets, and what is said of wrong ones. */
#include "check.h"

#include "workload/workload.h"

static const ap_workload *dummy(void) {
    const ap_workload *w = NULL;
    CHECK_INT(ap_workload_find("dummy", &w, NULL), AP_OK);
    return w;
}

static void test_unknown_workload_names_the_closest_and_all(void) {
    ap_error error = {0};
    const ap_workload *w = NULL;
    CHECK_INT(ap_workload_find("mnits", &w, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "did you mean \"mnist\"");
    CHECK_TEXT(error.text, "dummy");
    CHECK_INT(ap_workload_find("", &w, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "(there are: mnist");
    CHECK(w == NULL);
}

static void test_target_rules(void) {
    CHECK(ap_target_reached(AP_HIGHER, 0.51, 0.5));
    CHECK(!ap_target_reached(AP_HIGHER, 0.5, 0.5)); /* '>' is strict, as in the benchmark */
    CHECK(ap_target_reached(AP_LOWER, 0.49, 0.5));
    CHECK(!ap_target_reached(AP_LOWER, 0.5, 0.5));
    CHECK(ap_target_reached(AP_LOWER_OR_EQUAL, 0.5, 0.5));
    CHECK(!ap_target_reached(AP_LOWER_OR_EQUAL, 0.51, 0.5));
    for (int d = AP_HIGHER; d <= AP_LOWER_OR_EQUAL; d++) {
        CHECK(!ap_target_reached((ap_direction)d, NAN, 0.5));
        CHECK(!ap_target_reached((ap_direction)d, 0.5, NAN));
    }
}

static void refused(const char *scale, const char *variant, const char *dataset, const char *part) {
    ap_error error = {0};
    ap_problem *problem = NULL;
    CHECK_INT(ap_problem_open(dummy(), scale, variant, dataset, NULL, &problem, &error), AP_CONFIG);
    CHECK_TEXT(error.text, part);
    CHECK(problem == NULL);
    CHECK_INT(ap_problem_open(dummy(), scale, variant, dataset, NULL, &problem, NULL), AP_CONFIG); /* without a text */
}
static void test_unknown_parts_are_refused(void) {
    refused("huge", "", "synthetic", "(there are: full, mini)");
    refused("mini", "odd", "synthetic", "no variant \"odd\"");
    refused("mini", "", "cifar", "targets are known for: synthetic");
}

/* The numbers of workloads/dummy/workload.cfg. */
static void test_a_problem_has_the_facts_of_its_scale(void) {
    ap_error error = {0};
    ap_problem *p = NULL;
    CHECK_INT(ap_problem_open(dummy(), "full", NULL, "synthetic", NULL, &p, &error), AP_OK);
    if (!p) return;
    CHECK(!strcmp(p->scale.name, "full"));
    CHECK(!strcmp(p->variant, ""));
    CHECK(!strcmp(p->loss_type, "softmax_cross_entropy"));
    CHECK_INT(p->direction, AP_HIGHER);
    CHECK_INT(p->scale.step_hint, 200);
    CHECK_INT(p->scale.batch_size, 32);
    CHECK_NEAR(p->scale.max_runtime_s, 2, 0);
    CHECK_NEAR(p->validation_target, 0.85, 0);
    CHECK_NEAR(p->test_target, 0.85, 0);
    CHECK(p->has_test);
    ap_problem_close(p);
    ap_problem_close(NULL);
}

/* ---- configurations of a workload that is not in the table */

static ap_status open_config(const char *text, ap_problem **problem, ap_error *error) {
    ap_workload w = *dummy();
    const char *config = text;
    w.config_text = &config;
    *problem = NULL;
    *error = (ap_error){0};
    ap_status status = ap_problem_open(&w, "mini", "", "synthetic", NULL, problem, error);
    if (*problem) (*problem)->workload = dummy(); /* w ends here */
    return status;
}
#define SCALE                                                                                                          \
    "name = \"mini\"; train_examples = 8; eval_train_examples = 8; validation_examples = 8; batch_size = 8; "          \
    "eval_batch_size = 8; max_runtime_s = 1.0; eval_period_s = 1.0; step_hint = 1;"
#define HEAD "loss_type = \"x\"; direction = \"lower\";\n"

static void test_no_test_split_means_no_test_target(void) {
    ap_error error;
    ap_problem *p;
    CHECK_INT(open_config(HEAD "scales = ( { " SCALE
                               "targets = ( { data = \"synthetic\"; validation = 0.5; test = 0.5; } ); } );",
                          &p, &error),
              AP_OK);
    if (p) CHECK(!p->has_test && isnan(p->test_target) && p->direction == AP_LOWER);
    ap_problem_close(p);
    CHECK_INT(open_config(HEAD "scales = ( { " SCALE "test_examples = 8; "
                               "targets = ( { data = \"synthetic\"; validation = 0.5; } ); } );",
                          &p, &error),
              AP_OK);
    if (p) CHECK(p->has_test && isnan(p->test_target));
    ap_problem_close(p);
}

static void test_wrong_configurations_are_told_with_their_line(void) {
    static const struct {
        const char *text, *part;
    } wrong[] = {
        {"loss_type = ", "workloads/dummy/workload.cfg"},
        {"loss_type = \"x\"; direction = \"up\";", "workload.cfg:1"},
        {HEAD "scales = ( { name = \"mini\"; } );", "workload.cfg:2"},
        {HEAD "scales = ( { " SCALE "targets = ( { data = \"synthetic\"; } ); } );", "validation"},
        {HEAD "scales = ( { " SCALE
              "model = { hidden = 3; }; targets = ( { data = \"synthetic\"; validation = 1.0; } ); } );",
         "hidden"},
        {HEAD, "no scale \"mini\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ap_error error;
        ap_problem *p;
        CHECK_INT(open_config(wrong[i].text, &p, &error), AP_CONFIG);
        CHECK_TEXT(error.text, wrong[i].part);
        CHECK(p == NULL);
    }
}

/* ---- every workload of the table */

static void count_target(void *user, const ap_scale *scale, const char *dataset, double validation, double test) {
    (void)test;
    CHECK(*scale->name && *dataset && isfinite(validation));
    ++*(int *)user;
}
static void test_every_workload_opens_at_each_of_its_targets(void) {
    for (const ap_workload *const *w = ap_workload_table(); *w; w++) {
        ap_error error = {0};
        int targets = 0;
        CHECK_INT(ap_workload_each_target(*w, count_target, &targets, &error), AP_OK);
        CHECK(targets > 0);
        CHECK((*w)->metric_count > 0 && (*w)->metric_count <= AP_MAX_METRICS);
        CHECK((*w)->target_metric >= 0 && (*w)->target_metric < (*w)->metric_count);
        CHECK((*w)->sum_count > 0 && (*w)->sum_count <= AP_MAX_SUMS);
        CHECK((*w)->fields > 0 && (*w)->fields <= AP_MAX_FIELDS);
        for (const char *const *v = (*w)->variants; v && *v; v++) { /* workload.cfg says what it changes */
            void *model = calloc(1, (*w)->model_size);
            CHECK_INT(ap_workload_model(*w, *v, model, &error), AP_OK);
            ap_options_free((*w)->options, (*w)->option_count, model);
            free(model);
        }
    }
}

/* A variant by its label, what it changes in the model, and its own targets and batch. */
static void test_variants(void) {
    const ap_workload *w = NULL, *base = NULL;
    const char *variant = NULL;
    ap_error error = {0};
    CHECK_INT(ap_workload_find_label("imagenet_resnet", &base, &variant, &error), AP_OK);
    CHECK(variant && !strcmp(variant, ""));
    CHECK_INT(ap_workload_find_label("imagenet_resnet_silu", &w, &variant, &error), AP_OK);
    CHECK(w == base && !strcmp(variant, "silu"));
    CHECK_INT(ap_workload_find_label("imagenet_resnet_odd", &w, &variant, &error), AP_CONFIG);
    for (int i = 0; i < 2; i++) {
        ap_problem *p = NULL;
        CHECK_INT(ap_problem_open(base, "full", i ? "silu" : "", "imagenet", NULL, &p, &error), AP_OK);
        if (!p) continue;
        CHECK_NEAR(p->validation_target, i ? 0.75445 : 0.77431, 0);
        CHECK_INT(p->scale.batch_size, i ? 512 : 1024);
        for (size_t o = 0; o < base->option_count; o++) {
            char text[64];
            if (strcmp(base->options[o].name, "activation") != 0) continue;
            ap_option_text(&base->options[o], p->model, text, sizeof text);
            CHECK_TEXT(text, i ? "silu" : "relu");
        }
        ap_problem_close(p);
    }
}

AP_TEST_MAIN(test_variants, test_unknown_workload_names_the_closest_and_all, test_target_rules,
             test_unknown_parts_are_refused, test_a_problem_has_the_facts_of_its_scale,
             test_no_test_split_means_no_test_target, test_wrong_configurations_are_told_with_their_line,
             test_every_workload_opens_at_each_of_its_targets)
