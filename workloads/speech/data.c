/* What the speech models see of an example, and what becomes of their logits. */
#include "tensor/ops.h"
#include "workload/wer.h"
#include "workloads/speech/features.h"
#include "workloads/speech/speech.h"
#include "workloads/speech/vocabulary.h"
#include "workloads/text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

/* ---- collate */

/* Fewest samples that rows can be padded to for utterances of at most `longest` samples, see speech.h: frames modulo 4
 * as those of max_samples, and two behind the last one with sound. */
static int64_t padded_samples(int64_t max_samples, int64_t longest) {
    const int64_t all = ap_speech_frames(max_samples), needed = ap_speech_valid_frames(max_samples, longest) + 2;
    if (needed >= all) return max_samples;
    const int64_t frames = all - (all - needed) / 4 * 4;
    return AP_SPEECH_FRAME + (frames - 1) * AP_SPEECH_STEP;
}

typedef struct arrays {
    float *inputs, *weights;
    int64_t *samples, *targets, *lengths;
    int64_t count, longest; /* samples, labels a row */
} arrays;

static ap_status check_example(const ap_speech *m, const ap_example *e, ap_error *error) {
    const int32_t *tokens = e->data[AP_SPEECH_TARGETS];
    if (e->length[AP_SPEECH_AUDIO] > m->max_samples)
        return ap_fail(error, AP_DATA, "an utterance of %lld samples (max_samples = %lld)",
                       (long long)e->length[AP_SPEECH_AUDIO], (long long)m->max_samples);
    for (int64_t i = 0; i < e->length[AP_SPEECH_TARGETS]; i++)
        if (tokens[i] < 1 || tokens[i] >= m->vocab_size)
            return ap_fail(error, AP_DATA, "token %lld of an utterance is %d (must be in 1 .. %lld: vocab_size = %lld)",
                           (long long)i, tokens[i], (long long)(m->vocab_size - 1), (long long)m->vocab_size);
    return AP_OK;
}

static ap_status add_arrays(const ap_speech *m, bool weighted, int64_t n, const ap_example *examples, int64_t rows,
                            ap_batch *batch, arrays *a, ap_error *error) {
    int64_t longest = 0;
    a->longest = 1;
    for (int64_t i = 0; i < n; i++) {
        AP_TRY(check_example(m, &examples[i], error));
        if (examples[i].length[AP_SPEECH_AUDIO] > longest) longest = examples[i].length[AP_SPEECH_AUDIO];
        if (examples[i].length[AP_SPEECH_TARGETS] > a->longest) a->longest = examples[i].length[AP_SPEECH_TARGETS];
    }
    a->count = padded_samples(m->max_samples, longest);
    a->inputs = ap_batch_add(batch, "inputs", AP_F32, 2, (int64_t[]){rows, a->count});
    a->samples = ap_batch_add(batch, "input_lengths_samples", AP_I64, 1, &rows);
    a->targets = ap_batch_add(batch, "targets", AP_I64, 2, (int64_t[]){rows, a->longest});
    a->lengths = ap_batch_add(batch, "target_lengths", AP_I64, 1, &rows);
    a->weights = weighted ? ap_batch_add(batch, "weights", AP_F32, 1, &rows) : NULL;
    if (!a->inputs || !a->samples || !a->targets || !a->lengths || (weighted && !a->weights))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %lld utterances of %lld samples",
                       (long long)rows, (long long)a->count);
    return AP_OK;
}

static void fill_row(const arrays *a, int64_t i, const ap_example *e) {
    const int64_t samples = e ? e->length[AP_SPEECH_AUDIO] : 0, labels = e ? e->length[AP_SPEECH_TARGETS] : 0;
    float *row = a->inputs + i * a->count;
    int64_t *targets = a->targets + i * a->longest;
    for (int64_t j = 0; j < samples; j++) row[j] = (float)((const int16_t *)e->data[AP_SPEECH_AUDIO])[j];
    memset(row + samples, 0, (size_t)(a->count - samples) * sizeof *row);
    for (int64_t j = 0; j < labels; j++) targets[j] = ((const int32_t *)e->data[AP_SPEECH_TARGETS])[j];
    memset(targets + labels, 0, (size_t)(a->longest - labels) * sizeof *targets);
    a->samples[i] = samples, a->lengths[i] = labels;
    if (a->weights) a->weights[i] = e ? 1 : 0;
}

