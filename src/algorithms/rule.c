#include "algorithms/rule.h"
#include <math.h>
#include <string.h>

/* ---- hyperparameters */

#define BELOW_ONE 0x1.fffffffffffffp-1
#define BELOW_ONE_FLOAT 0x1.fffffep-1 /* what is handed to the host as float */
#define REQUIRED NAN

typedef struct hyperparameter {
    const char *name;
    size_t offset;
    double min, max;
    const char *allowed;
    double fallback;
} hyperparameter;

#define AT(member) #member, offsetof(ap_rule_settings, member)
static const hyperparameter published[] = {
    {AT(learning_rate), 0, 1e9, "in [0, 1e9]", REQUIRED},
    {AT(one_minus_beta1), 1e-12, 1, "in [1e-12, 1]", REQUIRED},
    {AT(beta2), 0, BELOW_ONE, "in [0, 1)", REQUIRED},
    {AT(weight_decay), 0, 1e9, "in [0, 1e9]", REQUIRED},
    {AT(warmup_factor), 0, 1, "in [0, 1]", REQUIRED},
    {AT(decay_steps_factor), 0, 1, "in [0, 1]", REQUIRED},
    {AT(end_factor), 0, 1, "in [0, 1]", REQUIRED},
    {AT(dropout_rate), 0, BELOW_ONE_FLOAT, "in [0, 1)", 0},
    {AT(label_smoothing), 0, BELOW_ONE_FLOAT, "in [0, 1)", 0},
    {AT(grad_clip), 1e-30, INFINITY, "above 0 (leave it out for no clipping)", INFINITY},
};
enum { PUBLISHED = sizeof published / sizeof *published };

static bool listed(const char *const *names, const char *name) {
    for (; *names; names++)
        if (!strcmp(*names, name)) return true;
    return false;
}

bool ap_rule_read(ap_host *host, const char *const *required, ap_rule_settings *settings) {
    *settings = (ap_rule_settings){0};
    for (int i = 0; i < PUBLISHED; i++) {
        const hyperparameter *h = &published[i];
        double value = h->fallback;
        if (isnan(h->fallback) && !listed(required, h->name)) continue;
        if (!host->call->hyperparameter(host, h->name, &value) && isnan(h->fallback)) {
            host->call->fail(host, "hyperparameter %s is missing (allowed: %s); add it to the search space", h->name,
                             h->allowed);
            return false;
        }
        if (!(value >= h->min && value <= h->max)) {
            host->call->fail(host, "hyperparameter %s = %g (must be %s); correct the search space", h->name, value,
                             h->allowed);
            return false;
        }
        *(double *)((char *)settings + h->offset) = value;
    }
    return true;
}

bool ap_rule_init(ap_host *host, const char *const *required, const char *const *states) {
    ap_rule_settings settings;
    if (!ap_rule_read(host, required, &settings)) return false;
    int params = host->call->workload(host)->params;
    for (; *states; states++)
        for (int p = 0; p < params; p++)
            if (!host->call->state(host, *states, p)) return false;
    return host->call->state_numbers(host, "learning_rate", 1) != NULL;
}

/* ---- the gradient */

bool ap_rule_gradient(ap_host *host, const ap_rule_settings *settings) {
    ap_loss_request request = {.label_smoothing = (float)settings->label_smoothing,
                               .dropout_rate = (float)settings->dropout_rate};
    double loss;
    if (!host->call->loss_and_gradient(host, &request, &loss)) return false;
    if (settings->grad_clip < INFINITY) ap_clip_gradients(host, settings->grad_clip);
    return true;
}

static void scale(int64_t n, float factor, float *g) {
    for (int64_t i = 0; i < n; i++) g[i] *= factor;
}

void ap_clip_gradients(ap_host *host, double limit) {
    const ap_workload_info *workload = host->call->workload(host);
    double squares = 0;
    for (int p = 0; p < workload->params; p++) {
        const float *g = host->call->gradient(host, p);
        squares += host->call->dot(host, workload->param[p].size, g, g);
    }
    float factor = (float)(limit / (sqrt(squares) + 1e-6));
    if (factor >= 1) return; /* times 1 changes nothing; a NaN norm goes on and makes every gradient NaN, as there */
    for (int p = 0; p < workload->params; p++) scale(workload->param[p].size, factor, host->call->gradient(host, p));
}

/* ---- the loop */

enum { BLOCK = 16384 }; /* elements a thread takes at a time: 64 KiB of each array */

typedef struct parameter {
    int64_t n;
    float *w, *g, *state[AP_RULE_STATES];
} parameter;

static void run_block(const parameter *p, int64_t first, ap_rule_kernel *kernel, const void *scalars) {
    int64_t n = p->n - first < BLOCK ? p->n - first : BLOCK;
    kernel(scalars, n, p->w + first, p->g + first, p->state[0] ? p->state[0] + first : NULL,
           p->state[1] ? p->state[1] + first : NULL);
}

static void run_blocks(const parameter *p, int threads, ap_rule_kernel *kernel, const void *scalars) {
    /* Without OpenMP, and for small tensors (no thread team, no allocation): in order. */
    if (threads <= 1 || p->n <= 2 * BLOCK) {
        for (int64_t first = 0; first < p->n; first += BLOCK) run_block(p, first, kernel, scalars);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(threads)
#endif
    for (int64_t first = 0; first < p->n; first += BLOCK) run_block(p, first, kernel, scalars);
}

bool ap_rule_apply(ap_host *host, const char *const *states, double learning_rate, ap_rule_kernel *kernel,
                   const void *scalars) {
    const ap_workload_info *workload = host->call->workload(host);
    double *noted = host->call->state_numbers(host, "learning_rate", 1);
    if (!noted) return false;
    for (int i = 0; i < workload->params; i++) {
        parameter p = {workload->param[i].size, host->call->value(host, i), host->call->gradient(host, i), {NULL}};
        for (int s = 0; states[s]; s++)
            if (!(p.state[s] = host->call->state(host, states[s], i))) return false;
        run_blocks(&p, host->call->threads(host), kernel, scalars);
    }
    *noted = learning_rate;
    return true;
}
