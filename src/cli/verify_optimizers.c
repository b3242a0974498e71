/* Every built-in training algorithm against recorded trajectories (fixtures: optimizers.h5).
 *
 * The file has one problem, whose gradient in step t at weights w is a (w - c) + noise[t], and one group for each
 * setting of an update rule: hyperparameters (JSON), the parameters after every step, and the learning rates. A group
 * is a built-in algorithm's if it has its name, or its name with something behind (nadamw_clipped) or "baseline_" in
 * front (baseline_nadamw_self_tuning_hparams is nadamw); shampoo_... are shampoo_submission's. The algorithm runs
 * through submission.h, as in training. */
#include "algorithms/algorithms.h"
#include "algorithms/lawa.h"
#include "algorithms/schedule.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/h5.h"
#include "cli/verify.h"
#include "cli/verify_settings.h"
#include "submission/solo_host.h"
#include "tuning/search_space.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fixtures' own limits after 20 steps in float32, for first-order rules and for well-conditioned Shampoo; learning
 * rates are double. */
static const double PARAMETER_TOLERANCE = 2e-5, RATE_TOLERANCE = 1e-12, SHAMPOO_TOLERANCE = 1e-4;
enum { DEFAULT_STEP_HINT = 25, MAX_STEPS = 100000, LIMIT = 64 << 20 };

/* ---- the problem */

typedef struct problem {
    const char *file; /* for messages */
    int64_t params, steps, elements;
    char **name;
    ap_param_info *info;
    int64_t (*shape)[AP_H5_MAX_RANK];
    float **initial, **a, **c, **noise; /* [param][size], noise [param][steps * size] */
    float *const *recorded;             /* gradients of the rule at hand, [param][steps * size]; NULL: none */
} problem;

/* The recorded gradient takes the place of ours where the two agree to the tolerance, as they do at the point where the
 * rule takes it: a rule that stores bfloat16 would make a large difference of the last bit. Elsewhere (SAM's first one)
 * ours stays. */
static void use_recorded(const problem *q, int64_t step, float *const *gradient) {
    for (int64_t p = 0; q->recorded && p < q->params; p++)
        for (int64_t i = 0; i < q->info[p].size; i++)
            if (!(fabs((double)q->recorded[p][step * q->info[p].size + i] - (double)gradient[p][i]) <=
                  PARAMETER_TOLERANCE))
                return;
    for (int64_t p = 0; q->recorded && p < q->params; p++)
        memcpy(gradient[p], q->recorded[p] + step * q->info[p].size, (size_t)q->info[p].size * sizeof(float));
}

static double loss(void *context, int64_t step, float *const *value, float *const *gradient) {
    const problem *q = context;
    double sum = 0;
    for (int64_t p = 0; p < q->params; p++) {
        const float *noise = q->noise[p] + step * q->info[p].size;
        for (int64_t i = 0; i < q->info[p].size; i++) {
            float d = value[p][i] - q->c[p][i];
            sum += 0.5 * q->a[p][i] * d * d + (double)noise[i] * value[p][i];
            if (gradient) gradient[p][i] = q->a[p][i] * d + noise[i];
        }
    }
    if (gradient) use_recorded(q, step, gradient);
    return sum;
}

static void problem_free(problem *q) {
    for (int64_t p = 0; p < q->params; p++) {
        if (q->initial) free(q->initial[p]);
        if (q->a) free(q->a[p]);
        if (q->c) free(q->c[p]);
        if (q->noise) free(q->noise[p]);
    }
    free(q->initial);
    free(q->a);
    free(q->c);
    free(q->noise);
    free(q->info);
    free(q->shape);
    ap_h5_free_text(q->params, q->name);
}

static ap_status read_floats(hid_t file, const char *group, const char *name, int64_t expect, float **x,
                             ap_error *error) {
    char path[AP_PATH];
    void *data;
    int64_t n;
    AP_TRY(ap_path(path, error, "%s/%s", group, name));
    AP_TRY(ap_h5_read(file, path, AP_F32, expect, LIMIT, &data, &n, error));
    *x = data;
    return AP_OK;
}

