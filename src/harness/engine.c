#include "harness/engine.h"

#include "base/clock.h"
#include "base/log.h"
#include "data/queue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ap_engine {
    ap_engine_options options;
    ap_params *params, *state;
    ap_tape *tape;
    ap_reducer *reducer;
    ap_row_reducer *row_reducer; /* of tables; NULL: there are none */
    ap_queue *queue;
    const ap_batch *batches; /* current, [local shards] */
    int64_t drawn, passes_ns, forward_ns, sums_ns;
    float *gradient;  /* the last sum, without tables */
    ap_rows *rows;    /* [tables] the last sum */
    float **dense;    /* [tables] the same at full size, for who asks; NULL: nobody has */
    bool *is_dense;   /* [tables] asked for since the last sum: from then on the one that counts */
    float *new_state; /* [local shards][state length] */
    double *state_doubles, *state_total;
    double *shard_sums; /* [local shards][AP_MAX_SUMS + 1] */
    int64_t examples[AP_SPLITS];
    ap_example *example; /* evaluation: one shard's examples */
    int64_t example_capacity;
    ap_batch eval_batch;
    int64_t output_count;      /* of an example; 0: the workload gathers none */
    float *outputs, *gathered; /* [examples of a split][output_count]; [ranks][most examples of one][output_count] */
    size_t outputs_room, gathered_room;
    ap_status carried; /* a failure of this rank that the others do not know yet */
    ap_error carried_error;
};

/* ---- life */

static ap_status check_batch(const ap_engine *e, int64_t train, ap_error *error) {
    int64_t batch = e->options.global_batch;
    int shards = ap_group_shards(e->options.group);
    if (batch >= shards && batch <= train) return AP_OK;
    return ap_fail(error, AP_CONFIG,
                   "global batch size %lld (must be at least the %d shards and at most the %lld training examples); "
                   "change `shards` in the job file or the submission's get_batch_size",
                   (long long)batch, shards, (long long)train);
}

/* One sum for all tensors but tables, in which tables take no room, and one for tables. */
static ap_status create_reducers(ap_engine *e, ap_error *error) {
    const int n = ap_params_count(e->params), tables = ap_params_tables(e->params);
    int64_t *offsets = calloc((size_t)n + 1, sizeof *offsets),
            *extents = calloc(2 * (size_t)tables + 1, sizeof *extents);
    e->dense = calloc((size_t)tables + 1, sizeof *e->dense);
    e->is_dense = calloc((size_t)tables + 1, sizeof *e->is_dense);
    ap_status status = AP_OK;
    if (!offsets || !extents || !e->dense || !e->is_dense)
        status = ap_fail(error, AP_ENVIRONMENT, "out of memory for the parameters");
    for (int i = 0; !status && i < n; i++) {
        const ap_param *p = ap_params_get(e->params, i);
        offsets[i] = p->gradient_offset;
        if (p->table >= 0) extents[p->table] = p->shape[0], extents[tables + p->table] = p->shape[1];
    }
    const int64_t length = ap_params_gradient_length(e->params);
    if (!status) status = ap_reducer_create(e->options.group, length, n, offsets, 0, &e->reducer, error);
    if (!status && tables)
        status = ap_row_reducer_create(e->options.group, tables, extents, extents + tables, &e->row_reducer, error);
    free(offsets);
    free(extents);
    return status;
}

static ap_status build(ap_engine *e, ap_error *error) {
    const ap_problem *p = e->options.problem;
    const ap_scale *scale = &p->scale;
    const int64_t wanted[AP_SPLITS] = {scale->train_examples, scale->validation_examples,
                                       p->has_test ? scale->test_examples : 0};
    for (int s = 0; s < AP_SPLITS; s++) {
        int64_t there = ap_dataset_count(e->options.dataset, (ap_split)s);
        e->examples[s] = there < wanted[s] ? there : wanted[s];
    }
    AP_TRY(check_batch(e, e->examples[AP_TRAIN], error));
    if (e->examples[AP_VALIDATION] == 0)
        return ap_fail(error, AP_DATA, "data set %s has no validation examples", ap_dataset_name(e->options.dataset));

    e->params = ap_params_create(), e->state = ap_params_create();
    if (!e->params || !e->state) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the parameters");
    AP_TRY(p->workload->define(p->model, e->params, e->state, error));
    AP_TRY(ap_params_allocate(e->params, error));
    AP_TRY(ap_params_allocate(e->state, error));
    ap_params_initialise(e->params, e->options.seed);
    ap_params_initialise(e->state, e->options.seed);

    AP_TRY(create_reducers(e, error));
    int local = ap_group_local_shards(e->options.group);
    size_t state = (size_t)ap_params_length(e->state);
    e->tape = ap_tape_create(e->params, e->state, e->options.math);
    e->new_state = calloc(state * (size_t)local + 1, sizeof(float));
    e->state_doubles = calloc(state * (size_t)local + 1, sizeof(double));
    e->state_total = calloc(state + 1, sizeof(double));
    e->shard_sums = calloc((size_t)local * (AP_MAX_SUMS + 2), sizeof(double));
    if (!e->tape || !e->new_state || !e->state_doubles || !e->state_total || !e->shard_sums)
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for the gradients of %lld parameters",
                       (long long)ap_params_elements(e->params));
    return AP_OK;
}

