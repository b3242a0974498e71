/* NAdamP: NAdamW with another root of the second moment.
 *
 * AlgoPerf v0.5 external tuning submission "nadamp", JAX form. With t = 1, 2, ... and h the rate of the step (linear
 * warmup of int(warmup_factor L) steps from 0, then cosine to L = int(cosine_decay_fraction * step_hint)):
 *
 *     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
 *     n = b1 m + (1 - b1) g if nesterov, else m
 *     w -= h (n / c / ((v / (1 - b2^t))^(1 / power) + eps) + weight_decay w),   c = 1 - b1^t if nesterov, else 1
 *
 * power is 2 (a square root: NAdamW) or 1.5. Other roots by power.h, so that they have the same bits everywhere.
 *
 * Search space: the submission's five points. */
#include "algorithms/adam.h"
#include "algorithms/power.h"
#include "base/fmath.h"

extern const char ap_nadamp_json[];
static const char *const space = ap_nadamp_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"beta2", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"power", 2},
                                       {"nesterov", 1},
                                       {"warmup_factor", 0},
                                       {"cosine_decay_fraction", 1},
                                       {"aux_dropout_rate", 0},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};

typedef struct scalars {
    ap_adam adam;
    float correction2;
    ap_exponent inverse_power;
    bool root, nesterov;
} scalars;

static void nadamp_scalars(const ap_rule_settings *s, int64_t t, double rate, void *out) {
    *(scalars *)out = (scalars){.adam = ap_adam_of(s->beta1, s->beta2, s->weight_decay, s->epsilon, t, rate),
                                .correction2 = (float)(1 - ap_f64_powi(s->beta2, t)),
                                .inverse_power = ap_exponent_of(1 / s->power),
                                .root = s->power != 2,
                                .nesterov = s->nesterov != 0};
    if (s->nesterov == 0) ((scalars *)out)->adam.step_size = (float)rate;
}

AP_RULE_CLONES
static void nadamp_root_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                              float *const *states) {
    const scalars s = *(const scalars *)scalars_;
    const ap_adam a = s.adam;
    float *restrict m = states[0], *restrict v = states[1];
    float mix = s.nesterov ? a.beta1 : 1, own = s.nesterov ? a.one_minus_beta1 : 0;
    for (int64_t i = 0; i < n; i++) {
        float mi = m[i] * a.beta1 + a.one_minus_beta1 * g[i];
        float vi = v[i] * a.beta2 + a.one_minus_beta2 * g[i] * g[i];
        float numerator = mi * mix + own * g[i];
        m[i] = mi;
        v[i] = vi;
        w[i] = w[i] * a.keep - a.step_size * numerator / (ap_root(vi / s.correction2, s.inverse_power) + a.epsilon);
    }
}

static void nadamp_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    const scalars *s = scalars_;
    if (s->root)
        nadamp_root_block(s, n, w, g, states);
    else
        (s->nesterov ? ap_nadamw_block : ap_adam_block)(&s->adam, n, w, g, states);
}

static const ap_rule rule = {inputs, ap_adam_states, ap_rule_jax_cosine, nadamp_scalars, nadamp_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
}

const ap_submission ap_submission_nadamp = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "nadamp",
    .summary = "NAdamW with a free root of the second moment: a competitor of v0.5",
    .source = "AlgoPerf v0.5 external tuning submission",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
