#include "workloads/vision/prepare.h"

#include "base/file.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- IDX */

static const char *const idx_names[AP_IDX_FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                                    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

/* FOLDER/NAME, or FOLDER/NAME.gz if only that is there. */
static ap_status idx_path(const char *folder, const char *name, char path[AP_PATH], bool *there, ap_error *error) {
    AP_TRY(ap_path(path, error, "%s/%s", folder, name));
    if (!ap_file_exists(path)) AP_TRY(ap_path(path, error, "%s/%s.gz", folder, name));
    *there = ap_file_exists(path);
    return AP_OK;
}

bool ap_idx_folder_is(const char *folder) {
    char path[AP_PATH];
    bool there = false;
    return idx_path(folder, idx_names[AP_IDX_TRAIN_IMAGES], path, &there, NULL) == AP_OK && there;
}

static ap_status read_published(const char *folder, const char *name, ap_idx *idx, ap_error *error) {
    char path[AP_PATH];
    bool there;
    AP_TRY(idx_path(folder, name, path, &there, error));
    if (!there)
        return ap_fail(error, AP_IO, "%s: has neither %s nor %s.gz; --from must name the folder of the IDX files",
                       folder, name, name);
    return ap_idx_read(path, idx, error);
}

static ap_status check_pair(const char *folder, const ap_idx *images, const char *images_name, const ap_idx *labels,
                            const char *labels_name, int64_t side, int classes, ap_error *error) {
    if (images->rank != 3 || images->shape[1] != side || images->shape[2] != side)
        return ap_fail(error, AP_DATA,
                       "%s/%s: rank %d, images of %" PRId64 " x %" PRId64 " (expected rank 3, %" PRId64 " x %" PRId64
                       ")",
                       folder, images_name, images->rank, images->shape[1], images->shape[2], side, side);
    if (labels->rank != 1)
        return ap_fail(error, AP_DATA, "%s/%s: rank %d (expected 1)", folder, labels_name, labels->rank);
    if (images->shape[0] != labels->shape[0])
        return ap_fail(error, AP_DATA, "%s: %s has %" PRId64 " images, %s has %" PRId64 " labels", folder, images_name,
                       images->shape[0], labels_name, labels->shape[0]);
    for (int64_t i = 0; i < labels->size; i++)
        if (labels->data[i] >= classes)
            return ap_fail(error, AP_DATA, "%s/%s: label %" PRId64 " is %d (expected 0 to %d)", folder, labels_name, i,
                           labels->data[i], classes - 1);
    return AP_OK;
}

static const char *folder_name(const char *path) {
    char *whole = realpath(path, NULL);
    const char *last = whole ? strrchr(whole, '/') : NULL;
    bool fashion = last && strcasestr(last, "fashion");
    free(whole);
    return fashion ? "fashion-mnist" : "mnist";
}

ap_status ap_idx_folder_read(const char *path, int64_t side, int classes, ap_idx_folder *folder, ap_error *error) {
    *folder = (ap_idx_folder){.name = folder_name(path)};
    ap_idx *file = folder->file;
    for (int i = 0; i < AP_IDX_FILES; i++) AP_TRY(read_published(path, idx_names[i], &file[i], error));
    for (int i = 0; i < AP_IDX_FILES; i += 2)
        AP_TRY(check_pair(path, &file[i], idx_names[i], &file[i + 1], idx_names[i + 1], side, classes, error));
    size_t used = 0;
    for (int i = 0; i < AP_IDX_FILES && used < sizeof folder->source; i++) {
        char digest[AP_DIGEST_TEXT];
        ap_digest_text(file[i].digest, digest);
        used += (size_t)snprintf(folder->source + used, sizeof folder->source - used, "%s%s xxh3_128=%s", i ? "; " : "",
                                 idx_names[i], digest);
    }
    return AP_OK;
}

void ap_idx_folder_free(ap_idx_folder *folder) {
    for (int i = 0; i < AP_IDX_FILES; i++) free(folder->file[i].data);
    *folder = (ap_idx_folder){0};
}

ap_labelled_images ap_idx_images(const ap_idx_folder *folder, bool test) {
    const ap_idx *images = &folder->file[test ? AP_IDX_TEST_IMAGES : AP_IDX_TRAIN_IMAGES], *labels = images + 1;
    return (ap_labelled_images){.images = images->data,
                                .labels = labels->data,
                                .image_stride = images->shape[1] * images->shape[2],
                                .label_stride = 1,
                                .count = images->shape[0]};
}

/* ---- packing */

enum { PIXELS, LABEL, FIELDS };

static ap_status pack_split(ap_packer *packer, ap_split split, const ap_image_pack *p, const ap_labelled_images *from,
                            int64_t first, int64_t count, ap_error *error) {
    ap_example example = {0};
    ap_status status = ap_example_reserve(&example, FIELDS, p->field, NULL, error);
    if (status == AP_OK) status = ap_packer_begin(packer, split, count, NULL, error);
    for (int64_t i = first; status == AP_OK && i < first + count; i++) {
        p->store(from->images + i * from->image_stride, example.data[PIXELS]);
        *(uint8_t *)example.data[LABEL] = from->labels[i * from->label_stride];
        status = ap_packer_append(packer, &example, error);
    }
    ap_example_free(&example);
    return status;
}

static ap_status pack_all(ap_packer *packer, const ap_image_pack *p, ap_error *error) {
    const int64_t train = p->train.count - p->validation;
    AP_TRY(pack_split(packer, AP_TRAIN, p, &p->train, 0, train, error));
    AP_TRY(pack_split(packer, AP_VALIDATION, p, &p->train, train, p->validation, error));
    return pack_split(packer, AP_TEST, p, &p->test, 0, p->test.count, error);
}

ap_status ap_pack_images(const ap_prepare_options *options, const ap_image_pack *p, ap_error *error) {
    if (p->validation < 1 || p->validation >= p->train.count || p->test.count < 1)
        return ap_fail(error, AP_DATA,
                       "%s: %" PRId64 " training and %" PRId64 " test images (each split needs at least one; "
                       "%" PRId64 " of the training images would be for validation)",
                       options->from, p->train.count, p->test.count, p->validation);
    ap_packer *packer;
    AP_TRY(ap_packer_create(options->to, p->workload, options->name ? options->name : p->data_set, p->source, FIELDS,
                            p->field, &packer, error));
    if (!packer) return AP_OK; /* already there */
    ap_log(AP_GLOBAL, AP_LOG_INFO, "%s: validation is the last %" PRId64 " of the %" PRId64 " training images",
           p->workload, p->validation, p->train.count);
    ap_status status = pack_all(packer, p, error);
    if (status == AP_OK) return ap_packer_commit(packer, error);
    ap_packer_abandon(packer);
    return status;
}
