/* Molecules for ogbg: what the model sees (collate), and their sizes for dynamic batches. */
#include "workloads/ogbg/ogbg.h"

#include <math.h>
#include <string.h>

/* ---- sizes */

static void measure(const ap_example *example, int64_t amounts[AP_MAX_AMOUNTS]) {
    amounts[0] = example->length[AP_OGBG_NODES];
    amounts[1] = 2 * example->length[AP_OGBG_EDGES];
}

const ap_batch_budget ap_ogbg_budget = {
    .amounts = 2, .name = {"nodes", "edges"}, .per_example = {26, 56}, .measure = measure};

/* ---- collate */

typedef struct arrays {
    float *nodes, *edges, *targets, *weights;
    int64_t *senders, *receivers, *n_node, *n_edge;
} arrays;

static ap_status add_arrays(int64_t graphs, int64_t nodes, int64_t edges, int64_t tasks, ap_batch *batch, arrays *a,
                            ap_error *error) {
    a->nodes = ap_batch_add(batch, "nodes", AP_F32, 2, (int64_t[]){nodes, AP_OGBG_NODE_FEATURES});
    a->edges = ap_batch_add(batch, "edges", AP_F32, 2, (int64_t[]){edges, AP_OGBG_EDGE_FEATURES});
    a->senders = ap_batch_add(batch, "senders", AP_I64, 1, &edges);
    a->receivers = ap_batch_add(batch, "receivers", AP_I64, 1, &edges);
    a->n_node = ap_batch_add(batch, "n_node", AP_I64, 1, &graphs);
    a->n_edge = ap_batch_add(batch, "n_edge", AP_I64, 1, &graphs);
    a->targets = ap_batch_add(batch, "targets", AP_F32, 2, (int64_t[]){graphs, tasks});
    a->weights = ap_batch_add(batch, "weights", AP_F32, 2, (int64_t[]){graphs, tasks});
    if (a->nodes && a->edges && a->senders && a->receivers && a->n_node && a->n_edge && a->targets && a->weights)
        return AP_OK;
    return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %lld graphs, %lld nodes, %lld edges",
                   (long long)graphs, (long long)nodes, (long long)edges);
}

static ap_status check_example(const ap_ogbg_model *m, const ap_example *e, ap_error *error) {
    const int64_t nodes = e->length[AP_OGBG_NODES], edges = e->length[AP_OGBG_EDGES];
    if (e->length[AP_OGBG_LINKS] != edges)
        return ap_fail(error, AP_DATA, "a graph with the features of %lld edges and the ends of %lld", (long long)edges,
                       (long long)e->length[AP_OGBG_LINKS]);
    const int32_t *links = e->data[AP_OGBG_LINKS];
    for (int64_t i = 0; i < 2 * edges; i++)
        if (links[i] < 0 || links[i] >= nodes)
            return ap_fail(error, AP_DATA,
                           "a graph of %lld nodes with an edge of node %d (numbers from 0 are expected)",
                           (long long)nodes, links[i]);
    if (e->length[AP_OGBG_LABELS] > m->num_outputs)
        return ap_fail(error, AP_DATA, "a graph with %lld labels (the model has %lld outputs: option num_outputs)",
                       (long long)e->length[AP_OGBG_LABELS], (long long)m->num_outputs);
    const uint8_t *labels = e->data[AP_OGBG_LABELS];
    for (int64_t i = 0; i < e->length[AP_OGBG_LABELS]; i++)
        if (labels[i] > 1 && labels[i] != AP_OGBG_MISSING)
            return ap_fail(error, AP_DATA, "a graph with label %d (0, 1 and %d, missing, are expected)", labels[i],
                           AP_OGBG_MISSING);
    return AP_OK;
}

static void put_features(const uint8_t *from, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i++) to[i] = (float)from[i];
}

/* Graph g, whose nodes and edges begin at `node` and `edge` of the batch. */
static void put_graph(const ap_ogbg_model *m, const ap_example *e, int64_t g, int64_t node, int64_t edge, arrays *a) {
    const int64_t nodes = e->length[AP_OGBG_NODES], bonds = e->length[AP_OGBG_EDGES], tasks = m->num_outputs;
    put_features(e->data[AP_OGBG_NODES], nodes * AP_OGBG_NODE_FEATURES, a->nodes + node * AP_OGBG_NODE_FEATURES);
    const int32_t *links = e->data[AP_OGBG_LINKS];
    for (int direction = 0; direction < 2; direction++) {
        const int64_t at = edge + direction * bonds;
        put_features(e->data[AP_OGBG_EDGES], bonds * AP_OGBG_EDGE_FEATURES, a->edges + at * AP_OGBG_EDGE_FEATURES);
        for (int64_t i = 0; i < bonds; i++) {
            a->senders[at + i] = node + links[2 * i + direction];
            a->receivers[at + i] = node + links[2 * i + 1 - direction];
        }
    }
    a->n_node[g] = nodes, a->n_edge[g] = 2 * bonds;
    const uint8_t *labels = e->data[AP_OGBG_LABELS];
    for (int64_t t = 0; t < tasks; t++) {
        const int label = t < e->length[AP_OGBG_LABELS] ? labels[t] : AP_OGBG_MISSING;
        a->targets[g * tasks + t] = label == 1;
        a->weights[g * tasks + t] = label != AP_OGBG_MISSING;
    }
}

/* Rows n .. padded_to - 1 are graphs without nodes and labels. */
ap_status ap_ogbg_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                          int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_ogbg_model *m = model;
    (void)key; /* nothing is drawn */
    int64_t nodes = 0, edges = 0;
    for (int64_t i = 0; i < n; i++) {
        AP_TRY(check_example(m, &examples[i], error));
        nodes += examples[i].length[AP_OGBG_NODES], edges += 2 * examples[i].length[AP_OGBG_EDGES];
    }
    arrays a;
    AP_TRY(add_arrays(padded_to, nodes, edges, m->num_outputs, batch, &a, error));
    nodes = edges = 0;
    for (int64_t i = 0; i < n; i++) {
        put_graph(m, &examples[i], i, nodes, edges, &a);
        nodes += a.n_node[i], edges += a.n_edge[i];
    }
    for (int64_t i = n; i < padded_to; i++) a.n_node[i] = a.n_edge[i] = 0;
    const size_t rest = (size_t)((padded_to - n) * m->num_outputs) * sizeof(float);
    memset(a.targets + n * m->num_outputs, 0, rest);
    memset(a.weights + n * m->num_outputs, 0, rest);
    batch->examples = padded_to;
    batch->real_examples = n;
    return AP_OK;
}
