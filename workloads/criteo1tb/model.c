/* The criteo1tb model, DLRM-small: a perceptron on the dense features, a table of embeddings for the categories, inner
 * products of all pairs, a perceptron on top. */
#include "workloads/criteo1tb/criteo1tb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INT_OPTION(member, low, high, text, help_text)                                                                 \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_INT, .offset = offsetof(ap_criteo1tb_model, member), .min = low,            \
        .max = high, .fallback = text, .help = help_text                                                               \
    }
#define TEXT_OPTION(member, text, help_text)                                                                           \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_STRING, .offset = offsetof(ap_criteo1tb_model, member), .fallback = text,   \
        .help = help_text                                                                                              \
    }
#define BOOL_OPTION(member, help_text)                                                                                 \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_BOOL, .offset = offsetof(ap_criteo1tb_model, member), .fallback = "false",  \
        .help = help_text                                                                                              \
    }

const ap_option ap_criteo1tb_options[ap_criteo1tb_option_count] = {
    INT_OPTION(vocab_size, 4, 1 << 30, "4194304", "rows of the embedding table, a multiple of 4"),
    INT_OPTION(embed_dim, 1, 1 << 16, "128", "width of an embedding"),
    INT_OPTION(num_dense_features, 1, 1 << 16, "13", "dense features of an example"),
    INT_OPTION(num_sparse_features, 1, 1 << 16, "26", "categories of an example"),
    TEXT_OPTION(mlp_bottom_dims, "512,256,128", "widths of the layers on the dense features"),
    TEXT_OPTION(mlp_top_dims, "1024,1024,512,256,1", "widths of the layers on top; the last is 1"),
    BOOL_OPTION(use_layer_norm, "layer norm behind every ReLU and on the embeddings"),
    BOOL_OPTION(use_resnet, "residual layers and no inner products"),
    {.name = "embedding_init_multiplier",
     .type = AP_OPTION_FLOAT,
     .offset = offsetof(ap_criteo1tb_model, embedding_init_multiplier),
     .min = 0,
     .max = 1e6,
     .fallback = "0",
     .help = "embeddings start uniform between 0 and it; 0: 1 / sqrt(vocab_size)"},
};

enum { NAME = 64, MOST_LAYERS = 16, CHUNKS = 4 };
static const float norm_eps = 1e-6f;

typedef struct widths {
    int layers;
    int64_t width[MOST_LAYERS];
} widths;

static ap_status read_widths(const char *key, const char *text, widths *w, ap_error *error) {
    const char *at = text;
    for (w->layers = 0; w->layers < MOST_LAYERS;) {
        char *end;
        const long long width = strtoll(at, &end, 10);
        if (end == at || width < 1 || width > 1 << 20) break;
        w->width[w->layers++] = width;
        if (!*end) return AP_OK;
        if (*end != ',') break;
        at = end + 1;
    }
    return ap_fail(error, AP_CONFIG, "%s = \"%s\" (must be 1 to %d widths from 1 to %d, such as \"512,256,128\")", key,
                   text, MOST_LAYERS, 1 << 20);
}

/* ---- parameters */

typedef struct layout {
    widths bottom, top;
    int64_t top_input;
} layout;

static ap_status read_layout(const ap_criteo1tb_model *m, layout *l, ap_error *error) {
    AP_TRY(read_widths("mlp_bottom_dims", m->mlp_bottom_dims, &l->bottom, error));
    AP_TRY(read_widths("mlp_top_dims", m->mlp_top_dims, &l->top, error));
    const int64_t d = l->bottom.width[l->bottom.layers - 1], vectors = m->num_sparse_features + 1;
    l->top_input = m->use_resnet ? d + m->num_sparse_features * m->embed_dim : d + vectors * (vectors + 1) / 2;
    if (l->top.width[l->top.layers - 1] != 1)
        return ap_fail(error, AP_CONFIG, "mlp_top_dims = \"%s\" (the last layer must have one output, the logit)",
                       m->mlp_top_dims);
    if (!m->use_resnet && d != m->embed_dim)
        return ap_fail(error, AP_CONFIG, "mlp_bottom_dims = \"%s\" must end with embed_dim = %lld for inner products",
                       m->mlp_bottom_dims, (long long)m->embed_dim);
    if (m->use_resnet && m->use_layer_norm)
        return ap_fail(error, AP_CONFIG, "use_resnet and use_layer_norm do not go together (no variant has both)");
    for (int i = 1; m->use_resnet && i + 1 < l->top.layers; i++)
        if (l->top.width[i] != l->top.width[0])
            return ap_fail(error, AP_CONFIG, "mlp_top_dims = \"%s\" (use_resnet: all but the last must be equal)",
                           m->mlp_top_dims);
    if (m->vocab_size % CHUNKS)
        return ap_fail(error, AP_CONFIG, "vocab_size = %lld (must be a multiple of %d)", (long long)m->vocab_size,
                       CHUNKS);
    return AP_OK;
}

