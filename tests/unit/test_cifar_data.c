/* cifar: collate with its augmentation; prepare from CIFAR-10's binary files and from IDX files. */
#include "workloads/cifar/cifar.h"

#include "data_scratch.h"
#include "prepare_alone.h"

extern const ap_workload ap_workload_cifar;

static const ap_cifar_model model = {.base_width = 4, .classes = 10};
enum { SIDE = 32, PIXELS = SIDE * SIDE, RECORD = 3073 };

/* ---- collate */

static float normalised(int pixel, int colour) {
    static const float mean[3] = {0.49139968f, 0.48215827f, 0.44653124f},
                       deviation[3] = {0.24703233f, 0.24348505f, 0.26158768f};
    return ((float)pixel / 255.0f - mean[colour]) / deviation[colour];
}

static void make_example(ap_example *example) {
    if (ap_example_reserve(example, 2, ap_cifar_generator.field, NULL, NULL) != AP_OK) exit(1);
    for (int i = 0; i < 3 * PIXELS; i++) ((uint8_t *)example->data[0])[i] = (uint8_t)(1 + i * 7919 % 251);
    *(uint8_t *)example->data[1] = 7;
}

static bool is_crop(const float *image, const uint8_t *pixels, int top, int left, bool flip) {
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                const int i = y + top, j = (flip ? SIDE - 1 - x : x) + left;
                const bool inside = i >= 0 && i < SIDE && j >= 0 && j < SIDE;
                if (image[(c * SIDE + y) * SIDE + x] != normalised(inside ? pixels[(i * SIDE + j) * 3 + c] : 0, c))
                    return false;
            }
    return true;
}

