/* fastmri: the Fourier transform against its definition, mask and preprocessing against the published steps
 * (fastmri_preprocess.h5), the synthetic slices, bad examples. */
#include "workloads/fastmri/fastmri.h"

#include "base/h5.h"
#include "check.h"

static void check_transform(int64_t h, int64_t w) {
    const int64_t n = h * w, longest = h > w ? h : w;
    double *x = calloc((size_t)(2 * n), sizeof *x), *y = calloc((size_t)(2 * n), sizeof *y),
           *work = calloc((size_t)(6 * longest), sizeof *work);
    for (int64_t i = 0; i < 2 * n; i++) x[i] = y[i] = (double)(i * 7919 % 101) / 101 - 0.5;
    CHECK(ap_fft2(h, w, false, y, work));
    for (int64_t k = 0; k < n; k++) { /* definition */
        double re = 0, im = 0;
        for (int64_t i = 0; i < n; i++) {
            const double angle = -6.283185307179586 * ((double)(i / w * (k / w) % h) / (double)h +
                                                       (double)(i % w * (k % w) % w) / (double)w);
            re += x[2 * i] * cos(angle) - x[2 * i + 1] * sin(angle);
            im += x[2 * i] * sin(angle) + x[2 * i + 1] * cos(angle);
        }
        CHECK_NEAR(y[2 * k], re, 1e-11 * (double)n);
        CHECK_NEAR(y[2 * k + 1], im, 1e-11 * (double)n);
    }
    CHECK(ap_fft2(h, w, true, y, work));
    for (int64_t i = 0; i < 2 * n; i++) CHECK_NEAR(y[i], x[i], 1e-12);
    free(x), free(y), free(work);
}
static void test_transform(void) {
    check_transform(1, 1);
    check_transform(8, 6);
    check_transform(5, 14);
    check_transform(23, 12);
    check_transform(9, 31);
    double one[2] = {0}, work[12];
    CHECK(!ap_fft2(1, 4099, false, one, work)); /* a prime beyond what is handled */
}

static void *read(hid_t file, const char *name, ap_dtype type, int64_t expected) {
    void *data = NULL;
    int64_t n;
    CHECK_INT(ap_h5_read(file, name, type, expected, 1 << 20, &data, &n, NULL), AP_OK);
    return data;
}

static void test_published_preprocessing(void) {
    enum { H = 48, W = 40, TALL = 20, WIDE = 16 };
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/fastmri_preprocess.h5", &file, NULL), AP_OK);
    float *draws = read(file, "/uniform_draws", AP_F32, W), *mask = read(file, "/mask", AP_F32, W), keep[W];
    ap_fastmri_mask(W, draws, keep);
    for (int i = 0; i < W; i++) CHECK_NEAR(keep[i], mask[i], 0);
    float *re = read(file, "/kspace_re", AP_F32, H * W), *im = read(file, "/kspace_im", AP_F32, H * W),
          *target = read(file, "/target", AP_F32, TALL * WIDE), *image = read(file, "/image", AP_F32, TALL * WIDE),
          *normalised = read(file, "/target_normalised", AP_F32, TALL * WIDE), *mean = read(file, "/mean", AP_F32, 1),
          *std = read(file, "/std", AP_F32, 1), kspace[2 * H * W], got[TALL * WIDE], got_target[TALL * WIDE], m, s;
    for (int i = 0; i < H * W; i++) kspace[2 * i] = re[i], kspace[2 * i + 1] = im[i];
    double *work = calloc(ap_fastmri_work(H, W), sizeof *work);
    const ap_fastmri_slice slice = {H, W, TALL, WIDE, kspace, keep, target};
    CHECK_INT(ap_fastmri_preprocess(&slice, work, got, got_target, &m, &s, NULL), AP_OK);
    CHECK_NEAR(m, *mean, 1e-5 * (double)*mean);
    CHECK_NEAR(s, *std, 1e-5 * (double)*std);
    for (int i = 0; i < TALL * WIDE; i++) {
        CHECK_NEAR(got[i], image[i], 1e-5);
        CHECK_NEAR(got_target[i], normalised[i], 1e-5);
    }
    free(draws), free(mask), free(re), free(im), free(target), free(image), free(normalised), free(mean), free(std);
    free(work);
    ap_h5_close(file);
}

/* ---- examples */

static ap_fastmri_model model = {.num_channels = 4, .num_pool_layers = 2, .image_size = 32};

static void make(ap_split split, int64_t index, ap_example *example) {
    CHECK_INT(ap_fastmri_generator.generate(&model, 7, split, index, example, NULL), AP_OK);
}

