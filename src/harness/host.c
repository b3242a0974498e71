#include "harness/host.h"

#include "base/log.h"
#include "submission/solo_host.h"
#include "tensor/kernels/eigen.h"
#include "tensor/kernels/reduce.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef enum host_phase { OUTSIDE, INIT, UPDATE, PREPARE } host_phase;
static const char *const phase_names[] = {"no function", "init_optimizer_state", "update_params", "prepare_for_eval"};

typedef struct kept { /* elements of a state that one rank keeps */
    int64_t first, n;
    int rank;
} kept;

enum { CHECK_EVERY = 64 }; /* steps between two looks at data_selection */
enum { NUMBERS = -1, ARRAY = -2 };
typedef struct state_entry {
    char name[64];
    int param; /* or NUMBERS, ARRAY */
    kept *kept;
    int ranges, range_capacity;
    int64_t n;
    void *data;
} state_entry;

struct ap_trial_host {
    ap_host public; /* first: the submission's handle is a pointer to it */
    ap_host_options options;
    ap_workload_info info;
    ap_param_info *params;
    host_phase phase;
    int64_t step;
    int calls; /* loss calls of this step */
    bool drawn;
    double loss, time_s;
    bool stopped;
    char stop_reason[200];
    ap_status status; /* of a host call that failed in this function */
    bool violated;    /* and that failure was against the benchmark's rules */
    ap_error error;
    int states, state_capacity;
    state_entry *state;
    int evaluations, evaluation_capacity;
    ap_eval_result *evaluation;
    ap_scratch scratch;
};

/* First failure wins. */
static void host_failed(ap_trial_host *h, ap_status status, const ap_error *error) {
    if (h->status) return;
    h->status = status;
    h->error = *error;
}

__attribute__((format(printf, 2, 3))) static void misuse(ap_trial_host *h, const char *format, ...) {
    ap_error error = {.status = AP_SUBMISSION};
    va_list args;
    va_start(args, format);
    vsnprintf(error.text, sizeof error.text, format, args);
    va_end(args);
    host_failed(h, AP_SUBMISSION, &error);
}

/* Against the benchmark's rules: ends the trial with a verdict of its own. */
__attribute__((format(printf, 2, 3))) static void violation(ap_trial_host *h, const char *format, ...) {
    ap_error error = {.status = AP_SUBMISSION};
    va_list args;
    va_start(args, format);
    vsnprintf(error.text, sizeof error.text, format, args);
    va_end(args);
    if (!h->status) h->violated = true;
    host_failed(h, AP_SUBMISSION, &error);
}

/* Every call comes through here. */
static ap_trial_host *self(ap_host *host) {
    ap_trial_host *h = host->private_data;
    if (h->phase == OUTSIDE)
        violation(h, "a host call while none of the submission's functions runs (a thread of its own? evaluation is "
                     "not the submission's)");
    return h;
}

/* ---- calls: facts */

static const ap_workload_info *call_workload(ap_host *host) {
    return &self(host)->info;
}
static bool call_hyperparameter(ap_host *host, const char *name, double *value) {
    return ap_point_get(self(host)->options.point, name, value);
}
static const char *call_hyperparameter_text(ap_host *host, const char *name) {
    return ap_point_text(self(host)->options.point, name);
}
static int64_t call_step(ap_host *host) {
    return self(host)->step;
}
static double call_time(ap_host *host) {
    return self(host)->time_s;
}
static int call_evaluations(ap_host *host) {
    return self(host)->evaluations;
}
static bool call_evaluation(ap_host *host, int i, ap_eval_result *result) {
    ap_trial_host *h = self(host);
    if (i < 0 || i >= h->evaluations) return false;
    *result = h->evaluation[i];
    return true;
}
static int call_threads(ap_host *host) {
    return self(host)->options.threads;
}
static float call_random(ap_host *host, uint32_t stream, uint64_t element) {
    ap_trial_host *h = self(host);
    ap_random r = ap_random_stream(h->options.seed, AP_RANDOM_SUBMISSION, (uint64_t)h->step, stream);
    return ap_random_uniform(&r, element);
}

/* ---- calls: parameters, gradients, state */

