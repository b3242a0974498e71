/* The imagenet_vit model: a vision transformer without class token. */
#include "workloads/imagenet_vit/imagenet_vit.h"

#include "base/fmath.h"

#include <math.h>
#include <stdio.h>

#define INT_OPTION(member, low, high, text, help_text)                                                                 \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_INT, .offset = offsetof(ap_imagenet_vit_model, member), .min = low,         \
        .max = high, .fallback = text, .help = help_text                                                               \
    }
#define BOOL_OPTION(member, help_text)                                                                                 \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_BOOL, .offset = offsetof(ap_imagenet_vit_model, member),                    \
        .fallback = "false", .help = help_text                                                                         \
    }

const ap_option ap_imagenet_vit_options[ap_imagenet_vit_option_count] = {
    {.name = "patch_size",
     .type = AP_OPTION_STRING,
     .offset = offsetof(ap_imagenet_vit_model, patch_size),
     .fallback = "16,16",
     .help = "height and width of a patch, pixels"},
    INT_OPTION(width, 8, 1 << 16, "384", "width of a token, a multiple of 4 and of num_heads"),
    INT_OPTION(depth, 1, 1000, "12", "blocks"),
    INT_OPTION(mlp_dim, 1, 1 << 18, "1536", "hidden width of the blocks' perceptrons"),
    INT_OPTION(num_heads, 1, 1024, "6", "heads of attention"),
    BOOL_OPTION(use_glu, "a gate on the hidden vector of the blocks' perceptrons"),
    BOOL_OPTION(use_post_layer_norm, "layer norm behind the sums, none at the end"),
    BOOL_OPTION(use_map, "attention pooling in place of the mean over tokens"),
    BOOL_OPTION(randaugment, "training photographs go through RandAugment, two operations"),
    {.name = "mixup_alpha",
     .type = AP_OPTION_FLOAT,
     .offset = offsetof(ap_imagenet_vit_model, mixup_alpha),
     .min = 0,
     .max = 100,
     .fallback = "0",
     .help = "training images are mixed, with weights from Beta(a, a); 0: they are not"},
    AP_IMAGENET_IMAGE_OPTIONS,
    {.name = "num_classes",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_imagenet_images, classes),
     .min = 2,
     .max = 1 << 20,
     .fallback = "1000",
     .help = "number of classes"},
};

enum { NAME = 96, COLOURS = 3 };
static const float norm_eps = 1e-6f;

/* ---- parameters */

typedef struct definition {
    const ap_imagenet_vit_model *model;
    ap_params *params;
    ap_error *error;
} definition;

static ap_status add(const definition *d, const char *prefix, const char *name, int rank, const int64_t *shape,
                     ap_init init) {
    char full[2 * NAME];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return ap_params_add(d->params, full, rank, shape, init, d->error);
}

/* weight [out, in], bias [out] */
static ap_status add_linear(const definition *d, const char *prefix, const char *name, int64_t out, int64_t in,
                            ap_init weight, ap_init bias) {
    char full[NAME];
    snprintf(full, sizeof full, "%s.weight", name);
    AP_TRY(add(d, prefix, full, 2, (int64_t[]){out, in}, weight));
    snprintf(full, sizeof full, "%s.bias", name);
    return add(d, prefix, full, 1, &out, bias);
}

/* Xavier weights; the biases' deviation (0: zero). */
static ap_status add_xavier(const definition *d, const char *prefix, const char *name, int64_t out, int64_t in,
                            double bias) {
    return add_linear(d, prefix, name, out, in, ap_init_xavier_uniform(in, out),
                      bias > 0 ? ap_init_normal(bias) : ap_init_constant(0));
}

static ap_status add_norm(const definition *d, const char *prefix, const char *name) {
    char full[NAME];
    snprintf(full, sizeof full, "%s.weight", name);
    AP_TRY(add(d, prefix, full, 1, &d->model->width, ap_init_constant(1)));
    snprintf(full, sizeof full, "%s.bias", name);
    return add(d, prefix, full, 1, &d->model->width, ap_init_constant(0));
}

static ap_status add_mlp(const definition *d, const char *prefix, bool glu) {
    const int64_t width = d->model->width, hidden = d->model->mlp_dim;
    AP_TRY(add_xavier(d, prefix, "linear1", hidden, width, 1e-6));
    if (glu) AP_TRY(add_xavier(d, prefix, "glu_linear", hidden, hidden, 1e-6));
    return add_xavier(d, prefix, "linear2", width, hidden, 1e-6);
}