ap_status ap_engine_create(const ap_engine_options *options, ap_engine **engine, ap_error *error) {
    ap_engine *e = calloc(1, sizeof *e);
    ap_status status = e ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    if (e) {
        e->options = *options;
        status = build(e, error);
    }
    status = ap_group_agree(options->group, status, error);
    if (status) {
        ap_engine_destroy(e);
        return status;
    }
    *engine = e;
    return AP_OK;
}

void ap_engine_destroy(ap_engine *e) {
    if (!e) return;
    ap_queue_destroy(e->queue);
    for (int t = 0; e->dense && t < ap_params_tables(e->params); t++) free(e->dense[t]);
    free(e->dense);
    free(e->is_dense);
    ap_row_reducer_destroy(e->row_reducer);
    ap_reducer_destroy(e->reducer);
    ap_tape_destroy(e->tape);
    ap_params_destroy(e->params);
    ap_params_destroy(e->state);
    ap_batch_free(&e->eval_batch);
    for (int64_t i = 0; i < e->example_capacity; i++) ap_example_free(&e->example[i]);
    free(e->example);
    free(e->outputs);
    free(e->gathered);
    free(e->new_state);
    free(e->state_doubles);
    free(e->state_total);
    free(e->shard_sums);
    free(e);
}

ap_params *ap_engine_params(ap_engine *engine) {
    return engine->params;
}
ap_params *ap_engine_state(ap_engine *engine) {
    return engine->state;
}
/* The gradient of table p at full size, made of its rows. */
static float *dense_gradient(ap_engine *e, const ap_param *p) {
    float *dense = e->dense[p->table];
    if (e->is_dense[p->table]) return dense;
    const size_t bytes = (size_t)p->size * sizeof *dense;
    if (!dense) {
        ap_log(AP_GLOBAL, AP_LOG_INFO,
               "the gradient of table %s is asked for at full size: %.1f MiB in place of the rows that a batch touches",
               p->name, (double)bytes / 1048576);
        dense = e->dense[p->table] = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
        if (!dense) return NULL;
    }
    const ap_rows *rows = &e->rows[p->table];
    memset(dense, 0, bytes);
    for (int64_t i = 0; i < rows->count; i++)
        memcpy(dense + rows->row[i] * rows->columns, rows->values + i * rows->columns,
               (size_t)rows->columns * sizeof *dense);
    e->is_dense[p->table] = true;
    return dense;
}

float *ap_engine_gradient(ap_engine *engine, int param) {
    const ap_param *p = ap_params_get(engine->params, param);
    if (!engine->gradient) return NULL;
    return p->table < 0 ? engine->gradient + p->gradient_offset : dense_gradient(engine, p);
}

bool ap_engine_has_gradient(const ap_engine *engine) {
    return engine->gradient != NULL;
}

ap_rows *ap_engine_gradient_rows(ap_engine *engine, int param) {
    const int table = ap_params_get(engine->params, param)->table;
    return engine->gradient && table >= 0 && !engine->is_dense[table] ? &engine->rows[table] : NULL;
}

int64_t ap_engine_examples(const ap_engine *engine, int split) {
    int64_t n = engine->examples[split], subset = engine->options.problem->scale.eval_train_examples;
    return split == AP_TRAIN && subset < n ? subset : n;
}

int64_t ap_engine_train_examples(const ap_engine *engine) {
    return engine->examples[AP_TRAIN];
}