static ap_status add_tables(const ap_criteo1tb_model *m, ap_params *params, ap_error *error) {
    const double scale =
        m->embedding_init_multiplier > 0 ? m->embedding_init_multiplier : 1 / sqrt((double)m->vocab_size);
    for (int i = 0; i < CHUNKS; i++) {
        char name[NAME];
        snprintf(name, sizeof name, "embedding_chunk_%d", i);
        AP_TRY(ap_params_add_table(params, name, m->vocab_size / CHUNKS, m->embed_dim, ap_init_uniform_positive(scale),
                                   error));
    }
    return AP_OK;
}

/* PREFIX.weight, PREFIX.bias */
static ap_status add_pair(ap_params *params, const char *prefix, int rank, const int64_t *shape, ap_init weight,
                          ap_init bias, ap_error *error) {
    char name[2 * NAME];
    snprintf(name, sizeof name, "%s.weight", prefix);
    AP_TRY(ap_params_add(params, name, rank, shape, weight, error));
    snprintf(name, sizeof name, "%s.bias", prefix);
    return ap_params_add(params, name, 1, shape, bias, error);
}

static ap_status add_norm(ap_params *params, const char *prefix, int64_t n, ap_error *error) {
    return add_pair(params, prefix, 1, &n, ap_init_constant(1), ap_init_constant(0), error);
}

/* Names count the members of a torch Sequential: linear, ReLU, norm, and on top a dropout before the last layer. */
static ap_status add_mlp(const ap_criteo1tb_model *m, ap_params *params, bool top, const widths *w, int64_t in,
                         ap_error *error) {
    const char *mlp = top ? "top_mlp" : "bot_mlp";
    for (int i = 0, member = 0; i < w->layers; i++) {
        const bool last = top && i == w->layers - 1;
        const int64_t out = w->width[i];
        char prefix[NAME];
        if (last && i > 0 && !m->use_resnet) member++;
        snprintf(prefix, sizeof prefix, m->use_resnet ? "%s.%d.module.0" : "%s.%d", mlp, member);
        AP_TRY(add_pair(params, prefix, 2, (int64_t[]){out, in},
                        top ? ap_init_normal(sqrt(2 / (double)(in + out))) : ap_init_xavier_uniform(in, out),
                        ap_init_normal(sqrt(1 / (double)out)), error));
        if (m->use_layer_norm && !last) {
            snprintf(prefix, sizeof prefix, "%s.%d", mlp, member + 2);
            AP_TRY(add_norm(params, prefix, out, error));
        }
        member += m->use_resnet ? 1 : m->use_layer_norm ? 3 : 2;
        in = out;
    }
    return AP_OK;
}

ap_status ap_criteo1tb_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const ap_criteo1tb_model *m = model;
    layout l = {0};
    (void)state; /* no running statistics */
    AP_TRY(read_layout(m, &l, error));
    AP_TRY(add_tables(m, params, error));
    AP_TRY(add_mlp(m, params, false, &l.bottom, m->num_dense_features, error));
    AP_TRY(add_mlp(m, params, true, &l.top, l.top_input, error));
    return m->use_layer_norm ? add_norm(params, "embed_ln", m->embed_dim, error) : AP_OK;
}

/* ---- forward */

/* Parameters are used in the order in which they were declared, from `param` on. */
typedef struct run {
    const ap_criteo1tb_model *model;
    ap_tape *tape;
    int param;
} run;

static ap_tensor *norm(run *r, ap_tensor *x) {
    r->param += 2;
    return ap_layer_norm(r->tape, x, ap_tape_param(r->tape, r->param - 2), ap_tape_param(r->tape, r->param - 1),
                         norm_eps);
}

static ap_tensor *mlp(run *r, ap_tensor *x, bool top, int layers) {
    const ap_criteo1tb_model *m = r->model;
    for (int i = 0; i < layers; i++) {
        const bool last = top && i == layers - 1;
        ap_tensor *w = ap_tape_param(r->tape, r->param), *b = ap_tape_param(r->tape, r->param + 1);
        r->param += 2;
        ap_tensor *y = ap_linear(r->tape, x, w, b);
        if (last) return y;
        y = ap_relu(r->tape, y);
        if (m->use_layer_norm) y = norm(r, y);
        if (top && i == layers - 2) y = ap_dropout(r->tape, y);
        const bool residual = m->use_resnet && (top ? i > 0 : w && w->shape[0] == w->shape[1]);
        x = residual ? ap_add(r->tape, x, y) : y;
    }
    return x;
}