static ap_status read_parameter(hid_t file, problem *q, int64_t p, ap_error *error) {
    char path[AP_PATH];
    int rank;
    int64_t noise_shape[AP_H5_MAX_RANK];
    ap_param_info *info = &q->info[p];
    AP_TRY(ap_path(path, error, "/problem/initial/%s", q->name[p]));
    *info = (ap_param_info){.name = q->name[p], .shape = q->shape[p]};
    AP_TRY(ap_h5_shape(file, path, &info->rank, q->shape[p], error));
    if (!ap_shape_size(info->rank, info->shape, &info->size) || info->size > LIMIT)
        return ap_fail(error, AP_DATA, "%s: %s is too large (at most %d elements)", q->file, path, LIMIT);
    q->elements += info->size;
    AP_TRY(read_floats(file, "/problem/initial", q->name[p], info->size, &q->initial[p], error));
    AP_TRY(read_floats(file, "/problem/a", q->name[p], info->size, &q->a[p], error));
    AP_TRY(read_floats(file, "/problem/c", q->name[p], info->size, &q->c[p], error));
    AP_TRY(ap_path(path, error, "/problem/noise/%s", q->name[p]));
    AP_TRY(ap_h5_shape(file, path, &rank, noise_shape, error));
    int64_t steps = rank > 0 ? noise_shape[0] : 0;
    if (p == 0) q->steps = steps;
    if (steps < 1 || steps > MAX_STEPS || steps != q->steps)
        return ap_fail(error, AP_DATA, "%s: %s has %lld steps (must be 1 to %d, the same for every parameter)", q->file,
                       path, (long long)steps, MAX_STEPS);
    return read_floats(file, "/problem/noise", q->name[p], steps * info->size, &q->noise[p], error);
}

static ap_status problem_read(hid_t file, const char *name, problem *q, ap_error *error) {
    *q = (problem){.file = name};
    if (!ap_h5_exists(file, "/problem/initial"))
        return ap_fail(error, AP_DATA,
                       "%s: no group /problem/initial (not a file of update rules; tests/fixtures has one)", name);
    AP_TRY(ap_h5_list(file, "/problem/initial", &q->params, &q->name, error));
    if (q->params < 1 || q->params > 1000)
        return ap_fail(error, AP_DATA, "%s: /problem/initial has %lld parameters (must be 1 to 1000)", name,
                       (long long)q->params);
    size_t n = (size_t)q->params;
    q->info = calloc(n, sizeof *q->info);
    q->shape = calloc(n, sizeof *q->shape);
    q->initial = calloc(n, sizeof *q->initial);
    q->a = calloc(n, sizeof *q->a);
    q->c = calloc(n, sizeof *q->c);
    q->noise = calloc(n, sizeof *q->noise);
    if (!q->info || !q->shape || !q->initial || !q->a || !q->c || !q->noise)
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu parameters", n);
    for (int64_t p = 0; p < q->params; p++) AP_TRY(read_parameter(file, q, p, error));
    return AP_OK;
}

/* ---- one rule */

typedef struct rule {
    char *group, *hyperparameters, *notes; /* "/adamw"; the attributes */
    ap_point point;
    float **trajectory, **gradients; /* [param][(steps + 1) * size], [param][steps * size] or NULL */
    double *rate;                    /* [steps] */
} rule;

/* Errors so far: NaN once anything was NaN. */
typedef struct worst {
    double parameter, rate;
    double after;        /* what is not judged: see judged_steps */
    int64_t step, param; /* where the parameter error is */
    bool rated;          /* the algorithm notes its learning rate */
} worst;

static void rule_free(rule *r, int64_t params) {
    for (int64_t p = 0; r->trajectory && p < params; p++) free(r->trajectory[p]);
    for (int64_t p = 0; r->gradients && p < params; p++) free(r->gradients[p]);
    free(r->trajectory);
    free(r->gradients);
    free(r->rate);
    free(r->group);
    free(r->hyperparameters);
    free(r->notes);
    ap_point_free(&r->point);
}

