/* LAWA: latest weight averaging around NAdamW (nadamw.c). Kaddour, "Stop wasting my time! Saving days of ImageNet and
 * BERT training with latest weight averaging", arXiv:2209.14981; AlgoPerf v0.5 submissions "lawa_queue" and "lawa_ema".
 *
 * One call of update_params runs ceil(lawa_inner_steps_frac * eval_period / (max_runtime / step_hint)) steps, each with
 * a batch of its own. After step s = 0, 1, ... the weights are copied if s >= ceil(lawa_start_factor * step_hint) and s
 * is a multiple of ceil(lawa_interval_scaling * step_hint). At the end of a call the average, if there is one, becomes
 * the parameters; the next call takes the training weights back. The rate is ap_schedule_cyclic with one cycle. */
#ifndef AP_ALGORITHMS_LAWA_H
#define AP_ALGORITHMS_LAWA_H

#include "algorithms/rule.h"

/* What both read and a hyperparameter of its `own`. */
#define AP_LAWA_INPUTS(own)                                                                                            \
    {                                                                                                                  \
        {"learning_rate", AP_REQUIRED}, {"beta1", AP_REQUIRED}, {"beta2", AP_REQUIRED}, {"weight_decay", AP_REQUIRED}, \
            {"warmup_factor", AP_REQUIRED}, {"lawa_start_factor", AP_REQUIRED},                                        \
            {"lawa_interval_scaling", AP_REQUIRED}, {"lawa_inner_steps_frac", AP_REQUIRED}, {own, AP_REQUIRED},        \
            {"epsilon", 1e-8}, {NULL, 0},                                                                              \
    }

/* Takes a copy of the parameters into the average, the state "average"; *ready: there is one to evaluate. */
typedef bool ap_lawa_copy(ap_host *host, const ap_rule_settings *settings, bool *ready);

int ap_lawa_init(ap_host *host, const ap_rule_input *inputs, ap_rule_settings *settings);
int ap_lawa_update(ap_host *host, const ap_rule_input *inputs, ap_lawa_copy *copy);

/* average = x_0 / k + x_1 / k + ... in order, oldest first; queue[k][n], the oldest in row `first`. */
void ap_lawa_average(int64_t n, int k, const float *queue, int64_t stride, int first, float *average);

#endif