static bool good_param(ap_trial_host *h, const char *what, int param) {
    if (param >= 0 && param < h->info.params) return true;
    misuse(h, "%s of parameter %d (must be 0 to %d)", what, param, h->info.params - 1);
    return false;
}
static float *call_value(ap_host *host, int param) {
    ap_trial_host *h = self(host);
    return good_param(h, "value", param) ? ap_params_value(ap_engine_params(h->options.engine), param) : NULL;
}
static float *call_gradient(ap_host *host, int param) {
    ap_trial_host *h = self(host);
    if (!good_param(h, "gradient", param)) return NULL;
    if (!ap_engine_has_gradient(h->options.engine)) {
        misuse(h, "gradient asked for before loss_and_gradient was called");
        return NULL;
    }
    float *gradient = ap_engine_gradient(h->options.engine, param);
    ap_error error;
    if (!gradient)
        host_failed(
            h,
            ap_fail(&error, AP_ENVIRONMENT, "out of memory for the gradient of %s at full size", h->params[param].name),
            &error);
    return gradient;
}
static bool call_gradient_rows(ap_host *host, int param, ap_gradient_rows *rows) {
    ap_trial_host *h = self(host);
    if (!good_param(h, "gradient_rows", param)) return false;
    const ap_rows *list = ap_engine_gradient_rows(h->options.engine, param);
    if (list) *rows = (ap_gradient_rows){list->count, list->columns, list->row, list->values};
    return list != NULL;
}

static void *no_memory(ap_trial_host *h, const char *name) {
    ap_error error;
    host_failed(h, ap_fail(&error, AP_ENVIRONMENT, "out of memory for optimizer state \"%s\"", name), &error);
    return NULL;
}

static void *find_or_make_state(ap_trial_host *h, const char *name, int param, int64_t n, size_t element) {
    for (int i = 0; i < h->states; i++)
        if (h->state[i].param == param && !strcmp(h->state[i].name, name)) {
            if (h->state[i].n == n) return h->state[i].data;
            misuse(h, "state \"%s\" has %lld elements, asked for with %lld", name, (long long)h->state[i].n,
                   (long long)n);
            return NULL;
        }
    if (h->phase != INIT) {
        misuse(h, "state \"%s\" is first asked for in %s (create it in init_optimizer_state)", name,
               phase_names[h->phase]);
        return NULL;
    }
    if (!*name || strlen(name) >= sizeof h->state->name || strchr(name, '/') || n < 1) {
        misuse(h, "state \"%s\" with %lld elements (a name has 1 to 63 characters and no '/')", name, (long long)n);
        return NULL;
    }
    if (h->states == h->state_capacity) {
        int capacity = h->state_capacity ? 2 * h->state_capacity : 64;
        state_entry *grown = realloc(h->state, (size_t)capacity * sizeof *grown);
        if (!grown) return no_memory(h, name);
        h->state = grown, h->state_capacity = capacity;
    }
    state_entry *s = &h->state[h->states];
    *s = (state_entry){.param = param, .n = n};
    size_t bytes = ((size_t)n * element + 63) & ~(size_t)63;
    s->data = aligned_alloc(64, bytes);
    if (!s->data) return no_memory(h, name);
    memset(s->data, 0, bytes);
    memcpy(s->name, name, strlen(name) + 1);
    h->states++;
    return s->data;
}
static float *call_state(ap_host *host, const char *name, int param) {
    ap_trial_host *h = self(host);
    if (!good_param(h, "state", param)) return NULL;
    return find_or_make_state(h, name, param, h->info.param[param].size, sizeof(float));
}
static double *call_state_numbers(ap_host *host, const char *name, int n) {
    return find_or_make_state(self(host), name, NUMBERS, n, sizeof(double));
}

static float *call_state_array(ap_host *host, const char *name, int64_t n) {
    return find_or_make_state(self(host), name, ARRAY, n, sizeof(float));
}
static bool call_state_kept_by(ap_host *host, const char *name, int64_t first, int64_t n, int rank) {
    ap_trial_host *h = self(host);
    state_entry *s = NULL;
    for (int i = 0; i < h->states; i++)
        if (h->state[i].param < 0 && !strcmp(h->state[i].name, name)) s = &h->state[i];
    if (h->phase != INIT || !s || first < 0 || n < 0 || n > s->n - first || rank < 0 ||
        rank >= ap_group_ranks(h->options.group)) {
        misuse(h,
               "state_kept_by of \"%s\", elements %lld to %lld, rank %d, in %s (an array and a rank that are there, in "
               "init_optimizer_state)",
               name, (long long)first, (long long)(first + n - 1), rank, phase_names[h->phase]);
        return false;
    }
    if (s->ranges == s->range_capacity) {
        int capacity = s->range_capacity ? 2 * s->range_capacity : 64;
        kept *grown = realloc(s->kept, (size_t)capacity * sizeof *grown);
        if (!grown) return no_memory(h, name) != NULL;
        s->kept = grown, s->range_capacity = capacity;
    }
    s->kept[s->ranges++] = (kept){first, n, rank};
    return true;
}

