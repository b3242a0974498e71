/* Schedule-Free AdamW as submitted to v0.5: second under external tuning, winner of the self-tuning track.
 *
 * Defazio et al., "The road less scheduled", arXiv:2405.15682, Algorithm 1; AlgoPerf v0.5 submission
 * "schedule_free_adamw", PyTorch form. x are the parameters, z starts as x. Step k = 0, 1, ..., h the rate after a
 * linear warmup (schedule_free.h), not below eps:
 *
 *     y = x + (1 - b1) (z - x);  g at y
 *     hmax = max(hmax, h),   c = (k + 1)^r hmax^weight_lr_power,   S += c
 *     v = b2 v + (1 - b2) g^2,   H = h sqrt(1 - b2^(k + 1))
 *     z -= H g / (sqrt(v) + eps),   z -= H weight_decay x
 *     x = x + c / S (z - x)
 *
 * v is kept in bfloat16, as published: every operation on it rounds (the product b2 v, the sum, the root, the sum with
 * eps). float32_state = true keeps it in float32.
 *
 * With force_reset (self-tuning form), after a tenth of step_hint and with four evaluations on which the validation
 * metric has not moved by 0.01 for the better since the first and since each before, parameters, z and v start again
 * and the rate is halved. Running statistics of the model go on.
 *
 * Search spaces: the submission's five points; its self-tuning point. */
#include "algorithms/schedule_free.h"
#include "base/fmath.h"
#include <string.h>

extern const char ap_schedule_free_adamw_json[], ap_schedule_free_adamw_self_tuning_json[];
static const char *const space = ap_schedule_free_adamw_json;
static const char *const point = ap_schedule_free_adamw_self_tuning_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"beta2", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"warmup_steps", -1},
                                       {"step_hint_factor", 1},
                                       {"r", 0.75},
                                       {"weight_lr_power", 2},
                                       {"float32_state", 0},
                                       {"torch_cpu", 0},
                                       {"force_reset", 0},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};
static const char *const states[] = {"z", "exp_avg_sq", NULL};

/* Numbers that go from step to step. */
enum { K, WEIGHT_SUM, LR_MAX, LR_SCALE, CHECKED, NUMBERS };
static const char numbers_name[] = "schedule_free";

AP_RULE_CLONES
static void schedule_free_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                                float *const *state) {
    const ap_schedule_free_scalars s = *(const ap_schedule_free_scalars *)scalars_;
    float *restrict z = state[0], *restrict v = state[1];
    for (int64_t i = 0; i < n; i++) {
        float x = ap_lerp(w[i], z[i], s.back);
        v[i] = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        float zi = z[i] - s.step_size * (g[i] / (sqrtf(v[i]) + s.epsilon));
        z[i] = zi - s.decay * x;
        w[i] = ap_lerp(x, z[i], s.average);
    }
}

AP_RULE_CLONES
static void schedule_free_block_bfloat16(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                                         float *const *state) {
    const ap_schedule_free_scalars s = *(const ap_schedule_free_scalars *)scalars_;
    float *restrict z = state[0], *restrict v = state[1];
    for (int64_t i = 0; i < n; i++) {
        float x = ap_lerp(w[i], z[i], s.back);
        float vi = ap_bfloat16(ap_bfloat16(v[i] * s.beta2) + s.one_minus_beta2 * g[i] * g[i]);
        float zi = z[i] - s.step_size * (g[i] / ap_bfloat16(ap_bfloat16(sqrtf(vi)) + s.epsilon));
        v[i] = vi;
        z[i] = zi - s.decay * x;
        w[i] = ap_lerp(x, z[i], s.average);
    }
}

/* ---- starting again */

static bool restart(ap_host *host, double *numbers) {
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++) {
        size_t bytes = (size_t)workload->param[p].size * sizeof(float);
        float *z = host->call->state(host, "z", p), *v = host->call->state(host, "exp_avg_sq", p);
        const float *first = host->call->state(host, "x0", p);
        if (!z || !v || !first) return false;
        memcpy(z, first, bytes);
        memcpy(host->call->value(host, p), first, bytes);
        memset(v, 0, bytes);
    }
    numbers[K] = numbers[WEIGHT_SUM] = numbers[LR_MAX] = 0;
    numbers[LR_SCALE] /= 2;
    host->call->log(host, "no progress in four evaluations: starting again with half the rate");
    return true;
}

static double validation(ap_host *host, int i) {
    ap_eval_result result;
    if (!host->call->evaluation(host, i, &result)) return NAN;
    return host->call->workload(host)->higher_is_better ? result.validation : -result.validation;
}

static bool is_stuck(ap_host *host) {
    int n = host->call->evaluations(host);
    bool stuck = n >= 4 && validation(host, n - 1) - validation(host, 0) < 0.01;
    for (int i = n - 1; stuck && i > n - 4; i--) stuck = validation(host, i) - validation(host, i - 1) < 0.01;
    return stuck;
}

static bool restart_if_stuck(ap_host *host, double *numbers) {
    double hint = (double)host->call->workload(host)->step_hint;
    int n = host->call->evaluations(host);
    if (!((double)host->call->step(host) > 0.1 * hint) || numbers[CHECKED] > n) return true;
    numbers[CHECKED] = n + 1;
    return is_stuck(host) ? restart(host, numbers) : true;
}

/* ---- the submission */

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_states(host, states) || !ap_rule_copy_of_parameters(host, "z"))
        return 1;
    if (s.force_reset != 0 && !ap_rule_copy_of_parameters(host, "x0")) return 1;
    double *numbers = host->call->state_numbers(host, numbers_name, NUMBERS);
    if (!numbers) return 1;
    numbers[LR_SCALE] = 1;
    return 0;
}

static ap_schedule_free_scalars scalars_of(ap_host *host, const ap_rule_settings *s, double *numbers) {
    int64_t k = (int64_t)numbers[K];
    double h = fmax(numbers[LR_SCALE] * ap_schedule_free_rate(host, s, k), s->epsilon);
    double step_size = h * sqrt(1 - ap_f64_powi(s->beta2, k + 1));
    numbers[LR_MAX] = fmax(numbers[LR_MAX], h);
    double weight = ap_power((double)(k + 1), s->r) * ap_power(numbers[LR_MAX], s->weight_lr_power);
    numbers[WEIGHT_SUM] += weight;
    numbers[K] = (double)(k + 1);
    ap_schedule_free_scalars x = ap_schedule_free_scalars_of(s, step_size, weight / numbers[WEIGHT_SUM]);
    if (s->float32_state == 0) x.beta2 = ap_bfloat16_factor(s, s->beta2);
    return x;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    double *numbers = host->call->state_numbers(host, numbers_name, NUMBERS);
    if (!numbers || !ap_rule_read(host, inputs, &s)) return 1;
    if (s.force_reset != 0 && !restart_if_stuck(host, numbers)) return 1;
    if (!ap_schedule_free_extrapolate(host, s.beta1) || !ap_rule_gradient(host, &s, &clip)) return 1;
    ap_schedule_free_scalars x = scalars_of(host, &s, numbers);
    ap_rule_kernel *kernel = s.float32_state != 0 ? schedule_free_block : schedule_free_block_bfloat16;
    return ap_rule_apply(host, states, clip, kernel, &x) ? 0 : 1;
}

const ap_submission ap_submission_schedule_free_adamw = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "schedule_free_adamw",
    .summary = "averaging in the place of a schedule: winner of the v0.5 self-tuning track, second in external",
    .source = "AlgoPerf v0.5 submission, both rulesets; Defazio et al., arXiv:2405.15682",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
    .self_tuning_point = &point,
};
