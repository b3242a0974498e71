/* Muon, self-tuning, PyTorch form: Newton-Schulz in bfloat16, the rest AdamW or torch's NAdam.
 *
 * AlgoPerf self-tuning submissions "muon_torch_*". As muon.c, but the iteration rounds to bfloat16
 * (newton_schulz_bfloat16 = false: float32); the rate's factor comes from the first two axes of the unflattened shape:
 * adjust_lr "spectral_norm": max(1, sqrt(d0 / d1)), "match_adam": 0.2 sqrt(max(d0, d1)), "none": 1; embeddings are
 * names with "embedding" or "embed_tokens"; the rest is AdamW (adamw.c) or, with torch_nadam, torch.optim.NAdam with
 * decoupled decay, for t = 1, 2, ..., u_t = b1 (1 - 0.96^(0.004 t) / 2) and U_t the product of u_1 ... u_t:
 *
 *     w *= 1 - h wd,   m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
 *     w -= h ((1 - u_t) / (1 - U_t) g + u_(t+1) / (1 - U_(t+1)) m) / (sqrt(v / (1 - b2^t)) + eps)
 *
 * Linear warmup, then cosine (PyTorch form). Points: the submissions' two, the second (JAX hyperparameters) in the
 * search space only. */
#include "algorithms/adam.h"
#include "algorithms/orthogonal.h"
#include "base/fmath.h"

extern const char ap_muon_torch_json[], ap_muon_torch_self_tuning_json[];
static const char *const space = ap_muon_torch_json;
static const char *const point = ap_muon_torch_self_tuning_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"muon_beta", AP_REQUIRED},
                                       {"muon_lr_multiplier", 1},
                                       {"muon_weight_decay", AP_REQUIRED},
                                       {"nesterov", 1},
                                       {"ns_steps", 5},
                                       {"newton_schulz_bfloat16", 1},
                                       {"torch_nadam", 0},
                                       {"torch_cpu", 0},
                                       {"pair_beta1", AP_REQUIRED},
                                       {"pair_beta2", AP_REQUIRED},
                                       {"pair_weight_decay", AP_REQUIRED},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};

enum { NONE, SPECTRAL_NORM, MATCH_ADAM };
static const char *const adjustments[] = {"none", "spectral_norm", "match_adam", NULL};

static bool is_matrix(const ap_param_info *p) {
    static const char *const embeddings[] = {"embedding", "embed_tokens", NULL};
    return ap_muon_matrix(p, embeddings);
}
static double scale_none(const ap_param_info *p) {
    (void)p;
    return 1;
}
static double scale_spectral_norm(const ap_param_info *p) {
    return fmax(1, sqrt((double)p->shape[0] / (double)p->shape[1]));
}
static double scale_match_adam(const ap_param_info *p) {
    return 0.2 * sqrt(fmax((double)p->shape[0], (double)p->shape[1]));
}

/* ---- torch.optim.NAdam */

typedef struct nadam {
    ap_adam adam;
    float gradient, momentum;
} nadam;

static double mu(double beta1, int64_t t) {
    return beta1 * (1 - 0.5 * ap_f64_exp(0.004 * (double)t * ap_f64_log(0.96)));
}

AP_RULE_CLONES
static void torch_nadam_block(const void *scalars, int64_t n, float *restrict w, float *restrict g,
                              float *const *state) {
    const nadam x = *(const nadam *)scalars;
    const ap_adam s = x.adam;
    float *restrict m = state[0], *restrict v = state[1];
    for (int64_t i = 0; i < n; i++) {
        float mi = m[i] * s.beta1 + s.one_minus_beta1 * g[i];
        float vi = v[i] * s.beta2 + s.one_minus_beta2 * g[i] * g[i];
        float denominator = sqrtf(vi) / s.root_correction2 + s.epsilon;
        m[i] = mi;
        v[i] = vi;
        w[i] = w[i] * s.keep - (x.gradient * g[i] + x.momentum * mi) / denominator;
    }
}

/* ---- the submission */

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    int adjustment = SPECTRAL_NORM;
    const ap_workload_info *workload = host->call->workload(host);
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_choice(host, "adjust_lr", adjustments, &adjustment)) return 1;
    double *product = host->call->state_numbers(host, "mu_product", 1);
    if (!product || !host->call->state_numbers(host, "learning_rate", 1)) return 1;
    *product = 1;
    for (int p = 0; p < workload->params; p++) {
        bool matrix = is_matrix(&workload->param[p]);
        if (!host->call->state(host, matrix ? "momentum" : ap_adam_states[0], p)) return 1;
        if (!matrix && !host->call->state(host, ap_adam_states[1], p)) return 1;
    }
    return 0;
}

static bool update_vectors(ap_host *host, const ap_rule_settings *s, double rate, float clip) {
    const ap_workload_info *workload = host->call->workload(host);
    int64_t t = host->call->step(host) + 1;
    double *product = host->call->state_numbers(host, "mu_product", 1);
    if (!product) return false;
    double now = mu(s->pair_beta1, t), next = mu(s->pair_beta1, t + 1);
    *product *= now;
    nadam x = {.adam = ap_adam_of(s->pair_beta1, s->pair_beta2, s->pair_weight_decay, s->epsilon, t, rate),
               .gradient = (float)(rate * (1 - now) / (1 - *product)),
               .momentum = (float)(rate * next / (1 - *product * next))};
    ap_rule_kernel *kernel = s->torch_nadam != 0 ? torch_nadam_block : ap_adam_block;
    for (int p = 0; p < workload->params; p++)
        if (!is_matrix(&workload->param[p]) && !ap_rule_apply_to(host, p, ap_adam_states, clip, kernel, &x))
            return false;
    return true;
}

static int update_params(ap_host *host) {
    static double (*const scales[])(const ap_param_info *) = {scale_none, scale_spectral_norm, scale_match_adam};
    ap_rule_settings s;
    float clip;
    int adjustment = SPECTRAL_NORM;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_choice(host, "adjust_lr", adjustments, &adjustment)) return 1;
    if (!ap_rule_gradient(host, &s, &clip)) return 1;
    double rate = ap_rule_rate(host, &s, ap_rule_torch_cosine);
    ap_muon muon = {.rate = rate * s.muon_lr_multiplier,
                    .weight_decay = s.muon_weight_decay,
                    .beta = s.muon_beta,
                    .nesterov = s.nesterov != 0,
                    .bfloat16 = s.newton_schulz_bfloat16 != 0,
                    .torch_cpu = s.newton_schulz_bfloat16 != 0 && s.torch_cpu != 0,
                    .steps = (int)s.ns_steps,
                    .is_matrix = is_matrix,
                    .scale = scales[adjustment]};
    return update_vectors(host, &s, rate, clip) && ap_muon_apply(host, &muon, clip) ? 0 : 1;
}

const ap_submission ap_submission_muon_torch = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "muon_torch",
    .summary = "orthogonalised momentum for matrices, AdamW for the rest (PyTorch): a self-tuning submission",
    .source = "AlgoPerf self-tuning submission; Jordan et al. 2024",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
    .self_tuning_point = &point,
};
