#include "workloads/vision/resnet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGES = 4, EXPANSION = 4, COLOURS = 3, NAME = 64 };

/* One block: where it lies and its extents. */
typedef struct block {
    char name[NAME]; /* "layer1.0" */
    int64_t in, width, out, stride;
    bool projects; /* the shortcut is a 1x1 convolution and a batch norm */
} block;

static ap_status read_layers(const ap_resnet *m, int64_t layers[STAGES], ap_error *error) {
    const char *text = m->layers;
    for (int stage = 0; stage < STAGES; stage++) {
        char *end;
        layers[stage] = strtol(text, &end, 10);
        if (end == text || layers[stage] < 1 || layers[stage] > 1000 || *end != (stage == STAGES - 1 ? 0 : ','))
            return ap_fail(error, AP_CONFIG,
                           "layers = \"%s\" (must be the blocks of four stages, 1 to 1000 each, such as \"3,4,6,3\")",
                           m->layers);
        text = end + 1;
    }
    return AP_OK;
}

static block block_of(const ap_resnet *m, int stage, int64_t index, int64_t in) {
    block b = {.in = in, .width = m->base_width << stage, .stride = stage > 0 && index == 0 ? 2 : 1};
    b.out = b.width * (m->bottleneck ? EXPANSION : 1);
    b.projects = b.stride != 1 || b.in != b.out;
    snprintf(b.name, sizeof b.name, "layer%d.%lld", stage + 1, (long long)index);
    return b;
}

/* ---- parameters */

typedef struct definition {
    const ap_resnet *model;
    ap_params *params, *state;
    ap_error *error;
} definition;

static ap_status define_conv(const definition *d, const char *prefix, const char *name, int64_t out, int64_t in,
                             int64_t window) {
    char full[2 * NAME];
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    return ap_params_add(d->params, full, 4, (int64_t[]){out, in, window, window},
                         ap_init_lecun_truncated_normal(in * window * window), d->error);
}

static ap_status define_norm(const definition *d, const char *prefix, const char *name, int64_t channels,
                             double scale) {
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    const double values[] = {scale, 0, 0, 1};
    for (int i = 0; i < 4; i++) {
        char full[2 * NAME];
        snprintf(full, sizeof full, "%s%s.%s", prefix, name, parts[i]);
        AP_TRY(ap_params_add(i < 2 ? d->params : d->state, full, 1, &channels, ap_init_constant(values[i]), d->error));
    }
    return AP_OK;
}

static ap_status define_block(const definition *d, const block *b) {
    char prefix[NAME + 1];
    snprintf(prefix, sizeof prefix, "%s.", b->name);
    const double last = d->model->bn_init_scale;
    if (d->model->bottleneck) {
        AP_TRY(define_conv(d, prefix, "conv1", b->width, b->in, 1));
        AP_TRY(define_norm(d, prefix, "bn1", b->width, 1));
        AP_TRY(define_conv(d, prefix, "conv2", b->width, b->width, 3));
        AP_TRY(define_norm(d, prefix, "bn2", b->width, 1));
        AP_TRY(define_conv(d, prefix, "conv3", b->out, b->width, 1));
        AP_TRY(define_norm(d, prefix, "bn3", b->out, last));
    } else {
        AP_TRY(define_conv(d, prefix, "conv1", b->width, b->in, 3));
        AP_TRY(define_norm(d, prefix, "bn1", b->width, 1));
        AP_TRY(define_conv(d, prefix, "conv2", b->out, b->width, 3));
        AP_TRY(define_norm(d, prefix, "bn2", b->out, last));
    }
    if (!b->projects) return AP_OK;
    AP_TRY(define_conv(d, prefix, "downsample.conv", b->out, b->in, 1));
    return define_norm(d, prefix, "downsample.bn", b->out, 1);
}

ap_status ap_resnet_define(const ap_resnet *m, ap_params *params, ap_params *state, ap_error *error) {
    const definition d = {m, params, state, error};
    int64_t layers[STAGES], channels = m->base_width;
    AP_TRY(read_layers(m, layers, error));
    AP_TRY(define_conv(&d, "", "conv1", channels, COLOURS, m->large_images ? 7 : 3));
    AP_TRY(define_norm(&d, "", "bn1", channels, 1));
    for (int stage = 0; stage < STAGES; stage++)
        for (int64_t i = 0; i < layers[stage]; i++) {
            const block b = block_of(m, stage, i, channels);
            AP_TRY(define_block(&d, &b));
            channels = b.out;
        }
    AP_TRY(ap_params_add(params, "fc.weight", 2, (int64_t[]){m->classes, channels}, ap_init_normal(0.01), error));
    return ap_params_add(params, "fc.bias", 1, &m->classes, ap_init_constant(0), error);
}