/* With all of k-space the input is the target; the mask takes something away from it. */
static void test_synthetic_slices_fit_their_kspace(void) {
    ap_example e = {0};
    make(AP_TRAIN, 3, &e);
    float keep[32], input[1024], target[1024], mean, std;
    double *work = calloc(ap_fastmri_work(32, 32), sizeof *work);
    for (int i = 0; i < 32; i++) keep[i] = 1;
    const ap_fastmri_slice slice = {32, 32, 32, 32, e.data[AP_FASTMRI_KSPACE], keep, e.data[AP_FASTMRI_TARGET]};
    CHECK_INT(ap_fastmri_preprocess(&slice, work, input, target, &mean, &std, NULL), AP_OK);
    for (int i = 0; i < 1024; i++) CHECK_NEAR(input[i], target[i], 1e-4);
    for (int i = 1; i < 32; i += 2) keep[i] = 0;
    CHECK_INT(ap_fastmri_preprocess(&slice, work, input, target, &mean, &std, NULL), AP_OK);
    double distance = 0;
    for (int i = 0; i < 1024; i++) distance += fabs((double)input[i] - (double)target[i]) / 1024;
    CHECK(distance > 0.05);
    free(work);
    ap_example_free(&e);
}

static ap_status collate(const ap_collate_key *key, int64_t n, const ap_example *examples, int64_t padded_to,
                         ap_batch *batch, ap_error *error) {
    ap_batch_clear(batch);
    return ap_fastmri_collate(&model, key, n, examples, padded_to, batch, error);
}

/* The mask of a training slice is its own and the same at every step; evaluation has one for all. */
static void test_masks(void) {
    ap_example e[2] = {0};
    make(AP_TRAIN, 0, &e[0]);
    make(AP_TRAIN, 0, &e[1]);
    ap_batch a = {0}, b = {0};
    const size_t image = 1024 * sizeof(float);
    CHECK_INT(collate(&(ap_collate_key){.seed = 1, .step = 3, .training = true}, 1, e, 1, &a, NULL), AP_OK);
    CHECK_INT(collate(&(ap_collate_key){.seed = 1, .step = 9, .shard = 2, .training = true}, 1, e, 1, &b, NULL), AP_OK);
    CHECK(memcmp(ap_batch_f32(&a, "inputs"), ap_batch_f32(&b, "inputs"), image) == 0);
    *(int64_t *)e[1].data[AP_FASTMRI_INDEX] = 1;
    CHECK_INT(collate(&(ap_collate_key){.seed = 1, .training = true}, 2, e, 2, &a, NULL), AP_OK);
    CHECK(memcmp(ap_batch_f32(&a, "inputs"), ap_batch_f32(&a, "inputs") + 1024, image) != 0);
    CHECK_INT(collate(&(ap_collate_key){.seed = 1}, 2, e, 3, &a, NULL), AP_OK);
    CHECK(memcmp(ap_batch_f32(&a, "inputs"), ap_batch_f32(&a, "inputs") + 1024, image) == 0);
    CHECK_NEAR(ap_batch_f32(&a, "weights")[1], 1, 0);
    CHECK_NEAR(ap_batch_f32(&a, "weights")[2], 0, 0);
    CHECK_NEAR(ap_batch_f32(&a, "inputs")[2 * 1024 + 5], 0, 0);
    CHECK_INT(a.real_examples, 2);
    ap_batch_free(&a), ap_batch_free(&b);
    ap_example_free(&e[0]), ap_example_free(&e[1]);
}

static void test_bad_slices(void) {
    ap_example e = {0};
    ap_batch batch = {0};
    ap_error error;
    make(AP_TRAIN, 0, &e);
    ((int32_t *)e.data[AP_FASTMRI_SIZE])[0] = 31;
    CHECK_INT(collate(&(ap_collate_key){0}, 1, &e, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "31 x 32");
    make(AP_TRAIN, 0, &e);
    ((float *)e.data[AP_FASTMRI_KSPACE])[2 * (16 * 32 + 16)] = NAN;
    CHECK_INT(collate(&(ap_collate_key){0}, 1, &e, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "finite");
    make(AP_TRAIN, 0, &e);
    memset(e.data[AP_FASTMRI_KSPACE], 0, 2 * 1024 * sizeof(float));
    CHECK_INT(collate(&(ap_collate_key){0}, 1, &e, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "must vary");
    ap_batch_free(&batch);
    ap_example_free(&e);
}

AP_TEST_MAIN(test_transform, test_published_preprocessing, test_synthetic_slices_fit_their_kspace, test_masks,
             test_bad_slices)