static void test_evaluation_sees_the_image(void) {
    ap_example example = {0};
    ap_batch batch = {0};
    ap_error error = {0};
    make_example(&example);
    CHECK_OK(ap_cifar_collate(&model, &(ap_collate_key){.seed = 3}, 1, &example, 1, &batch, &error));
    CHECK(is_crop(ap_batch_f32(&batch, "inputs"), example.data[0], 0, 0, false));
    CHECK_INT(ap_batch_i64(&batch, "targets")[0], 7);
    *(uint8_t *)example.data[1] = 10;
    ap_batch_clear(&batch);
    CHECK_INT(ap_cifar_collate(&model, &(ap_collate_key){0}, 1, &example, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "label 10");
    ap_batch_free(&batch);
    ap_example_free(&example);
}

/* Every training image is one of the 9 x 9 x 2 crops of the padded image, each offset and both forms turn up about as
 * often as they should, and the draw is a function of the key. */
static void test_training_sees_crops(void) {
    enum { STEPS = 400 };
    int tops[9] = {0}, lefts[9] = {0}, flips = 0, missing = 0;
    ap_example example = {0};
    ap_batch batch = {0}, again = {0};
    ap_error error = {0};
    make_example(&example);
    for (int step = 0; step < STEPS; step++) {
        const ap_collate_key key = {.seed = 5, .step = step, .training = true};
        ap_batch_clear(&batch);
        CHECK_OK(ap_cifar_collate(&model, &key, 1, &example, 1, &batch, &error));
        const float *image = ap_batch_f32(&batch, "inputs");
        bool found = false;
        for (int k = 0; k < 162 && !found; k++)
            if ((found = is_crop(image, example.data[0], k / 18 - 4, k / 2 % 9 - 4, k % 2)))
                tops[k / 18]++, lefts[k / 2 % 9]++, flips += k % 2;
        missing += !found;
        ap_batch_clear(&again);
        CHECK_OK(ap_cifar_collate(&model, &key, 1, &example, 1, &again, &error));
        CHECK(memcmp(image, ap_batch_f32(&again, "inputs"), 3 * PIXELS * sizeof *image) == 0);
    }
    CHECK_INT(missing, 0);
    /* 44 expected of each offset, 5 sigma = 31; 200 flips, 5 sigma = 50 */
    for (int k = 0; k < 9; k++) CHECK(tops[k] > 13 && tops[k] < 76 && lefts[k] > 13 && lefts[k] < 76);
    CHECK(flips > 150 && flips < 250);
    ap_batch_free(&batch), ap_batch_free(&again);
    ap_example_free(&example);
}

/* ---- prepare */

static int published_pixel(int image, int colour, int y, int x) {
    return (image * 31 + colour * 101 + y * 7 + x) % 256;
}

typedef struct published {
    int each, odd;      /* images a file; of data_batch_3, if not -1 */
    int bad_label;      /* of the last test image, if not -1 */
    long more;          /* bytes more or less at the end of data_batch_2 */
    const char *absent; /* file that is not there */
} published;
static const published good = {.each = 4, .odd = -1, .bad_label = -1};

static void publish(published p) {
    scratch_clear();
    for (int f = 0; f < 6; f++) {
        char name[32];
        snprintf(name, sizeof name, f < 5 ? "data_batch_%d.bin" : "test_batch.bin", f + 1);
        const int count = f == 2 && p.odd >= 0 ? p.odd : p.each;
        uint8_t *bytes = calloc((size_t)count * RECORD + 16, 1);
        for (int i = 0; i < count; i++) {
            uint8_t *record = bytes + i * RECORD;
            const int image = f * p.each + i;
            *record++ = (uint8_t)(image % 10);
            for (int k = 0; k < 3 * PIXELS; k++)
                record[k] = (uint8_t)published_pixel(image, k / PIXELS, k % PIXELS / SIDE, k % SIDE);
        }
        if (f == 5 && p.bad_label >= 0) bytes[(count - 1) * RECORD] = (uint8_t)p.bad_label;
        if (!p.absent || strcmp(p.absent, name) != 0)
            scratch_write(name, bytes, (size_t)(count * RECORD + (f == 1 ? p.more : 0)));
        free(bytes);
    }
}

static ap_status prepare(const char *name, ap_error *error) {
    scratch("");
    *error = (ap_error){0};
    return prepare_alone(&ap_workload_cifar,
                         &(ap_prepare_options){.from = scratch_folder, .to = scratch("packed.h5"), .name = name}, 0,
                         error);
}

static ap_dataset *open_packed(const char *name, const int64_t counts[AP_SPLITS]) {
    ap_dataset *dataset = NULL;
    ap_error error = {0};
    CHECK_OK(ap_dataset_open(scratch("packed.h5"), "cifar", 2, ap_cifar_generator.field, &dataset, &error));
    if (!dataset) exit(1);
    CHECK_TEXT(ap_dataset_name(dataset), name);
    for (int s = 0; s < AP_SPLITS; s++) CHECK_INT(ap_dataset_count(dataset, (ap_split)s), counts[s]);
    return dataset;
}

/* 20 training images: 18 and the last 2; 4 test images, which are the 20th to the 23rd here. */
static void test_binary_files(void) {
    static const int64_t counts[AP_SPLITS] = {18, 2, 4}, first[AP_SPLITS] = {0, 18, 20};
    ap_error error;
    ap_example example = {0};
    publish(good);
    CHECK_OK(prepare(NULL, &error));
    ap_dataset *dataset = open_packed("cifar-10", counts);
    CHECK_TEXT(ap_dataset_source(dataset), "data_batch_1.bin xxh3_128=");
    CHECK_TEXT(ap_dataset_source(dataset), "test_batch.bin xxh3_128=");
    for (int s = 0; s < AP_SPLITS; s++)
        for (int i = 0; i < counts[s]; i++) {
            const int image = (int)first[s] + i;
            int wrong = 0;
            CHECK_OK(ap_dataset_read(dataset, (ap_split)s, i, &example, &error));
            for (int k = 0; k < 3 * PIXELS; k++)
                wrong += ((uint8_t *)example.data[0])[k] != published_pixel(image, k % 3, k / 3 / SIDE, k / 3 % SIDE);
            CHECK_INT(wrong, 0);
            CHECK_INT(*(uint8_t *)example.data[1], image % 10);
        }
    ap_example_free(&example);
    ap_dataset_close(dataset);
    CHECK_OK(prepare(NULL, &error)); /* the same once more */
    CHECK_INT(prepare("other", &error), AP_USAGE);
}

static void check_refused(published p, ap_status status, const char *file, const char *rule) {
    ap_error error;
    publish(p);
    const int files = scratch_files();
    CHECK_INT(prepare(NULL, &error), status);
    CHECK_TEXT(error.text, file);
    CHECK_TEXT(error.text, rule);
    CHECK_INT(scratch_files(), files); /* nothing half-written */
}

static void test_bad_binary_files(void) {
    published p = good;
    p.absent = "data_batch_4.bin";
    check_refused(p, AP_IO, "data_batch_4.bin", "six binary files");
    p = good, p.absent = "data_batch_1.bin";
    check_refused(p, AP_IO, "data_batch_1.bin", "is missing");
    p = good, p.more = -1;
    check_refused(p, AP_DATA, "data_batch_2.bin", "records of 3073 bytes");
    p = good, p.more = 1;
    check_refused(p, AP_DATA, "data_batch_2.bin", "records of 3073 bytes");
    p = good, p.odd = 3; /* cut between two records */
    check_refused(p, AP_DATA, "data_batch_3.bin", "3 images, data_batch_1.bin has 4");
    p = good, p.odd = 0;
    check_refused(p, AP_DATA, "data_batch_3.bin", "0 bytes");
    p = good, p.bad_label = 10;
    check_refused(p, AP_DATA, "test_batch.bin", "label 3 is 10");
    p = good, p.each = 1; /* a tenth of 5 images is none */
    check_refused(p, AP_DATA, scratch_folder, "5 training");
    scratch_clear();
    ap_error error;
    CHECK_INT(prepare(NULL, &error), AP_IO);
    CHECK_TEXT(error.text, "neither");
    CHECK_INT(scratch_files(), 0);
}

static void write_idx(const char *name, int n, int side) {
    const size_t header = side ? 16 : 8, row = side ? (size_t)(side * 28) : 1, size = header + (size_t)n * row;
    uint8_t *bytes = calloc(size, 1);
    memcpy(bytes, (uint8_t[]){0, 0, 8, side ? 3 : 1, 0, 0, 0, (uint8_t)n}, 8);
    if (side) memcpy(bytes + 8, (uint8_t[]){0, 0, 0, (uint8_t)side, 0, 0, 0, 28}, 8);
    for (size_t i = 0; i < (size_t)n * row; i++)
        bytes[header + i] = side ? (uint8_t)(1 + i * 13 % 255) : (uint8_t)(i % 10);
    scratch_write(name, bytes, size);
    free(bytes);
}

static void publish_idx(int train, int side) {
    scratch_clear();
    write_idx("train-images-idx3-ubyte", train, side);
    write_idx("train-labels-idx1-ubyte", train, 0);
    write_idx("t10k-images-idx3-ubyte", 3, 28);
    write_idx("t10k-labels-idx1-ubyte", 3, 0);
}

/* Two black pixels all around, grey in three colours. */
static void test_idx_files(void) {
    ap_error error;
    ap_example example = {0};
    publish_idx(12, 28);
    CHECK_OK(prepare("fashion-mnist", &error));
    ap_dataset *dataset = open_packed("fashion-mnist", (int64_t[]){10, 2, 3});
    CHECK_OK(ap_dataset_read(dataset, AP_VALIDATION, 1, &example, &error));
    CHECK_INT(*(uint8_t *)example.data[1], 1);
    for (int k = 0; k < 3 * PIXELS; k++) {
        const int y = k / 3 / SIDE - 2, x = k / 3 % SIDE - 2;
        const bool inside = y >= 0 && y < 28 && x >= 0 && x < 28;
        CHECK_INT(((uint8_t *)example.data[0])[k], inside ? 1 + ((11 * 784) + y * 28 + x) * 13 % 255 : 0);
    }
    ap_example_free(&example);
    ap_dataset_close(dataset);
}

static void test_bad_idx_files(void) {
    ap_error error;
    publish_idx(12, 27);
    CHECK_INT(prepare(NULL, &error), AP_DATA);
    CHECK_TEXT(error.text, "train-images-idx3-ubyte");
    CHECK_TEXT(error.text, "27 x 28");
    publish_idx(5, 28);
    CHECK_INT(prepare(NULL, &error), AP_DATA);
    CHECK_TEXT(error.text, "5 training");
    publish_idx(12, 28);
    scratch_write("test_batch.bin", "x", 1);
    CHECK_INT(prepare(NULL, &error), AP_DATA);
    CHECK_TEXT(error.text, "a folder of its own");
    CHECK_INT(scratch_files(), 5);
}

AP_TEST_MAIN(test_evaluation_sees_the_image, test_training_sees_crops, test_binary_files, test_bad_binary_files,
             test_idx_files, test_bad_idx_files)