/* ---- forward */

/* Parameters and state are used in the order in which they were declared. */
typedef struct run {
    const ap_resnet *model;
    ap_tape *tape;
    ap_activation activation;
    int param, state;
} run;

static ap_tensor *convolve(run *r, ap_tensor *x, int64_t stride) {
    ap_tensor *w = ap_tape_param(r->tape, r->param++);
    const int64_t pad = w ? w->shape[2] / 2 : 0;
    return ap_conv2d(r->tape, x, w, NULL,
                     &(ap_conv2d_options){.stride_h = stride,
                                          .stride_w = stride,
                                          .pad_top = pad,
                                          .pad_left = pad,
                                          .pad_bottom = pad,
                                          .pad_right = pad});
}

static ap_tensor *normalise(run *r, ap_tensor *x, ap_activation activation, ap_tensor *residual) {
    ap_tensor *scale = ap_tape_param(r->tape, r->param), *bias = ap_tape_param(r->tape, r->param + 1);
    const ap_running running = {.mean = r->state, .variance = r->state + 1, .momentum = (float)r->model->bn_momentum};
    r->param += 2, r->state += 2;
    return ap_batch_norm(
        r->tape, x, scale, bias, &running,
        &(ap_norm_options){.eps = (float)r->model->bn_eps, .activation = activation, .residual = residual});
}

/* The shortcut is declared last, and the block's last batch norm adds it. */
static ap_tensor *run_block(run *r, const block *b, ap_tensor *x) {
    const int convolutions = r->model->bottleneck ? 3 : 2;
    run shortcut = *r;
    shortcut.param += 3 * convolutions, shortcut.state += 2 * convolutions;
    ap_tensor *h = x, *identity = x;
    if (r->model->bottleneck) h = normalise(r, convolve(r, h, 1), r->activation, NULL);
    h = normalise(r, convolve(r, h, b->stride), r->activation, NULL); /* the first 3x3 has the stride */
    h = convolve(r, h, 1);
    if (b->projects) identity = normalise(&shortcut, convolve(&shortcut, x, b->stride), AP_IDENTITY, NULL);
    h = normalise(r, h, r->activation, identity);
    if (b->projects) r->param = shortcut.param, r->state = shortcut.state;
    return h;
}

static ap_activation activation_of(const char *name) {
    return strcmp(name, "silu") == 0 ? AP_SILU : strcmp(name, "gelu") == 0 ? AP_GELU : AP_RELU;
}

static ap_tensor *pool(const ap_resnet *m, const char *name, ap_tape *tape, ap_tensor *x) {
    if (m->large_images || !x) return ap_global_average_pool(tape, x);
    if (x->shape[1] / 4 != 1 || x->shape[2] / 4 != 1)
        return ap_tape_fail_as(tape, AP_DATA,
                               "%s: the last stage has %lld x %lld pixels (4 to 7 are possible: images of "
                               "32 to 63 pixels)",
                               name, (long long)x->shape[1], (long long)x->shape[2]);
    return ap_reshape(tape, ap_average_pool2d(tape, x, 4, 4), 2, (int64_t[]){x->shape[0], x->shape[3]});
}

ap_tensor *ap_resnet_forward(const ap_resnet *m, const char *name, ap_tape *tape, const ap_batch *batch) {
    const ap_array *images = ap_batch_find(batch, "inputs");
    if (!images || images->type != AP_F32 || images->rank != 4 || images->shape[1] != COLOURS)
        return ap_tape_fail_as(tape, AP_DATA, "%s: the batch needs `inputs`, float32 [n, 3, h, w]", name);
    ap_error error = {0};
    int64_t layers[STAGES], channels = m->base_width;
    if (read_layers(m, layers, &error)) return ap_tape_fail_as(tape, AP_CONFIG, "%s", error.text);
    run r = {.model = m, .tape = tape, .activation = activation_of(m->activation)};
    ap_tensor *x = ap_channels_last(tape, ap_tape_input(tape, images->data, 4, images->shape));
    x = normalise(&r, convolve(&r, x, m->large_images ? 2 : 1), r.activation, NULL);
    if (m->large_images) x = ap_max_pool2d(tape, x, 3, 2, 1);
    for (int stage = 0; stage < STAGES; stage++)
        for (int64_t i = 0; i < layers[stage]; i++) {
            const block b = block_of(m, stage, i, channels);
            x = run_block(&r, &b, x);
            channels = b.out;
        }
    x = pool(m, name, tape, x);
    return ap_linear(tape, x, ap_tape_param(tape, r.param), ap_tape_param(tape, r.param + 1));
}
