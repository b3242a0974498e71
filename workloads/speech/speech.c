#include "workloads/speech/speech.h"

#include "workloads/speech/features.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 160, KERNEL = 3, STRIDE = 2 };

/* ---- parameters */

/* Names of layers are short; one that is cut off would be refused as a repeated one. */
static void join(char *full, const char *prefix, const char *name) {
    snprintf(full, NAME, "%.*s.%s", NAME / 2, prefix, name);
}

ap_status ap_speech_add_weight(const ap_speech_definition *d, const char *prefix, const char *name, int rank,
                               const int64_t *shape) {
    char full[NAME];
    int64_t field = 1;
    for (int i = 2; i < rank; i++) field *= shape[i];
    join(full, prefix, name);
    return ap_params_add(d->params, full, rank, shape, ap_init_xavier_uniform(shape[1] * field, shape[0] * field),
                         d->error);
}

ap_status ap_speech_add_zeros(const ap_speech_definition *d, const char *prefix, const char *name, int64_t size) {
    char full[NAME];
    join(full, prefix, name);
    return ap_params_add(d->params, full, 1, &size, ap_init_constant(0), d->error);
}

ap_status ap_speech_add_linear(const ap_speech_definition *d, const char *prefix, int64_t out, int64_t in) {
    AP_TRY(ap_speech_add_weight(d, prefix, "weight", 2, (int64_t[]){out, in}));
    return ap_speech_add_zeros(d, prefix, "bias", out);
}

ap_status ap_speech_add_norm(const ap_speech_definition *d, const char *prefix, const char *scale, int64_t size,
                             bool running) {
    char full[NAME];
    AP_TRY(ap_speech_add_zeros(d, prefix, scale, size));
    AP_TRY(ap_speech_add_zeros(d, prefix, "bias", size));
    if (!running) return AP_OK;
    join(full, prefix, "running_mean");
    AP_TRY(ap_params_add(d->state, full, 1, &size, ap_init_constant(0), d->error));
    join(full, prefix, "running_var");
    return ap_params_add(d->state, full, 1, &size, ap_init_constant(1), d->error);
}

static int64_t halved(int64_t n) {
    return (n + 1) / 2;
}

ap_status ap_speech_add_subsampling(const ap_speech_definition *d, int64_t dim, const char *linear) {
    char full[NAME];
    for (int i = 0; i < 2; i++) {
        snprintf(full, sizeof full, "subsample.conv%d", i + 1);
        AP_TRY(ap_speech_add_weight(d, full, "kernel", 4, (int64_t[]){dim, i ? dim : 1, KERNEL, KERNEL}));
        AP_TRY(ap_speech_add_zeros(d, full, "bias", dim));
    }
    join(full, "subsample", linear);
    return ap_speech_add_linear(d, full, dim, halved(halved(AP_SPEECH_BINS)) * dim);
}

/* ---- layers */

ap_tensor *ap_speech_linear(ap_speech_run *r, ap_tensor *x) {
    r->param += 2;
    return ap_linear(r->tape, x, ap_tape_param(r->tape, r->param - 2), ap_tape_param(r->tape, r->param - 1));
}

static ap_tensor *one_plus(ap_speech_run *r, int param) {
    return ap_scale_shift(r->tape, ap_tape_param(r->tape, param), 1, 1);
}

ap_tensor *ap_speech_layer_norm(ap_speech_run *r, ap_tensor *x) {
    r->param += 2;
    return ap_layer_norm(r->tape, x, one_plus(r, r->param - 2), ap_tape_param(r->tape, r->param - 1), 1e-6f);
}

ap_tensor *ap_speech_batch_norm(ap_speech_run *r, ap_tensor *x, ap_activation activation) {
    const ap_running running = {
        .mean = r->state, .variance = r->state + 1, .momentum = (float)r->model->bn_momentum, .biased = true};
    r->param += 2, r->state += 2;
    return ap_batch_norm(r->tape, x, one_plus(r, r->param - 2), ap_tape_param(r->tape, r->param - 1), &running,
                         &(ap_norm_options){.eps = (float)r->model->bn_eps, .activation = activation});
}

/* ---- from sound to rows */

int64_t ap_speech_valid_steps(int64_t count, int64_t valid) {
    return halved(halved(ap_speech_valid_frames(count, valid)));
}

typedef struct sound {
    const float *samples; /* [n, count] */
    const int64_t *valid; /* [n] */
    int64_t n, count;
} sound;

