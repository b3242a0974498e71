/* Image classification: loss, hits and metrics of mnist, cifar, imagenet_resnet and imagenet_vit (workloads/README,
 * "imagenet_resnet": loss, metric). */
#ifndef AP_WORKLOADS_VISION_CLASSIFICATION_H
#define AP_WORKLOADS_VISION_CLASSIFICATION_H

#include "workload/workload.h"

/* Members of ap_workload, whatever the model. */

/* Softmax cross-entropy of logits [n, classes] with the batch's `targets`: int64 [n] labels or float32 [n, classes]
 * distributions; `weights` float32 [n], if there. AP_DATA otherwise. */
ap_loss ap_classification_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                               const ap_loss_options *options);

/* sums: weighted hits of argmax, summed loss (without smoothing), sum of weights. Labels only. */
enum { AP_CLASSIFICATION_HITS, AP_CLASSIFICATION_LOSS, AP_CLASSIFICATION_VALID, AP_CLASSIFICATION_SUMS };
void ap_classification_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                                double *sums);
/* metrics: accuracy = hits / examples of the split, loss = summed loss / sum of weights. */
void ap_classification_metrics(const double *sums, int64_t examples, double *metrics);

/* All of it, for the workload's table. */
#define AP_CLASSIFICATION                                                                                              \
    .loss = ap_classification_loss, .sum_count = AP_CLASSIFICATION_SUMS, .evaluate = ap_classification_evaluate,       \
    .metric_count = 2, .target_metric = 0, .metric_names = {"accuracy", "loss"}, .metrics = ap_classification_metrics

#endif
