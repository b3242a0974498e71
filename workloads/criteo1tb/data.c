/* What the model sees of an example (collate), and the built-in synthetic click model. */
#include "workloads/criteo1tb/criteo1tb.h"

#include "base/fmath.h"
#include "base/random.h"
#include "tensor/kernels/vecmath.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { INPUTS = AP_CRITEO1TB_FIELD_INPUTS, TARGET = AP_CRITEO1TB_FIELD_TARGETS, FIELDS = AP_CRITEO1TB_FIELDS };

/* ---- collate */

ap_status ap_criteo1tb_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                               int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_criteo1tb_model *m = model;
    if (m->num_dense_features + m->num_sparse_features != AP_CRITEO1TB_INPUTS)
        return ap_fail(error, AP_CONFIG, "num_dense_features + num_sparse_features = %" PRId64 " (the data has %d)",
                       m->num_dense_features + m->num_sparse_features, AP_CRITEO1TB_INPUTS);
    const bool weighted = padded_to > n || !key->training;
    float *inputs = ap_batch_add(batch, "inputs", AP_F32, 2, (int64_t[]){padded_to, AP_CRITEO1TB_INPUTS});
    float *targets = ap_batch_add(batch, "targets", AP_F32, 1, &padded_to);
    float *weights = weighted ? ap_batch_add(batch, "weights", AP_F32, 1, &padded_to) : NULL;
    if (!inputs || !targets || (weighted && !weights))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %" PRId64 " examples", padded_to);
    const size_t row = AP_CRITEO1TB_INPUTS * sizeof *inputs;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t label = *(const uint8_t *)examples[i].data[TARGET];
        if (label > 1) return ap_fail(error, AP_DATA, "label %d (must be 0 or 1)", label);
        memcpy(inputs + i * AP_CRITEO1TB_INPUTS, examples[i].data[INPUTS], row);
        targets[i] = label;
    }
    memset(inputs + n * AP_CRITEO1TB_INPUTS, 0, (size_t)(padded_to - n) * row);
    memset(targets + n, 0, (size_t)(padded_to - n) * sizeof *targets);
    for (int64_t i = 0; weighted && i < padded_to; i++) weights[i] = i < n ? 1.0f : 0.0f;
    batch->examples = padded_to;
    batch->real_examples = n;
    return AP_OK;
}

/* ---- the synthetic click model
 *
 * Categories follow Zipf's law with exponent 1 over each column's values: many are rare, some are never seen in
 * training. Every value of every column has a hidden vector of four numbers in [-1, 1). The log odds of a click are a
 * constant, a little of some integers, the first number of some columns' values, and, most of it, inner products of the
 * other three of certain pairs of columns: whoever has no embeddings learns little, whoever has no crosses not much
 * more.
 *
 * IEEE double arithmetic in the order written on Philox draws, with our own exponential: the same bytes on every
 * machine.
 */

enum { HIDDEN = 4, DRAWS = AP_CRITEO1TB_INPUTS + 1, PAIRS = 8, SINGLES = 6, LOUD_INTEGERS = 4 };
static const int pairs[PAIRS][2] = {{0, 8}, {1, 24}, {9, 12}, {2, 25}, {19, 16}, {15, 18}, {17, 5}, {7, 21}};
static const int singles[SINGLES] = {3, 6, 11, 13, 20, 23};
static const double of_pairs = 1.6, of_singles = 0.5, of_integers = 0.4, constant = -1.4;

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* Rank of a value of `n`, P(r) = log((r + 2) / (r + 1)) / log(n + 1); u uniform in [0, 1). */
static int64_t zipf(double u, int64_t n) {
    const int64_t rank = (int64_t)ap_f64_exp(u * ap_f64_log((double)(n + 1))) - 1;
    return rank < 0 ? 0 : rank >= n ? n - 1 : rank;
}

/* How many values a column has: the large ones together about as many as the table has rows. */
static int64_t values_of(const ap_criteo1tb_model *m, int column) {
    const int64_t most = m->vocab_size / 8 > 4 ? m->vocab_size / 8 : 4, published = ap_criteo1tb_vocabulary[column];
    return published < most ? published : most;
}

static double hidden(uint64_t key, int i) {
    return (double)(int)(key >> (16 * i) & 0xffff) / 32768 - 1;
}

/* The log odds of a click of integers (logarithms, 0 to about 5.3) and hidden vectors. */
static double log_odds(const float *integers, const uint64_t *key) {
    double sum = 0, z = constant;
    for (int i = 0; i < LOUD_INTEGERS; i++) sum += (double)integers[i] / 5.3 - 0.4;
    z += of_integers * sum;
    sum = 0;
    for (int i = 0; i < SINGLES; i++) sum += hidden(key[singles[i]], 0);
    z += of_singles * sum;
    sum = 0;
    for (int i = 0; i < PAIRS; i++)
        for (int j = 1; j < HIDDEN; j++) sum += hidden(key[pairs[i][0]], j) * hidden(key[pairs[i][1]], j);
    return z + of_pairs * sum;
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    float draws[DRAWS];
    uint64_t key[AP_CRITEO1TB_SPARSE];
    AP_TRY(ap_example_reserve(example, FIELDS, ap_criteo1tb_generator.field, NULL, error));
    ap_random stream = ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split);
    ap_random_fill_uniform(&stream, 0, DRAWS, 0, 1, draws);
    float *inputs = example->data[INPUTS];
    for (int i = 0; i < AP_CRITEO1TB_DENSE; i++) { /* a fifth is missing; the others are 0 to 199, mostly small */
        const double u = ((double)draws[i] - 0.2) / 0.8;
        inputs[i] = u < 0 ? 0 : ap_logf((float)zipf(u, 200) + 1);
    }
    for (int c = 0; c < AP_CRITEO1TB_SPARSE; c++) {
        const int64_t rank = zipf((double)draws[AP_CRITEO1TB_DENSE + c], values_of(model, c));
        key[c] = mix(mix((uint64_t)c + 1) ^ (uint64_t)rank);
        inputs[AP_CRITEO1TB_DENSE + c] = (float)(int64_t)(mix(key[c]) % (uint64_t)ap_criteo1tb_vocabulary[c]);
    }
    const double odds = log_odds(inputs, key), click = 1 / (1 + ap_f64_exp(-odds));
    *(uint8_t *)example->data[TARGET] = (double)draws[DRAWS - 1] < click;
    return AP_OK;
}

const ap_generator ap_criteo1tb_generator = {
    .name = "synthetic",
    .fields = FIELDS,
    .field = {{.name = "inputs", .type = AP_F32, .rank = 1, .shape = {AP_CRITEO1TB_INPUTS}},
              {.name = "targets", .type = AP_U8}},
    .generate = generate};
