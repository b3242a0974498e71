/* The tape: gradients find their way, every parameter is announced once and when it is final, errors stick, and a warm
 * pass allocates nothing. */
#include "allocations.h"
#include "gradient.h"

enum { SIZE = 4, PARAMS = 5 };

/* Counts the announcements, and keeps the gradient as it was at that moment. */
typedef struct listener {
    ap_params *params;
    const float *gradients;
    int announced[PARAMS], order[2 * PARAMS], announcements, progress;
    float seen[PARAMS][SIZE];
} listener;

static void on_parameter(void *user, int index) {
    listener *l = user;
    l->announced[index]++;
    if (l->announcements < 2 * PARAMS) l->order[l->announcements++] = index;
    memcpy(l->seen[index], l->gradients + ap_params_get(l->params, index)->offset, sizeof l->seen[index]);
}
static void on_progress(void *user) {
    ((listener *)user)->progress++;
}

typedef struct bench {
    ap_params *params;
    ap_tape *tape;
    float *gradients;
    listener listener;
    ap_pass pass;
} bench;

static const float ones[SIZE] = {1, 1, 1, 1}, ramp[SIZE] = {1, 2, 3, 4};

/* PARAMS vectors of SIZE; parameter i is filled with i + 1. Gradients start as NaN: every one must be written. */
static void open_bench(bench *b) {
    *b = (bench){.params = ap_params_create()};
    for (int i = 0; i < PARAMS; i++) {
        char name[] = {(char)('a' + i), 0};
        CHECK_INT(ap_params_add(b->params, name, 1, (int64_t[]){SIZE}, ap_init_constant(i + 1), NULL), AP_OK);
    }
    CHECK_INT(ap_params_allocate(b->params, NULL), AP_OK);
    ap_params_initialise(b->params, 0);
    b->gradients = malloc((size_t)ap_params_length(b->params) * sizeof(float));
    for (int64_t i = 0; i < ap_params_length(b->params); i++) b->gradients[i] = NAN;
    b->tape = ap_tape_create(b->params, NULL, AP_MATH_ORDERED);
    b->listener = (listener){.params = b->params, .gradients = b->gradients};
    b->pass = (ap_pass){.training = true,
                        .wants_grad = true,
                        .gradients = b->gradients,
                        .parameter_done = on_parameter,
                        .progress = on_progress,
                        .user = &b->listener};
    ap_tape_begin(b->tape, &b->pass);
}

static void close_bench(bench *b) {
    ap_tape_destroy(b->tape);
    ap_params_destroy(b->params);
    free(b->gradients);
}

/* y = x / 2, elementwise: a linear operation, so that gradients are plain numbers. */
static void half_backward(ap_tape *tape, ap_tensor *output, void *context) {
    bool accumulate;
    float *dx = ap_tape_grad(tape, context, &accumulate);
    for (int64_t i = 0; dx && i < output->size; i++) dx[i] = (accumulate ? dx[i] : 0) + output->grad[i] / 2;
}
static ap_tensor *half(ap_tape *tape, ap_tensor *x) {
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    for (int64_t i = 0; y && i < x->size; i++) y->data[i] = x->data[i] / 2;
    if (y) ap_tape_record(tape, half_backward, y, x, 1, &x);
    return y;
}

static void check_gradient(const bench *b, int index, float factor, const float *vector) {
    const float *gradient = b->gradients + ap_params_get(b->params, index)->offset;
    for (int i = 0; i < SIZE; i++) CHECK_NEAR(gradient[i], (vector ? factor * vector[i] : factor), 0);
}

/* a: used once. b: twice (tied). c: through a view and directly. d: in a branch that leads to no loss. e: unused. */
static void build(bench *b) {
    ap_tensor *x[PARAMS - 1];
    for (int i = 0; i < PARAMS - 1; i++) x[i] = ap_tape_param(b->tape, i);
    gradient_record_root(b->tape, half(b->tape, x[0]), ramp);
    gradient_record_root(b->tape, half(b->tape, x[1]), ramp);
    ap_tensor *view = ap_reshape(b->tape, x[2], 2, (int64_t[]){2, 2});
    gradient_record_root(b->tape, half(b->tape, view), ramp);
    gradient_record_root(b->tape, x[2], ramp);
    half(b->tape, x[3]);
    gradient_record_root(b->tape, ap_tape_param(b->tape, 1), ones);
}

