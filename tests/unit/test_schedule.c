/* Learning-rate schedules: against recorded PyTorch schedulers, and at the edges the recordings do not have. */
#include "algorithms/schedule.h"
#include "base/h5.h"
#include "check.h"

/* ---- recorded (tests/fixtures/optimizers.h5, group schedules) */

typedef struct recorded {
    int64_t n;
    double *multiplier;
} recorded;

static recorded read_schedule(const char *name) {
    hid_t file;
    ap_error error;
    void *data = NULL;
    recorded r = {0};
    if (ap_h5_open(AP_TEST_FIXTURES "/optimizers.h5", &file, &error) != AP_OK ||
        ap_h5_read(file, name, AP_F64, -1, 1 << 20, &data, &r.n, &error) != AP_OK) {
        printf("%s\n", error.text);
        exit(1);
    }
    ap_h5_close(file);
    r.multiplier = data;
    return r;
}

static void check_cosine(const char *name, double warmup_steps, int64_t hint) {
    recorded r = read_schedule(name);
    CHECK(r.n > hint); /* beyond step_hint too */
    for (int64_t s = 0; s < r.n; s++)
        CHECK_NEAR(ap_schedule_warmup_cosine(s, warmup_steps, (double)hint), r.multiplier[s], 1e-12);
    free(r.multiplier);
}

static void test_cosine_as_recorded(void) {
    check_cosine("/schedules/torch_linear_warmup_cosine_hint200_factor0.05", 10, 200);
    check_cosine("/schedules/torch_linear_warmup_cosine_hint100_factor0.02", 2, 100);
}

static void test_cosine_with_a_broken_warmup_as_recorded(void) {
    check_cosine("/schedules/torch_linear_warmup_cosine_hint200_factor0.0525_uncast_as_in_adamw", 10.5, 200);
}

static void test_linear_as_recorded(void) {
    recorded r = read_schedule("/schedules/linear_warmup_linear_decay_hint200_factor0.05_decay0.9_end0.01");
    CHECK(r.n > 200);
    for (int64_t s = 0; s < r.n; s++)
        CHECK_NEAR(ap_schedule_warmup_linear(s, 10, 200, 0.9, 0.01), r.multiplier[s], 1e-12);
    free(r.multiplier);
}

/* ---- edges */

static void test_cosine_starts_low_peaks_and_ends_at_zero(void) {
    CHECK_NEAR(ap_schedule_warmup_cosine(0, 10, 100), 1e-10, 1e-24);
    CHECK_NEAR(ap_schedule_warmup_cosine(10, 10, 100), 1, 0);
    CHECK_NEAR(ap_schedule_warmup_cosine(55, 10, 100), 0.5, 1e-15);
    CHECK_NEAR(ap_schedule_warmup_cosine(100, 10, 100), 0, 1e-15);
    CHECK(ap_schedule_warmup_cosine(110, 10, 100) > 0.01); /* back up */
}

static void test_cosine_without_warmup_starts_at_the_peak(void) {
    CHECK_NEAR(ap_schedule_warmup_cosine(0, 0, 100), 1, 0);
    CHECK_NEAR(ap_schedule_warmup_cosine(50, 0, 100), 0.5, 1e-15);
}

/* As PyTorch has it: the cosine goes on from the rate of the only warmup step. */
static void test_cosine_with_less_than_one_warmup_step_stays_low(void) {
    CHECK_NEAR(ap_schedule_warmup_cosine(0, 0.5, 100), 1e-10, 1e-24);
    CHECK_NEAR(ap_schedule_warmup_cosine(1, 0.5, 100), 1e-10, 1e-24);
}

static void test_cosine_that_is_all_warmup(void) {
    CHECK_NEAR(ap_schedule_warmup_cosine(99, 100, 100), 0.99, 1e-10);
    CHECK_NEAR(ap_schedule_warmup_cosine(100, 100, 100), 1, 0); /* cosine of length 1 */
    CHECK_NEAR(ap_schedule_warmup_cosine(101, 100, 100), 0, 1e-15);
}

static void test_cosine_stays_in_range_for_long_trials(void) {
    for (int64_t s = 0; s < 2000000; s += 977) {
        double m = ap_schedule_warmup_cosine(s, 23, 1000);
        CHECK(m >= 0 && m <= 1);
    }
}

static void test_linear_starts_at_zero_and_ends_at_its_factor(void) {
    CHECK_NEAR(ap_schedule_warmup_linear(0, 5, 25, 0.9, 0.01), 0, 0);
    CHECK_NEAR(ap_schedule_warmup_linear(5, 5, 25, 0.9, 0.01), 1, 0);
    CHECK_NEAR(ap_schedule_warmup_linear(14, 5, 25, 0.9, 0.01), 0.505, 1e-15); /* 9 of 18 decay steps */
    CHECK_NEAR(ap_schedule_warmup_linear(23, 5, 25, 0.9, 0.01), 0.01, 0);
    CHECK_NEAR(ap_schedule_warmup_linear(1000000, 5, 25, 0.9, 0.01), 0.01, 0);
}

static void test_linear_without_warmup_or_decay(void) {
    CHECK_NEAR(ap_schedule_warmup_linear(0, 0, 10, 1, 0.5), 1, 0);
    CHECK_NEAR(ap_schedule_warmup_linear(0, 0, 10, 0, 0.5), 1, 0);     /* a decay of no steps is none, as in optax */
    CHECK_NEAR(ap_schedule_warmup_linear(10, 10, 10, 0.9, 0.5), 1, 0); /* all warmup */
}

AP_TEST_MAIN(test_cosine_as_recorded, test_cosine_with_a_broken_warmup_as_recorded, test_linear_as_recorded,
             test_cosine_starts_low_peaks_and_ends_at_zero, test_cosine_without_warmup_starts_at_the_peak,
             test_cosine_with_less_than_one_warmup_step_stays_low, test_cosine_that_is_all_warmup,
             test_cosine_stays_in_range_for_long_trials, test_linear_starts_at_zero_and_ends_at_its_factor,
             test_linear_without_warmup_or_decay)
