/* The ogbg model: a graph network with edge, node and global updates, the logits from the globals. */
#include "workloads/ogbg/ogbg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const activations[] = {"relu", "gelu", "silu", NULL};
static const ap_activation activation_kinds[] = {AP_RELU, AP_GELU, AP_SILU};

#define INT_OPTION(member, low, high, text, help_text)                                                                 \
    {                                                                                                                  \
        .name = #member, .type = AP_OPTION_INT, .offset = offsetof(ap_ogbg_model, member), .min = low, .max = high,    \
        .fallback = text, .help = help_text                                                                            \
    }

const ap_option ap_ogbg_options[ap_ogbg_option_count] = {
    INT_OPTION(num_outputs, 1, 1 << 16, "128", "tasks; also the width of the first globals"),
    {.name = "activation_fn_name",
     .type = AP_OPTION_STRING,
     .offset = offsetof(ap_ogbg_model, activation_fn_name),
     .choices = activations,
     .fallback = "relu",
     .help = "activation of the perceptrons; gelu in its tanh form"},
    INT_OPTION(latent_dim, 1, 1 << 14, "256", "width of the node and edge embeddings"),
    {.name = "hidden_dims",
     .type = AP_OPTION_STRING,
     .offset = offsetof(ap_ogbg_model, hidden_dims),
     .fallback = "256",
     .help = "widths of the layers of each perceptron, such as \"256,256\""},
    INT_OPTION(num_message_passing_steps, 1, 1000, "5", "message-passing steps"),
};

enum { NAME = 96, MOST_LAYERS = 16, FUNCTIONS = 3 };
static const char *const functions[FUNCTIONS] = {"update_edge_fn", "update_node_fn", "update_global_fn"};
static const float norm_eps = 1e-6f;

/* ---- options */

/* The number of layers; 0: not a list of widths. */
static int read_widths(const char *text, int64_t widths[MOST_LAYERS]) {
    for (int n = 0; n < MOST_LAYERS;) {
        char *end;
        widths[n] = strtoll(text, &end, 10);
        if (end == text || widths[n] < 1 || widths[n] > 1 << 14) return 0;
        n++;
        if (!*end) return n;
        if (*end != ',') return 0;
        text = end + 1;
    }
    return 0;
}

static ap_activation activation_of(const ap_ogbg_model *m) {
    int i = 0;
    while (activations[i + 1] && strcmp(m->activation_fn_name, activations[i]) != 0) i++;
    return activation_kinds[i];
}

/* ---- parameters */

static ap_status add(ap_params *params, const char *prefix, const char *name, int rank, const int64_t *shape,
                     ap_init init, ap_error *error) {
    char full[2 * NAME];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return ap_params_add(params, full, rank, shape, init, error);
}

static ap_status add_linear(ap_params *params, const char *prefix, int64_t out, int64_t in, ap_error *error) {
    AP_TRY(add(params, prefix, ".weight", 2, (int64_t[]){out, in}, ap_init_lecun_truncated_normal(in), error));
    return add(params, prefix, ".bias", 1, &out, ap_init_constant(0), error);
}

/* dense_0, norm_0, dense_1, norm_1, .. */
static ap_status add_perceptron(ap_params *params, const char *name, int64_t in, int layers, const int64_t *widths,
                                ap_error *error) {
    for (int i = 0; i < layers; i++) {
        char prefix[NAME + 32];
        snprintf(prefix, sizeof prefix, "%s.dense_%d", name, i);
        AP_TRY(add_linear(params, prefix, widths[i], i ? widths[i - 1] : in, error));
        snprintf(prefix, sizeof prefix, "%s.norm_%d", name, i);
        AP_TRY(add(params, prefix, ".weight", 1, &widths[i], ap_init_constant(1), error));
        AP_TRY(add(params, prefix, ".bias", 1, &widths[i], ap_init_constant(0), error));
    }
    return AP_OK;
}

