#include "workloads/wmt/wmt.h"

extern const char ap_wmt_config[];
static const char *const config = ap_wmt_config;
static const char *const variants[] = {"post_ln", "attention_temp", "glu_tanh", NULL};

const ap_workload ap_workload_wmt = {
    .name = "wmt",
    .summary = "translation of German into English, a Transformer",
    .source = "AlgoPerf reference code, workloads/wmt (PyTorch form)",
    .config_text = &config,
    .variants = variants,
    .options = ap_wmt_options,
    .option_count = ap_wmt_option_count,
    .model_size = sizeof(ap_wmt_model),
    .define = ap_wmt_define,
    .forward = ap_wmt_forward,
    .logit_weights = ap_wmt_logit_weights,
    .loss = ap_wmt_loss,
    .sum_count = AP_WMT_SUMS,
    .sum_names = {[AP_WMT_CORRECT] = "accuracy_sum", [AP_WMT_TOKENS] = "accuracy_denominator"},
    .evaluate = ap_wmt_evaluate,
    .most_examples_a_pass = 16,
    .search = ap_wmt_search,
    .metric_count = AP_WMT_METRICS,
    .target_metric = AP_WMT_BLEU,
    .metric_names = {"bleu", "accuracy", "loss"},
    .metrics = ap_wmt_metrics,
    .fields = AP_WMT_FIELDS,
    .field = AP_WMT_FIELD_LIST,
    .collate = ap_wmt_collate,
    .budget = &ap_wmt_budget,
    .attach = ap_wmt_attach,
    .generator = &ap_wmt_generator,
    .plan = ap_wmt_plan,
    .prepare_help = "folder with {train,valid,test}.{de,en}, plain, .gz or .xz, a sentence a line",
    .vocabulary_help = "a SentencePiece model, as wmt_sentencepiece_model in the folder is",
};
