/* The host against submissions that misuse it: each is told what it did, and none gets further. One rank. */
#include "check.h"

#include "harness/host.h"

#include <mpi.h>

static ap_problem *problem;
static ap_dataset *dataset;
static ap_group *group;
static ap_engine *engine;
static ap_point point;
static ap_submission submission;
static ap_trial_host *host;
static ap_error error;

/* A host with these functions, its init done. */
static ap_status make(int (*init)(ap_host *), int (*update)(ap_host *)) {
    const ap_workload *w;
    CHECK_INT(ap_workload_find("dummy", &w, &error), AP_OK);
    CHECK_INT(ap_problem_open(w, "mini", "", "synthetic", NULL, &problem, &error), AP_OK);
    CHECK_INT(ap_dataset_synthetic(w->generator, problem->model, 0, (int64_t[]){256, 64, 64}, &dataset, &error), AP_OK);
    CHECK_INT(ap_group_create(MPI_COMM_SELF, 8, 0, &group, &error), AP_OK);
    ap_engine_options options = {.group = group, .problem = problem, .dataset = dataset, .seed = 5, .global_batch = 32};
    CHECK_INT(ap_engine_create(&options, &engine, &error), AP_OK);
    CHECK_INT(ap_point_parse("{\"learning_rate\": 0.5}", "test", &point, &error), AP_OK);
    submission = (ap_submission){.name = "tested", .init_optimizer_state = init, .update_params = update};
    ap_host_options o = {.group = group,
                         .engine = engine,
                         .problem = problem,
                         .submission = &submission,
                         .point = &point,
                         .seed = 5,
                         .global_batch = 32,
                         .threads = 3};
    CHECK_INT(ap_trial_host_create(&o, &host, &error), AP_OK);
    CHECK_INT(ap_engine_start(engine, 0, &error), AP_OK);
    return ap_trial_host_init(host, &error);
}
static void done(void) {
    ap_trial_host_destroy(host);
    ap_engine_destroy(engine);
    ap_group_destroy(group);
    ap_dataset_close(dataset);
    ap_problem_close(problem);
    ap_point_free(&point);
}

static int nothing(ap_host *h) {
    (void)h;
    return 0;
}
static int step(ap_host *h) {
    double loss = NAN;
    return !h->call->loss_and_gradient(h, &(ap_loss_request){0}, &loss);
}

/* One update with this function fails and says `text`. */
static void update_fails(int (*update)(ap_host *), const char *text) {
    CHECK_INT(make(nothing, update), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, text);
    CHECK_TEXT(error.text, "update_params of submission tested");
    CHECK_INT(ap_trial_host_step(host), 0);
    done();
}
static void init_fails(int (*init)(ap_host *), const char *text) {
    CHECK_INT(make(init, step), AP_SUBMISSION);
    CHECK_TEXT(error.text, text);
    done();
}

/* ---- state */

static int make_state(ap_host *h) {
    return !h->call->state(h, "moment", 0) || !h->call->state_numbers(h, "counts", 3);
}
static int state_too_late(ap_host *h) {
    CHECK(!h->call->state(h, "late", 0));
    return 0; /* the failure counts though it was not returned */
}
static int state_of_another_size(ap_host *h) {
    CHECK(h->call->state_numbers(h, "n", 3) != NULL);
    CHECK(!h->call->state_numbers(h, "n", 4));
    return 1;
}
static int state_out_of_range(ap_host *h) {
    CHECK(!h->call->state(h, "m", 2)); /* the dummy has parameters 0 and 1 */
    return 1;
}
static int state_below_range(ap_host *h) {
    CHECK(!h->call->state(h, "m", -1));
    return 1;
}
static int state_with_slash(ap_host *h) {
    return !h->call->state(h, "a/b", 0);
}
static int state_without_name(ap_host *h) {
    return !h->call->state(h, "", 0);
}
static int state_of_no_numbers(ap_host *h) {
    return !h->call->state_numbers(h, "n", 0);
}

static void test_state_is_made_in_init_only(void) {
    update_fails(state_too_late, "create it in init_optimizer_state");
}
static void test_state_is_checked(void) {
    init_fails(state_of_another_size, "has 3 elements, asked for with 4");
    init_fails(state_out_of_range, "parameter 2 (must be 0 to 1)");
    init_fails(state_below_range, "parameter -1");
    init_fails(state_with_slash, "a/b");
    init_fails(state_without_name, "1 to 63 characters");
    init_fails(state_of_no_numbers, "0 elements");
}