static ap_status rule_read(hid_t file, const problem *q, const char *name, rule *r, ap_error *error) {
    char path[AP_PATH];
    void *data;
    int64_t n;
    AP_TRY(ap_path(path, error, "/%s", name));
    r->group = strdup(path);
    r->trajectory = calloc((size_t)q->params, sizeof *r->trajectory);
    if (!r->group || !r->trajectory) return ap_fail(error, AP_ENVIRONMENT, "out of memory for rule %s", name);
    AP_TRY(ap_h5_get_text(file, r->group, "hyperparameters", &r->hyperparameters, error));
    if (ap_h5_has_attribute(file, r->group, "notes")) AP_TRY(ap_h5_get_text(file, r->group, "notes", &r->notes, error));
    if (ap_verify_settings(r->hyperparameters, r->group, &r->point, error)) return ap_context(error, "%s", q->file);
    AP_TRY(ap_path(path, error, "/%s/trajectory", name));
    for (int64_t p = 0; p < q->params; p++)
        AP_TRY(read_floats(file, path, q->name[p], (q->steps + 1) * q->info[p].size, &r->trajectory[p], error));
    AP_TRY(ap_path(path, error, "/%s/gradients", name));
    if (ap_h5_exists(file, path) && (r->gradients = calloc((size_t)q->params, sizeof *r->gradients)))
        for (int64_t p = 0; p < q->params; p++)
            AP_TRY(read_floats(file, path, q->name[p], q->steps * q->info[p].size, &r->gradients[p], error));
    AP_TRY(ap_path(path, error, "/%s/lr", name));
    AP_TRY(ap_h5_read(file, path, AP_F64, q->steps, LIMIT, &data, &n, error));
    r->rate = data;
    return AP_OK;
}

/* Hyperparameter step_hint, or "step_hint N" in the notes, or the fixtures' 25. */
static int64_t step_hint_of(const rule *r) {
    double hint = DEFAULT_STEP_HINT;
    const char *note = r->notes ? strstr(r->notes, "step_hint ") : NULL;
    if (note && strtod(note + strlen("step_hint "), NULL) >= 1) hint = strtod(note + strlen("step_hint "), NULL);
    ap_point_get(&r->point, "step_hint", &hint);
    return hint >= 1 && hint <= 1e9 ? (int64_t)hint : DEFAULT_STEP_HINT;
}

static double larger(double a, double b) {
    return isnan(a) || isnan(b) ? NAN : fmax(a, b);
}

/* How many updates can be judged. Shampoo with statistics in float32 and an epsilon far below their rounding errors
 * takes roots of noise: another LAPACK, or another order of the sums, gives another trajectory from there on (the
 * fixtures' README). Those are judged up to the first roots; the error at the end is printed. */
static int64_t judged_steps(const problem *q, const rule *r, const ap_submission *algorithm) {
    double epsilon = 1, wide = 0, frequency = 100, start = -1;
    ap_point_get(&r->point, "epsilon", &epsilon);
    ap_point_get(&r->point, "double_preconditioner", &wide);
    ap_point_get(&r->point, "precondition_frequency", &frequency);
    ap_point_get(&r->point, "start_preconditioning_step", &start);
    if (strcmp(algorithm->name, "shampoo_submission") != 0 || wide != 0 || epsilon >= 1e-4) return q->steps;
    return (int64_t)fmax((start < 0 ? frequency : start) - 1, 0);
}

static double tolerance_of(const ap_submission *algorithm) {
    return strcmp(algorithm->name, "shampoo_submission") != 0 ? PARAMETER_TOLERANCE : SHAMPOO_TOLERANCE;
}

/* Parameters after `step` updates. */
static void compare(const problem *q, const rule *r, const ap_solo *solo, int64_t step, int64_t judged, worst *w) {
    for (int64_t p = 0; p < q->params; p++) {
        const float *got = ap_solo_value(solo, (int)p), *want = r->trajectory[p] + step * q->info[p].size;
        for (int64_t i = 0; i < q->info[p].size; i++) {
            double error = fabs((double)got[i] - (double)want[i]);
            if (step > judged) {
                w->after = larger(w->after, error);
                continue;
            }
            double now = larger(w->parameter, error);
            if (now == w->parameter || isnan(w->parameter)) continue;
            w->parameter = now;
            w->step = step;
            w->param = p;
        }
    }
}

