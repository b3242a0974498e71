/* A submission of one's own, complete: Lion, with linear warmup and linear decay.
 *
 * Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675, Algorithm 2, with h the rate of the
 * step and s the sign (0 of 0):
 *
 *     w *= 1 - h weight_decay
 *     w -= h s(beta1 m + (1 - beta1) g)
 *     m  = beta2 m + (1 - beta2) g
 *
 * Start from this file: rename it, change `name`, write your own rule into update_block. Nothing but submission.h is
 * needed. Two habits keep training bitwise the same on any number of ranks and machines: plain float arithmetic in a
 * written order (-ffp-contract=off in the build line), and no math function whose last bit differs between C libraries
 * in what reaches the parameters (cosf, powf; sqrtf is exact). */
#include "submission/submission.h"
#include <stddef.h>

typedef struct settings {
    double learning_rate, beta1, beta2, weight_decay; /* required */
    double warmup_factor, end_factor;                 /* of step_hint; of learning_rate */
    double dropout_rate, label_smoothing;             /* optional */
} settings;

/* ---- hyperparameters: names as in the search space, my_optimizer.json */

static int read_one(ap_host *host, const char *name, int required, double max, double *value) {
    if (!host->call->hyperparameter(host, name, value) && required) {
        host->call->fail(host, "hyperparameter %s is missing; add it to the search space", name);
        return 1;
    }
    if (!(*value >= 0 && *value <= max)) {
        host->call->fail(host, "hyperparameter %s = %g (must be in [0, %g])", name, *value, max);
        return 1;
    }
    return 0;
}

static int read_settings(ap_host *host, settings *s) {
    *s = (settings){0};
    return read_one(host, "learning_rate", 1, 10, &s->learning_rate) || read_one(host, "beta1", 1, 1, &s->beta1) ||
           read_one(host, "beta2", 1, 1, &s->beta2) || read_one(host, "weight_decay", 1, 100, &s->weight_decay) ||
           read_one(host, "warmup_factor", 1, 1, &s->warmup_factor) ||
           read_one(host, "end_factor", 1, 1, &s->end_factor) ||
           read_one(host, "dropout_rate", 0, 0.99, &s->dropout_rate) ||
           read_one(host, "label_smoothing", 0, 0.99, &s->label_smoothing);
}

/* ---- the rule */

/* The multiplier of 0-based step s: (s + 1) / warmup up to 1, then linearly down to end_factor at step_hint. A function
 * of the step alone, so a resumed trial goes on where it was. */
static double schedule(const settings *s, int64_t step, int64_t step_hint) {
    double warmup = s->warmup_factor * (double)step_hint, rest = (double)step_hint - warmup;
    if ((double)step < warmup) return ((double)step + 1) / (warmup + 1);
    double done = rest > 0 ? ((double)step - warmup) / rest : 1;
    return 1 - (1 - s->end_factor) * (done < 1 ? done : 1);
}

static void update_block(int64_t n, float *restrict w, const float *restrict g, float *restrict m, float rate,
                         float keep, float beta1, float beta2) {
    for (int64_t i = 0; i < n; i++) {
        float c = beta1 * m[i] + (1 - beta1) * g[i];
        float sign = (float)((c > 0) - (c < 0));
        w[i] = keep * w[i] - rate * sign;
        m[i] = beta2 * m[i] + (1 - beta2) * g[i];
    }
}

/* ---- the benchmark's functions */

/* State is made here, by name; the host checkpoints and restores it. */
static int init_optimizer_state(ap_host *host) {
    settings s;
    if (read_settings(host, &s)) return 1;
    for (int p = 0; p < host->call->workload(host)->params; p++)
        if (!host->call->state(host, "momentum", p)) return 1;
    return 0;
}

static int update_params(ap_host *host) {
    const ap_workload_info *workload = host->call->workload(host);
    settings s;
    if (read_settings(host, &s)) return 1;
    ap_loss_request request = {.label_smoothing = (float)s.label_smoothing, .dropout_rate = (float)s.dropout_rate};
    double loss;
    if (!host->call->loss_and_gradient(host, &request, &loss)) return 1;

    double rate = s.learning_rate * schedule(&s, host->call->step(host), workload->step_hint);
    for (int p = 0; p < workload->params; p++) {
        float *m = host->call->state(host, "momentum", p);
        if (!m) return 1;
        update_block(workload->param[p].size, host->call->value(host, p), host->call->gradient(host, p), m, (float)rate,
                     (float)(1 - rate * s.weight_decay), (float)s.beta1, (float)s.beta2);
    }
    return 0;
}

/* ---- the table */

const ap_submission *ap_submission_entry(void) {
    static const ap_submission submission = {
        .abi = AP_SUBMISSION_ABI,
        .struct_size = sizeof(ap_submission),
        .name = "my_optimizer", /* the folder of its results */
        .summary = "Lion with linear warmup and decay, an example",
        .source = "Chen et al., arXiv:2302.06675",
        .init_optimizer_state = init_optimizer_state,
        .update_params = update_params,
        /* get_batch_size NULL: the baseline's. prepare_for_eval, data_selection NULL: nothing special. search_space
           NULL: the job file names one. */
    };
    return &submission;
}
