#include "workloads/librispeech_deepspeech/librispeech_deepspeech.h"

extern const char ap_librispeech_deepspeech_config[];
static const char *const config = ap_librispeech_deepspeech_config;
static const char *const variants[] = {"tanh", "no_resnet", "norm_and_spec_aug", NULL};

const ap_workload ap_workload_librispeech_deepspeech = {
    .name = "librispeech_deepspeech",
    .summary = "speech recognition, recurrent network with CTC",
    .source = "AlgoPerf reference code, workloads/librispeech_deepspeech (PyTorch form)",
    .config_text = &config,
    .variants = variants,
    .options = ap_librispeech_deepspeech_options,
    .option_count = ap_librispeech_deepspeech_option_count,
    .model_size = sizeof(ap_librispeech_deepspeech_model),
    .define = ap_librispeech_deepspeech_define,
    .forward = ap_librispeech_deepspeech_forward,
    AP_SPEECH_WORKLOAD,
};