/* Relative to the largest rate of the run: the smallest are cosines near zero. */
static void compare_rate(const problem *q, const rule *r, const ap_solo *solo, int64_t step, worst *w) {
    const double *rate = ap_solo_numbers(solo, "learning_rate");
    if (!rate) return;
    double largest = 0;
    for (int64_t s = 0; s < q->steps; s++) largest = fmax(largest, fabs(r->rate[s]));
    w->rated = true;
    w->rate = larger(w->rate, largest > 0 ? fabs(*rate - r->rate[step]) / largest : fabs(*rate));
}

/* A setting without a schedule: the recorded rate is the hyperparameter of the step. */
static void set_rate(rule *r, int64_t step) {
    double constant = 0;
    if (!ap_point_get(&r->point, "constant_rate", &constant) || constant == 0) return;
    for (int i = 0; i < r->point.n; i++)
        if (!strcmp(r->point.name[i], "learning_rate") && r->rate[step] != r->rate[0])
            r->point.value[i] = r->rate[step];
}

static ap_status run_steps(const problem *q, rule *r, const ap_submission *algorithm, ap_solo *solo, worst *w,
                           ap_error *error) {
    AP_TRY(ap_solo_init(solo, algorithm, error));
    int64_t judged = judged_steps(q, r, algorithm);
    compare(q, r, solo, 0, judged, w);
    for (int64_t step = 0; step < q->steps; step++) {
        set_rate(r, step);
        AP_TRY(ap_solo_step(solo, algorithm, error));
        compare(q, r, solo, step + 1, judged, w);
        compare_rate(q, r, solo, step, w);
    }
    return AP_OK;
}

/* What the program adds itself, or uses itself. */
static bool is_translation(const char *name) {
    return !strcmp(name, "step_hint") || !strcmp(name, "torch_cpu") || !strncmp(name, "reduced.", 8);
}

static void print_unused(const rule *r, const ap_solo *solo) {
    int printed = 0;
    for (int i = 0; i < r->point.n; i++) {
        if (ap_solo_asked(solo, i) || is_translation(r->point.name[i])) continue;
        printf("%s%s", printed++ ? ", " : "    not used by it: ", r->point.name[i]);
    }
    if (printed) printf("\n");
}

static bool print_rule(const problem *q, const rule *r, const ap_submission *algorithm, const worst *w) {
    double allowed = tolerance_of(algorithm);
    bool fine = w->parameter <= allowed && w->rate <= RATE_TOLERANCE && !isnan(w->after);
    printf("  %-46s %-28s %9.2e %9.0e  ", r->group + 1, algorithm->name, w->parameter, allowed);
    if (w->rated)
        printf("%9.2e %9.0e", w->rate, RATE_TOLERANCE);
    else
        printf("%9s %9s", "-", "-");
    printf("  %s\n", fine ? "PASS" : "FAIL");
    int64_t judged = judged_steps(q, r, algorithm);
    if (judged < q->steps)
        printf("    judged up to step %lld: then the roots of a float32 matrix without its epsilon; error at the end "
               "%.2e\n",
               (long long)judged, w->after);
    if (!(w->parameter <= allowed))
        printf("    worst in %s after %lld updates\n", q->name[w->param], (long long)w->step);
    return fine;
}

/* What an algorithm that asks for it (Amos) takes the parameter for: the file says which are embeddings. */
static ap_param_type type_of(const rule *r, const ap_param_info *p) {
    char name[300];
    double reduced = 0;
    snprintf(name, sizeof name, "reduced.%s", p->name);
    ap_point_get(&r->point, name, &reduced);
    return reduced > 0   ? AP_PARAM_EMBEDDING
           : p->rank < 2 ? AP_PARAM_BIAS
           : p->rank > 2 ? AP_PARAM_CONV_WEIGHT
                         : AP_PARAM_WEIGHT;
}

