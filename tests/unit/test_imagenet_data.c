/* The ImageNet workloads' images: collate of whole and of enlarged ones, and prepare from IDX files. */
#include "workloads/imagenet_vit/imagenet_vit.h"
#include "workloads/vision/image.h"

#include "data_scratch.h"
#include "prepare_alone.h"

extern const ap_workload ap_workload_imagenet_vit;

enum { SIDE = 28, PIXELS = SIDE * SIDE };

/* ---- collate */

static float normalised(int pixel, int colour) {
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};
    return ((float)pixel / 255.0f - mean[colour]) / deviation[colour];
}

static void make_example(ap_example *example, int side) {
    const int64_t lengths[AP_IMAGENET_FIELDS] = {3 * side * side, 2, 1};
    if (ap_example_reserve(example, AP_IMAGENET_FIELDS, ap_imagenet_generator.field, lengths, NULL) != AP_OK) exit(1);
    for (int i = 0; i < 3 * side * side; i++)
        ((uint8_t *)example->data[AP_IMAGENET_INPUTS])[i] = (uint8_t)(i * 7919 % 251);
    int32_t *size = example->data[AP_IMAGENET_SIZE];
    size[0] = size[1] = side;
    *(int32_t *)example->data[AP_IMAGENET_TARGETS] = 3;
}

/* Each stored pixel is a square of times x times; times = 1: the image itself. */
static void test_images_are_enlarged(void) {
    enum { MODEL = 24 };
    for (int times = 1; times <= 3; times++) {
        const ap_imagenet_images model = {.image_size = MODEL, .classes = 10};
        const int side = MODEL / times;
        ap_example example = {0};
        ap_batch batch = {0};
        ap_error error = {0};
        make_example(&example, side);
        for (int step = 0; step < 8; step++) { /* step 0: evaluation */
            const ap_collate_key key = {.seed = 3, .step = step, .training = step > 0};
            ap_batch_clear(&batch);
            CHECK_OK(ap_imagenet_collate(&model, &key, 1, &example, 1, &batch, &error));
            const float *image = ap_batch_f32(&batch, "inputs");
            int wrong[2] = {0, 0}; /* as it is, mirrored */
            for (int i = 0; i < 3 * MODEL * MODEL; i++)
                for (int flip = 0; flip < 2; flip++) {
                    const int c = i / (MODEL * MODEL), y = i / MODEL % MODEL / times, x = i % MODEL / times,
                              at = (y * side + (flip ? side - 1 - x : x)) * 3 + c;
                    wrong[flip] += image[i] != normalised(((uint8_t *)example.data[AP_IMAGENET_INPUTS])[at], c);
                }
            CHECK(wrong[0] == 0 || (step > 0 && wrong[1] == 0));
        }
        ap_batch_free(&batch);
        ap_example_free(&example);
    }
}

