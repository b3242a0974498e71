#include "workloads/vision/classification.h"

#include <math.h>

/* The targets, one row each, or NULL with the tape's error set. `weights` may be absent, not misshapen. */
static const ap_array *batch_targets(ap_tape *tape, const ap_tensor *logits, const ap_batch *batch) {
    const ap_array *targets = ap_batch_find(batch, "targets"), *weights = ap_batch_find(batch, "weights");
    if (!logits) return NULL;
    const int64_t rows = logits->shape[0];
    const bool labels = targets && targets->type == AP_I64 && targets->size == rows;
    const bool distributions = targets && targets->type == AP_F32 && targets->size == logits->size;
    if (!labels && !distributions)
        return ap_tape_fail_as(tape, AP_DATA, "the batch needs `targets`, int64 [%lld] or float32 [%lld, %lld]",
                               (long long)rows, (long long)rows, (long long)logits->shape[1]);
    if (weights && (weights->type != AP_F32 || weights->size != rows))
        return ap_tape_fail_as(tape, AP_DATA, "`weights` of the batch must be float32 [%lld]", (long long)rows);
    return targets;
}

ap_loss ap_classification_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                               const ap_loss_options *options) {
    (void)model;
    const float smoothing = options->label_smoothing;
    const ap_array *targets = batch_targets(tape, logits, batch);
    if (!targets) return (ap_loss){0};
    const float *weights = ap_batch_f32(batch, "weights");
    if (targets->type == AP_F32) return ap_soft_cross_entropy(tape, logits, targets->data, weights, smoothing);
    return ap_softmax_cross_entropy(tape, logits, targets->data, weights, smoothing);
}

/* Whether `target` is the first largest of the row, as argmax counts it; a NaN is never a hit. */
static bool is_hit(const float *row, int64_t classes, int64_t target) {
    for (int64_t j = 0; j < classes; j++)
        if (j != target && !(j < target ? row[target] > row[j] : row[target] >= row[j])) return false;
    return !isnan(row[target]);
}

void ap_classification_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                                double *sums) {
    /* The loss comes first: it checks the labels' range. */
    ap_loss loss = ap_classification_loss(model, tape, logits, batch, &(ap_loss_options){0});
    const int64_t *targets = ap_batch_i64(batch, "targets");
    if (!loss.per_example || !targets) return;
    const float *weights = ap_batch_f32(batch, "weights");
    const int64_t rows = logits->shape[0], classes = logits->shape[1];
    for (int64_t i = 0; i < rows; i++) {
        const float weight = weights ? weights[i] : 1;
        if (weight != 0 && is_hit(logits->data + i * classes, classes, targets[i]))
            sums[AP_CLASSIFICATION_HITS] += (double)weight;
    }
    sums[AP_CLASSIFICATION_LOSS] += loss.summed;
    sums[AP_CLASSIFICATION_VALID] += loss.n_valid;
}

void ap_classification_metrics(const double *sums, int64_t examples, double *metrics) {
    metrics[0] = sums[AP_CLASSIFICATION_HITS] / (double)examples;
    metrics[1] = sums[AP_CLASSIFICATION_LOSS] / sums[AP_CLASSIFICATION_VALID];
}
