#include "workloads/librispeech_conformer/librispeech_conformer.h"

extern const char ap_librispeech_conformer_config[];
static const char *const config = ap_librispeech_conformer_config;
static const char *const variants[] = {"attention_temperature", "layernorm", "gelu", NULL};

const ap_workload ap_workload_librispeech_conformer = {
    .name = "librispeech_conformer",
    .summary = "speech recognition, conformer with CTC",
    .source = "AlgoPerf reference code, workloads/librispeech_conformer (PyTorch form)",
    .config_text = &config,
    .variants = variants,
    .options = ap_librispeech_conformer_options,
    .option_count = ap_librispeech_conformer_option_count,
    .model_size = sizeof(ap_librispeech_conformer_model),
    .define = ap_librispeech_conformer_define,
    .forward = ap_librispeech_conformer_forward,
    AP_SPEECH_WORKLOAD,
};