static void test_gradients_arrive(void) {
    bench b;
    open_bench(&b);
    build(&b);
    CHECK_INT(ap_tape_backward(b.tape, NULL), AP_OK);
    check_gradient(&b, 0, 0.5f, ramp);
    for (int i = 0; i < SIZE; i++)
        CHECK_NEAR(b.gradients[ap_params_get(b.params, 1)->offset + i], 1 + 0.5f * ramp[i], 0);
    check_gradient(&b, 2, 1.5f, ramp);
    check_gradient(&b, 3, 0, NULL);
    check_gradient(&b, 4, 0, NULL);
    close_bench(&b);
}

static void test_every_parameter_is_announced_once_and_final(void) {
    bench b;
    open_bench(&b);
    build(&b);
    CHECK_INT(ap_tape_backward(b.tape, NULL), AP_OK);
    CHECK_INT(b.listener.announcements, PARAMS);
    for (int i = 0; i < PARAMS; i++) {
        CHECK_INT(b.listener.announced[i], 1);
        CHECK(memcmp(b.listener.seen[i], b.gradients + ap_params_get(b.params, i)->offset, sizeof b.listener.seen[i]) ==
              0);
    }
    /* Unused first, then in the order in which the last use has gone back. */
    static const int order[PARAMS] = {4, 3, 2, 1, 0};
    for (int i = 0; i < PARAMS; i++) CHECK_INT(b.listener.order[i], order[i]);
    CHECK_INT(b.listener.progress, 8); /* one a backward that ran: 5 roots and 3 halves */
    close_bench(&b);
}

/* Without any loss all gradients are zero, and all are announced. */
static void test_no_loss(void) {
    bench b;
    open_bench(&b);
    half(b.tape, ap_tape_param(b.tape, 0));
    CHECK_INT(ap_tape_backward(b.tape, NULL), AP_OK);
    for (int i = 0; i < PARAMS; i++) check_gradient(&b, i, 0, NULL);
    CHECK_INT(b.listener.announcements, PARAMS);
    close_bench(&b);
}

static void test_inputs_need_no_gradient(void) {
    bench b;
    open_bench(&b);
    bool accumulate;
    ap_tensor *x = ap_tape_input(b.tape, ramp, 1, (int64_t[]){SIZE});
    ap_tensor *y = half(b.tape, x);
    CHECK(x->data == ramp && !y->needs_grad);
    CHECK(ap_tape_grad(b.tape, x, &accumulate) == NULL);
    CHECK(half(b.tape, ap_tape_param(b.tape, 0))->needs_grad);
    CHECK(ap_tape_param(b.tape, 0) == ap_tape_param(b.tape, 0));
    close_bench(&b);
}

static void test_backward_is_refused(void) {
    bench b;
    ap_error error;
    open_bench(&b);
    CHECK_INT(ap_tape_backward(b.tape, &error), AP_OK);
    CHECK_INT(ap_tape_backward(b.tape, &error), AP_BUG);
    CHECK_TEXT(error.text, "second time");
    b.pass.wants_grad = false;
    ap_tape_begin(b.tape, &b.pass);
    CHECK(!half(b.tape, ap_tape_param(b.tape, 0))->needs_grad);
    CHECK_INT(ap_tape_backward(b.tape, &error), AP_BUG);
    CHECK_TEXT(error.text, "wants no gradient");
    close_bench(&b);
}

/* The first failure stays, operations behind it return NULL, the next pass starts clean. */
static void test_errors_stick(void) {
    bench b;
    ap_error error;
    open_bench(&b);
    ap_tensor *x = ap_tape_param(b.tape, 0);
    CHECK(ap_reshape(b.tape, x, 1, (int64_t[]){SIZE + 1}) == NULL);
    CHECK(ap_tape_fail_as(b.tape, AP_DATA, "a later failure") == NULL);
    CHECK(ap_sigmoid(b.tape, x) == NULL && ap_relu(b.tape, NULL) == NULL && ap_dropout(b.tape, x) == NULL);
    CHECK(ap_linear(b.tape, NULL, x, NULL) == NULL && ap_reshape(b.tape, NULL, 1, (int64_t[]){SIZE}) == NULL);
    CHECK(ap_softmax_cross_entropy(b.tape, x, (int64_t[]){0}, NULL, 0).per_example == NULL);
    CHECK_INT(ap_tape_status(b.tape, &error), AP_BUG);
    CHECK_TEXT(error.text, "view");
    CHECK_INT(ap_tape_backward(b.tape, &error), AP_BUG);
    CHECK_INT(b.listener.announcements, 0);
    ap_tape_begin(b.tape, &b.pass);
    CHECK_INT(ap_tape_status(b.tape, &error), AP_OK);
    build(&b);
    CHECK_INT(ap_tape_backward(b.tape, &error), AP_OK);
    close_bench(&b);
}

