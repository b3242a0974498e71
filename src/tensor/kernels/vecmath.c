#include "tensor/kernels/vecmath.h"
#include "tensor/kernels/kernel_set.h"

void ap_vexp(size_t n, const float *x, float *y) {
    ap_kernels_current()->exp(n, x, y);
}
void ap_vlog(size_t n, const float *x, float *y) {
    ap_kernels_current()->log(n, x, y);
}
void ap_vtanh(size_t n, const float *x, float *y) {
    ap_kernels_current()->tanh(n, x, y);
}
void ap_verf(size_t n, const float *x, float *y) {
    ap_kernels_current()->erf(n, x, y);
}
void ap_vrsqrt(size_t n, const float *x, float *y) {
    ap_kernels_current()->rsqrt(n, x, y);
}
void ap_vsigmoid(size_t n, const float *x, float *y) {
    ap_kernels_current()->sigmoid(n, x, y);
}

float ap_expf(float x) {
    ap_vexp(1, &x, &x);
    return x;
}
float ap_logf(float x) {
    ap_vlog(1, &x, &x);
    return x;
}
float ap_tanhf(float x) {
    ap_vtanh(1, &x, &x);
    return x;
}
float ap_erff(float x) {
    ap_verf(1, &x, &x);
    return x;
}
float ap_rsqrtf(float x) {
    ap_vrsqrt(1, &x, &x);
    return x;
}
