/* Sentence pairs for wmt: what the model sees (collate), and how they are packed into rows. */
#include "workloads/wmt/wmt.h"

#include <string.h>

/* ---- sizes */

/* Tokens that count: as many as there are ids other than 0, from the beginning. */
static int64_t tokens_of(const ap_example *example, int field) {
    const int32_t *ids = example->data[field];
    int64_t n = 0;
    for (int64_t i = 0; i < example->length[field]; i++) n += ids[i] != AP_WMT_PADDING;
    return n;
}

static void measure(const ap_example *example, int64_t amounts[AP_MAX_AMOUNTS]) {
    amounts[0] = tokens_of(example, AP_WMT_INPUTS);
    amounts[1] = tokens_of(example, AP_WMT_TARGETS);
}

static int64_t width_of_row(const void *model) {
    return ((const ap_wmt_model *)model)->max_len_pe;
}

const ap_batch_budget ap_wmt_budget = {.amounts = 2,
                                       .name = {"tokens of source", "tokens of target"},
                                       .measure = measure,
                                       .row = width_of_row,
                                       .group = AP_WMT_PACKING_GROUP};

/* ---- collate */

enum { SIDES = AP_WMT_FIELDS };
typedef struct rows { /* [rows, width] each */
    int64_t n, width[SIDES];
    int64_t *token[SIDES], *position[SIDES], *segment[SIDES];
    float *weights;
} rows;

static int64_t *add_zeros(ap_batch *batch, const char *name, int64_t n, int64_t width) {
    int64_t *data = ap_batch_add(batch, name, AP_I64, 2, (int64_t[]){n, width});
    if (data) memset(data, 0, (size_t)(n * width) * sizeof *data);
    return data;
}

static ap_status add_arrays(rows *r, bool packed, ap_batch *batch, ap_error *error) {
    static const char *const names[SIDES][3] = {{"inputs", "inputs_position", "inputs_segmentation"},
                                                {"targets", "targets_position", "targets_segmentation"}};
    bool fine = true;
    for (int s = 0; s < SIDES; s++) {
        r->token[s] = add_zeros(batch, names[s][0], r->n, r->width[s]);
        r->position[s] = packed ? add_zeros(batch, names[s][1], r->n, r->width[s]) : NULL;
        r->segment[s] = packed ? add_zeros(batch, names[s][2], r->n, r->width[s]) : NULL;
        fine = fine && r->token[s] && (!packed || (r->position[s] && r->segment[s]));
    }
    r->weights = ap_batch_add(batch, "weights", AP_F32, 2, (int64_t[]){r->n, r->width[AP_WMT_TARGETS]});
    if (fine && r->weights) return AP_OK;
    return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %lld rows of %lld and %lld tokens",
                   (long long)r->n, (long long)r->width[0], (long long)r->width[1]);
}

static ap_status check_tokens(const ap_wmt_model *m, const ap_example *e, ap_error *error) {
    for (int s = 0; s < SIDES; s++) {
        const int32_t *ids = e->data[s];
        for (int64_t i = 0; i < e->length[s]; i++)
            if (ids[i] < 0 || ids[i] >= m->ntoken)
                return ap_fail(error, AP_DATA, "a sentence with token %d (the model has %lld: option ntoken)", ids[i],
                               (long long)m->ntoken);
        if (tokens_of(e, s) < 1 || tokens_of(e, s) > m->max_len_pe)
            return ap_fail(error, AP_DATA, "a sentence of %lld tokens (the model takes 1 .. %lld: option max_len_pe)",
                           (long long)tokens_of(e, s), (long long)m->max_len_pe);
    }
    return AP_OK;
}

/* A side of a pair into a row, from column `at` on. */
static void put(const rows *r, int side, int64_t row, int64_t at, int64_t segment, const ap_example *e) {
    const int64_t n = tokens_of(e, side), begin = row * r->width[side] + at;
    const int32_t *ids = e->data[side];
    for (int64_t i = 0; i < n; i++) {
        r->token[side][begin + i] = ids[i];
        if (r->position[side]) r->position[side][begin + i] = i, r->segment[side][begin + i] = segment;
    }
}

/* Rows that n pairs fill, the first of them at place `first` of the stream; with `to` they are put there. */
static int64_t pack(const ap_wmt_model *m, int64_t first, int64_t n, const ap_example *e, const rows *to) {
    int64_t row = -1, used[SIDES] = {0}, segment = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t size[SIDES] = {tokens_of(&e[i], 0), tokens_of(&e[i], 1)};
        const bool fits = used[0] + size[0] <= m->max_len_pe && used[1] + size[1] <= m->max_len_pe;
        if (row < 0 || (first + i) % AP_WMT_PACKING_GROUP == 0 || !fits) row++, used[0] = used[1] = segment = 0;
        segment++;
        for (int s = 0; s < SIDES; s++) {
            if (to) put(to, s, row, used[s], segment, &e[i]);
            used[s] += size[s];
        }
    }
    return row + 1;
}

static void finish(const rows *r, int64_t real, ap_batch *batch) {
    for (int64_t i = 0; i < r->n * r->width[AP_WMT_TARGETS]; i++)
        r->weights[i] = r->token[AP_WMT_TARGETS][i] != AP_WMT_PADDING;
    batch->examples = r->n;
    batch->real_examples = real;
}

ap_status ap_wmt_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                         int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_wmt_model *m = model;
    rows r = {.n = padded_to, .width = {1, 1}};
    for (int64_t i = 0; i < n; i++) {
        AP_TRY(check_tokens(m, &examples[i], error));
        for (int s = 0; s < SIDES; s++)
            if (tokens_of(&examples[i], s) > r.width[s]) r.width[s] = tokens_of(&examples[i], s);
    }
    if (key->training) {
        r.n = pack(m, key->first, n, examples, NULL);
        r.width[0] = r.width[1] = m->max_len_pe;
        AP_TRY(add_arrays(&r, true, batch, error));
        pack(m, key->first, n, examples, &r);
    } else {
        AP_TRY(add_arrays(&r, false, batch, error));
        for (int64_t i = 0; i < n; i++)
            for (int s = 0; s < SIDES; s++) put(&r, s, i, 0, 0, &examples[i]);
    }
    finish(&r, key->training ? r.n : n, batch);
    return AP_OK;
}

/* ---- the data set's vocabulary */

ap_status ap_wmt_attach(void *model, const ap_dataset *dataset, ap_error *error) {
    ap_wmt_model *m = model;
    m->vocabulary = ap_dataset_vocabulary(dataset);
    int64_t pieces = 0;
    for (const char *at = m->vocabulary; at && (at = strchr(at, '\n')); at++) pieces++;
    if (pieces <= m->ntoken) return AP_OK;
    return ap_fail(error, AP_DATA, "a vocabulary of %lld pieces (the model has %lld: option ntoken)", (long long)pieces,
                   (long long)m->ntoken);
}
