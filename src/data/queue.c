#include "data/queue.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One global batch's local shards. The ring has one slot more than `ahead`: the one the caller looks at. */
typedef struct slot {
    ap_batch *batch; /* [local_shards] */
    ap_status status;
    ap_error error;
} slot;

struct ap_queue {
    ap_queue_options options;
    int64_t examples; /* N */
    ap_example *example;
    int64_t room; /* of example[]: the largest shard */
    int slots;
    slot *slot;
    pthread_t thread;
    bool started; /* the thread runs */
    atomic_bool stop;
    int64_t waited_ns;
    ap_dynamic_batch *dynamic; /* with a budget; at the first shard of the next batch that the thread makes */

    pthread_mutex_t mutex; /* guards the two counts; slots [taken, made) belong to the caller, the rest to the thread */
    pthread_cond_t made_one, took_one;
    int64_t made, taken; /* batches since first_batch; the caller still looks at batch taken - 1 */
};

static int64_t shard_begin(const ap_queue_options *o, int shard) {
    /* floor(shard B / S) without overflow for any B */
    int64_t whole = o->global_batch / o->shards, rest = o->global_batch % o->shards;
    return whole * shard + rest * shard / o->shards;
}

int64_t ap_queue_index(uint64_t seed, int64_t examples, int64_t global_batch, int64_t t, int64_t i) {
    int64_t per_epoch = examples / global_batch;
    ap_random stream = ap_random_stream(seed, AP_RANDOM_SHUFFLE, (uint64_t)(t / per_epoch), 0);
    return ap_random_permute(&stream, examples, t % per_epoch * global_batch + i);
}

/* ---- the thread */

/* index: of the examples; NULL: those that the shard has of batch t. */
static ap_status make_shard(ap_queue *queue, int64_t t, int shard, const int64_t *index, int64_t n, int64_t first,
                            ap_batch *batch, ap_error *error) {
    const ap_queue_options *o = &queue->options;
    const int64_t begin = shard_begin(o, shard);
    for (int64_t i = 0; i < n; i++) {
        if (atomic_load_explicit(&queue->stop, memory_order_relaxed)) return AP_OK;
        const int64_t at = index ? index[i] : ap_queue_index(o->seed, queue->examples, o->global_batch, t, begin + i);
        AP_TRY(ap_dataset_read(o->dataset, AP_TRAIN, at, &queue->example[i], error));
    }
    ap_collate_key key = {.seed = o->seed, .step = t, .shard = shard, .training = true, .first = first};
    ap_batch_clear(batch);
    return o->collate(o->model, &key, n, queue->example, n, batch, error);
}

static bool is_local(const ap_queue_options *o, int shard) {
    return shard >= o->first_shard && shard < o->first_shard + o->local_shards;
}

/* All shards of the batch are cut, the local ones are made. */
static ap_status make_dynamic(ap_queue *queue, int64_t t, slot *s, int *shard) {
    const ap_queue_options *o = &queue->options;
    const int64_t *index;
    int64_t n, first;
    for (*shard = 0; *shard < o->shards; ++*shard) {
        AP_TRY(ap_dynamic_batch_next(queue->dynamic, &index, &n, &first, &s->error));
        if (is_local(o, *shard))
            AP_TRY(make_shard(queue, t, *shard, index, n, first, &s->batch[*shard - o->first_shard], &s->error));
    }
    return AP_OK;
}

static ap_status make_fixed(ap_queue *queue, int64_t t, slot *s, int *shard) {
    const ap_queue_options *o = &queue->options;
    for (int i = 0; i < o->local_shards; i++) {
        *shard = o->first_shard + i;
        const int64_t n = shard_begin(o, *shard + 1) - shard_begin(o, *shard);
        AP_TRY(make_shard(queue, t, *shard, NULL, n, 0, &s->batch[i], &s->error));
    }
    return AP_OK;
}

/* The shards before the first batch are cut and thrown away. */
static ap_status skip_to_first(ap_queue *queue, ap_error *error) {
    const ap_queue_options *o = &queue->options;
    const int64_t *index;
    int64_t n, begin;
    for (int64_t k = 0; queue->dynamic && k < o->first_batch * o->shards; k++) {
        if (atomic_load_explicit(&queue->stop, memory_order_relaxed)) break;
        AP_TRY(ap_dynamic_batch_next(queue->dynamic, &index, &n, &begin, error));
    }
    return AP_OK;
}

static void make_batch(ap_queue *queue, int64_t t, slot *s) {
    int shard = 0;
    s->status = t == queue->options.first_batch ? skip_to_first(queue, &s->error) : AP_OK;
    if (s->status == AP_OK)
        s->status = queue->dynamic ? make_dynamic(queue, t, s, &shard) : make_fixed(queue, t, s, &shard);
    if (s->status != AP_OK) ap_context(&s->error, "training batch %" PRId64 ", shard %d", t, shard);
}

static void *run(void *argument) {
    ap_queue *queue = argument;
    ap_status status = AP_OK;
    for (int64_t k = 0; status == AP_OK; k++) {
        /* Slot k mod slots is free once the caller has asked for batch k - slots + 1, the one after its last tenant. */
        pthread_mutex_lock(&queue->mutex);
        while (!atomic_load(&queue->stop) && k - queue->taken >= queue->slots - 1)
            pthread_cond_wait(&queue->took_one, &queue->mutex);
        pthread_mutex_unlock(&queue->mutex);
        if (atomic_load(&queue->stop)) break;

        slot *s = &queue->slot[k % queue->slots];
        make_batch(queue, queue->options.first_batch + k, s);
        status = s->status; /* the last batch is a failed one: its error is all that can be had from then on */

        pthread_mutex_lock(&queue->mutex);
        queue->made = k + 1;
        pthread_cond_signal(&queue->made_one);
        pthread_mutex_unlock(&queue->mutex);
    }
    return NULL;
}

