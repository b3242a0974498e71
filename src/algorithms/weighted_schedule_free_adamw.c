/* Weighted Schedule-Free AdamW, submitted to v0.6: dual averaging in the place of gradient descent.
 *
 * Defazio et al., "The road less scheduled", arXiv:2405.15682; AlgoPerf v0.6 external tuning submission
 * "weighted_schedule_free_adamw", PyTorch form. As schedule_free_adamw_v2.c (batch-norm refresh too), but with z1 the
 * start and, for each step k = 0, 1, ..., a the rate after warmup, h = max(a, eps) and p = (k + 1)^r:
 *
 *     s += p a weight_decay y
 *     v = b2 v + (1 - b2) g^2,   s += p a g / (sqrt(v / (1 - b2^(k + 1))) + eps)
 *     z = z1 - s / p
 *     c = p h^weight_lr_power,   S += c,   x = x + c / S (z - x)
 *
 * v and z1 are kept in bfloat16, as published (every operation on v rounds); float32_state = true keeps both in
 * float32. Search space: the submission's five points. */
#include "algorithms/schedule_free.h"
#include "base/fmath.h"

extern const char ap_weighted_schedule_free_adamw_json[];
static const char *const space = ap_weighted_schedule_free_adamw_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"beta2", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"warmup_steps", -1},
                                       {"step_hint_factor", 0.75},
                                       {"r", 1},
                                       {"weight_lr_power", 2},
                                       {"float32_state", 0},
                                       {"torch_cpu", 0},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};
static const char *const states[] = {"z", "exp_avg_sq", "z1", "s", NULL};

typedef struct scalars {
    float back, beta2, one_minus_beta2, correction2, decay, step, inverse_power, epsilon, average;
} scalars;

AP_RULE_CLONES
static void weighted_schedule_free_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                                         float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict z = state[0], *restrict v = state[1], *restrict sum = state[3];
    const float *restrict z1 = state[2];
    for (int64_t i = 0; i < n; i++) {
        float x = ap_lerp(w[i], z[i], s.back), si = sum[i] + s.decay * w[i];
        v[i] = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        si += s.step * (g[i] / (sqrtf(v[i] / s.correction2) + s.epsilon));
        sum[i] = si;
        z[i] = z1[i] - s.inverse_power * si;
        w[i] = ap_lerp(x, z[i], s.average);
    }
}

AP_RULE_CLONES
static void weighted_schedule_free_block_bfloat16(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                                                  float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict z = state[0], *restrict v = state[1], *restrict sum = state[3];
    const float *restrict z1 = state[2];
    for (int64_t i = 0; i < n; i++) {
        float x = ap_lerp(w[i], z[i], s.back), si = sum[i] + s.decay * w[i];
        float vi = ap_bfloat16(ap_bfloat16(v[i] * s.beta2) + s.one_minus_beta2 * g[i] * g[i]);
        float root = ap_bfloat16(sqrtf(ap_bfloat16(vi / s.correction2)));
        v[i] = vi;
        si += s.step * (g[i] / ap_bfloat16(root + s.epsilon));
        sum[i] = si;
        z[i] = z1[i] - s.inverse_power * si;
        w[i] = ap_lerp(x, z[i], s.average);
    }
}

static void weighted_round_start(const void *unused, int64_t n, float *restrict w, float *restrict g,
                                 float *const *state) {
    (void)unused;
    (void)w;
    (void)g;
    for (int64_t i = 0; i < n; i++) state[2][i] = ap_bfloat16(state[2][i]);
}

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_states(host, states)) return 1;
    if (!ap_rule_copy_of_parameters(host, "z") || !ap_rule_copy_of_parameters(host, "z1")) return 1;
    if (s.float32_state == 0 && !ap_rule_apply(host, states, AP_NO_GRADIENT, weighted_round_start, NULL)) return 1;
    return host->call->state_numbers(host, "weight_sum", 1) ? 0 : 1;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    double *weight_sum = host->call->state_numbers(host, "weight_sum", 1);
    if (!weight_sum || !ap_rule_read(host, inputs, &s) || !ap_schedule_free_gradient(host, &s, &clip)) return 1;
    int64_t k = host->call->step(host);
    double a = ap_schedule_free_rate(host, &s, k), p = ap_power((double)(k + 1), s.r);
    double weight = p * ap_power(fmax(a, s.epsilon), s.weight_lr_power);
    double correction2 = 1 - ap_f64_powi(s.beta2, k + 1);
    *weight_sum += weight;
    scalars x = {.back = (float)(1 - 1 / s.beta1),
                 .beta2 = s.float32_state != 0 ? (float)s.beta2 : ap_bfloat16_factor(&s, s.beta2),
                 .one_minus_beta2 = (float)(1 - s.beta2),
                 .correction2 = s.float32_state != 0 ? (float)correction2 : ap_bfloat16_factor(&s, correction2),
                 .decay = (float)(p * s.weight_decay * a),
                 .step = (float)(p * a),
                 .inverse_power = (float)(1 / p),
                 .epsilon = (float)s.epsilon,
                 .average = (float)(weight / *weight_sum)};
    ap_rule_kernel *kernel =
        s.float32_state != 0 ? weighted_schedule_free_block : weighted_schedule_free_block_bfloat16;
    return ap_rule_apply(host, states, clip, kernel, &x) ? 0 : 1;
}

const ap_submission ap_submission_weighted_schedule_free_adamw = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "weighted_schedule_free_adamw",
    .summary = "schedule-free by dual averaging: v0.6",
    .source = "AlgoPerf v0.6 external tuning submission; Defazio et al., arXiv:2405.15682",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
