/* The librispeech_conformer model: subsampling, then blocks of feed-forward, attention, convolution, feed-forward. All
 * that works row by row does so on packed rows; attention and the depthwise convolution see the padded form. */
#include "workloads/librispeech_conformer/librispeech_conformer.h"

#include "base/fmath.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef ap_librispeech_conformer_model conformer;

#define INT_OPTION(member, low, high, text, help_text)                                                                 \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_INT, .offset = offsetof(conformer, member), .min = low, .max = high,        \
        .fallback = text, .help = help_text                                                                            \
    }

static const char *const activations[] = {"swish", "gelu", NULL};
const ap_option ap_librispeech_conformer_options[ap_librispeech_conformer_option_count] = {
    INT_OPTION(num_attention_heads, 1, 1024, "8", "heads of attention; divides encoder_dim"),
    INT_OPTION(num_encoder_layers, 0, 1000, "4", "blocks"),
    INT_OPTION(convolution_kernel_size, 1, 255, "5", "steps under the depthwise convolution, odd"),
    INT_OPTION(feed_forward_expansion_factor, 1, 64, "4", "hidden width of the feed-forward parts over encoder_dim"),
    {.name = "activation_function_name",
     .type = AP_OPTION_STRING,
     .offset = offsetof(conformer, activation_function_name),
     .fallback = "swish",
     .choices = activations,
     .help = "of feed-forward parts and convolution"},
    {.name = "use_post_layer_norm",
     .type = AP_OPTION_BOOL,
     .offset = offsetof(conformer, use_post_layer_norm),
     .fallback = "true",
     .help = "layer norm at the end of each block"},
    {.name = "attention_temperature",
     .type = AP_OPTION_FLOAT,
     .offset = offsetof(conformer, attention_temperature),
     .min = 0,
     .max = 1e6,
     .fallback = "1.0",
     .help = "factor of what attention gives"},
    AP_SPEECH_OPTIONS,
};

enum { PREFIX = 96 };

/* ---- parameters */

static ap_status add_feed_forward(const ap_speech_definition *d, const conformer *m, const char *block,
                                  const char *name) {
    const int64_t dim = m->speech.encoder_dim, hidden = m->feed_forward_expansion_factor * dim;
    char prefix[PREFIX];
    snprintf(prefix, sizeof prefix, "%s.%s.ln", block, name);
    AP_TRY(ap_speech_add_norm(d, prefix, "scale", dim, false));
    snprintf(prefix, sizeof prefix, "%s.%s.linear1", block, name);
    AP_TRY(ap_speech_add_linear(d, prefix, hidden, dim));
    snprintf(prefix, sizeof prefix, "%s.%s.linear2", block, name);
    return ap_speech_add_linear(d, prefix, dim, hidden);
}

static ap_status add_attention(const ap_speech_definition *d, const conformer *m, const char *block) {
    const int64_t dim = m->speech.encoder_dim;
    char prefix[PREFIX];
    snprintf(prefix, sizeof prefix, "%s.mhsa.ln", block);
    AP_TRY(ap_speech_add_norm(d, prefix, "scale", dim, false));
    snprintf(prefix, sizeof prefix, "%s.mhsa.self_attention.in_proj", block);
    AP_TRY(ap_speech_add_linear(d, prefix, 3 * dim, dim));
    snprintf(prefix, sizeof prefix, "%s.mhsa.self_attention.out_proj", block);
    AP_TRY(ap_speech_add_linear(d, prefix, dim, dim));
    snprintf(prefix, sizeof prefix, "%s.mhsa.self_attention.qs", block);
    return ap_speech_add_zeros(d, prefix, "scale", dim / m->num_attention_heads);
}

