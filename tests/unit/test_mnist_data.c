#include "workloads/mnist/mnist.h"

#include "data_scratch.h"

#include "prepare_alone.h"
#include <sys/stat.h>
#include <zlib.h>

extern const ap_workload ap_workload_mnist;

static const ap_mnist_model model = {.input = 784, .hidden = 8, .classes = 10, .pixel_max = 1};
static const ap_field field[2] = {{.name = "inputs", .type = AP_U8, .rank = 3, .shape = {28, 28, 1}},
                                  {.name = "targets", .type = AP_U8}};
enum { PIXELS = 784 };

/* ---- collate */

static void make_examples(int n, ap_example *examples) {
    for (int i = 0; i < n; i++) {
        if (ap_example_reserve(&examples[i], 2, field, NULL, NULL) != AP_OK) exit(1);
        for (int k = 0; k < PIXELS; k++) ((uint8_t *)examples[i].data[0])[k] = (uint8_t)(k + i);
        *(uint8_t *)examples[i].data[1] = (uint8_t)(3 * i % 10);
    }
}

static void free_examples(int n, ap_example *examples) {
    for (int i = 0; i < n; i++) ap_example_free(&examples[i]);
}

/* numpy 1.24: (np.uint8(x).astype("f4") - np.float32(0.1307)) / np.float32(0.3081). */
static void test_normalisation_is_that_of_float32(void) {
    static const struct {
        int pixel;
        float value;
    } known[] = {{0, -0x1.b264e20000000p-2f}, {1, 0x1.69267a0000000p+1f},   {2, 0x1.844cc80000000p+2f},
                 {33, 0x1.aabc4a0000000p+6f}, {128, 0x1.9f067c0000000p+8f}, {254, 0x1.9bfde20000000p+9f},
                 {255, 0x1.9d9d560000000p+9f}};
    ap_example example[1] = {0};
    ap_batch batch = {0};
    ap_error error = {0};
    make_examples(1, example);
    CHECK_OK(ap_mnist_collate(&model, &(ap_collate_key){.training = true}, 1, example, 1, &batch, &error));
    const float *inputs = ap_batch_f32(&batch, "inputs");
    for (size_t i = 0; inputs && i < sizeof known / sizeof *known; i++)
        CHECK(memcmp(&inputs[known[i].pixel], &known[i].value, 4) == 0);
    for (int k = 1; inputs && k < 256; k++) CHECK(inputs[k] > inputs[k - 1]);
    ap_batch_free(&batch);
    free_examples(1, example);
}

static void test_shapes_and_targets(void) {
    ap_example examples[5] = {0};
    ap_batch batch = {0};
    ap_error error = {0};
    make_examples(5, examples);
    CHECK_OK(ap_mnist_collate(&model, &(ap_collate_key){.training = true}, 5, examples, 5, &batch, &error));
    const ap_array *inputs = ap_batch_find(&batch, "inputs");
    CHECK(inputs && inputs->type == AP_F32 && inputs->rank == 4 && inputs->shape[0] == 5 && inputs->shape[1] == 1 &&
          inputs->shape[2] == 28 && inputs->shape[3] == 28);
    const int64_t *targets = ap_batch_i64(&batch, "targets");
    for (int i = 0; targets && i < 5; i++) CHECK_INT(targets[i], 3 * i % 10);
    CHECK(ap_batch_find(&batch, "weights") == NULL); /* training, without padding */
    CHECK_INT(batch.examples, 5);
    CHECK_INT(batch.real_examples, 5);
    CHECK_INT(batch.arrays, 2);
    ap_batch_free(&batch);
    free_examples(5, examples);
}

static void check_padded(bool training, int n, int padded_to) {
    ap_example examples[5] = {0};
    ap_batch batch = {0};
    ap_error error = {0};
    make_examples(5, examples);
    /* Memory of an earlier batch: padding must be cleared. */
    CHECK_OK(ap_mnist_collate(&model, &(ap_collate_key){.training = false}, 5, examples, 5, &batch, &error));
    ap_batch_clear(&batch);
    CHECK_OK(ap_mnist_collate(&model, &(ap_collate_key){.training = training}, n, examples, padded_to, &batch, &error));
    const float *inputs = ap_batch_f32(&batch, "inputs"), *weights = ap_batch_f32(&batch, "weights");
    const int64_t *targets = ap_batch_i64(&batch, "targets");
    CHECK(inputs && weights && targets);
    for (int i = 0; i < padded_to; i++) CHECK(weights[i] == (i < n ? 1.0f : 0.0f));
    for (int i = n * PIXELS; i < padded_to * PIXELS; i++) CHECK(inputs[i] == 0.0f);
    for (int i = n; i < padded_to; i++) CHECK(targets[i] >= 0 && targets[i] < 10);
    CHECK_INT(batch.examples, padded_to);
    CHECK_INT(batch.real_examples, n);
    ap_batch_free(&batch);
    free_examples(5, examples);
}

