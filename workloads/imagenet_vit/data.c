/* What only imagenet_vit does with its images: RandAugment and mixup. */
#include "workloads/imagenet_vit/imagenet_vit.h"
#include "workloads/vision/image.h"

#include "base/fmath.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

/* Beta(a, a) by Johnk's method on pairs of the stream's elements behind those of all images: x = u^(1/a), y = v^(1/a),
 * until 0 < x + y <= 1. */
static double draw_weight(const ap_collate_key *key, double a) {
    static const uint64_t FIRST = UINT64_C(1) << 33;
    enum { TRIES = 1000 };
    ap_random stream = ap_random_stream(key->seed, AP_RANDOM_AUGMENT, (uint64_t)key->step, (uint32_t)key->shard);
    for (uint64_t t = 0; t < TRIES; t++) {
        const double x = ap_f64_pow((double)ap_random_uniform(&stream, FIRST + 2 * t), 1 / a);
        const double y = ap_f64_pow((double)ap_random_uniform(&stream, FIRST + 2 * t + 1), 1 / a);
        if (x + y > 0 && x + y <= 1) return x / (x + y);
    }
    return 0.5; /* for a >> 1, where the method hardly ever accepts, the weight is near this */
}

/* rows [n, size]: row i becomes w row i + (1 - w) row i - 1, row 0 with the last one; each product and sum rounded
 * once. last [size]: memory. */
static void mix_rows(float *rows, int64_t n, int64_t size, float w, float rest, float *last) {
    memcpy(last, rows + (n - 1) * size, (size_t)size * sizeof *last);
    for (int64_t i = n - 1; i >= 0; i--) {
        float *row = rows + i * size;
        const float *before = i > 0 ? row - size : last;
        for (int64_t k = 0; k < size; k++) row[k] = w * row[k] + rest * before[k];
    }
}

/* Mixup (Zhang et al., arXiv 1710.09412) within the shard, as the reference does it within a device: one weight for
 * all. Labels become distributions. */
static ap_status mix(const ap_imagenet_vit_model *m, const ap_collate_key *key, int64_t n, ap_batch *batch,
                     ap_error *error) {
    const int64_t classes = m->images.classes, side = m->images.image_size, size = AP_COLOURS * side * side;
    const double weight = draw_weight(key, m->mixup_alpha);
    ap_array *inputs = NULL, *targets = NULL;
    for (int i = 0; i < batch->arrays; i++) {
        if (!strcmp(batch->array[i].name, "inputs")) inputs = &batch->array[i];
        if (!strcmp(batch->array[i].name, "targets")) targets = &batch->array[i];
    }
    float *mixed = ap_batch_add(batch, "mixed_targets", AP_F32, 2, (int64_t[]){n, classes});
    float *last = ap_batch_add(batch, "last_image", AP_F32, 1, (int64_t[]){size > classes ? size : classes});
    if (!mixed || !last || !inputs || !targets) return ap_fail(error, AP_ENVIRONMENT, "out of memory for mixup");
    const int64_t *labels = targets->data;
    memset(mixed, 0, (size_t)(n * classes) * sizeof *mixed);
    for (int64_t i = 0; i < n; i++) mixed[i * classes + labels[i]] = 1;
    mix_rows(mixed, n, classes, (float)weight, (float)(1 - weight), last);
    mix_rows(inputs->data, n, size, (float)weight, (float)(1 - weight), last);
    targets->name = "labels", batch->array[batch->arrays - 2].name = "targets";
    return AP_OK;
}

ap_status ap_imagenet_vit_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                                  int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_imagenet_vit_model *m = model;
    AP_TRY(ap_imagenet_collate_augmented(&m->images, m->randaugment, key, n, examples, padded_to, batch, error));
    return key->training && m->mixup_alpha > 0 ? mix(m, key, n, batch, error) : AP_OK;
}
