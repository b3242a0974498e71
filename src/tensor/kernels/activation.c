#include "tensor/kernels/activation.h"
#include "tensor/kernels/kernel_set.h"

void ap_activate(ap_activation kind, float slope, size_t n, const float *x, float *y) {
    ap_kernels_current()->activate(kind, slope, n, x, y);
}

bool ap_activation_knows_from_output(ap_activation kind) {
    return kind != AP_SILU && kind != AP_GELU && kind != AP_GELU_ERF;
}

void ap_activate_back(ap_activation kind, float slope, size_t n, const float *known, const float *dy, bool accumulate,
                      float *dx) {
    ap_kernels_current()->activate_back(kind, slope, n, known, dy, accumulate, dx);
}