static void test_other_sizes_are_refused(void) {
    ap_example example = {0};
    ap_batch batch = {0};
    ap_error error = {0};
    make_example(&example, 12);
    for (int side = 13; side <= 18; side += 5) { /* larger than the stored ones, but by no whole factor */
        const ap_imagenet_images model = {.image_size = side, .classes = 10};
        ap_batch_clear(&batch);
        CHECK_INT(ap_imagenet_collate(&model, &(ap_collate_key){0}, 1, &example, 1, &batch, &error), AP_DATA);
        CHECK_TEXT(error.text, "12 x 12");
    }
    const ap_imagenet_images smaller = {.image_size = 6, .classes = 10}, few = {.image_size = 12, .classes = 3};
    ap_batch_clear(&batch);
    CHECK_INT(ap_imagenet_collate(&smaller, &(ap_collate_key){0}, 1, &example, 1, &batch, &error), AP_DATA);
    ap_batch_clear(&batch);
    CHECK_INT(ap_imagenet_collate(&few, &(ap_collate_key){0}, 1, &example, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "label 3");
    ((int32_t *)example.data[AP_IMAGENET_SIZE])[1] = 0;
    ap_batch_clear(&batch);
    CHECK_INT(ap_imagenet_collate(&few, &(ap_collate_key){0}, 1, &example, 1, &batch, &error), AP_DATA);
    ap_batch_free(&batch);
    ap_example_free(&example);
}

/* ---- prepare */

static ap_status prepare(ap_error *error) {
    scratch("");
    *error = (ap_error){0};
    return prepare_alone(
        &ap_workload_imagenet_vit,
        &(ap_prepare_options){.from = scratch_folder, .to = scratch("packed.h5"), .name = "fashion-mnist"}, 0, error);
}

static void write_idx(const char *name, int n, int side, int first_label) {
    const size_t header = side ? 16 : 8, row = side ? (size_t)(side * SIDE) : 1, size = header + (size_t)n * row;
    uint8_t *bytes = calloc(size, 1);
    memcpy(bytes, (uint8_t[]){0, 0, 8, side ? 3 : 1, 0, 0, 0, (uint8_t)n}, 8);
    if (side) memcpy(bytes + 8, (uint8_t[]){0, 0, 0, (uint8_t)side, 0, 0, 0, SIDE}, 8);
    for (size_t i = 0; i < (size_t)n * row; i++)
        bytes[header + i] = (uint8_t)(side ? 1 + (int)i * 13 % 255 : first_label + (int)i % 10);
    scratch_write(name, bytes, size);
    free(bytes);
}

static void publish(int train, int side, int first_label) {
    scratch_clear();
    write_idx("train-images-idx3-ubyte", train, side, 0);
    write_idx("train-labels-idx1-ubyte", train, 0, first_label);
    write_idx("t10k-images-idx3-ubyte", 3, SIDE, 0);
    write_idx("t10k-labels-idx1-ubyte", 3, 0, 0);
}

static void test_idx_files(void) {
    static const int64_t counts[AP_SPLITS] = {10, 2, 3}, first[AP_SPLITS] = {0, 10, 0};
    ap_error error = {0};
    ap_example example = {0};
    ap_dataset *dataset = NULL;
    publish(12, SIDE, 0);
    CHECK_OK(prepare(&error));
    CHECK_OK(ap_dataset_open(scratch("packed.h5"), "imagenet", AP_IMAGENET_FIELDS, ap_imagenet_generator.field,
                             &dataset, &error));
    if (!dataset) exit(1);
    CHECK_TEXT(ap_dataset_name(dataset), "fashion-mnist");
    for (int s = 0; s < AP_SPLITS; s++) {
        CHECK_INT(ap_dataset_count(dataset, (ap_split)s), counts[s]);
        for (int64_t i = 0; i < counts[s]; i++) {
            int wrong = 0;
            CHECK_OK(ap_dataset_read(dataset, (ap_split)s, i, &example, &error));
            CHECK_INT(example.length[AP_IMAGENET_INPUTS], 3 * PIXELS);
            for (int64_t p = 0; p < 3 * PIXELS; p++)
                wrong += ((uint8_t *)example.data[0])[p] != 1 + ((first[s] + i) * PIXELS + p / 3) * 13 % 255;
            CHECK_INT(wrong, 0);
            CHECK_INT(((int32_t *)example.data[AP_IMAGENET_SIZE])[0], SIDE);
            CHECK_INT(((int32_t *)example.data[AP_IMAGENET_SIZE])[1], SIDE);
            CHECK_INT(*(int32_t *)example.data[AP_IMAGENET_TARGETS], (first[s] + i) % 10);
        }
    }
    ap_example_free(&example);
    ap_dataset_close(dataset);
    CHECK_OK(prepare(&error)); /* the same once more */
}

static void test_bad_idx_files(void) {
    ap_error error;
    publish(12, 27, 0);
    CHECK_INT(prepare(&error), AP_DATA);
    CHECK_TEXT(error.text, "27 x 28");
    publish(5, SIDE, 0);
    CHECK_INT(prepare(&error), AP_DATA);
    CHECK_TEXT(error.text, "5 training");
    publish(12, SIDE, 1);
    CHECK_INT(prepare(&error), AP_DATA);
    CHECK_TEXT(error.text, "train-labels-idx1-ubyte");
    CHECK_INT(scratch_files(), 4); /* nothing half-written */
    scratch_clear();
    CHECK_INT(prepare(&error), AP_IO);
    CHECK_TEXT(error.text, "train-images-idx3-ubyte");
    CHECK_INT(scratch_files(), 0);
}

AP_TEST_MAIN(test_images_are_enlarged, test_other_sizes_are_refused, test_idx_files, test_bad_idx_files)
