/* Muon, self-tuning, JAX form: matrices are orthogonalised, the rest is NAdamW.
 *
 * Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); AlgoPerf self-tuning submission
 * "muon". Parameters of rank >= 2 whose name has no "embed": orthogonal.h with the factor max(1, sqrt(columns / rows))
 * of the flattened matrix, rate h muon_lr_multiplier. Others: nadamw.c with pair_beta1, pair_beta2, pair_weight_decay,
 * rate h. Linear warmup from 0 (here none), then cosine (JAX form).
 *
 * Search space: the submission's one point. */
#include "algorithms/adam.h"
#include "algorithms/orthogonal.h"

extern const char ap_muon_self_tuning_json[];
static const char *const point = ap_muon_self_tuning_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"warmup_factor", 0},
                                       {"muon_beta", AP_REQUIRED},
                                       {"muon_lr_multiplier", AP_REQUIRED},
                                       {"muon_weight_decay", AP_REQUIRED},
                                       {"nesterov", 0},
                                       {"ns_steps", 5},
                                       {"pair_beta1", AP_REQUIRED},
                                       {"pair_beta2", AP_REQUIRED},
                                       {"pair_weight_decay", AP_REQUIRED},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};

static bool is_matrix(const ap_param_info *p) {
    static const char *const embeddings[] = {"embed", NULL};
    return ap_muon_matrix(p, embeddings);
}

static double scale(const ap_param_info *p) {
    double rows = (double)p->shape[0], columns = (double)p->size / rows;
    return fmax(1, sqrt(columns / rows));
}

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    const ap_workload_info *workload = host->call->workload(host);
    if (!ap_rule_read(host, inputs, &s) || !host->call->state_numbers(host, "learning_rate", 1)) return 1;
    for (int p = 0; p < workload->params; p++) {
        bool matrix = is_matrix(&workload->param[p]);
        if (!host->call->state(host, matrix ? "momentum" : ap_adam_states[0], p)) return 1;
        if (!matrix && !host->call->state(host, ap_adam_states[1], p)) return 1;
    }
    return 0;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_gradient(host, &s, &clip)) return 1;
    const ap_workload_info *workload = host->call->workload(host);
    double rate = ap_rule_rate(host, &s, ap_rule_jax_cosine);
    ap_muon muon = {.rate = rate * s.muon_lr_multiplier,
                    .weight_decay = s.muon_weight_decay,
                    .beta = s.muon_beta,
                    .nesterov = s.nesterov != 0,
                    .steps = (int)s.ns_steps,
                    .is_matrix = is_matrix,
                    .scale = scale};
    int64_t t = host->call->step(host) + 1;
    ap_adam pair = ap_adam_of(s.pair_beta1, s.pair_beta2, s.pair_weight_decay, s.epsilon, t, rate);
    for (int p = 0; p < workload->params; p++)
        if (!is_matrix(&workload->param[p]) && !ap_rule_apply_to(host, p, ap_adam_states, clip, ap_nadamw_block, &pair))
            return 1;
    return ap_muon_apply(host, &muon, clip) ? 0 : 1;
}

const ap_submission ap_submission_muon = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "muon",
    .summary = "orthogonalised momentum for matrices, NAdamW for the rest (JAX): a self-tuning submission",
    .source = "AlgoPerf self-tuning submission; Jordan et al. 2024",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .self_tuning_point = &point,
};