static ap_status verify_rule(problem *q, rule *r, const ap_submission *algorithm, bool *fine, ap_error *error) {
    ap_workload_info workload = {.name = "fixture",
                                 .variant = "",
                                 .scale = "full",
                                 .loss_type = "quadratic",
                                 .target_metric = "loss",
                                 .train_examples = 1,
                                 .baseline_batch_size = 1,
                                 .step_hint = step_hint_of(r),
                                 .params = (int)q->params,
                                 .param = q->info};
    for (int64_t p = 0; p < q->params; p++) q->info[p].type = type_of(r, &q->info[p]);
    ap_solo_problem solo_problem = {.workload = &workload,
                                    .initial = (const float *const *)q->initial,
                                    .loss = loss,
                                    .context = q,
                                    .hyperparameters = r->point.n,
                                    .name = r->point.name,
                                    .value = r->point.value,
                                    .text = r->point.text};
    q->recorded = r->gradients;
    ap_solo *solo;
    ap_error failure;
    worst w = {0};
    AP_TRY(ap_solo_create(&solo_problem, &solo, error));
    if (run_steps(q, r, algorithm, solo, &w, &failure) == AP_OK) {
        *fine = print_rule(q, r, algorithm, &w);
    } else {
        *fine = false;
        printf("  %-46s FAIL: %s\n", r->group + 1, failure.text);
    }
    print_unused(r, solo);
    ap_solo_destroy(solo);
    return AP_OK;
}

static ap_status verify_group(hid_t file, problem *q, const char *name, const ap_submission *algorithm, bool *fine,
                              ap_error *error) {
    rule r = {0};
    ap_status status = rule_read(file, q, name, &r, error);
    if (status == AP_OK) status = verify_rule(q, &r, algorithm, fine, error);
    rule_free(&r, q->params);
    return status;
}

/* ---- schedules: their parameters are in their names */

static bool multiplier(const char *name, int64_t step, double *value) {
    long long hint, warmup, cycles = 1;
    double factor, decay, end;
    int used = 0;
    if (sscanf(name, "torch_linear_warmup_cosine_hint%9lld_factor%lf%n", &hint, &factor, &used) == 2) {
        double warmup_steps = factor * (double)hint;
        if (!name[used])
            warmup_steps = trunc(warmup_steps);
        else if (strcmp(name + used, "_uncast_as_in_adamw") != 0)
            return false;
        *value = ap_schedule_warmup_cosine(step, warmup_steps, (double)hint);
        return true;
    }
    used = 0;
    if (sscanf(name, "optax_linear_warmup_cosine_hint%9lld_factor%lf%n", &hint, &factor, &used) == 2 && !name[used]) {
        *value = ap_schedule_jax_cosine((double)step, (int64_t)(factor * (double)hint), (double)hint);
        return true;
    }
    used = 0;
    if (sscanf(name, "caspr_nested_cosine_hint%9lld_factor%lf%n", &hint, &factor, &used) == 2 && !name[used]) {
        *value = ap_schedule_caspr(step, factor, hint);
        return true;
    }
    used = 0;
    bool lawa = sscanf(name, "lawa_warm_cosine_T%9lld_warmup%9lld%n", &hint, &warmup, &used) == 2 && !name[used];
    if (lawa || (sscanf(name, "cyclic_T%9lld_warmup%9lld_cycles%9lld%n", &hint, &warmup, &cycles, &used) == 3 &&
                 !name[used])) { /* entry 0 is the scheduler's, which no update uses: the first has the full rate */
        *value = step == 0 ? 1e-10 : ap_schedule_cyclic(step, warmup, hint, (int)cycles);
        return true;
    }
    used = 0;
    if (sscanf(name, "linear_warmup_linear_decay_hint%9lld_factor%lf_decay%lf_end%lf%n", &hint, &factor, &decay, &end,
               &used) != 4 ||
        name[used])
        return false;
    *value = ap_schedule_warmup_linear(step, (int64_t)(factor * (double)hint), hint, decay, end);
    return true;
}

static ap_status verify_schedule(hid_t file, const char *name, bool *fine, ap_error *error) {
    char path[AP_PATH];
    void *data;
    int64_t n;
    AP_TRY(ap_path(path, error, "/schedules/%s", name));
    AP_TRY(ap_h5_read(file, path, AP_F64, -1, LIMIT, &data, &n, error));
    const double *want = data;
    double error_ = 0, got = NAN;
    for (int64_t s = 0; s < n; s++) {
        multiplier(name, s, &got);
        error_ = larger(error_, fabs(got - want[s]));
    }
    free(data);
    *fine = n > 0 && error_ <= RATE_TOLERANCE;
    printf("  %-75s %9.2e %9.0e  %s\n", name, error_, RATE_TOLERANCE, *fine ? "PASS" : "FAIL");
    return AP_OK;
}

