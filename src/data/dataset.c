#include "data/dataset.h"

#include "base/checked.h"
#include "base/file.h"
#include "data/synthetic_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL /* the streaming state on the stack, independent of the library's version */
#include <xxhash.h>

const char *const ap_split_names[AP_SPLITS] = {"train", "validation", "test"};

enum { FIELD_ALIGNMENT = 16, FORMAT = 1, SEAL = 512 };
/* Up to this size the digest of the whole file is checked at opening: below half a second. Above it only the
 * per-example digests are, as examples are read. */
static const off_t WHOLE_DIGEST_LIMIT = (off_t)1 << 30;
size_t ap_dataset_memory_limit = (size_t)256 << 20;

/* Where one field of one split lies in the file. */
typedef struct column {
    int64_t values;  /* byte offset of the values */
    int64_t offsets; /* ragged: byte offset of the row offsets */
    int64_t total;   /* ragged: rows in all */
    size_t row;      /* bytes of one row (ragged) or of one example */
} column;

struct ap_dataset {
    const char *name;
    int fields;
    ap_field field[AP_MAX_FIELDS];
    int64_t count[AP_SPLITS];

    const ap_generator *generator; /* NULL: packed file */
    const void *model;
    uint64_t seed;
    ap_synthetic_cache *cache; /* NULL: none */

    int file;     /* descriptor for pread(2) */
    char *memory; /* the whole file; NULL: it is read by pread(2) */
    size_t memory_bytes;
    char *path, *name_text, *source, *vocabulary;
    char digest[AP_DIGEST_TEXT];
    column column[AP_SPLITS][AP_MAX_FIELDS];
    int64_t digests[AP_SPLITS]; /* byte offset of the per-example digests */
};

/* ---- examples */

bool ap_field_bytes(const ap_field *field, int64_t length, size_t *bytes) {
    int64_t shape[AP_FIELD_MAX_RANK], size;
    memcpy(shape, field->shape, sizeof shape);
    if (ap_field_is_ragged(field)) shape[0] = length;
    return ap_shape_size(field->rank, shape, &size) && ap_size_mul((size_t)size, ap_dtype_size(field->type), bytes);
}

void ap_example_free(ap_example *example) {
    free(example->buffer);
    *example = (ap_example){0};
}

ap_status ap_example_reserve(ap_example *example, int fields, const ap_field *field, const int64_t *lengths,
                             ap_error *error) {
    size_t at[AP_MAX_FIELDS], total = 0;
    bool fits = true;
    for (int f = 0; f < fields; f++) {
        size_t bytes;
        at[f] = total;
        fits = fits && ap_field_bytes(&field[f], ap_field_is_ragged(&field[f]) ? lengths[f] : 0, &bytes) &&
               ap_size_add(bytes, FIELD_ALIGNMENT - 1, &bytes) &&
               ap_size_add(total, bytes - bytes % FIELD_ALIGNMENT, &total);
    }
    if (fits && total > example->capacity) {
        /* Doubling, so that a stream of ragged examples soon stops allocating. */
        size_t room = example->capacity <= SIZE_MAX / 2 ? 2 * example->capacity : total;
        if (room < total) room = total;
        free(example->buffer);
        example->buffer = malloc(room); /* aligned to 16 by the ABI */
        example->capacity = example->buffer ? room : 0;
        fits = example->buffer != NULL;
    }
    if (!fits) return ap_fail(error, AP_ENVIRONMENT, "out of memory for an example of %zu bytes", total);
    example->fields = fields;
    for (int f = 0; f < fields; f++) {
        example->data[f] = (char *)example->buffer + at[f];
        example->length[f] = ap_field_is_ragged(&field[f]) ? lengths[f] : field[f].rank > 0 ? field[f].shape[0] : 1;
    }
    return AP_OK;
}

uint64_t ap_example_digest(const ap_example *example, int fields, const ap_field *field) {
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (int f = 0; f < fields; f++) {
        size_t bytes = 0;
        ap_field_bytes(&field[f], example->length[f], &bytes);
        XXH3_64bits_update(&state, example->data[f], bytes);
    }
    return XXH3_64bits_digest(&state);
}

/* ---- opening a packed file */

/* Reads exactly n bytes at an offset. A short file is AP_DATA: it was longer when it was opened. */
static ap_status read_at(const ap_dataset *dataset, void *bytes, size_t n, int64_t offset, ap_error *error) {
    char *to = bytes;
    if (dataset->memory && (size_t)offset <= dataset->memory_bytes && n <= dataset->memory_bytes - (size_t)offset) {
        memcpy(to, dataset->memory + offset, n);
        return AP_OK;
    }
    while (n > 0) {
        ssize_t got = pread(dataset->file, to, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ap_fail_errno(error, AP_IO, "cannot read %zu bytes at offset %" PRId64, n, offset);
        if (got == 0)
            return ap_fail(error, AP_DATA, "the file ends at offset %" PRId64 ", inside the data; prepare it again",
                           offset);
        to += got, n -= (size_t)got, offset += got;
    }
    return AP_OK;
}

static void shape_text(int rank, const int64_t *shape, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, shape[i] < 0 ? "%sany" : "%s%" PRId64, i ? ", " : "", shape[i]);
    if (used < size) snprintf(text + used, size - used, "]");
}

