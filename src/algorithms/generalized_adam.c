/* Generalized Adam: NAdamW, or Nesterov SGD with decoupled weight decay, by a flag.
 *
 * AlgoPerf v0.5 external tuning submission "generalized_adam", JAX form. With h the rate of the step (linear warmup of
 * int(warmup_factor L) steps from 0, then cosine to L = int(cosine_decay_fraction * step_hint)): nadamp.c with power 2;
 * with disable_preconditioning
 *
 *     u = g + b1 u
 *     w -= h ((g + b1 u if nesterov, else u) + weight_decay w)
 *
 * Search space: the submission's five points. */
#include "algorithms/adam.h"

extern const char ap_generalized_adam_json[];
static const char *const space = ap_generalized_adam_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"beta2", 0},
                                       {"weight_decay", AP_REQUIRED},
                                       {"nesterov", 1},
                                       {"disable_preconditioning", 0},
                                       {"warmup_factor", 0},
                                       {"cosine_decay_fraction", 1},
                                       {"aux_dropout_rate", 0},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};

typedef struct scalars {
    ap_adam adam;
    float rate, weight_decay;
    bool nesterov, plain;
} scalars;

static void generalized_adam_scalars(const ap_rule_settings *s, int64_t t, double rate, void *out) {
    *(scalars *)out = (scalars){.adam = ap_adam_of(s->beta1, s->beta2, s->weight_decay, s->epsilon, t, rate),
                                .rate = (float)rate,
                                .weight_decay = (float)s->weight_decay,
                                .nesterov = s->nesterov != 0,
                                .plain = s->disable_preconditioning != 0};
    if (s->nesterov == 0) ((scalars *)out)->adam.step_size = (float)rate; /* as in nadamp.c: no correction of m */
}

AP_RULE_CLONES
static void generalized_sgd_block(const scalars *s, int64_t n, float *restrict w, const float *restrict g,
                                  float *restrict u) {
    float beta = s->adam.beta1, mix = s->nesterov ? beta : 1, own = s->nesterov ? 1.0F : 0.0F;
    for (int64_t i = 0; i < n; i++) {
        float ui = g[i] + beta * u[i];
        u[i] = ui;
        w[i] -= s->rate * (own * g[i] + mix * ui + s->weight_decay * w[i]);
    }
}

static void generalized_adam_block(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                                   float *const *states) {
    const scalars *s = scalars_;
    if (s->plain)
        generalized_sgd_block(s, n, w, g, states[0]);
    else
        (s->nesterov ? ap_nadamw_block : ap_adam_block)(&s->adam, n, w, g, states);
}

static const ap_rule rule = {inputs, ap_adam_states, ap_rule_jax_cosine, generalized_adam_scalars,
                             generalized_adam_block};

static int init_optimizer_state(ap_host *host) {
    return ap_rule_init(host, &rule);
}
static int update_params(ap_host *host) {
    return ap_rule_update(host, &rule);
}

const ap_submission ap_submission_generalized_adam = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "generalized_adam",
    .summary = "NAdamW or Nesterov SGD by a flag: third of v0.5",
    .source = "AlgoPerf v0.5 external tuning submission",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
