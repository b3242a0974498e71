/* Fashion-MNIST (or MNIST) as a small real set for the ImageNet workloads: its IDX files -> a packed file of images. */
#include "workloads/vision/image.h"
#include "workloads/vision/imagenet.h"
#include "workloads/vision/prepare.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10 };
static const int64_t lengths[AP_IMAGENET_FIELDS] = {AP_COLOURS * PIXELS, 2, 1};

/* Grey: the same in all colours. */
static void store(const ap_labelled_images *from, int64_t i, ap_example *example) {
    const uint8_t *published = from->images + i * from->image_stride;
    uint8_t *pixels = example->data[AP_IMAGENET_INPUTS];
    for (int p = 0; p < PIXELS; p++)
        for (int c = 0; c < AP_COLOURS; c++) pixels[AP_COLOURS * p + c] = published[p];
    int32_t *size = example->data[AP_IMAGENET_SIZE];
    size[0] = size[1] = SIDE;
    *(int32_t *)example->data[AP_IMAGENET_TARGETS] = from->labels[i * from->label_stride];
}

static ap_status pack_split(ap_packer *packer, ap_split split, const ap_labelled_images *from, int64_t first,
                            int64_t count, ap_error *error) {
    ap_example example = {0};
    ap_status status = ap_example_reserve(&example, AP_IMAGENET_FIELDS, ap_imagenet_generator.field, lengths, error);
    if (status == AP_OK)
        status = ap_packer_begin(packer, split, count, (int64_t[AP_IMAGENET_FIELDS]){count * lengths[0]}, error);
    for (int64_t i = first; status == AP_OK && i < first + count; i++) {
        store(from, i, &example);
        status = ap_packer_append(packer, &example, error);
    }
    ap_example_free(&example);
    return status;
}

/* Validation is the last sixth of the training images, as the workload mnist splits them. */
static ap_status pack_all(ap_packer *packer, const ap_idx_folder *folder, ap_error *error) {
    const ap_labelled_images train = ap_idx_images(folder, false), test = ap_idx_images(folder, true);
    const int64_t validation = train.count / 6;
    AP_TRY(pack_split(packer, AP_TRAIN, &train, 0, train.count - validation, error));
    AP_TRY(pack_split(packer, AP_VALIDATION, &train, train.count - validation, validation, error));
    return pack_split(packer, AP_TEST, &test, 0, test.count, error);
}

static ap_status pack(const char *workload, const ap_prepare_options *options, const ap_idx_folder *folder,
                      ap_error *error) {
    const int64_t train = ap_idx_images(folder, false).count, test = ap_idx_images(folder, true).count;
    if (train < 6 || test < 1)
        return ap_fail(error, AP_DATA,
                       "%s: %lld training and %lld test images (at least 6, of which a sixth is for validation, and 1)",
                       options->from, (long long)train, (long long)test);
    ap_packer *packer;
    AP_TRY(ap_packer_create(options->to, workload, options->name ? options->name : folder->name, folder->source,
                            AP_IMAGENET_FIELDS, ap_imagenet_generator.field, &packer, error));
    if (!packer) return AP_OK; /* already there */
    ap_status status = pack_all(packer, folder, error);
    if (status == AP_OK) return ap_packer_commit(packer, error);
    ap_packer_abandon(packer);
    return status;
}

ap_status ap_imagenet_prepare_idx(const char *workload, const ap_prepare_options *options, ap_error *error) {
    ap_idx_folder folder;
    ap_status status = ap_idx_folder_read(options->from, SIDE, CLASSES, &folder, error);
    if (status == AP_OK) status = pack(workload, options, &folder, error);
    ap_idx_folder_free(&folder);
    return status;
}
