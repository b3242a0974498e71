#include "harness/estimate.h"

#include "base/clock.h"
#include "base/file.h"
#include "harness/engine.h"
#include "harness/host.h"
#include "harness/trial.h"
#include "tensor/kernels/isa.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct model {
    ap_group *group;
    ap_engine *engine;
    ap_trial_host *host;
} model;

static ap_status set_up(const ap_job *job, int workload, int submission, model *m, ap_estimate *e, ap_error *error) {
    const ap_job_workload *w = &job->workload[workload];
    const ap_job_submission *s = &job->submission[submission];
    ap_workload_info info;
    ap_workload_info_fill(&info, w->problem, ap_dataset_count(w->dataset, AP_TRAIN));
    const ap_submission *table = s->loaded->submission;
    e->global_batch = table->get_batch_size ? table->get_batch_size(&info) : info.baseline_batch_size;
    ap_kernels_set_threads((int)job->settings.threads);
    AP_TRY(ap_group_create(MPI_COMM_SELF, (int)job->settings.shards, 0, &m->group, error));
    const ap_engine_options engine = {.group = m->group,
                                      .problem = w->problem,
                                      .dataset = w->dataset,
                                      .math = job->math,
                                      .global_batch = e->global_batch};
    AP_TRY(ap_engine_create(&engine, &m->engine, error));
    const ap_host_options host = {.group = m->group,
                                  .engine = m->engine,
                                  .problem = w->problem,
                                  .submission = table,
                                  .point = &s->points.point[0],
                                  .global_batch = e->global_batch,
                                  .threads = (int)job->settings.threads};
    AP_TRY(ap_trial_host_create(&host, &m->host, error));
    return ap_trial_host_init(m->host, error);
}

static void destroy(model *m) {
    ap_trial_host_destroy(m->host);
    ap_engine_destroy(m->engine);
    ap_group_destroy(m->group);
}

static double resident_bytes(void) {
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return NAN;
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* Everything that a checkpoint holds. The record's columns stand for a trial that trains to its step hint. */
static ap_status list_blobs(const model *m, int64_t record_words, ap_blob **blobs, int *n, void **record,
                            ap_error *error) {
    ap_params *sets[] = {ap_engine_params(m->engine), ap_engine_state(m->engine)};
    int states = ap_trial_host_blobs(m->host);
    size_t room = (size_t)(ap_params_count(sets[0]) + ap_params_count(sets[1]) + states + 1);
    *n = 0;
    *blobs = calloc(room, sizeof **blobs);
    *record = calloc((size_t)record_words, 8);
    if (!*blobs || !*record) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a checkpoint");
    for (int set = 0; set < 2; set++)
        for (int i = 0; i < ap_params_count(sets[set]); i++) {
            ap_blob *b = &(*blobs)[(*n)++];
            *b = (ap_blob){
                .type = AP_F32, .n = ap_params_get(sets[set], i)->size, .data = ap_params_value(sets[set], i)};
            snprintf(b->name, sizeof b->name, "/%s/%d", set ? "state" : "parameters", i);
        }
    for (int i = 0; i < states; i++) ap_trial_host_blob(m->host, i, &(*blobs)[(*n)++]);
    (*blobs)[(*n)++] = (ap_blob){.name = "/record", .type = AP_F64, .n = record_words, .data = *record};
    return AP_OK;
}

/* Two, into a folder that goes again. */
static ap_status time_checkpoints(const char *folder, int n, const ap_blob *blobs, double *seconds, ap_error *error) {
    char directory[AP_PATH];
    AP_TRY(ap_path(directory, error, "%s/.algoperf-dry-run.XXXXXX", folder));
    if (!mkdtemp(directory)) return ap_fail_errno(error, AP_IO, "%s: no folder can be made there", folder);
    ap_status status = AP_OK;
    *seconds = 0;
    for (int i = 0; i < 2 && !status; i++) {
        int64_t start = ap_clock_ns();
        status = ap_checkpoint_save(directory, i, "dry run", n, blobs, error);
        *seconds = fmax(*seconds, ap_clock_s(ap_clock_ns() - start));
    }
    ap_checkpoint_remove_all(directory, NULL);
    rmdir(directory);
    return status;
}

static ap_status measure(const model *m, const char *folder, int64_t steps, bool pass, ap_estimate *e,
                         ap_error *error) {
    enum { PASSES = 3 };
    ap_blob *blobs = NULL;
    void *record = NULL;
    int n = 0;
    ap_status status = list_blobs(m, 3 * steps + 1, &blobs, &n, &record, error);
    for (int i = 0; i < n; i++) e->checkpoint_bytes += (double)blobs[i].n * (double)ap_dtype_size(blobs[i].type);
    if (!status) status = time_checkpoints(folder, n, blobs, &e->checkpoint_s, error);
    free(blobs);
    free(record);
    if (status || !pass) return status;
    int64_t start = ap_clock_ns();
    AP_TRY(ap_engine_warm_up(m->engine, error)); /* three passes */
    e->step_s = ap_clock_s(ap_clock_ns() - start) / PASSES;
    e->activation_bytes = (double)ap_engine_activation_bytes(m->engine);
    return AP_OK;
}

ap_status ap_estimate_make(const ap_job *job, int workload, int submission, int ranks, bool pass, const char *folder,
                           ap_estimate *estimate, ap_error *error) {
    ap_estimate *e = estimate;
    model m = {0};
    const int64_t most_steps = 10000000; /* a column in memory for the measurement */
    int64_t cap = job->settings.max_steps, steps = job->workload[workload].problem->scale.step_hint;
    if (cap > 0 && cap < steps) steps = cap;
    *e = (ap_estimate){.activation_bytes = NAN, .step_s = NAN, .process_bytes = resident_bytes()};
    ap_status status = set_up(job, workload, submission, &m, e, error);
    if (!status) {
        e->parameters = ap_params_elements(ap_engine_params(m.engine));
        double values = (double)ap_params_length(ap_engine_params(m.engine)) * sizeof(float);
        e->model_bytes = values + (double)ap_params_length(ap_engine_state(m.engine)) * sizeof(float);
        for (int i = 0; i < ap_trial_host_blobs(m.host); i++) {
            ap_blob blob;
            ap_trial_host_blob(m.host, i, &blob);
            e->optimizer_bytes += (double)blob.n * (double)ap_dtype_size(blob.type);
        }
        int arrays = 1; /* log2 of the local shards, plus one */
        for (int64_t local = job->settings.shards / ranks; local > 1; local /= 2) arrays++;
        e->gradient_bytes = (double)ap_params_gradient_length(ap_engine_params(m.engine)) * sizeof(float) * arrays;
        status = measure(&m, folder, steps < most_steps ? steps : most_steps, pass, e, error);
    }
    destroy(&m);
    return status;
}

double ap_estimate_memory(const ap_estimate *e) {
    double known = e->process_bytes + e->model_bytes + e->optimizer_bytes + e->gradient_bytes;
    return isnan(e->activation_bytes) ? known : known + e->activation_bytes;
}