static void test_state_starts_at_zero_and_is_kept(void) {
    CHECK_INT(make(make_state, step), AP_OK);
    CHECK_INT(ap_trial_host_blobs(host), 2);
    ap_blob blob;
    ap_trial_host_blob(host, 0, &blob);
    CHECK(!strcmp(blob.name, "/optimizer/moment/layer.weight"));
    CHECK_INT(blob.type, AP_F32);
    CHECK_INT(blob.n, 16); /* 2 classes by 8 features */
    for (int i = 0; i < 16; i++) CHECK(((float *)blob.data)[i] == 0);
    ap_trial_host_blob(host, 1, &blob);
    CHECK(!strcmp(blob.name, "/optimizer_numbers/counts"));
    CHECK_INT(blob.type, AP_F64);
    CHECK_INT(blob.n, 3);
    done();
}

/* ---- order of calls */

static int batch_in_init(ap_host *h) {
    CHECK(!h->call->next_batch(h));
    return 1;
}
static int loss_in_init(ap_host *h) {
    double loss;
    CHECK(!h->call->loss_and_gradient(h, &(ap_loss_request){0}, &loss));
    return 1;
}
static int gradient_too_early(ap_host *h) {
    CHECK(!h->call->gradient(h, 0));
    return 1;
}
static int gradient_out_of_range(ap_host *h) {
    CHECK(!step(h));
    CHECK(!h->call->gradient(h, 2));
    return 1;
}
static int value_out_of_range(ap_host *h) {
    CHECK(!h->call->value(h, 99));
    return 1;
}

static void test_calls_have_their_place(void) {
    init_fails(batch_in_init, "next_batch called in init_optimizer_state");
    init_fails(loss_in_init, "outside update_params");
    update_fails(gradient_too_early, "before loss_and_gradient");
    update_fails(gradient_out_of_range, "gradient of parameter 2");
    update_fails(value_out_of_range, "value of parameter 99");
}

