#include "workloads/ogbg/ogbg.h"

extern const char ap_ogbg_config[];
static const char *const config = ap_ogbg_config;
static const char *const variants[] = {"gelu", "silu", "model_size", NULL};

const ap_workload ap_workload_ogbg = {
    .name = "ogbg",
    .summary = "activity of molecules in 128 assays, a graph network",
    .source = "AlgoPerf reference code, workloads/ogbg (PyTorch form)",
    .config_text = &config,
    .variants = variants,
    .options = ap_ogbg_options,
    .option_count = ap_ogbg_option_count,
    .model_size = sizeof(ap_ogbg_model),
    .define = ap_ogbg_define,
    .forward = ap_ogbg_forward,
    .loss = ap_ogbg_loss,
    .sum_count = AP_OGBG_SUMS,
    .evaluate = ap_ogbg_evaluate,
    .most_examples_a_pass = 64,
    .output_count = ap_ogbg_output_count,
    .outputs = ap_ogbg_outputs,
    .output_metrics = ap_ogbg_output_metrics,
    .metric_count = AP_OGBG_METRICS,
    .target_metric = AP_OGBG_MAP,
    .metric_names = {"mean_average_precision", "accuracy", "loss"},
    .metrics = ap_ogbg_metrics,
    .fields = AP_OGBG_FIELDS,
    .field = AP_OGBG_FIELD_LIST,
    .collate = ap_ogbg_collate,
    .budget = &ap_ogbg_budget,
    .generator = &ap_ogbg_generator,
    .plan = ap_ogbg_plan,
    .prepare_help = "folder of an OGB molecule set: raw/*.csv.gz and split/*/{train,valid,test}.csv.gz",
};
