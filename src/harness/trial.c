#include "harness/trial.h"

#include "base/log.h"
#include "harness/engine.h"
#include "harness/host.h"
#include "harness/interrupt.h"
#include "harness/replicas.h"
#include "harness/tree.h"
#include "tensor/kernels/isa.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- a running trial */

/* What a checkpoint keeps of the clock, besides the buckets. */
enum {
    SUBMISSION_NS,
    EVALUATION_NS,
    LOGGING_NS,
    LAST_EVALUATION_NS,
    PREEMPTIONS,
    BATCHES,
    STEP,
    EVALUATING, /* 1: prepare_for_eval is done, the evaluation itself was left by a signal */
    CLOCKS
};

typedef struct trial {
    const ap_trial_spec *spec;
    ap_group *group;
    bool root; /* rank 0: owns record and checkpoints */
    ap_problem *problem;
    const ap_submission *submission;
    ap_engine *engine;
    ap_trial_host *host;
    ap_record *record;
    ap_record_head head;
    ap_provenance provenance;
    char *hyperparameters, identity[512];
    uint64_t seed;
    int64_t global_batch;
    double budget_s, step_s; /* budget; seconds a step counts under AP_CLOCK_STEPS */
    ap_buckets buckets;
    int64_t clock[CLOCKS]; /* submission time is the slowest rank's; evaluation and logging are rank 0's */
    int64_t last_checkpoint_ns, next_cancel_look_ns;
    int64_t agreement_ns; /* in the harness bucket: how the step went, waiting for the slowest rank */
    int64_t first_step;   /* where this start began: the checkpoint's step, 0 without one */
    bool replicas_differ; /* the failure, if there is one */
    bool reached[AP_SPLITS];
    uint8_t
        stop_reason[512]; /* the submission's, as text; kept by a checkpoint that is made before the last evaluation */
    double best;
} trial;

static bool better(const trial *t, double a, double b) {
    return isnan(b) || (t->problem->direction == AP_HIGHER ? a > b : a < b);
}

/* Seconds on the trial's own clock: what budgets, evaluation periods and scores go by. */
static double trial_time_s(const trial *t) {
    if (t->spec->job->clock == AP_CLOCK_STEPS) {
        int64_t drawn = t->engine ? ap_engine_batches_drawn(t->engine) : 0, steps = t->clock[STEP];
        return (double)(drawn > steps ? drawn : steps) * t->step_s; /* a step may draw several batches */
    }
    return ap_clock_s(t->clock[SUBMISSION_NS]);
}

/* ---- set-up */

static void fill_head(trial *t) {
    const ap_trial_spec *spec = t->spec;
    const ap_job *job = spec->job;
    const ap_workload *w = t->problem->workload;
    const ap_job_workload *entry = &job->workload[spec->workload];
    static const char *const directions[] = {"higher", "lower", "lower_or_equal"};
    t->head = (ap_record_head){
        .submission = job->submission[spec->submission].loaded->name,
        .workload = *entry->own_label ? entry->own_label : w->name,
        .variant = t->problem->variant,
        .scale = t->problem->scale.name,
        .data_set = ap_dataset_name(job->workload[spec->workload].dataset),
        .ruleset = job->settings.ruleset,
        .clock = job->settings.clock,
        .calibration = job->budgets ? job->budgets->label : "",
        .hyperparameters = t->hyperparameters,
        .loss_type = t->problem->loss_type,
        .target_metric = w->metric_names[w->target_metric],
        .direction = directions[t->problem->direction],
        .study = spec->study,
        .trial = spec->trial,
        .validation_target = t->problem->validation_target,
        .test_target = t->problem->test_target,
        .max_runtime_s = t->budget_s,
        .eval_period_s = t->problem->scale.eval_period_s,
        .step_hint = t->problem->scale.step_hint,
        .global_batch_size = t->global_batch,
        .metrics = w->metric_count,
        .provenance = &t->provenance,
    };
    memcpy(t->head.metric_names, w->metric_names, sizeof t->head.metric_names);
}

