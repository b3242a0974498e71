/* The wmt model: an encoder and a decoder of attention layers, one embedding for both languages and the output.
 *
 * Parameters are used in the order in which they are declared. The same layers serve training, evaluation, and the
 * search, where a step's only query sees cached keys and values. */
#include "workloads/wmt/wmt.h"

#include "base/fmath.h"
#include "tensor/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const activations[] = {"relu", "tanh", NULL};

#define INT_OPTION(member, low, high, text, help_text)                                                                 \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_INT, .offset = offsetof(ap_wmt_model, member), .min = low, .max = high,     \
        .fallback = text, .help = help_text                                                                            \
    }
#define REAL_OPTION(member, high, text, help_text)                                                                     \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_FLOAT, .offset = offsetof(ap_wmt_model, member), .min = 0, .max = high,     \
        .fallback = text, .help = help_text                                                                            \
    }

const ap_option ap_wmt_options[ap_wmt_option_count] = {
    INT_OPTION(ntoken, 4, 1 << 20, "32000", "size of the vocabulary"),
    INT_OPTION(d_model, 4, 1 << 16, "1024", "width of a token, even and a multiple of nhead"),
    INT_OPTION(nhead, 1, 1024, "16", "heads of attention"),
    INT_OPTION(d_hid, 1, 1 << 18, "1024", "hidden width of the feed-forward layers; with glu equal to d_model"),
    INT_OPTION(nlayers, 1, 1000, "6", "layers of the encoder, and of the decoder"),
    INT_OPTION(max_len_pe, 2, 1 << 16, "256", "longest sentence, packed row and translation, tokens"),
    INT_OPTION(beam_size, 1, 64, "4", "beams of the search that makes translations; 1: greedy"),
    REAL_OPTION(beam_alpha, 10, "0.6", "length penalty ((5 + length) / 6)^beam_alpha of the search"),
    REAL_OPTION(layer_norm_eps, 1, "1e-6", "added to the variance by layer norm"),
    REAL_OPTION(attention_temp, 1e6, "1.0", "factor of the queries"),
    {.name = "glu",
     .type = AP_OPTION_BOOL,
     .offset = offsetof(ap_wmt_model, glu),
     .fallback = "false",
     .help = "a gate on the hidden vector of the feed-forward layers"},
    {.name = "pre_ln",
     .type = AP_OPTION_BOOL,
     .offset = offsetof(ap_wmt_model, pre_ln),
     .fallback = "true",
     .help = "layer norm in front of each part and at the end; false: behind each sum"},
    {.name = "activation",
     .type = AP_OPTION_STRING,
     .offset = offsetof(ap_wmt_model, activation),
     .choices = activations,
     .fallback = "relu",
     .help = "activation of the feed-forward layers"},
};

enum { NAME = 128 };

/* ---- parameters */

typedef struct definition {
    const ap_wmt_model *model;
    ap_params *params;
    ap_error *error;
} definition;

static ap_status add(const definition *d, const char *layer, const char *name, int rank, const int64_t *shape,
                     ap_init init) {
    char full[2 * NAME];
    snprintf(full, sizeof full, "%s.%s", layer, name);
    return ap_params_add(d->params, full, rank, shape, init, d->error);
}

static ap_status add_matrix(const definition *d, const char *layer, const char *name, int64_t out, int64_t in) {
    return add(d, layer, name, 2, (int64_t[]){out, in}, ap_init_xavier_uniform(in, out));
}

/* `name`.weight and `name`.bias of a feed-forward layer. */
static ap_status add_linear(const definition *d, const char *layer, const char *name, int64_t out, int64_t in) {
    char full[NAME];
    snprintf(full, sizeof full, "%s.weight", name);
    AP_TRY(add_matrix(d, layer, full, out, in));
    snprintf(full, sizeof full, "%s.bias", name);
    return add(d, layer, full, 1, &out, ap_init_normal(1e-6));
}

static ap_status add_norm(const definition *d, const char *layer, const char *name) {
    char full[NAME];
    snprintf(full, sizeof full, "%s.weight", name);
    AP_TRY(add(d, layer, full, 1, &d->model->d_model, ap_init_constant(1)));
    snprintf(full, sizeof full, "%s.bias", name);
    return add(d, layer, full, 1, &d->model->d_model, ap_init_constant(0));
}

