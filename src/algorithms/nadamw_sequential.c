/* NAdamW sequential, self-tuning, third of v0.5: three hyperparameter points, one training after another.
 *
 * AlgoPerf v0.5 self-tuning submission "nadamw_sequential", JAX form: each point trains for ceil(horizon * step_hint)
 * steps of nadamw.c (JAX form of the schedule over that horizon), horizons 1, 1 and 0.75, and starts from the initial
 * weights; after the third the training is complete. The first point is the search space's; the other two are fixed
 * here. The budget of v0.5 was three times that of external tuning; with the 1.5 times of v0.6 the second is cut short.
 *
 * The published code lists label smoothings of 0.1 and 0.2 for the first two points, but asks for them in a way that
 * always finds 0: so do these. Running statistics of the model go on over a switch, there too. */
#include "algorithms/adam.h"
#include "algorithms/schedule.h"
#include <string.h>

extern const char ap_nadamw_sequential_self_tuning_json[];
static const char *const point = ap_nadamw_sequential_self_tuning_json;

typedef struct setting {
    double learning_rate, beta1, beta2, weight_decay, warmup_factor, dropout_rate;
} setting;
static const setting later[] = {
    {0.001768509931943289, 1 - 0.05850208614, 0.9768053375036079, 0.0279513959224539, 0.02, 0.0},
    {0.0023792566965593815, 1 - 0.01990335215, 0.9632738717172477, 0.3417568278549717, 0.01, 0.1},
};
enum { LATER = sizeof later / sizeof *later };
static const double horizon[1 + LATER] = {1, 1, 0.75};

/* Which point a step belongs to, its first step, and its number of steps. */
static int part_of(int64_t step, int64_t hint, int64_t *first, int64_t *length) {
    int part = 0;
    *first = 0;
    for (;; part++) {
        *length = (int64_t)ceil(horizon[part] * (double)hint);
        if (part == LATER || step < *first + *length) return part;
        *first += *length;
    }
}

static int init_optimizer_state(ap_host *host) {
    static const ap_rule rule = {.inputs = ap_adam_inputs, .states = ap_adam_states};
    return ap_rule_init(host, &rule) == 0 && ap_rule_copy_of_parameters(host, "initial") ? 0 : 1;
}

static bool start_again(ap_host *host) {
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++) {
        size_t bytes = (size_t)workload->param[p].size * sizeof(float);
        const float *initial = host->call->state(host, "initial", p);
        if (!initial) return false;
        memcpy(host->call->value(host, p), initial, bytes);
        for (int s = 0; s < 2; s++) {
            float *state = host->call->state(host, ap_adam_states[s], p);
            if (!state) return false;
            memset(state, 0, bytes);
        }
    }
    return true;
}

static void use(const setting *from, ap_rule_settings *s) {
    s->learning_rate = from->learning_rate;
    s->beta1 = from->beta1;
    s->beta2 = from->beta2;
    s->weight_decay = from->weight_decay;
    s->warmup_factor = from->warmup_factor;
    s->dropout_rate = from->dropout_rate;
    s->label_smoothing = 0;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    int64_t step = host->call->step(host), first, length;
    int part = part_of(step, host->call->workload(host)->step_hint, &first, &length);
    int64_t local = step - first;
    if (!ap_rule_read(host, ap_adam_inputs, &s)) return 1;
    if (part > 0) use(&later[part - 1], &s);
    if (part > 0 && local == 0 && !start_again(host)) return 1;
    if (!ap_rule_gradient(host, &s, &clip)) return 1;
    double rate = s.learning_rate * (s.constant_rate != 0 ? 1 : ap_rule_jax_cosine(&s, local, length));
    double *noted = host->call->state_numbers(host, "learning_rate", 1);
    if (!noted) return 1;
    *noted = rate;
    ap_adam x = ap_adam_of(s.beta1, s.beta2, s.weight_decay, s.epsilon, local + 1, rate);
    if (!ap_rule_apply(host, ap_adam_states, clip, ap_nadamw_block, &x)) return 1;
    if (part == LATER && local + 1 >= length) host->call->stop(host, "all three points have run");
    return 0;
}

const ap_submission ap_submission_nadamw_sequential = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "nadamw_sequential",
    .summary = "three NAdamW points one after another: third of the v0.5 self-tuning track",
    .source = "AlgoPerf v0.5 self-tuning submission",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .self_tuning_point = &point,
};