/* ---- batches */

ap_status ap_engine_start(ap_engine *engine, int64_t first_batch, ap_error *error) {
    const ap_engine_options *o = &engine->options;
    ap_queue_options options = {
        .dataset = o->dataset,
        .examples = engine->examples[AP_TRAIN],
        .collate = o->problem->workload->collate,
        .model = o->problem->model,
        .budget = o->problem->workload->budget,
        .seed = o->seed,
        .global_batch = o->global_batch,
        .shards = ap_group_shards(o->group),
        .first_shard = ap_group_first_shard(o->group),
        .local_shards = ap_group_local_shards(o->group),
        .first_batch = first_batch,
    };
    engine->drawn = first_batch;
    return ap_queue_create(&options, &engine->queue, error);
}

static void carry(ap_engine *e, ap_status status, const ap_error *error) {
    if (e->carried) return;
    e->carried = status;
    e->carried_error = *error;
}

void ap_engine_next_batch(ap_engine *engine) {
    ap_error error = {0};
    int64_t number = 0;
    ap_status status = ap_queue_next(engine->queue, &engine->batches, &number, &error);
    if (!status && number != engine->drawn)
        status = ap_fail(&error, AP_BUG, "the queue gave batch %lld, expected %lld", (long long)number,
                         (long long)engine->drawn);
    if (status) carry(engine, status, &error);
    engine->drawn++;
}

/* Some rank carries a failure: all return it. Collective. */
static ap_status agree_on_carried(ap_engine *e, ap_error *error) {
    ap_error local = e->carried_error;
    ap_status status = ap_group_agree(e->options.group, e->carried, &local);
    if (!status) status = ap_fail(&local, AP_BUG, "a shard failed and no rank knows why");
    if (error) *error = local;
    return status;
}

int64_t ap_engine_batches_drawn(const ap_engine *engine) {
    return engine->drawn;
}

/* ---- loss and gradient */

static void parameter_done(void *user, int index) {
    ap_engine *e = user;
    ap_reducer_parameter_done(e->reducer, index);
}
static void progress(void *user) {
    ap_engine *e = user;
    ap_reducer_progress(e->reducer);
}

/* One local shard: sums[0] = summed loss, sums[1] = n_valid. */
static ap_status run_shard(ap_engine *e, int s, int64_t step, int call, const ap_loss_request *request, double *sums,
                           ap_error *error) {
    const ap_problem *p = e->options.problem;
    size_t state_length = (size_t)ap_params_length(e->state);
    ap_pass pass = {
        .training = true,
        .wants_grad = !request->no_gradient,
        .update_state = state_length > 0 && !request->keep_state,
        .dropout_rate = request->dropout_rate,
        .seed = e->options.seed,
        .step = step * 256 + call,
        .shard = ap_group_first_shard(e->options.group) + s,
        .rank = ap_group_rank(e->options.group),
        .gradients = request->no_gradient ? NULL : ap_reducer_shard_buffer(e->reducer, s),
        .rows = e->row_reducer && !request->no_gradient ? ap_row_reducer_shard_rows(e->row_reducer, s) : NULL,
        .new_state = state_length ? e->new_state + (size_t)s * state_length : NULL,
        .parameter_done = parameter_done,
        .progress = progress,
        .user = e,
    };
    if (pass.update_state) memcpy(pass.new_state, ap_params_values(e->state), state_length * sizeof(float));
    ap_tape_begin(e->tape, &pass);
    const ap_batch *batch = &e->batches[s];
    ap_loss_options options = {.label_smoothing = request->label_smoothing};
    const int64_t start = ap_clock_ns();
    ap_loss loss =
        p->workload->loss(p->model, e->tape, p->workload->forward(p->model, e->tape, batch), batch, &options);
    e->forward_ns += ap_clock_ns() - start;
    AP_TRY(ap_tape_status(e->tape, error));
    sums[0] = loss.summed, sums[1] = loss.n_valid;
    return pass.wants_grad ? ap_tape_backward(e->tape, error) : AP_OK;
}

/* The model's state after a step is the mean over shards of each shard's updated state (running statistics of virtual
 * devices). Collective. */
