/* ap_mean_average_precision against the published metric (map.h5), against its definition, and at its edges. */
#include "base/h5.h"
#include "check.h"
#include "workload/average_precision.h"

static void *read(hid_t file, const char *group, const char *name, ap_dtype type, int64_t *n) {
    char path[96];
    void *data = NULL;
    snprintf(path, sizeof path, "/%s/%s", group, name);
    CHECK_INT(ap_h5_read(file, path, type, -1, 1 << 20, &data, n, NULL), AP_OK);
    return data;
}

static void check_near_or_nan(double got, double want) {
    if (isnan(want))
        CHECK(isnan(got));
    else
        CHECK_NEAR(got, want, 1e-9);
}

static void check_group(hid_t file, const char *group) {
    int64_t size, tasks, one;
    float *logits = read(file, group, "logits", AP_F32, &size), *weights = read(file, group, "weights", AP_F32, &size),
          *labels = read(file, group, "labels", AP_F32, &size);
    double *want = read(file, group, "per_task_ap", AP_F64, &tasks),
           *mean = read(file, group, "mean_average_precision", AP_F64, &one);
    for (int64_t i = 0; i < size; i++)
        if (weights[i] == 0) labels[i] = NAN;
    double *got = calloc((size_t)tasks, sizeof *got);
    check_near_or_nan(ap_mean_average_precision(size / tasks, tasks, tasks, logits, labels, false, got), *mean);
    for (int64_t t = 0; t < tasks; t++) check_near_or_nan(got[t], want[t]);
    free(logits), free(weights), free(labels), free(want), free(mean), free(got);
}

static void test_published(void) {
    static const char *const groups[] = {"plain", "ties", "edge_tasks", "all_excluded"};
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/map.h5", &file, NULL), AP_OK);
    for (int i = 0; i < 4; i++) check_group(file, groups[i]);
    ap_h5_close(file);
}

static void test_edges(void) {
    const float logits[] = {2, 1, 0, -1}, ones[] = {1, 1, 1, 1}, gaps[] = {1, NAN, 1, NAN}, mixed[] = {1, 0, NAN, 1};
    CHECK(isnan(ap_mean_average_precision(4, 1, 1, logits, ones, false, NULL)));
    CHECK_NEAR(ap_mean_average_precision(4, 1, 1, logits, ones, true, NULL), 1, 0);  /* padding is a column's zero */
    CHECK_NEAR(ap_mean_average_precision(4, 1, 1, logits, gaps, false, NULL), 1, 0); /* and so is a gap */
    CHECK_NEAR(ap_mean_average_precision(4, 1, 1, logits, mixed, false, NULL), 0.5 + 0.5 * 2 / 3, 1e-15);
    const float large[] = {40, 30, 50, -1}; /* their sigmoids in float are all 1: one tie */
    CHECK_NEAR(ap_mean_average_precision(4, 1, 1, large, mixed, false, NULL), 0.5 * 0.5 + 0.5 * 2 / 3, 1e-15);
    /* In float 1 + exp(-17) is 1 already, although the sigmoid of 17 has a float below 1. */
    const float near_one[] = {17, 20}, one_of_two[] = {0, 1};
    CHECK_NEAR(ap_mean_average_precision(2, 1, 1, near_one, one_of_two, false, NULL), 0.5, 0);
    const float diverged[] = {NAN, 1, 0, -1};
    CHECK(isnan(ap_mean_average_precision(4, 1, 1, diverged, mixed, false, NULL)));
    CHECK(isnan(ap_mean_average_precision(0, 3, 3, logits, ones, true, NULL)));
}

AP_TEST_MAIN(test_published, test_edges)
