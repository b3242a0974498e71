/* The finewebedu_lm model: a decoder-only transformer with rotary positions, normalised queries and keys, gated
 * perceptrons and a tied output. */
#include "workloads/finewebedu_lm/finewebedu_lm.h"

#include "base/fmath.h"

#include <math.h>
#include <stdio.h>

typedef ap_finewebedu_lm_model lm;

#define INT_OPTION(member, low, high, text, help_text)                                                                 \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_INT, .offset = offsetof(lm, member), .min = low, .max = high,               \
        .fallback = text, .help = help_text                                                                            \
    }
#define REAL_OPTION(member, high, text, help_text)                                                                     \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_FLOAT, .offset = offsetof(lm, member), .min = 0, .max = high,               \
        .fallback = text, .help = help_text                                                                            \
    }

const ap_option ap_finewebedu_lm_options[ap_finewebedu_lm_option_count] = {
    INT_OPTION(model_dim, 2, 1 << 16, "1024", "width of a token, a multiple of 2 num_heads"),
    INT_OPTION(num_heads, 1, 1024, "8", "heads of attention"),
    INT_OPTION(num_layers, 0, 1000, "12", "blocks"),
    INT_OPTION(seq_len, 2, 1 << 20, "1024", "tokens that the model sees at once"),
    INT_OPTION(vocab_size, 2, 1 << 24, "50257", "tokens there are"),
    INT_OPTION(expanded_model_dim, 1, 1 << 18, "4096", "hidden width of the perceptrons, before rounding up"),
    INT_OPTION(multiple_of, 1, 1 << 12, "256", "what that width is rounded up to a multiple of"),
    REAL_OPTION(rmsnorm_epsilon, 1, "1e-6", "added to the mean square by RMS norm"),
    REAL_OPTION(qknorm_epsilon, 1, "1e-6", "added to normalised queries and keys"),
    REAL_OPTION(rope_theta, 1e9, "500000.0", "base of the rotary positions' frequencies"),
};

static int64_t hidden_width(const lm *m) {
    return (m->expanded_model_dim + m->multiple_of - 1) / m->multiple_of * m->multiple_of;
}

/* ---- parameters */

typedef struct definition {
    ap_params *params;
    int64_t layer;
    ap_error *error;
} definition;

static ap_status add(const definition *d, const char *name, int rank, const int64_t *shape, ap_init init) {
    char full[64];
    snprintf(full, sizeof full, "layers.%lld.%s", (long long)d->layer, name);
    return ap_params_add(d->params, full, rank, shape, init, d->error);
}

static ap_status add_layer(const definition *d, const lm *m) {
    const int64_t width = m->model_dim, hidden = hidden_width(m);
    const double length = (double)m->seq_len, std = 0.02, out_std = std / sqrt(2 * (double)m->num_layers);
    AP_TRY(add(d, "attn.attn_scale", 0, NULL, ap_init_constant(ap_f64_log(length * length - length) / ap_f64_log(2))));
    AP_TRY(add(d, "attn.w_qkv.weight", 2, (int64_t[]){3 * width, width}, ap_init_normal(std)));
    AP_TRY(add(d, "attn.w_out.weight", 2, (int64_t[]){width, width}, ap_init_normal(out_std)));
    AP_TRY(add(d, "attn_norm.weight", 1, &width, ap_init_constant(1)));
    AP_TRY(add(d, "mlp.fc1.weight", 2, (int64_t[]){2 * hidden, width}, ap_init_normal(std)));
    AP_TRY(add(d, "mlp.fc2.weight", 2, (int64_t[]){width, hidden}, ap_init_normal(out_std)));
    return add(d, "mlp_norm.weight", 1, &width, ap_init_constant(1));
}

ap_status ap_finewebedu_lm_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const lm *m = model;
    (void)state; /* no running statistics */
    if (m->model_dim % (2 * m->num_heads))
        return ap_fail(error, AP_CONFIG, "model_dim = %lld (must be a multiple of 2 num_heads = %lld)",
                       (long long)m->model_dim, (long long)(2 * m->num_heads));
    AP_TRY(ap_params_add(params, "embed_tokens.weight", 2, (int64_t[]){m->vocab_size, m->model_dim},
                         ap_init_normal(0.02), error));
    for (int64_t i = 0; i < m->num_layers; i++) AP_TRY(add_layer(&(definition){params, i, error}, m));
    return ap_params_add(params, "out_norm.weight", 1, &m->model_dim, ap_init_constant(1), error);
}

/* ---- forward */

/* Parameters are used in the order in which they were declared, from `param` on. */
typedef struct run {
    const lm *model;
    ap_tape *tape;
    int param;
    int64_t n, steps;
    float *cosine, *sine; /* [steps, d / 2] */
} run;