static ap_status merge_state(ap_engine *e, ap_error *error) {
    size_t n = (size_t)ap_params_length(e->state);
    int local = ap_group_local_shards(e->options.group);
    double shards = ap_group_shards(e->options.group);
    for (size_t i = 0; i < n * (size_t)local; i++) e->state_doubles[i] = (double)e->new_state[i];
    AP_TRY(ap_group_sum_shards(e->options.group, e->state_doubles, (int)n, e->state_total, error));
    float *values = ap_params_values(e->state);
    for (size_t i = 0; i < n; i++) values[i] = (float)(e->state_total[i] / shards);
    ap_params_changed(e->state);
    return AP_OK;
}

static void begin_sums(ap_engine *e) {
    ap_reducer_begin(e->reducer);
    if (e->row_reducer) ap_row_reducer_begin(e->row_reducer);
}
static void end_shard(ap_engine *e, int s) {
    ap_reducer_shard_end(e->reducer, s);
    if (!e->row_reducer) return;
    if (e->carried) ap_row_reducer_shard_rows(e->row_reducer, s); /* empty: what a failed pass left is no gradient */
    ap_row_reducer_shard_end(e->row_reducer, s);
}
static ap_status finish_sums(ap_engine *e, float scale, ap_error *error) {
    AP_TRY(ap_reducer_finish(e->reducer, scale, &e->gradient, error));
    if (!e->row_reducer) return AP_OK;
    for (int t = 0; t < ap_params_tables(e->params); t++) e->is_dense[t] = false;
    return ap_row_reducer_finish(e->row_reducer, scale, &e->rows, error);
}

ap_status ap_engine_loss_and_gradient(ap_engine *engine, int64_t step, int call, const ap_loss_request *request,
                                      double *loss, ap_error *error) {
    ap_engine *e = engine;
    enum { SUMMED, VALID, FAILED, N };
    int local = ap_group_local_shards(e->options.group);
    double total[N];
    memset(e->shard_sums, 0, (size_t)local * N * sizeof(double));
    if (!request->no_gradient) begin_sums(e);
    for (int s = 0; s < local; s++) {
        double *sums = e->shard_sums + s * N;
        ap_error failure = {0};
        if (!e->carried) {
            int64_t begin = ap_clock_ns();
            ap_status status = run_shard(e, s, step, call, request, sums, &failure);
            e->passes_ns += ap_clock_ns() - begin;
            if (status) carry(e, status, &failure);
        }
        sums[FAILED] = e->carried ? 1 : 0;
        if (!request->no_gradient) end_shard(e, s);
    }
    int64_t start = ap_clock_ns();
    AP_TRY(ap_group_sum_shards(e->options.group, e->shard_sums, N, total, error));
    e->sums_ns += ap_clock_ns() - start;
    if (total[FAILED] > 0) {
        float *unused; /* messages of the sum are under way into the reducer's arrays: they must arrive first */
        if (!request->no_gradient) AP_TRY(ap_reducer_finish(e->reducer, 1, &unused, error));
        if (error && e->carried) *error = e->carried_error;
        ap_status status = ap_group_agree(e->options.group, e->carried, error);
        return status ? status : ap_fail(error, AP_BUG, "a shard failed and no rank knows why");
    }
    *loss = total[SUMMED] / total[VALID];
    if (!request->no_gradient) AP_TRY(finish_sums(e, (float)(1.0 / total[VALID]), error));
    if (ap_params_length(e->state) && !request->keep_state) AP_TRY(merge_state(e, error));
    return AP_OK;
}

/* ---- evaluation */

static ap_status reserve_examples(ap_engine *e, int64_t n, ap_error *error) {
    if (n <= e->example_capacity) return AP_OK;
    ap_example *grown = realloc(e->example, (size_t)n * sizeof *grown);
    if (!grown) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %lld evaluation examples", (long long)n);
    memset(grown + e->example_capacity, 0, (size_t)(n - e->example_capacity) * sizeof *grown);
    e->example = grown;
    e->example_capacity = n;
    return AP_OK;
}

/* Index in its split of example i of an evaluation: the training subset is a keyed choice, the same for every trial of
 * a job seed. */
static int64_t eval_index(const ap_engine *e, int split, int64_t i) {
    if (split != AP_TRAIN) return i;
    ap_random stream = ap_random_stream(0, AP_RANDOM_EVAL_TRAIN, 0, 0);
    return ap_random_permute(&stream, e->examples[AP_TRAIN], i);
}