static void fill_provenance(trial *t) {
    const ap_job *job = t->spec->job;
    const ap_job_submission *s = &job->submission[t->spec->submission];
    ap_provenance *p = &t->provenance;
    ap_provenance_collect(p);
    ap_provenance_set(p, "job_file", "%s", job->path);
    ap_provenance_set(p, "job_identity", "%s", job->identity);
    ap_provenance_set(p, "seed", "%" PRId64, job->settings.seed);
    ap_provenance_set(p, "trial_seed", "%" PRIu64, t->seed);
    ap_provenance_set(p, "math", "%s", job->settings.math);
    ap_provenance_set(p, "calibration", "%s", job->budgets ? job->budgets->label : "published seconds");
    if (job->budgets)
        ap_provenance_set(p, "calibration_place", "%s, %s, %lld ranks x %lld threads, %s", job->budgets->hosts,
                          job->budgets->cpu, (long long)job->budgets->ranks, (long long)job->budgets->threads,
                          job->budgets->created);
    ap_provenance_set(p, "shards", "%" PRId64, job->settings.shards);
    ap_provenance_set(p, "threads", "%" PRId64, job->settings.threads);
    ap_provenance_set(p, "data_digest", "%s", ap_dataset_digest(job->workload[t->spec->workload].dataset));
    ap_provenance_set(p, "submission_file", "%s", *s->loaded->path ? s->loaded->path : "built in");
    if (*s->loaded->digest) ap_provenance_set(p, "submission_digest", "%s", s->loaded->digest);
    if (t->group) {
        char library[MPI_MAX_LIBRARY_VERSION_STRING];
        int length = 0;
        MPI_Get_library_version(library, &length);
        ap_provenance_set(p, "ranks", "%d", ap_group_ranks(t->group));
        ap_provenance_set(p, "mpi_library", "%.*s", length, library);
    }
}

static double step_s(const ap_trial_spec *spec) {
    const ap_scale *scale = &spec->job->workload[spec->workload].problem->scale;
    return scale->max_runtime_s / (double)scale->step_hint;
}

static double budget_s(const ap_trial_spec *spec) {
    const ap_job *job = spec->job;
    const ap_job_workload *w = &job->workload[spec->workload];
    double own = w->max_runtime_s > 0 ? w->max_runtime_s : job->settings.max_runtime_s;
    double budget = own > 0 ? own : w->problem->scale.max_runtime_s;
    return job->ruleset == AP_SELF_TUNING ? budget * ap_rules_self_tuning_factor(job->rules) : budget;
}

double ap_trial_expected_s(const ap_trial_spec *spec) {
    int64_t cap = spec->job->settings.max_steps;
    double budget = budget_s(spec), capped = (double)cap * step_s(spec);
    return cap > 0 && capped < budget ? capped : budget;
}

/* The facts that need no engine: problem, point, seed, batch size, budget, identity. */
static ap_status describe(trial *t, ap_error *error) {
    const ap_trial_spec *spec = t->spec;
    const ap_job *job = spec->job;
    const ap_job_workload *w = &job->workload[spec->workload];
    const ap_job_submission *s = &job->submission[spec->submission];
    t->problem = w->problem;
    t->submission = s->loaded->submission;
    t->best = NAN;
    t->hyperparameters = ap_point_json(ap_job_point(job, spec->submission, spec->study, spec->trial));
    if (!t->hyperparameters) return ap_fail(error, AP_ENVIRONMENT, "out of memory");

    ap_random stream =
        ap_random_stream((uint64_t)job->settings.seed, AP_RANDOM_TUNING, (uint64_t)spec->study, (uint32_t)spec->trial);
    t->seed = (uint64_t)ap_random_bits(&stream, 0) << 32 | ap_random_bits(&stream, 1);

    ap_workload_info info;
    ap_workload_info_fill(&info, t->problem, ap_dataset_count(w->dataset, AP_TRAIN));
    t->global_batch = t->submission->get_batch_size ? t->submission->get_batch_size(&info) : info.baseline_batch_size;

    t->step_s = step_s(spec);
    t->budget_s = budget_s(spec);
    snprintf(t->identity, sizeof t->identity, "%s %s study_%d %s trial_%d batch %" PRId64, job->identity,
             s->loaded->name, spec->study, w->label, spec->trial + 1, t->global_batch);
    fill_provenance(t);
    fill_head(t);
    return AP_OK;
}

/* ---- checkpoint and resume */

static ap_status add_set(ap_blob *blobs, int *n, const char *group, ap_params *set, ap_error *error) {
    for (int i = 0; i < ap_params_count(set); i++) {
        const ap_param *p = ap_params_get(set, i);
        ap_blob *b = &blobs[(*n)++];
        *b = (ap_blob){.type = AP_F32, .n = p->size, .data = ap_params_value(set, i)};
        int length = snprintf(b->name, sizeof b->name, "/%s/%s", group, p->name);
        if (length < 0 || (size_t)length >= sizeof b->name)
            return ap_fail(error, AP_BUG, "parameter name too long for a checkpoint: %s", p->name);
    }
    return AP_OK;
}

enum { OWN_BLOBS = 3 }; /* the first of `collect`: each rank has its own */

/* All arrays that make up the trial, except the record's. Data is borrowed. *blobs is malloc'ed with room for the
 * record's. */
