#include "workloads/finewebedu_lm/finewebedu_lm.h"

extern const char ap_finewebedu_lm_config[];
static const char *const config = ap_finewebedu_lm_config;

const ap_workload ap_workload_finewebedu_lm = {
    .name = "finewebedu_lm",
    .summary = "language model of educational web text, decoder-only transformer",
    .source = "AlgoPerf reference code, workloads/finewebedu_lm (PyTorch form, in float32)",
    .config_text = &config,
    .options = ap_finewebedu_lm_options,
    .option_count = ap_finewebedu_lm_option_count,
    .model_size = sizeof(ap_finewebedu_lm_model),
    .define = ap_finewebedu_lm_define,
    .forward = ap_finewebedu_lm_forward,
    .loss = ap_finewebedu_lm_loss,
    .sum_count = AP_LM_SUMS,
    .sum_names = {"eval_summed_loss"},
    .evaluate = ap_finewebedu_lm_evaluate,
    .metric_count = 2,
    .target_metric = 0,
    .metric_names = {"ppl", "loss"},
    .metrics = ap_finewebedu_lm_metrics,
    .fields = AP_LM_FIELDS,
    .field = AP_LM_FIELD_LIST,
    .collate = ap_finewebedu_lm_collate,
    .attach = ap_finewebedu_lm_attach,
    .generator = &ap_finewebedu_lm_generator,
    .plan = ap_lm_plan,
    .prepare_help =
        "folder with text, .jsonl (an object with `text` a line) or .txt (a document a line), plain, .gz or "
        ".xz: train*, val*, test*, or all to draw validation from",
    .vocabulary_help = "tokenizer.json or merges.txt of a byte-level byte-pair tokenizer",
};