/* Finds data set `name` of this type and shape (want[0] = -1: any number of rows, stored there). */
static ap_status locate(hid_t file, const char *name, ap_dtype type, int rank, int64_t *want, int64_t *offset,
                        ap_error *error) {
    int found_rank;
    int64_t found[AP_H5_MAX_RANK];
    AP_TRY(ap_h5_shape(file, name, &found_rank, found, error));
    bool equal = found_rank == rank && found[0] >= 0 && (want[0] < 0 || found[0] == want[0]);
    for (int i = 1; equal && i < rank; i++) equal = found[i] == want[i];
    if (!equal) {
        char a[128], b[128];
        shape_text(found_rank, found, a, sizeof a);
        shape_text(rank, want, b, sizeof b);
        return ap_fail(error, AP_DATA, "%s has shape %s (expected %s)", name, a, b);
    }
    want[0] = found[0];
    return ap_h5_offset(file, name, type, offset, error); /* which also checks that the data ends within the file */
}

/* The first offset is 0 and the last the number of rows; those between are checked as they are read. */
static ap_status check_offset_ends(const ap_dataset *dataset, const column *c, int64_t count, const char *name,
                                   ap_error *error) {
    int64_t first, last;
    AP_TRY(read_at(dataset, &first, sizeof first, c->offsets, error));
    AP_TRY(read_at(dataset, &last, sizeof last, c->offsets + 8 * count, error));
    if (first != 0 || last != c->total)
        return ap_fail(error, AP_DATA, "%s goes from %" PRId64 " to %" PRId64 " (expected 0 to %" PRId64 ")", name,
                       first, last, c->total);
    return AP_OK;
}

static ap_status locate_field(ap_dataset *dataset, hid_t file, ap_split split, int f, ap_error *error) {
    const ap_field *field = &dataset->field[f];
    column *c = &dataset->column[split][f];
    char name[AP_PATH];
    int64_t want[AP_FIELD_MAX_RANK + 1] = {dataset->count[split]};
    if (!ap_field_bytes(field, 1, &c->row)) return ap_fail(error, AP_BUG, "field %s has absurd extents", field->name);
    if (!ap_field_is_ragged(field)) {
        memcpy(want + 1, field->shape, sizeof field->shape);
        AP_TRY(ap_path(name, error, "/%s/%s", ap_split_names[split], field->name));
        return locate(file, name, field->type, field->rank + 1, want, &c->values, error);
    }
    memcpy(want, field->shape, sizeof field->shape);
    AP_TRY(ap_path(name, error, "/%s/%s/values", ap_split_names[split], field->name));
    AP_TRY(locate(file, name, field->type, field->rank, want, &c->values, error));
    c->total = want[0];
    want[0] = dataset->count[split] + 1;
    AP_TRY(ap_path(name, error, "/%s/%s/offsets", ap_split_names[split], field->name));
    AP_TRY(locate(file, name, AP_I64, 1, want, &c->offsets, error));
    return check_offset_ends(dataset, c, dataset->count[split], name, error);
}

static ap_status locate_split(ap_dataset *dataset, hid_t file, ap_split split, ap_error *error) {
    char name[AP_PATH], **names;
    int64_t count[1] = {-1}, links;
    AP_TRY(ap_path(name, error, "/%s/digest", ap_split_names[split]));
    AP_TRY(locate(file, name, AP_U64, 1, count, &dataset->digests[split], error));
    dataset->count[split] = count[0];
    for (int f = 0; f < dataset->fields; f++) AP_TRY(locate_field(dataset, file, split, f, error));
    AP_TRY(ap_path(name, error, "/%s", ap_split_names[split]));
    AP_TRY(ap_h5_list(file, name, &links, &names, error));
    ap_h5_free_text(links, names);
    if (links != dataset->fields + 1)
        return ap_fail(error, AP_DATA, "%s has %" PRId64 " members (expected %d fields and `digest`)", name, links,
                       dataset->fields);
    return AP_OK;
}