static ap_status collect(trial *t, ap_blob **blobs, int *n, ap_error *error) {
    ap_params *params = ap_engine_params(t->engine), *state = ap_engine_state(t->engine);
    int states = ap_trial_host_blobs(t->host);
    size_t room = (size_t)(ap_params_count(params) + ap_params_count(state) + states + 3 + AP_RECORD_BLOBS);
    *n = 0;
    *blobs = calloc(room, sizeof **blobs);
    if (!*blobs) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a checkpoint");
    t->clock[BATCHES] = ap_engine_batches_drawn(t->engine);
    (*blobs)[(*n)++] = (ap_blob){.name = "/clock", .type = AP_I64, .n = CLOCKS, .data = t->clock};
    (*blobs)[(*n)++] = (ap_blob){.name = "/buckets", .type = AP_I64, .n = AP_BUCKETS, .data = t->buckets.ns};
    (*blobs)[(*n)++] =
        (ap_blob){.name = "/stop_reason", .type = AP_U8, .n = sizeof t->stop_reason, .data = t->stop_reason};
    AP_TRY(add_set(*blobs, n, "parameters", params, error));
    AP_TRY(add_set(*blobs, n, "model_state", state, error));
    for (int i = 0; i < states; i++) ap_trial_host_blob(t->host, i, &(*blobs)[(*n)++]);
    return AP_OK;
}

/* Collective. A checkpoint is rank 0's memory, and all ranks go on from it: it must be what the others have too. */
static ap_status save(trial *t, ap_error *error) {
    ap_buckets_switch(&t->buckets, AP_BUCKET_CHECKPOINT);
    AP_TRY(ap_trial_host_gather(t->host, error));
    ap_blob *blobs = NULL;
    int n = 0;
    ap_status status = collect(t, &blobs, &n, error);
    status = ap_group_agree(t->group, status, error);
    if (!status)
        status = ap_replicas_compare_blobs(t->group, t->clock[STEP], n - OWN_BLOBS, blobs + OWN_BLOBS,
                                           &t->replicas_differ, error);
    if (!status && t->root) {
        n += ap_record_blobs(t->record, blobs + n);
        status = ap_checkpoint_save(t->spec->directory, t->clock[STEP], t->identity, n, blobs, error);
    }
    free(blobs);
    status = ap_group_agree(t->group, status, error);
    t->last_checkpoint_ns = ap_clock_ns();
    ap_buckets_switch(&t->buckets, AP_BUCKET_HARNESS);
    return status;
}

/* Rank 0's arrays from the checkpoint. */
static ap_status restore_root(trial *t, const ap_checkpoint *from, ap_blob *blobs, int n, ap_error *error) {
    for (int i = 0; i < n; i++) {
        void *data;
        AP_TRY(ap_checkpoint_find(from, blobs[i].name, blobs[i].type, blobs[i].n, &data, error));
        memcpy(blobs[i].data, data, (size_t)blobs[i].n * ap_dtype_size(blobs[i].type));
    }
    t->stop_reason[sizeof t->stop_reason - 1] = '\0';
    for (int i = 0; i < AP_BUCKETS; i++)
        if (t->buckets.ns[i] < 0) return ap_fail(error, AP_DATA, "%s: negative time in a bucket", from->path);
    return AP_OK;
}

/* A row as the submission and the target flags see it; the same on every rank. */
static ap_status count_evaluation(trial *t, const ap_eval_row *row, ap_error *error) {
    const ap_workload *w = t->problem->workload;
    int target = w->target_metric;
    ap_eval_result result = {.step = row->global_step,
                             .submission_time_s = row->accumulated_submission_time,
                             .train = row->metric[AP_TRAIN][target],
                             .validation = row->metric[AP_VALIDATION][target],
                             .test = row->metric[AP_TEST][target],
                             .validation_loss = NAN};
    for (int m = 0; m < w->metric_count; m++)
        if (!strcmp(w->metric_names[m], "loss")) result.validation_loss = row->metric[AP_VALIDATION][m];
    t->reached[AP_VALIDATION] |=
        ap_target_reached(t->problem->direction, result.validation, t->problem->validation_target);
    t->reached[AP_TEST] |= ap_target_reached(t->problem->direction, result.test, t->problem->test_target);
    if (better(t, result.validation, t->best)) t->best = result.validation;
    return ap_trial_host_add_evaluation(t->host, &result, error);
}

/* Evaluations so far, from rank 0's record to every rank's host and target flags. Collective. */
static ap_status share_evaluations(trial *t, ap_error *error) {
    int64_t n = t->root ? ap_record_rows(t->record) : 0;
    AP_TRY(ap_group_broadcast(t->group, &n, sizeof n, 0, error));
    for (int64_t i = 0; i < n; i++) {
        ap_eval_row row = {0};
        if (t->root) row = *ap_record_row(t->record, (int)i);
        AP_TRY(ap_group_broadcast(t->group, &row, sizeof row, 0, error));
        AP_TRY(ap_group_agree(t->group, count_evaluation(t, &row, error), error));
    }
    return AP_OK;
}

