/* criteo1tb: what this folder's files share. model.c: DLRM and its variants; data.c: the synthetic click model,
 * collate; prepare.c: the published files; workload.c: the table that the program sees. Source: AlgoPerf reference
 * code, workloads/criteo1tb; Naumov et al., "Deep learning recommendation model", arXiv 1906.00091. */
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
extern const int64_t ap_criteo1tb_vocabulary[AP_CRITEO1TB_SPARSE]; /* buckets of each column */
ap_collate ap_criteo1tb_collate;
extern const ap_generator ap_criteo1tb_generator;

#endif
