/* The fastmri model: a U-Net (Ronneberger et al., arXiv 1505.04597) on one channel; L1 loss; SSIM. */
#include "workloads/fastmri/fastmri.h"

#include "workload/ssim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const ap_option ap_fastmri_options[ap_fastmri_option_count] = {
    {.name = "num_channels",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_fastmri_model, num_channels),
     .min = 1,
     .max = 4096,
     .fallback = "32",
     .help = "channels of the first block; doubled at each level"},
    {.name = "num_pool_layers",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_fastmri_model, num_pool_layers),
     .min = 1,
     .max = 12,
     .fallback = "4",
     .help = "levels"},
    {.name = "use_tanh",
     .type = AP_OPTION_BOOL,
     .offset = offsetof(ap_fastmri_model, use_tanh),
     .fallback = "false",
     .help = "tanh in place of leaky ReLU"},
    {.name = "use_layer_norm",
     .type = AP_OPTION_BOOL,
     .offset = offsetof(ap_fastmri_model, use_layer_norm),
     .fallback = "false",
     .help = "in the blocks normalisation over channels and pixels, with scale and bias, in place of instance norm"},
    {.name = "image_size",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_fastmri_model, image_size),
     .min = 16,
     .max = 1024,
     .fallback = "320",
     .help = "side of the images that the model sees, pixels"},
};

enum { NAME = 96 };
static const float slope = 0.2f, instance_eps = 1e-5f, layer_eps = 1e-6f;

/* ---- parameters: down blocks, bottleneck, up blocks, the last convolution, transposed convolutions */

static ap_status define_conv(ap_params *params, const char *name, int64_t out, int64_t in, int64_t window,
                             ap_error *error) {
    char full[3 * NAME];
    snprintf(full, sizeof full, "%s.weight", name);
    return ap_params_add(params, full, 4, (int64_t[]){out, in, window, window},
                         ap_init_lecun_truncated_normal(in * window * window), error);
}

static ap_status define_block(const ap_fastmri_model *m, ap_params *params, const char *prefix, int64_t out, int64_t in,
                              ap_error *error) {
    for (int i = 0; i < 2; i++) {
        char name[2 * NAME];
        snprintf(name, sizeof name, "%s.conv_layers.%d", prefix, 4 * i);
        AP_TRY(define_conv(params, name, out, i ? out : in, 3, error));
        if (!m->use_layer_norm) continue;
        snprintf(name, sizeof name, "%s.conv_layers.%d.weight", prefix, 4 * i + 1);
        AP_TRY(ap_params_add(params, name, 1, &out, ap_init_constant(1), error));
        snprintf(name, sizeof name, "%s.conv_layers.%d.bias", prefix, 4 * i + 1);
        AP_TRY(ap_params_add(params, name, 1, &out, ap_init_constant(0), error));
    }
    return AP_OK;
}

/* Channels of level i; level num_pool_layers is the bottleneck. */
static int64_t width_of(const ap_fastmri_model *m, int64_t level) {
    return m->num_channels << level;
}

ap_status ap_fastmri_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const ap_fastmri_model *m = model;
    const int64_t levels = m->num_pool_layers;
    char name[NAME];
    (void)state; /* instance norm has no running statistics */
    for (int64_t i = 0; i < levels; i++) {
        snprintf(name, sizeof name, "down_sample_layers.%lld", (long long)i);
        AP_TRY(define_block(m, params, name, width_of(m, i), i ? width_of(m, i - 1) : 1, error));
    }
    AP_TRY(define_block(m, params, "conv", width_of(m, levels), width_of(m, levels - 1), error));
    for (int64_t i = 0; i < levels; i++) {
        const int64_t width = width_of(m, levels - 1 - i);
        snprintf(name, sizeof name, "up_conv.%lld%s", (long long)i, i == levels - 1 ? ".0" : "");
        AP_TRY(define_block(m, params, name, width, 2 * width, error));
    }
    snprintf(name, sizeof name, "up_conv.%lld.1", (long long)(levels - 1));
    AP_TRY(define_conv(params, name, 1, m->num_channels, 1, error));
    snprintf(name, sizeof name, "up_conv.%lld.1.bias", (long long)(levels - 1));
    AP_TRY(ap_params_add(params, name, 1, (int64_t[]){1}, ap_init_constant(0), error));
    for (int64_t i = 0; i < levels; i++) { /* stored [in, out, 2, 2]: the fan of the rule is out * 4 */
        const int64_t out = width_of(m, levels - 1 - i);
        snprintf(name, sizeof name, "up_transpose_conv.%lld.layers.0", (long long)i);
        AP_TRY(define_conv(params, name, 2 * out, out, 2, error));
    }
    return AP_OK;
}

/* ---- forward */

typedef struct run {
    const ap_fastmri_model *model;
    ap_tape *tape;
    int param; /* the next one; blocks are used in the order of their declaration */
} run;

static ap_tensor *normalise(run *r, ap_tensor *x, bool affine) {
    const ap_norm_options options = {.eps = affine ? layer_eps : instance_eps,
                                     .activation = r->model->use_tanh ? AP_TANH : AP_LEAKY_RELU,
                                     .slope = slope};
    if (!affine) return ap_instance_norm(r->tape, x, &options);
    ap_tensor *scale = ap_tape_param(r->tape, r->param), *bias = ap_tape_param(r->tape, r->param + 1);
    r->param += 2;
    return ap_group_norm(r->tape, x, 1, scale, bias, &options);
}

