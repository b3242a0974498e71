/* Data sets: examples by (split, index), from a packed file or a synthetic generator. One format for all workloads
 * (README.md here).
 *
 * An example is the raw bytes of the data set's fields, e.g. for mnist `inputs` uint8 [28,28,1] and `targets` uint8 [].
 * A field's first extent may be ragged (-1): then its length is stored an example. What the model sees (float,
 * normalised, augmented, padded) is made by the workload's collate function. */
#ifndef AP_DATA_DATASET_H
#define AP_DATA_DATASET_H

#include "base/h5.h"
#include "base/status.h"
#include <stdint.h>

typedef enum ap_split { AP_TRAIN, AP_VALIDATION, AP_TEST, AP_SPLITS } ap_split;
extern const char *const ap_split_names[AP_SPLITS]; /* "train", "validation", "test" */

enum { AP_MAX_FIELDS = 8, AP_FIELD_MAX_RANK = 4 };
typedef struct ap_field {
    const char *name;
    ap_dtype type;
    int rank;                         /* of one example; 0 = scalar */
    int64_t shape[AP_FIELD_MAX_RANK]; /* shape[0] = -1: ragged */
} ap_field;
static inline bool ap_field_is_ragged(const ap_field *field) {
    return field->rank > 0 && field->shape[0] < 0;
}

/* Bytes of one example's field, `length` rows if ragged (else ignored). False if that does not fit in memory. */
bool ap_field_bytes(const ap_field *field, int64_t length, size_t *bytes);

/* One example in memory of the caller's ap_example, which grows and is reused. */
typedef struct ap_example {
    int fields;
    void *data[AP_MAX_FIELDS];     /* field bytes, aligned to 16 */
    int64_t length[AP_MAX_FIELDS]; /* ragged: the first extent; else shape[0], or 1 for a scalar */
    void *buffer;                  /* private: backing memory */
    size_t capacity;
} ap_example;
void ap_example_free(ap_example *example); /* frees the buffer, not the struct */
/* Makes room for the given field lengths (fixed fields: ignored; NULL if no field is ragged) and sets data[] and
 * length[]; the old contents are lost. For generators and readers. */
ap_status ap_example_reserve(ap_example *example, int fields, const ap_field *field, const int64_t *lengths,
                             ap_error *error);

/* XXH3-64 over the field bytes in field order, without gaps: the per-example digest of packed files. */
uint64_t ap_example_digest(const ap_example *example, int fields, const ap_field *field);

/* A synthetic data set: example = f(seed, split, index), pure. */
typedef struct ap_generator {
    const char *name; /* "synthetic" */
    int fields;
    ap_field field[AP_MAX_FIELDS];
    ap_status (*generate)(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error);
} ap_generator;

typedef struct ap_dataset ap_dataset;

/* Packed files up to this size are held in memory by every process that opens them; larger ones are read example by
 * example. Default 256 MiB. */
extern size_t ap_dataset_memory_limit;

/* Opens a packed file: checks the seal (whole digest up to 1 GiB; above that the size, and each example's digest as it
 * is read), that it was packed as `workload`, that its fields equal `field` (names, types, shapes), and that every
 * extent lies within the file. Copies `field`, borrows the names in it. AP_DATA says what is wrong with the file; AP_IO
 * if it cannot be read. Not collective. Main thread only (libhdf5). */
ap_status ap_dataset_open(const char *path, const char *workload, int fields, const ap_field *field,
                          ap_dataset **dataset, ap_error *error);
/* counts: examples a split. Borrows generator and model. */
ap_status ap_dataset_synthetic(const ap_generator *generator, const void *model, uint64_t seed,
                               const int64_t counts[AP_SPLITS], ap_dataset **dataset, ap_error *error);
void ap_dataset_close(ap_dataset *dataset); /* NULL is fine */

const char *ap_dataset_name(const ap_dataset *dataset); /* "fashion-mnist", "mnist", "synthetic": selects the target */
const char *ap_dataset_digest(const ap_dataset *dataset); /* hex; "" for synthetic */
const char *ap_dataset_source(const ap_dataset *dataset); /* as given to the packer; "" for synthetic */
/* What token ids mean, a piece a line from id 0 on, if the packed file has `/vocabulary`; NULL: it has none. */
const char *ap_dataset_vocabulary(const ap_dataset *dataset);
int64_t ap_dataset_count(const ap_dataset *dataset, ap_split split);
/* Reads one example and verifies its digest (AP_DATA names file, split and index). Thread-safe: packed files are read
 * from memory or by pread(2), not by libhdf5. */
ap_status ap_dataset_read(const ap_dataset *dataset, ap_split split, int64_t index, ap_example *example,
                          ap_error *error);

/* ---- writing packed files
 * Streams: memory is about a MiB a field, whatever the size of the data set. Main thread only (libhdf5). */
typedef struct ap_packer ap_packer;
/* *same: `path` is there already and is an intact packed file of the same workload, name, source and fields. AP_USAGE
 * if anything else is there. */
ap_status ap_packer_find(const char *path, const char *workload, const char *dataset_name, const char *source,
                         int fields, const ap_field *field, bool *same, ap_error *error);
/* Begins `path` (sealed at the end; nothing partial is left). source: free text for the record, file names and their
 * digests. Copies `field`, borrows the names in it.
 * Never overwrites: if `path` is already an intact packed file of the same workload, name, source and fields, *packer
 * is NULL and the status AP_OK: nothing to do. If anything else is there: AP_USAGE. */
ap_status ap_packer_create(const char *path, const char *workload, const char *dataset_name, const char *source,
                           int fields, const ap_field *field, ap_packer **packer, ap_error *error);
/* Announces a split's number of examples and, for ragged fields, total lengths[fields] (NULL if no field is ragged);
 * then append exactly that many. All three splits, in order; 0 examples are fine. If begin or append fails, the caller
 * abandons the packer. */
ap_status ap_packer_begin(ap_packer *packer, ap_split split, int64_t count, const int64_t *total_lengths,
                          ap_error *error);
ap_status ap_packer_append(ap_packer *packer, const ap_example *example, ap_error *error);
/* Adds `/vocabulary` (ap_dataset_vocabulary), before the first split. */
ap_status ap_packer_vocabulary(ap_packer *packer, const char *text, ap_error *error);
/* Records that examples were left out: attributes `skipped` (how many) and `skipped_records` (their texts, a line
 * each). */
ap_status ap_packer_skipped(ap_packer *packer, int64_t count, const char *records, ap_error *error);
/* Attribute `left_out`: so many by the published rules. */
ap_status ap_packer_left_out(ap_packer *packer, int64_t count, ap_error *error);
ap_status ap_packer_commit(ap_packer *packer, ap_error *error); /* the packer is gone afterwards */
void ap_packer_abandon(ap_packer *packer);                      /* NULL is fine */

#endif
