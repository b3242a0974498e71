/* The workloads: one line each. */
#include "workload/workload.h"

extern const ap_workload ap_workload_mnist, ap_workload_dummy, ap_workload_cifar, ap_workload_imagenet_resnet,
    ap_workload_fastmri, ap_workload_imagenet_vit, ap_workload_librispeech_conformer,
    ap_workload_librispeech_deepspeech;

static const ap_workload *const table[] = {&ap_workload_mnist,
                                           &ap_workload_dummy,
                                           &ap_workload_cifar,
                                           &ap_workload_imagenet_resnet,
                                           &ap_workload_fastmri,
                                           &ap_workload_imagenet_vit,
                                           &ap_workload_librispeech_conformer,
                                           &ap_workload_librispeech_deepspeech,
                                           NULL};

const ap_workload *const *ap_workload_table(void) {
    return table;
}