static ap_status check_attributes(ap_dataset *dataset, hid_t file, const char *workload, ap_error *error) {
    int64_t format;
    char *made_for;
    AP_TRY(ap_h5_get_i64(file, "/", "format", &format, error));
    if (format != FORMAT)
        return ap_fail(error, AP_DATA, "packed format %" PRId64 " (this program reads %d); prepare it again", format,
                       FORMAT);
    AP_TRY(ap_h5_get_text(file, "/", "workload", &made_for, error));
    ap_status status = AP_OK;
    if (strcmp(made_for, workload) != 0)
        status =
            ap_fail(error, AP_DATA, "its data is that of \"%s\", not of \"%s\"; prepare it again", made_for, workload);
    free(made_for);
    AP_TRY(status);
    AP_TRY(ap_h5_get_text(file, "/", "data_set", &dataset->name_text, error));
    AP_TRY(ap_h5_get_text(file, "/", "source", &dataset->source, error));
    dataset->name = dataset->name_text;
    return AP_OK;
}

/* Ends with a line break, and has no NUL within. */
static ap_status read_vocabulary(ap_dataset *dataset, hid_t file, ap_error *error) {
    enum { LARGEST = 1 << 26 };
    if (!ap_h5_exists(file, "/vocabulary")) return AP_OK;
    void *text;
    int64_t n;
    AP_TRY(ap_h5_read(file, "/vocabulary", AP_U8, -1, LARGEST, &text, &n, error));
    dataset->vocabulary = malloc((size_t)n + 1);
    if (dataset->vocabulary) memcpy(dataset->vocabulary, text, (size_t)n), dataset->vocabulary[n] = 0;
    free(text);
    if (!dataset->vocabulary) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    if (n == 0 || dataset->vocabulary[n - 1] != '\n' || strlen(dataset->vocabulary) != (size_t)n)
        return ap_fail(error, AP_DATA, "/vocabulary is not a text that ends with a line break");
    return AP_OK;
}

/* The digest that the seal states (verified by ap_h5_open_sealed up to WHOLE_DIGEST_LIMIT). */
static ap_status read_seal(ap_dataset *dataset, ap_error *error) {
    static const char key[] = "\nxxh3_128=";
    char seal[SEAL + 1] = {0};
    AP_TRY(read_at(dataset, seal, SEAL, 0, error));
    const char *found = strstr(seal, key);
    if (!found || sscanf(found + sizeof key - 1, "%32[0-9a-f]", dataset->digest) != 1)
        return ap_fail(error, AP_DATA, "no digest in the seal");
    return AP_OK;
}

static ap_status read_layout(ap_dataset *dataset, hid_t file, const char *workload, ap_error *error) {
    AP_TRY(check_attributes(dataset, file, workload, error));
    AP_TRY(read_vocabulary(dataset, file, error));
    for (ap_split split = 0; split < AP_SPLITS; split++) AP_TRY(locate_split(dataset, file, split, error));
    return read_seal(dataset, error);
}

/* Small files are held in memory: three pread(2) calls an example cost 3 us, which for a small perceptron is half a
 * training step. (A mapping would share the memory between ranks, but a file cut short under it ends the process.)
 * Without the memory the file is read as the large ones are. */
static void hold_in_memory(ap_dataset *dataset, size_t bytes) {
    char *copy = malloc(bytes ? bytes : 1);
    if (copy && read_at(dataset, copy, bytes, 0, NULL) == AP_OK) {
        dataset->memory = copy;
        dataset->memory_bytes = bytes;
    } else {
        free(copy);
    }
}

static ap_status open_packed(ap_dataset *dataset, const char *workload, ap_error *error) {
    struct stat info;
    dataset->file = open(dataset->path, O_RDONLY | O_CLOEXEC);
    if (dataset->file < 0 || fstat(dataset->file, &info) != 0)
        return ap_fail_errno(error, AP_IO, "%s: cannot open", dataset->path);
    hid_t file;
    AP_TRY(ap_h5_open_sealed(dataset->path, "data", info.st_size <= WHOLE_DIGEST_LIMIT, &file, error));
    ap_status status = read_layout(dataset, file, workload, error);
    ap_h5_close(file);
    bool named = error && strncmp(error->text, dataset->path, strlen(dataset->path)) == 0; /* base/h5.h does so */
    if (status != AP_OK && !named) ap_context(error, "%s", dataset->path);
    if (status == AP_OK && (size_t)info.st_size <= ap_dataset_memory_limit)
        hold_in_memory(dataset, (size_t)info.st_size);
    return status;
}

ap_status ap_dataset_open(const char *path, const char *workload, int fields, const ap_field *field,
                          ap_dataset **result, ap_error *error) {
    if (fields < 1 || fields > AP_MAX_FIELDS) return ap_fail(error, AP_BUG, "a data set of %d fields", fields);
    ap_dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset || !(dataset->path = strdup(path))) {
        free(dataset);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    }
    dataset->file = -1;
    dataset->fields = fields;
    memcpy(dataset->field, field, (size_t)fields * sizeof *field);
    ap_status status = open_packed(dataset, workload, error);
    if (status != AP_OK) {
        ap_dataset_close(dataset);
        return status;
    }
    *result = dataset;
    return AP_OK;
}