ap_status ap_ogbg_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const ap_ogbg_model *m = model;
    (void)state; /* no running statistics */
    int64_t widths[MOST_LAYERS];
    const int layers = read_widths(m->hidden_dims, widths);
    if (!layers)
        return ap_fail(error, AP_CONFIG, "hidden_dims = \"%s\" (must be 1 to %d widths from 1 to %d, such as \"256\")",
                       m->hidden_dims, MOST_LAYERS, 1 << 14);
    AP_TRY(add_linear(params, "node_embedder", m->latent_dim, AP_OGBG_NODE_FEATURES, error));
    AP_TRY(add_linear(params, "edge_embedder", m->latent_dim, AP_OGBG_EDGE_FEATURES, error));
    int64_t wide = m->latent_dim, global = m->num_outputs; /* of nodes and edges; of globals */
    const int64_t out = widths[layers - 1];
    for (int64_t step = 0; step < m->num_message_passing_steps; step++) {
        const int64_t in[FUNCTIONS] = {3 * wide + global, wide + 2 * out + global, 2 * out + global};
        for (int f = 0; f < FUNCTIONS; f++) {
            char name[NAME];
            snprintf(name, sizeof name, "graph_network.%lld.%s", (long long)step, functions[f]);
            AP_TRY(add_perceptron(params, name, in[f], layers, widths, error));
        }
        wide = global = out;
    }
    return add_linear(params, "decoder", m->num_outputs, out, error);
}

/* ---- a step */

/* linear - layer norm - activation - dropout, `layers` times; the first linear layer's input is in parts. */
static ap_tensor *perceptron(ap_tape *tape, int parts, const ap_linear_part *part, int first_param, int layers,
                             ap_activation activation) {
    ap_tensor *x = NULL;
    for (int i = 0; i < layers; i++) {
        ap_tensor *p[4];
        for (int k = 0; k < 4; k++) p[k] = ap_tape_param(tape, first_param + 4 * i + k);
        x = i ? ap_linear(tape, x, p[0], p[1]) : ap_linear_parts(tape, parts, part, p[0], p[1]);
        x = ap_dropout(tape, ap_activation_of(tape, ap_layer_norm(tape, x, p[2], p[3], norm_eps), activation, 0));
    }
    return x;
}

int ap_ogbg_step(ap_tape *tape, ap_ogbg_graph *g, int first_param, int layers, ap_activation activation) {
    const int each = 4 * layers;
    const ap_linear_part edge[] = {
        {g->edges, NULL}, {g->nodes, g->senders}, {g->nodes, g->receivers}, {g->globals, g->edge_graph}};
    g->edges = perceptron(tape, 4, edge, first_param, layers, activation);
    const ap_linear_part node[] = {{g->nodes, NULL},
                                   {ap_segment_sum(tape, g->edges, g->senders), NULL},
                                   {ap_segment_sum(tape, g->edges, g->receivers), NULL},
                                   {g->globals, g->node_graph}};
    g->nodes = perceptron(tape, 4, node, first_param + each, layers, activation);
    const ap_linear_part global[] = {{ap_segment_sum(tape, g->nodes, g->node_graph), NULL},
                                     {ap_segment_sum(tape, g->edges, g->edge_graph), NULL},
                                     {g->globals, NULL}};
    g->globals = perceptron(tape, 3, global, first_param + 2 * each, layers, activation);
    return FUNCTIONS * each;
}

/* ---- forward */

static bool check_array(ap_tape *tape, const ap_array *a, const char *name, ap_dtype type, int64_t rows,
                        int64_t columns) {
    const bool fits = a && a->type == type && a->rank == (columns ? 2 : 1) && (rows < 0 || a->shape[0] == rows) &&
                      (!columns || a->shape[1] == columns);
    if (fits) return true;
    char shape[64];
    snprintf(shape, sizeof shape, rows < 0 ? "[rows" : "[%lld", (long long)rows);
    if (columns) snprintf(shape + strlen(shape), sizeof shape - strlen(shape), ", %lld", (long long)columns);
    return ap_tape_fail_as(tape, AP_DATA, "ogbg: the batch needs `%s`, %s %s]", name,
                           type == AP_F32 ? "float32" : "int64", shape);
}

