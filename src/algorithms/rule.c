#include "algorithms/rule.h"
#include "algorithms/schedule.h"
#include "base/fmath.h"
#include <stdio.h>
#include <string.h>

/* ---- hyperparameters */

#define BELOW_ONE 0x1.fffffffffffffp-1
#define BELOW_ONE_FLOAT 0x1.fffffep-1 /* what is handed to the host as float */

typedef struct hyperparameter {
    const char *name;
    size_t offset;
    double min, max;
    const char *allowed;
    bool complement; /* the member is 1 - value */
} hyperparameter;

/* Names that share a member are spellings of it; the first is the one that messages ask for. */
#define OF(member) offsetof(ap_rule_settings, member)
#define AT(member) #member, OF(member)
#define FROM_0(member)                                                                                                 \
    { AT(member), 0, 1e9, "in [0, 1e9]", false }
#define FRACTION(member)                                                                                               \
    { AT(member), 0, 1, "in [0, 1]", false }
#define DECAY(member)                                                                                                  \
    { AT(member), 0, BELOW_ONE, "in [0, 1)", false }
#define FLAG(member)                                                                                                   \
    { AT(member), 0, 1, "false or true", false }
#define RATE(member)                                                                                                   \
    { AT(member), 0, BELOW_ONE_FLOAT, "in [0, 1)", false }
static const hyperparameter published[] = {
    FROM_0(learning_rate),
    {"one_minus_beta1", OF(beta1), 1e-12, 1, "in [1e-12, 1]", true},
    DECAY(beta1),
    DECAY(beta2),
    {"one_minus_beta2", OF(beta2), 1e-12, 1, "in [1e-12, 1]", true},
    DECAY(beta3),
    FROM_0(weight_decay),
    {AT(epsilon), 0, 1, "in [0, 1]", false},
    FRACTION(warmup_factor),
    {"warmup_steps_fraction", OF(warmup_factor), 0, 1, "in [0, 1]", false},
    {"warmup", OF(warmup_factor), 0, 1, "in [0, 1]", false},
    {AT(warmup_steps), 0, 1e9, "in [0, 1e9]", false},
    FRACTION(decay_steps_factor),
    FRACTION(end_factor),
    {AT(cosine_decay_fraction), 1e-6, 1, "in [1e-6, 1]", false},
    {AT(step_hint_factor), 1e-6, 10, "in [1e-6, 10]", false},
    FLAG(nesterov),
    {AT(power), 1, 10, "in [1, 10]", false},
    FLAG(disable_preconditioning),
    {AT(cycles), 1, 1000, "a whole number in [1, 1000]", false},
    FROM_0(rho),
    FROM_0(alpha),
    {AT(alpha_warmup), 0, 1e12, "in [0, 1e12]", false},
    {AT(beta3_warmup), 0, 1e12, "in [0, 1e12]", false},
    {AT(r), 0, 10, "in [0, 10]", false},
    {AT(weight_lr_power), 0, 10, "in [0, 10]", false},
    FLAG(float32_state),
    FLAG(torch_cpu),
    FLAG(force_reset),
    {AT(d0), 1e-30, 1e9, "in [1e-30, 1e9]", false},
    {AT(d_coef), 1e-30, 1e9, "in [1e-30, 1e9]", false},
    DECAY(momentum),
    {"one_minus_momentum", OF(momentum), 0, 1, "in [0, 1]", true},
    FLAG(use_momentum),
    FLAG(use_nesterov),
    FLAG(use_ema_momentum),
    FLAG(communicate_params),
    FLAG(use_nadam),
    FLAG(use_bias_correction),
    FLAG(use_normalized_grafting),
    {AT(grafting_epsilon), 0, 1, "in [0, 1]", false},
    FRACTION(grafting_beta2),
    {"beta2", OF(factor_beta2), 0, 1, "in [0, 1]", false},
    {"one_minus_beta2", OF(factor_beta2), 0, 1, "in [0, 1]", true},
    FRACTION(factor_beta2),
    {AT(max_preconditioner_dim), 1, 8192, "a whole number in [1, 8192]", false},
    {AT(precondition_frequency), 1, 1e9, "a whole number from 1", false},
    {AT(start_preconditioning_step), -1, 1e9, "a whole number from -1 (-1: precondition_frequency)", false},
    {AT(inv_root_override), 0, 100, "a whole number in [0, 100] (0: twice the order)", false},
    {AT(exponent_multiplier), 1e-6, 100, "in [1e-6, 100]", false},
    FLAG(use_merge_dims),
    FLAG(use_cosine_decay),
    FLAG(use_decoupled_weight_decay),
    FLAG(double_preconditioner),
    {AT(ns_steps), 0, 100, "a whole number in [0, 100]", false},
    DECAY(muon_beta),
    FROM_0(muon_lr_multiplier),
    FROM_0(muon_weight_decay),
    DECAY(pair_beta1),
    DECAY(pair_beta2),
    FROM_0(pair_weight_decay),
    FLAG(newton_schulz_bfloat16),
    FLAG(spectral_norm),
    FLAG(torch_nadam),
    {AT(sync_period), 1, 1e9, "a whole number from 1", false},
    FROM_0(outer_lr),
    DECAY(outer_momentum),
    FRACTION(lawa_start_factor),
    FRACTION(lawa_interval_scaling),
    FRACTION(lawa_inner_steps_frac),
    {AT(lawa_beta), 0, 1, "in [0, 1]", false},
    {AT(k), 1, 100, "a whole number in [1, 100]", false},
    {AT(converge), 1e-6, 10, "in [1e-6, 10]", false},
    FROM_0(l2),
    FROM_0(xi),
    {AT(eta_overrides), -1, 1e9, "-1 (none), or a scale from 0", false},
    {AT(clip_global_norm), 1e-30, INFINITY, "above 0", false},
    RATE(dropout_rate),
    RATE(aux_dropout_rate),
    RATE(label_smoothing),
    {AT(grad_clip), 1e-30, INFINITY, "above 0 (leave it out for no clipping)", false},
    FLAG(constant_rate),
};
enum { PUBLISHED = sizeof published / sizeof *published };

