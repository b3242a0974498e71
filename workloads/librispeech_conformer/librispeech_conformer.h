/* librispeech_conformer: what this folder's files share. model.c: convolution-augmented transformer and its variants;
 * sound and targets: workloads/speech; workload.c: the table that the program sees. Source: AlgoPerf reference code,
 * workloads/librispeech_conformer; Gulati et al., arXiv 2005.08100. */
#ifndef AP_WORKLOADS_LIBRISPEECH_CONFORMER_H
#define AP_WORKLOADS_LIBRISPEECH_CONFORMER_H

#include "workloads/speech/speech.h"

/* Filled through ap_librispeech_conformer_options. */
typedef struct ap_librispeech_conformer_model {
    ap_speech speech; /* first: workloads/speech reads it */
    int64_t num_attention_heads, num_encoder_layers, convolution_kernel_size, feed_forward_expansion_factor;
    char *activation_function_name;
    bool use_post_layer_norm;
    double attention_temperature;
} ap_librispeech_conformer_model;
enum { ap_librispeech_conformer_option_count = 7 + AP_SPEECH_OPTION_COUNT };
extern const ap_option ap_librispeech_conformer_options[ap_librispeech_conformer_option_count];

/* For the contracts see ap_workload; batch arrays: speech.h. */
ap_status ap_librispeech_conformer_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_librispeech_conformer_forward(const void *model, ap_tape *tape, const ap_batch *batch);

#endif