static bool find_sound(ap_tape *tape, const ap_batch *batch, sound *s) {
    const ap_array *inputs = ap_batch_find(batch, "inputs"), *valid = ap_batch_find(batch, "input_lengths_samples");
    if (!inputs || inputs->type != AP_F32 || inputs->rank != 2 || !valid || valid->type != AP_I64 ||
        valid->size != inputs->shape[0])
        return ap_tape_fail_as(tape, AP_DATA,
                               "speech: the batch needs `inputs`, float32 [n, samples], and "
                               "`input_lengths_samples`, int64 [n]");
    *s = (sound){inputs->data, valid->data, inputs->shape[0], inputs->shape[1]};
    for (int64_t i = 0; i < s->n; i++)
        if (s->valid[i] < 0 || s->valid[i] > s->count)
            return ap_tape_fail_as(tape, AP_DATA,
                                   "speech: utterance %lld of the shard has %lld samples (must be in 0 .. %lld)",
                                   (long long)i, (long long)s->valid[i], (long long)s->count);
    return true;
}

/* Masks of training: draws belong to (seed, step, shard, example). */
static void augment(const ap_speech_run *r, const sound *s, int64_t frames, float *features) {
    const ap_pass *pass = ap_tape_pass(r->tape);
    if (!pass->training || !r->model->use_specaug) return;
    const ap_spec_augment options = {(int)r->model->time_mask_count, (int)r->model->freq_mask_count};
    const ap_random stream =
        ap_random_stream(pass->seed, AP_RANDOM_AUGMENT, (uint64_t)pass->step, (uint32_t)pass->shard);
    for (int64_t i = 0; i < s->n; i++) {
        ap_spec_draws draws;
        ap_spec_augment_draw(&stream, i, &draws);
        ap_spec_augment_apply(&options, &draws, frames, ap_speech_valid_frames(s->count, s->valid[i]),
                              features + i * frames * AP_SPEECH_BINS);
    }
}

/* Log-mel features with their masks, [n, frames, bins, 1]; they need no gradient. */
static ap_tensor *features_of(ap_speech_run *r, const sound *s, const ap_array *ready) {
    const int64_t frames = ap_speech_frames(s->count), size = frames * AP_SPEECH_BINS;
    if (!frames)
        return ap_tape_fail_as(r->tape, AP_DATA,
                               "speech: the longest utterance of the shard has %lld samples (at least %d)",
                               (long long)s->count, AP_SPEECH_FRAME);
    if (ready && (ready->type != AP_F32 || ready->size != s->n * size))
        return ap_tape_fail_as(r->tape, AP_DATA, "speech: `features` must be float32 [%lld, %lld, %d]", (long long)s->n,
                               (long long)frames, AP_SPEECH_BINS);
    float *features = ap_tape_take(r->tape, (size_t)(s->n * size) * sizeof *features);
    if (!features) return NULL;
    for (int64_t i = 0; i < s->n && !ready; i++)
        ap_speech_log_mel(s->count, s->valid[i], s->samples + i * s->count, features + i * size);
    if (ready) memcpy(features, ready->data, (size_t)(s->n * size) * sizeof *features);
    augment(r, s, frames, features);
    return ap_tape_input(r->tape, features, 4, (int64_t[]){s->n, frames, AP_SPEECH_BINS, 1});
}

/* 3 x 3, stride 2, TensorFlow's SAME padding: 0 before and 1 behind an even size, 1 and 1 for an odd one. */
static ap_tensor *subsample(ap_speech_run *r, ap_tensor *x, ap_activation activation) {
    if (!x) return NULL;
    const ap_conv2d_options options = {.stride_h = STRIDE,
                                       .stride_w = STRIDE,
                                       .pad_top = x->shape[1] % 2,
                                       .pad_left = x->shape[2] % 2,
                                       .pad_bottom = 1,
                                       .pad_right = 1};
    ap_tensor *w = ap_tape_param(r->tape, r->param), *b = ap_tape_param(r->tape, r->param + 1);
    int64_t *lengths = ap_tape_take(r->tape, (size_t)r->n * sizeof *lengths);
    if (!lengths) return NULL;
    for (int64_t i = 0; i < r->n; i++) lengths[i] = halved(r->lengths[i]);
    r->lengths = lengths;
    r->param += 2;
    return ap_activate_rows(r->tape, ap_conv2d(r->tape, x, w, b, &options), lengths, activation);
}