ap_status ap_speech_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                            int64_t padded_to, ap_batch *batch, ap_error *error) {
    arrays a;
    AP_TRY(add_arrays(model, padded_to > n || !key->training, n, examples, padded_to, batch, &a, error));
    for (int64_t i = 0; i < padded_to; i++) fill_row(&a, i, i < n ? &examples[i] : NULL);
    batch->examples = padded_to;
    batch->real_examples = n;
    return AP_OK;
}

/* ---- the data set's vocabulary */

ap_status ap_speech_attach(void *model, const ap_dataset *dataset, ap_error *error) {
    ap_speech *m = model;
    m->vocabulary = ap_dataset_vocabulary(dataset);
    int64_t pieces = 0;
    for (const char *at = m->vocabulary; at && (at = strchr(at, '\n')); at++) pieces++;
    if (pieces <= m->vocab_size) return AP_OK;
    return ap_fail(error, AP_DATA, "a vocabulary of %lld pieces (the model has %lld classes: option vocab_size)",
                   (long long)pieces, (long long)m->vocab_size);
}

/* ---- evaluation */

enum { PUBLISHED_ERRORS, PUBLISHED_WORDS, PLAIN_ERRORS, PLAIN_WORDS, LOSS, LABELS };

/* Errors of one utterance. */
static ap_status add_errors(const ap_vocabulary *v, int64_t decoded, const int64_t *tokens, int64_t labels,
                            const int64_t *targets, double *sums, ap_error *error) {
    ap_wer plain, published;
    char *text = ap_vocabulary_text(v, decoded, tokens), *target_text = ap_vocabulary_text(v, labels, targets);
    ap_status status =
        text && target_text ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for the text of an utterance");
    if (status == AP_OK) status = ap_wer_plain(text, target_text, &plain, error);
    if (status == AP_OK) status = ap_wer_published(text, target_text, &published, error);
    free(text), free(target_text);
    if (status != AP_OK) return status;
    sums[PUBLISHED_ERRORS] += (double)published.errors, sums[PUBLISHED_WORDS] += (double)published.words;
    sums[PLAIN_ERRORS] += (double)plain.errors, sums[PLAIN_WORDS] += (double)plain.words;
    return AP_OK;
}

static ap_status add_batch(const ap_vocabulary *v, const ap_loss *loss, const ap_tensor *logits, const ap_batch *batch,
                           const int64_t *targets, int64_t *tokens, double *sums, ap_error *error) {
    const int64_t *lengths = ap_batch_i64(batch, "target_lengths"),
                  *valid = ap_batch_i64(batch, "input_lengths_samples");
    const float *weights = ap_batch_f32(batch, "weights");
    const int64_t steps = logits->shape[1], classes = logits->shape[2],
                  longest = ap_batch_find(batch, "targets")->shape[1],
                  samples = ap_batch_find(batch, "inputs")->shape[1];
    for (int64_t i = 0; i < logits->shape[0]; i++) {
        if (weights && weights[i] == 0) continue;
        const int64_t n = ap_ctc_greedy(steps, ap_speech_valid_steps(samples, valid[i]), classes,
                                        logits->data + i * steps * classes, tokens);
        AP_TRY(add_errors(v, n, tokens, lengths[i], targets + i * longest, sums, error));
        sums[LOSS] += (double)loss->per_example[i], sums[LABELS] += (double)lengths[i];
    }
    return AP_OK;
}

void ap_speech_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums) {
    const ap_speech *m = model;
    const ap_loss loss = ap_speech_loss(model, tape, logits, batch, &(ap_loss_options){0});
    if (!loss.per_example) return;
    const int64_t *targets = ap_speech_labels(tape, batch);
    int64_t *tokens = ap_tape_take(tape, (size_t)logits->shape[1] * sizeof *tokens);
    if (!targets || !tokens) return;
    ap_vocabulary v;
    ap_error error;
    ap_status status = ap_vocabulary_open(m->vocabulary ? m->vocabulary : ap_speech_characters, &v)
                           ? AP_OK
                           : ap_fail(&error, AP_ENVIRONMENT, "out of memory for a vocabulary");
    if (status == AP_OK) status = add_batch(&v, &loss, logits, batch, targets, tokens, sums, &error);
    if (status != AP_OK) ap_tape_fail_as(tape, status, "%s", error.text);
    ap_vocabulary_close(&v);
}

void ap_speech_metrics(const double *sums, int64_t examples, double *metrics) {
    (void)examples;
    metrics[0] = sums[PUBLISHED_ERRORS] / sums[PUBLISHED_WORDS];
    metrics[1] = sums[PLAIN_ERRORS] / sums[PLAIN_WORDS];
    metrics[2] = sums[LOSS] / sums[LABELS];
}
