/* imagenet_vit: what this folder's files share. model.c: ViT-S/16 and its variants; images: workloads/vision/imagenet;
 * workload.c: the table that the program sees. Source: AlgoPerf reference code, workloads/imagenet_vit; Dosovitskiy et
 * al., arXiv 2010.11929; Beyer, Zhai, Kolesnikov, arXiv 2205.01580. */
#ifndef AP_WORKLOADS_IMAGENET_VIT_H
#define AP_WORKLOADS_IMAGENET_VIT_H

#include "workload/workload.h"
#include "workloads/vision/imagenet.h"

/* Filled through ap_imagenet_vit_options. */
typedef struct ap_imagenet_vit_model {
    ap_imagenet_images images; /* first: workloads/vision/imagenet.c reads it */
    char *patch_size;          /* "16,16": height, width */
    int64_t width, depth, mlp_dim, num_heads;
    bool use_glu, use_post_layer_norm, use_map;
    bool randaugment; /* of training photographs */
    double mixup_alpha;
} ap_imagenet_vit_model;
enum { ap_imagenet_vit_option_count = 13 };
extern const ap_option ap_imagenet_vit_options[ap_imagenet_vit_option_count];

/* For the contracts see ap_workload. Batch arrays: inputs float32 [n, 3, h, w]; targets int64 [n] or float32 [n,
 * classes]; weights float32 [n] if there are any. */
ap_status ap_imagenet_vit_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_imagenet_vit_forward(const void *model, ap_tape *tape, const ap_batch *batch);

/* Collate: images as workloads/vision/imagenet; in training with RandAugment and mixup, if the model has them. */
ap_collate ap_imagenet_vit_collate;

/* The fixed table of positions [h w, width], rows in row-major order of the patches: with k = width / 4 and omega_i =
 * 10000^(-i / (k - 1)), [sin(x omega) | cos(x omega) | sin(y omega) | cos(y omega)]. width: a multiple of 4 from 8. */
void ap_imagenet_vit_positions(int64_t h, int64_t w, int64_t width, float *table);

#endif