static ap_status add_layer(const definition *d, const char *layer, bool decoder) {
    const int64_t width = d->model->d_model, hidden = d->model->d_hid;
    AP_TRY(add_matrix(d, layer, "self_attn.in_proj.weight", 3 * width, width));
    AP_TRY(add_matrix(d, layer, "self_attn.out_proj.weight", width, width));
    if (decoder) {
        AP_TRY(add_matrix(d, layer, "multihead_attn.q_proj.weight", width, width));
        AP_TRY(add_matrix(d, layer, "multihead_attn.kv_proj.weight", 2 * width, width));
        AP_TRY(add_matrix(d, layer, "multihead_attn.out_proj.weight", width, width));
    }
    AP_TRY(add_linear(d, layer, "linear1", hidden, width));
    if (d->model->glu) AP_TRY(add_linear(d, layer, "linear_glu", hidden, decoder ? hidden : width));
    AP_TRY(add_linear(d, layer, "linear2", width, hidden));
    AP_TRY(add_norm(d, layer, "norm1"));
    AP_TRY(add_norm(d, layer, "norm2"));
    return decoder ? add_norm(d, layer, "norm3") : AP_OK;
}

static ap_status add_stack(const definition *d, bool decoder) {
    const char *stack = decoder ? "decoder.decoder" : "encoder.encoder";
    for (int64_t i = 0; i < d->model->nlayers; i++) {
        char layer[NAME / 2];
        snprintf(layer, sizeof layer, "%s.layers.%lld", stack, (long long)i);
        AP_TRY(add_layer(d, layer, decoder));
    }
    return d->model->pre_ln ? add_norm(d, stack, "norm") : AP_OK;
}

ap_status ap_wmt_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const ap_wmt_model *m = model;
    const definition d = {m, params, error};
    (void)state; /* no running statistics */
    if (m->d_model % 2 || m->d_model % m->nhead)
        return ap_fail(error, AP_CONFIG, "d_model = %lld (must be even and a multiple of nhead = %lld)",
                       (long long)m->d_model, (long long)m->nhead);
    if (m->glu && m->d_hid != m->d_model)
        return ap_fail(error, AP_CONFIG, "d_hid = %lld (with glu it must be d_model, %lld, as published)",
                       (long long)m->d_hid, (long long)m->d_model);
    AP_TRY(ap_params_add(params, "shared_embedding.weight", 2, (int64_t[]){m->ntoken, m->d_model}, ap_init_normal(1),
                         error));
    AP_TRY(add_stack(&d, false));
    return add_stack(&d, true);
}

/* ---- layers */

typedef struct run {
    const ap_wmt_model *model;
    ap_tape *tape;
    int param; /* the next one */
} run;

static ap_tensor *next(run *r) {
    return ap_tape_param(r->tape, r->param++);
}
/* The parameter `at` places on, for what is used before its turn. */
static ap_tensor *ahead(const run *r, int at) {
    return ap_tape_param(r->tape, r->param + at);
}

static int norms_at(const run *r, bool decoder) {
    return (decoder ? 5 : 2) + (r->model->glu ? 6 : 4);
}
static int layer_size(const ap_wmt_model *m, bool decoder) {
    return (decoder ? 5 : 2) + (m->glu ? 6 : 4) + (decoder ? 6 : 4);
}

static ap_tensor *layer_norm(const run *r, ap_tensor *x, ap_tensor *scale, ap_tensor *bias) {
    return ap_layer_norm(r->tape, x, scale, bias, (float)r->model->layer_norm_eps);
}

/* What a part of a layer sees of x, and x with what it makes of that: norm in front or behind. */
static ap_tensor *enter(const run *r, ap_tensor *x, ap_tensor *const norm[2]) {
    return r->model->pre_ln ? layer_norm(r, x, norm[0], norm[1]) : x;
}
static ap_tensor *leave(const run *r, ap_tensor *x, ap_tensor *part, ap_tensor *const norm[2]) {
    ap_tensor *sum = ap_add(r->tape, x, ap_dropout(r->tape, part));
    return r->model->pre_ln ? sum : layer_norm(r, sum, norm[0], norm[1]);
}

/* Scores' bias of one mask: [n, queries, keys], or for query_stride 0 [n, keys]. */
typedef struct mask {
    const float *bias;
    int64_t example, query;
} mask;

