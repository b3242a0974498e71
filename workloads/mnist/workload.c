#include "workloads/mnist/mnist.h"

extern const char ap_mnist_config[];
static const char *const config = ap_mnist_config;

const ap_workload ap_workload_mnist = {
    .name = "mnist",
    .summary = "handwritten digits, a two-layer perceptron; the development workload",
    .source = "AlgoPerf reference code, workloads/mnist (PyTorch form)",
    .config_text = &config,
    .options = ap_mnist_options,
    .option_count = ap_mnist_option_count,
    .model_size = sizeof(ap_mnist_model),
    .define = ap_mnist_define,
    .forward = ap_mnist_forward,
    AP_CLASSIFICATION,
    .sum_names = {"num_correct_weighted"},
    .fields = 2,
    .field = {{.name = "inputs", .type = AP_U8, .rank = 3, .shape = {28, 28, 1}}, {.name = "targets", .type = AP_U8}},
    .collate = ap_mnist_collate,
    .generator = &ap_mnist_generator,
    .plan = ap_mnist_plan,
    .prepare_help = "folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz (MNIST, Fashion-MNIST)",
};