/* ---- calls: work */

static bool call_next_batch(ap_host *host) {
    ap_trial_host *h = self(host);
    if (h->phase != UPDATE) {
        misuse(h, "next_batch called in %s (only in data_selection and update_params)", phase_names[h->phase]);
        return false;
    }
    ap_engine_next_batch(h->options.engine);
    h->drawn = true;
    return true;
}

static bool call_loss_and_gradient(ap_host *host, const ap_loss_request *request, double *loss) {
    ap_trial_host *h = self(host);
    if (h->phase != UPDATE || !h->drawn) {
        misuse(h, "loss_and_gradient called %s",
               h->phase == UPDATE ? "before a batch was drawn" : "outside update_params");
        return false;
    }
    if (!(request->label_smoothing >= 0 && request->label_smoothing < 1 && request->dropout_rate >= 0 &&
          request->dropout_rate < 1)) {
        misuse(h, "label_smoothing = %g, dropout_rate = %g (both must be in [0, 1))", (double)request->label_smoothing,
               (double)request->dropout_rate);
        return false;
    }
    if (h->calls > 255) {
        misuse(h, "loss_and_gradient called more than 256 times in one step");
        return false;
    }
    ap_error error;
    ap_params_changed(ap_engine_params(h->options.engine)); /* the submission may have written since the last call */
    ap_status status = ap_engine_loss_and_gradient(h->options.engine, h->step, h->calls++, request, &h->loss, &error);
    if (status) host_failed(h, status, &error);
    *loss = h->loss;
    return status == AP_OK;
}

static void call_matrix_product(ap_host *host, const ap_matrix_product *product) {
    ap_submission_matrix_product(self(host)->options.math, product);
}
static bool call_symmetric_eigen(ap_host *host, int n, double *a, double *w) {
    (void)host;
    return ap_symmetric_eigen(n, a, w);
}
static bool call_symmetric_compose(ap_host *host, int n, const double *v, const double *w, float *out) {
    (void)host;
    return ap_symmetric_compose(n, v, w, out);
}
static float *call_scratch(ap_host *host, int slot, int64_t n) {
    float *memory = ap_scratch_get(&self(host)->scratch, slot, n);
    if (!memory)
        misuse(self(host), "scratch slot %d of %lld floats: out of memory, or no such slot", slot, (long long)n);
    return memory;
}
static double call_dot(ap_host *host, int64_t n, const float *x, const float *y) {
    (void)host;
    return n > 0 ? ap_dot_f64((size_t)n, x, y) : 0;
}
static int call_rank(ap_host *host) {
    return ap_group_rank(self(host)->options.group);
}
static int call_ranks(ap_host *host) {
    return ap_group_ranks(self(host)->options.group);
}
static bool moved(ap_trial_host *h, ap_status status, const ap_error *error) {
    if (status) host_failed(h, status, error);
    return status == AP_OK;
}
static bool call_broadcast(ap_host *host, void *bytes, size_t n, int root) {
    ap_error error;
    ap_trial_host *h = self(host);
    if (root < 0 || root >= ap_group_ranks(h->options.group)) {
        misuse(h, "broadcast from rank %d (must be 0 to %d)", root, ap_group_ranks(h->options.group) - 1);
        return false;
    }
    return moved(h, ap_group_broadcast(h->options.group, bytes, n, root, &error), &error);
}
static bool call_allgather(ap_host *host, const void *mine, size_t n, void *all) {
    ap_error error;
    ap_trial_host *h = self(host);
    return moved(h, ap_group_allgather(h->options.group, mine, n, all, &error), &error);
}

static void call_stop(ap_host *host, const char *why) {
    ap_trial_host *h = self(host);
    h->stopped = true;
    snprintf(h->stop_reason, sizeof h->stop_reason, "%s", why ? why : "");
}
__attribute__((format(printf, 2, 3))) static void call_fail(ap_host *host, const char *format, ...) {
    ap_error error = {.status = AP_SUBMISSION};
    va_list args;
    va_start(args, format);
    vsnprintf(error.text, sizeof error.text, format, args);
    va_end(args);
    host_failed(self(host), AP_SUBMISSION, &error);
}
__attribute__((format(printf, 2, 3))) static void call_log(ap_host *host, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (call_rank(host) == 0) ap_log(AP_RANK, AP_LOG_DEBUG, "%s: %s", self(host)->options.submission->name, text);
}