/* Opens the record, fresh or from the newest good checkpoint, and brings every rank to the same point. Collective. */
static ap_status begin_or_resume(trial *t, ap_error *error) {
    ap_checkpoint from = {.step = -1};
    ap_blob *blobs = NULL;
    int n = 0;
    char note[AP_ERROR_TEXT] = "";
    ap_status status = collect(t, &blobs, &n, error);
    if (!status && t->root) status = ap_checkpoint_load(t->spec->directory, t->identity, &from, note, error);
    if (!status && t->root && *note) ap_log(AP_RANK, AP_LOG_WARNING, "%s", note);
    if (!status && t->root && from.step >= 0) status = restore_root(t, &from, blobs, n, error);
    if (!status && t->root)
        status = ap_record_open(t->spec->directory, &t->head, from.step >= 0 ? &from : NULL, &t->record, error);
    status = ap_group_agree(t->group, status, error);
    int64_t resumed = from.step >= 0;
    if (!status) status = ap_group_broadcast(t->group, &resumed, sizeof resumed, 0, error);
    for (int i = 0; !status && resumed && i < n; i++)
        status =
            ap_group_broadcast(t->group, blobs[i].data, (size_t)blobs[i].n * ap_dtype_size(blobs[i].type), 0, error);
    free(blobs);
    ap_checkpoint_free(&from);
    if (resumed) ap_buckets_continue(&t->buckets); /* also on failure: the verdict's buckets add up too */
    AP_TRY(status);
    if (!resumed) return AP_OK;
    t->clock[PREEMPTIONS]++;
    t->first_step = t->clock[STEP];
    ap_params_changed(ap_engine_params(t->engine));
    ap_params_changed(ap_engine_state(t->engine));
    ap_trial_host_set_step(t->host, t->clock[STEP]);
    ap_trial_host_set_time(t->host, ap_clock_s(t->clock[SUBMISSION_NS]));
    return share_evaluations(t, error);
}

/* A signal on any rank. Collective. */
static ap_status group_interrupted(trial *t, bool *interrupted, ap_error *error) {
    double flag = ap_interrupted();
    AP_TRY(ap_group_max_f64(t->group, &flag, 1, error));
    *interrupted = flag > 0;
    return AP_OK;
}

/* AP_INTERRUPTED between the parts of set-up: nothing is lost by leaving. Collective. */
static ap_status go_on(trial *t, ap_error *error) {
    bool interrupted;
    AP_TRY(group_interrupted(t, &interrupted, error));
    return interrupted ? ap_fail(error, AP_INTERRUPTED, "set-up was left by a signal") : AP_OK;
}

static ap_status set_up(trial *t, ap_error *error) {
    const ap_job *job = t->spec->job;
    ap_kernels_set_threads((int)job->settings.threads);
    ap_group_set_activity(t->group, "set-up");
    AP_TRY(ap_group_agree(t->group, describe(t, error), error));
    ap_engine_options engine = {.group = t->group,
                                .problem = t->problem,
                                .dataset = job->workload[t->spec->workload].dataset,
                                .math = job->math,
                                .seed = t->seed,
                                .global_batch = t->global_batch,
                                .interrupted = ap_interrupted};
    AP_TRY(ap_engine_create(&engine, &t->engine, error));
    AP_TRY(go_on(t, error));
    AP_TRY(ap_engine_warm_up(t->engine, error));
    AP_TRY(go_on(t, error));
    ap_host_options host = {.group = t->group,
                            .engine = t->engine,
                            .problem = t->problem,
                            .submission = t->submission,
                            .point = ap_job_point(job, t->spec->submission, t->spec->study, t->spec->trial),
                            .seed = t->seed,
                            .global_batch = t->global_batch,
                            .threads = (int)job->settings.threads,
                            .math = job->math};
    AP_TRY(ap_group_agree(t->group, ap_trial_host_create(&host, &t->host, error), error));
    AP_TRY(ap_group_agree(t->group, ap_trial_host_init(t->host, error), error));
    AP_TRY(go_on(t, error));
    AP_TRY(begin_or_resume(t, error));
    return ap_group_agree(t->group, ap_engine_start(t->engine, t->clock[BATCHES], error), error);
}

/* ---- one step, one evaluation */

/* What the ranks tell each other after a step; the maximum counts. */
enum { STEP_NS, FAILED, SIGNALLED, CHECKPOINT_DUE, STOPPED, CANCELLED, FLAGS };

/* Rank 0 looks once a second. */
static bool is_cancelled(trial *t) {
    const int64_t period_ns = 1000000000;
    if (!t->root || ap_clock_ns() < t->next_cancel_look_ns) return false;
    t->next_cancel_look_ns = ap_clock_ns() + period_ns;
    return ap_cancel_is_asked(t->spec->job->settings.results, t->spec->index);
}

