#include "workloads/imagenet_resnet/imagenet_resnet.h"
#include "workloads/vision/classification.h"

extern const char ap_imagenet_resnet_config[];
static const char *const config = ap_imagenet_resnet_config;
static const char *const variants[] = {"silu", "gelu", "large_bn_init", NULL};

const ap_workload ap_workload_imagenet_resnet = {
    .name = "imagenet_resnet",
    .summary = "ImageNet classification, ResNet-50",
    .source = "AlgoPerf reference code, workloads/imagenet_resnet (PyTorch form)",
    .config_text = &config,
    .variants = variants,
    .options = ap_imagenet_resnet_options,
    .option_count = ap_imagenet_resnet_option_count,
    .model_size = sizeof(ap_imagenet_resnet_model),
    .define = ap_imagenet_resnet_define,
    .forward = ap_imagenet_resnet_forward,
    AP_CLASSIFICATION,
    .packed_as = "imagenet",
    .fields = AP_IMAGENET_FIELDS,
    .field = AP_IMAGENET_FIELD_LIST,
    .collate = ap_imagenet_collate,
    .generator = &ap_imagenet_generator,
    .plan = ap_imagenet_plan,
    .prepare_help = AP_IMAGENET_PREPARE_HELP,
};
