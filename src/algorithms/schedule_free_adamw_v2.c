/* Schedule-Free AdamW, second version, submitted to v0.6 under both rulesets.
 *
 * Defazio et al., "The road less scheduled", arXiv:2405.15682, Algorithm 1; AlgoPerf submission
 * "schedule_free_adamw_v2", PyTorch form. As schedule_free_adamw.c, but v is in float32, the decay is taken at y and
 * before the gradient step, the weights of the average are h^weight_lr_power, and batch-norm statistics are refreshed
 * at x (schedule_free.h):
 *
 *     y = x + (1 - b1) (z - x);  g at y
 *     H = h sqrt(1 - b2^(k + 1)),   z -= H weight_decay y
 *     v = b2 v + (1 - b2) g^2,   z -= H g / (sqrt(v) + eps)
 *     c = h^weight_lr_power,   S += c,   x = x + c / S (z - x)
 *
 * Search spaces: the submission's five points; its self-tuning point. */
#include "algorithms/schedule_free.h"
#include "base/fmath.h"

extern const char ap_schedule_free_adamw_v2_json[], ap_schedule_free_adamw_v2_self_tuning_json[];
static const char *const space = ap_schedule_free_adamw_v2_json;
static const char *const point = ap_schedule_free_adamw_v2_self_tuning_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED}, {"beta1", AP_REQUIRED},
                                       {"beta2", AP_REQUIRED},         {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", 0},           {"warmup_steps", -1},
                                       {"weight_lr_power", 2},         {"epsilon", 1e-8},
                                       {"step_hint_factor", 0.75},     {NULL, 0}};
static const char *const states[] = {"z", "exp_avg_sq", NULL};

AP_RULE_CLONES
static void schedule_free_v2_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                                   float *const *state) {
    const ap_schedule_free_scalars s = *(const ap_schedule_free_scalars *)scalars_;
    float *restrict z = state[0], *restrict v = state[1];
    for (int64_t i = 0; i < n; i++) {
        float y = w[i], x = ap_lerp(y, z[i], s.back), zi = z[i] - s.decay * y;
        v[i] = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        z[i] = zi - s.step_size * (g[i] / (sqrtf(v[i]) + s.epsilon));
        w[i] = ap_lerp(x, z[i], s.average);
    }
}

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_states(host, states)) return 1;
    return ap_rule_copy_of_parameters(host, "z") && host->call->state_numbers(host, "weight_sum", 1) ? 0 : 1;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    double *weight_sum = host->call->state_numbers(host, "weight_sum", 1);
    if (!weight_sum || !ap_rule_read(host, inputs, &s) || !ap_schedule_free_gradient(host, &s, &clip)) return 1;
    int64_t k = host->call->step(host);
    double h = fmax(ap_schedule_free_rate(host, &s, k), s.epsilon), weight = ap_power(h, s.weight_lr_power);
    double step_size = h * sqrt(1 - ap_f64_powi(s.beta2, k + 1));
    *weight_sum += weight;
    ap_schedule_free_scalars x = ap_schedule_free_scalars_of(&s, step_size, weight / *weight_sum);
    return ap_rule_apply(host, states, clip, schedule_free_v2_block, &x) ? 0 : 1;
}

const ap_submission ap_submission_schedule_free_adamw_v2 = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "schedule_free_adamw_v2",
    .summary = "the second version, with batch-norm refresh: v0.6, both rulesets",
    .source = "AlgoPerf v0.6 submission, both rulesets; Defazio et al., arXiv:2405.15682",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
    .self_tuning_point = &point,
};
