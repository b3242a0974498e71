/* dummy: a linear classifier on eight numbers, trained in an instant. It exists to test the harness: it can sleep,
 * fail, emit NaN, flip a bit of a parameter, hang, stop or crash on a chosen rank and step. */
#include "workload/workload.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FEATURES = 8, CLASSES = 2 };

typedef struct dummy_model {
    double sleep_ms;
    char *fault, *once;
    int64_t fault_rank, fault_step;
} dummy_model;

static const char *const faults[] = {"none", "fail",  "nan",  "inf", "nan_gradient", "flip", "hang",
                                     "stop", "crash", "exit", NULL};
static const ap_option options[] = {
    {"sleep_ms", AP_OPTION_FLOAT, offsetof(dummy_model, sleep_ms), .max = 1e6, .fallback = "0",
     .help = "time a shard's forward pass sleeps, ms"},
    {"fault", AP_OPTION_STRING, offsetof(dummy_model, fault), .choices = faults, .fallback = "none",
     .help = "what goes wrong"},
    {"fault_rank", AP_OPTION_INT, offsetof(dummy_model, fault_rank), .max = 1e6, .fallback = "0",
     .help = "rank of the group it happens on"},
    {"fault_step", AP_OPTION_INT, offsetof(dummy_model, fault_step), .min = 1, .max = 1e15, .fallback = "1",
     .help = "training step it happens in"},
    {"once", AP_OPTION_STRING, offsetof(dummy_model, once), .fallback = "",
     .help = "file made when it happens; it does not happen again while the file is there"},
};

static ap_status define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    (void)model, (void)state;
    AP_TRY(ap_params_add(params, "layer.weight", 2, (int64_t[]){CLASSES, FEATURES}, ap_init_uniform_fan_in(FEATURES),
                         error));
    return ap_params_add(params, "layer.bias", 1, (int64_t[]){CLASSES}, ap_init_constant(0), error);
}

/* ---- faults */

static bool fault_is_due(const dummy_model *m, const ap_pass *pass) {
    if (!pass->training || !strcmp(m->fault, "none")) return false;
    if (pass->rank != m->fault_rank || pass->step / 256 != m->fault_step - 1 || pass->step < 0) return false;
    if (!*m->once) return true;
    int file = open(m->once, O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (file < 0) return false;
    close(file);
    return true;
}

static void spoil_gradient(ap_tape *tape, ap_tensor *y, void *context) {
    ap_tensor *x = context;
    bool accumulate;
    float *grad = ap_tape_grad(tape, x, &accumulate);
    for (int64_t i = 0; grad && i < x->size; i++) grad[i] = accumulate ? grad[i] + y->grad[i] : y->grad[i];
    if (grad) grad[0] = NAN;
}

/* The same values, but their gradient will not be a number. */
static ap_tensor *with_spoilt_gradient(ap_tape *tape, ap_tensor *x) {
    ap_tensor *y = x ? ap_tape_tensor(tape, x->rank, x->shape) : NULL;
    if (!y) return NULL;
    memcpy(y->data, x->data, (size_t)x->size * sizeof *x->data);
    ap_tape_record(tape, spoil_gradient, y, x, 1, &x);
    return y;
}

/* A memory error in this rank's parameters. Added, as it happens once a shard: a second flip would mend it. */
static void flip_a_bit(float *value) {
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    bits += 1U << 20;
    memcpy(value, &bits, sizeof bits);
}

static void *misbehave(const dummy_model *m, ap_tape *tape, ap_tensor *logits) {
    if (!strcmp(m->fault, "fail")) return ap_tape_fail(tape, "dummy: a failure was asked for");
    if (!strcmp(m->fault, "nan") && logits) logits->data[0] = NAN;
    for (int64_t i = 0; !strcmp(m->fault, "inf") && logits && i < logits->size; i += CLASSES)
        logits->data[i] = -INFINITY;
    if (!strcmp(m->fault, "nan_gradient")) return with_spoilt_gradient(tape, logits);
    if (!strcmp(m->fault, "flip")) flip_a_bit(ap_tape_param(tape, 0)->data);
    if (!strcmp(m->fault, "stop")) raise(SIGSTOP);
    if (!strcmp(m->fault, "crash")) raise(SIGKILL);
    if (!strcmp(m->fault, "exit")) _exit(3);
    while (!strcmp(m->fault, "hang")) pause();
    return logits;
}

static void sleep_ms(double ms) {
    if (ms <= 0) return;
    struct timespec t = {.tv_sec = (time_t)(ms / 1e3), .tv_nsec = (long)(fmod(ms, 1e3) * 1e6)};
    nanosleep(&t, NULL);
}

/* ---- model */

static ap_tensor *forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const dummy_model *m = model;
    const ap_pass *pass = ap_tape_pass(tape);
    ap_tensor *x = ap_tape_input(tape, ap_batch_f32(batch, "inputs"), 2, (int64_t[]){batch->examples, FEATURES});
    ap_tensor *logits = ap_linear(tape, x, ap_tape_param(tape, 0), ap_tape_param(tape, 1));
    if (pass->training && pass->step >= 0) sleep_ms(m->sleep_ms);
    return fault_is_due(m, pass) ? misbehave(m, tape, logits) : logits;
}

