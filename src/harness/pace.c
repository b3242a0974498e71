#include "harness/pace.h"

#include "algorithms/algorithms.h"
#include "base/clock.h"
#include "harness/host.h"
#include "submission/loader.h"
#include "tensor/kernels/isa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char baseline[] = "nadamw";

/* ---- the problem */

typedef struct dataset_search {
    const char *scale;
    bool synthetic;
    char first[64];
} dataset_search;

static void visit_target(void *user, const ap_scale *scale, const char *dataset, double validation, double test) {
    (void)validation, (void)test;
    dataset_search *s = user;
    if (strcmp(scale->name, s->scale)) return;
    s->synthetic |= !strcmp(dataset, "synthetic");
    if (!*s->first) snprintf(s->first, sizeof s->first, "%s", dataset);
}

/* Reads the training examples once; a failure will be met again by the queue. */
static void make_examples(const ap_dataset *dataset) {
    const double most_s = 20;
    ap_example example = {0};
    int64_t n = ap_dataset_count(dataset, AP_TRAIN), start = ap_clock_ns();
    for (int64_t i = 0; i < n && ap_clock_s(ap_clock_ns() - start) < most_s; i++)
        if (ap_dataset_read(dataset, AP_TRAIN, i, &example, NULL)) break;
    ap_example_free(&example);
}

/* The synthetic data set where there is none, and what the model must know of it. */
static ap_status attach(ap_problem *problem, ap_dataset **dataset, ap_error *error) {
    const ap_workload *w = problem->workload;
    const ap_scale *s = &problem->scale;
    const int64_t counts[AP_SPLITS] = {s->train_examples, s->validation_examples, s->test_examples};
    if (!*dataset) AP_TRY(ap_dataset_synthetic(w->generator, problem->model, 0, counts, dataset, error));
    return w->attach ? w->attach(problem->model, *dataset, error) : AP_OK;
}

ap_status ap_pace_problem(const char *name, const char *scale, const char *data, ap_problem **problem,
                          ap_dataset **dataset, ap_error *error) {
    const ap_workload *w;
    const char *variant;
    AP_TRY(ap_workload_find_label(name, &w, &variant, error));
    dataset_search search = {.scale = scale};
    AP_TRY(ap_workload_each_target(w, visit_target, &search, error));
    if (!data && !w->generator)
        return ap_fail(error, AP_CONFIG, "workload %s has no synthetic data: name a packed file", name);
    *dataset = NULL;
    if (data) AP_TRY(ap_workload_open_data(w, data, dataset, error));
    const char *targets = *dataset ? ap_dataset_name(*dataset) : search.synthetic ? "synthetic" : search.first;
    ap_status status = ap_problem_open(w, scale, variant, targets, NULL, problem, error);
    if (!status) {
        status = attach(*problem, dataset, error);
        if (status) ap_problem_close(*problem);
    }
    if (status)
        ap_dataset_close(*dataset);
    else if (!data)
        make_examples(*dataset);
    return status;
}

/* ---- life */

struct ap_pace {
    ap_pace_options options;
    ap_loaded_submission *loaded;
    ap_points points;
    ap_engine *engine;
    ap_trial_host *host;
    int64_t steps, own_ns, agreement_ns;
    ap_engine_statistics before; /* the warm-up's */
};

/* The parts that every rank has by itself. */
static ap_status load(ap_pace *p, ap_error *error) {
    const ap_problem *problem = p->options.problem;
    AP_TRY(ap_submission_load(baseline, ".", ap_algorithms(), &p->loaded, error));
    AP_TRY(ap_search_space_draw(*p->loaded->submission->search_space, baseline, 1, &p->points, error));
    if (p->options.global_batch) return AP_OK;
    ap_workload_info info;
    ap_workload_info_fill(&info, problem, ap_dataset_count(p->options.dataset, AP_TRAIN));
    const ap_submission *table = p->loaded->submission;
    p->options.global_batch = table->get_batch_size ? table->get_batch_size(&info) : info.baseline_batch_size;
    return AP_OK;
}

static ap_status set_up(ap_pace *p, ap_error *error) {
    const ap_pace_options *o = &p->options;
    const uint64_t seed = 1;
    AP_TRY(ap_group_agree(o->group, load(p, error), error));
    ap_kernels_set_threads(o->threads);
    ap_engine_options engine = {.group = o->group,
                                .problem = o->problem,
                                .dataset = o->dataset,
                                .math = o->math,
                                .seed = seed,
                                .global_batch = o->global_batch};
    AP_TRY(ap_engine_create(&engine, &p->engine, error));
    AP_TRY(ap_engine_warm_up(p->engine, error));
    ap_host_options host = {.group = o->group,
                            .engine = p->engine,
                            .problem = o->problem,
                            .submission = p->loaded->submission,
                            .point = &p->points.point[0],
                            .seed = seed,
                            .global_batch = o->global_batch,
                            .threads = o->threads};
    AP_TRY(ap_group_agree(o->group, ap_trial_host_create(&host, &p->host, error), error));
    AP_TRY(ap_group_agree(o->group, ap_trial_host_init(p->host, error), error));
    p->before = ap_engine_get_statistics(p->engine);
    p->before.data_wait_s = 0; /* the warm-up had a queue of its own */
    return ap_group_agree(o->group, ap_engine_start(p->engine, 0, error), error);
}