/* What every rule may be given. */
static const ap_rule_input optional[] = {
    {"dropout_rate", 0}, {"label_smoothing", 0}, {"grad_clip", INFINITY}, {"constant_rate", 0}, {NULL, 0}};

static const hyperparameter *find(const char *name) {
    for (int i = 0; i < PUBLISHED; i++)
        if (!strcmp(published[i].name, name)) return &published[i];
    return NULL;
}

static bool check(ap_host *host, const hyperparameter *h, double value) {
    bool whole = !strncmp(h->allowed, "a whole", 7), flag = !strncmp(h->allowed, "false", 5);
    if (value >= h->min && value <= h->max && !((whole || flag) && value != floor(value))) return true;
    host->call->fail(host, "hyperparameter %s = %g (must be %s); correct the search space", h->name, value, h->allowed);
    return false;
}

/* Not missed with constant_rate. */
static bool is_of_schedule(size_t offset) {
    return offset == OF(warmup_factor) || offset == OF(decay_steps_factor) || offset == OF(end_factor) ||
           offset == OF(cycles);
}

/* One member, by whichever of its names the point has. */
static bool read_member(ap_host *host, const ap_rule_input *input, ap_rule_settings *settings) {
    const hyperparameter *wanted = find(input->name), *found = NULL;
    double *member = (double *)((char *)settings + wanted->offset), value = 0;
    *member = input->fallback;
    for (int i = 0; i < PUBLISHED; i++) {
        const hyperparameter *h = &published[i];
        if (h->offset != wanted->offset || !host->call->hyperparameter(host, h->name, &value)) continue;
        if (found) {
            host->call->fail(host, "hyperparameters %s and %s say the same; keep one in the search space", found->name,
                             h->name);
            return false;
        }
        if (!check(host, h, value)) return false;
        found = h;
        *member = h->complement ? 1 - value : value;
    }
    if (found || !isnan(input->fallback)) return true;
    if (settings->constant_rate != 0 && is_of_schedule(wanted->offset)) return true;
    for (int i = PUBLISHED - 1; i >= 0; i--)
        if (published[i].offset == wanted->offset) wanted = &published[i]; /* the first spelling */
    host->call->fail(host, "hyperparameter %s is missing (allowed: %s); add it to the search space", wanted->name,
                     wanted->allowed);
    return false;
}

