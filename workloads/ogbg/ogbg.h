/* ogbg: what this folder's files share. model.c: the graph network and its variants; loss.c: loss, evaluation sums,
 * mean average precision; data.c: what the model sees, and the size of a molecule; synthetic.c: molecules whose labels
 * depend on substructures; prepare.c: OGB's raw folders; workload.c: the table that the program sees. Source: AlgoPerf
 * reference code, workloads/ogbg; Hu et al. 2020, "Open graph benchmark"; Battaglia et al. 2018, arXiv 1806.01261. */
#ifndef AP_WORKLOADS_OGBG_H
#define AP_WORKLOADS_OGBG_H

#include "workload/workload.h"

/* Filled through ap_ogbg_options. */
typedef struct ap_ogbg_model {
    int64_t num_outputs, latent_dim, num_message_passing_steps;
    char *hidden_dims;        /* "256": widths of each perceptron's layers */
    char *activation_fn_name; /* "relu", "gelu" (tanh form), "silu" */
} ap_ogbg_model;
enum { ap_ogbg_option_count = 5 };
extern const ap_option ap_ogbg_options[ap_ogbg_option_count];

/* ---- model.c. Batch arrays of G graphs: nodes float32 [N, 9], edges float32 [E, 3], senders and receivers int64 [E],
 * n_node and n_edge int64 [G]: graphs one behind the other, their rows, too. Logits [G, num_outputs]. */
enum { AP_OGBG_NODE_FEATURES = 9, AP_OGBG_EDGE_FEATURES = 3 };
ap_status ap_ogbg_define(const void *model, ap_params *params, ap_params *state, ap_error *error);
ap_tensor *ap_ogbg_forward(const void *model, ap_tape *tape, const ap_batch *batch);

/* One message-passing step, as the model makes them; open for a test against the published one. */
typedef struct ap_ogbg_graph {
    ap_tensor *nodes, *edges, *globals; /* [N, ..], [E, ..], [G, ..] */
    const ap_segments *senders, *receivers, *edge_graph, *node_graph;
} ap_ogbg_graph;
/* first_param: the edge perceptron's first weight; the step's other parameters follow it. Replaces the three tensors,
 * returns the parameters used. */
int ap_ogbg_step(ap_tape *tape, ap_ogbg_graph *graph, int first_param, int layers, ap_activation activation);

/* ---- loss.c. Batch arrays: targets float32 [G, num_outputs], weights the same, 0 where a label is missing, or none.
 */
ap_loss ap_ogbg_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                     const ap_loss_options *options);
/* sums: entries whose label (logit > 0) says the predicted thing, summed loss, entries; masked ones count. */
enum { AP_OGBG_CORRECT, AP_OGBG_LOSS, AP_OGBG_ENTRIES, AP_OGBG_SUMS };
void ap_ogbg_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums);
/* metrics: mean average precision, accuracy, loss. */
enum { AP_OGBG_MAP, AP_OGBG_ACCURACY, AP_OGBG_MEAN_LOSS, AP_OGBG_METRICS };
void ap_ogbg_metrics(const double *sums, int64_t examples, double *metrics);
/* An example's outputs: its logits, then its labels (NaN: missing). */
int64_t ap_ogbg_output_count(const void *model);
void ap_ogbg_outputs(const void *model, const ap_tensor *logits, const ap_batch *batch, float *outputs);
void ap_ogbg_output_metrics(const void *model, int64_t examples, const float *outputs, double *metrics);

/* ---- data.c. A stored molecule: features of its atoms and bonds, each bond once with its two atoms, numbered from 0;
 * labels 0, 1 or AP_OGBG_MISSING. Fewer labels than the model has outputs: the others are missing. */
enum { AP_OGBG_NODES, AP_OGBG_EDGES, AP_OGBG_LINKS, AP_OGBG_LABELS, AP_OGBG_FIELDS };
enum { AP_OGBG_MISSING = 255 };
#define AP_OGBG_FIELD_LIST                                                                                             \
    {                                                                                                                  \
        {.name = "nodes", .type = AP_U8, .rank = 2, .shape = {-1, AP_OGBG_NODE_FEATURES}},                             \
            {.name = "edges", .type = AP_U8, .rank = 2, .shape = {-1, AP_OGBG_EDGE_FEATURES}},                         \
            {.name = "links", .type = AP_I32, .rank = 2, .shape = {-1, 2}},                                            \
            {.name = "labels", .type = AP_U8, .rank = 1, .shape = {-1}},                                               \
    }
/* Each bond becomes two edges: first all bonds of a molecule as stored, then all reversed. No padding: the published
 * batches are padded to one size, with rows of weight 0 in graphs of their own, which no loss or gradient depends on.
 */
ap_collate ap_ogbg_collate;
extern const ap_batch_budget ap_ogbg_budget; /* 26 nodes and 56 edges a graph */

/* ---- synthetic.c, prepare.c */
extern const ap_generator ap_ogbg_generator;
ap_status ap_ogbg_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);

#endif
