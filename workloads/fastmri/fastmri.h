/* fastmri: what this folder's files share. model.c: the U-Net, its loss and metric; kspace.c: from k-space to the
 * model's images; data.c: examples; volume.c and prepare.c: the published files; workload.c: the table that the program
 * sees. Source: AlgoPerf reference code, workloads/fastmri; Zbontar et al., "fastMRI", arXiv 1811.08839. */
#ifndef AP_WORKLOADS_FASTMRI_FASTMRI_H
#define AP_WORKLOADS_FASTMRI_FASTMRI_H

#include "workload/workload.h"

/* Filled through ap_fastmri_options. */
typedef struct ap_fastmri_model {
    int64_t num_channels, num_pool_layers, image_size;
    bool use_tanh, use_layer_norm;
} ap_fastmri_model;
enum { ap_fastmri_option_count = 5 };
extern const ap_option ap_fastmri_options[ap_fastmri_option_count];

/* ---- model.c; for the contracts see ap_workload. Batch arrays, float32: inputs, targets [n, h, w]; mean, std,
 * volume_max [n]; weights [n] if there are any. */
ap_status ap_fastmri_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_fastmri_forward(const void *model, ap_tape *tape, const ap_batch *batch); /* [n, h, w] */
ap_loss ap_fastmri_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                        const ap_loss_options *options);
/* sums: SSIM, loss, weights. */
enum { AP_FASTMRI_SSIM, AP_FASTMRI_LOSS, AP_FASTMRI_VALID, AP_FASTMRI_SUMS };
void ap_fastmri_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums);
void ap_fastmri_example_ssim(const void *model, const ap_tensor *logits, const ap_batch *batch, float *values);
void ap_fastmri_metrics(const double *sums, int64_t examples, double *metrics); /* ssim, loss */

/* ---- kspace.c */

/* In place, for any extents whose prime factors are at most AP_FFT_LARGEST_PRIME: data [h, w] complex (re, im), sum
 * over exp(-2 pi i ..), or with `inverse` exp(+2 pi i ..) / (h w). Plain double arithmetic: the same bits everywhere.
 * work: 2 max(h, w) complex numbers and max(h, w) more for the table. False for other extents. */
enum { AP_FFT_LARGEST_PRIME = 2048 };
bool ap_fft2(int64_t h, int64_t w, bool inverse, double *data, double *work);

/* Random columns: keep[x] for x < width, 1 for the int(0.08 width) in the middle and where draws[x] < probability. */
void ap_fastmri_mask(int64_t width, const float *draws, float *keep);

/* The published preprocessing of one slice: kspace [h, w] complex float32, keep [w], target [tall, wide] -> input of
 * that size, and normalised target. work: 2 h w + 6 max(h, w) doubles. AP_DATA if that does not fit, the image is
 * constant, or a value is not finite. */
typedef struct ap_fastmri_slice {
    int64_t h, w, tall, wide;
    const float *kspace, *keep, *target;
} ap_fastmri_slice;
size_t ap_fastmri_work(int64_t h, int64_t w); /* doubles */
ap_status ap_fastmri_preprocess(const ap_fastmri_slice *slice, double *work, float *input, float *target, float *mean,
                                float *std, ap_error *error);

/* ---- data.c */
enum {
    AP_FASTMRI_KSPACE,
    AP_FASTMRI_SIZE,
    AP_FASTMRI_TARGET,
    AP_FASTMRI_VOLUME_MAX,
    AP_FASTMRI_INDEX,
    AP_FASTMRI_FIELDS
};
/* An example is a slice: kspace float32 [2 h w] (re, im), its size h, w, the fully sampled magnitude image [s s], the
 * largest value of the volume (0 = unknown), and the slice's index, which decides the mask in training. */
#define AP_FASTMRI_FIELD_LIST                                                                                          \
    {                                                                                                                  \
        {.name = "kspace", .type = AP_F32, .rank = 1, .shape = {-1}},                                                  \
            {.name = "size", .type = AP_I32, .rank = 1, .shape = {2}},                                                 \
            {.name = "target", .type = AP_F32, .rank = 1, .shape = {-1}}, {.name = "volume_max", .type = AP_F32},      \
            {.name = "index", .type = AP_I64},                                                                         \
    }
ap_collate ap_fastmri_collate;
extern const ap_generator ap_fastmri_generator;

/* ---- prepare.c */
ap_status ap_fastmri_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);

#endif