/* Examples [begin, end) of a split in one pass of a shard: adds to sums, fills in their outputs. */
static ap_status evaluate_pass(ap_engine *e, int split, int shard, int64_t begin, int64_t end, double *sums,
                               ap_error *error) {
    const ap_workload *w = e->options.problem->workload;
    const void *model = e->options.problem->model;
    int64_t n = end - begin;
    AP_TRY(reserve_examples(e, n, error));
    for (int64_t i = 0; i < n; i++)
        AP_TRY(ap_dataset_read(e->options.dataset, (ap_split)split, eval_index(e, split, begin + i), &e->example[i],
                               error));
    ap_collate_key key = {.seed = e->options.seed, .shard = shard, .split = (ap_split)split};
    ap_batch_clear(&e->eval_batch);
    AP_TRY(w->collate(model, &key, n, e->example, n, &e->eval_batch, error));
    ap_pass pass = {.seed = e->options.seed, .shard = shard, .rank = ap_group_rank(e->options.group)};
    ap_tape_begin(e->tape, &pass);
    ap_tensor *logits = w->forward(model, e->tape, &e->eval_batch);
    AP_TRY(ap_tape_status(e->tape, error));
    w->evaluate(model, e->tape, logits, &e->eval_batch, sums);
    if (e->output_count) w->outputs(model, logits, &e->eval_batch, e->outputs + begin * e->output_count);
    return ap_tape_status(e->tape, error);
}

/* The same for what a shard has of a batch, pass by pass. */
static ap_status evaluate_shard(ap_engine *e, int split, int shard, int64_t begin, int64_t end, double *sums,
                                ap_error *error) {
    const int64_t most = e->options.problem->workload->most_examples_a_pass;
    while (begin < end) {
        const int64_t stop = most && end - begin > most ? begin + most : end;
        AP_TRY(evaluate_pass(e, split, shard, begin, stop, sums, error));
        begin = stop;
    }
    return AP_OK;
}

/* ---- outputs of examples */

static bool grow(float **memory, size_t *room, size_t floats) {
    if (floats <= *room) return true;
    free(*memory);
    *memory = malloc(floats * sizeof **memory);
    *room = *memory ? floats : 0;
    return *memory != NULL;
}

/* What a rank has of a batch of `size` examples begins here, counted from the batch's first. */
static int64_t rank_begin(const ap_engine *e, int rank, int64_t size) {
    const int shards = ap_group_shards(e->options.group), local = ap_group_local_shards(e->options.group);
    return size * rank * local / shards;
}

static ap_status reserve_outputs(ap_engine *e, int64_t examples, ap_error *error) {
    const ap_problem *p = e->options.problem;
    const int ranks = ap_group_ranks(e->options.group);
    e->output_count = p->workload->output_count ? p->workload->output_count(p->model) : 0;
    const size_t count = (size_t)e->output_count, most = (size_t)(p->scale.eval_batch_size / ranks + 1);
    if (grow(&e->outputs, &e->outputs_room, (size_t)examples * count) &&
        (ranks == 1 || grow(&e->gathered, &e->gathered_room, (size_t)ranks * most * count)))
        return AP_OK;
    return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu outputs of each of %lld evaluated examples", count,
                   (long long)examples);
}

/* The outputs of a batch's examples on all ranks, in their order. Collective. */
static ap_status gather_outputs(ap_engine *e, int64_t start, int64_t size, ap_error *error) {
    const int ranks = ap_group_ranks(e->options.group), rank = ap_group_rank(e->options.group);
    if (!e->output_count || ranks == 1) return AP_OK;
    const size_t bytes = (size_t)e->output_count * sizeof(float), most = (size_t)(size / ranks + 1) * bytes;
    char *all = (char *)e->gathered, *outputs = (char *)(e->outputs + start * e->output_count);
    const int64_t mine = rank_begin(e, rank, size);
    memcpy(all + (size_t)rank * most, outputs + (size_t)mine * bytes,
           (size_t)(rank_begin(e, rank + 1, size) - mine) * bytes);
    AP_TRY(ap_group_allgather(e->options.group, all + (size_t)rank * most, most, all, error));
    for (int r = 0; r < ranks; r++) {
        const int64_t begin = rank_begin(e, r, size);
        memcpy(outputs + (size_t)begin * bytes, all + (size_t)r * most,
               (size_t)(rank_begin(e, r + 1, size) - begin) * bytes);
    }
    return AP_OK;
}

