#include "workloads/fastmri/fastmri.h"

extern const char ap_fastmri_config[];
static const char *const config = ap_fastmri_config;
static const char *const variants[] = {"model_size", "tanh", "layernorm", NULL};

const ap_workload ap_workload_fastmri = {
    .name = "fastmri",
    .summary = "reconstruction of knees from undersampled k-space, U-Net",
    .source = "AlgoPerf reference code, workloads/fastmri (PyTorch form)",
    .config_text = &config,
    .variants = variants,
    .options = ap_fastmri_options,
    .option_count = ap_fastmri_option_count,
    .model_size = sizeof(ap_fastmri_model),
    .define = ap_fastmri_define,
    .forward = ap_fastmri_forward,
    .loss = ap_fastmri_loss,
    .sum_count = AP_FASTMRI_SUMS,
    .evaluate = ap_fastmri_evaluate,
    .example_metric_name = "eval_ssim_per_example",
    .example_metric = ap_fastmri_example_ssim,
    .metric_count = 2,
    .target_metric = 0,
    .metric_names = {"ssim", "loss"},
    .metrics = ap_fastmri_metrics,
    .fields = AP_FASTMRI_FIELDS,
    .field = AP_FASTMRI_FIELD_LIST,
    .collate = ap_fastmri_collate,
    .generator = &ap_fastmri_generator,
    .plan = ap_fastmri_plan,
    .prepare_help = "folder with knee_singlecoil_train and knee_singlecoil_val (fastMRI's HDF5 files), or with train, "
                    "valid and test (NIfTI-1 volumes)",
};