static const ap_host_calls calls = {
    .struct_size = sizeof(ap_host_calls),
    .workload = call_workload,
    .hyperparameter = call_hyperparameter,
    .value = call_value,
    .gradient = call_gradient,
    .state = call_state,
    .state_numbers = call_state_numbers,
    .next_batch = call_next_batch,
    .loss_and_gradient = call_loss_and_gradient,
    .dot = call_dot,
    .rank = call_rank,
    .ranks = call_ranks,
    .broadcast = call_broadcast,
    .allgather = call_allgather,
    .step = call_step,
    .submission_time_s = call_time,
    .evaluations = call_evaluations,
    .evaluation = call_evaluation,
    .random = call_random,
    .stop = call_stop,
    .fail = call_fail,
    .log = call_log,
    .threads = call_threads,
    .hyperparameter_text = call_hyperparameter_text,
    .state_array = call_state_array,
    .state_kept_by = call_state_kept_by,
    .matrix_product = call_matrix_product,
    .symmetric_eigen = call_symmetric_eigen,
    .scratch = call_scratch,
    .gradient_rows = call_gradient_rows,
    .symmetric_compose = call_symmetric_compose,
};

/* ---- life */

void ap_workload_info_fill(ap_workload_info *info, const ap_problem *problem, int64_t train_examples) {
    const ap_workload *w = problem->workload;
    const int64_t cap = problem->scale.train_examples;
    *info = (ap_workload_info){
        .name = w->name,
        .variant = problem->variant,
        .scale = problem->scale.name,
        .loss_type = problem->loss_type,
        .target_metric = w->metric_names[w->target_metric],
        .higher_is_better = problem->direction == AP_HIGHER,
        .validation_target = problem->validation_target,
        .train_examples = train_examples < cap ? train_examples : cap,
        .baseline_batch_size = problem->scale.batch_size,
        .step_hint = problem->scale.step_hint,
        .max_runtime_s = problem->scale.max_runtime_s,
        .eval_period_s = problem->scale.eval_period_s,
    };
}

ap_status ap_trial_host_create(const ap_host_options *options, ap_trial_host **host, ap_error *error) {
    ap_trial_host *h = calloc(1, sizeof *h);
    ap_params *params = ap_engine_params(options->engine);
    int n = ap_params_count(params);
    ap_param_info *info = calloc((size_t)n + 1, sizeof *info);
    if (!h || !info) {
        free(h);
        free(info);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    }
    for (int i = 0; i < n; i++) {
        const ap_param *p = ap_params_get(params, i);
        info[i] =
            (ap_param_info){.name = p->name, .type = p->type, .rank = p->rank, .shape = p->shape, .size = p->size};
    }
    h->public = (ap_host){.call = &calls, .private_data = h};
    h->options = *options;
    ap_workload_info_fill(&h->info, options->problem, ap_engine_train_examples(options->engine));
    h->info.params = n, h->info.param = h->params = info;
    h->info.name = h->info.variant =
        ""; /* rules: one algorithm for all workloads; get_batch_size alone sees the name */
    h->loss = NAN;
    *host = h;
    return AP_OK;
}

void ap_trial_host_destroy(ap_trial_host *host) {
    if (!host) return;
    for (int i = 0; i < host->states; i++) {
        free(host->state[i].data);
        free(host->state[i].kept);
    }
    free(host->state);
    free(host->params);
    free(host->evaluation);
    ap_scratch_free(&host->scratch);
    free(host);
}

/* ---- the submission's functions */

ap_status ap_trial_host_check(ap_trial_host *h, ap_error *error) {
    if (h->status && error) *error = h->error;
    return h->status;
}

bool ap_trial_host_violated(const ap_trial_host *h) {
    return h->violated;
}

void ap_trial_host_evaluated(ap_trial_host *h, ap_digest before, ap_digest after) {
    if (!ap_digest_equal(before, after))
        violation(h, "submission %s changed parameters during the evaluation", h->options.submission->name);
}

/* Runs one of them and turns its outcome into a status. */
static ap_status call_submission(ap_trial_host *h, host_phase phase, int (*function)(ap_host *), const char *name,
                                 ap_error *error) {
    if (h->status) return ap_trial_host_check(h, error); /* since the last function */
    if (!function) return AP_OK;
    h->phase = phase;
    int result = function(&h->public);
    h->phase = OUTSIDE;
    if (h->status) {
        if (error) *error = h->error;
        ap_context(error, "%s of submission %s", name, h->options.submission->name);
        return h->status;
    }
    if (result)
        return ap_fail(error, AP_SUBMISSION, "%s of submission %s returned %d without saying why (it should call fail)",
                       name, h->options.submission->name, result);
    return AP_OK;
}