/* Collective. flags: the group's. */
static ap_status train_step(trial *t, double flags[FLAGS], ap_error *error) {
    ap_buckets_switch(&t->buckets, AP_BUCKET_SUBMISSION);
    ap_status status = ap_trial_host_update(t->host, error);
    int64_t ns = ap_buckets_switch(&t->buckets, AP_BUCKET_HARNESS);
    double checkpoint_s = t->spec->job->settings.checkpoint_s;
    flags[STEP_NS] = (double)ns;
    flags[FAILED] = status != AP_OK;
    flags[SIGNALLED] = ap_interrupted();
    flags[STOPPED] = ap_trial_host_stopped(t->host) != NULL;
    flags[CANCELLED] = is_cancelled(t);
    flags[CHECKPOINT_DUE] = checkpoint_s > 0 && ap_clock_s(ap_clock_ns() - t->last_checkpoint_ns) >= checkpoint_s;
    if (ap_group_ranks(t->group) > 1) {
        if (ap_group_is_broken(t->group)) return status; /* the watchdog has spoken: no collective will end */
        ap_error local;
        int64_t start = ap_clock_ns();
        ap_status together = ap_group_max_f64(t->group, flags, FLAGS, &local);
        t->agreement_ns += ap_clock_ns() - start;
        if (together) {
            if (error) *error = local;
            return together;
        }
    }
    if (flags[FAILED] > 0) return ap_group_agree(t->group, status, error);
    t->clock[STEP]++;
    t->clock[SUBMISSION_NS] += (int64_t)flags[STEP_NS];
    ap_trial_host_set_time(t->host, ap_clock_s(t->clock[SUBMISSION_NS]));
    if (t->root)
        ap_record_step(t->record, t->clock[STEP], ap_trial_host_loss(t->host), ap_clock_s(t->clock[SUBMISSION_NS]));
    if (flags[STOPPED] > 0) { /* on any rank: all leave together */
        const char *why = ap_trial_host_stopped(t->host);
        snprintf((char *)t->stop_reason, sizeof t->stop_reason, "%s",
                 why ? why : "the submission stopped on another rank of the group");
    }
    return AP_OK;
}

/* The next step; or none, if a signal has left the evaluation after the last one. Collective. */
static ap_status advance(trial *t, double flags[FLAGS], ap_error *error) {
    memset(flags, 0, FLAGS * sizeof *flags);
    return t->clock[EVALUATING] ? AP_OK : train_step(t, flags, error);
}

static void report(const trial *t, const ap_eval_row *row) {
    const ap_workload *w = t->problem->workload;
    double value = row->metric[AP_VALIDATION][w->target_metric];
    ap_log(AP_RANK, AP_LOG_INFO,
           "%s %s study %d trial %d: step %" PRId64 ", %.2f s, validation %s %.4f (target %.4f%s)", t->head.submission,
           t->spec->job->workload[t->spec->workload].label, t->spec->study, t->spec->trial + 1, row->global_step,
           row->score, w->metric_names[w->target_metric], value, t->problem->validation_target,
           ap_target_reached(t->problem->direction, value, t->problem->validation_target) ? ", reached" : "");
}

/* Timed. Collective. */
static ap_status prepare_for_eval(trial *t, ap_error *error) {
    ap_buckets_switch(&t->buckets, AP_BUCKET_SUBMISSION);
    ap_status status = ap_trial_host_prepare_for_eval(t->host, error);
    double ns = (double)ap_buckets_switch(&t->buckets, AP_BUCKET_EVALUATION);
    AP_TRY(ap_group_agree(t->group, status, error));
    AP_TRY(ap_group_max_f64(t->group, &ns, 1, error));
    t->clock[SUBMISSION_NS] += (int64_t)ns;
    ap_trial_host_set_time(t->host, ap_clock_s(t->clock[SUBMISSION_NS]));
    t->clock[EVALUATING] = 1;
    return AP_OK;
}

/* The three splits after prepare_for_eval, the row, a checkpoint. AP_INTERRUPTED: left by a signal, with a checkpoint
 * from which a resume evaluates the same parameters. Collective. */
