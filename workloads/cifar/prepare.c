/* algoperf prepare cifar: CIFAR-10's binary files (Krizhevsky 2009, "binary version"), or the IDX files of MNIST and
 * Fashion-MNIST as a small real set. */
#include "workloads/vision/prepare.h"
#include "workloads/cifar/cifar.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PIXELS = SIDE * SIDE, COLOURS = 3, CLASSES = 10, RECORD = 1 + COLOURS * PIXELS };

/* ---- CIFAR-10: six files of records, each one byte of class and the red, the green and the blue pixels */

enum { TRAIN_FILES = 5, FILES = TRAIN_FILES + 1 };
static const char *const file_names[FILES] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                              "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
static const size_t LARGEST = 1 << 28;

typedef struct binary_files {
    uint8_t *records; /* those of all files, in their order; as many in each */
    int64_t each;
    char source[512];
} binary_files;

static ap_status check_records(const char *path, const uint8_t *records, int64_t n, ap_error *error) {
    for (int64_t i = 0; i < n; i++)
        if (records[i * RECORD] >= CLASSES)
            return ap_fail(error, AP_DATA, "%s: label %lld is %d (expected 0 to %d)", path, (long long)i,
                           records[i * RECORD], CLASSES - 1);
    return AP_OK;
}

/* The first file says how many records the others must have. */
static ap_status take(binary_files *f, int i, const char *path, const char *bytes, size_t n, ap_error *error) {
    if (n == 0 || n % RECORD)
        return ap_fail(error, AP_DATA, "%s: %zu bytes; expected records of %d bytes: the file is truncated or another",
                       path, n, RECORD);
    const int64_t count = (int64_t)(n / RECORD);
    if (i == 0) {
        f->each = count;
        f->records = malloc(FILES * n);
        if (!f->records) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory (%zu bytes)", path, FILES * n);
    }
    if (count != f->each)
        return ap_fail(error, AP_DATA, "%s: %lld images, %s has %lld (all six files have the same number)", path,
                       (long long)count, file_names[0], (long long)f->each);
    uint8_t *to = f->records + i * f->each * RECORD;
    memcpy(to, bytes, n);
    AP_TRY(check_records(path, to, count, error));
    char digest[AP_DIGEST_TEXT];
    ap_digest_text(ap_digest_of(to, n), digest);
    const size_t used = strlen(f->source);
    snprintf(f->source + used, sizeof f->source - used, "%s%s xxh3_128=%s", i ? "; " : "", file_names[i], digest);
    return AP_OK;
}

static ap_status read_binary(const char *folder, binary_files *f, ap_error *error) {
    for (int i = 0; i < FILES; i++) {
        char path[AP_PATH], *bytes;
        size_t n;
        AP_TRY(ap_path(path, error, "%s/%s", folder, file_names[i]));
        if (!ap_file_exists(path))
            return ap_fail(error, AP_IO, "%s: is missing; --from must name the folder of CIFAR-10's six binary files",
                           path);
        AP_TRY(ap_read_file(path, LARGEST, &bytes, &n, error));
        ap_status status = take(f, i, path, bytes, n, error);
        free(bytes);
        AP_TRY(status);
    }
    return AP_OK;
}

static void store_planes(const uint8_t *image, uint8_t label, ap_example *stored) {
    uint8_t *pixels = stored->data[0];
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < COLOURS; c++) pixels[i * COLOURS + c] = image[c * PIXELS + i];
    *(uint8_t *)stored->data[1] = label;
}

static ap_labelled_images records(const binary_files *f, int file, int files) {
    const uint8_t *first = f->records + file * f->each * RECORD;
    return (ap_labelled_images){
        .images = first + 1, .labels = first, .image_stride = RECORD, .label_stride = RECORD, .count = files * f->each};
}

static ap_status plan_binary(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    binary_files f = {0};
    ap_status status = read_binary(options->from, &f, error);
    if (status != AP_OK) {
        free(f.records);
        return status;
    }
    ap_image_pack pack = {.data_set = "cifar-10",
                          .source = f.source,
                          .fields = 2,
                          .field = ap_cifar_generator.field,
                          .train = records(&f, 0, TRAIN_FILES),
                          .test = records(&f, TRAIN_FILES, 1),
                          .store = store_planes,
                          .memory = f.records,
                          .release = free};
    pack.validation = pack.train.count / 10; /* the published split: 5,000 of 50,000 */
    return ap_plan_images(options, &pack, plan, error);
}

/* ---- IDX: a grey image in the middle of a black one, the same in all colours */

enum { GREY = 28, MARGIN = (SIDE - GREY) / 2 };

static void store_grey(const uint8_t *image, uint8_t label, ap_example *stored) {
    uint8_t *pixels = stored->data[0];
    memset(pixels, 0, COLOURS * PIXELS);
    for (int y = 0; y < GREY; y++)
        for (int x = 0; x < GREY; x++)
            memset(pixels + ((y + MARGIN) * SIDE + x + MARGIN) * COLOURS, image[y * GREY + x], COLOURS);
    *(uint8_t *)stored->data[1] = label;
}

ap_status ap_cifar_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    bool binary = false;
    for (int i = 0; i < FILES; i++) {
        char path[AP_PATH];
        AP_TRY(ap_path(path, error, "%s/%s", options->from, file_names[i]));
        binary = binary || ap_file_exists(path);
    }
    const bool idx = ap_idx_folder_is(options->from);
    if (binary && idx)
        return ap_fail(error, AP_DATA, "%s: has CIFAR-10's binary files and IDX files; give each a folder of its own",
                       options->from);
    if (!binary && !idx)
        return ap_fail(
            error, AP_IO,
            "%s: has neither CIFAR-10's binary files (%s, ...) nor IDX files (train-images-idx3-ubyte, plain "
            "or .gz, ...)",
            options->from, file_names[0]);
    if (binary) return plan_binary(options, plan, error);
    /* validation as the workload mnist splits them */
    const ap_image_pack form = {.fields = 2, .field = ap_cifar_generator.field, .store = store_grey};
    return ap_plan_idx(options, GREY, CLASSES, 6, &form, plan, error);
}