static ap_status add_block(const definition *d, int64_t index) {
    static const char *const parts[] = {"self_attention1.query", "self_attention1.key", "self_attention1.value",
                                        "self_attention1.out"};
    const int64_t width = d->model->width;
    char prefix[NAME], mlp[NAME + 8];
    snprintf(prefix, sizeof prefix, "encoder.net.%lld.", (long long)index);
    AP_TRY(add_norm(d, prefix, "layer_norm0"));
    for (int i = 0; i < 4; i++) AP_TRY(add_xavier(d, prefix, parts[i], width, width, 0));
    AP_TRY(add_norm(d, prefix, "layer_norm2"));
    snprintf(mlp, sizeof mlp, "%smlp3.", prefix);
    return add_mlp(d, mlp, d->model->use_glu);
}

/* Fans of the stored shapes: the probe's is (1, 1, width), kv_proj has 2 width rows. */
static ap_status add_pooling(const definition *d) {
    const int64_t width = d->model->width;
    AP_TRY(add(d, "map.", "probe", 3, (int64_t[]){1, 1, width}, ap_init_xavier_uniform(width, width)));
    AP_TRY(add_xavier(d, "map.", "mha.q_proj", width, width, 1e-6));
    AP_TRY(add_xavier(d, "map.", "mha.kv_proj", 2 * width, width, 1e-6));
    AP_TRY(add_xavier(d, "map.", "mha.out_proj", width, width, 1e-6));
    AP_TRY(add_norm(d, "map.", "layer_norm"));
    return add_mlp(d, "map.mlp.", false);
}

static ap_status read_patch(const ap_imagenet_vit_model *m, int64_t patch[2], ap_error *error) {
    long long h, w;
    char rest;
    if (sscanf(m->patch_size, "%lld,%lld%c", &h, &w, &rest) != 2 || h < 1 || w < 1 || h > 1024 || w > 1024)
        return ap_fail(error, AP_CONFIG, "patch_size = \"%s\" (must be height and width, 1 to 1024, such as \"16,16\")",
                       m->patch_size);
    patch[0] = h, patch[1] = w;
    return AP_OK;
}

ap_status ap_imagenet_vit_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const ap_imagenet_vit_model *m = model;
    const definition d = {m, params, error};
    int64_t patch[2] = {0};
    (void)state; /* no running statistics */
    AP_TRY(read_patch(m, patch, error));
    if (m->width % 4 || m->width % m->num_heads)
        return ap_fail(error, AP_CONFIG, "width = %lld (must be a multiple of 4 and of num_heads = %lld)",
                       (long long)m->width, (long long)m->num_heads);
    const int64_t inputs = COLOURS * patch[0] * patch[1];
    AP_TRY(add_linear(&d, "", "pre_logits", m->width, m->width, ap_init_lecun_truncated_normal(m->width),
                      ap_init_constant(0)));
    AP_TRY(add(&d, "", "conv_patch_extract.weight", 4, (int64_t[]){m->width, COLOURS, patch[0], patch[1]},
               ap_init_lecun_truncated_normal(inputs)));
    AP_TRY(add(&d, "", "conv_patch_extract.bias", 1, &m->width, ap_init_constant(0)));
    for (int64_t i = 0; i < m->depth; i++) AP_TRY(add_block(&d, i));
    if (!m->use_post_layer_norm) AP_TRY(add_norm(&d, "encoder.", "encoder_norm"));
    AP_TRY(add_linear(&d, "", "head", m->images.classes, m->width, ap_init_constant(0), ap_init_constant(0)));
    return m->use_map ? add_pooling(&d) : AP_OK;
}

/* ---- forward */

void ap_imagenet_vit_positions(int64_t h, int64_t w, int64_t width, float *table) {
    const int64_t k = width / 4;
    for (int64_t i = 0; i < k; i++) {
        const double omega = ap_f64_pow(10000, -(double)i / (double)(k - 1));
        for (int64_t token = 0; token < h * w; token++) {
            const double x = (double)(token % w) * omega, y = (double)(token / w) * omega;
            float *row = table + token * width + i;
            row[0] = (float)ap_f64_sin(x), row[k] = (float)ap_f64_cos(x);
            row[2 * k] = (float)ap_f64_sin(y), row[3 * k] = (float)ap_f64_cos(y);
        }
    }
}

/* Parameters are used in the order in which they were declared, from `param` on. */
typedef struct run {
    const ap_imagenet_vit_model *model;
    ap_tape *tape;
    int param;
} run;

static ap_tensor *linear(run *r, ap_tensor *x) {
    r->param += 2;
    return ap_linear(r->tape, x, ap_tape_param(r->tape, r->param - 2), ap_tape_param(r->tape, r->param - 1));
}
static ap_tensor *norm(run *r, ap_tensor *x) {
    r->param += 2;
    return ap_layer_norm(r->tape, x, ap_tape_param(r->tape, r->param - 2), ap_tape_param(r->tape, r->param - 1),
                         norm_eps);
}