static ap_status evaluate(trial *t, bool last, ap_error *error) {
    if (!t->clock[EVALUATING]) AP_TRY(prepare_for_eval(t, error));
    ap_buckets_switch(&t->buckets, AP_BUCKET_EVALUATION);
    ap_eval_row row = {.global_step = t->clock[STEP], .preemption_count = t->clock[PREEMPTIONS]};
    double metrics[AP_SPLITS][AP_MAX_METRICS];
    ap_digest before = ap_params_digest(ap_engine_params(t->engine));
    ap_status status = ap_engine_evaluate(t->engine, metrics, error);
    if (status == AP_INTERRUPTED) AP_TRY(save(t, error));
    AP_TRY(status);
    t->clock[EVALUATING] = 0;
    row.parameter_digest = ap_params_digest(ap_engine_params(t->engine));
    AP_TRY(ap_replicas_compare(t->group, t->clock[STEP], row.parameter_digest, "the parameters", &t->replicas_differ,
                               error));
    ap_trial_host_evaluated(t->host, before, row.parameter_digest);
    AP_TRY(ap_group_agree(t->group, ap_trial_host_check(t->host, error), error));
    memcpy(row.metric, metrics, sizeof row.metric);
    for (int s = 0; s < AP_SPLITS; s++) row.num_examples[s] = ap_engine_examples(t->engine, s);
    t->clock[EVALUATION_NS] += ap_buckets_switch(&t->buckets, AP_BUCKET_LOGGING);

    row.accumulated_submission_time = ap_clock_s(t->clock[SUBMISSION_NS]);
    row.accumulated_eval_time = ap_clock_s(t->clock[EVALUATION_NS]);
    row.accumulated_logging_time = ap_clock_s(t->clock[LOGGING_NS]);
    row.total_duration = ap_clock_s(ap_buckets_wall_ns(&t->buckets));
    row.score = trial_time_s(t);
    status = count_evaluation(t, &row, error);
    if (!status && t->root) {
        report(t, &row);
        status = ap_record_evaluation(t->record, &row, &t->buckets, error);
    }
    AP_TRY(ap_group_agree(t->group, status, error));
    t->clock[LAST_EVALUATION_NS] = (int64_t)(trial_time_s(t) * 1e9);
    t->clock[LOGGING_NS] += ap_buckets_switch(&t->buckets, AP_BUCKET_HARNESS);
    return last ? AP_OK : save(t, error);
}

/* ---- the loop */

/* Steps times seconds a step is not exact: 21 * 0.01 - 0.01 < 0.2. */
static const double rounding = 1e-9;

static bool evaluation_due(const trial *t) {
    int64_t every = t->spec->job->settings.eval_every;
    if (every > 0) return t->clock[STEP] % every == 0;
    if (t->clock[STEP] == 1) return true; /* the benchmark evaluates after the first step */
    double since_s = trial_time_s(t) - ap_clock_s(t->clock[LAST_EVALUATION_NS]);
    return since_s >= t->problem->scale.eval_period_s * (1 - rounding);
}

/* `over`: it ends for another reason, too. */
static bool ends_at_targets(const trial *t, bool over) {
    return t->reached[AP_VALIDATION] && (t->reached[AP_TEST] || isnan(t->problem->test_target)) &&
           (over || t->spec->job->end == AP_END_TARGET);
}

/* The budget is spent; by a step that took more than the budget over again, it was not kept. */
static ap_verdict spent(const trial *t, char reason[512]) {
    const double grace_s = 60; /* a machine may stall */
    double over_s = trial_time_s(t) - t->budget_s;
    if (over_s <= t->budget_s + grace_s) return AP_VERDICT_BUDGET_SPENT;
    snprintf(reason, 512,
             "step %" PRId64
             " ended %.0f s after the budget of %.0f s; a step of update_params must be short enough for "
             "the benchmark to end the trial",
             t->clock[STEP], over_s, t->budget_s);
    return AP_VERDICT_RULE_VIOLATION;
}

/* The verdict this step brings, before an evaluation; RUNNING: none. */
static ap_verdict ending(const trial *t, const double flags[FLAGS], char reason[512]) {
    const ap_job *job = t->spec->job;
    double loss = ap_trial_host_loss(t->host);
    if (ap_trial_host_has_loss(t->host) && !isfinite(loss) && !t->submission->handles_nonfinite_loss) {
        snprintf(reason, 512, "the loss of step %" PRId64 " is %s", t->clock[STEP],
                 isnan(loss) ? "not a number" : "infinite");
        return AP_VERDICT_DIVERGED;
    }
    if (flags[CANCELLED] > 0) {
        snprintf(reason, 512, "by `algoperf cancel`");
        return AP_VERDICT_CANCELLED;
    }
    if (*t->stop_reason) {
        snprintf(reason, 512, "%s", (const char *)t->stop_reason);
        return AP_VERDICT_STOPPED;
    }
    if (trial_time_s(t) >= t->budget_s * (1 - rounding)) return spent(t, reason);
    if (job->settings.max_steps > 0 && t->clock[STEP] >= job->settings.max_steps) return AP_VERDICT_STEP_CAP;
    return AP_VERDICT_RUNNING;
}

static void live(const trial *t) {
    if (!t->root || !ap_log_is_terminal()) return;
    ap_log_live("%s %s trial %d  step %" PRId64 "  loss %.4f  %.1f of %.1f s  best %s %.4f", t->head.submission,
                t->head.workload, t->spec->trial + 1, t->clock[STEP], ap_trial_host_loss(t->host), trial_time_s(t),
                t->budget_s, t->head.target_metric, t->best);
}