ap_status ap_dataset_synthetic(const ap_generator *generator, const void *model, uint64_t seed,
                               const int64_t counts[AP_SPLITS], ap_dataset **result, ap_error *error) {
    ap_dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    *dataset = (ap_dataset){.name = generator->name, .generator = generator, .model = model, .seed = seed, .file = -1};
    for (int split = 0; split < AP_SPLITS; split++) dataset->count[split] = counts[split];
    dataset->cache = ap_synthetic_cache_create(generator, counts);
    *result = dataset;
    return AP_OK;
}

void ap_dataset_close(ap_dataset *dataset) {
    if (!dataset) return;
    free(dataset->memory);
    if (dataset->file >= 0) close(dataset->file);
    ap_synthetic_cache_destroy(dataset->cache);
    free(dataset->path);
    free(dataset->name_text);
    free(dataset->source);
    free(dataset->vocabulary);
    free(dataset);
}

const char *ap_dataset_name(const ap_dataset *dataset) {
    return dataset->name;
}

const char *ap_dataset_digest(const ap_dataset *dataset) {
    return dataset->digest;
}

const char *ap_dataset_source(const ap_dataset *dataset) {
    return dataset->source ? dataset->source : "";
}

const char *ap_dataset_vocabulary(const ap_dataset *dataset) {
    return dataset->vocabulary;
}

int64_t ap_dataset_count(const ap_dataset *dataset, ap_split split) {
    return dataset->count[split];
}

/* ---- reading */

/* Offsets come from the file: rows [first, first + length) must lie in [0, total]. */
static ap_status read_length(const ap_dataset *dataset, const column *c, const char *name, int64_t index,
                             int64_t *first, int64_t *length, ap_error *error) {
    int64_t ends[2];
    AP_TRY(read_at(dataset, ends, sizeof ends, c->offsets + 8 * index, error));
    if (ends[0] < 0 || ends[1] < ends[0] || ends[1] > c->total)
        return ap_fail(error, AP_DATA,
                       "%s/offsets go from %" PRId64 " to %" PRId64 " (must not fall, and lie in [0, %" PRId64 "])",
                       name, ends[0], ends[1], c->total);
    *first = ends[0];
    *length = ends[1] - ends[0];
    return AP_OK;
}

static ap_status read_packed(const ap_dataset *dataset, ap_split split, int64_t index, ap_example *example,
                             ap_error *error) {
    int64_t first[AP_MAX_FIELDS], length[AP_MAX_FIELDS];
    uint64_t expected;
    for (int f = 0; f < dataset->fields; f++) {
        first[f] = index, length[f] = 1;
        if (ap_field_is_ragged(&dataset->field[f]))
            AP_TRY(read_length(dataset, &dataset->column[split][f], dataset->field[f].name, index, &first[f],
                               &length[f], error));
    }
    AP_TRY(ap_example_reserve(example, dataset->fields, dataset->field, length, error));
    for (int f = 0; f < dataset->fields; f++) {
        const column *c = &dataset->column[split][f];
        AP_TRY(read_at(dataset, example->data[f], c->row * (size_t)length[f], c->values + first[f] * (int64_t)c->row,
                       error));
    }
    AP_TRY(read_at(dataset, &expected, sizeof expected, dataset->digests[split] + 8 * index, error));
    uint64_t found = ap_example_digest(example, dataset->fields, dataset->field);
    if (found != expected)
        return ap_fail(error, AP_DATA,
                       "its bytes have digest %016" PRIx64 ", the file says %016" PRIx64
                       ": the file is damaged; prepare it again",
                       found, expected);
    return AP_OK;
}

static ap_status read_synthetic(const ap_dataset *dataset, ap_split split, int64_t index, ap_example *example,
                                ap_error *error) {
    if (dataset->cache && ap_synthetic_cache_get(dataset->cache, split, index, example)) return AP_OK;
    AP_TRY(dataset->generator->generate(dataset->model, dataset->seed, split, index, example, error));
    if (dataset->cache) ap_synthetic_cache_put(dataset->cache, split, index, example);
    return AP_OK;
}

ap_status ap_dataset_read(const ap_dataset *dataset, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    if (index < 0 || index >= dataset->count[split])
        return ap_fail(error, AP_BUG, "%s example %" PRId64 " of %" PRId64, ap_split_names[split], index,
                       dataset->count[split]);
    if (dataset->generator) return read_synthetic(dataset, split, index, example, error);
    ap_status status = read_packed(dataset, split, index, example, error);
    if (status != AP_OK) ap_context(error, "%s: %s example %" PRId64, dataset->path, ap_split_names[split], index);
    return status;
}