static void test_padding_and_weights(void) {
    check_padded(true, 3, 5);
    check_padded(false, 3, 5);
    check_padded(false, 4, 4);
    check_padded(false, 0, 2);
}

static void test_label_and_model_are_checked(void) {
    ap_example example[1] = {0};
    ap_batch batch = {0};
    ap_error error = {0};
    ap_collate_key key = {.training = true};
    make_examples(1, example);
    *(uint8_t *)example[0].data[1] = 10;
    CHECK_INT(ap_mnist_collate(&model, &key, 1, example, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "label 10");
    const ap_mnist_model wide = {.input = 785, .hidden = 8, .classes = 10, .pixel_max = 1};
    CHECK_INT(ap_mnist_collate(&wide, &key, 1, example, 1, &batch, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "785");
    ap_batch_free(&batch);
    free_examples(1, example);
}

/* ---- the synthetic set */

static void generate(uint64_t seed, ap_split split, int64_t index, uint8_t image[PIXELS], int *label) {
    ap_example example = {0};
    if (ap_mnist_generator.generate(&model, seed, split, index, &example, NULL) != AP_OK) exit(1);
    memcpy(image, example.data[0], PIXELS);
    *label = *(uint8_t *)example.data[1];
    ap_example_free(&example);
}

static void test_synthetic_is_a_function_of_its_key(void) {
    uint8_t a[PIXELS], b[PIXELS];
    int x, y;
    generate(1, AP_TRAIN, 5, a, &x);
    generate(1, AP_TRAIN, 6, b, &y);
    CHECK(memcmp(a, b, PIXELS) != 0);
    generate(1, AP_TEST, 5, b, &y);
    CHECK(memcmp(a, b, PIXELS) != 0);
    generate(2, AP_TRAIN, 5, b, &y);
    CHECK(memcmp(a, b, PIXELS) != 0);
    generate(1, AP_TRAIN, 5, b, &y);
    CHECK(memcmp(a, b, PIXELS) == 0 && x == y);
    CHECK_INT(ap_mnist_generator.fields, 2);
    for (int f = 0; f < 2; f++) CHECK(strcmp(ap_mnist_generator.field[f].name, field[f].name) == 0);
}

/* The data set is part of the bitwise promise: every compiler and machine must make this digest. It may only change
 * together with the data set's name, as results on it are then no longer comparable. */
static void test_synthetic_bits(void) {
    char hex[AP_DIGEST_TEXT];
    ap_digest_stream *stream = ap_digest_stream_create();
    for (int i = 0; i < 300; i++) {
        uint8_t image[PIXELS + 1];
        int label;
        generate(42, (ap_split)(i % 3), i * 1000003, image, &label);
        image[PIXELS] = (uint8_t)label;
        ap_digest_stream_add(stream, image, sizeof image);
    }
    ap_digest_text(ap_digest_stream_final(stream), hex);
    CHECK_TEXT(hex, "a25f628f78446b3683c681f2efd146b7");
    ap_digest_stream_destroy(stream);
}

/* Classes are drawn evenly, and hard to tell from pixel averages: the nearest class mean (a linear classifier) is
 * better than chance (0.1) and far from the 0.9 that the perceptron reaches. */
static void test_synthetic_is_balanced_and_hard_for_class_means(void) {
    enum { TRAIN = 3000, TEST = 1000 };
    static double mean[10][PIXELS];
    int count[10] = {0}, hits = 0;
    uint8_t image[PIXELS];
    int label;
    for (int i = 0; i < TRAIN; i++) {
        generate(7, AP_TRAIN, i, image, &label);
        CHECK(label >= 0 && label < 10);
        count[label]++;
        for (int k = 0; k < PIXELS; k++) mean[label][k] += image[k];
    }
    for (int c = 0; c < 10; c++) {
        CHECK(abs(count[c] - TRAIN / 10) < 85); /* 5 sigma: sqrt(3000 * 0.1 * 0.9) = 16.4 */
        for (int k = 0; k < PIXELS; k++) mean[c][k] /= count[c];
    }
    for (int i = 0; i < TEST; i++) {
        double best = INFINITY;
        int guess = -1;
        generate(7, AP_VALIDATION, i, image, &label);
        for (int c = 0; c < 10; c++) {
            double distance = 0;
            for (int k = 0; k < PIXELS; k++) distance += (image[k] - mean[c][k]) * (image[k] - mean[c][k]);
            if (distance < best) best = distance, guess = c;
        }
        hits += guess == label;
    }
    CHECK(hits > TEST * 2 / 10);
    CHECK(hits < TEST * 6 / 10);
}

/* ---- prepare */

enum { TRAIN_N = 12, TEST_N = 3 };
typedef struct published {
    int train_images, train_labels, test_n, height, bad_label; /* bad_label: of training example 1 */
    size_t cut;                                                /* bytes missing at the end of the training images */
    bool gz;
    const char *missing; /* file not written */
} published;
static const published good = {
    .train_images = TRAIN_N, .train_labels = TRAIN_N, .test_n = TEST_N, .height = 28, .bad_label = -1};

static void write_idx(const published *p, const char *name, int n, int height, int first, size_t cut) {
    size_t header = height ? 16 : 8, row = height ? (size_t)height * 28 : 1, size = header + (size_t)n * row;
    uint8_t *bytes = calloc(size, 1);
    memcpy(bytes, (uint8_t[]){0, 0, 8, height ? 3 : 1, 0, 0, 0, (uint8_t)n}, 8);
    if (height) memcpy(bytes + 8, (uint8_t[]){0, 0, 0, (uint8_t)height, 0, 0, 0, 28}, 8);
    for (size_t i = 0; i < (size_t)n * row; i++)
        bytes[header + i] = (uint8_t)((first + (int)(i / row)) % (height ? 251 : 10));
    if (!height && first == 0 && p->bad_label >= 0) bytes[header + 1] = (uint8_t)p->bad_label;
    char gz_name[64];
    snprintf(gz_name, sizeof gz_name, "%s.gz", name);
    unlink(scratch(name));
    unlink(scratch(gz_name));
    if (p->missing && strcmp(p->missing, name) == 0) {
    } else if (p->gz) {
        gzFile file = gzopen(scratch(gz_name), "wb");
        CHECK(gzwrite(file, bytes, (unsigned)(size - cut)) > 0 && gzclose(file) == Z_OK);
    } else {
        scratch_write(name, bytes, size - cut);
    }
    free(bytes);
}

static void publish(published p) {
    write_idx(&p, "train-images-idx3-ubyte", p.train_images, p.height, 0, p.cut);
    write_idx(&p, "train-labels-idx1-ubyte", p.train_labels, 0, 0, 0);
    write_idx(&p, "t10k-images-idx3-ubyte", p.test_n, 28, 100, 0);
    write_idx(&p, "t10k-labels-idx1-ubyte", p.test_n, 0, 100, 0);
}

static ap_status prepare(const char *name, ap_error *error) {
    scratch("");
    *error = (ap_error){0};
    return prepare_alone(&ap_workload_mnist,
                         &(ap_prepare_options){.from = scratch_folder, .to = scratch("packed.h5"), .name = name}, 0,
                         error);
}

/* Image i is all bytes i, its label i mod 10; the test images begin at 100. 12 = 10 + 2 training images. */
static void check_packed(const char *name) {
    static const int64_t counts[AP_SPLITS] = {10, 2, 3}, first[AP_SPLITS] = {0, 10, 100};
    ap_dataset *dataset = NULL;
    ap_error error = {0};
    ap_example example = {0};
    CHECK_OK(ap_dataset_open(scratch("packed.h5"), "mnist", 2, field, &dataset, &error));
    if (!dataset) return;
    CHECK(strcmp(ap_dataset_name(dataset), name) == 0);
    CHECK_TEXT(ap_dataset_source(dataset), "t10k-labels-idx1-ubyte xxh3_128=");
    for (ap_split split = 0; split < AP_SPLITS; split++) {
        CHECK_INT(ap_dataset_count(dataset, split), counts[split]);
        for (int64_t i = 0; i < counts[split]; i++) {
            CHECK_OK(ap_dataset_read(dataset, split, i, &example, &error));
            const uint8_t *image = example.data[0];
            CHECK(image[0] == first[split] + i && memcmp(image, image + 1, PIXELS - 1) == 0);
            CHECK_INT(*(uint8_t *)example.data[1], (first[split] + i) % 10);
        }
    }
    ap_example_free(&example);
    ap_dataset_close(dataset);
}

static void test_prepare_plain_and_gzip(void) {
    ap_error error;
    scratch_clear();
    for (int gz = 0; gz < 2; gz++) {
        published p = good;
        p.gz = gz;
        publish(p);
        unlink(scratch("packed.h5"));
        CHECK_OK(prepare(NULL, &error));
        check_packed("mnist");
    }
}

static void test_prepare_again(void) {
    ap_error error;
    scratch_clear();
    publish(good);
    CHECK_OK(prepare("my-digits", &error));
    CHECK_OK(prepare("my-digits", &error));
    published zipped = good;
    zipped.gz = true;
    publish(zipped);
    CHECK_OK(prepare("my-digits", &error)); /* the same content */
    check_packed("my-digits");
    CHECK_INT(prepare(NULL, &error), AP_USAGE); /* another name */
    published other = good;
    other.test_n = 2;
    publish(other);
    CHECK_INT(prepare("my-digits", &error), AP_USAGE);
    CHECK_TEXT(error.text, "other files");
    check_packed("my-digits");
}

static void test_name_from_the_folder(void) {
    char folder[400], from[600];
    ap_error error = {0};
    scratch_clear();
    publish(good);
    scratch("");
    snprintf(folder, sizeof folder, "%s-Fashion", scratch_folder);
    CHECK_INT(symlink(scratch_folder, folder), 0);
    /* The folder's own name counts, not that of a link to it or a detour. */
    snprintf(from, sizeof from, "%s/.", folder);
    CHECK_OK(
        prepare_alone(&ap_workload_mnist, &(ap_prepare_options){.from = from, .to = scratch("packed.h5")}, 0, &error));
    check_packed("mnist");
    unlink(folder);
    unlink(scratch("packed.h5"));
    CHECK_INT(rename(scratch_folder, folder), 0);
    snprintf(from, sizeof from, "%s/packed.h5", folder);
    CHECK_OK(prepare_alone(&ap_workload_mnist, &(ap_prepare_options){.from = folder, .to = from}, 0, &error));
    CHECK_INT(rename(folder, scratch_folder), 0);
    check_packed("fashion-mnist");
}

static void check_refused(published p, ap_status status, const char *text) {
    ap_error error;
    scratch_clear();
    publish(p);
    int files = scratch_files();
    CHECK_INT(prepare(NULL, &error), status);
    CHECK_TEXT(error.text, text);
    CHECK_TEXT(error.text, scratch_folder);
    CHECK_INT(scratch_files(), files); /* nothing half-written */
}

static void test_bad_input(void) {
#define BAD(change, status, text)                                                                                      \
    do {                                                                                                               \
        published p = good;                                                                                            \
        p.change;                                                                                                      \
        check_refused(p, status, text);                                                                                \
    } while (0)
    BAD(missing = "t10k-labels-idx1-ubyte", AP_IO, "neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz");
    BAD(bad_label = 10, AP_DATA, "label 1 is 10");
    BAD(bad_label = 255, AP_DATA, "label 1 is 255");
    BAD(train_labels = 11, AP_DATA, "12 images, train-labels-idx1-ubyte has 11 labels");
    BAD(height = 27, AP_DATA, "27 x 28");
    BAD(height = 0, AP_DATA, "rank 1");
    BAD(cut = 1, AP_DATA, "truncated");
    BAD(test_n = 0, AP_DATA, "0 test images");
#undef BAD
    check_refused((published){.train_images = 5, .train_labels = 5, .test_n = 1, .height = 28, .bad_label = -1},
                  AP_DATA, "5 training");
    published cut = good;
    cut.gz = true, cut.cut = 1;
    check_refused(cut, AP_DATA, "truncated");
}

AP_TEST_MAIN(test_normalisation_is_that_of_float32, test_shapes_and_targets, test_padding_and_weights,
             test_label_and_model_are_checked, test_synthetic_is_a_function_of_its_key, test_synthetic_bits,
             test_synthetic_is_balanced_and_hard_for_class_means, test_prepare_plain_and_gzip, test_prepare_again,
             test_name_from_the_folder, test_bad_input)
