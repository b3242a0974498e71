/* What the two speech workloads share: options, sound -> packed rows of frames, and what becomes of the logits.
 * Source: AlgoPerf reference code, librispeech_conformer and librispeech_deepspeech (PyTorch form). */
#ifndef AP_SPEECH_SPEECH_H
#define AP_SPEECH_SPEECH_H

#include "workload/workload.h"

/* What both models' option structs begin with. */
typedef struct ap_speech {
    int64_t vocab_size, encoder_dim, max_samples;
    bool use_specaug;
    int64_t freq_mask_count, time_mask_count;
    double bn_momentum, bn_eps;
    const char *vocabulary; /* pieces of the data set (workloads/text/vocabulary.h); NULL: characters. No option */
} ap_speech;
#define AP_SPEECH_INT(member, low, high, text, help_text)                                                              \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_INT, .offset = offsetof(ap_speech, member), .min = low, .max = high,        \
        .fallback = text, .help = help_text                                                                            \
    }
#define AP_SPEECH_REAL(member, text, help_text)                                                                        \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_FLOAT, .offset = offsetof(ap_speech, member), .min = 0, .max = 1,           \
        .fallback = text, .help = help_text                                                                            \
    }
#define AP_SPEECH_OPTIONS                                                                                              \
    AP_SPEECH_INT(vocab_size, 2, 1 << 20, "1024", "classes, blank included"),                                          \
        AP_SPEECH_INT(encoder_dim, 2, 1 << 16, "512", "width of a frame, even"),                                       \
        AP_SPEECH_INT(max_samples, 401, 1 << 24, "320000", "longest utterance, samples; what padding goes up to"),     \
        AP_SPEECH_INT(freq_mask_count, 0, 32, "2", "spans of frequency that SpecAugment removes"),                     \
        AP_SPEECH_INT(time_mask_count, 0, 32, "10", "spans of time that SpecAugment removes"),                         \
        AP_SPEECH_REAL(bn_momentum, "0.001", "weight of a batch in the running statistics"),                           \
        AP_SPEECH_REAL(bn_eps, "0.001", "added to the variance by batch norm"), {                                      \
        .name = "use_specaug", .type = AP_OPTION_BOOL, .offset = offsetof(ap_speech, use_specaug), .fallback = "true", \
        .help = "SpecAugment in training"                                                                              \
    }
enum { AP_SPEECH_OPTION_COUNT = 8 };

/* ---- parameters: names as published, shapes [out, in ..] */

typedef struct ap_speech_definition {
    ap_params *params, *state;
    ap_error *error;
} ap_speech_definition;
/* PREFIX.NAME, xavier uniform over fans of the shape (receptive field included); and a bias of zeros, [out]. */
ap_status ap_speech_add_weight(const ap_speech_definition *d, const char *prefix, const char *name, int rank,
                               const int64_t *shape);
ap_status ap_speech_add_zeros(const ap_speech_definition *d, const char *prefix, const char *name, int64_t size);
/* PREFIX.weight and PREFIX.bias of a linear layer. */
ap_status ap_speech_add_linear(const ap_speech_definition *d, const char *prefix, int64_t out, int64_t in);
/* Scale (acts as 1 + value) and bias; with running statistics PREFIX.running_mean and .running_var. */
ap_status ap_speech_add_norm(const ap_speech_definition *d, const char *prefix, const char *scale, int64_t size,
                             bool running);
/* subsample.conv1, conv2 and the linear layer called subsample.LINEAR. */
ap_status ap_speech_add_subsampling(const ap_speech_definition *d, int64_t dim, const char *linear);

/* ---- forward: parameters and states are used in the order in which they were declared */

typedef struct ap_speech_run {
    const ap_speech *model;
    ap_tape *tape;
    int param, state;
    int64_t n, steps, rows; /* examples; subsampled steps with padding; valid steps of all examples */
    int64_t *lengths;       /* [n] valid subsampled steps; in the tape's arena */
} ap_speech_run;