static ap_tensor *attend(run *r, ap_tensor *q, ap_tensor *k, ap_tensor *v) {
    const ap_imagenet_vit_model *m = r->model;
    const ap_attention_options options = {
        .heads = m->num_heads, .scale = (float)(1 / sqrt((double)(m->width / m->num_heads))), .drop = true};
    return linear(r, ap_attention(r->tape, q, k, v, &options));
}
static ap_tensor *self_attention(run *r, ap_tensor *x) {
    ap_tensor *q = linear(r, x), *k = linear(r, x), *v = linear(r, x);
    return attend(r, q, k, v);
}

static ap_tensor *mlp(run *r, ap_tensor *x, bool glu) {
    ap_tensor *h = ap_activation_of(r->tape, linear(r, x), AP_GELU, 0);
    if (glu) h = ap_multiply(r->tape, h, linear(r, h));
    return linear(r, ap_dropout(r->tape, h));
}

static ap_tensor *block(run *r, ap_tensor *x) {
    ap_tape *tape = r->tape;
    const bool post = r->model->use_post_layer_norm;
    if (!post) {
        x = ap_add(tape, x, ap_dropout(tape, self_attention(r, norm(r, x))));
        return ap_add(tape, x, ap_dropout(tape, mlp(r, norm(r, x), r->model->use_glu)));
    }
    run first = *r; /* the norm is declared before what comes before it here */
    r->param += 2;
    x = norm(&first, ap_add(tape, x, ap_dropout(tape, self_attention(r, x))));
    run second = *r;
    r->param += 2;
    return norm(&second, ap_add(tape, x, ap_dropout(tape, mlp(r, x, r->model->use_glu))));
}

/* [n, tokens, width] -> [n, width]: a learned query looks at all tokens, then x + mlp(norm(x)). */
static ap_tensor *attention_pool(run *r, ap_tensor *x) {
    if (!x) return NULL;
    const int64_t n = x->shape[0], width = r->model->width;
    ap_tensor *probe = ap_repeat(r->tape, ap_tape_param(r->tape, r->param++), 3, (int64_t[]){n, 1, width});
    ap_tensor *q = linear(r, probe), *kv = linear(r, x);
    ap_tensor *y = attend(r, q, ap_slice_last(r->tape, kv, 0, width), ap_slice_last(r->tape, kv, width, width));
    ap_tensor *normed = norm(r, y);
    return ap_reshape(r->tape, ap_add(r->tape, y, mlp(r, normed, false)), 2, (int64_t[]){n, width});
}

static ap_tensor *mean_pool(run *r, ap_tensor *x) {
    if (!x) return NULL;
    const int64_t shape[4] = {x->shape[0], 1, x->shape[1], x->shape[2]};
    return ap_global_average_pool(r->tape, ap_reshape(r->tape, x, 4, shape));
}

/* Patches with their positions, [n, tokens, width]. */
static ap_tensor *embed(run *r, const ap_array *images) {
    ap_tape *tape = r->tape;
    ap_tensor *w = ap_tape_param(tape, r->param), *b = ap_tape_param(tape, r->param + 1);
    r->param += 2;
    ap_tensor *x = ap_channels_last(tape, ap_tape_input(tape, images->data, 4, images->shape));
    if (!w || !x) return NULL;
    x = ap_conv2d(tape, x, w, b, &(ap_conv2d_options){.stride_h = w->shape[2], .stride_w = w->shape[3]});
    if (!x) return NULL;
    const int64_t h = x->shape[1], wide = x->shape[2], width = x->shape[3];
    float *table = ap_tape_take(tape, (size_t)(h * wide * width) * sizeof *table);
    if (!table) return NULL;
    ap_imagenet_vit_positions(h, wide, width, table);
    x = ap_reshape(tape, x, 3, (int64_t[]){x->shape[0], h * wide, width});
    return ap_dropout(tape, ap_add_repeated(tape, x, ap_tape_input(tape, table, 2, (int64_t[]){h * wide, width})));
}

ap_tensor *ap_imagenet_vit_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    enum { PRE_LOGITS = 0, PATCHES = 2 };
    const ap_imagenet_vit_model *m = model;
    const ap_array *images = ap_batch_find(batch, "inputs");
    if (!images || images->type != AP_F32 || images->rank != 4 || images->shape[1] != COLOURS)
        return ap_tape_fail_as(tape, AP_DATA, "imagenet_vit: the batch needs `inputs`, float32 [n, 3, h, w]");
    run r = {m, tape, PATCHES}, before_logits = {m, tape, PRE_LOGITS};
    ap_tensor *x = embed(&r, images);
    for (int64_t i = 0; i < m->depth; i++) x = block(&r, x);
    if (!m->use_post_layer_norm) x = norm(&r, x);
    run pooling = {m, tape, r.param + 2}; /* behind the head */
    x = m->use_map ? attention_pool(&pooling, x) : mean_pool(&r, x);
    return linear(&r, ap_activation_of(tape, linear(&before_logits, x), AP_TANH, 0));
}