/* A function that may not write parameters: their digest says whether it did. */
static ap_status call_without_writing(ap_trial_host *h, host_phase phase, int (*function)(ap_host *), const char *name,
                                      ap_error *error) {
    const ap_params *params = ap_engine_params(h->options.engine);
    ap_digest before = ap_params_digest(params);
    AP_TRY(call_submission(h, phase, function, name, error));
    if (ap_digest_equal(before, ap_params_digest(params))) return AP_OK;
    violation(h, "%s of submission %s changed parameters (only update_params and prepare_for_eval may)", name,
              h->options.submission->name);
    return ap_trial_host_check(h, error);
}

ap_status ap_trial_host_init(ap_trial_host *host, ap_error *error) {
    return call_without_writing(host, INIT, host->options.submission->init_optimizer_state, "init_optimizer_state",
                                error);
}

ap_status ap_trial_host_update(ap_trial_host *host, ap_error *error) {
    const ap_submission *s = host->options.submission;
    host->drawn = false;
    host->calls = 0;
    host->loss = NAN;
    if (s->data_selection) {
        bool looked_at = host->step % CHECK_EVERY == 0; /* the digest costs the submission's time */
        AP_TRY((looked_at ? call_without_writing : call_submission)(host, UPDATE, s->data_selection, "data_selection",
                                                                    error));
    } else {
        ap_engine_next_batch(host->options.engine);
        host->drawn = true;
    }
    AP_TRY(call_submission(host, UPDATE, s->update_params, "update_params", error));
    ap_params_changed(ap_engine_params(host->options.engine));
    host->step++;
    return AP_OK;
}

ap_status ap_trial_host_prepare_for_eval(ap_trial_host *host, ap_error *error) {
    ap_status status =
        call_submission(host, PREPARE, host->options.submission->prepare_for_eval, "prepare_for_eval", error);
    ap_params_changed(ap_engine_params(host->options.engine));
    return status;
}

/* ---- what the trial loop asks and tells */

int64_t ap_trial_host_step(const ap_trial_host *host) {
    return host->step;
}
void ap_trial_host_set_step(ap_trial_host *host, int64_t step) {
    host->step = step;
}
double ap_trial_host_loss(const ap_trial_host *host) {
    return host->loss;
}
bool ap_trial_host_has_loss(const ap_trial_host *host) {
    return host->calls > 0;
}
const char *ap_trial_host_stopped(const ap_trial_host *host) {
    return host->stopped ? host->stop_reason : NULL;
}
void ap_trial_host_set_time(ap_trial_host *host, double submission_time_s) {
    host->time_s = submission_time_s;
}

ap_status ap_trial_host_add_evaluation(ap_trial_host *host, const ap_eval_result *result, ap_error *error) {
    if (host->evaluations == host->evaluation_capacity) {
        int capacity = host->evaluation_capacity ? 2 * host->evaluation_capacity : 64;
        ap_eval_result *grown = realloc(host->evaluation, (size_t)capacity * sizeof *grown);
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %d evaluations", capacity);
        host->evaluation = grown, host->evaluation_capacity = capacity;
    }
    host->evaluation[host->evaluations++] = *result;
    return AP_OK;
}

ap_status ap_trial_host_gather(ap_trial_host *host, ap_error *error) {
    for (int i = 0; i < host->states; i++) {
        const state_entry *s = &host->state[i];
        size_t element = s->param == NUMBERS ? sizeof(double) : sizeof(float);
        for (int r = 0; r < s->ranges; r++)
            AP_TRY(ap_group_broadcast(host->options.group, (char *)s->data + (size_t)s->kept[r].first * element,
                                      (size_t)s->kept[r].n * element, s->kept[r].rank, error));
    }
    return AP_OK;
}

int ap_trial_host_blobs(const ap_trial_host *host) {
    return host->states;
}
void ap_trial_host_blob(const ap_trial_host *host, int i, ap_blob *blob) {
    const state_entry *s = &host->state[i];
    *blob = (ap_blob){.type = s->param == NUMBERS ? AP_F64 : AP_F32, .n = s->n, .data = s->data};
    if (s->param == ARRAY)
        snprintf(blob->name, sizeof blob->name, "/optimizer_arrays/%s", s->name);
    else if (s->param == NUMBERS)
        snprintf(blob->name, sizeof blob->name, "/optimizer_numbers/%s", s->name);
    else
        snprintf(blob->name, sizeof blob->name, "/optimizer/%s/%s", s->name, host->params[s->param].name);
}