/* A data_selection that draws nothing leaves no batch for the loss. */
static void test_loss_needs_a_batch(void) {
    CHECK_INT(make(nothing, step), AP_OK);
    submission.data_selection = nothing;
    CHECK_INT(ap_trial_host_update(host, &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, "before a batch was drawn");
    done();
}

/* ---- loss */

static ap_loss_request asked;
static int ask(ap_host *h) {
    double loss;
    return !h->call->loss_and_gradient(h, &asked, &loss);
}
static void test_loss_options_are_checked(void) {
    const ap_loss_request bad[] = {{.label_smoothing = 1}, {.label_smoothing = -0.1f}, {.label_smoothing = NAN},
                                   {.dropout_rate = 1},    {.dropout_rate = -0.1f},    {.dropout_rate = INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        asked = bad[i];
        update_fails(ask, "both must be in [0, 1)");
    }
}

static int losses;
static int many_losses(ap_host *h) {
    for (int i = 0; i < losses; i++)
        if (step(h)) return 1;
    return 0;
}
static void test_at_most_256_losses_a_step(void) {
    losses = 256;
    CHECK_INT(make(nothing, many_losses), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK); /* counted a step */
    losses = 257;
    CHECK_INT(ap_trial_host_update(host, &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, "256");
    done();
}

static void test_a_step_without_a_loss_has_none(void) {
    CHECK_INT(make(nothing, nothing), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    CHECK(!ap_trial_host_has_loss(host));
    CHECK(isnan(ap_trial_host_loss(host)));
    submission.update_params = step;
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    CHECK(ap_trial_host_has_loss(host));
    CHECK(isfinite(ap_trial_host_loss(host)));
    CHECK_INT(ap_trial_host_step(host), 2);
    done();
}

/* ---- fail, stop, moves */

static int says_why(ap_host *h) {
    h->call->fail(h, "no %s left", "hope");
    h->call->fail(h, "second");
    return 1;
}
static int says_nothing(ap_host *h) {
    (void)h;
    return 7;
}
static int fails_silently(ap_host *h) {
    h->call->fail(h, "forgot to return it");
    return 0;
}
static void test_failures_carry_their_reason(void) {
    update_fails(says_why, "no hope left"); /* the first one */
    update_fails(says_nothing, "returned 7 without saying why");
    update_fails(fails_silently, "forgot to return it");
}

static int broadcast_from_nowhere(ap_host *h) {
    char byte = 0;
    CHECK(!h->call->broadcast(h, &byte, 1, 1));
    return 1;
}
static void test_broadcast_needs_a_rank_of_the_group(void) {
    update_fails(broadcast_from_nowhere, "rank 1 (must be 0 to 0)");
}

static int stops(ap_host *h) {
    h->call->stop(h, "enough");
    return step(h);
}
static int stops_without_words(ap_host *h) {
    h->call->stop(h, NULL);
    return step(h);
}
static void test_stop_keeps_the_step(void) {
    CHECK_INT(make(nothing, stops), AP_OK);
    CHECK(!ap_trial_host_stopped(host));
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    CHECK_TEXT(ap_trial_host_stopped(host), "enough");
    done();
    CHECK_INT(make(nothing, stops_without_words), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    CHECK(ap_trial_host_stopped(host) != NULL);
    done();
}

/* ---- facts */

static int checks_facts(ap_host *h) {
    double value = -1;
    ap_eval_result result;
    CHECK(h->call->hyperparameter(h, "learning_rate", &value));
    CHECK_NEAR(value, 0.5, 0);
    CHECK(!h->call->hyperparameter(h, "momentum", &value));
    CHECK_NEAR(value, 0.5, 0); /* untouched */
    CHECK_INT(h->call->workload(h)->params, 2);
    CHECK_INT(h->call->workload(h)->train_examples, 256);
    CHECK_INT(h->call->rank(h), 0);
    CHECK_INT(h->call->ranks(h), 1);
    CHECK_INT(h->call->threads(h), 3);
    CHECK_NEAR(h->call->submission_time_s(h), 12.5, 0);
    CHECK_INT(h->call->evaluations(h), 200);
    CHECK(!h->call->evaluation(h, -1, &result));
    CHECK(!h->call->evaluation(h, 200, &result));
    CHECK(h->call->evaluation(h, 150, &result));
    CHECK_INT(result.step, 150);
    CHECK(h->call->dot(h, 3, (float[]){1, 2, 3}, (float[]){4, 5, 6}) == 32);
    CHECK(h->call->dot(h, 0, NULL, NULL) == 0);
    float r = h->call->random(h, 1, 2);
    CHECK(r >= 0 && r < 1 && r == h->call->random(h, 1, 2) && r != h->call->random(h, 2, 2));
    return step(h);
}
static void test_facts(void) {
    CHECK_INT(make(nothing, checks_facts), AP_OK);
    ap_trial_host_set_time(host, 12.5);
    for (int i = 0; i < 200; i++)
        CHECK_INT(ap_trial_host_add_evaluation(host, &(ap_eval_result){.step = i}, &error), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    done();
}

/* The warm-up's batches are not the trial's. */
static void test_warm_up_draws_no_batch_of_the_trial(void) {
    CHECK_INT(make(nothing, step), AP_OK);
    ap_engine *fresh = NULL;
    ap_engine_options options = {.group = group, .problem = problem, .dataset = dataset, .seed = 5, .global_batch = 32};
    CHECK_INT(ap_engine_create(&options, &fresh, &error), AP_OK);
    CHECK_INT(ap_engine_warm_up(fresh, &error), AP_OK);
    CHECK_INT(ap_engine_batches_drawn(fresh), 0);
    ap_engine_destroy(fresh);
    done();
}

/* ---- the benchmark's rules */

static float *kept_pointer;
static int writes_parameters(ap_host *h) {
    kept_pointer = h->call->value(h, 0);
    kept_pointer[0] += 1;
    return 0;
}
static void test_init_may_not_write_parameters(void) {
    CHECK_INT(make(writes_parameters, step), AP_SUBMISSION);
    CHECK_TEXT(error.text, "init_optimizer_state of submission tested changed parameters");
    CHECK(ap_trial_host_violated(host));
    done();
}

static int selects_and_writes(ap_host *h) {
    h->call->value(h, 0)[0] += 1;
    return !h->call->next_batch(h);
}
static void test_data_selection_may_not_write_parameters(void) {
    CHECK_INT(make(nothing, step), AP_OK);
    submission.data_selection = selects_and_writes;
    CHECK_INT(ap_trial_host_update(host, &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, "data_selection of submission tested changed parameters");
    CHECK(ap_trial_host_violated(host));
    done();
}

static int update_writes(ap_host *h) {
    return writes_parameters(h) || step(h);
}
static void test_update_and_prepare_may_write_parameters(void) {
    CHECK_INT(make(nothing, update_writes), AP_OK);
    submission.prepare_for_eval = writes_parameters;
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    CHECK_INT(ap_trial_host_prepare_for_eval(host, &error), AP_OK);
    CHECK_INT(ap_trial_host_check(host, &error), AP_OK);
    CHECK(!ap_trial_host_violated(host));
    done();
}

/* As a thread of the submission would, through a pointer it has kept. */
static void test_parameters_stay_during_an_evaluation(void) {
    CHECK_INT(make(nothing, update_writes), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    ap_digest before = ap_params_digest(ap_engine_params(engine));
    ap_trial_host_evaluated(host, before, ap_params_digest(ap_engine_params(engine)));
    CHECK_INT(ap_trial_host_check(host, &error), AP_OK);
    kept_pointer[0] += 1;
    ap_trial_host_evaluated(host, before, ap_params_digest(ap_engine_params(engine)));
    CHECK_INT(ap_trial_host_check(host, &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, "changed parameters during the evaluation");
    CHECK(ap_trial_host_violated(host));
    done();
}

static ap_host *kept_host;
static int keeps_host(ap_host *h) {
    kept_host = h;
    return step(h);
}
static void test_no_call_outside_the_functions(void) {
    CHECK_INT(make(nothing, keeps_host), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    CHECK_INT(ap_trial_host_check(host, &error), AP_OK);
    kept_host->call->step(kept_host);
    CHECK_INT(ap_trial_host_check(host, &error), AP_SUBMISSION);
    CHECK_TEXT(error.text, "while none of the submission's functions runs");
    CHECK(ap_trial_host_violated(host));
    CHECK_INT(ap_trial_host_update(host, &error), AP_SUBMISSION); /* and no function runs any more */
    CHECK_INT(ap_trial_host_step(host), 1);
    done();
}

static int looks_at_the_name(ap_host *h) {
    const ap_workload_info *w = h->call->workload(h);
    CHECK(w->name[0] == '\0' && w->variant[0] == '\0');
    CHECK(w->loss_type[0] != '\0' && w->step_hint > 0);
    return step(h);
}
static void test_the_workload_has_no_name(void) {
    CHECK_INT(make(nothing, looks_at_the_name), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
    done();
    ap_workload_info info; /* what get_batch_size sees */
    const ap_workload *w;
    CHECK_INT(ap_workload_find("dummy", &w, &error), AP_OK);
    CHECK_INT(ap_problem_open(w, "mini", "", "synthetic", NULL, &problem, &error), AP_OK);
    ap_workload_info_fill(&info, problem, 100);
    CHECK_TEXT(info.name, "dummy");
    ap_problem_close(problem);
}

static void test_misuse_is_no_violation(void) {
    CHECK_INT(make(nothing, state_too_late), AP_OK);
    CHECK_INT(ap_trial_host_update(host, &error), AP_SUBMISSION);
    CHECK(!ap_trial_host_violated(host));
    done();
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    void (*const tests[])(void) = {test_state_is_made_in_init_only,
                                   test_state_is_checked,
                                   test_state_starts_at_zero_and_is_kept,
                                   test_calls_have_their_place,
                                   test_loss_needs_a_batch,
                                   test_loss_options_are_checked,
                                   test_at_most_256_losses_a_step,
                                   test_a_step_without_a_loss_has_none,
                                   test_failures_carry_their_reason,
                                   test_broadcast_needs_a_rank_of_the_group,
                                   test_stop_keeps_the_step,
                                   test_facts,
                                   test_warm_up_draws_no_batch_of_the_trial,
                                   test_init_may_not_write_parameters,
                                   test_data_selection_may_not_write_parameters,
                                   test_update_and_prepare_may_write_parameters,
                                   test_parameters_stay_during_an_evaluation,
                                   test_no_call_outside_the_functions,
                                   test_the_workload_has_no_name,
                                   test_misuse_is_no_violation};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) tests[i]();
    MPI_Finalize();
    if (ap_check_failures) printf("%d checks failed\n", ap_check_failures);
    return ap_check_failures ? 1 : 0;
}
