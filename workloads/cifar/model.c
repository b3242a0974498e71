/* The cifar model: ResNet-18 with a 3x3 stem. */
#include "workloads/cifar/cifar.h"
#include "workloads/vision/resnet.h"
#include "workloads/vision/synthetic.h"

const ap_option ap_cifar_options[ap_cifar_option_count] = {
    {.name = "base_width",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_cifar_model, base_width),
     .min = 1,
     .max = 4096,
     .fallback = "64",
     .help = "channels of the first stage"},
    {.name = "layers",
     .type = AP_OPTION_STRING,
     .offset = offsetof(ap_cifar_model, layers),
     .fallback = "2,2,2,2",
     .help = "blocks of the four stages"},
    {.name = "classes",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_cifar_model, classes),
     .min = 2,
     .max = 256,
     .fallback = "10",
     .help = "number of classes"},
    AP_RESNET_BN_OPTIONS(ap_cifar_model),
    AP_SYNTHETIC_TURN_OPTION(ap_cifar_model),
};

static ap_resnet resnet_of(const ap_cifar_model *m) {
    return (ap_resnet){.base_width = m->base_width,
                       .classes = m->classes,
                       .layers = m->layers,
                       .activation = "relu",
                       .bn_init_scale = 0,
                       .bn_momentum = m->bn_momentum,
                       .bn_eps = m->bn_eps};
}

ap_status ap_cifar_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const ap_resnet resnet = resnet_of(model);
    return ap_resnet_define(&resnet, params, state, error);
}

ap_tensor *ap_cifar_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const ap_resnet resnet = resnet_of(model);
    return ap_resnet_forward(&resnet, "cifar", tape, batch);
}
