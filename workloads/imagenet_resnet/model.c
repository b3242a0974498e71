/* The imagenet_resnet model: ResNet-50 and its variants. */
#include "workloads/imagenet_resnet/imagenet_resnet.h"
#include "workloads/vision/resnet.h"

const ap_option ap_imagenet_resnet_options[ap_imagenet_resnet_option_count] = {
    {.name = "base_width",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_imagenet_resnet_model, base_width),
     .min = 1,
     .max = 4096,
     .fallback = "64",
     .help = "inner channels of the first stage"},
    {.name = "layers",
     .type = AP_OPTION_STRING,
     .offset = offsetof(ap_imagenet_resnet_model, layers),
     .fallback = "3,4,6,3",
     .help = "bottleneck blocks of the four stages"},
    {.name = "activation",
     .type = AP_OPTION_STRING,
     .offset = offsetof(ap_imagenet_resnet_model, activation),
     .choices = (const char *const[]){"relu", "silu", "gelu", NULL},
     .fallback = "relu",
     .help = "in place of every ReLU (gelu: tanh form)"},
    {.name = "bn_init_scale",
     .type = AP_OPTION_FLOAT,
     .offset = offsetof(ap_imagenet_resnet_model, bn_init_scale),
     .min = -1e6,
     .max = 1e6,
     .fallback = "0",
     .help = "initial scale of the last batch norm of each block"},
    AP_RESNET_BN_OPTIONS(ap_imagenet_resnet_model),
    AP_IMAGENET_IMAGE_OPTIONS,
    {.name = "classes",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_imagenet_images, classes),
     .min = 2,
     .max = 1 << 20,
     .fallback = "1000",
     .help = "number of classes"},
};

static ap_resnet resnet_of(const ap_imagenet_resnet_model *m) {
    return (ap_resnet){.bottleneck = true,
                       .large_images = true,
                       .base_width = m->base_width,
                       .classes = m->images.classes,
                       .layers = m->layers,
                       .activation = m->activation,
                       .bn_init_scale = m->bn_init_scale,
                       .bn_momentum = m->bn_momentum,
                       .bn_eps = m->bn_eps};
}

ap_status ap_imagenet_resnet_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const ap_resnet resnet = resnet_of(model);
    return ap_resnet_define(&resnet, params, state, error);
}

ap_tensor *ap_imagenet_resnet_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const ap_resnet resnet = resnet_of(model);
    return ap_resnet_forward(&resnet, "imagenet_resnet", tape, batch);
}