/* What follows a step: an evaluation, a checkpoint, or leaving. Collective. */
static ap_status after_step(trial *t, const double flags[FLAGS], ap_trial_outcome *outcome, ap_error *error) {
    bool over = outcome->verdict != AP_VERDICT_RUNNING, written = false;
    if (over || t->clock[EVALUATING] || evaluation_due(t)) {
        ap_status status = evaluate(t, over, error);
        if (status == AP_INTERRUPTED) {
            outcome->verdict = AP_VERDICT_RUNNING;
            *outcome->reason = '\0';
            outcome->interrupted = true;
            return AP_OK;
        }
        AP_TRY(status);
        if (ends_at_targets(t, over)) outcome->verdict = AP_VERDICT_TARGET_REACHED;
        written = true;
    }
    if (outcome->verdict != AP_VERDICT_RUNNING) return AP_OK;
    outcome->interrupted = flags[SIGNALLED] > 0;
    if (!written && (outcome->interrupted || flags[CHECKPOINT_DUE] > 0)) {
        AP_TRY(save(t, error));
        written = true;
    }
    /* A signal that came meanwhile needs no further step, whose checkpoint would take that time again. */
    return written && !outcome->interrupted ? group_interrupted(t, &outcome->interrupted, error) : AP_OK;
}

/* Trains to a verdict or an interruption. Collective. */
static ap_status train(trial *t, ap_trial_outcome *outcome, ap_error *error) {
    enum { ROOM = 1 << 14 }; /* steps reserved at a time, outside the timed region */
    char activity[64];
    int64_t reserved = 0;
    outcome->verdict = ends_at_targets(t, false) ? AP_VERDICT_TARGET_REACHED : AP_VERDICT_RUNNING;
    while (outcome->verdict == AP_VERDICT_RUNNING && !outcome->interrupted) {
        snprintf(activity, sizeof activity, "step %" PRId64, t->clock[STEP] + 1);
        ap_group_set_activity(t->group, activity);
        if (reserved-- == 0) {
            ap_status status = t->root ? ap_record_reserve_steps(t->record, ROOM, error) : AP_OK;
            AP_TRY(ap_group_agree(t->group, status, error));
            reserved = ROOM - 1;
        }
        double flags[FLAGS];
        AP_TRY(advance(t, flags, error));
        outcome->verdict = ending(t, flags, outcome->reason);
        live(t);
        if (outcome->verdict == AP_VERDICT_DIVERGED || outcome->verdict == AP_VERDICT_CANCELLED)
            break; /* nothing worth evaluating */
        AP_TRY(after_step(t, flags, outcome, error));
    }
    return AP_OK;
}

/* ---- the end */

static bool belongs_to_trial(ap_status status) {
    return status == AP_SUBMISSION || status == AP_DATA || status == AP_NUMERIC || status == AP_CONFIG;
}

void ap_trial_tidy(const char *directory) {
    ap_error error;
    ap_remove_temps(directory, NULL);
    if (ap_checkpoint_remove_all(directory, &error))
        ap_log(AP_RANK, AP_LOG_WARNING, "%s; the trial has its verdict and does not need it", error.text);
}

/* Writes the verdict; afterwards checkpoints are not needed. Collective. */
static ap_status conclude(trial *t, ap_trial_outcome *outcome, ap_error *error) {
    ap_status status = AP_OK;
    ap_buckets_switch(&t->buckets, AP_BUCKET_LOGGING);
    if (t->root) {
        if (outcome->interrupted && !t->record) {
            status = AP_OK; /* it had not begun */
        } else if (outcome->interrupted) {
            status = ap_record_event(t->record, "interrupted", NULL, error);
        } else {
            if (outcome->status) ap_record_set_failure(t->record, outcome->status);
            status = ap_record_finish(t->record, outcome->verdict, outcome->reason, &t->buckets, error);
            if (!status) ap_trial_tidy(t->spec->directory);
        }
        ap_log_live_end();
    }
    ap_buckets_switch(&t->buckets, AP_BUCKET_HARNESS);
    if (!status && !ap_buckets_add_up(&t->buckets))
        status = ap_fail(error, AP_BUG, "the clock's buckets do not add up to the wall time of the trial");
    return ap_group_agree(t->group, status, error);
}

/* A record for the verdict of a trial that cannot be resumed; keeps the rows and times of its last checkpoint. Rank 0.
 */
