/* ap_dropout: its mask is a function of (seed, step, shard, position) with the right rate; gradients use the same mask.
 */
#include "gradient.h"

enum { N = 4096 };

typedef struct stand {
    ap_params *params;
    ap_tape *tape;
} stand;
static stand open_stand(void) {
    stand s = {.params = ap_params_create()};
    CHECK_INT(ap_params_allocate(s.params, NULL), AP_OK);
    s.tape = ap_tape_create(s.params, NULL, AP_MATH_ORDERED);
    return s;
}
static void close_stand(stand *s) {
    ap_tape_destroy(s->tape);
    ap_params_destroy(s->params);
}

/* Dropout of ones: the mask, N numbers. The second of two layers if `second`. */
static void mask_of(const ap_pass *pass, bool second, float *mask) {
    static float ones[N];
    for (int i = 0; i < N; i++) ones[i] = 1;
    stand s = open_stand();
    ap_tape_begin(s.tape, pass);
    ap_tensor *x = ap_tape_input(s.tape, ones, 1, (int64_t[]){N});
    if (second) ap_dropout(s.tape, x);
    ap_tensor *y = ap_dropout(s.tape, x);
    CHECK(y != NULL);
    memcpy(mask, y->data, N * sizeof *mask);
    close_stand(&s);
}

static const ap_pass base = {.training = true, .dropout_rate = 0.25f, .seed = 5, .step = 3, .shard = 1};

static void test_rate_and_scale(void) {
    float mask[N];
    mask_of(&base, false, mask);
    int kept = 0;
    for (int i = 0; i < N; i++) {
        CHECK(mask[i] == 0 || mask[i] == 1 / 0.75f);
        kept += mask[i] != 0;
    }
    CHECK_NEAR(kept, 0.75 * N, 5 * sqrt(N * 0.75 * 0.25)); /* five deviations */
}

/* Element i is kept if the stream's number i is at least the rate. */
static void test_mask_is_the_documented_stream(void) {
    float mask[N], second[N];
    mask_of(&base, false, mask);
    mask_of(&base, true, second);
    ap_random stream = ap_random_stream(5, AP_RANDOM_DROPOUT, 3, 1);
    int wrong = 0;
    for (int i = 0; i < N; i++) {
        wrong += (mask[i] != 0) != (ap_random_uniform(&stream, (uint64_t)i) >= 0.25f);
        wrong += (second[i] != 0) != (ap_random_uniform(&stream, (uint64_t)(N + i)) >= 0.25f);
    }
    CHECK_INT(wrong, 0);
}

static void test_mask_depends_on_its_key(void) {
    float mask[N], other[N];
    mask_of(&base, false, mask);
    mask_of(&base, false, other);
    CHECK(memcmp(mask, other, sizeof mask) == 0);
    for (int i = 0; i < 3; i++) {
        ap_pass pass = base;
        if (i == 0) pass.seed++;
        if (i == 1) pass.step++;
        if (i == 2) pass.shard++;
        mask_of(&pass, false, other);
        CHECK(memcmp(mask, other, sizeof mask) != 0);
    }
}

static void test_identity(void) {
    static const float data[3] = {1, 2, 3};
    stand s = open_stand();
    ap_pass evaluation = {.training = false, .dropout_rate = 0.5f}, rate_zero = {.training = true};
    ap_tape_begin(s.tape, &evaluation);
    ap_tensor *x = ap_tape_input(s.tape, data, 1, (int64_t[]){3});
    CHECK(ap_dropout(s.tape, x) == x);
    ap_tape_begin(s.tape, &rate_zero);
    x = ap_tape_input(s.tape, data, 1, (int64_t[]){3});
    CHECK(ap_dropout(s.tape, x) == x);
    CHECK_INT(ap_tape_take_random(s.tape, 1), 0);
    close_stand(&s);
}

static void test_wrong_rates(void) {
    static const float rates[] = {1, -0.1f, NAN, 2}, data[1] = {1};
    stand s = open_stand();
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        ap_error error;
        ap_tape_begin(s.tape, &(ap_pass){.training = true, .dropout_rate = rates[i]});
        CHECK(ap_dropout(s.tape, ap_tape_input(s.tape, data, 1, (int64_t[]){1})) == NULL);
        CHECK_INT(ap_tape_status(s.tape, &error), AP_SUBMISSION);
        CHECK_TEXT(error.text, "[0, 1)");
    }
    close_stand(&s);
}

enum { SMALL = 40 };
static double keep(int element) {
    ap_random stream = ap_random_stream(5, AP_RANDOM_DROPOUT, 3, 1);
    return ap_random_uniform(&stream, (uint64_t)element) >= 0.25f ? 1 / 0.75 : 0;
}
static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    return ap_dropout(tape, x[0]);
}
static void twin(const double *const *x, double *y, const void *user) {
    (void)user;
    for (int i = 0; i < SMALL; i++) y[i] = x[0][i] * keep(i);
}
static void test_gradient(void) {
    gradient_check(&(gradient_case){.name = "dropout",
                                    .inputs = 1,
                                    .input = {{2, {5, 8}}},
                                    .range = 1,
                                    .op = op,
                                    .twin = twin,
                                    .outputs = SMALL,
                                    .once = true,
                                    .pass = base,
                                    .tolerance = 1e-6});
}

/* Two layers on one tensor: two masks, gradients add up. */
static ap_tensor *two_layers(ap_tape *tape, ap_tensor *const *x, const void *user) {
    (void)user;
    static float ones[SMALL];
    for (int i = 0; i < SMALL; i++) ones[i] = 1;
    gradient_record_root(tape, ap_dropout(tape, x[0]), ones);
    gradient_record_root(tape, ap_dropout(tape, x[0]), ones);
    return NULL;
}
static void two_layers_twin(const double *const *x, double *y, const void *user) {
    (void)user;
    y[0] = 0;
    for (int i = 0; i < SMALL; i++) y[0] += x[0][i] * (keep(i) + keep(SMALL + i));
}
static void test_gradients_add_up(void) {
    gradient_check(&(gradient_case){.name = "two dropouts",
                                    .inputs = 1,
                                    .input = {{2, {5, 8}}},
                                    .range = 1,
                                    .op = two_layers,
                                    .twin = two_layers_twin,
                                    .outputs = 1,
                                    .is_loss = true,
                                    .once = true,
                                    .pass = base,
                                    .tolerance = 1e-6});
}

AP_TEST_MAIN(test_rate_and_scale, test_mask_is_the_documented_stream, test_mask_depends_on_its_key, test_identity,
             test_wrong_rates, test_gradient, test_gradients_add_up)
