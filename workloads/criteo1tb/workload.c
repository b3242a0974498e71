#include "workloads/criteo1tb/criteo1tb.h"

extern const char ap_criteo1tb_config[];
static const char *const config = ap_criteo1tb_config;
static const char *const variants[] = {"test", "layernorm", "embed_init", "resnet", NULL};

/* Mean loss over the examples of the split. */
static void evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums) {
    sums[0] += ap_criteo1tb_loss(model, tape, logits, batch, &(ap_loss_options){0}).summed;
}
static void metrics(const double *sums, int64_t examples, double *metrics) {
    metrics[0] = sums[0] / (double)examples;
}

const ap_workload ap_workload_criteo1tb = {
    .name = "criteo1tb",
    .summary = "click-through prediction, DLRM-small",
    .source = "AlgoPerf reference code, workloads/criteo1tb (PyTorch form); Naumov et al., arXiv 1906.00091",
    .config_text = &config,
    .variants = variants,
    .options = ap_criteo1tb_options,
    .option_count = ap_criteo1tb_option_count,
    .model_size = sizeof(ap_criteo1tb_model),
    .define = ap_criteo1tb_define,
    .forward = ap_criteo1tb_forward,
    .loss = ap_criteo1tb_loss,
    .sum_count = 1,
    .sum_names = {"summed_loss"},
    .evaluate = evaluate,
    .metric_count = 1,
    .metric_names = {"loss"},
    .metrics = metrics,
    .fields = 2,
    .field = {{.name = "inputs", .type = AP_F32, .rank = 1, .shape = {AP_CRITEO1TB_INPUTS}},
              {.name = "targets", .type = AP_U8}},
    .collate = ap_criteo1tb_collate,
    .generator = &ap_criteo1tb_generator,
    .plan = ap_criteo1tb_plan,
    .prepare_help =
        "folder with Criteo's days, day_0 to day_23 or day_0_00 to day_23_35, or with {train,valid,test}.tsv; "
        "plain, .gz or .xz",
};
