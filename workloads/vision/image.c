#include "workloads/vision/image.h"

#include "base/random.h"

#include <string.h>

void ap_image_normalise(const uint8_t *pixels, int64_t h, int64_t w, const ap_crop *crop, const ap_colour_scale *scale,
                        int64_t size_h, int64_t size_w, float *out) {
    float value[AP_COLOURS][256];
    for (int c = 0; c < AP_COLOURS; c++)
        for (int v = 0; v < 256; v++) value[c][v] = ((float)v / 255.0f - scale->mean[c]) / scale->std[c];
    for (int64_t i = 0; i < size_h; i++)
        for (int64_t j = 0; j < size_w; j++) {
            const int64_t y = crop->top + i, x = crop->left + (crop->flip ? size_w - 1 - j : j);
            const bool inside = y >= 0 && y < h && x >= 0 && x < w;
            for (int c = 0; c < AP_COLOURS; c++)
                out[(c * size_h + i) * size_w + j] = value[c][inside ? pixels[(y * w + x) * AP_COLOURS + c] : 0];
        }
}

/* From the end to the beginning: what is written was read before. */
void ap_image_enlarge(float *image, int64_t size, int64_t times) {
    const int64_t large = size * times;
    for (int64_t row = times > 1 ? AP_COLOURS * large - 1 : -1; row >= 0; row--) /* rows of all three planes */
        for (int64_t x = large - 1; x >= 0; x--) image[row * large + x] = image[row / times * size + x / times];
}

ap_status ap_image_batch_add(const ap_collate_key *key, int64_t n, int64_t padded_to, int64_t h, int64_t w,
                             ap_batch *batch, ap_image_batch *arrays, ap_error *error) {
    const bool weighted = padded_to > n || !key->training;
    const int64_t pixels = AP_COLOURS * h * w;
    arrays->inputs = ap_batch_add(batch, "inputs", AP_F32, 4, (int64_t[]){padded_to, AP_COLOURS, h, w});
    arrays->targets = ap_batch_add(batch, "targets", AP_I64, 1, &padded_to);
    arrays->weights = weighted ? ap_batch_add(batch, "weights", AP_F32, 1, &padded_to) : NULL;
    if (!arrays->inputs || !arrays->targets || (weighted && !arrays->weights))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %lld images of %lld x %lld pixels",
                       (long long)padded_to, (long long)h, (long long)w);
    memset(arrays->inputs + n * pixels, 0, (size_t)((padded_to - n) * pixels) * sizeof *arrays->inputs);
    memset(arrays->targets + n, 0, (size_t)(padded_to - n) * sizeof *arrays->targets);
    for (int64_t i = 0; weighted && i < padded_to; i++) arrays->weights[i] = i < n ? 1.0f : 0.0f;
    batch->examples = padded_to;
    batch->real_examples = n;
    return AP_OK;
}

void ap_image_draws(const ap_collate_key *key, int64_t i, int count, float *draws) {
    enum { EACH = 64 };
    ap_random stream = ap_random_stream(key->seed, AP_RANDOM_AUGMENT, (uint64_t)key->step, (uint32_t)key->shard);
    ap_random_fill_uniform(&stream, (uint64_t)(i * EACH), (size_t)(count < EACH ? count : EACH), 0, 1, draws);
}
