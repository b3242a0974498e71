#include "algorithms/lawa.h"
#include "algorithms/adam.h"
#include "algorithms/schedule.h"
#include "algorithms/swap.h"

enum { STEPS, READY, NUMBERS };
static const char numbers_name[] = "lawa";

int ap_lawa_init(ap_host *host, const ap_rule_input *inputs, ap_rule_settings *settings) {
    static const char *const average[] = {"average", NULL};
    const ap_rule rule = {.inputs = inputs, .states = ap_adam_states};
    if (ap_rule_init(host, &rule) || !ap_rule_read(host, inputs, settings)) return 1;
    if (!ap_rule_states(host, average) || !ap_swap_init(host)) return 1;
    return host->call->state_numbers(host, numbers_name, NUMBERS) ? 0 : 1;
}

static double rate_of(ap_host *host, const ap_rule_settings *s, int64_t step) {
    int64_t hint = host->call->workload(host)->step_hint;
    double rate = s->learning_rate;
    if (s->constant_rate == 0) rate *= ap_schedule_cyclic(step, (int64_t)(s->warmup_factor * (double)hint), hint, 1);
    double *noted = host->call->state_numbers(host, "learning_rate", 1);
    if (noted) *noted = rate;
    return rate;
}

static bool is_due(const ap_rule_settings *s, int64_t step, int64_t step_hint) {
    double start = ceil(s->lawa_start_factor * (double)step_hint);
    int64_t interval = (int64_t)fmax(ceil(s->lawa_interval_scaling * (double)step_hint), 1);
    return (double)step >= start && step % interval == 0;
}

static bool inner_step(ap_host *host, const ap_rule_settings *s, double *numbers, ap_lawa_copy *copy) {
    int64_t step = (int64_t)numbers[STEPS], hint = host->call->workload(host)->step_hint;
    float clip;
    if (!ap_rule_gradient(host, s, &clip)) return false;
    ap_adam x = ap_adam_of(s->beta1, s->beta2, s->weight_decay, s->epsilon, step + 1, rate_of(host, s, step));
    if (!ap_rule_apply(host, ap_adam_states, clip, ap_nadamw_block, &x)) return false;
    numbers[STEPS]++;
    if (!is_due(s, step, hint)) return true;
    bool ready;
    if (!copy(host, s, &ready)) return false;
    numbers[READY] = ready;
    return true;
}

int ap_lawa_update(ap_host *host, const ap_rule_input *inputs, ap_lawa_copy *copy) {
    ap_rule_settings s;
    const ap_workload_info *w = host->call->workload(host);
    double *numbers = host->call->state_numbers(host, numbers_name, NUMBERS);
    if (!numbers || !ap_rule_read(host, inputs, &s) || !ap_swap_back(host)) return 1;
    double step_s = w->max_runtime_s / (double)w->step_hint;
    double steps = step_s > 0 ? ceil(s.lawa_inner_steps_frac * w->eval_period_s / step_s) : 1;
    for (int64_t i = 0; i < (int64_t)fmax(steps, 1); i++) {
        if (i > 0 && !host->call->next_batch(host)) return 1;
        if (!inner_step(host, &s, numbers, copy)) return 1;
    }
    return numbers[READY] == 0 || ap_swap_in(host, "average") ? 0 : 1;
}

void ap_lawa_average(int64_t n, int k, const float *queue, int64_t stride, int first, float *average) {
    float count = (float)k;
    for (int j = 0; j < k; j++) {
        const float *x = queue + (first + j) % k * stride;
        for (int64_t i = 0; i < n; i++) average[i] = j ? average[i] + x[i] / count : x[i] / count;
    }
}
