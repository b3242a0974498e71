/* Nesterov momentum, a paper baseline of the benchmark.
 *
 * Nesterov (1983), in the form of Sutskever et al., "On the importance of initialization and momentum" (2013);
 * AlgoPerf, archived_paper_baselines/nesterov, PyTorch form (torch.optim.SGD). With b1 = 1 - one_minus_beta1 and
 * h the rate of the step (linear warmup of int(warmup_factor * step_hint) steps, then linear decay to end_factor over
 * decay_steps_factor of the rest):
 *
 *     d = g + weight_decay w        (L2 in the gradient, not decoupled)
 *     u = b1 u + d                  (u = d in the first step, as u starts at 0)
 *     w -= h (d + b1 u)
 *
 * Search space: nesterov.json, the published ranges. */
#include "algorithms/rule.h"

extern const char ap_nesterov_json[];
static const char *const space = ap_nesterov_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", AP_REQUIRED},
                                       {"decay_steps_factor", AP_REQUIRED},
                                       {"end_factor", AP_REQUIRED},
                                       {NULL, 0}};
static const char *const states[] = {"momentum_buffer", NULL};

typedef struct scalars {
    float weight_decay, beta1, rate;
} scalars;

static void nesterov_scalars(const ap_rule_settings *s, int64_t t, double rate, void *out) {
    (void)t;
    *(scalars *)out = (scalars){(float)s->weight_decay, (float)s->beta1, (float)rate};
}

AP_RULE_CLONES
static void nesterov_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                           float *const *states_) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict u = states_[0];
    for (int64_t i = 0; i < n; i++) {
        float d = g[i] + s.weight_decay * w[i];
        float ui = u[i] * s.beta1 + d;
        u[i] = ui;
        w[i] -= s.rate * (d + s.beta1 * ui);
    }
}

static const ap_rule rule = {inputs, states, ap_rule_linear_decay, nesterov_scalars, nesterov_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
}

const ap_submission ap_submission_nesterov = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "nesterov",
    .summary = "SGD with Nesterov momentum, warmup and linear decay: a paper baseline",
    .source = "AlgoPerf paper baseline; Nesterov 1983; Sutskever et al. 2013",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
