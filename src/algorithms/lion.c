/* Lion, self-tuning.
 *
 * Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675, Algorithm 2; AlgoPerf self-tuning
 * submission "lion", PyTorch form. With h the rate of the step (linear warmup of int(warmup_factor * step_hint) steps,
 * then cosine):
 *
 *     w *= 1 - h weight_decay
 *     w -= h sign(b1 m + (1 - b1) g)
 *     m  = b2 m + (1 - b2) g
 *
 * Search space: the submission's one point. */
#include "algorithms/rule.h"

extern const char ap_lion_self_tuning_json[];
static const char *const point = ap_lion_self_tuning_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED}, {"beta1", AP_REQUIRED}, {"beta2", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},  {"warmup_factor", 0},   {NULL, 0}};
static const char *const states[] = {"exp_avg", NULL};

typedef struct scalars {
    float keep, beta1, one_minus_beta1, beta2, one_minus_beta2, rate;
} scalars;

static void lion_scalars(const ap_rule_settings *s, int64_t t, double rate, void *out) {
    (void)t;
    *(scalars *)out = (scalars){.keep = (float)(1 - rate * s->weight_decay),
                                .beta1 = (float)s->beta1,
                                .one_minus_beta1 = (float)(1 - s->beta1),
                                .beta2 = (float)s->beta2,
                                .one_minus_beta2 = (float)(1 - s->beta2),
                                .rate = (float)rate};
}

AP_RULE_CLONES
static void lion_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *states_) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m = states_[0];
    for (int64_t i = 0; i < n; i++) {
        float c = m[i] * s.beta1 + s.one_minus_beta1 * g[i];
        float sign = (float)((c > 0) - (c < 0));
        w[i] = w[i] * s.keep - s.rate * (c == c ? sign : c); /* a NaN stays one */
        m[i] = m[i] * s.beta2 + s.one_minus_beta2 * g[i];
    }
}

static const ap_rule rule = {inputs, states, ap_rule_torch_cosine, lion_scalars, lion_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
}

const ap_submission ap_submission_lion = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "lion",
    .summary = "sign of a doubly averaged gradient: a self-tuning submission",
    .source = "AlgoPerf self-tuning submission; Chen et al., arXiv:2302.06675",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .self_tuning_point = &point,
};
