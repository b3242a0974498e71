/* finewebedu_lm: what this folder's files share. model.c: decoder-only transformer; data.c: windows of tokens, loss,
 * perplexity and the synthetic language; prepare.c: text; bpe.h: its tokens; workload.c: the table that the program
 * sees. Source: AlgoPerf reference code, workloads/finewebedu_lm (PyTorch form, in float32). */
#ifndef AP_WORKLOADS_FINEWEBEDU_LM_H
#define AP_WORKLOADS_FINEWEBEDU_LM_H

#include "workload/workload.h"

/* Filled through ap_finewebedu_lm_options. */
typedef struct ap_finewebedu_lm_model {
    int64_t model_dim, num_heads, num_layers, seq_len, vocab_size, expanded_model_dim, multiple_of;
    double rmsnorm_epsilon, qknorm_epsilon, rope_theta;
} ap_finewebedu_lm_model;
enum { ap_finewebedu_lm_option_count = 10 };
extern const ap_option ap_finewebedu_lm_options[ap_finewebedu_lm_option_count];

/* For the contracts see ap_workload. Batch arrays: inputs, targets int64 [n, steps], steps at most seq_len; weights
 * float32 [n, steps] if there are any. */
ap_status ap_finewebedu_lm_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_finewebedu_lm_forward(const void *model, ap_tape *tape, const ap_batch *batch);
ap_loss ap_finewebedu_lm_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                              const ap_loss_options *options);

/* sums: loss without smoothing, weights. metrics: perplexity = exp(loss / weights), one exp over the whole split; the
 * mean loss. A split without tokens: 1 and 0. */
enum { AP_LM_LOSS, AP_LM_WEIGHTS, AP_LM_SUMS };
void ap_finewebedu_lm_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                               double *sums);
void ap_finewebedu_lm_metrics(const double *sums, int64_t examples, double *metrics);

/* An example: `tokens`, a window of the token stream, seq_len + 1 of them. */
enum { AP_LM_TOKENS, AP_LM_FIELDS };
#define AP_LM_FIELD_LIST                                                                                               \
    {                                                                                                                  \
        {                                                                                                              \
            .name = "tokens", .type = AP_I32, .rank = 1, .shape = { -1 }                                               \
        }                                                                                                              \
    }
ap_collate ap_finewebedu_lm_collate;
/* The data set's vocabulary has no more tokens than the model, or AP_DATA. */
ap_status ap_finewebedu_lm_attach(void *model, const ap_dataset *dataset, ap_error *error);
extern const ap_generator ap_finewebedu_lm_generator;

/* ---- prepare.c; options->model is an ap_finewebedu_lm_model: windows of seq_len + 1, at most vocab_size tokens, and
 * as many where they are trained. */
typedef struct ap_lm_cut {
    int64_t part_bytes; /* of a plain file */
} ap_lm_cut;
extern const ap_lm_cut ap_lm_published_cut;
ap_status ap_lm_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);
/* The same, cut otherwise: for tests. */
ap_status ap_lm_plan_cut(const ap_prepare_options *options, const ap_lm_cut *cut, ap_prepare_plan *plan,
                         ap_error *error);

#endif
