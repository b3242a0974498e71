/* imagenet_resnet: what this folder's files share. model.c: ResNet-50; images: workloads/vision/imagenet; workload.c:
 * the table that the program sees. Source: AlgoPerf reference code, workloads/imagenet_resnet. */
#ifndef AP_WORKLOADS_IMAGENET_RESNET_H
#define AP_WORKLOADS_IMAGENET_RESNET_H

#include "workload/workload.h"
#include "workloads/vision/imagenet.h"

/* Filled through ap_imagenet_resnet_options. */
typedef struct ap_imagenet_resnet_model {
    ap_imagenet_images images; /* first: workloads/vision/imagenet.c reads it */
    int64_t base_width;
    char *layers, *activation;
    double bn_init_scale, bn_momentum, bn_eps;
} ap_imagenet_resnet_model;
enum { ap_imagenet_resnet_option_count = 9 };
extern const ap_option ap_imagenet_resnet_options[ap_imagenet_resnet_option_count];

/* For the contracts see ap_workload. Batch arrays: inputs float32 [n, 3, h, w]; targets int64 [n] or float32 [n,
 * classes]; weights float32 [n] if there are any. */
ap_status ap_imagenet_resnet_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_imagenet_resnet_forward(const void *model, ap_tape *tape, const ap_batch *batch);

#endif
