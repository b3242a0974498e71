/* wmt: what this folder's files share. model.c: the Transformer and its variants; decode.c: beam search with cached
 * keys and values; metrics.c: loss, BLEU; data.c: what the model sees, packed rows; synthetic.c: an artificial pair of
 * languages; workload.c: the table that the program sees. Source: AlgoPerf reference code, workloads/wmt (PyTorch
 * form); Vaswani et al. 2017, arXiv 1706.03762. */
#ifndef AP_WORKLOADS_WMT_H
#define AP_WORKLOADS_WMT_H

#include "workload/workload.h"

/* Filled through ap_wmt_options. */
typedef struct ap_wmt_model {
    int64_t ntoken, d_model, nhead, d_hid, nlayers;
    int64_t max_len_pe; /* positions there are: width of a packed row, length of the longest translation */
    int64_t beam_size;  /* 1: greedy */
    double layer_norm_eps, attention_temp, beam_alpha;
    bool glu, pre_ln;
    char *activation;       /* "relu" or "tanh" */
    const char *vocabulary; /* pieces of the data set (vocabulary.h); NULL: it has none. No option */
} ap_wmt_model;
enum { ap_wmt_option_count = 13 };
extern const ap_option ap_wmt_options[ap_wmt_option_count];

enum { AP_WMT_PADDING = 0, AP_WMT_EOS = 2 };

/* ---- model.c. Batch arrays: inputs, targets int64 [n, S], [n, T], 0 is padding; packed rows also have
 * inputs_position, inputs_segmentation and the same of targets; weights float32 [n, T]. Logits [n, T, ntoken]. */
ap_status ap_wmt_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_wmt_forward(const void *model, ap_tape *tape, const ap_batch *batch);
/* The fixed table of positions [rows, d]: with h = d / 2 and f_i = exp(-i log(10000) / (h - 1)), [sin(p f_i) | cos(p
 * f_i)]; f_i, p f_i in float as published. */
void ap_wmt_positions(int64_t rows, int64_t d, float *table);

/* For a search: what each step of the decoder needs of the past. */
typedef struct ap_wmt_cache {
    int64_t n, beams, source, steps; /* examples, rows of each, width of `inputs`, steps that are cached */
    float **k, **v;                  /* [nlayers]: [n beams, steps, d_model] */
    float *spare;                    /* as large as one of them */
    float **memory_k, **memory_v;    /* [nlayers]: [n, source, d_model] */
    float *hidden;                   /* [n, source]: 0, or what hides padding */
} ap_wmt_cache;
/* Room for up to most_steps steps, nothing cached; false: out of memory. Ends with ap_wmt_cache_free, also then. */
bool ap_wmt_cache_create(const ap_wmt_model *model, int64_t n, int64_t beams, int64_t source, int64_t most_steps,
                         ap_wmt_cache *cache);
void ap_wmt_cache_free(const ap_wmt_model *model, ap_wmt_cache *cache);
/* Encodes inputs [n, source] (unpacked) and keeps what the decoder's layers make of it. */
void ap_wmt_cache_encode(const ap_wmt_model *model, ap_tape *tape, const int64_t *inputs, ap_wmt_cache *cache);
/* One step of every row: token and parent [n beams], where the row's past is that of row `parent`. Logits [n beams,
 * ntoken] on the tape, or NULL. */
ap_tensor *ap_wmt_cache_step(const ap_wmt_model *model, ap_tape *tape, const int64_t *token, const int64_t *parent,
                             ap_wmt_cache *cache);

/* ---- decode.c */

/* ap_workload.search; begins passes of its own on the tape. */
void ap_wmt_search(const void *model, ap_tape *tape, const ap_batch *batch, const ap_search_options *options,
                   int64_t *sequences, float *scores);

/* ---- metrics.c */
ap_loss ap_wmt_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                    const ap_loss_options *options);
void ap_wmt_logit_weights(const void *model, const ap_tensor *logits, const ap_batch *batch, float *weights);
/* The counts of BLEU follow (workload/bleu.h). */
enum { AP_WMT_CORRECT, AP_WMT_LOSS, AP_WMT_TOKENS, AP_WMT_BLEU_COUNTS, AP_WMT_SUMS = AP_WMT_BLEU_COUNTS + 10 };
void ap_wmt_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums);
enum { AP_WMT_BLEU, AP_WMT_ACCURACY, AP_WMT_MEAN_LOSS, AP_WMT_METRICS };
void ap_wmt_metrics(const double *sums, int64_t examples, double *metrics);

/* ---- data.c. A stored pair: token ids of source and target, each with its EOS. */
enum { AP_WMT_INPUTS, AP_WMT_TARGETS, AP_WMT_FIELDS };
#define AP_WMT_FIELD_LIST                                                                                              \
    {                                                                                                                  \
        {.name = "inputs", .type = AP_I32, .rank = 1, .shape = {-1}},                                                  \
            {.name = "targets", .type = AP_I32, .rank = 1, .shape = {-1}},                                             \
    }
/* Training: pairs packed into rows of max_len_pe, greedily in the order of the stream, a new row every
 * AP_WMT_PACKING_GROUP pairs, as published. Evaluation: a pair a row, as long as the longest. A sequence is as long as
 * it has ids other than 0, as in the published packer: an unknown token costs one at the end. */
enum { AP_WMT_PACKING_GROUP = 256 };
ap_collate ap_wmt_collate;
extern const ap_batch_budget ap_wmt_budget;
ap_status ap_wmt_attach(void *model, const ap_dataset *dataset, ap_error *error);

/* ---- prepare.c, synthetic.c */
ap_status ap_wmt_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);
extern const ap_generator ap_wmt_generator;

#endif
