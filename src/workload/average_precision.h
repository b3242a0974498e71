/* Mean average precision of independent binary tasks with missing labels (workloads/README, "ogbg": metric). */
#ifndef AP_WORKLOAD_AVERAGE_PRECISION_H
#define AP_WORKLOAD_AVERAGE_PRECISION_H

#include <stdbool.h>
#include <stdint.h>

/* rows of `ld` floats: logits and labels (0, 1, or NaN = missing) [rows, tasks]. A task's average precision is the sum
 * over distinct scores, descending, of (step of recall) * precision, ties as one, over its labelled rows; the score is
 * 1 / (1 + exp(-logit)) with each step in float, whose rounding makes ties. A task counts if its column, where a
 * missing label stands for 0, has a 0 and a 1; `padded`: rows of padding stand beside these, which are zeros, too. Per
 * task: into per_task [tasks], NaN where it does not count; NULL: not wanted.
 *
 * The mean over the tasks that count; NaN if none does, if a labelled row's logit is NaN, or without memory. Source:
 * AlgoPerf reference code, workloads/ogbg/metrics. */
double ap_mean_average_precision(int64_t rows, int64_t tasks, int64_t ld, const float *logits, const float *labels,
                                 bool padded, double *per_task);

#endif
