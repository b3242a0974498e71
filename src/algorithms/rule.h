/* What the built-in update rules share: the published hyperparameters, one loss and gradient with clipping, and the
 * loop over parameters. A rule is then its scalars and one elementwise kernel.
 *
 * Bits: scalars are computed in double and rounded once to float, as PyTorch does; elementwise arithmetic is IEEE
 * float32 in the order the kernel writes it (no fma: -ffp-contract=off). Threads split elements. Functions return false
 * after ap_host's `fail` has been called. Not collective. */
#ifndef AP_ALGORITHMS_RULE_H
#define AP_ALGORITHMS_RULE_H

#include "submission/submission.h"

/* The published names. A rule reads those it lists in `required`; the last three are optional for every rule. */
typedef struct ap_rule_settings {
    double learning_rate, one_minus_beta1, beta2, weight_decay, warmup_factor, decay_steps_factor, end_factor;
    double dropout_rate, label_smoothing; /* default 0 */
    double grad_clip;                     /* default: infinity, no clipping */
} ap_rule_settings;

/* Reads and checks the ranges. `required` ends with NULL. */
bool ap_rule_read(ap_host *host, const char *const *required, ap_rule_settings *settings);

/* For init_optimizer_state: checks the hyperparameters and creates the named state of every parameter (at most
 * AP_RULE_STATES names, ends with NULL) and the number "learning_rate", the rate of the last update. */
enum { AP_RULE_STATES = 2 };
bool ap_rule_init(ap_host *host, const char *const *required, const char *const *states);

/* Loss and gradient of the current batch, with dropout and label smoothing, then clipping. */
bool ap_rule_gradient(ap_host *host, const ap_rule_settings *settings);

/* PyTorch clip_grad_norm_: gradients *= min(1, limit / (||g|| + 1e-6)), ||g|| over all parameters: sums of squares in
 * double in the host's fixed order, parameters in order. */
void ap_clip_gradients(ap_host *host, double limit);

/* One block of one parameter: n elements of value, gradient and the states in the order of `states` (NULL beyond). */
typedef void ap_rule_kernel(const void *scalars, int64_t n, float *restrict w, const float *restrict g,
                            float *restrict state0, float *restrict state1);

/* In front of a kernel: compiled for several vector widths, picked when the program starts; no fma in any, so the bits
 * are the same. adamw, 2^24 elements, one thread of a Zen 5, gcc 12 and clang 14: 31 to 34 ms with SSE2 alone, 12 to 16
 * so, at 29 to 39 GB/s; a plain y += a x moves 33 to 41. The kernel's name must be unique in the program: clang 14
 * makes a global symbol of it. */
#if defined(__x86_64__)
#define AP_RULE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define AP_RULE_CLONES
#endif

/* Runs the kernel over every parameter and notes learning_rate. */
bool ap_rule_apply(ap_host *host, const char *const *states, double learning_rate, ap_rule_kernel *kernel,
                   const void *scalars);

#endif
