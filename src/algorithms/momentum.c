/* Heavy-ball momentum, a paper baseline of the benchmark.
 *
 * Polyak, "Some methods of speeding up the convergence of iteration methods" (1964); AlgoPerf,
 * archived_paper_baselines/momentum, PyTorch form (torch.optim.SGD). With b1 = 1 - one_minus_beta1 and h the
 * rate of the step (linear warmup of int(warmup_factor * step_hint) steps, then linear decay to end_factor over
 * decay_steps_factor of the rest):
 *
 *     d = g + weight_decay w        (L2 in the gradient, not decoupled)
 *     u = b1 u + d                  (u = d in the first step, as u starts at 0)
 *     w -= h u
 *
 * Search space: momentum.json, the published ranges. */
#include "algorithms/rule.h"
#include "algorithms/schedule.h"

extern const char ap_momentum_json[];
static const char *const space = ap_momentum_json;

static const char *const required[] = {
    "learning_rate", "one_minus_beta1", "weight_decay", "warmup_factor", "decay_steps_factor", "end_factor", NULL};
static const char *const states[] = {"momentum_buffer", NULL};

typedef struct scalars {
    float weight_decay, beta1, rate;
} scalars;

AP_RULE_CLONES
static void momentum_block(const void *scalars_, int64_t n, float *restrict w, const float *restrict g,
                           float *restrict u, float *restrict unused) {
    const scalars s = *(const scalars *)scalars_;
    (void)unused;
    for (int64_t i = 0; i < n; i++) {
        float d = g[i] + s.weight_decay * w[i];
        float ui = u[i] * s.beta1 + d;
        u[i] = ui;
        w[i] -= s.rate * ui;
    }
}

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, required, states) ? 0 : 1;
}

static int update_params(ap_host *host) {
    ap_rule_settings settings;
    if (!ap_rule_read(host, required, &settings) || !ap_rule_gradient(host, &settings)) return 1;
    int64_t step = host->call->step(host), hint = host->call->workload(host)->step_hint;
    int64_t warmup_steps = (int64_t)(settings.warmup_factor * (double)hint);
    double rate = settings.learning_rate *
                  ap_schedule_warmup_linear(step, warmup_steps, hint, settings.decay_steps_factor, settings.end_factor);
    scalars s = {(float)settings.weight_decay, (float)(1 - settings.one_minus_beta1), (float)rate};
    return ap_rule_apply(host, states, rate, momentum_block, &s) ? 0 : 1;
}

const ap_submission ap_submission_momentum = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "momentum",
    .summary = "SGD with heavy-ball momentum, warmup and linear decay: a paper baseline",
    .source = "AlgoPerf paper baseline; Polyak 1964",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
