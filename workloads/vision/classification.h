/* Image classification: loss, hits and metrics of mnist, cifar, imagenet_resnet and imagenet_vit (workloads/README,
 * "imagenet_resnet": loss, metric). */
#ifndef AP_WORKLOADS_VISION_CLASSIFICATION_H
#define AP_WORKLOADS_VISION_CLASSIFICATION_H

#include "workload/workload.h"

/* Softmax cross-entropy of logits [n, classes] with the batch's `targets`: int64 [n] labels or float32 [n, classes]
 * distributions; `weights` float32 [n], if there. AP_DATA otherwise. `name`: the workload, for messages. */
ap_loss ap_classification_loss(const char *name, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                               float label_smoothing);

/* sums: weighted hits of argmax, summed loss (without smoothing), sum of weights. Labels only. */
enum { AP_CLASSIFICATION_HITS, AP_CLASSIFICATION_LOSS, AP_CLASSIFICATION_VALID, AP_CLASSIFICATION_SUMS };
void ap_classification_evaluate(const char *name, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                                double *sums);
/* metrics: accuracy = hits / examples of the split, loss = summed loss / sum of weights. */
void ap_classification_metrics(const double *sums, int64_t examples, double *metrics);

#endif