static bool read_members(ap_host *host, const ap_rule_input *inputs, ap_rule_settings *settings) {
    for (; inputs->name; inputs++)
        if (!read_member(host, inputs, settings)) return false;
    return true;
}

bool ap_rule_read(ap_host *host, const ap_rule_input *inputs, ap_rule_settings *settings) {
    *settings = (ap_rule_settings){0};
    return read_members(host, optional, settings) && read_members(host, inputs, settings);
}

bool ap_rule_choice(ap_host *host, const char *name, const char *const *values, int *index) {
    const char *text = host->call->hyperparameter_text(host, name);
    double number;
    char allowed[200] = "";
    for (int i = 0; values[i]; i++) {
        if (text && !strcmp(values[i], text)) {
            *index = i;
            return true;
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s\"%s\"", i ? ", " : "", values[i]);
    }
    if (!text && !host->call->hyperparameter(host, name, &number)) return true;
    host->call->fail(host, "hyperparameter %s = %s (must be one of %s); correct the search space", name,
                     text ? text : "a number", allowed);
    return false;
}

/* ---- state, gradient */

bool ap_rule_states(ap_host *host, const char *const *states) {
    int params = host->call->workload(host)->params;
    for (; *states; states++)
        for (int p = 0; p < params; p++)
            if (!host->call->state(host, *states, p)) return false;
    return true;
}

bool ap_rule_copy_of_parameters(ap_host *host, const char *name) {
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++) {
        float *state = host->call->state(host, name, p);
        if (!state) return false;
        memcpy(state, host->call->value(host, p), (size_t)workload->param[p].size * sizeof *state);
    }
    return true;
}

ap_loss_request ap_rule_request(const ap_rule_settings *settings) {
    return (ap_loss_request){.label_smoothing = (float)settings->label_smoothing,
                             .dropout_rate = (float)settings->dropout_rate};
}

bool ap_rule_gradient(ap_host *host, const ap_rule_settings *settings, float *clip) {
    ap_loss_request request = ap_rule_request(settings);
    double loss;
    if (!host->call->loss_and_gradient(host, &request, &loss)) return false;
    *clip = settings->grad_clip < INFINITY ? ap_clip_factor(host, settings->grad_clip) : 1;
    return true;
}

double ap_gradient_norm(ap_host *host) {
    const ap_workload_info *workload = host->call->workload(host);
    double squares = 0;
    for (int p = 0; p < workload->params; p++) {
        ap_gradient_rows rows;
        const bool listed = host->call->gradient_rows(host, p, &rows);
        const float *g = listed ? rows.values : host->call->gradient(host, p);
        squares += host->call->dot(host, listed ? rows.count * rows.columns : workload->param[p].size, g, g);
    }
    return sqrt(squares);
}

float ap_clip_factor(ap_host *host, double limit) {
    float factor = (float)(limit / (ap_gradient_norm(host) + 1e-6));
    return factor >= 1 ? 1 : factor; /* a NaN norm goes on and makes every gradient NaN, as there */
}

AP_RULE_CLONES
static void rule_scale(int64_t n, float factor, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = factor * x[i];
}

