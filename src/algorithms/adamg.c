/* AdamG, self-tuning: Adam whose numerator is scaled by a running estimate of the distance to go.
 *
 * Pan and Zhu, "Towards stability of parameter-free optimization", arXiv:2405.04376; AlgoPerf v0.5 self-tuning
 * submission "adamg", PyTorch form. With t = 1, 2, ... and h the rate of the step (linear warmup, then cosine over
 * step_hint_factor * step_hint):
 *
 *     v = b2 v + (1 - b2) g^2
 *     r = b3 r + (1 - b3) 0.2 v^0.24
 *     m = b1 m + (1 - b1) g r
 *     w *= 1 - eta weight_decay,   w -= eta (m / (1 - b1^t)) / (sqrt(v) / sqrt(1 - b2^t) + eps),  eta = min(h, 1 / sqrt
 * t)
 *
 * v^0.24 by power.h, so that it has the same bits everywhere.
 * Search space: the submission's one point. */
#include "algorithms/adam.h"
#include "algorithms/power.h"
#include "algorithms/schedule.h"
#include "base/fmath.h"

extern const char ap_adamg_self_tuning_json[];
static const char *const point = ap_adamg_self_tuning_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"beta2", AP_REQUIRED},
                                       {"beta3", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"step_hint_factor", 1},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};
static const char *const states[] = {"exp_avg", "exp_avg_sq", "r", NULL};

typedef struct scalars {
    ap_adam adam;
    float beta3, one_minus_beta3, inverse_root_correction2;
} scalars;

static double schedule(const ap_rule_settings *s, int64_t step, int64_t step_hint) {
    const double hint = s->step_hint_factor * (double)step_hint; /* the cosine's length is not cast to whole steps */
    return ap_schedule_warmup_cosine(step, trunc(s->warmup_factor * hint), hint);
}

static void adamg_scalars(const ap_rule_settings *s, int64_t t, double rate, void *out) {
    double eta = fmin(rate, 1 / sqrt((double)t));
    *(scalars *)out = (scalars){.adam = ap_adam_of(s->beta1, s->beta2, s->weight_decay, s->epsilon, t, eta),
                                .beta3 = (float)s->beta3,
                                .one_minus_beta3 = (float)(1 - s->beta3),
                                .inverse_root_correction2 = (float)(1 / sqrt(1 - ap_f64_powi(s->beta2, t)))};
}

AP_RULE_CLONES
static void adamg_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *states_) {
    const scalars s = *(const scalars *)scalars_;
    const ap_adam a = s.adam;
    float *restrict m = states_[0], *restrict v = states_[1], *restrict r = states_[2];
    for (int64_t i = 0; i < n; i++) {
        float vi = v[i] * a.beta2 + a.one_minus_beta2 * g[i] * g[i];
        float root = sqrtf(vi);
        float ri = r[i] * s.beta3 + s.one_minus_beta3 * (0.2F * ap_root_024(vi, root));
        float mi = m[i] * a.beta1 + a.one_minus_beta1 * (g[i] * ri);
        float denominator = root * s.inverse_root_correction2 + a.epsilon;
        m[i] = mi;
        v[i] = vi;
        r[i] = ri;
        w[i] = w[i] * a.keep - a.step_size * mi / denominator;
    }
}

static const ap_rule rule = {inputs, states, schedule, adamg_scalars, adamg_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
}

const ap_submission ap_submission_adamg = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "adamg",
    .summary = "Adam with a parameter-free step size: a self-tuning submission of v0.5",
    .source = "AlgoPerf v0.5 self-tuning submission; Pan and Zhu, arXiv:2405.04376",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .self_tuning_point = &point,
};