static ap_loss loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                    const ap_loss_options *o) {
    (void)model;
    return ap_softmax_cross_entropy(tape, logits, ap_batch_i64(batch, "targets"), ap_batch_f32(batch, "weights"),
                                    o->label_smoothing);
}

enum { HITS, SUMMED, VALID, SUMS };
static void evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums) {
    const int64_t *targets = ap_batch_i64(batch, "targets");
    ap_loss l = loss(model, tape, logits, batch, &(ap_loss_options){0});
    for (int64_t i = 0; i < batch->real_examples; i++)
        sums[HITS] += (logits->data[i * CLASSES + 1] > logits->data[i * CLASSES]) == targets[i];
    sums[SUMMED] += l.summed;
    sums[VALID] += l.n_valid;
}
static void metrics(const double *sums, int64_t examples, double *out) {
    out[0] = sums[HITS] / (double)examples;
    out[1] = sums[SUMMED] / sums[VALID];
}

/* ---- data: two clouds that overlap a little */

static const ap_field fields[] = {{.name = "inputs", .type = AP_F32, .rank = 1, .shape = {FEATURES}},
                                  {.name = "targets", .type = AP_U8}};

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    (void)model;
    AP_TRY(ap_example_reserve(example, 2, fields, NULL, error));
    ap_random r = ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split);
    uint8_t label = (uint8_t)(ap_random_bits(&r, 1000) & 1);
    *(uint8_t *)example->data[1] = label;
    ap_random_fill_uniform(&r, 0, FEATURES, label ? -0.6f : -1.4f, 2.0f, example->data[0]);
    return AP_OK;
}
static const ap_generator generator = {
    .name = "synthetic",
    .fields = 2,
    .field = {{.name = "inputs", .type = AP_F32, .rank = 1, .shape = {FEATURES}}, {.name = "targets", .type = AP_U8}},
    .generate = generate};

static ap_status collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                         int64_t padded_to, ap_batch *batch, ap_error *error) {
    (void)model;
    batch->examples = padded_to, batch->real_examples = n;
    float *x = ap_batch_add(batch, "inputs", AP_F32, 2, (int64_t[]){padded_to, FEATURES});
    int64_t *targets = ap_batch_add(batch, "targets", AP_I64, 1, &padded_to);
    bool weighted = padded_to > n || !key->training;
    float *weights = weighted ? ap_batch_add(batch, "weights", AP_F32, 1, &padded_to) : NULL;
    if (!x || !targets || (weighted && !weights))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %lld", (long long)padded_to);
    for (int64_t i = 0; i < padded_to; i++) {
        bool real = i < n;
        for (int f = 0; f < FEATURES; f++) x[i * FEATURES + f] = real ? ((const float *)examples[i].data[0])[f] : 0;
        targets[i] = real ? *(const uint8_t *)examples[i].data[1] : 0;
        if (weighted) weights[i] = real;
    }
    return AP_OK;
}

extern const char ap_dummy_config[];
static const char *const config = ap_dummy_config;

const ap_workload ap_workload_dummy = {
    .name = "dummy",
    .summary = "an instant workload that can sleep, fail, emit NaN, hang or crash: for testing the harness",
    .source = "this program; not part of the benchmark",
    .config_text = &config,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .model_size = sizeof(dummy_model),
    .define = define,
    .forward = forward,
    .loss = loss,
    .sum_count = SUMS,
    .evaluate = evaluate,
    .metric_count = 2,
    .target_metric = 0,
    .metric_names = {"accuracy", "loss"},
    .metrics = metrics,
    .fields = 2,
    .field = {{.name = "inputs", .type = AP_F32, .rank = 1, .shape = {FEATURES}}, {.name = "targets", .type = AP_U8}},
    .collate = collate,
    .generator = &generator,
};
