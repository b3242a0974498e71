/* ogbg's data: what the model sees of a molecule, the synthetic molecules, an OGB folder packed, and what is refused.
 */
#include "workloads/ogbg/ogbg.h"

#include "check.h"
#include "folder.h"
#include "prepare_alone.h"

extern const ap_workload ap_workload_ogbg;
static ap_error error;
static const ap_ogbg_model model = {.num_outputs = 4};

/* ---- the synthetic molecules */

static void check_molecule(const ap_example *e, int64_t *counts) {
    const int64_t atoms = e->length[AP_OGBG_NODES], bonds = e->length[AP_OGBG_EDGES];
    const uint8_t *nodes = e->data[AP_OGBG_NODES], *edges = e->data[AP_OGBG_EDGES];
    const int32_t *links = e->data[AP_OGBG_LINKS];
    int uses[64] = {0}, neighbours[64] = {0};
    CHECK(atoms >= 1 && atoms < 64 && bonds >= atoms - 1);
    for (int64_t b = 0; b < bonds; b++)
        for (int end = 0; end < 2; end++) {
            CHECK(links[2 * b + end] >= 0 && links[2 * b + end] < atoms);
            uses[links[2 * b + end]] += edges[3 * b] == 1 ? 2 : 1;
            neighbours[links[2 * b + end]]++;
        }
    for (int64_t i = 0; i < atoms; i++) { /* valences: bonds, hydrogens, and an aromatic atom's electron */
        const uint8_t *f = nodes + 9 * i;
        const int element = f[0] + 1, valence = element == 6 ? 4 : element == 7 ? 3 : element % 8 == 0 ? 2 : 1;
        CHECK_INT(uses[i] + f[4] + f[7], valence);
        CHECK_INT(f[2], neighbours[i] + f[4]);
        CHECK(!f[7] || f[8]);
    }
    counts[0] += bonds == 0;
    for (int64_t t = 0; t < e->length[AP_OGBG_LABELS]; t++) {
        const uint8_t label = ((uint8_t *)e->data[AP_OGBG_LABELS])[t];
        CHECK(label <= 1 || label == AP_OGBG_MISSING);
        counts[label == 1 ? 1 : label == 0 ? 2 : 3]++;
    }
}

static void test_synthetic_molecules(void) {
    enum { N = 2000 };
    const ap_ogbg_model m = {.num_outputs = 24};
    ap_example e = {0}, again = {0};
    int64_t counts[4] = {0}; /* without bonds; labels 1, 0, missing */
    for (int i = 0; i < N; i++) {
        CHECK_INT(ap_ogbg_generator.generate(&m, 1, AP_TRAIN, i, &e, &error), AP_OK);
        check_molecule(&e, counts);
    }
    CHECK_INT(ap_ogbg_generator.generate(&m, 1, AP_TRAIN, N - 1, &again, &error), AP_OK);
    CHECK(ap_example_digest(&e, AP_OGBG_FIELDS, ap_ogbg_generator.field) ==
          ap_example_digest(&again, AP_OGBG_FIELDS, ap_ogbg_generator.field));
    CHECK_INT(ap_ogbg_generator.generate(&m, 1, AP_VALIDATION, N - 1, &again, &error), AP_OK);
    CHECK(ap_example_digest(&e, AP_OGBG_FIELDS, ap_ogbg_generator.field) !=
          ap_example_digest(&again, AP_OGBG_FIELDS, ap_ogbg_generator.field));
    CHECK(counts[0] > N / 200 && counts[0] < N / 50);
    CHECK_NEAR((double)counts[3] / (24 * N), 0.2, 0.01);
    CHECK(counts[1] > 24 * N / 20 && counts[1] < 24 * N / 3);
    ap_example_free(&e), ap_example_free(&again);
}

/* ---- an OGB folder of five graphs: 3, 1, 2, 2 and 3 nodes */

static const char *const files[][2] = {
    {"raw/num-node-list", "3\n1\n2\n2\n3\n"},
    {"raw/num-edge-list", "2\n0\n1\n1\n3\n"},
    {"raw/node-feat", "5,0,4,5,3,0,2,0,0\n6,0,3,5,2,0,2,0,0\n7,0,2,5,0,0,1,0,0\n8,0,0,5,0,0,0,0,0\n1,1,1,1,1,1,1,1,1\n"
                      "2,2,2,2,2,2,2,2,2\n3,3,3,3,3,3,3,3,3\n4,4,4,4,4,4,4,4,4\n9,9,9,9,9,9,9,9,9\n"
                      "10,0,0,0,0,0,0,0,0\n255,0,0,0,0,0,0,0,1\n"},
    {"raw/edge-feat", "0,0,0\n1,0,1\n0,5,0\n3,0,1\n0,0,0\n0,0,1\n1,0,0\n"},
    {"raw/edge", "0,1\n1,2\n1,0\n0,1\n0,1\n1,2\n2,0\n"},
    {"raw/graph-label", "0,1.0,\n,,\n1,nan,0\n1,1,1\n0,0,0\n"},
    {"split/scaffold/train", "4\n0\n"},
    {"split/scaffold/valid", "1\n2\n"},
    {"split/scaffold/test", "3\n"}};