static ap_status add_convolution(const ap_speech_definition *d, const conformer *m, const char *block) {
    const int64_t dim = m->speech.encoder_dim;
    char prefix[PREFIX];
    snprintf(prefix, sizeof prefix, "%s.conv.ln", block);
    AP_TRY(ap_speech_add_norm(d, prefix, "scale", dim, false));
    for (int i = 1; i <= 2; i++) {
        snprintf(prefix, sizeof prefix, "%s.conv.lin%d", block, i);
        AP_TRY(ap_speech_add_linear(d, prefix, dim, dim));
    }
    snprintf(prefix, sizeof prefix, "%s.conv.conv1", block);
    AP_TRY(ap_speech_add_weight(d, prefix, "weight", 3, (int64_t[]){dim, 1, m->convolution_kernel_size}));
    snprintf(prefix, sizeof prefix, "%s.conv.bn", block);
    AP_TRY(ap_speech_add_norm(d, prefix, "scale", dim, true));
    snprintf(prefix, sizeof prefix, "%s.conv.lin3", block);
    return ap_speech_add_linear(d, prefix, dim, dim);
}

static ap_status add_block(const ap_speech_definition *d, const conformer *m, int64_t index) {
    char block[PREFIX / 2], prefix[PREFIX];
    snprintf(block, sizeof block, "conformers.%lld", (long long)index);
    AP_TRY(add_feed_forward(d, m, block, "ff1"));
    AP_TRY(add_attention(d, m, block));
    AP_TRY(add_convolution(d, m, block));
    AP_TRY(add_feed_forward(d, m, block, "ff2"));
    snprintf(prefix, sizeof prefix, "%s.ln", block);
    return m->use_post_layer_norm ? ap_speech_add_norm(d, prefix, "scale", m->speech.encoder_dim, false) : AP_OK;
}

ap_status ap_librispeech_conformer_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const conformer *m = model;
    const ap_speech_definition d = {params, state, error};
    const int64_t dim = m->speech.encoder_dim;
    if (dim % 2 || dim < 4 || dim % m->num_attention_heads)
        return ap_fail(error, AP_CONFIG,
                       "encoder_dim = %lld (must be even, at least 4, and a multiple of num_attention_heads = %lld)",
                       (long long)dim, (long long)m->num_attention_heads);
    if (m->convolution_kernel_size % 2 == 0)
        return ap_fail(error, AP_CONFIG, "convolution_kernel_size = %lld (must be odd)",
                       (long long)m->convolution_kernel_size);
    AP_TRY(ap_speech_add_subsampling(&d, dim, "linear"));
    for (int64_t i = 0; i < m->num_encoder_layers; i++) AP_TRY(add_block(&d, m, i));
    AP_TRY(ap_speech_add_norm(&d, "ln", "scale", dim, false));
    return ap_speech_add_linear(&d, "lin", m->speech.vocab_size, dim);
}

/* ---- forward */

/* Positions of the packed rows, [rows, dim]: with k = dim / 2 and omega_i = 10000^(-i / (k - 1)), [sin(t omega) |
 * cos(t omega)]. */
static ap_tensor *positions(ap_speech_run *r) {
    const int64_t dim = r->model->encoder_dim, k = dim / 2;
    float *table = ap_tape_take(r->tape, (size_t)(r->steps * dim) * sizeof *table);
    float *rows = ap_tape_take(r->tape, (size_t)(r->rows * dim) * sizeof *rows), *next = rows;
    if (!table || !rows) return NULL;
    for (int64_t i = 0; i < k; i++) {
        const double omega = ap_f64_exp(-(double)i * (ap_f64_log(10000) / (double)(k - 1)));
        for (int64_t t = 0; t < r->steps; t++) {
            table[t * dim + i] = (float)ap_f64_sin((double)t * omega);
            table[t * dim + k + i] = (float)ap_f64_cos((double)t * omega);
        }
    }
    for (int64_t i = 0; i < r->n; i++) {
        memcpy(next, table, (size_t)(r->lengths[i] * dim) * sizeof *next);
        next += r->lengths[i] * dim;
    }
    return ap_tape_input(r->tape, rows, 2, (int64_t[]){r->rows, dim});
}

/* PyTorch's form of the gelu variant: tanh in the feed-forward parts, erf in the convolution. */
static ap_activation activation_of(const conformer *m, bool in_convolution) {
    if (strcmp(m->activation_function_name, "gelu") != 0) return AP_SILU;
    return in_convolution ? AP_GELU_ERF : AP_GELU;
}

