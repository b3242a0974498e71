/* Loss, evaluation sums and metrics of ogbg. */
#include "workload/average_precision.h"
#include "workloads/ogbg/ogbg.h"

#include <math.h>

/* An array of the logits' shape, or NULL; with the tape's error set if it is misshapen, or missing though needed. */
static const float *find_labels(ap_tape *tape, const ap_tensor *logits, const ap_batch *batch, const char *name,
                                bool needed) {
    const ap_array *a = ap_batch_find(batch, name);
    if (a && a->type == AP_F32 && a->size == logits->size) return a->data;
    if (!a && !needed) return NULL;
    return ap_tape_fail_as(tape, AP_DATA, "ogbg: the batch needs `%s`, float32 [%lld, %lld]", name,
                           (long long)logits->shape[0], (long long)logits->shape[1]);
}

ap_loss ap_ogbg_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                     const ap_loss_options *options) {
    (void)model;
    if (!logits) return (ap_loss){0};
    const float *targets = find_labels(tape, logits, batch, "targets", true),
                *weights = find_labels(tape, logits, batch, "weights", false);
    return ap_sigmoid_cross_entropy(tape, logits, targets, weights, options->label_smoothing);
}

void ap_ogbg_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums) {
    const ap_loss loss = ap_ogbg_loss(model, tape, logits, batch, &(ap_loss_options){0});
    if (!loss.per_example) return;
    const float *targets = ap_batch_f32(batch, "targets");
    for (int64_t i = 0; i < logits->size; i++) sums[AP_OGBG_CORRECT] += (logits->data[i] > 0) == (targets[i] > 0);
    sums[AP_OGBG_LOSS] += loss.summed;
    sums[AP_OGBG_ENTRIES] += (double)logits->size;
}

void ap_ogbg_metrics(const double *sums, int64_t examples, double *metrics) {
    (void)examples;
    metrics[AP_OGBG_MAP] = NAN; /* ap_ogbg_output_metrics */
    metrics[AP_OGBG_ACCURACY] = sums[AP_OGBG_CORRECT] / sums[AP_OGBG_ENTRIES];
    metrics[AP_OGBG_MEAN_LOSS] = sums[AP_OGBG_LOSS] / sums[AP_OGBG_ENTRIES];
}

/* ---- mean average precision */

int64_t ap_ogbg_output_count(const void *model) {
    return 2 * ((const ap_ogbg_model *)model)->num_outputs;
}

void ap_ogbg_outputs(const void *model, const ap_tensor *logits, const ap_batch *batch, float *outputs) {
    const int64_t tasks = ((const ap_ogbg_model *)model)->num_outputs;
    const float *targets = ap_batch_f32(batch, "targets"), *weights = ap_batch_f32(batch, "weights");
    for (int64_t i = 0; i < logits->size; i++) {
        float *example = outputs + i / tasks * 2 * tasks;
        example[i % tasks] = logits->data[i];
        example[tasks + i % tasks] = !weights || weights[i] != 0 ? targets[i] : NAN;
    }
}

/* The published batches are padded, so a column always has a zero. */
void ap_ogbg_output_metrics(const void *model, int64_t examples, const float *outputs, double *metrics) {
    const int64_t tasks = ((const ap_ogbg_model *)model)->num_outputs;
    metrics[AP_OGBG_MAP] = ap_mean_average_precision(examples, tasks, 2 * tasks, outputs, outputs + tasks, true, NULL);
}