static ap_status open_for_verdict(trial *t, ap_error *error) {
    ap_checkpoint from = {.step = -1};
    char note[AP_ERROR_TEXT] = "";
    void *ns;
    ap_status status = ap_checkpoint_load(t->spec->directory, t->identity, &from, note, error);
    if (!status && *note) ap_log(AP_RANK, AP_LOG_WARNING, "%s", note);
    if (!status)
        status = ap_record_open(t->spec->directory, &t->head, from.step >= 0 ? &from : NULL, &t->record, error);
    if (!status && from.step >= 0 && !ap_checkpoint_find(&from, "/buckets", AP_I64, AP_BUCKETS, &ns, NULL)) {
        memcpy(t->buckets.ns, ns, sizeof t->buckets.ns);
        ap_buckets_start(&t->buckets, AP_BUCKET_HARNESS);
    }
    ap_checkpoint_free(&from);
    return status;
}

static void destroy(trial *t) {
    ap_record_close(t->record);
    ap_trial_host_destroy(t->host);
    ap_engine_destroy(t->engine);
    free(t->hyperparameters);
}

/* From the last checkpoint, or the beginning, to where the loop ends. Collective. */
static ap_status start(trial *t, ap_trial_outcome *outcome, ap_error *error) {
    *outcome = (ap_trial_outcome){.best = NAN};
    ap_buckets_start(&t->buckets, AP_BUCKET_SETUP);
    t->last_checkpoint_ns = ap_clock_ns();
    ap_status status = set_up(t, error);
    ap_buckets_switch(&t->buckets, AP_BUCKET_HARNESS);
    if (!status) status = train(t, outcome, error);
    ap_group_set_activity(t->group, "the end of the trial"); /* train's text is gone */
    return status;
}

/* Replicas that differ cost the steps since the last checkpoint, not the trial, unless they differ again before there
 * is a new one: then it is no accident. Collective; all ranks decide alike. */
static ap_status start_until_replicas_agree(trial *t, ap_trial_outcome *outcome, ap_error *error) {
    for (int64_t before = -1;;) {
        const trial fresh = {.spec = t->spec, .group = t->group, .root = t->root};
        ap_status status = start(t, outcome, error);
        if (!t->replicas_differ || t->first_step <= before) return status;
        if (t->root)
            ap_log(AP_RANK, AP_LOG_WARNING, "%s: %s; going on from the last checkpoint", t->spec->directory,
                   error ? error->text : "replicas differ");
        ap_status noted = t->root ? ap_record_event(t->record, "replicas_differ", NULL, error) : AP_OK;
        AP_TRY(ap_group_agree(t->group, noted, error));
        before = t->first_step;
        destroy(t);
        *t = fresh;
    }
}

ap_status ap_trial_run(ap_group *group, const ap_trial_spec *spec, ap_trial_outcome *outcome, ap_error *error) {
    trial t = {.spec = spec, .group = group, .root = ap_group_rank(group) == 0};
    ap_status status = start_until_replicas_agree(&t, outcome, error);
    if (outcome->verdict == AP_VERDICT_DIVERGED) outcome->status = AP_NUMERIC;
    if (outcome->verdict == AP_VERDICT_RULE_VIOLATION) outcome->status = AP_SUBMISSION;
    if (status == AP_INTERRUPTED) { /* in set-up */
        outcome->interrupted = true;
        status = AP_OK;
    }
    if (status && belongs_to_trial(status)) {
        bool violated = t.host && ap_trial_host_violated(t.host);
        outcome->verdict = violated ? AP_VERDICT_RULE_VIOLATION : AP_VERDICT_FAILED;
        outcome->status = status;
        if (error) snprintf(outcome->reason, sizeof outcome->reason, "%.511s", error->text);
        status = t.root && !t.record ? open_for_verdict(&t, error) : AP_OK;
        status = ap_group_agree(group, status, error);
    }
    if (!status) status = conclude(&t, outcome, error);
    outcome->steps = t.clock[STEP];
    outcome->evaluations = t.record ? ap_record_rows(t.record) : 0;
    outcome->submission_time_s = ap_clock_s(t.clock[SUBMISSION_NS]);
    outcome->best = t.best;
    outcome->buckets = t.buckets;
    outcome->agreement_s = ap_clock_s(t.agreement_ns);
    if (t.engine) {
        ap_engine_statistics engine = ap_engine_get_statistics(t.engine);
        outcome->data_wait_s = engine.data_wait_s, outcome->reduction_wait_s = engine.reduction.exposed_s;
    }
    outcome->reached = t.reached[AP_VALIDATION];
    destroy(&t);
    return status;
}

ap_status ap_trial_close(const ap_trial_spec *spec, ap_verdict verdict, const char *reason, ap_error *error) {
    trial t = {.spec = spec, .root = true};
    ap_buckets_start(&t.buckets, AP_BUCKET_HARNESS);
    ap_status status = describe(&t, error);
    if (!status) status = open_for_verdict(&t, error);
    if (!status) status = ap_record_finish(t.record, verdict, reason, &t.buckets, error);
    if (!status) ap_trial_tidy(spec->directory);
    destroy(&t);
    return status;
}
