/* Activations and their derivatives, elementwise over arrays; the same bits on every instruction set (vecmath.h). */
#ifndef AP_KERNELS_ACTIVATION_H
#define AP_KERNELS_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

typedef enum ap_activation {
    AP_IDENTITY,
    AP_RELU,       /* max(x, 0); NaN stays NaN; derivative 0 at 0 */
    AP_LEAKY_RELU, /* x, or slope x where x <= 0; derivative `slope` at 0 */
    AP_SILU,       /* x / (1 + exp(-x)) */
    AP_GELU,       /* x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3): the tanh form, as tanh(u) says it */
    AP_GELU_ERF,   /* x (1 + erf(x / sqrt 2)) / 2 */
    AP_TANH,
    AP_SIGMOID,
    AP_ACTIVATIONS
} ap_activation;

/* y = f(x); in place is fine. `slope` is read by AP_LEAKY_RELU only. */
void ap_activate(ap_activation kind, float slope, size_t n, const float *x, float *y);

/* Whether the derivative is a function of y; else it needs x. */
bool ap_activation_knows_from_output(ap_activation kind);
/* dx = dy f'(x), or dx += that. `known` is y = f(x) if ap_activation_knows_from_output, else x. dx == dy is fine. */
void ap_activate_back(ap_activation kind, float slope, size_t n, const float *known, const float *dy, bool accumulate,
                      float *dx);

#endif