static ap_tensor *attend(const run *r, ap_tensor *q, ap_tensor *k, ap_tensor *v, const mask *m) {
    const double channels = (double)(r->model->d_model / r->model->nhead);
    return ap_attention(r->tape, q, k, v,
                        &(ap_attention_options){.heads = r->model->nhead,
                                                .scale = (float)(r->model->attention_temp / sqrt(channels)),
                                                .drop = true,
                                                .bias = m->bias,
                                                .bias_example = m->example,
                                                .bias_query = m->query});
}

/* Part i of `parts` along the last dimension. */
static ap_tensor *part_of(const run *r, ap_tensor *x, int i) {
    return ap_slice_last(r->tape, x, i * r->model->d_model, r->model->d_model);
}

static ap_tensor *self_attention(run *r, ap_tensor *x, const mask *m) {
    ap_tensor *qkv = ap_linear(r->tape, x, next(r), NULL);
    return ap_linear(r->tape, attend(r, part_of(r, qkv, 0), part_of(r, qkv, 1), part_of(r, qkv, 2), m), next(r), NULL);
}

static ap_tensor *cross_attention(run *r, ap_tensor *x, ap_tensor *memory, const mask *m) {
    ap_tensor *q = ap_linear(r->tape, x, next(r), NULL), *kv = ap_linear(r->tape, memory, next(r), NULL);
    return ap_linear(r->tape, attend(r, q, part_of(r, kv, 0), part_of(r, kv, 1), m), next(r), NULL);
}

static ap_tensor *feed_forward(run *r, ap_tensor *x) {
    const ap_activation kind = strcmp(r->model->activation, "tanh") == 0 ? AP_TANH : AP_RELU;
    ap_tensor *w1 = next(r), *b1 = next(r);
    ap_tensor *h = ap_activation_of(r->tape, ap_linear(r->tape, x, w1, b1), kind, 0);
    if (r->model->glu) {
        ap_tensor *w = next(r), *b = next(r);
        h = ap_multiply(r->tape, h, ap_linear(r->tape, x, w, b));
    }
    ap_tensor *w2 = next(r), *b2 = next(r);
    return ap_linear(r->tape, ap_dropout(r->tape, h), w2, b2);
}

static ap_tensor *final_norm(run *r, ap_tensor *x) {
    if (!r->model->pre_ln) return x;
    ap_tensor *scale = next(r), *bias = next(r);
    return layer_norm(r, x, scale, bias);
}

static ap_tensor *encoder_layer(run *r, ap_tensor *x, const mask *m) {
    ap_tensor *norm[4];
    for (int i = 0; i < 4; i++) norm[i] = ahead(r, norms_at(r, false) + i);
    x = leave(r, x, self_attention(r, enter(r, x, norm), m), norm);
    x = leave(r, x, feed_forward(r, enter(r, x, norm + 2)), norm + 2);
    r->param += 4;
    return x;
}

static ap_tensor *decoder_layer(run *r, ap_tensor *x, ap_tensor *memory, const mask *self, const mask *cross) {
    ap_tensor *norm[6];
    for (int i = 0; i < 6; i++) norm[i] = ahead(r, norms_at(r, true) + i);
    x = leave(r, x, self_attention(r, enter(r, x, norm), self), norm);
    x = leave(r, x, cross_attention(r, enter(r, x, norm + 2), memory, cross), norm + 2);
    x = leave(r, x, feed_forward(r, enter(r, x, norm + 4)), norm + 4);
    r->param += 6;
    return x;
}

static ap_tensor *logits_of(const run *r, ap_tensor *x) {
    const float factor = (float)(1 / sqrt((double)r->model->d_model));
    return ap_linear(r->tape, ap_scale_shift(r->tape, x, factor, 0), ap_tape_param(r->tape, 0), NULL);
}

/* ---- embedding */

void ap_wmt_positions(int64_t rows, int64_t d, float *table) {
    const int64_t h = d / 2;
    const float step = h > 1 ? (float)(-ap_f64_log(10000.0) / (double)(h - 1)) : 0;
    for (int64_t i = 0; i < h; i++) {
        const float f = (float)ap_f64_exp((double)((float)i * step));
        for (int64_t p = 0; p < rows; p++) {
            const double angle = (double)((float)p * f);
            table[p * d + i] = (float)ap_f64_sin(angle), table[p * d + h + i] = (float)ap_f64_cos(angle);
        }
    }
}

/* Rows of the table of positions for n rows of `length` tokens; position [n, length], NULL: 0 .. length - 1 in each,
 * and that shared by all. */
