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
    char own[AP_FOLDER_NAME];
    ap_prepare_folder_name(path, "", own);
    return strcasestr(own, "fashion") ? "fashion-mnist" : "mnist";
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

enum { PART = 10000 };

typedef struct images {
    ap_image_pack pack;
    int64_t parts[AP_SPLITS]; /* of each split */
} images;

static void release(void *reader) {
    images *r = reader;
    if (r->pack.release) r->pack.release(r->pack.memory);
    free(r);
}

/* Where a split's images lie. */
static ap_labelled_images split_images(const ap_image_pack *p, ap_split split) {
    ap_labelled_images from = split == AP_TEST ? p->test : p->train;
    const int64_t train = p->train.count - p->validation;
    if (split == AP_TRAIN) from.count = train;
    if (split != AP_VALIDATION) return from;
    from.images += train * from.image_stride;
    from.labels += train * from.label_stride;
    from.count = p->validation;
    return from;
}

static ap_status read_images(void *reader, int64_t index, ap_part_output *output, ap_error *error) {
    const images *r = reader;
    ap_split split = AP_TRAIN;
    for (; index >= r->parts[split]; split++) index -= r->parts[split];
    const ap_labelled_images from = split_images(&r->pack, split);
    const int64_t end = (index + 1) * PART < from.count ? (index + 1) * PART : from.count;
    ap_example example = {0};
    ap_status status = ap_example_reserve(&example, r->pack.fields, r->pack.field, r->pack.lengths, error);
    for (int64_t i = index * PART; status == AP_OK && i < end; i++) {
        r->pack.store(from.images + i * from.image_stride, from.labels[i * from.label_stride], &example);
        status = ap_part_append(output, &example, error);
    }
    ap_example_free(&example);
    return status;
}

static ap_status plan_split(images *r, ap_split split, ap_prepare_plan *plan, ap_error *error) {
    const ap_labelled_images from = split_images(&r->pack, split);
    for (int64_t first = 0; first < from.count; first += PART) {
        const int64_t end = first + PART < from.count ? first + PART : from.count;
        AP_TRY(ap_prepare_plan_add(plan, split, (end - first) * from.image_stride, 0, error,
                                   "%s images %" PRId64 " to %" PRId64, ap_split_names[split], first, end - 1));
        r->parts[split]++;
    }
    return AP_OK;
}

static ap_status check_counts(const char *from, const ap_image_pack *p, ap_error *error) {
    if (p->validation >= 1 && p->validation < p->train.count && p->test.count >= 1) return AP_OK;
    return ap_fail(error, AP_DATA,
                   "%s: %" PRId64 " training and %" PRId64 " test images (each split needs at least one; "
                   "%" PRId64 " of the training images would be for validation)",
                   from, p->train.count, p->test.count, p->validation);
}

ap_status ap_plan_images(const ap_prepare_options *options, const ap_image_pack *pack, ap_prepare_plan *plan,
                         ap_error *error) {
    images *r = calloc(1, sizeof *r);
    if (!r) {
        if (pack->release) pack->release(pack->memory);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    }
    r->pack = *pack;
    plan->reader = r;
    plan->release = release;
    plan->read = read_images;
    plan->data_set = pack->data_set;
    AP_TRY(check_counts(options->from, pack, error));
    AP_TRY(ap_prepare_plan_source(plan, error, "%s", pack->source));
    for (int s = 0; s < AP_SPLITS; s++) AP_TRY(plan_split(r, (ap_split)s, plan, error));
    ap_log(AP_GLOBAL, AP_LOG_INFO, "%s: validation is the last %" PRId64 " of the %" PRId64 " training images",
           options->from, pack->validation, pack->train.count);
    return AP_OK;
}

static void release_idx(void *memory) {
    ap_idx_folder_free(memory);
    free(memory);
}

ap_status ap_plan_idx(const ap_prepare_options *options, int64_t side, int classes, int64_t share,
                      const ap_image_pack *form, ap_prepare_plan *plan, ap_error *error) {
    ap_idx_folder *folder = malloc(sizeof *folder);
    if (!folder) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_status status = ap_idx_folder_read(options->from, side, classes, folder, error);
    if (status != AP_OK) {
        release_idx(folder);
        return status;
    }
    ap_image_pack pack = *form;
    pack.data_set = folder->name;
    pack.source = folder->source;
    pack.train = ap_idx_images(folder, false);
    pack.test = ap_idx_images(folder, true);
    pack.validation = pack.train.count / share;
    pack.memory = folder;
    pack.release = release_idx;
    return ap_plan_images(options, &pack, plan, error);
}
