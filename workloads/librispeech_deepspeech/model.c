/* The librispeech_deepspeech model: subsampling, bidirectional LSTM layers, feed-forward layers, all on packed rows. */
#include "workloads/librispeech_deepspeech/librispeech_deepspeech.h"

#include <stdio.h>

typedef ap_librispeech_deepspeech_model deepspeech;

#define INT_OPTION(member, text, help_text)                                                                            \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_INT, .offset = offsetof(deepspeech, member), .min = 0, .max = 1000,         \
        .fallback = text, .help = help_text                                                                            \
    }
#define BOOL_OPTION(member, text, help_text)                                                                           \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_BOOL, .offset = offsetof(deepspeech, member), .fallback = text,             \
        .help = help_text                                                                                              \
    }

const ap_option ap_librispeech_deepspeech_options[ap_librispeech_deepspeech_option_count] = {
    INT_OPTION(num_lstm_layers, "6", "bidirectional LSTM layers"),
    INT_OPTION(num_ffn_layers, "3", "feed-forward layers"),
    BOOL_OPTION(use_tanh, "false", "tanh in place of ReLU"),
    BOOL_OPTION(enable_residual_connections, "true", "sums around LSTM and feed-forward layers"),
    BOOL_OPTION(enable_decoder_layer_norm, "true", "layer norm before the last linear layer"),
    BOOL_OPTION(layernorm_everywhere, "false", "layer norm in place of batch norm"),
    AP_SPEECH_OPTIONS,
};

enum { PREFIX = 64 };

/* ---- parameters */

static ap_status add_norm(const ap_speech_definition *d, const deepspeech *m, const char *layer) {
    char prefix[2 * PREFIX];
    snprintf(prefix, sizeof prefix, "%s.%s", layer,
             m->layernorm_everywhere ? "normalization_layer" : "bn_normalization_layer");
    return ap_speech_add_norm(d, prefix, m->layernorm_everywhere ? "scale" : "weight", m->speech.encoder_dim,
                              !m->layernorm_everywhere);
}

/* PyTorch's default: uniform within 1 / sqrt(hidden), the biases too. */
static ap_status add_lstm(const ap_speech_definition *d, const deepspeech *m, const char *layer) {
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const int64_t dim = m->speech.encoder_dim, hidden = dim / 2, columns[2] = {dim, hidden};
    for (int i = 0; i < 8; i++) {
        char full[2 * PREFIX];
        const int part = i % 4;
        snprintf(full, sizeof full, "%s.lstm.%s_l0%s", layer, names[part], i < 4 ? "" : "_reverse");
        AP_TRY(ap_params_add(d->params, full, part < 2 ? 2 : 1, (int64_t[]){4 * hidden, columns[part % 2]},
                             ap_init_uniform_fan_in(hidden), d->error));
    }
    return AP_OK;
}

ap_status ap_librispeech_deepspeech_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const deepspeech *m = model;
    const ap_speech_definition d = {params, state, error};
    const int64_t dim = m->speech.encoder_dim;
    if (dim % 2)
        return ap_fail(error, AP_CONFIG, "encoder_dim = %lld (must be even: half of it is each direction's)",
                       (long long)dim);
    AP_TRY(ap_speech_add_subsampling(&d, dim, "lin"));
    char layer[PREFIX];
    for (int64_t i = 0; i < m->num_lstm_layers; i++) {
        snprintf(layer, sizeof layer, "lstms.%lld", (long long)i);
        AP_TRY(add_norm(&d, m, layer));
        AP_TRY(add_lstm(&d, m, layer));
    }
    for (int64_t i = 0; i < m->num_ffn_layers; i++) {
        snprintf(layer, sizeof layer, "ffns.%lld", (long long)i);
        AP_TRY(add_norm(&d, m, layer));
        snprintf(layer, sizeof layer, "ffns.%lld.lin", (long long)i);
        AP_TRY(ap_speech_add_linear(&d, layer, dim, dim));
    }
    if (m->enable_decoder_layer_norm) AP_TRY(ap_speech_add_norm(&d, "ln", "scale", dim, false));
    return ap_speech_add_linear(&d, "lin", m->speech.vocab_size, dim);
}

/* ---- forward */

static ap_tensor *norm(ap_speech_run *r, const deepspeech *m, ap_tensor *x) {
    return m->layernorm_everywhere ? ap_speech_layer_norm(r, x) : ap_speech_batch_norm(r, x, AP_IDENTITY);
}

/* Packed rows -> packed rows; the layer itself packs them by step. */
static ap_tensor *lstm(ap_speech_run *r, ap_tensor *x) {
    ap_tensor *w[8];
    for (int i = 0; i < 8; i++) w[i] = ap_tape_param(r->tape, r->param++);
    x = ap_unpack_rows(r->tape, x, r->n, r->steps, r->lengths);
    const ap_lstm_weights weights = {{w[0], w[4]}, {w[1], w[5]}, {w[2], w[6]}, {w[3], w[7]}};
    return ap_pack_rows(r->tape, ap_lstm_bidirectional(r->tape, x, r->lengths, &weights), r->lengths);
}

static ap_tensor *add(ap_speech_run *r, const deepspeech *m, ap_tensor *x, ap_tensor *y) {
    return m->enable_residual_connections ? ap_add(r->tape, x, y) : y;
}

ap_tensor *ap_librispeech_deepspeech_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const deepspeech *m = model;
    const ap_activation activation = m->use_tanh ? AP_TANH : AP_RELU;
    ap_speech_run r = {.model = &m->speech, .tape = tape};
    ap_tensor *x = ap_dropout(tape, ap_speech_subsample(&r, batch, activation));
    for (int64_t i = 0; i < m->num_lstm_layers; i++) x = add(&r, m, x, lstm(&r, norm(&r, m, x)));
    for (int64_t i = 0; i < m->num_ffn_layers; i++) {
        ap_tensor *y = ap_speech_linear(&r, norm(&r, m, x));
        x = add(&r, m, x, ap_dropout(tape, ap_activation_of(tape, y, activation, 0)));
    }
    if (m->enable_decoder_layer_norm) x = ap_speech_layer_norm(&r, x);
    return ap_speech_logits(&r, x);
}