/* The graph of each of the rows, from the number of rows of each graph. */
static const ap_segments *graphs_of(ap_tape *tape, const ap_array *counts, int64_t rows, const char *what) {
    int64_t *of = ap_tape_take(tape, (size_t)rows * sizeof *of), n = 0;
    if (!of) return NULL;
    for (int64_t g = 0; g < counts->size; g++) {
        const int64_t count = ((const int64_t *)counts->data)[g];
        if (count < 0 || count > rows - n)
            return ap_tape_fail_as(tape, AP_DATA, "ogbg: graph %lld has %lld %s, of %lld only %lld are left",
                                   (long long)g, (long long)count, what, (long long)rows, (long long)(rows - n));
        for (int64_t i = 0; i < count; i++) of[n++] = g;
    }
    if (n < rows)
        return ap_tape_fail_as(tape, AP_DATA, "ogbg: the graphs have %lld %s, the batch %lld", (long long)n, what,
                               (long long)rows);
    return ap_segments_of(tape, rows, of, counts->size);
}

/* Nodes and edges embedded, globals zero. */
static bool read_graph(const ap_ogbg_model *m, ap_tape *tape, const ap_batch *batch, ap_ogbg_graph *g) {
    const ap_array *nodes = ap_batch_find(batch, "nodes"), *edges = ap_batch_find(batch, "edges"),
                   *from = ap_batch_find(batch, "senders"), *to = ap_batch_find(batch, "receivers"),
                   *n_node = ap_batch_find(batch, "n_node"), *n_edge = ap_batch_find(batch, "n_edge");
    if (!check_array(tape, nodes, "nodes", AP_F32, -1, AP_OGBG_NODE_FEATURES) ||
        !check_array(tape, edges, "edges", AP_F32, -1, AP_OGBG_EDGE_FEATURES) ||
        !check_array(tape, from, "senders", AP_I64, edges->shape[0], 0) ||
        !check_array(tape, to, "receivers", AP_I64, edges->shape[0], 0) ||
        !check_array(tape, n_node, "n_node", AP_I64, -1, 0) ||
        !check_array(tape, n_edge, "n_edge", AP_I64, n_node->shape[0], 0))
        return false;
    const int64_t graphs = n_node->size;
    g->senders = ap_segments_of(tape, edges->shape[0], from->data, nodes->shape[0]);
    g->receivers = ap_segments_of(tape, edges->shape[0], to->data, nodes->shape[0]);
    g->node_graph = graphs_of(tape, n_node, nodes->shape[0], "nodes");
    g->edge_graph = graphs_of(tape, n_edge, edges->shape[0], "edges");
    float *zeros = ap_tape_take(tape, (size_t)(graphs * m->num_outputs) * sizeof *zeros);
    if (!g->senders || !g->receivers || !g->node_graph || !g->edge_graph || !zeros) return false;
    memset(zeros, 0, (size_t)(graphs * m->num_outputs) * sizeof *zeros);
    g->globals = ap_tape_input(tape, zeros, 2, (int64_t[]){graphs, m->num_outputs});
    g->nodes = ap_linear(tape, ap_tape_input(tape, nodes->data, 2, nodes->shape), ap_tape_param(tape, 0),
                         ap_tape_param(tape, 1));
    g->edges = ap_linear(tape, ap_tape_input(tape, edges->data, 2, edges->shape), ap_tape_param(tape, 2),
                         ap_tape_param(tape, 3));
    return g->edges != NULL;
}

ap_tensor *ap_ogbg_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const ap_ogbg_model *m = model;
    int64_t widths[MOST_LAYERS];
    const int layers = read_widths(m->hidden_dims, widths);
    ap_ogbg_graph graph = {0};
    if (!read_graph(m, tape, batch, &graph)) return NULL;
    int param = 4;
    for (int64_t step = 0; step < m->num_message_passing_steps; step++)
        param += ap_ogbg_step(tape, &graph, param, layers, activation_of(m));
    return ap_linear(tape, graph.globals, ap_tape_param(tape, param), ap_tape_param(tape, param + 1));
}
