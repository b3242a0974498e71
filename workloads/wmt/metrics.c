/* Loss, token accuracy and BLEU of wmt. */
#include "workloads/wmt/wmt.h"

#include "workload/bleu.h"
#include "workloads/text/vocabulary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The batch's weights, or 1 where a target is no padding; NULL and the tape's error if the arrays do not fit. */
static const float *weights_of(ap_tape *tape, const ap_tensor *logits, const ap_batch *batch,
                               const ap_array **targets) {
    if (ap_tape_status(tape, NULL) != AP_OK || !logits) return NULL;
    const int64_t rows = logits->size / logits->shape[logits->rank - 1];
    *targets = ap_batch_find(batch, "targets");
    const ap_array *weights = ap_batch_find(batch, "weights");
    if (!*targets || (*targets)->type != AP_I64 || (*targets)->size != rows ||
        (weights && (weights->type != AP_F32 || weights->size != rows)))
        return ap_tape_fail_as(tape, AP_DATA,
                               "wmt: the batch needs `targets`, int64, and may have `weights`, float32, "
                               "both [examples, length]");
    if (weights) return weights->data;
    float *made = ap_tape_take(tape, (size_t)rows * sizeof *made);
    for (int64_t i = 0; made && i < rows; i++) made[i] = ((const int64_t *)(*targets)->data)[i] > 0;
    return made;
}

ap_loss ap_wmt_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                    const ap_loss_options *options) {
    (void)model;
    const ap_array *targets;
    const float *weights = weights_of(tape, logits, batch, &targets);
    if (!weights) return (ap_loss){0};
    return ap_softmax_cross_entropy(tape, logits, targets->data, weights, options->label_smoothing);
}

void ap_wmt_logit_weights(const void *model, const ap_tensor *logits, const ap_batch *batch, float *weights) {
    (void)model;
    const float *given = ap_batch_f32(batch, "weights");
    const int64_t rows = logits->size / logits->shape[logits->rank - 1];
    for (int64_t i = 0; i < rows; i++) weights[i] = given ? given[i] : 1;
}

static int64_t largest(int64_t n, const float *x) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* ---- BLEU */

/* Up to the first EOS; without one, the first token alone, as published. */
static int64_t cut(int64_t n, const int64_t *tokens) {
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] == AP_WMT_EOS) return i + 1;
    return n ? 1 : 0;
}

static bool add_example(const ap_vocabulary *v, int64_t found_length, const int64_t *found, int64_t length,
                        const int64_t *target, ap_bleu_counts *counts) {
    char *hypothesis = ap_vocabulary_text(v, cut(found_length, found), found);
    char *reference = ap_vocabulary_text(v, cut(length, target), target);
    const bool fine = hypothesis && reference && ap_bleu_add(hypothesis, reference, counts);
    free(hypothesis), free(reference);
    return fine;
}

/* Translates the batch's real examples: rows with a weight. */
static void add_bleu(const ap_wmt_model *m, ap_tape *tape, const ap_batch *batch, double *sums) {
    const ap_array *targets = ap_batch_find(batch, "targets");
    const int64_t n = batch->real_examples, length = targets->shape[1], most = m->max_len_pe;
    const ap_search_options options = {.beams = m->beam_size, .alpha = m->beam_alpha, .most = most, .end = AP_WMT_EOS};
    int64_t *sequences = malloc((size_t)(batch->examples * m->beam_size * most + 1) * sizeof *sequences);
    float *scores = malloc((size_t)(batch->examples * m->beam_size + 1) * sizeof *scores);
    ap_vocabulary v = {0};
    ap_bleu_counts counts = {0};
    bool fine = sequences && scores && ap_vocabulary_open(m->vocabulary, &v);
    if (fine) ap_wmt_search(m, tape, batch, &options, sequences, scores);
    for (int64_t i = 0; fine && ap_tape_status(tape, NULL) == AP_OK && i < n; i++)
        fine = add_example(&v, most - 1, sequences + ((i + 1) * m->beam_size - 1) * most + 1, length,
                           (const int64_t *)targets->data + i * length, &counts);
    if (!fine) ap_tape_fail_as(tape, AP_ENVIRONMENT, "out of memory for %lld translations", (long long)n);
    const double *all = (const double *)&counts;
    for (int i = 0; i < AP_BLEU_COUNTS; i++) sums[AP_WMT_BLEU_COUNTS + i] += all[i];
    ap_vocabulary_close(&v);
    free(sequences), free(scores);
}

/* ---- evaluation */

void ap_wmt_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums) {
    const ap_array *targets;
    const float *weights = weights_of(tape, logits, batch, &targets);
    if (!weights) return;
    const ap_loss loss = ap_softmax_cross_entropy(tape, logits, targets->data, weights, 0);
    const int64_t classes = logits->shape[logits->rank - 1];
    sums[AP_WMT_LOSS] += loss.summed;
    for (int64_t i = 0; i < targets->size; i++) {
        const bool right = largest(classes, logits->data + i * classes) == ((const int64_t *)targets->data)[i];
        sums[AP_WMT_CORRECT] += right ? (double)weights[i] : 0;
        sums[AP_WMT_TOKENS] += (double)weights[i];
    }
    add_bleu(model, tape, batch, sums);
}

void ap_wmt_metrics(const double *sums, int64_t examples, double *metrics) {
    (void)examples;
    ap_bleu_counts counts;
    memcpy(&counts, sums + AP_WMT_BLEU_COUNTS, sizeof counts);
    metrics[AP_WMT_BLEU] = ap_bleu_score(&counts);
    metrics[AP_WMT_ACCURACY] = sums[AP_WMT_CORRECT] / sums[AP_WMT_TOKENS];
    metrics[AP_WMT_MEAN_LOSS] = sums[AP_WMT_LOSS] / sums[AP_WMT_TOKENS];
}