void ap_scale_gradients(ap_host *host, float factor) {
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; factor != 1 && p < workload->params; p++) {
        ap_gradient_rows rows;
        const bool listed = host->call->gradient_rows(host, p, &rows);
        float *g = listed ? rows.values : host->call->gradient(host, p);
        rule_scale(listed ? rows.count * rows.columns : workload->param[p].size, factor, g, g);
    }
}

/* ---- the loop */

/* Threads take AP_RULE_BLOCK elements at a time; tensors below this size are not worth a team. */
enum { WORTH_THREADS = 32768 };
typedef struct range {
    ap_host *host;
    const ap_rule_pass *pass;
    int64_t n;
    float *w, *g, *state[AP_RULE_STATES];
    double *sums;   /* [blocks][2] */
    bool is_listed; /* the gradient is `rows`, not g */
    ap_gradient_rows rows;
} range;

/* The first listed row from `row` on. */
static int64_t find_row(const ap_gradient_rows *rows, int64_t row) {
    int64_t low = 0, high = rows->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (rows->row[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* g[0..n): elements `first` on of a gradient that is a list of rows, times clip. */
static void rule_spread(const ap_gradient_rows *rows, float clip, int64_t first, int64_t n, float *g) {
    memset(g, 0, (size_t)n * sizeof *g);
    for (int64_t i = find_row(rows, first / rows->columns); i < rows->count; i++) {
        const int64_t at = rows->row[i] * rows->columns - first; /* in g; a row may stick out at both ends */
        if (at >= n) break;
        const int64_t from = at < 0 ? -at : 0, to = at + rows->columns < n ? rows->columns : n - at;
        const float *values = rows->values + i * rows->columns;
        if (clip == 1)
            memcpy(g + at + from, values + from, (size_t)(to - from) * sizeof *g);
        else
            for (int64_t j = from; j < to; j++) g[at + j] = clip * values[j];
    }
}

/* The clipped gradient is made block by block, in cache: clipping costs no pass over memory of its own, and of a list
 * of rows nothing of the table's size is ever made. */
static void run_block(const range *r, int64_t first) {
    const ap_rule_pass *pass = r->pass;
    int64_t n = r->n - first < AP_RULE_BLOCK ? r->n - first : AP_RULE_BLOCK;
    float clipped[AP_RULE_BLOCK], *states[AP_RULE_STATES] = {NULL};
    float *g = r->g ? r->g + first : NULL;
    if (r->is_listed) {
        rule_spread(&r->rows, pass->clip, pass->first + first, n, clipped);
        g = clipped;
    } else if (g && pass->clip != 1) {
        float *to = pass->rewrites ? g : clipped;
        rule_scale(n, pass->clip, g, to);
        g = to;
    }
    for (int s = 0; s < AP_RULE_STATES; s++)
        if (r->state[s]) states[s] = r->state[s] + first;
    pass->kernel(pass->scalars, n, r->w + first, g, states);
    if (pass->sums) pass->sums(r->host, n, r->w + first, g, states, r->sums + first / AP_RULE_BLOCK * 2);
}

static void run_blocks(const range *r, int threads) {
    /* Without OpenMP, and for small tensors (no thread team, no allocation): in order. */
    if (threads <= 1 || r->n <= WORTH_THREADS) {
        for (int64_t first = 0; first < r->n; first += AP_RULE_BLOCK) run_block(r, first);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(threads)
#endif
    for (int64_t first = 0; first < r->n; first += AP_RULE_BLOCK) run_block(r, first);
}

bool ap_rule_run(ap_host *host, int param, const ap_rule_pass *pass, double *sum) {
    range r = {.host = host,
               .pass = pass,
               .n = pass->n > 0 ? pass->n : host->call->workload(host)->param[param].size,
               .w = host->call->value(host, param) + pass->first};
    const bool wants = pass->clip != AP_NO_GRADIENT; /* a rewritten gradient must be there to be rewritten */
    r.is_listed = wants && !pass->rewrites && host->call->gradient_rows(host, param, &r.rows);
    if (wants && !r.is_listed) {
        float *g = host->call->gradient(host, param);
        if (!g) return false;
        r.g = g + pass->first;
    }
    for (int s = 0; pass->states[s]; s++) {
        float *state = host->call->state(host, pass->states[s], param);
        if (!state) return false;
        r.state[s] = state + pass->first;
    }
    int64_t blocks = (r.n + AP_RULE_BLOCK - 1) / AP_RULE_BLOCK;
    if (pass->sums && !(r.sums = (double *)(void *)host->call->scratch(host, AP_SCRATCH_SLOTS - 1, 4 * blocks)))
        return false;
    run_blocks(&r, host->call->threads(host));
    if (pass->sums) sum[0] = sum[1] = 0;
    for (int64_t i = 0; pass->sums && i < blocks; i++) sum[0] += r.sums[2 * i], sum[1] += r.sums[2 * i + 1];
    return true;
}

bool ap_rule_apply_to(ap_host *host, int param, const char *const *states, float clip, ap_rule_kernel *kernel,
                      const void *scalars) {
    return ap_rule_run(host, param,
                       &(ap_rule_pass){.states = states, .clip = clip, .kernel = kernel, .scalars = scalars}, NULL);
}

bool ap_rule_apply(ap_host *host, const char *const *states, float clip, ap_rule_kernel *kernel, const void *scalars) {
    int params = host->call->workload(host)->params;
    for (int p = 0; p < params; p++)
        if (!ap_rule_apply_to(host, p, states, clip, kernel, scalars)) return false;
    return true;
}

/* ---- a rule as a table */

double ap_rule_torch_cosine(const ap_rule_settings *s, int64_t step, int64_t hint) {
    return ap_schedule_warmup_cosine(step, trunc(s->warmup_factor * (double)hint), (double)hint);
}
double ap_rule_jax_cosine(const ap_rule_settings *s, int64_t step, int64_t hint) {
    double length = s->cosine_decay_fraction > 0 ? trunc(s->cosine_decay_fraction * (double)hint) : (double)hint;
    return ap_schedule_jax_cosine((double)step, (int64_t)(s->warmup_factor * length), length);
}
double ap_rule_linear_decay(const ap_rule_settings *s, int64_t step, int64_t hint) {
    return ap_schedule_warmup_linear(step, (int64_t)(s->warmup_factor * (double)hint), hint, s->decay_steps_factor,
                                     s->end_factor);
}

double ap_rule_rate(ap_host *host, const ap_rule_settings *settings, ap_rule_schedule *schedule) {
    double rate = settings->learning_rate;
    if (schedule && settings->constant_rate == 0)
        rate *= schedule(settings, host->call->step(host), host->call->workload(host)->step_hint);
    double *noted = host->call->state_numbers(host, "learning_rate", 1);
    if (noted) *noted = rate; /* NULL: the host has failed the step */
    return rate;
}

int ap_rule_init(ap_host *host, const ap_rule *rule) {
    ap_rule_settings settings;
    if (!ap_rule_read(host, rule->inputs, &settings) || !ap_rule_states(host, rule->states)) return 1;
    return host->call->state_numbers(host, "learning_rate", 1) ? 0 : 1;
}

int ap_rule_update(ap_host *host, const ap_rule *rule) {
    ap_rule_settings settings;
    float clip;
    _Alignas(16) unsigned char scalars[AP_RULE_SCALARS];
    if (!ap_rule_read(host, rule->inputs, &settings) || !ap_rule_gradient(host, &settings, &clip)) return 1;
    double rate = ap_rule_rate(host, &settings, rule->schedule);
    rule->scalars(&settings, host->call->step(host) + 1, rate, scalars);
    return ap_rule_apply(host, rule->states, clip, rule->kernel, scalars) ? 0 : 1;
}
