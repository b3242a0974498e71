/* Single-worker DiLoCo, self-tuning: AdamW with an outer Nesterov step on slow weights.
 *
 * Douillard et al., "DiLoCo: distributed low-communication training of language models", arXiv:2311.08105, Algorithm 1
 * with one worker; AlgoPerf self-tuning submission "single_worker_dilocov2", JAX form. The inner steps are AdamW
 * (adamw.c) on the fast weights, linear warmup from 0 and cosine (JAX form). Every sync_period steps, B = 0 at first:
 *
 *     D = slow - fast,   B = outer_momentum B + D
 *     slow -= outer_lr (D + outer_momentum B),   fast = slow
 *
 * Evaluations see the slow weights. Search space: the submission's one point. */
#include "algorithms/adam.h"
#include "algorithms/swap.h"

extern const char ap_single_worker_diloco_self_tuning_json[];
static const char *const point = ap_single_worker_diloco_self_tuning_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"beta2", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"sync_period", AP_REQUIRED},
                                       {"outer_lr", AP_REQUIRED},
                                       {"outer_momentum", AP_REQUIRED},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};
static const char *const states[] = {"exp_avg", "exp_avg_sq", "slow", "outer_buffer", NULL};
static const char *const outer[] = {"slow", "outer_buffer", NULL};

typedef struct scalars {
    float rate, momentum;
} scalars;

AP_RULE_CLONES
static void diloco_outer(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict slow = state[0], *restrict b = state[1];
    (void)g;
    for (int64_t i = 0; i < n; i++) {
        float d = slow[i] - w[i], bi = s.momentum * b[i] + d;
        b[i] = bi;
        slow[i] -= s.rate * (d + s.momentum * bi);
        w[i] = slow[i];
    }
}

static int init_optimizer_state(ap_host *host) {
    static const ap_rule rule = {.inputs = inputs, .states = states};
    if (ap_rule_init(host, &rule)) return 1;
    return ap_rule_copy_of_parameters(host, "slow") && ap_swap_init(host) ? 0 : 1;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    if (!ap_rule_read(host, inputs, &s) || !ap_swap_back(host) || !ap_rule_gradient(host, &s, &clip)) return 1;
    int64_t t = host->call->step(host) + 1;
    double rate = ap_rule_rate(host, &s, ap_rule_jax_cosine);
    ap_adam inner = ap_adam_of(s.beta1, s.beta2, s.weight_decay, s.epsilon, t, rate);
    if (!ap_rule_apply(host, states, clip, ap_adam_block, &inner)) return 1;
    if (t % (int64_t)s.sync_period) return 0;
    scalars x = {(float)s.outer_lr, (float)s.outer_momentum};
    return ap_rule_apply(host, outer, 1, diloco_outer, &x) ? 0 : 1;
}

static int prepare_for_eval(ap_host *host) {
    return ap_swap_in(host, "slow") ? 0 : 1;
}

const ap_submission ap_submission_single_worker_diloco = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "single_worker_diloco",
    .summary = "AdamW with an outer Nesterov step on slow weights: a self-tuning submission",
    .source = "AlgoPerf self-tuning submission; Douillard et al., arXiv:2311.08105",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .prepare_for_eval = prepare_for_eval,
    .self_tuning_point = &point,
};
