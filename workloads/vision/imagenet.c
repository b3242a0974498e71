#include "workloads/vision/imagenet.h"
#include "workloads/vision/image.h"
#include "workloads/vision/photo.h"

static const ap_colour_scale scale = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};

static ap_status check_label(const ap_imagenet_images *m, int32_t label, ap_error *error) {
    return label >= 0 && label < m->classes
               ? AP_OK
               : ap_fail(error, AP_DATA, "label %d (the model has %lld classes)", label, (long long)m->classes);
}

static ap_status check_size(const ap_imagenet_images *m, const int32_t *size, int64_t bytes, ap_error *error) {
    if (size[0] >= 1 && size[0] == size[1] && m->image_size % size[0] == 0) return AP_OK;
    return ap_fail(
        error, AP_DATA,
        "an image of %d x %d pixels in %lld bytes (the model's have %lld x %lld; stored ones may be a half, a "
        "third, ... of that)",
        size[0], size[1], (long long)bytes, (long long)m->image_size, (long long)m->image_size);
}

static ap_status make_image(const ap_imagenet_images *m, bool augment, const ap_collate_key *key, int64_t i,
                            const ap_example *example, ap_photo_memory *memory, float *out, ap_error *error) {
    const int32_t *size = example->data[AP_IMAGENET_SIZE];
    const int64_t bytes = example->length[AP_IMAGENET_INPUTS], side = m->image_size;
    if (bytes != (int64_t)size[0] * size[1] * AP_COLOURS)
        return ap_photo_prepare(key, i, example->data[AP_IMAGENET_INPUTS], (size_t)bytes, size[0], size[1], side,
                                augment, &scale, memory, out, error);
    AP_TRY(check_size(m, size, bytes, error));
    float u = 1;
    if (key->training) ap_image_draws(key, i, 1, &u);
    const int64_t stored = size[0];
    ap_image_normalise(example->data[AP_IMAGENET_INPUTS], stored, stored, &(ap_crop){.flip = u < 0.5f}, &scale, stored,
                       stored, out);
    ap_image_enlarge(out, stored, side / stored);
    return AP_OK;
}

ap_status ap_imagenet_collate_augmented(const ap_imagenet_images *m, bool augment, const ap_collate_key *key, int64_t n,
                                        const ap_example *examples, int64_t padded_to, ap_batch *batch,
                                        ap_error *error) {
    const int64_t side = m->image_size;
    ap_image_batch arrays;
    ap_photo_memory memory = {0};
    AP_TRY(ap_image_batch_add(key, n, padded_to, side, side, batch, &arrays, error));
    ap_status status = AP_OK;
    for (int64_t i = 0; status == AP_OK && i < n; i++) {
        arrays.targets[i] = *(const int32_t *)examples[i].data[AP_IMAGENET_TARGETS];
        status = check_label(m, (int32_t)arrays.targets[i], error);
        if (status == AP_OK)
            status = make_image(m, augment, key, i, &examples[i], &memory, arrays.inputs + i * AP_COLOURS * side * side,
                                error);
    }
    ap_photo_memory_free(&memory);
    return status;
}

ap_status ap_imagenet_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                              int64_t padded_to, ap_batch *batch, ap_error *error) {
    return ap_imagenet_collate_augmented(model, false, key, n, examples, padded_to, batch, error);
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    const ap_imagenet_images *m = model;
    const int64_t lengths[AP_IMAGENET_FIELDS] = {m->image_size * m->image_size * AP_COLOURS, 2, 1};
    AP_TRY(ap_example_reserve(example, AP_IMAGENET_FIELDS, ap_imagenet_generator.field, lengths, error));
    ap_synthetic_image(seed, split, index, m->classes, m->image_size, m->synthetic_turn,
                       example->data[AP_IMAGENET_INPUTS]);
    int32_t *size = example->data[AP_IMAGENET_SIZE];
    size[0] = size[1] = (int32_t)m->image_size;
    *(int32_t *)example->data[AP_IMAGENET_TARGETS] = (int32_t)ap_synthetic_label(seed, split, index, m->classes);
    return AP_OK;
}

const ap_generator ap_imagenet_generator = {
    .name = "synthetic", .fields = AP_IMAGENET_FIELDS, .field = AP_IMAGENET_FIELD_LIST, .generate = generate};