static ap_tensor *block(run *r, ap_tensor *x) {
    const ap_conv2d_options same = {.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    for (int i = 0; i < 2; i++) {
        x = ap_conv2d(r->tape, x, ap_tape_param(r->tape, r->param++), NULL, &same);
        x = ap_dropout2d(r->tape, normalise(r, x, r->model->use_layer_norm));
    }
    return x;
}

/* Upsamples x to the size of `saved` and puts both together. */
static ap_tensor *join(run *r, ap_tensor *x, ap_tensor *weights, ap_tensor *saved) {
    x = normalise(r, ap_conv2d_transposed(r->tape, x, weights, NULL, 2), false);
    if (!x || !saved) return NULL;
    x = ap_reflect_pad(r->tape, x, saved->shape[1] - x->shape[1], saved->shape[2] - x->shape[2]);
    return ap_concat(r->tape, x, saved);
}

ap_tensor *ap_fastmri_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    enum { MOST = 12 };
    const ap_fastmri_model *m = model;
    const ap_array *images = ap_batch_find(batch, "inputs");
    if (!images || images->type != AP_F32 || images->rank != 3)
        return ap_tape_fail_as(tape, AP_DATA, "fastmri: the batch needs `inputs`, float32 [n, h, w]");
    const int64_t n = images->shape[0], h = images->shape[1], w = images->shape[2];
    const int levels = (int)m->num_pool_layers, transposed = ap_params_count(ap_tape_params(tape)) - levels;
    run r = {.model = m, .tape = tape};
    ap_tensor *saved[MOST], *x = ap_tape_input(tape, images->data, 4, (int64_t[]){n, h, w, 1});
    for (int i = 0; i < levels; i++) {
        saved[i] = block(&r, x);
        x = ap_average_pool2d(tape, saved[i], 2, 2);
    }
    x = block(&r, x);
    for (int i = 0; i < levels; i++)
        x = block(&r, join(&r, x, ap_tape_param(tape, transposed + i), saved[levels - 1 - i]));
    x = ap_conv2d(tape, x, ap_tape_param(tape, r.param), ap_tape_param(tape, r.param + 1), &(ap_conv2d_options){0});
    return ap_reshape(tape, x, 3, (int64_t[]){n, h, w});
}

/* ---- loss and metric */

/* float32 array of the batch with `size` elements, or NULL with the tape's error set. */
static const float *batch_array(ap_tape *tape, const ap_batch *batch, const char *name, int64_t size) {
    const ap_array *array = ap_batch_find(batch, name);
    if (array && array->type == AP_F32 && array->size == size) return array->data;
    return ap_tape_fail_as(tape, AP_DATA, "fastmri: the batch needs `%s`, float32 with %lld elements", name,
                           (long long)size);
}

ap_loss ap_fastmri_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                        const ap_loss_options *options) {
    (void)model, (void)options; /* labels cannot be smoothed here */
    if (!logits) return (ap_loss){0};
    const float *targets = batch_array(tape, batch, "targets", logits->size), *weights = NULL;
    if (ap_batch_find(batch, "weights")) weights = batch_array(tape, batch, "weights", logits->shape[0]);
    return ap_l1_loss(tape, logits, targets, weights);
}

/* SSIM of one example in the original scale, x std + mean, rounded to float as the reference has it. */
static double ssim_of(const ap_tensor *logits, const ap_batch *batch, int64_t i, float *output, float *target) {
    const int64_t h = logits->shape[1], w = logits->shape[2];
    const float mean = ap_batch_f32(batch, "mean")[i], std = ap_batch_f32(batch, "std")[i];
    const float *x = logits->data + i * h * w, *t = ap_batch_f32(batch, "targets") + i * h * w;
    for (int64_t j = 0; j < h * w; j++) output[j] = x[j] * std + mean, target[j] = t[j] * std + mean;
    return ap_ssim(h, w, output, target, (double)ap_batch_f32(batch, "volume_max")[i]);
}

void ap_fastmri_example_ssim(const void *model, const ap_tensor *logits, const ap_batch *batch, float *values) {
    (void)model;
    const size_t pixels = (size_t)(logits->size / logits->shape[0]);
    float *room = malloc(2 * pixels * sizeof *room);
    for (int64_t i = 0; i < logits->shape[0]; i++)
        values[i] = room ? (float)ssim_of(logits, batch, i, room, room + pixels) : NAN;
    free(room);
}

void ap_fastmri_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums) {
    ap_loss loss = ap_fastmri_loss(model, tape, logits, batch, &(ap_loss_options){0});
    if (!loss.per_example) return;
    const int64_t n = logits->shape[0];
    const float *weights = ap_batch_f32(batch, "weights");
    if (!batch_array(tape, batch, "mean", n) || !batch_array(tape, batch, "std", n) ||
        !batch_array(tape, batch, "volume_max", n))
        return;
    const size_t pixels = (size_t)(logits->size / n);
    float *room = ap_tape_take(tape, 2 * pixels * sizeof *room);
    for (int64_t i = 0; i < n && room; i++)
        if (!weights || weights[i] > 0) sums[AP_FASTMRI_SSIM] += ssim_of(logits, batch, i, room, room + pixels);
    sums[AP_FASTMRI_LOSS] += loss.summed;
    sums[AP_FASTMRI_VALID] += loss.n_valid;
}

void ap_fastmri_metrics(const double *sums, int64_t examples, double *metrics) {
    metrics[0] = sums[AP_FASTMRI_SSIM] / (double)examples;
    metrics[1] = sums[AP_FASTMRI_LOSS] / sums[AP_FASTMRI_VALID];
}
