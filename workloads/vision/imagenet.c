#include "workloads/vision/imagenet.h"
#include "workloads/vision/image.h"

static const ap_colour_scale scale = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};

static ap_status check_example(const ap_imagenet_images *m, const ap_example *example, ap_error *error) {
    const int32_t *size = example->data[AP_IMAGENET_SIZE], label = *(const int32_t *)example->data[AP_IMAGENET_TARGETS];
    if (label < 0 || label >= m->classes)
        return ap_fail(error, AP_DATA, "label %d (the model has %lld classes)", label, (long long)m->classes);
    if (size[0] < 1 || size[0] != size[1] || m->image_size % size[0] ||
        example->length[AP_IMAGENET_INPUTS] != (int64_t)size[0] * size[1] * AP_COLOURS)
        return ap_fail(error, AP_DATA,
                       "an image of %d x %d pixels in %lld bytes (the model's have %lld x %lld; stored ones may be a "
                       "half, a third, ... of that)",
                       size[0], size[1], (long long)example->length[AP_IMAGENET_INPUTS], (long long)m->image_size,
                       (long long)m->image_size);
    return AP_OK;
}

ap_status ap_imagenet_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                              int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_imagenet_images *m = model;
    const int64_t side = m->image_size;
    ap_image_batch arrays;
    AP_TRY(ap_image_batch_add(key, n, padded_to, side, side, batch, &arrays, error));
    for (int64_t i = 0; i < n; i++) {
        AP_TRY(check_example(m, &examples[i], error));
        float u = 1;
        if (key->training) ap_image_draws(key, i, 1, &u);
        const int64_t stored = *(const int32_t *)examples[i].data[AP_IMAGENET_SIZE];
        float *image = arrays.inputs + i * AP_COLOURS * side * side;
        ap_image_normalise(examples[i].data[AP_IMAGENET_INPUTS], stored, stored, &(ap_crop){.flip = u < 0.5f}, &scale,
                           stored, stored, image);
        ap_image_enlarge(image, stored, side / stored);
        arrays.targets[i] = *(const int32_t *)examples[i].data[AP_IMAGENET_TARGETS];
    }
    return AP_OK;
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