/* Signals are the main thread's business (checkpoint and requeue): the new thread inherits a mask that blocks all. */
static ap_status start_thread(ap_queue *queue, ap_error *error) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&queue->thread, NULL, run, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code)
        return ap_fail(error, AP_ENVIRONMENT,
                       "cannot start the input thread (error %d); is the limit on processes reached?", code);
    queue->started = true;
    return AP_OK;
}

/* ---- the caller's side */

static ap_status check_options(const ap_queue_options *o, int64_t examples, ap_error *error) {
    if (o->shards < 1 || o->first_shard < 0 || o->local_shards < 1 || o->local_shards > o->shards - o->first_shard ||
        o->first_batch < 0 || o->ahead < 0)
        return ap_fail(error, AP_BUG, "input queue: shards [%d, %d + %d) of %d, batch %" PRId64 ", %d ahead",
                       o->first_shard, o->first_shard, o->local_shards, o->shards, o->first_batch, o->ahead);
    if (o->global_batch < o->shards || o->global_batch > examples)
        return ap_fail(error, AP_CONFIG,
                       "global batch size %" PRId64 " (must be at least the number of shards, %d, and at most the "
                       "number of training examples, %" PRId64 "); change the batch size or the job's shards",
                       o->global_batch, o->shards, examples);
    return AP_OK;
}

static ap_status allocate(ap_queue *queue, ap_error *error) {
    const ap_queue_options *o = &queue->options;
    size_t shards = (size_t)o->local_shards, slots = (size_t)queue->slots;
    queue->room = queue->dynamic ? ap_dynamic_batch_most(queue->dynamic) : o->global_batch / o->shards + 1;
    queue->example = calloc((size_t)queue->room, sizeof *queue->example);
    queue->slot = calloc(slots, sizeof *queue->slot);
    bool fine = queue->example && queue->slot;
    for (size_t i = 0; fine && i < slots; i++) {
        slot *s = &queue->slot[i];
        s->batch = calloc(shards, sizeof *s->batch);
        fine = s->batch != NULL;
    }
    return fine ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "input queue: out of memory");
}

ap_status ap_queue_create(const ap_queue_options *options, ap_queue **result, ap_error *error) {
    int64_t examples = ap_dataset_count(options->dataset, AP_TRAIN);
    if (options->examples && options->examples < examples) examples = options->examples;
    AP_TRY(check_options(options, examples, error));
    ap_queue *queue = calloc(1, sizeof *queue);
    if (!queue) return ap_fail(error, AP_ENVIRONMENT, "input queue: out of memory");
    queue->options = *options;
    queue->examples = examples;
    queue->slots = (options->ahead ? options->ahead : 2) + 1;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->made_one, NULL);
    pthread_cond_init(&queue->took_one, NULL);
    ap_status status = AP_OK;
    if (options->budget)
        status = ap_dynamic_batch_create(options->dataset, examples, options->budget, options->model, options->seed,
                                         options->global_batch / options->shards, &queue->dynamic, error);
    if (status == AP_OK) status = allocate(queue, error);
    if (status == AP_OK) status = start_thread(queue, error);
    if (status != AP_OK) {
        ap_queue_destroy(queue);
        return status;
    }
    *result = queue;
    return AP_OK;
}

void ap_queue_destroy(ap_queue *queue) {
    if (!queue) return;
    if (queue->started) {
        pthread_mutex_lock(&queue->mutex);
        atomic_store(&queue->stop, true);
        pthread_cond_signal(&queue->took_one);
        pthread_mutex_unlock(&queue->mutex);
        pthread_join(queue->thread, NULL);
    }
    for (int i = 0; queue->slot && i < queue->slots; i++) {
        slot *s = &queue->slot[i];
        for (int k = 0; s->batch && k < queue->options.local_shards; k++) ap_batch_free(&s->batch[k]);
        free(s->batch);
    }
    for (int64_t i = 0; queue->example && i < queue->room; i++) ap_example_free(&queue->example[i]);
    ap_dynamic_batch_destroy(queue->dynamic);
    free(queue->slot);
    free(queue->example);
    pthread_cond_destroy(&queue->took_one);
    pthread_cond_destroy(&queue->made_one);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

ap_status ap_queue_next(ap_queue *queue, const ap_batch **batches, int64_t *number, ap_error *error) {
    pthread_mutex_lock(&queue->mutex);
    if (queue->made == queue->taken) {
        int64_t start = ap_clock_ns();
        while (queue->made == queue->taken) pthread_cond_wait(&queue->made_one, &queue->mutex);
        queue->waited_ns += ap_clock_ns() - start;
    }
    int64_t k = queue->taken;
    slot *s = &queue->slot[k % queue->slots];
    if (s->status == AP_OK) {
        queue->taken++;
        pthread_cond_signal(&queue->took_one);
    }
    pthread_mutex_unlock(&queue->mutex);
    if (s->status != AP_OK) {
        if (error) *error = s->error;
        return s->status;
    }
    *batches = s->batch;
    *number = queue->options.first_batch + k;
    return AP_OK;
}

double ap_queue_waited_s(const ap_queue *queue) {
    return ap_clock_s(queue->waited_ns);
}
