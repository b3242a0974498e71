/* Images for cifar: what the model sees (collate) and the built-in synthetic set. */
#include "workloads/cifar/cifar.h"
#include "workloads/vision/image.h"
#include "workloads/vision/synthetic.h"

enum { SIDE = 32, PAD = 4, INPUTS = 0, TARGETS = 1, FIELDS = 2 };

static const ap_colour_scale scale = {{0.49139968f, 0.48215827f, 0.44653124f}, {0.24703233f, 0.24348505f, 0.26158768f}};

/* Training: 4 pixels of zeros on every side, a random 32 x 32 crop, a flip with p = 0.5 (the reference's PyTorch form).
 */
static ap_crop crop_of(const ap_collate_key *key, int64_t i) {
    float u[3];
    if (!key->training) return (ap_crop){0};
    ap_image_draws(key, i, 3, u);
    return (ap_crop){.top = (int64_t)(u[0] * (2 * PAD + 1)) - PAD,
                     .left = (int64_t)(u[1] * (2 * PAD + 1)) - PAD,
                     .flip = u[2] < 0.5f};
}

ap_status ap_cifar_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                           int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_cifar_model *m = model;
    ap_image_batch arrays;
    AP_TRY(ap_image_batch_add(key, n, padded_to, SIDE, SIDE, batch, &arrays, error));
    for (int64_t i = 0; i < n; i++) {
        const uint8_t label = *(const uint8_t *)examples[i].data[TARGETS];
        if (label >= m->classes)
            return ap_fail(error, AP_DATA, "label %d (the model has %lld classes)", label, (long long)m->classes);
        const ap_crop crop = crop_of(key, i);
        ap_image_normalise(examples[i].data[INPUTS], SIDE, SIDE, &crop, &scale, SIDE, SIDE,
                           arrays.inputs + i * AP_COLOURS * SIDE * SIDE);
        arrays.targets[i] = label;
    }
    return AP_OK;
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    const ap_cifar_model *m = model;
    AP_TRY(ap_example_reserve(example, FIELDS, ap_cifar_generator.field, NULL, error));
    ap_synthetic_image(seed, split, index, m->classes, SIDE, m->synthetic_turn, example->data[INPUTS]);
    *(uint8_t *)example->data[TARGETS] = (uint8_t)ap_synthetic_label(seed, split, index, m->classes);
    return AP_OK;
}

const ap_generator ap_cifar_generator = {
    .name = "synthetic",
    .fields = FIELDS,
    .field = {{.name = "inputs", .type = AP_U8, .rank = 3, .shape = {SIDE, SIDE, AP_COLOURS}},
              {.name = "targets", .type = AP_U8}},
    .generate = generate,
};