static ap_tensor *param(run *r) {
    return ap_tape_param(r->tape, r->param++);
}

/* In float32 at every step, as published: frequency, angle, cosine and sine. */
static bool make_angles(run *r) {
    const int64_t half = r->model->model_dim / r->model->num_heads / 2;
    r->cosine = ap_tape_take(r->tape, (size_t)(r->steps * half) * sizeof *r->cosine);
    r->sine = ap_tape_take(r->tape, (size_t)(r->steps * half) * sizeof *r->sine);
    if (!r->cosine || !r->sine) return false;
    for (int64_t i = 0; i < half; i++) {
        const float frequency = (float)(1 / ap_f64_pow(r->model->rope_theta, (double)i / (double)half));
        for (int64_t p = 0; p < r->steps; p++) {
            const float angle = (float)p * frequency;
            r->cosine[p * half + i] = (float)ap_f64_cos((double)angle);
            r->sine[p * half + i] = (float)ap_f64_sin((double)angle);
        }
    }
    return true;
}

/* Queries or keys: turned, then each head's to length 1. */
static ap_tensor *turn(run *r, ap_tensor *x) {
    const lm *m = r->model;
    return ap_unit_rows(r->tape, ap_rotary(r->tape, x, m->num_heads, r->cosine, r->sine), m->model_dim / m->num_heads,
                        (float)m->qknorm_epsilon);
}

static ap_tensor *attention(run *r, ap_tensor *x) {
    ap_tape *tape = r->tape;
    const int64_t width = r->model->model_dim;
    ap_tensor *scale = param(r), *qkv = ap_linear(tape, x, param(r), NULL);
    ap_tensor *q = ap_scale_learned(tape, turn(r, ap_slice_last(tape, qkv, 0, width)), scale);
    ap_tensor *k = turn(r, ap_slice_last(tape, qkv, width, width)), *v = ap_slice_last(tape, qkv, 2 * width, width);
    const ap_attention_options options = {.heads = r->model->num_heads, .scale = 1, .causal = true};
    return ap_linear(tape, ap_attention(tape, q, k, v, &options), param(r), NULL);
}

static ap_tensor *perceptron(run *r, ap_tensor *x) {
    const int64_t hidden = hidden_width(r->model);
    ap_tensor *h = ap_linear(r->tape, x, param(r), NULL);
    ap_tensor *u = ap_slice_last(r->tape, h, 0, hidden), *gate = ap_slice_last(r->tape, h, hidden, hidden);
    return ap_linear(r->tape, ap_multiply(r->tape, u, ap_sigmoid(r->tape, gate)), param(r), NULL);
}

static ap_tensor *norm(run *r, ap_tensor *x) {
    return ap_rms_norm(r->tape, x, param(r), (float)r->model->rmsnorm_epsilon);
}

/* The norms are declared behind what they come before. */
static ap_tensor *block(run *r, ap_tensor *x) {
    enum { ATTENTION = 3, PERCEPTRON = 2 };
    run norms = *r;
    norms.param += ATTENTION;
    x = ap_add(r->tape, x, attention(r, norm(&norms, x)));
    r->param = norms.param;
    norms.param += PERCEPTRON;
    x = ap_add(r->tape, x, perceptron(r, norm(&norms, x)));
    r->param = norms.param;
    return x;
}

/* Token ids as the lookup wants them. */
static const int32_t *ids_of(ap_tape *tape, const ap_array *inputs) {
    int32_t *ids = ap_tape_take(tape, (size_t)inputs->size * sizeof *ids);
    for (int64_t i = 0; ids && i < inputs->size; i++) {
        const int64_t id = ((const int64_t *)inputs->data)[i];
        ids[i] = id < 0 || id > INT32_MAX ? -1 : (int32_t)id;
    }
    return ids;
}

ap_tensor *ap_finewebedu_lm_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const lm *m = model;
    const ap_array *inputs = ap_batch_find(batch, "inputs");
    if (!inputs || inputs->type != AP_I64 || inputs->rank != 2 || inputs->shape[1] > m->seq_len)
        return ap_tape_fail_as(tape, AP_DATA, "finewebedu_lm: the batch needs `inputs`, int64 [n, at most %lld]",
                               (long long)m->seq_len);
    run r = {.model = m, .tape = tape, .n = inputs->shape[0], .steps = inputs->shape[1]};
    const int32_t *ids = ids_of(tape, inputs);
    if (!ids || !make_angles(&r)) return NULL;
    ap_tensor *table = param(&r), *x = ap_table_lookup(tape, 1, &table, 2, inputs->shape, ids);
    for (int64_t i = 0; i < m->num_layers; i++) x = block(&r, x);
    return ap_linear(tape, norm(&r, x), table, NULL);
}
