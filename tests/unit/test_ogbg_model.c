/* ogbg's own parts that a fixture of the whole model does not show: one published message-passing step; that padding
 * changes no loss and no gradient; wrong options and batches. */
#include "base/h5.h"
#include "check.h"
#include "workloads/ogbg/ogbg.h"

/* ---- one step */

static void *read(hid_t file, const char *name, ap_dtype type, int64_t shape[2]) {
    char path[128];
    int rank;
    int64_t n, extents[AP_H5_MAX_RANK] = {0, 1};
    void *data = NULL;
    snprintf(path, sizeof path, "/graph_network_step/%s", name);
    CHECK_INT(ap_h5_shape(file, path, &rank, extents, NULL), AP_OK);
    CHECK_INT(ap_h5_read(file, path, type, -1, 1 << 16, &data, &n, NULL), AP_OK);
    shape[0] = extents[0], shape[1] = rank > 1 ? extents[1] : 1;
    return data;
}

static ap_params *read_params(hid_t file) {
    static const char *const functions[] = {"update_edge_fn", "update_node_fn", "update_global_fn"};
    static const char *const parts[] = {"dense_0.weight", "dense_0.bias", "norm_0.weight", "norm_0.bias"};
    ap_params *params = ap_params_create();
    float *values[12];
    int64_t shape[2];
    for (int i = 0; i < 12; i++) {
        char name[96];
        snprintf(name, sizeof name, "param_%s.%s", functions[i / 4], parts[i % 4]);
        values[i] = read(file, name, AP_F32, shape);
        CHECK_INT(ap_params_add(params, name, i % 4 ? 1 : 2, shape, ap_init_constant(0), NULL), AP_OK);
    }
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    for (int i = 0; i < 12; i++) {
        memcpy(ap_params_value(params, i), values[i], (size_t)ap_params_get(params, i)->size * sizeof(float));
        free(values[i]);
    }
    return params;
}

static void check_output(hid_t file, const char *name, const ap_tensor *got) {
    int64_t shape[2];
    float *want = read(file, name, AP_F32, shape);
    CHECK(got && got->size == shape[0] * shape[1]);
    for (int64_t i = 0; got && i < got->size; i++) CHECK_NEAR(got->data[i], want[i], 2e-6);
    free(want);
}

static const ap_segments *spread(ap_tape *tape, const int64_t *counts, int64_t n) {
    int64_t *of = ap_tape_take(tape, 64 * sizeof *of), rows = 0;
    for (int64_t g = 0; g < n; g++)
        for (int64_t i = 0; i < counts[g]; i++) of[rows++] = g;
    return ap_segments_of(tape, rows, of, n);
}

static void test_published_step(void) {
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/layers.h5", &file, NULL), AP_OK);
    ap_params *params = read_params(file);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    int64_t n[2], e[2], g[2], one[2];
    float *nodes = read(file, "in_nodes", AP_F32, n), *edges = read(file, "in_edges", AP_F32, e),
          *globals = read(file, "in_globals", AP_F32, g);
    int64_t *from = read(file, "in_senders", AP_I64, one), *to = read(file, "in_receivers", AP_I64, one),
            *n_node = read(file, "in_n_node", AP_I64, one), *n_edge = read(file, "in_n_edge", AP_I64, one);
    ap_ogbg_graph graph = {.nodes = ap_tape_input(tape, nodes, 2, n),
                           .edges = ap_tape_input(tape, edges, 2, e),
                           .globals = ap_tape_input(tape, globals, 2, g),
                           .senders = ap_segments_of(tape, e[0], from, n[0]),
                           .receivers = ap_segments_of(tape, e[0], to, n[0]),
                           .edge_graph = spread(tape, n_edge, g[0]),
                           .node_graph = spread(tape, n_node, g[0])};
    CHECK_INT(ap_ogbg_step(tape, &graph, 0, 1, AP_RELU), 12);
    check_output(file, "out_edges", graph.edges);
    check_output(file, "out_nodes", graph.nodes);
    check_output(file, "out_globals", graph.globals);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    free(nodes), free(edges), free(globals), free(from), free(to), free(n_node), free(n_edge);
    ap_h5_close(file);
}

/* ---- padding */

static ap_ogbg_model small(void) {
    return (ap_ogbg_model){.num_outputs = 3,
                           .latent_dim = 5,
                           .num_message_passing_steps = 2,
                           .hidden_dims = (char *)"4,6",
                           .activation_fn_name = (char *)"silu"};
}

enum { GRAPHS = 6 };

static void collate(const ap_ogbg_model *m, ap_batch *batch) {
    ap_example examples[GRAPHS] = {0};
    for (int i = 0; i < GRAPHS; i++)
        CHECK_INT(ap_ogbg_generator.generate(m, 3, AP_TRAIN, i, &examples[i], NULL), AP_OK);
    CHECK_INT(ap_ogbg_collate(m, &(ap_collate_key){.training = true}, GRAPHS, examples, GRAPHS, batch, NULL), AP_OK);
    for (int i = 0; i < GRAPHS; i++) ap_example_free(&examples[i]);
}

