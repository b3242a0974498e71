/* A small packed file with every kind of field, its examples a function of (split, index); and the seal made again, for
 * files that are damaged behind it. */
#ifndef AP_TESTS_PACKED_SAMPLE_H
#define AP_TESTS_PACKED_SAMPLE_H

#include "data/dataset.h"
#include "data_scratch.h"

enum { SAMPLE_FIELDS = 4 };
static const ap_field sample_field[SAMPLE_FIELDS] = {
    {.name = "image", .type = AP_U8, .rank = 2, .shape = {3, 2}},
    {.name = "text", .type = AP_I32, .rank = 1, .shape = {-1}},
    {.name = "frames", .type = AP_F32, .rank = 2, .shape = {-1, 2}},
    {.name = "label", .type = AP_I64},
};
static const int64_t sample_counts[AP_SPLITS] = {23, 5, 7};

static inline void sample_lengths(ap_split split, int64_t index, int64_t lengths[SAMPLE_FIELDS]) {
    lengths[0] = lengths[3] = 0;
    lengths[1] = (index + split) % 4; /* 0, too */
    lengths[2] = 1 + index % 3;
}

static inline void sample_example(ap_split split, int64_t index, ap_example *example) {
    int64_t lengths[SAMPLE_FIELDS], base = 1000 * (int64_t)split + 10 * index;
    sample_lengths(split, index, lengths);
    if (ap_example_reserve(example, SAMPLE_FIELDS, sample_field, lengths, NULL) != AP_OK) exit(1);
    for (int i = 0; i < 6; i++) ((uint8_t *)example->data[0])[i] = (uint8_t)(base + i);
    for (int i = 0; i < lengths[1]; i++) ((int32_t *)example->data[1])[i] = (int32_t)(-base - i);
    for (int i = 0; i < 2 * lengths[2]; i++) ((float *)example->data[2])[i] = (float)base + 0.5f * (float)i;
    *(int64_t *)example->data[3] = base;
}

static inline ap_status sample_pack_split(ap_packer *packer, ap_split split, ap_error *error) {
    int64_t total[SAMPLE_FIELDS] = {0}, lengths[SAMPLE_FIELDS];
    ap_example example = {0};
    for (int64_t i = 0; i < sample_counts[split]; i++) {
        sample_lengths(split, i, lengths);
        for (int f = 0; f < SAMPLE_FIELDS; f++) total[f] += lengths[f];
    }
    ap_status status = ap_packer_begin(packer, split, sample_counts[split], total, error);
    for (int64_t i = 0; status == AP_OK && i < sample_counts[split]; i++) {
        sample_example(split, i, &example);
        status = ap_packer_append(packer, &example, error);
    }
    ap_example_free(&example);
    return status;
}

static inline ap_packer *sample_begin(const char *path) {
    ap_packer *packer = NULL;
    ap_error error = {0};
    CHECK_OK(ap_packer_create(path, "sample", "small", "made by a test", SAMPLE_FIELDS, sample_field, &packer, &error));
    return packer;
}

static inline const char *sample_pack(const char *name) {
    const char *path = scratch(name);
    ap_error error = {0};
    unlink(path);
    ap_packer *packer = sample_begin(path);
    for (ap_split split = 0; split < AP_SPLITS; split++) CHECK_OK(sample_pack_split(packer, split, &error));
    CHECK_OK(ap_packer_commit(packer, &error));
    return path;
}

static inline ap_status sample_open(const char *path, ap_dataset **dataset, ap_error *error) {
    *error = (ap_error){0};
    *dataset = NULL;
    return ap_dataset_open(path, "sample", SAMPLE_FIELDS, sample_field, dataset, error);
}

static inline bool sample_equal(const ap_example *example, ap_split split, int64_t index) {
    ap_example expected = {0};
    sample_example(split, index, &expected);
    bool equal = example->fields == SAMPLE_FIELDS;
    for (int f = 0; equal && f < SAMPLE_FIELDS; f++) {
        size_t bytes = 0;
        equal = example->length[f] == expected.length[f] &&
                ap_field_bytes(&sample_field[f], expected.length[f], &bytes) &&
                memcmp(example->data[f], expected.data[f], bytes) == 0;
    }
    ap_example_free(&expected);
    return equal;
}

/* Writes `bytes` as `name` with a seal that fits them, as somebody would who changed the file on purpose. */
static inline const char *sample_reseal(const char *name, uint8_t *bytes, size_t n) {
    char hex[AP_DIGEST_TEXT];
    ap_digest_text(ap_digest_of(bytes + 512, n - 512), hex);
    memset(bytes, 0, 512);
    snprintf((char *)bytes, 512, "algoperf-sealed 1\nkind=data\nbytes=%zu\nxxh3_128=%s\n", n, hex);
    return scratch_write(name, bytes, n);
}

#endif
