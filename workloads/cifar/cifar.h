/* cifar: what this folder's files share. model.c: ResNet-18; data.c: images; prepare.c: the published files;
 * workload.c: the table that the program sees. Source: AlgoPerf reference code, workloads/cifar. */
#ifndef AP_WORKLOADS_CIFAR_CIFAR_H
#define AP_WORKLOADS_CIFAR_CIFAR_H

#include "workload/workload.h"

/* Filled through ap_cifar_options. */
typedef struct ap_cifar_model {
    int64_t base_width, classes;
    char *layers;
    double bn_momentum, bn_eps, synthetic_turn;
} ap_cifar_model;
enum { ap_cifar_option_count = 6 };
extern const ap_option ap_cifar_options[ap_cifar_option_count];

/* ---- model.c; for the contracts see ap_workload. Batch arrays: inputs float32 [n, 3, 32, 32], targets int64 [n],
 * weights float32 [n] if there are any. */
ap_status ap_cifar_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_cifar_forward(const void *model, ap_tape *tape, const ap_batch *batch);

/* ---- data.c */
ap_collate ap_cifar_collate;
extern const ap_generator ap_cifar_generator;

/* ---- prepare.c */
ap_status ap_cifar_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);

#endif
