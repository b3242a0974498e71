/* mnist: what this folder's files share. model.c: the perceptron; data.c: images; workload.c: the
 * table that the program sees. Source: AlgoPerf reference code, workloads/mnist. */
#ifndef AP_WORKLOADS_MNIST_MNIST_H
#define AP_WORKLOADS_MNIST_MNIST_H

#include "workload/workload.h"
#include "workloads/vision/classification.h"

/* Filled through ap_mnist_options. */
typedef struct ap_mnist_model {
    int64_t input, hidden, classes; /* 784 -> hidden -> classes */
    double pixel_max;               /* pixels are divided by it before they are normalised */
    char *init; /* "pytorch": weights and biases U(+-1/sqrt(fan_in)); "lecun": truncated normal, zero biases */
} ap_mnist_model;

enum { ap_mnist_option_count = 5 };
extern const ap_option ap_mnist_options[ap_mnist_option_count];

/* ---- model.c; for the contracts see ap_workload. Batch arrays: inputs float32 [n, ...] with `input` values a row,
 * targets int64 [n], and, if there are any, weights float32 [n]. */
ap_status ap_mnist_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_mnist_forward(const void *model, ap_tape *tape, const ap_batch *batch);

/* ---- data.c */
ap_collate ap_mnist_collate;
extern const ap_generator ap_mnist_generator;
ap_status ap_mnist_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);

#endif
