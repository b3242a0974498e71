/* Kinds of parameters, as the benchmark assigns them from parameter names (workloads/README: "Parameter types"). */
#ifndef AP_BASE_PARAM_TYPE_H
#define AP_BASE_PARAM_TYPE_H

typedef enum ap_param_type {
    AP_PARAM_WEIGHT,
    AP_PARAM_BIAS,
    AP_PARAM_CONV_WEIGHT,
    AP_PARAM_BATCH_NORM_SCALE,
    AP_PARAM_BATCH_NORM_BIAS,
    AP_PARAM_LAYER_NORM_SCALE,
    AP_PARAM_LAYER_NORM_BIAS,
    AP_PARAM_EMBEDDING,
    AP_PARAM_ATTENTION_Q,
    AP_PARAM_ATTENTION_K,
    AP_PARAM_ATTENTION_V,
    AP_PARAM_ATTENTION_OUT,
    AP_PARAM_ATTENTION_QKV,
    AP_PARAM_ATTENTION_KV,
    AP_PARAM_ATTENTION_BIAS,
    AP_PARAM_TYPES /* how many there are */
} ap_param_type;

/* The published spelling, "WEIGHT", "BATCH_NORM_SCALE", ... */
static inline const char *ap_param_type_name(ap_param_type type) {
    static const char *const names[AP_PARAM_TYPES] = {
        [AP_PARAM_WEIGHT] = "WEIGHT",
        [AP_PARAM_BIAS] = "BIAS",
        [AP_PARAM_CONV_WEIGHT] = "CONV_WEIGHT",
        [AP_PARAM_BATCH_NORM_SCALE] = "BATCH_NORM_SCALE",
        [AP_PARAM_BATCH_NORM_BIAS] = "BATCH_NORM_BIAS",
        [AP_PARAM_LAYER_NORM_SCALE] = "LAYER_NORM_SCALE",
        [AP_PARAM_LAYER_NORM_BIAS] = "LAYER_NORM_BIAS",
        [AP_PARAM_EMBEDDING] = "EMBEDDING",
        [AP_PARAM_ATTENTION_Q] = "ATTENTION_Q",
        [AP_PARAM_ATTENTION_K] = "ATTENTION_K",
        [AP_PARAM_ATTENTION_V] = "ATTENTION_V",
        [AP_PARAM_ATTENTION_OUT] = "ATTENTION_OUT",
        [AP_PARAM_ATTENTION_QKV] = "ATTENTION_QKV",
        [AP_PARAM_ATTENTION_KV] = "ATTENTION_KV",
        [AP_PARAM_ATTENTION_BIAS] = "ATTENTION_BIAS",
    };
    return type < AP_PARAM_TYPES ? names[type] : "UNKNOWN";
}

#endif