/* An operation that fails on the way back ends the pass with its error. */
static void failing_backward(ap_tape *tape, ap_tensor *output, void *context) {
    (void)output, (void)context;
    ap_tape_fail_as(tape, AP_NUMERIC, "lost on the way back");
}
static void test_failure_on_the_way_back(void) {
    bench b;
    ap_error error;
    open_bench(&b);
    ap_tensor *x = ap_tape_param(b.tape, 0);
    ap_tape_record(b.tape, failing_backward, NULL, NULL, 1, &x);
    CHECK_INT(ap_tape_backward(b.tape, &error), AP_NUMERIC);
    CHECK_TEXT(error.text, "lost");
    CHECK_INT(b.listener.announced[0], 0);
    close_bench(&b);
}

static void test_absurd_shapes(void) {
    bench b;
    ap_error error;
    open_bench(&b);
    CHECK(ap_tape_tensor(b.tape, 2, (int64_t[]){INT64_MAX, 2}) == NULL);
    CHECK_INT(ap_tape_status(b.tape, &error), AP_BUG);
    ap_tape_begin(b.tape, &b.pass);
    CHECK(ap_tape_tensor(b.tape, 1, (int64_t[]){INT64_MAX}) == NULL);
    CHECK_TEXT((ap_tape_status(b.tape, &error), error.text), "too large");
    ap_tape_begin(b.tape, &b.pass);
    CHECK(ap_tape_tensor(b.tape, AP_MAX_RANK + 1, (int64_t[AP_MAX_RANK + 1]){1}) == NULL);
    CHECK_TEXT((ap_tape_status(b.tape, &error), error.text), "dimensions");
    ap_tape_begin(b.tape, &b.pass);
    CHECK(ap_tape_param(b.tape, PARAMS) == NULL && ap_tape_param(b.tape, -1) == NULL);
    CHECK_TEXT((ap_tape_status(b.tape, &error), error.text), "parameter 5 of 5");
    close_bench(&b);
}

static void test_state(void) {
    bench b;
    float updated[16] = {0};
    open_bench(&b);
    ap_params *state = ap_params_create();
    CHECK_INT(ap_params_add(state, "mean", 1, (int64_t[]){SIZE}, ap_init_constant(9), NULL), AP_OK);
    CHECK_INT(ap_params_allocate(state, NULL), AP_OK);
    ap_params_initialise(state, 0);
    ap_tape *tape = ap_tape_create(b.params, state, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.training = true, .update_state = true, .new_state = updated});
    CHECK_NEAR(ap_tape_state(tape, 0)[SIZE - 1], 9, 0);
    CHECK(ap_tape_new_state(tape, 0) == updated);
    ap_tape_begin(tape, &(ap_pass){.training = true, .update_state = false, .new_state = updated});
    CHECK(ap_tape_new_state(tape, 0) == NULL);
    ap_tape_begin(tape, &(ap_pass){.training = false, .update_state = true, .new_state = updated});
    CHECK(ap_tape_new_state(tape, 0) == NULL);
    ap_tape_destroy(tape);
    ap_params_destroy(state);
    close_bench(&b);
}

static void test_random_numbers_are_taken_in_order(void) {
    bench b;
    open_bench(&b);
    CHECK_INT(ap_tape_take_random(b.tape, 10), 0);
    CHECK_INT(ap_tape_take_random(b.tape, 1), 10);
    CHECK_INT(ap_tape_take_random(b.tape, 1), 11);
    ap_tape_begin(b.tape, &b.pass);
    CHECK_INT(ap_tape_take_random(b.tape, 1), 0);
    close_bench(&b);
}

