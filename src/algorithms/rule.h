/* What the built-in training algorithms share: the published hyperparameters, one loss and gradient with clipping, the
 * loop over parameters, and, for the many that are no more than that, a rule as a table: hyperparameters, states,
 * schedule, scalars and one elementwise kernel.
 *
 * Bits: scalars are computed in double and rounded once to float, as PyTorch does; elementwise arithmetic is IEEE
 * float32 in the order the kernel writes it (no fma: -ffp-contract=off). Threads split elements. Functions return false
 * after ap_host's `fail` has been called. Not collective but for the gradient. */
#ifndef AP_ALGORITHMS_RULE_H
#define AP_ALGORITHMS_RULE_H

#include "submission/submission.h"
#include <math.h>

/* ---- hyperparameters */

/* The published names. A rule reads those in its list of inputs; dropout_rate, label_smoothing, grad_clip and
 * constant_rate are optional for every rule. A member has one value whatever name it came by: beta1 is read as `beta1`
 * or `one_minus_beta1`, and so on (the table in rule.c). */
typedef struct ap_rule_settings {
    double learning_rate, beta1, beta2, beta3, weight_decay, epsilon;
    double warmup_factor, warmup_steps, decay_steps_factor, end_factor, cosine_decay_fraction, step_hint_factor;
    double nesterov, power, disable_preconditioning, cycles, rho, alpha, alpha_warmup, beta3_warmup; /* flags: 0 or 1 */
    double r, weight_lr_power, float32_state, force_reset, d0, d_coef;
    double torch_cpu; /* bfloat16 as PyTorch's CPU kernels have it, not its GPU ones: ap_bfloat16_factor */
    double momentum, use_momentum, use_nadam, use_bias_correction, use_normalized_grafting, grafting_epsilon,
        grafting_beta2;
    double factor_beta2; /* beta2 where 1 is allowed too */
    double use_ema_momentum, max_preconditioner_dim, precondition_frequency, start_preconditioning_step,
        inv_root_override;
    double use_nesterov, communicate_params, exponent_multiplier, use_merge_dims, use_cosine_decay,
        use_decoupled_weight_decay, double_preconditioner;
    double ns_steps, muon_beta, muon_lr_multiplier, muon_weight_decay, pair_beta1, pair_beta2, pair_weight_decay;
    double newton_schulz_bfloat16, spectral_norm, torch_nadam;
    double sync_period, outer_lr, outer_momentum;
    double lawa_start_factor, lawa_interval_scaling, lawa_inner_steps_frac, lawa_beta, k;
    double converge, l2, xi, eta_overrides, clip_global_norm;
    double dropout_rate, label_smoothing; /* default 0 */
    double aux_dropout_rate; /* published by four; the workloads here have one dropout rate: read, unused */
    double grad_clip;        /* default: infinity, no clipping */
    double constant_rate;    /* 1: learning_rate as it stands, without the rule's schedule; default 0 */
} ap_rule_settings;

typedef struct ap_rule_input {
    const char *name; /* a member of ap_rule_settings; NULL ends the list */
    double fallback;  /* AP_REQUIRED: the search space must have it */
} ap_rule_input;
#define AP_REQUIRED NAN

/* Reads and checks names and ranges. */
bool ap_rule_read(ap_host *host, const ap_rule_input *inputs, ap_rule_settings *settings);

/* A hyperparameter whose value is a text: the index of its value in `values` (ends with NULL; at most 8); *index is
 * left as it is if the search space does not have the name. */
bool ap_rule_choice(ap_host *host, const char *name, const char *const *values, int *index);

/* ---- state, gradient */

/* Creates the named states of every parameter, zero (`states` ends with NULL; at most AP_RULE_STATES names). */
enum { AP_RULE_STATES = 4 };
bool ap_rule_states(ap_host *host, const char *const *states);
/* In init_optimizer_state: a state that starts as a copy of the parameters. */
bool ap_rule_copy_of_parameters(ap_host *host, const char *state);

/* What a loss is asked for with: dropout and label smoothing. */
ap_loss_request ap_rule_request(const ap_rule_settings *settings);

/* Loss and gradient of the current batch. *clip is the factor that ap_rule_apply
 * multiplies the gradients with: 1 without grad_clip. */
bool ap_rule_gradient(ap_host *host, const ap_rule_settings *settings, float *clip);

/* sqrt of the sum of squares over all parameters' gradients: in double, in the host's fixed order. */
double ap_gradient_norm(ap_host *host);
/* PyTorch clip_grad_norm_: min(1, limit / (||g|| + 1e-6)). */
float ap_clip_factor(ap_host *host, double limit);
/* For algorithms with loops of their own: multiplies the gradients. */
void ap_scale_gradients(ap_host *host, float factor);

/* ---- the loop */

/* One block of one parameter: n elements of value, gradient (clipped; may be overwritten) and the
 * states in the order of `states`. */
