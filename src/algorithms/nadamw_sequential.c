/* NAdamW sequential, self-tuning, third of v0.5: three hyperparameter points, one training after another.
 *
 * AlgoPerf v0.5 self-tuning submission "nadamw_sequential": the budget of that ruleset was three times that of external
 * tuning, so each point gets step_hint steps of nadamw.c (JAX form of the schedule), and each starts from the initial
 * weights. The first point is the search space's; the other two are fixed here. With the 1.5 times of v0.6 the second
 * is cut short. Running statistics of the model go on over a switch: a submission cannot reset them.
 *
 * Which three points the submission had is not part of the published description; these are the first three of the
 * baseline's list whose settings differ in more than label smoothing (1, 2 and 5). */
#include "algorithms/adam.h"
#include "algorithms/schedule.h"
#include <string.h>

extern const char ap_nadamw_sequential_self_tuning_json[];
static const char *const point = ap_nadamw_sequential_self_tuning_json;

typedef struct setting {
    double learning_rate, beta1, beta2, weight_decay, warmup_factor, dropout_rate, label_smoothing;
} setting;
static const setting later[] = {
    {0.0008445074561975979, 1 - 0.11042418465, 0.9978504782314613, 0.08135402759553023, 0.05, 0.0, 0.2},
    {0.0017486387539278373, 1 - 0.06733926164, 0.9955159689799007, 0.08121616522670176, 0.02, 0.1, 0.0},
};
enum { LATER = sizeof later / sizeof *later };

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
    s->label_smoothing = from->label_smoothing;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    int64_t step = host->call->step(host), hint = host->call->workload(host)->step_hint, part = step / hint;
    if (part > LATER) part = LATER; /* the last one goes on, at rate 0 */
    int64_t local = step - part * hint;
    if (!ap_rule_read(host, ap_adam_inputs, &s)) return 1;
    if (part > 0) use(&later[part - 1], &s);
    if (part > 0 && local == 0 && !start_again(host)) return 1;
    if (!ap_rule_gradient(host, &s, &clip)) return 1;
    double rate = s.learning_rate * (s.constant_rate != 0 ? 1 : ap_rule_jax_cosine(&s, local, hint));
    double *noted = host->call->state_numbers(host, "learning_rate", 1);
    if (!noted) return 1;
    *noted = rate;
    ap_adam x = ap_adam_of(s.beta1, s.beta2, s.weight_decay, s.epsilon, local + 1, rate);
    return ap_rule_apply(host, ap_adam_states, clip, ap_nadamw_block, &x) ? 0 : 1;
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