/* Columns [0, dense) of the rows. */
static ap_tensor *dense_features(ap_tape *tape, int64_t n, int64_t all, int64_t dense, const float *rows) {
    float *x = ap_tape_take(tape, (size_t)(n * dense) * sizeof *x);
    for (int64_t i = 0; x && i < n; i++) memcpy(x + i * dense, rows + i * all, (size_t)dense * sizeof *x);
    return x ? ap_tape_input(tape, x, 2, (int64_t[]){n, dense}) : NULL;
}

/* The others as row numbers: cast to int32, modulo the number of rows (rounded down, as PyTorch has it). */
static int32_t *row_numbers(ap_tape *tape, const ap_criteo1tb_model *m, int64_t n, const float *rows) {
    const int64_t dense = m->num_dense_features, sparse = m->num_sparse_features;
    int32_t *ids = ap_tape_take(tape, (size_t)(n * sparse) * sizeof *ids);
    for (int64_t i = 0; ids && i < n; i++)
        for (int64_t j = 0; j < sparse; j++) {
            const float x = rows[i * (dense + sparse) + dense + j];
            if (!(x > -0x1p31f && x < 0x1p31f))
                return ap_tape_fail_as(tape, AP_DATA, "criteo1tb: category %lld of an example is %g (must fit int32)",
                                       (long long)j, (double)x);
            const int64_t id = (int64_t)x % m->vocab_size;
            ids[i * sparse + j] = (int32_t)(id < 0 ? id + m->vocab_size : id);
        }
    return ids;
}

static ap_tensor *embeddings(run *r, int64_t n, const float *rows) {
    ap_tensor *table[CHUNKS];
    for (int i = 0; i < CHUNKS; i++) table[i] = ap_tape_param(r->tape, r->param++);
    const int64_t shape[2] = {n, r->model->num_sparse_features};
    return ap_table_lookup(r->tape, CHUNKS, table, 2, shape, row_numbers(r->tape, r->model, n, rows));
}

ap_tensor *ap_criteo1tb_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const ap_criteo1tb_model *m = model;
    const int64_t sparse = m->num_sparse_features, all = m->num_dense_features + sparse;
    const ap_array *inputs = ap_batch_find(batch, "inputs");
    layout l;
    ap_error error = {0};
    if (!inputs || inputs->type != AP_F32 || inputs->rank != 2 || inputs->shape[1] != all)
        return ap_tape_fail_as(tape, AP_DATA, "criteo1tb: the batch needs `inputs`, float32 [n, %lld]", (long long)all);
    if (read_layout(m, &l, &error)) return ap_tape_fail_as(tape, error.status, "%s", error.text);
    const int64_t n = inputs->shape[0];
    run r = {m, tape, 0};
    ap_tensor *e = embeddings(&r, n, inputs->data);
    ap_tensor *d = mlp(&r, dense_features(tape, n, all, m->num_dense_features, inputs->data), false, l.bottom.layers);
    if (m->use_layer_norm) {
        run behind = {m, tape, r.param + 4 * l.top.layers - 2}; /* declared last */
        e = norm(&behind, e);
    }
    e = ap_reshape(tape, e, 2, (int64_t[]){n, sparse * m->embed_dim});
    ap_tensor *x = ap_concat(tape, d, e);
    if (!m->use_resnet) {
        x = ap_reshape(tape, x, 3, (int64_t[]){n, sparse + 1, m->embed_dim});
        x = ap_concat(tape, d, ap_dot_interaction(tape, x));
    }
    return mlp(&r, x, true, l.top.layers);
}

/* ---- loss */

/* Label smoothing is ignored, as published. */
ap_loss ap_criteo1tb_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                          const ap_loss_options *options) {
    (void)model, (void)options;
    const ap_array *targets = ap_batch_find(batch, "targets"), *weights = ap_batch_find(batch, "weights");
    if (!logits) return (ap_loss){0};
    const int64_t n = logits->size;
    if (!targets || targets->size != n || (targets->type != AP_F32 && targets->type != AP_I64) ||
        (weights && (weights->type != AP_F32 || weights->size != n))) {
        ap_tape_fail_as(tape, AP_DATA, "criteo1tb: the batch needs `targets` (and `weights`, if any) for %lld rows",
                        (long long)n);
        return (ap_loss){0};
    }
    const float *labels = targets->data;
    if (targets->type == AP_I64) {
        float *converted = ap_tape_take(tape, (size_t)n * sizeof *converted);
        for (int64_t i = 0; converted && i < n; i++) converted[i] = (float)((const int64_t *)targets->data)[i];
        if (!converted) return (ap_loss){0};
        labels = converted;
    }
    return ap_sigmoid_cross_entropy(tape, logits, labels, weights ? weights->data : NULL, 0);
}