static ap_tensor *positions_of(const run *r, int64_t n, int64_t length, const int64_t *position) {
    const int64_t d = r->model->d_model;
    int64_t last = length - 1;
    for (int64_t i = 0; position && i < n * length; i++) {
        if (position[i] < 0 || position[i] >= r->model->max_len_pe)
            return ap_tape_fail_as(r->tape, AP_DATA, "wmt: position %lld (must be in 0 .. %lld)",
                                   (long long)position[i], (long long)r->model->max_len_pe - 1);
        if (position[i] > last) last = position[i];
    }
    float *table = ap_tape_take(r->tape, (size_t)((last + 1) * d) * sizeof *table);
    if (!table) return NULL;
    ap_wmt_positions(last + 1, d, table);
    if (!position) return ap_tape_input(r->tape, table, 2, (int64_t[]){length, d});
    float *rows = ap_tape_take(r->tape, (size_t)(n * length * d) * sizeof *rows);
    if (!rows) return NULL;
    for (int64_t i = 0; i < n * length; i++) memcpy(rows + i * d, table + position[i] * d, (size_t)d * sizeof *rows);
    return ap_tape_input(r->tape, rows, 3, (int64_t[]){n, length, d});
}

static ap_tensor *look_up(const run *r, int64_t n, int64_t length, const int64_t *tokens) {
    const ap_segments *rows = ap_segments_of(r->tape, n * length, tokens, r->model->ntoken);
    return ap_reshape(r->tape, ap_gather_rows(r->tape, ap_tape_param(r->tape, 0), rows), 3,
                      (int64_t[]){n, length, r->model->d_model});
}

static ap_tensor *embed(const run *r, int64_t n, int64_t length, const int64_t *tokens, const int64_t *position) {
    ap_tensor *x = look_up(r, n, length, tokens), *p = positions_of(r, n, length, position);
    return ap_dropout(r->tape, position ? ap_add(r->tape, x, p) : ap_add_repeated(r->tape, x, p));
}

/* ---- masks: -1e10 is added where a key is hidden, in float, as published: of a row that may see nothing it leaves a
 * uniform softmax over all keys. Such rows are padding, and nothing depends on them. */

static const float hidden = -1e10f;

typedef struct side { /* tokens [n, length], and segments or NULL */
    int64_t n, length;
    const int64_t *token, *segment;
} side;

static bool sees(const side *q, int64_t i, const side *k, int64_t j, bool query_counts) {
    return (!query_counts || q->token[i] > 0) && k->token[j] > 0 &&
           (!q->segment || !k->segment || q->segment[i] == k->segment[j]);
}

static bool make_mask(const run *r, const side *q, const side *k, bool causal, mask *m) {
    float *bias = ap_tape_take(r->tape, (size_t)(q->n * q->length * k->length) * sizeof *bias);
    if (!bias) return false;
    *m = (mask){bias, q->length * k->length, k->length};
    for (int64_t b = 0; b < q->n; b++)
        for (int64_t i = 0; i < q->length; i++)
            for (int64_t j = 0; j < k->length; j++)
                *bias++ = sees(q, b * q->length + i, k, b * k->length + j, true) && (!causal || j <= i) ? 0 : hidden;
    return true;
}

/* ---- forward */

static bool is_tokens(ap_tape *tape, const ap_array *a, const char *name, int64_t n, int64_t length) {
    if (a && a->type == AP_I64 && a->rank == 2 && (n < 0 || (a->shape[0] == n && a->shape[1] == length))) return true;
    return ap_tape_fail_as(tape, AP_DATA, "wmt: the batch needs `%s`, int64 [examples, length]", name);
}

static bool read_side(const run *r, const ap_batch *batch, const char *name, side *s, const int64_t **position) {
    char part[64];
    const ap_array *tokens = ap_batch_find(batch, name);
    if (!is_tokens(r->tape, tokens, name, -1, 0)) return false;
    *s = (side){.n = tokens->shape[0], .length = tokens->shape[1], .token = tokens->data};
    if (s->length > r->model->max_len_pe || s->length < 1)
        return ap_tape_fail_as(r->tape, AP_DATA, "wmt: `%s` has %lld tokens a row (1 .. max_len_pe = %lld)", name,
                               (long long)s->length, (long long)r->model->max_len_pe);
    snprintf(part, sizeof part, "%s_position", name);
    const ap_array *positions = ap_batch_find(batch, part);
    if (positions && !is_tokens(r->tape, positions, part, s->n, s->length)) return false;
    *position = positions ? positions->data : NULL;
    snprintf(part, sizeof part, "%s_segmentation", name);
    const ap_array *segments = ap_batch_find(batch, part);
    if (segments && !is_tokens(r->tape, segments, part, s->n, s->length)) return false;
    s->segment = segments ? segments->data : NULL;
    return true;
}