ap_status ap_pace_open(const ap_pace_options *options, ap_pace **pace, ap_error *error) {
    ap_pace *p = calloc(1, sizeof *p);
    ap_status status = ap_group_agree(
        options->group, p ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for the measurement"), error);
    if (!status) {
        p->options = *options;
        status = set_up(p, error);
    }
    if (status) {
        ap_pace_close(p);
        return status;
    }
    *pace = p;
    return AP_OK;
}

void ap_pace_close(ap_pace *pace) {
    if (!pace) return;
    ap_trial_host_destroy(pace->host);
    ap_engine_destroy(pace->engine);
    ap_points_free(&pace->points);
    ap_submission_unload(pace->loaded);
    free(pace);
}

/* ---- steps */

/* As a trial's step: the time of the submission's work, and the agreement on how it went. */
static ap_status one_step(ap_pace *p, double *step_s, ap_error *error) {
    enum { NS, FAILED, FLAGS };
    double flags[FLAGS];
    ap_error local;
    int64_t start = ap_clock_ns();
    ap_status status = ap_trial_host_update(p->host, error), together = AP_OK;
    int64_t ns = ap_clock_ns() - start;
    flags[NS] = (double)ns, flags[FAILED] = status != AP_OK;
    if (ap_group_ranks(p->options.group) > 1) {
        if (ap_group_is_broken(p->options.group)) return status;
        together = ap_group_max_f64(p->options.group, flags, FLAGS, &local);
        p->agreement_ns += ap_clock_ns() - start - ns;
    }
    if (together) {
        if (error) *error = local;
        return together;
    }
    if (flags[FAILED] > 0) return ap_group_agree(p->options.group, status, error);
    p->own_ns += ns;
    p->steps++;
    if (step_s) *step_s = flags[NS] * 1e-9;
    return AP_OK;
}

ap_status ap_pace_steps(ap_pace *pace, int64_t n, double *step_s, ap_error *error) {
    for (int64_t i = 0; i < n; i++) AP_TRY(one_step(pace, step_s ? &step_s[i] : NULL, error));
    return AP_OK;
}

ap_pace_parts ap_pace_get_parts(const ap_pace *pace) {
    ap_engine_statistics now = ap_engine_get_statistics(pace->engine);
    const ap_engine_statistics *before = &pace->before;
    ap_pace_parts parts = {
        .steps = pace->steps,
        .own_s = ap_clock_s(pace->own_ns),
        .passes_s = now.passes_s - before->passes_s,
        .forward_s = now.forward_s - before->forward_s,
        .data_wait_s = now.data_wait_s - before->data_wait_s,
        .exposed_s =
            now.reduction.exposed_s - before->reduction.exposed_s + now.tables.exposed_s - before->tables.exposed_s,
        .sums_s = now.sums_s - before->sums_s,
        .hidden_s = now.reduction.overlapped_s - before->reduction.overlapped_s,
        .agreement_s = ap_clock_s(pace->agreement_ns),
        .reduction = now.reduction,
        .table_bytes_sent = now.tables.bytes_sent - before->tables.bytes_sent,
    };
    parts.reduction.bytes_sent -= before->reduction.bytes_sent;
    parts.update_s = parts.own_s - parts.passes_s - parts.data_wait_s - parts.exposed_s - parts.sums_s;
    return parts;
}

ap_pace_memory ap_pace_get_memory(const ap_pace *pace) {
    const double parameters = (double)ap_params_length(ap_engine_params(pace->engine));
    const double gradient = (double)ap_params_gradient_length(ap_engine_params(pace->engine));
    int arrays = 1; /* of the sum: log2 of the local shards, plus one */
    for (int local = ap_group_local_shards(pace->options.group); local > 1; local /= 2) arrays++;
    return (ap_pace_memory){.parameters = parameters,
                            .packed_bytes = (double)ap_params_packed_bytes(ap_engine_params(pace->engine)),
                            .gradient_bytes = gradient * (double)sizeof(float) * arrays,
                            .activation_bytes = (double)ap_engine_activation_bytes(pace->engine)};
}
double ap_pace_loss(const ap_pace *pace) {
    return ap_trial_host_loss(pace->host);
}
ap_digest ap_pace_digest(const ap_pace *pace) {
    return ap_params_digest(ap_engine_params(pace->engine));
}
const char *ap_pace_baseline(void) {
    return baseline;
}
int64_t ap_pace_batch(const ap_pace *pace) {
    return pace->options.global_batch;
}

/* ---- statistics */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ap_pace_quantile(double *values, int64_t n, double q) {
    if (n < 1) return NAN;
    qsort(values, (size_t)n, sizeof *values, ascending);
    double at = q * (double)(n - 1);
    int64_t i = (int64_t)at;
    return i + 1 < n ? values[i] + (at - (double)i) * (values[i + 1] - values[i]) : values[n - 1];
}
