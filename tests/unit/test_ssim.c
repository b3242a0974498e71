/* ap_ssim against the published implementation (ssim.h5), and at its edges. */
#include "base/h5.h"
#include "check.h"
#include "workload/ssim.h"

static float *read(hid_t file, const char *group, const char *name, int64_t *n) {
    char path[64];
    void *data = NULL;
    snprintf(path, sizeof path, "/%s/%s", group, name);
    CHECK_INT(ap_h5_read(file, path, AP_F32, -1, 1 << 20, &data, n, NULL), AP_OK);
    return data;
}

/* Images in the original scale: x std + mean. */
static void check_group(hid_t file, const char *group, int64_t h, int64_t w) {
    int64_t n, pixels;
    float *logits = read(file, group, "logits", &pixels), *targets = read(file, group, "targets", &pixels),
          *mean = read(file, group, "mean", &n), *std = read(file, group, "std", &n),
          *range = read(file, group, "volume_max", &n), *want = read(file, group, "ssim", &n);
    CHECK_INT(pixels, n * h * w);
    for (int64_t i = 0; i < n; i++) {
        float *a = logits + i * h * w, *b = targets + i * h * w;
        for (int64_t j = 0; j < h * w; j++) a[j] = a[j] * std[i] + mean[i], b[j] = b[j] * std[i] + mean[i];
        CHECK_NEAR(ap_ssim(h, w, a, b, (double)range[i]), want[i], 1e-5 * fabs((double)want[i]));
    }
    free(logits), free(targets), free(mean), free(std), free(range), free(want);
}

static void test_published(void) {
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/ssim.h5", &file, NULL), AP_OK);
    check_group(file, "small", 9, 11);
    check_group(file, "medium", 32, 24);
    ap_h5_close(file);
}

static void test_edges(void) {
    float a[64], b[64];
    for (int i = 0; i < 64; i++) a[i] = b[i] = (float)(i * 37 % 11);
    CHECK_NEAR(ap_ssim(8, 8, a, b, 10), 1, 1e-12);
    CHECK(isnan(ap_ssim(6, 8, a, b, 10)));
    b[20] = NAN;
    CHECK(isnan(ap_ssim(8, 8, a, b, 10)));
    for (int i = 0; i < 64; i++) b[i] = 10 - a[i]; /* the opposite structure */
    CHECK(ap_ssim(8, 8, a, b, 10) < 0);
}

AP_TEST_MAIN(test_published, test_edges)
