/* Structural similarity of images (Wang et al. 2004) as the fastMRI benchmark computes it (workloads/fastmri,
 * "Metric"). */
#ifndef AP_WORKLOAD_SSIM_H
#define AP_WORKLOAD_SSIM_H

#include <stdint.h>

/* a, b [h, w], h and w at least 7; range: the data range L (0 counts as 1). Uniform 7 x 7 windows, each a mean of 7
 * down the rows and of 7 along the columns; only windows that lie in the image count; sample covariance (49/48); K1 =
 * 0.01, K2 = 0.03. In double, sums in row-major order. The mean, limited to [-1, 1]; NaN if an image has one, or is
 * smaller. */
double ap_ssim(int64_t h, int64_t w, const float *a, const float *b, double range);

#endif
