/* criteo1tb: what this folder's files share. model.c: DLRM and its variants; data.c: the synthetic click model,
 * collate; row.c: a line of the published files; prepare.c: all of them; workload.c: the table that the program sees.
 * Source: AlgoPerf reference code, workloads/criteo1tb; Naumov et al., "Deep learning recommendation model", arXiv
 * 1906.00091. */
#ifndef AP_WORKLOADS_CRITEO1TB_H
#define AP_WORKLOADS_CRITEO1TB_H

#include "workload/workload.h"

/* Filled through ap_criteo1tb_options. */
typedef struct ap_criteo1tb_model {
    int64_t vocab_size, embed_dim, num_dense_features, num_sparse_features;
    char *mlp_bottom_dims, *mlp_top_dims; /* "512,256,128" */
    bool use_layer_norm, use_resnet;
    double embedding_init_multiplier; /* 0: 1 / sqrt(vocab_size) */
} ap_criteo1tb_model;
enum { ap_criteo1tb_option_count = 9 };
extern const ap_option ap_criteo1tb_options[ap_criteo1tb_option_count];

/* ---- model.c; for the contracts see ap_workload. Batch arrays: inputs float32 [n, dense + sparse], the ids of
 * categories as numbers behind the dense features; targets float32 or int64 [n], 0 or 1; weights float32 [n] if there
 * are any. */
ap_status ap_criteo1tb_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_criteo1tb_forward(const void *model, ap_tape *tape, const ap_batch *batch);
ap_loss ap_criteo1tb_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                          const ap_loss_options *options);

/* ---- data.c */
enum { AP_CRITEO1TB_DENSE = 13, AP_CRITEO1TB_SPARSE = 26, AP_CRITEO1TB_INPUTS = 39 };
enum { AP_CRITEO1TB_FIELD_INPUTS, AP_CRITEO1TB_FIELD_TARGETS, AP_CRITEO1TB_FIELDS };
ap_collate ap_criteo1tb_collate;
extern const ap_generator ap_criteo1tb_generator;

/* ---- row.c */
extern const int64_t ap_criteo1tb_vocabulary[AP_CRITEO1TB_SPARSE]; /* buckets of each column */
/* A line without its end: label, 13 whole numbers, 26 categories of 1 to 8 hexadecimal digits, separated by tabs; empty
 * and -1 stand for 0. Integers become log(max(x, 0) + 1); categories the bucket of their digits, with the column's
 * number (from 0) behind them, as float32. AP_DATA names field and rule. */
ap_status ap_criteo1tb_row(const char *line, size_t n, float inputs[AP_CRITEO1TB_INPUTS], uint8_t *label,
                           ap_error *error);
/* FarmHash's Fingerprint64 of 1 to 16 bytes. */
uint64_t ap_criteo1tb_fingerprint(const char *bytes, size_t n);

/* ---- prepare.c */
typedef struct ap_criteo1tb_cut {
    int64_t part_bytes; /* of a plain file */
    int64_t test_lines; /* of day 23, where it is one file */
} ap_criteo1tb_cut;
extern const ap_criteo1tb_cut ap_criteo1tb_published_cut;
ap_status ap_criteo1tb_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);
/* The same, cut otherwise: for tests. */
ap_status ap_criteo1tb_plan_cut(const ap_prepare_options *options, const ap_criteo1tb_cut *cut, ap_prepare_plan *plan,
                                ap_error *error);

#endif