/* A small perceptron with dropout, forward and back. */
static ap_status perceptron_pass(ap_tape *tape, const ap_pass *pass, ap_error *error) {
    static float images[32 * 20];
    static int64_t labels[32];
    for (int i = 0; i < 32 * 20; i++) images[i] = (float)(i % 7) - 3;
    for (int i = 0; i < 32; i++) labels[i] = i % 10;
    ap_tape_begin(tape, pass);
    ap_tensor *x = ap_tape_input(tape, images, 2, (int64_t[]){32, 20});
    ap_tensor *h = ap_sigmoid(tape, ap_linear(tape, x, ap_tape_param(tape, 0), ap_tape_param(tape, 1)));
    ap_tensor *z = ap_linear(tape, ap_dropout(tape, ap_relu(tape, h)), ap_tape_param(tape, 2), ap_tape_param(tape, 3));
    ap_softmax_cross_entropy(tape, ap_reshape(tape, z, 3, (int64_t[]){4, 8, 10}), labels, NULL, 0.1f);
    return ap_tape_backward(tape, error);
}

static ap_params *perceptron_params(void) {
    static const int64_t shapes[4][2] = {{50, 20}, {50}, {10, 50}, {10}};
    static const char *const names[] = {"w1", "b1", "w2", "b2"};
    ap_params *params = ap_params_create();
    for (int i = 0; i < 4; i++)
        CHECK_INT(ap_params_add(params, names[i], i % 2 ? 1 : 2, shapes[i], ap_init_uniform(0.3), NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 1);
    return params;
}

static void test_warm_pass_allocates_nothing(void) {
    ap_params *params = perceptron_params();
    float *gradients = calloc((size_t)ap_params_length(params), sizeof *gradients);
    ap_pass pass = {.training = true, .wants_grad = true, .dropout_rate = 0.2f, .gradients = gradients};
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    long before = allocations;
    for (int i = 0; i < 2; i++) CHECK_INT(perceptron_pass(tape, &pass, NULL), AP_OK);
    CHECK(allocations > before); /* the counter counts */
    before = allocations;
    for (int i = 0; i < 3; i++) {
        ap_params_changed(params);
        CHECK_INT(perceptron_pass(tape, &pass, NULL), AP_OK);
    }
    CHECK_INT(allocations - before, 0);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    free(gradients);
}

/* Whichever allocation fails first, the pass ends with an error or with the right gradients (weights need not be
 * packed), and nothing is lost. */
static void test_out_of_memory(void) {
    ap_params *warm = perceptron_params();
    float *want = calloc((size_t)ap_params_length(warm), sizeof *want),
          *gradients = calloc((size_t)ap_params_length(warm), sizeof *gradients);
    ap_pass pass = {.training = true, .wants_grad = true, .dropout_rate = 0.2f, .gradients = want};
    ap_tape *tape = ap_tape_create(warm, NULL, AP_MATH_ORDERED);
    CHECK_INT(perceptron_pass(tape, &pass, NULL), AP_OK);
    ap_tape_destroy(tape);
    ap_params_destroy(warm);
    int failed = 0;
    bool done = false;
    pass.gradients = gradients;
    for (long allowed = 1; !done && allowed < 100; allowed++) {
        ap_params *params = perceptron_params();
        ap_error error = {0};
        allocations_left = allowed;
        tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
        ap_status status = tape ? perceptron_pass(tape, &pass, &error) : AP_ENVIRONMENT;
        done = allocations_left > 0; /* memory was enough */
        allocations_left = -1;
        if (tape && status != AP_OK) CHECK_TEXT(error.text, "out of memory");
        if (status == AP_OK) CHECK(memcmp(gradients, want, (size_t)ap_params_length(params) * sizeof *want) == 0);
        if (status != AP_OK) CHECK_INT(status, AP_ENVIRONMENT);
        failed += status != AP_OK;
        ap_tape_destroy(tape);
        ap_params_destroy(params);
    }
    CHECK(done && failed >= 4);
    free(want), free(gradients);
}

AP_TEST_MAIN(test_gradients_arrive, test_every_parameter_is_announced_once_and_final, test_no_loss,
             test_inputs_need_no_gradient, test_backward_is_refused, test_errors_stick, test_failure_on_the_way_back,
             test_absurd_shapes, test_state, test_random_numbers_are_taken_in_order, test_warm_pass_allocates_nothing,
             test_out_of_memory)