/* One split: global evaluation batches in order, each cut into shards; shard sums go through the fixed tree, batches
 * add up in order. Collective. */
static ap_status evaluate_split(ap_engine *e, int split, double *metrics, ap_error *error) {
    const ap_problem *p = e->options.problem;
    const int sum_count = p->workload->sum_count, failed = sum_count, stopped = failed + 1, n = stopped + 1;
    int shards = ap_group_shards(e->options.group), first = ap_group_first_shard(e->options.group);
    int local = ap_group_local_shards(e->options.group);
    int64_t examples = ap_engine_examples(e, split), batch = p->scale.eval_batch_size;
    double total[AP_MAX_SUMS + 2], sums[AP_MAX_SUMS + 2] = {0};
    ap_error no_room = {0};
    if (!e->carried && reserve_outputs(e, examples, &no_room)) carry(e, no_room.status, &no_room);
    for (int64_t start = 0; start < examples; start += batch) {
        int64_t size = examples - start < batch ? examples - start : batch;
        memset(e->shard_sums, 0, (size_t)(local * n) * sizeof(double));
        for (int s = 0; s < local; s++) {
            int shard = first + s;
            ap_error failure = {0};
            ap_status status =
                e->carried ? e->carried
                           : evaluate_shard(e, split, shard, start + size * shard / shards,
                                            start + size * (shard + 1) / shards, e->shard_sums + s * n, &failure);
            if (status) carry(e, status, &failure);
            e->shard_sums[s * n + failed] = status ? 1 : 0;
        }
        e->shard_sums[stopped] = e->options.interrupted && e->options.interrupted() ? 1 : 0;
        AP_TRY(ap_group_sum_shards(e->options.group, e->shard_sums, n, total, error));
        if (total[failed] > 0) return agree_on_carried(e, error);
        if (total[stopped] > 0) return ap_fail(error, AP_INTERRUPTED, "an evaluation was left by a signal");
        for (int i = 0; i < sum_count; i++) sums[i] += total[i];
        AP_TRY(gather_outputs(e, start, size, error));
    }
    p->workload->metrics(sums, examples, metrics);
    if (e->output_count) p->workload->output_metrics(p->model, examples, e->outputs, metrics);
    return AP_OK;
}

ap_status ap_engine_evaluate(ap_engine *engine, double metrics[AP_SPLITS][AP_MAX_METRICS], ap_error *error) {
    for (int split = 0; split < AP_SPLITS; split++) {
        for (int m = 0; m < AP_MAX_METRICS; m++) metrics[split][m] = NAN;
        if (engine->examples[split]) AP_TRY(evaluate_split(engine, split, metrics[split], error));
    }
    return AP_OK;
}

/* ---- warm-up */

/* A step that no trial reaches: its random numbers are nobody else's. */
static const int64_t warm_up_step = (int64_t)1 << 40;

ap_status ap_engine_warm_up(ap_engine *engine, ap_error *error) {
    ap_loss_request request = {.keep_state = true};
    double loss;
    AP_TRY(ap_group_agree(engine->options.group, ap_engine_start(engine, 0, error), error));
    for (int i = 0; i < 3; i++) { /* enough for every buffer of the queue's ring to have been used */
        ap_engine_next_batch(engine);
        AP_TRY(ap_engine_loss_and_gradient(engine, warm_up_step, 0, &request, &loss, error));
    }
    ap_queue_destroy(engine->queue);
    engine->queue = NULL;
    engine->batches = NULL;
    engine->drawn = 0;
    return AP_OK;
}

ap_engine_statistics ap_engine_get_statistics(const ap_engine *engine) {
    return (ap_engine_statistics){.data_wait_s = engine->queue ? ap_queue_waited_s(engine->queue) : 0,
                                  .passes_s = ap_clock_s(engine->passes_ns),
                                  .forward_s = ap_clock_s(engine->forward_ns),
                                  .sums_s = ap_clock_s(engine->sums_ns),
                                  .reduction = ap_reducer_get_statistics(engine->reducer),
                                  .tables = engine->row_reducer ? ap_row_reducer_get_statistics(engine->row_reducer)
                                                                : (ap_row_reducer_statistics){0}};
}

size_t ap_engine_activation_bytes(const ap_engine *engine) {
    return ap_arena_peak_bytes(ap_tape_arena(engine->tape));
}