static ap_tensor *encode(run *r, const side *source, const int64_t *position) {
    mask m;
    if (!make_mask(r, source, source, false, &m)) return NULL;
    ap_tensor *x = embed(r, source->n, source->length, source->token, position);
    for (int64_t i = 0; i < r->model->nlayers; i++) x = encoder_layer(r, x, &m);
    return final_norm(r, x);
}

/* Targets one place on, behind a 0. */
static const int64_t *shifted(const run *r, const side *target) {
    int64_t *tokens = ap_tape_take(r->tape, (size_t)(target->n * target->length) * sizeof *tokens);
    for (int64_t i = 0; tokens && i < target->n * target->length; i++)
        tokens[i] = i % target->length ? target->token[i - 1] : 0;
    return tokens;
}

ap_tensor *ap_wmt_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    run r = {model, tape, 1};
    side source, target;
    const int64_t *source_position, *target_position;
    mask self, cross;
    if (ap_tape_status(tape, NULL) != AP_OK || !read_side(&r, batch, "inputs", &source, &source_position) ||
        !read_side(&r, batch, "targets", &target, &target_position))
        return NULL;
    if (source.n != target.n)
        return ap_tape_fail_as(tape, AP_DATA, "wmt: %lld rows of inputs, %lld of targets", (long long)source.n,
                               (long long)target.n);
    ap_tensor *memory = encode(&r, &source, source_position);
    const int64_t *tokens = shifted(&r, &target);
    if (!tokens || !make_mask(&r, &target, &target, true, &self) || !make_mask(&r, &target, &source, false, &cross))
        return NULL;
    ap_tensor *x = embed(&r, target.n, target.length, tokens, target_position);
    for (int64_t i = 0; i < r.model->nlayers; i++) x = decoder_layer(&r, x, memory, &self, &cross);
    return logits_of(&r, final_norm(&r, x));
}

/* ---- one step at a time, from a cache */

static float **take_layers(const ap_wmt_model *m, size_t floats) {
    float **layer = calloc((size_t)m->nlayers, sizeof *layer);
    for (int64_t i = 0; layer && i < m->nlayers; i++) layer[i] = malloc(floats * sizeof **layer);
    return layer;
}
static void free_layers(const ap_wmt_model *m, float **layer) {
    for (int64_t i = 0; layer && i < m->nlayers; i++) free(layer[i]);
    free(layer);
}
static bool is_whole(const ap_wmt_model *m, float *const *layer) {
    for (int64_t i = 0; layer && i < m->nlayers; i++)
        if (!layer[i]) return false;
    return layer != NULL;
}

bool ap_wmt_cache_create(const ap_wmt_model *m, int64_t n, int64_t beams, int64_t source, int64_t most_steps,
                         ap_wmt_cache *c) {
    const size_t past = (size_t)(n * beams * most_steps * m->d_model), memory = (size_t)(n * source * m->d_model);
    *c = (ap_wmt_cache){.n = n, .beams = beams, .source = source};
    c->k = take_layers(m, past), c->v = take_layers(m, past), c->spare = malloc(past * sizeof *c->spare);
    c->memory_k = take_layers(m, memory), c->memory_v = take_layers(m, memory);
    c->hidden = malloc((size_t)(n * source) * sizeof *c->hidden);
    return is_whole(m, c->k) && is_whole(m, c->v) && is_whole(m, c->memory_k) && is_whole(m, c->memory_v) && c->spare &&
           c->hidden;
}

void ap_wmt_cache_free(const ap_wmt_model *m, ap_wmt_cache *c) {
    free_layers(m, c->k), free_layers(m, c->v), free_layers(m, c->memory_k), free_layers(m, c->memory_v);
    free(c->spare), free(c->hidden);
}

/* The first parameter of decoder layer i. */
static int decoder_param(const ap_wmt_model *m, int64_t i) {
    return 1 + (int)m->nlayers * layer_size(m, false) + (m->pre_ln ? 2 : 0) + (int)i * layer_size(m, true);
}

