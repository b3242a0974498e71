/* SAM with AdamW, a paper baseline of the benchmark.
 *
 * Foret et al., "Sharpness-aware minimization for efficiently improving generalization", arXiv:2010.01412, Algorithm 1;
 * AlgoPerf, archived_paper_baselines/sam, PyTorch form. Two gradients a step, n the global norm of the first:
 *
 *     w' = w + rho g / n
 *     g' = gradient at w' (batch-norm statistics are not updated in this pass)
 *     AdamW (adamw.c) at w with g', warmup cast to whole steps
 *
 * Clipping, if asked for, is of g'. Search space: sam.json, the published ranges. */
#include "algorithms/adam.h"

extern const char ap_sam_json[];
static const char *const space = ap_sam_json;

static const ap_rule_input inputs[] = {
    {"learning_rate", AP_REQUIRED}, {"beta1", AP_REQUIRED}, {"beta2", AP_REQUIRED}, {"weight_decay", AP_REQUIRED},
    {"warmup_factor", AP_REQUIRED}, {"rho", AP_REQUIRED},   {"epsilon", 1e-8},      {NULL, 0}};
static const char *const states[] = {"exp_avg", "exp_avg_sq", "old_p", NULL};
static const char *const saved[] = {"old_p", NULL};

AP_RULE_CLONES
static void sam_climb(const void *scale_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const float scale = *(const float *)scale_;
    float *restrict old = state[0];
    for (int64_t i = 0; i < n; i++) {
        old[i] = w[i];
        w[i] = w[i] + scale * g[i];
    }
}

AP_RULE_CLONES
static void sam_adamw(const void *scalars, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const float *restrict old = state[2];
    for (int64_t i = 0; i < n; i++) w[i] = old[i];
    ap_adam_block(scalars, n, w, g, state);
}

static int init_optimizer_state(ap_host *host) {
    static const ap_rule rule = {.inputs = inputs, .states = states};
    return ap_rule_init(host, &rule);
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    double loss;
    if (!ap_rule_read(host, inputs, &s)) return 1;
    ap_loss_request request = ap_rule_request(&s);
    if (!host->call->loss_and_gradient(host, &request, &loss)) return 1;
    double norm = ap_gradient_norm(host);
    float scale = (float)(norm > 0 ? s.rho / norm : 0);
    if (!ap_rule_apply(host, saved, 1, sam_climb, &scale)) return 1;
    request.keep_state = true;
    if (!host->call->loss_and_gradient(host, &request, &loss)) return 1;
    float clip = s.grad_clip < INFINITY ? ap_clip_factor(host, s.grad_clip) : 1;
    double rate = ap_rule_rate(host, &s, ap_rule_torch_cosine);
    ap_adam x = ap_adam_of(s.beta1, s.beta2, s.weight_decay, s.epsilon, host->call->step(host) + 1, rate);
    return ap_rule_apply(host, states, clip, sam_adamw, &x) ? 0 : 1;
}

const ap_submission ap_submission_sam = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "sam",
    .summary = "sharpness-aware minimization with AdamW, two gradients a step: a paper baseline",
    .source = "AlgoPerf paper baseline; Foret et al., arXiv:2010.01412",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