enum { FILES = sizeof files / sizeof *files };

static void write_text(const char *name, const char *text) {
    FILE *file = fopen(in_folder(name), "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file) fclose(file);
}

static void publish(void) {
    static const char *const folders[] = {"tox", "tox/raw", "tox/split", "tox/split/scaffold"};
    start();
    for (int i = 0; i < 4; i++) mkdir(in_folder(folders[i]), 0777);
    for (int i = 0; i < FILES; i++) {
        char name[64];
        snprintf(name, sizeof name, "tox/%s.csv", files[i][0]);
        write_text(name, files[i][1]);
    }
}

static ap_status prepare(void) {
    return prepare_alone(&ap_workload_ogbg, &(ap_prepare_options){.from = in_folder("tox"), .to = in_folder("t.h5")}, 0,
                         &error);
}

static void test_prepared_and_collated(void) {
    publish();
    CHECK_INT(prepare(), AP_OK);
    ap_dataset *set = NULL;
    CHECK_INT(ap_dataset_open(in_folder("t.h5"), "ogbg", AP_OGBG_FIELDS, ap_ogbg_generator.field, &set, &error), AP_OK);
    if (!set) return;
    CHECK(!strcmp(ap_dataset_name(set), "tox"));
    CHECK_TEXT(ap_dataset_source(set), "num-node-list xxh3_128=");
    CHECK_TEXT(ap_dataset_source(set), "test xxh3_128=");
    CHECK_INT(ap_dataset_count(set, AP_TRAIN), 2);
    ap_example e[2] = {0};
    CHECK_INT(ap_dataset_read(set, AP_TRAIN, 1, &e[0], &error), AP_OK);      /* graph 0 */
    CHECK_INT(ap_dataset_read(set, AP_VALIDATION, 0, &e[1], &error), AP_OK); /* graph 1: one node */
    ap_batch batch = {0};
    CHECK_INT(ap_ogbg_collate(&model, &(ap_collate_key){0}, 2, e, 3, &batch, &error), AP_OK);
    static const float edges[] = {0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1}, targets[12] = {0, 1},
                       weights[12] = {1, 1}; /* a fourth output without a label, a graph without any, padding */
    CHECK(!memcmp(ap_batch_i64(&batch, "senders"), ((int64_t[]){0, 1, 1, 2}), 32));
    CHECK(!memcmp(ap_batch_i64(&batch, "receivers"), ((int64_t[]){1, 2, 0, 1}), 32));
    CHECK(!memcmp(ap_batch_i64(&batch, "n_node"), ((int64_t[]){3, 1, 0}), 24));
    CHECK(!memcmp(ap_batch_i64(&batch, "n_edge"), ((int64_t[]){4, 0, 0}), 24));
    CHECK(!memcmp(ap_batch_f32(&batch, "edges"), edges, sizeof edges));
    CHECK(!memcmp(ap_batch_f32(&batch, "targets"), targets, sizeof targets));
    CHECK(!memcmp(ap_batch_f32(&batch, "weights"), weights, sizeof weights));
    const float *nodes = ap_batch_f32(&batch, "nodes");
    CHECK(nodes[0] == 5 && nodes[9] == 6 && nodes[27] == 8 && nodes[30] == 5);
    const ap_ogbg_model narrow = {.num_outputs = 2};
    ap_batch_clear(&batch);
    CHECK_INT(ap_ogbg_collate(&narrow, &(ap_collate_key){0}, 1, e, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "3 labels (the model has 2 outputs");
    ap_batch_free(&batch);
    ap_example_free(&e[0]), ap_example_free(&e[1]);
    ap_dataset_close(set);
}

/* A set without any edge, lines with \r and a last line without its end. */
static void test_lone_atoms(void) {
    publish();
    write_text("tox/raw/num-edge-list.csv", "0\r\n0\r\n0\r\n0\r\n0");
    write_text("tox/raw/edge.csv", "");
    write_text("tox/raw/edge-feat.csv", "");
    CHECK_INT(prepare(), AP_OK);
    ap_dataset *set = NULL;
    CHECK_INT(ap_dataset_open(in_folder("t.h5"), "ogbg", AP_OGBG_FIELDS, ap_ogbg_generator.field, &set, &error), AP_OK);
    ap_example e = {0};
    CHECK_INT(set ? ap_dataset_read(set, AP_TEST, 0, &e, &error) : AP_OK, AP_OK);
    CHECK_INT(e.length[AP_OGBG_NODES], 2);
    CHECK_INT(e.length[AP_OGBG_EDGES], 0);
    ap_example_free(&e);
    ap_dataset_close(set);
}

static void refused(const char *name, const char *text, ap_status status, const char *why) {
    publish();
    char path[64];
    snprintf(path, sizeof path, "tox/%s.csv", name);
    if (text)
        write_text(path, text);
    else
        CHECK(remove(in_folder(path)) == 0);
    error = (ap_error){0};
    CHECK_INT(prepare(), status);
    CHECK_TEXT(error.text, why);
    CHECK(!ap_file_exists(in_folder("t.h5")));
    CHECK_INT(entries(folder), 1); /* nothing half-written */
}

static void test_bad_input(void) {
    refused("raw/edge", "0,1\n1,2\n1,0\n0,1\n0,3\n1,2\n2,0\n", AP_DATA,
            "edge.csv:5: edge 0,3 of graph 4, which has 3 nodes (numbers from 0 to 2");
    refused("raw/edge", "0,1\n1,2\n1,0\n0,1\n0,-1\n1,2\n2,0\n", AP_DATA, "edge.csv:5: edge 0,-1 of graph 4");
    refused("raw/edge", "0,1\n1,2\n1,0\n0,1\n", AP_DATA, "edge.csv: 4 lines (num-edge-list adds up to 7)");
    refused("raw/edge", "0,1\n1,2\n1,0\n0,1\n0,1\n1,2\n2,0\n0,1\n", AP_DATA,
            "edge.csv:8: more lines than the 7 that num-edge-list");
    refused("raw/edge", "0,1\n1,x\n", AP_DATA, "edge.csv:2: value 2, \"x\", is not a whole number");
    refused("raw/edge", "0,1\n1\n", AP_DATA, "edge.csv:2: 1 values (expected 2)");
    refused("raw/edge", "0,1,2\n", AP_DATA, "edge.csv:1: more than 2 values");
    refused("raw/num-node-list", "1048577\n", AP_DATA, "value 1 is 1048577 (must be 1 to 1048576)");
    refused("raw/num-node-list", "1048576\n1048576\n1048576\n1048576\n1048576\n", AP_DATA, "node-feat.csv: 11 lines");
    refused("raw/edge", "0,1\n\n", AP_DATA, "edge.csv:2: value 1, \"\", is not");
    refused("raw/node-feat", "5,0,4,5,3,0,2,0,256\n", AP_DATA, "node-feat.csv:1: value 9 is 256 (must be 0 to 255)");
    refused("raw/node-feat", "5,0,4,5,3,0,2.5,0,0\n", AP_DATA, "value 7, \"2.5\", is not a whole number");
    refused("raw/node-feat", "", AP_DATA, "node-feat.csv: 0 lines (num-node-list adds up to 11)");
    refused("raw/edge-feat", "99999999999999999999,0,0\n", AP_DATA, "edge-feat.csv:1: value 1 is");
    refused("raw/num-node-list", "3\n0\n2\n2\n3\n", AP_DATA, "num-node-list.csv:2: value 1 is 0 (must be 1 to");
    refused("raw/num-node-list", "", AP_DATA, "num-node-list has 0 graphs, num-edge-list 5");
    refused("raw/num-edge-list", "2\n0\n1\n1\n", AP_DATA, "num-node-list has 5 graphs, num-edge-list 4");
    refused("raw/num-edge-list", "2\n-1\n1\n1\n3\n", AP_DATA, "num-edge-list.csv:2: value 1 is -1");
    refused("raw/graph-label", "0,1,0\n0,2,0\n", AP_DATA, "graph-label.csv:2: value 2 is 2 (must be 0 to 1)");
    refused("raw/graph-label", "0,1,0\n0,1\n", AP_DATA, "graph-label.csv:2: 2 labels (the first line has 3)");
    refused("raw/graph-label", "0,1,0\n", AP_DATA, "graph-label.csv: 1 lines (num-node-list adds up to 5)");
    refused("split/scaffold/valid", "", AP_DATA, "valid.csv: the split is empty");
    refused("split/scaffold/valid", "1\n5\n", AP_DATA, "valid.csv:2: value 1 is 5 (must be 0 to 4)");
    refused("split/scaffold/test", "3\n4\n", AP_DATA, "test.csv:2: graph 4 is in split train already");
    refused("split/scaffold/test", NULL, AP_IO, "has neither test.csv.gz nor test.csv");
    refused("raw/edge-feat", NULL, AP_IO, "has neither edge-feat.csv.gz nor edge-feat.csv");
}

AP_TEST_MAIN(test_synthetic_molecules, test_prepared_and_collated, test_lone_atoms, test_bad_input)
