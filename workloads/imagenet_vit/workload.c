#include "workloads/imagenet_vit/imagenet_vit.h"
#include "workloads/vision/classification.h"

extern const char ap_imagenet_vit_config[];
static const char *const config = ap_imagenet_vit_config;
static const char *const variants[] = {"glu", "post_ln", "map", NULL};

const ap_workload ap_workload_imagenet_vit = {
    .name = "imagenet_vit",
    .summary = "ImageNet classification, ViT-S/16",
    .source = "AlgoPerf reference code, workloads/imagenet_vit (PyTorch form)",
    .config_text = &config,
    .variants = variants,
    .options = ap_imagenet_vit_options,
    .option_count = ap_imagenet_vit_option_count,
    .model_size = sizeof(ap_imagenet_vit_model),
    .define = ap_imagenet_vit_define,
    .forward = ap_imagenet_vit_forward,
    AP_CLASSIFICATION,
    .packed_as = "imagenet",
    .fields = AP_IMAGENET_FIELDS,
    .field = AP_IMAGENET_FIELD_LIST,
    .collate = ap_imagenet_vit_collate,
    .generator = &ap_imagenet_generator,
    .plan = ap_imagenet_plan,
    .prepare_help = AP_IMAGENET_PREPARE_HELP,
};
