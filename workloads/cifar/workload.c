#include "workloads/cifar/cifar.h"
#include "workloads/vision/classification.h"

extern const char ap_cifar_config[];
static const char *const config = ap_cifar_config;

const ap_workload ap_workload_cifar = {
    .name = "cifar",
    .summary = "small colour images, ten classes, ResNet-18; a development workload",
    .source = "AlgoPerf reference code, workloads/cifar (PyTorch form)",
    .config_text = &config,
    .options = ap_cifar_options,
    .option_count = ap_cifar_option_count,
    .model_size = sizeof(ap_cifar_model),
    .define = ap_cifar_define,
    .forward = ap_cifar_forward,
    AP_CLASSIFICATION,
    .fields = 2,
    .field = {{.name = "inputs", .type = AP_U8, .rank = 3, .shape = {32, 32, 3}}, {.name = "targets", .type = AP_U8}},
    .collate = ap_cifar_collate,
    .generator = &ap_cifar_generator,
    .plan = ap_cifar_plan,
    .prepare_help =
        "folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin (CIFAR-10, binary version), or "
        "with the IDX files of Fashion-MNIST",
};