ap_tensor *ap_speech_linear(ap_speech_run *r, ap_tensor *x);
ap_tensor *ap_speech_layer_norm(ap_speech_run *r, ap_tensor *x);
ap_tensor *ap_speech_batch_norm(ap_speech_run *r, ap_tensor *x, ap_activation activation);
/* Features, SpecAugment, two convolutions and the linear layer: packed rows [rows, dim] of valid steps. Sets n, steps,
 * rows, lengths. Batch arrays: inputs float32 [n, samples] at int16 scale; input_lengths_samples int64 [n]; features
 * [n, frames, 80] if they are there already. */
ap_tensor *ap_speech_subsample(ap_speech_run *r, const ap_batch *batch, ap_activation activation);
/* Logits of packed rows -> [n, steps, vocab_size], 0 at padding. */
ap_tensor *ap_speech_logits(ap_speech_run *r, ap_tensor *rows);

/* CTC over valid steps. Batch arrays: targets float32 or int64 [n, longest], target_lengths int64 [n],
 * input_lengths_samples, inputs; weights float32 [n] if there are any. */
ap_loss ap_speech_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                       const ap_loss_options *options);
/* Valid steps behind the subsampling of an example of `valid` samples in rows of `count`. */
int64_t ap_speech_valid_steps(int64_t count, int64_t valid);

/* The front end: array `features` float32 [n, frames, 80]. */
bool ap_speech_front_end(const void *model, const ap_batch *batch, int64_t size, float *values);
void ap_speech_logit_weights(const void *model, const ap_tensor *logits, const ap_batch *batch, float *weights);
/* The batch's targets as int64; NULL with the tape's error if they are not there or memory is out. */
const int64_t *ap_speech_labels(ap_tape *tape, const ap_batch *batch);

/* Greedy decoding, both texts, and the errors between them: published and plain word errors and words, summed CTC loss,
 * labels. metrics: wer (published form), wer_plain, ctc_loss (a label). */
enum { AP_SPEECH_SUMS = 6, AP_SPEECH_METRICS = 3 };
void ap_speech_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums);
void ap_speech_metrics(const double *sums, int64_t examples, double *metrics);

/* ---- data */

/* An example: `audio`, 16-bit samples at 16 kHz; `targets`, token ids, end of sentence included. */
enum { AP_SPEECH_AUDIO, AP_SPEECH_TARGETS, AP_SPEECH_FIELDS };
#define AP_SPEECH_FIELD_LIST                                                                                           \
    {                                                                                                                  \
        {.name = "audio", .type = AP_I16, .rank = 1, .shape = {-1}},                                                   \
            {.name = "targets", .type = AP_I32, .rank = 1, .shape = {-1}},                                             \
    }
/* Rows are padded to what the longest utterance of the shard needs, in a way that gives the same numbers as padding all
 * to max_samples: the alignment of the strided convolutions is kept, and two frames of silence behind. The same bits,
 * but for the gradients of these convolutions, whose chunks of positions are others. */
ap_collate ap_speech_collate;
extern const ap_generator ap_speech_generator; /* synthetic.c */
ap_status ap_speech_attach(void *model, const ap_dataset *dataset, ap_error *error);
ap_status ap_speech_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error); /* prepare.c */

/* All of it, for the workloads' tables. */
#define AP_SPEECH_WORKLOAD                                                                                             \
    .front_end_name = "features", .front_end = ap_speech_front_end, .logit_weights = ap_speech_logit_weights,          \
    .loss = ap_speech_loss, .sum_count = AP_SPEECH_SUMS, .evaluate = ap_speech_evaluate,                               \
    .metric_count = AP_SPEECH_METRICS, .target_metric = 0, .metric_names = {"wer", "wer_plain", "ctc_loss"},           \
    .metrics = ap_speech_metrics, .packed_as = "librispeech", .fields = AP_SPEECH_FIELDS,                              \
    .field = AP_SPEECH_FIELD_LIST, .collate = ap_speech_collate, .attach = ap_speech_attach,                           \
    .generator = &ap_speech_generator, .plan = ap_speech_plan,                                                         \
    .prepare_help = "folder with LibriSpeech's train-clean-100 .. test-clean, or with train, valid, test of that form"

#endif