ap_tensor *ap_speech_subsample(ap_speech_run *r, const ap_batch *batch, ap_activation activation) {
    sound s;
    if (!find_sound(r->tape, batch, &s)) return NULL;
    r->n = s.n;
    r->lengths = ap_tape_take(r->tape, (size_t)s.n * sizeof *r->lengths);
    if (!r->lengths) return NULL;
    for (int64_t i = 0; i < s.n; i++) r->lengths[i] = ap_speech_valid_frames(s.count, s.valid[i]);
    ap_tensor *x =
        subsample(r, subsample(r, features_of(r, &s, ap_batch_find(batch, "features")), activation), activation);
    if (!x) return NULL;
    r->steps = x->shape[1];
    for (int64_t i = 0; i < r->n; i++) r->rows += r->lengths[i];
    x = ap_reshape(r->tape, x, 3, (int64_t[]){r->n, r->steps, x->shape[2] * x->shape[3]});
    return ap_speech_linear(r, ap_pack_rows(r->tape, x, r->lengths));
}

ap_tensor *ap_speech_logits(ap_speech_run *r, ap_tensor *rows) {
    return ap_unpack_rows(r->tape, ap_speech_linear(r, rows), r->n, r->steps, r->lengths);
}

/* ---- loss */

bool ap_speech_front_end(const void *model, const ap_batch *batch, int64_t size, float *values) {
    (void)model;
    const ap_array *inputs = ap_batch_find(batch, "inputs");
    const int64_t *valid = ap_batch_i64(batch, "input_lengths_samples");
    if (!inputs || inputs->type != AP_F32 || inputs->rank != 2 || !valid) return false;
    const int64_t n = inputs->shape[0], count = inputs->shape[1], one = ap_speech_frames(count) * AP_SPEECH_BINS;
    if (size != n * one) return false;
    for (int64_t i = 0; i < n; i++)
        ap_speech_log_mel(count, valid[i], (const float *)inputs->data + i * count, values + i * one);
    return true;
}

void ap_speech_logit_weights(const void *model, const ap_tensor *logits, const ap_batch *batch, float *weights) {
    (void)model;
    const int64_t *valid = ap_batch_i64(batch, "input_lengths_samples"), steps = logits->shape[1],
                  count = ap_batch_find(batch, "inputs")->shape[1];
    for (int64_t i = 0; i < logits->shape[0] * steps; i++)
        weights[i] = i % steps < ap_speech_valid_steps(count, valid[i / steps]) ? 1 : 0;
}

const int64_t *ap_speech_labels(ap_tape *tape, const ap_batch *batch) {
    const ap_array *targets = ap_batch_find(batch, "targets");
    if (!targets || (targets->type != AP_F32 && targets->type != AP_I64) || targets->rank != 2)
        return ap_tape_fail_as(tape, AP_DATA, "speech: the batch needs `targets`, float32 or int64 [n, longest]");
    if (targets->type == AP_I64) return targets->data;
    int64_t *labels = ap_tape_take(tape, (size_t)targets->size * sizeof *labels);
    for (int64_t i = 0; labels && i < targets->size; i++) labels[i] = (int64_t)((const float *)targets->data)[i];
    return labels;
}

ap_loss ap_speech_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                       const ap_loss_options *options) {
    (void)model;
    (void)options; /* label smoothing does not exist for CTC */
    sound s;
    if (!logits || !find_sound(tape, batch, &s)) return (ap_loss){0};
    const int64_t *lengths = ap_batch_i64(batch, "target_lengths"), *labels = ap_speech_labels(tape, batch);
    if (labels && !lengths) ap_tape_fail_as(tape, AP_DATA, "speech: the batch needs `target_lengths`, int64 [n]");
    int64_t *steps = ap_tape_take(tape, (size_t)s.n * sizeof *steps);
    if (!steps || !labels || !lengths) return (ap_loss){0};
    for (int64_t i = 0; i < s.n; i++) steps[i] = ap_speech_valid_steps(s.count, s.valid[i]);
    ap_loss loss = ap_ctc_loss(tape, logits,
                               &(ap_ctc_targets){.frames = steps,
                                                 .labels = labels,
                                                 .lengths = lengths,
                                                 .longest = ap_batch_find(batch, "targets")->shape[1],
                                                 .weights = ap_batch_f32(batch, "weights")});
    /* The published loss divides by at least 1; an evaluation adds up the tokens of its shards. */
    if (loss.per_example && ap_tape_pass(tape)->training) loss.n_valid = fmax(loss.n_valid, 1);
    return loss;
}