/* ---- weight averages: lawa/snapshots, and what the published code makes of the first ones; names say how many */

/* official_ema_of_firstN: the newest; queue_avg_of_lastK_of_firstN: the mean. False: neither. */
static bool average_of(const char *name, int *last, int *first) {
    int used = 0;
    *last = 1;
    if (sscanf(name, "official_ema_of_first%9d%n", first, &used) == 1 && !name[used]) return true;
    used = 0;
    return sscanf(name, "queue_avg_of_last%9d_of_first%9d%n", last, first, &used) == 2 && !name[used];
}

static ap_status average_error(hid_t file, const problem *q, const char *name, int64_t p, double *worst_error,
                               ap_error *error) {
    int last, first;
    char path[AP_PATH], group[AP_PATH];
    int rank;
    int64_t shape[AP_H5_MAX_RANK], n = q->info[p].size;
    float *snapshots = NULL, *want = NULL, *got = calloc((size_t)n + 1, sizeof *got);
    ap_status status = got ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    average_of(name, &last, &first);
    AP_TRY_GOTO(status, status, out);
    AP_TRY_GOTO(status, ap_path(path, error, "/lawa/snapshots/%s", q->name[p]), out);
    AP_TRY_GOTO(status, ap_h5_shape(file, path, &rank, shape, error), out);
    if (rank < 1 || first > shape[0] || last > first || last < 1) {
        status = ap_fail(error, AP_DATA, "%s: /lawa/%s does not fit the %lld snapshots", q->file, name,
                         rank < 1 ? 0LL : (long long)shape[0]);
        goto out;
    }
    AP_TRY_GOTO(status, read_floats(file, "/lawa/snapshots", q->name[p], shape[0] * n, &snapshots, error), out);
    AP_TRY_GOTO(status, ap_path(group, error, "/lawa/%s", name), out);
    AP_TRY_GOTO(status, read_floats(file, group, q->name[p], n, &want, error), out);
    ap_lawa_average(n, last, snapshots + (first - last) * n, n, 0, got);
    for (int64_t i = 0; i < n; i++) *worst_error = larger(*worst_error, fabs((double)got[i] - (double)want[i]));
out:
    free(snapshots);
    free(want);
    free(got);
    return status;
}

/* ---- the file */

typedef struct tally {
    int rules, schedules, averages, failed;
} tally;

/* The algorithm whose group this is: the longest name that fits (nadamw_sequential before nadamw); NULL: none. */
static const ap_submission *algorithm_of(const char *group) {
    if (!strncmp(group, "baseline_", strlen("baseline_"))) group += strlen("baseline_");
    if (!strncmp(group, "shampoo_", strlen("shampoo_"))) group = "shampoo_submission"; /* the paper's is JAX's */
    const ap_submission *best = NULL;
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        size_t n = strlen((*a)->name);
        if (strncmp(group, (*a)->name, n) != 0 || (group[n] != '\0' && group[n] != '_')) continue;
        if (!best || n > strlen(best->name)) best = *a;
    }
    return best;
}

static bool is_rule(const char *group) {
    return strcmp(group, "problem") != 0 && strcmp(group, "schedules") != 0 && strcmp(group, "lawa") != 0;
}

static ap_status verify_rules(hid_t file, problem *q, int64_t n, char *const *groups, tally *t, ap_error *error) {
    printf("  %-46s %-28s %9s %9s  %9s %9s\n", "rule", "algorithm", "error", "allowed", "lr error", "allowed");
    for (int64_t i = 0; i < n; i++) {
        const ap_submission *algorithm = algorithm_of(groups[i]);
        bool fine = false;
        if (!is_rule(groups[i]) || !algorithm) continue;
        AP_TRY(verify_group(file, q, groups[i], algorithm, &fine, error));
        t->rules++;
        t->failed += !fine;
    }
    return AP_OK;
}