void ap_wmt_cache_encode(const ap_wmt_model *m, ap_tape *tape, const int64_t *inputs, ap_wmt_cache *c) {
    run r = {m, tape, 1};
    const side source = {.n = c->n, .length = c->source, .token = inputs};
    ap_tensor *memory = encode(&r, &source, NULL);
    for (int64_t i = 0; i < c->n * c->source; i++) c->hidden[i] = inputs[i] > 0 ? 0 : hidden;
    for (int64_t i = 0; i < m->nlayers; i++) {
        ap_tensor *kv = ap_linear(tape, memory, ap_tape_param(tape, decoder_param(m, i) + 3), NULL);
        ap_tensor *k = part_of(&r, kv, 0), *v = part_of(&r, kv, 1);
        if (!k || !v) return;
        memcpy(c->memory_k[i], k->data, (size_t)k->size * sizeof(float));
        memcpy(c->memory_v[i], v->data, (size_t)v->size * sizeof(float));
    }
}

/* Every row's past is its parent's, and x [rows, 1, d] behind it: [rows, steps + 1, d]. */
static ap_tensor *remember(const run *r, const ap_wmt_cache *c, const int64_t *parent, const ap_tensor *x, float **past,
                           float **spare) {
    const int64_t rows = c->n * c->beams, d = r->model->d_model, old = c->steps * d;
    if (!x) return NULL;
    for (int64_t i = 0; i < rows; i++) {
        memcpy(*spare + i * (old + d), *past + parent[i] * old, (size_t)old * sizeof(float));
        memcpy(*spare + i * (old + d) + old, x->data + i * d, (size_t)d * sizeof(float));
    }
    float *swap = *past;
    *past = *spare, *spare = swap;
    return ap_tape_input(r->tape, *past, 3, (int64_t[]){rows, c->steps + 1, d});
}

static ap_tensor *cached_self_attention(run *r, ap_wmt_cache *c, int64_t layer, const int64_t *parent, ap_tensor *x) {
    ap_tensor *qkv = ap_linear(r->tape, x, next(r), NULL);
    ap_tensor *k = remember(r, c, parent, part_of(r, qkv, 1), &c->k[layer], &c->spare);
    ap_tensor *v = remember(r, c, parent, part_of(r, qkv, 2), &c->v[layer], &c->spare);
    return ap_linear(r->tape, attend(r, part_of(r, qkv, 0), k, v, &(mask){0}), next(r), NULL);
}

/* The beams of an example are the queries of one attention over its source. */
static ap_tensor *cached_cross_attention(run *r, const ap_wmt_cache *c, int64_t layer, ap_tensor *x) {
    const int64_t d = r->model->d_model, memory[] = {c->n, c->source, d};
    ap_tensor *q = ap_linear(r->tape, x, next(r), NULL);
    r->param++; /* keys and values are there */
    q = ap_reshape(r->tape, q, 3, (int64_t[]){c->n, c->beams, d});
    ap_tensor *y = attend(r, q, ap_tape_input(r->tape, c->memory_k[layer], 3, memory),
                          ap_tape_input(r->tape, c->memory_v[layer], 3, memory), &(mask){c->hidden, c->source, 0});
    return ap_linear(r->tape, ap_reshape(r->tape, y, 3, (int64_t[]){c->n * c->beams, 1, d}), next(r), NULL);
}

ap_tensor *ap_wmt_cache_step(const ap_wmt_model *m, ap_tape *tape, const int64_t *token, const int64_t *parent,
                             ap_wmt_cache *c) {
    run r = {m, tape, decoder_param(m, 0)};
    const int64_t rows = c->n * c->beams;
    int64_t *position = ap_tape_take(tape, (size_t)rows * sizeof *position);
    if (!position) return NULL;
    for (int64_t i = 0; i < rows; i++) position[i] = c->steps;
    ap_tensor *x = embed(&r, rows, 1, token, position);
    for (int64_t i = 0; i < m->nlayers; i++) {
        ap_tensor *norm[6];
        for (int k = 0; k < 6; k++) norm[k] = ahead(&r, norms_at(&r, true) + k);
        x = leave(&r, x, cached_self_attention(&r, c, i, parent, enter(&r, x, norm)), norm);
        x = leave(&r, x, cached_cross_attention(&r, c, i, enter(&r, x, norm + 2)), norm + 2);
        x = leave(&r, x, feed_forward(&r, enter(&r, x, norm + 4)), norm + 4);
        r.param += 6;
    }
    c->steps++;
    return ap_reshape(tape, logits_of(&r, final_norm(&r, x)), 2, (int64_t[]){rows, m->ntoken});
}