/* What a kernel writes into g stays only in a pass that `rewrites`, which asks for gradients at full size (a table's
 * may be a list of rows: submission.h, gradient_rows). */
typedef void ap_rule_kernel(const void *scalars, int64_t n, float *restrict w, float *restrict g, float *const *states);

/* In front of a kernel: compiled for several vector widths, picked when the program starts; no fma in any, so the bits
 * are the same. adamw, 2^24 elements, one thread of a Zen 5, gcc 12 and clang 14: 31 to 34 ms with SSE2 alone, 12 to 16
 * so, at 29 to 39 GB/s; a plain y += a x moves 33 to 41. A kernel is static, with a name that is unique in the
 * program: clang 14 makes a global symbol of it, but one that other files do not find. */
#if defined(AP_RULE_CLONES) /* a test compiles each instruction set alone */
#elif defined(__x86_64__)
#define AP_RULE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define AP_RULE_CLONES
#endif

/* One pass over every parameter (or one): kernel on (value, clip * gradient, states). With AP_NO_GRADIENT as clip, as
 * before the first loss_and_gradient, the kernel gets g = NULL. */
#define AP_NO_GRADIENT (-1.0F)
bool ap_rule_apply(ap_host *host, const char *const *states, float clip, ap_rule_kernel *kernel, const void *scalars);
bool ap_rule_apply_to(ap_host *host, int param, const char *const *states, float clip, ap_rule_kernel *kernel,
                      const void *scalars);

/* A pass in full. `sums`, if any, is called behind the kernel for each piece of at most AP_RULE_BLOCK elements, while
 * it is in cache, and sets sum[0] and sum[1]; the pieces' sums are added in order, however many threads there are. */
enum { AP_RULE_BLOCK = 1024 }; /* 4 KiB of each array: all of a rule's lie in the first cache */
typedef void ap_rule_sums(ap_host *host, int64_t n, const float *w, const float *g, float *const *states, double *sum);
typedef struct ap_rule_pass {
    const char *const *states;
    float clip; /* as in ap_rule_apply */
    ap_rule_kernel *kernel;
    const void *scalars;
    bool rewrites; /* the kernel puts something else in the gradient's place */
    ap_rule_sums *sums;
    int64_t first, n; /* elements of the parameter; n = 0: all */
} ap_rule_pass;
bool ap_rule_run(ap_host *host, int param, const ap_rule_pass *pass, double *sum);

/* ---- a rule as a table */

/* Multiplier of learning_rate by 0-based step. */
typedef double ap_rule_schedule(const ap_rule_settings *settings, int64_t step, int64_t step_hint);
ap_rule_schedule ap_rule_torch_cosine; /* int(warmup_factor * step_hint) steps, then cosine: schedule.h */
ap_rule_schedule ap_rule_jax_cosine;   /* the same over cosine_decay_fraction * step_hint (0: 1), JAX form */
ap_rule_schedule ap_rule_linear_decay; /* momentum and nesterov */
/* learning_rate times the schedule, or as it stands with constant_rate; noted in the numbers "learning_rate". */
double ap_rule_rate(ap_host *host, const ap_rule_settings *settings, ap_rule_schedule *schedule);

typedef struct ap_rule {
    const ap_rule_input *inputs;
    const char *const *states;
    ap_rule_schedule *schedule;
    /* What step t = 1, 2, ... computes once: at most AP_RULE_SCALARS bytes. */
    void (*scalars)(const ap_rule_settings *settings, int64_t t, double rate, void *scalars);
    ap_rule_kernel *kernel;
} ap_rule;
enum { AP_RULE_SCALARS = 256 };

/* The submission's two functions: 0, or 1 after `fail`. */
int ap_rule_init(ap_host *host, const ap_rule *rule);
int ap_rule_update(ap_host *host, const ap_rule *rule);

/* ---- arithmetic that several share */

/* The nearest bfloat16 (ties to even), as PyTorch stores a float in it; NaN stays NaN. */
static inline float ap_bfloat16(float x) {
    union {
        float value;
        uint32_t bits;
    } u = {x};
    uint32_t rounded = (u.bits + 0x7FFFu + (u.bits >> 16 & 1u)) & 0xFFFF0000u;
    u.bits = (int32_t)(u.bits & 0x7FFFFFFFu) > 0x7F800000 ? 0x7FC00000u : rounded; /* in integers: it vectorises */
    return u.value;
}

/* A scalar that multiplies or divides a bfloat16 tensor. PyTorch's GPU kernels, on which the submissions ran, keep it
 * in float32; its CPU kernels, on which the golden trajectories were made, round it too (0.99 becomes 0.98828125). */
static inline float ap_bfloat16_factor(const ap_rule_settings *settings, double x) {
    return settings->torch_cpu != 0 ? ap_bfloat16((float)x) : (float)x;
}

#endif
