/* librispeech_deepspeech: what this folder's files share. model.c: recurrent network and its variants; sound and
 * targets: workloads/speech; workload.c: the table that the program sees. Source: AlgoPerf reference code,
 * workloads/librispeech_deepspeech; Amodei et al., arXiv 1512.02595. */
#ifndef AP_WORKLOADS_LIBRISPEECH_DEEPSPEECH_H
#define AP_WORKLOADS_LIBRISPEECH_DEEPSPEECH_H

#include "workloads/speech/speech.h"

/* Filled through ap_librispeech_deepspeech_options. */
typedef struct ap_librispeech_deepspeech_model {
    ap_speech speech; /* first: workloads/speech reads it */
    int64_t num_lstm_layers, num_ffn_layers;
    bool use_tanh, enable_residual_connections, enable_decoder_layer_norm, layernorm_everywhere;
} ap_librispeech_deepspeech_model;
enum { ap_librispeech_deepspeech_option_count = 6 + AP_SPEECH_OPTION_COUNT };
extern const ap_option ap_librispeech_deepspeech_options[ap_librispeech_deepspeech_option_count];

/* For the contracts see ap_workload; batch arrays: speech.h. */
ap_status ap_librispeech_deepspeech_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_librispeech_deepspeech_forward(const void *model, ap_tape *tape, const ap_batch *batch);

#endif