static void *add(ap_batch *to, const ap_batch *from, const char *name, int64_t rows) {
    const ap_array *a = ap_batch_find(from, name);
    int64_t shape[2] = {rows, a->rank > 1 ? a->shape[1] : 1};
    char *data = ap_batch_add(to, name, a->type, a->rank, shape);
    const size_t had = (size_t)a->size * ap_dtype_size(a->type),
                 has = (size_t)(rows * shape[1]) * ap_dtype_size(a->type);
    memset(data, 0, has);
    memcpy(data, a->data, had);
    return data;
}

/* The published form: b + 1 graphs, 26 b + 1 nodes, 56 b edges; one graph owns the padding, its edges are loops. */
static void pad(const ap_batch *from, ap_batch *to) {
    const int64_t graphs = 2 * GRAPHS + 1, nodes = 26 * 2 * GRAPHS + 1, edges = 56 * 2 * GRAPHS;
    const int64_t had_nodes = ap_batch_find(from, "nodes")->shape[0],
                  had_edges = ap_batch_find(from, "edges")->shape[0];
    add(to, from, "nodes", nodes), add(to, from, "edges", edges);
    int64_t *senders = add(to, from, "senders", edges), *receivers = add(to, from, "receivers", edges);
    for (int64_t i = had_edges; i < edges; i++) senders[i] = receivers[i] = had_nodes;
    ((int64_t *)add(to, from, "n_node", graphs))[GRAPHS] = nodes - had_nodes;
    ((int64_t *)add(to, from, "n_edge", graphs))[GRAPHS] = edges - had_edges;
    add(to, from, "targets", graphs), add(to, from, "weights", graphs);
}

static ap_loss run(const ap_ogbg_model *m, ap_tape *tape, const ap_batch *batch, float *gradients) {
    ap_tape_begin(tape, &(ap_pass){.training = true, .wants_grad = true, .gradients = gradients});
    ap_tensor *logits = ap_ogbg_forward(m, tape, batch);
    ap_loss loss = ap_ogbg_loss(m, tape, logits, batch, &(ap_loss_options){0.1f});
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    return loss;
}

static void test_padding_changes_nothing(void) {
    const ap_ogbg_model m = small();
    ap_params *params = ap_params_create();
    CHECK_INT(ap_ogbg_define(&m, params, NULL, NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 5);
    const size_t length = (size_t)ap_params_length(params);
    float *gradients = calloc(2 * length, sizeof *gradients);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_batch plain = {0}, padded = {0};
    collate(&m, &plain);
    pad(&plain, &padded);
    const ap_loss a = run(&m, tape, &plain, gradients), b = run(&m, tape, &padded, gradients + length);
    CHECK_NEAR(a.n_valid, b.n_valid, 0);
    CHECK_NEAR(a.summed, b.summed, 1e-6 * a.summed);
    double largest = 0;
    for (size_t i = 0; i < length; i++) largest = fmax(largest, fabs((double)gradients[i]));
    CHECK(largest > 0);
    for (size_t i = 0; i < length; i++) CHECK_NEAR(gradients[i], gradients[length + i], 1e-5 * largest);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    ap_batch_free(&plain), ap_batch_free(&padded);
    free(gradients);
}

/* ---- what does not fit */

static void test_wrong_options(void) {
    static const char *const wrong[] = {"", "0", "8,", "8,x", "-3", "99999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ap_ogbg_model m = small();
        m.hidden_dims = (char *)wrong[i];
        ap_params *params = ap_params_create();
        ap_error error = {0};
        CHECK_INT(ap_ogbg_define(&m, params, NULL, &error), AP_CONFIG);
        CHECK_TEXT(error.text, "hidden_dims");
        ap_params_destroy(params);
    }
}

static void check_refused(ap_batch *batch, const char *text) {
    const ap_ogbg_model m = small();
    ap_params *params = ap_params_create();
    ap_error error = {0};
    CHECK_INT(ap_ogbg_define(&m, params, NULL, NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){0});
    ap_loss loss = ap_ogbg_loss(&m, tape, ap_ogbg_forward(&m, tape, batch), batch, &(ap_loss_options){0});
    CHECK(loss.per_example == NULL);
    CHECK_INT(ap_tape_status(tape, &error), AP_DATA);
    CHECK_TEXT(error.text, text);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    ap_batch_free(batch);
}

static void test_wrong_batches(void) {
    const ap_ogbg_model m = small();
    ap_batch batch = {0};
    collate(&m, &batch);
    ((int64_t *)ap_batch_find(&batch, "n_node")->data)[1]++;
    check_refused(&batch, "only");
    collate(&m, &batch);
    ((int64_t *)ap_batch_find(&batch, "n_edge")->data)[0] -= 2;
    check_refused(&batch, "edges, the batch");
    collate(&m, &batch);
    ((int64_t *)ap_batch_find(&batch, "senders")->data)[2] = 1000;
    check_refused(&batch, "segment 1000");
    collate(&m, &batch);
    batch.array[batch.arrays - 2].size--; /* targets */
    check_refused(&batch, "`targets`, float32 [6, 3]");
    check_refused(&batch, "`nodes`, float32 [rows, 9]");
}

AP_TEST_MAIN(test_published_step, test_padding_changes_nothing, test_wrong_options, test_wrong_batches)