static ap_status verify_schedules(hid_t file, int64_t n, char *const *names, tally *t, ap_error *error) {
    printf("  %-75s %9s %9s\n", "schedule", "error", "allowed");
    for (int64_t i = 0; i < n; i++) {
        double value;
        bool fine = false;
        if (!multiplier(names[i], 0, &value)) continue;
        AP_TRY(verify_schedule(file, names[i], &fine, error));
        t->schedules++;
        t->failed += !fine;
    }
    return AP_OK;
}

static ap_status verify_averages(hid_t file, const problem *q, tally *t, ap_error *error) {
    int64_t n = 0;
    char **names = NULL;
    if (!ap_h5_exists(file, "/lawa/snapshots")) return AP_OK;
    AP_TRY(ap_h5_list(file, "/lawa", &n, &names, error));
    ap_status status = AP_OK;
    for (int64_t i = 0; !status && i < n; i++) {
        int last, first;
        double error_ = 0;
        if (!average_of(names[i], &last, &first)) continue;
        for (int64_t p = 0; !status && p < q->params; p++) status = average_error(file, q, names[i], p, &error_, error);
        if (status) break;
        bool fine = error_ <= PARAMETER_TOLERANCE;
        printf("  lawa/%-70s %9.2e %9.0e  %s\n", names[i], error_, PARAMETER_TOLERANCE, fine ? "PASS" : "FAIL");
        t->averages++;
        t->failed += !fine;
    }
    ap_h5_free_text(n, names);
    return status;
}

static void print_unknown(int64_t n, char *const *groups, int64_t schedules, char *const *schedule) {
    int printed = 0;
    double value;
    for (int64_t i = 0; i < n; i++)
        if (is_rule(groups[i]) && !algorithm_of(groups[i]))
            printf("%s%s", printed++ ? ", " : "not in this program: ", groups[i]);
    for (int64_t i = 0; i < schedules; i++)
        if (!multiplier(schedule[i], 0, &value))
            printf("%s%s", printed++ ? ", " : "not in this program: ", schedule[i]);
    if (printed) printf("\n");
}

static ap_status verify_file(hid_t file, const char *path, ap_error *error) {
    problem q;
    tally t = {0};
    int64_t groups = 0, schedules = 0;
    char **group = NULL, **schedule = NULL;
    ap_status status;
    AP_TRY_GOTO(status, problem_read(file, path, &q, error), out);
    AP_TRY_GOTO(status, ap_h5_list(file, "/", &groups, &group, error), out);
    if (ap_h5_exists(file, "/schedules"))
        AP_TRY_GOTO(status, ap_h5_list(file, "/schedules", &schedules, &schedule, error), out);
    printf("%s: %lld parameters, %lld elements, %lld steps\n", path, (long long)q.params, (long long)q.elements,
           (long long)q.steps);
    AP_TRY_GOTO(status, verify_rules(file, &q, groups, group, &t, error), out);
    AP_TRY_GOTO(status, verify_schedules(file, schedules, schedule, &t, error), out);
    AP_TRY_GOTO(status, verify_averages(file, &q, &t, error), out);
    print_unknown(groups, group, schedules, schedule);
    int all = t.rules + t.schedules + t.averages;
    if (all == 0)
        status =
            ap_fail(error, AP_DATA, "%s: no rule or schedule of this program is in it; nothing was verified", path);
    else if (t.failed)
        status = ap_fail(error, AP_NUMERIC, "%s: %d of %d rules, schedules and averages are out of tolerance", path,
                         t.failed, all);
    if (status == AP_OK || status == AP_NUMERIC)
        printf("%s: %d rules, %d schedules, %d averages, %d failed\n", t.failed ? "FAIL" : "PASS", t.rules, t.schedules,
               t.averages, t.failed);
out:
    ap_h5_free_text(groups, group);
    ap_h5_free_text(schedules, schedule);
    problem_free(&q);
    return status;
}

ap_status ap_verify_optimizers(const char *path, ap_error *error) {
    hid_t file;
    AP_TRY(ap_h5_open(path, &file, error));
    ap_status status = verify_file(file, path, error);
    ap_h5_close(file);
    return status;
}