/* The published PyTorch form has no dropout on the hidden vector (its rate there is 0). */
static ap_tensor *feed_forward(ap_speech_run *r, const conformer *m, ap_tensor *x) {
    ap_tensor *h = ap_speech_linear(r, ap_speech_layer_norm(r, x));
    h = ap_speech_linear(r, ap_activation_of(r->tape, h, activation_of(m, false), 0));
    return ap_add_scaled(r->tape, x, 0.5f, ap_dropout(r->tape, h));
}

/* Bias that hides the keys at padding, [n, steps]. */
static const float *hidden_keys(ap_speech_run *r) {
    float *bias = ap_tape_take(r->tape, (size_t)(r->n * r->steps) * sizeof *bias);
    for (int64_t i = 0; bias && i < r->n * r->steps; i++)
        bias[i] = i % r->steps < r->lengths[i / r->steps] ? 0 : -INFINITY;
    return bias;
}

static ap_tensor *attention(ap_speech_run *r, const conformer *m, ap_tensor *x, const float *bias) {
    ap_tape *tape = r->tape;
    const int64_t dim = m->speech.encoder_dim, heads = m->num_attention_heads;
    const ap_attention_options options = {
        .heads = heads, .scale = (float)(1 / sqrt((double)(dim / heads))), .bias = bias, .bias_example = r->steps};
    ap_tensor *qkv = ap_speech_linear(r, ap_speech_layer_norm(r, x)), *part[3];
    for (int i = 0; i < 3; i++) {
        part[i] = ap_slice_last(tape, qkv, i * dim, dim);
        if (i == 0) part[i] = ap_query_scale(tape, part[i], ap_tape_param(tape, r->param + 2)); /* behind out_proj */
        part[i] = ap_unpack_rows(tape, part[i], r->n, r->steps, r->lengths);
    }
    ap_tensor *y = ap_pack_rows(tape, ap_attention(tape, part[0], part[1], part[2], &options), r->lengths);
    if (m->attention_temperature != 1) y = ap_scale_shift(tape, y, (float)m->attention_temperature, 0);
    y = ap_speech_linear(r, y);
    r->param++;
    return ap_add(tape, x, ap_dropout(tape, y));
}

static ap_tensor *depthwise(ap_speech_run *r, const conformer *m, ap_tensor *x) {
    const int64_t dim = m->speech.encoder_dim, kernel = m->convolution_kernel_size;
    const ap_conv2d_options options = {.pad_top = kernel / 2, .pad_bottom = kernel / 2, .groups = dim};
    ap_tensor *w = ap_reshape(r->tape, ap_tape_param(r->tape, r->param++), 4, (int64_t[]){dim, 1, kernel, 1});
    x = ap_unpack_rows(r->tape, x, r->n, r->steps, r->lengths);
    x = ap_reshape(r->tape, x, 4, (int64_t[]){r->n, r->steps, 1, dim});
    x = ap_conv2d(r->tape, x, w, NULL, &options);
    return ap_pack_rows(r->tape, ap_reshape(r->tape, x, 3, (int64_t[]){r->n, r->steps, dim}), r->lengths);
}

static ap_tensor *convolution(ap_speech_run *r, const conformer *m, ap_tensor *x) {
    ap_tape *tape = r->tape;
    ap_tensor *y = ap_speech_layer_norm(r, x), *a = ap_speech_linear(r, y), *b = ap_speech_linear(r, y);
    y = depthwise(r, m, ap_multiply(tape, a, ap_sigmoid(tape, b)));
    y = ap_speech_linear(r, ap_speech_batch_norm(r, y, activation_of(m, true)));
    return ap_add(tape, x, ap_dropout(tape, y));
}

ap_tensor *ap_librispeech_conformer_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const conformer *m = model;
    ap_speech_run r = {.model = &m->speech, .tape = tape};
    ap_tensor *x = ap_speech_subsample(&r, batch, AP_RELU);
    if (!x) return NULL;
    x = ap_dropout(tape, ap_add(tape, x, positions(&r)));
    const float *bias = hidden_keys(&r);
    for (int64_t i = 0; i < m->num_encoder_layers; i++) {
        x = attention(&r, m, feed_forward(&r, m, x), bias);
        x = feed_forward(&r, m, convolution(&r, m, x));
        if (m->use_post_layer_norm) x = ap_speech_layer_norm(&r, x);
    }
    return ap_speech_logits(&r, ap_speech_layer_norm(&r, x));
}
