/* Residual networks (He et al. 2015, arXiv 1512.03385): ResNet-18 of cifar and ResNet-50 of imagenet_resnet, in the
 * form of the AlgoPerf reference code (PyTorch): names, order and initialisers of parameters as there. */
#ifndef AP_WORKLOADS_VISION_RESNET_H
#define AP_WORKLOADS_VISION_RESNET_H

#include "workload/workload.h"

typedef struct ap_resnet {
    bool bottleneck;    /* blocks of 1x1, 3x3, 1x1 with 4 times the width; else of two 3x3 */
    bool large_images;  /* stem of 7x7 stride 2 and max pooling, global average; else 3x3 and averages of 4x4 */
    int64_t base_width; /* channels of the first stage; doubled from stage to stage */
    int64_t classes;
    const char *layers;     /* blocks of the four stages, "3,4,6,3" */
    const char *activation; /* "relu", "silu", "gelu" (tanh form) */
    double bn_init_scale;   /* initial scale of the last batch norm of each block */
    double bn_momentum, bn_eps;
} ap_resnet;

/* Options `bn_momentum` and `bn_eps` with the published defaults; members of the struct `model` by the same names. */
#define AP_RESNET_BN_OPTIONS(model)                                                                                    \
    {.name = "bn_momentum",                                                                                            \
     .type = AP_OPTION_FLOAT,                                                                                          \
     .offset = offsetof(model, bn_momentum),                                                                           \
     .min = 0,                                                                                                         \
     .max = 1,                                                                                                         \
     .fallback = "0.1",                                                                                                \
     .help = "weight of the new batch statistics in the running ones"},                                                \
    {                                                                                                                  \
        .name = "bn_eps", .type = AP_OPTION_FLOAT, .offset = offsetof(model, bn_eps), .min = 1e-12, .max = 1,          \
        .fallback = "1e-5", .help = "added to the variance by batch norm"                                              \
    }

ap_status ap_resnet_define(const ap_resnet *model, ap_params *params, ap_params *state, ap_error *error);
/* The batch's `inputs`, float32 [n, 3, h, w] -> logits [n, classes]. `name`: the workload, for messages. */
ap_tensor *ap_resnet_forward(const ap_resnet *model, const char *name, ap_tape *tape, const ap_batch *batch);

#endif
