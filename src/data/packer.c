#include "data/dataset.h"

#include "base/checked.h"
#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, MAX_SINKS = 2 * AP_MAX_FIELDS + 1, BUFFER_BYTES = 1 << 20 };

/* One data set being filled row by row, through a buffer. */
typedef struct sink {
    char name[AP_PATH];
    hid_t set;
    ap_dtype type;
    int rank;
    int64_t shape[AP_FIELD_MAX_RANK + 1]; /* shape[0] = rows announced */
    int64_t written;                      /* rows in the file */
    size_t row, held, room;               /* bytes of a row; rows in the buffer, and how many fit */
    char *buffer;
} sink;

struct ap_packer {
    char *path;
    ap_h5_writer *writer;
    int fields;
    ap_field field[AP_MAX_FIELDS];
    int splits;                   /* begun so far */
    int64_t count, appended;      /* examples of the current split: announced, appended */
    int64_t total[AP_MAX_FIELDS]; /* rows appended of each ragged field */
    int sinks;                    /* in use: each field's values, then offsets if ragged; digest last */
    sink sink[MAX_SINKS];
};

/* ---- sinks: buffered, contiguous data sets without time stamps, so that the same input makes the same file */

/* Stored little endian, which is also how this program's machines (x86-64) have it in memory. */
static hid_t little_endian(ap_dtype type) {
    switch (type) {
    case AP_F32: return H5T_IEEE_F32LE;
    case AP_F64: return H5T_IEEE_F64LE;
    case AP_I64: return H5T_STD_I64LE;
    case AP_I32: return H5T_STD_I32LE;
    case AP_U8: return H5T_STD_U8LE;
    case AP_U64: return H5T_STD_U64LE;
    case AP_I16: return H5T_STD_I16LE;
    }
    return H5I_INVALID_HID;
}

static hid_t create_set(hid_t file, const sink *s) {
    hsize_t extent[AP_FIELD_MAX_RANK + 1];
    for (int i = 0; i < s->rank; i++) extent[i] = (hsize_t)s->shape[i];
    hid_t space = H5Screate_simple(s->rank, extent, NULL), creation = H5Pcreate(H5P_DATASET_CREATE), set = -1;
    if (space >= 0 && creation >= 0 && H5Pset_layout(creation, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0 && H5Pset_obj_track_times(creation, false) >= 0)
        set = H5Dcreate2(file, s->name, little_endian(s->type), space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (creation >= 0) H5Pclose(creation);
    if (space >= 0) H5Sclose(space);
    return set;
}

/* Opens the packer's next sink; name, type, rank and shape are filled in by the caller. */
static ap_status open_sink(ap_packer *packer, ap_error *error) {
    sink *s = &packer->sink[packer->sinks];
    int64_t size;
    s->set = -1;
    s->written = 0;
    s->held = 0;
    s->buffer = NULL;
    packer->sinks++; /* from here on close_sinks cleans up */
    if (s->shape[0] < 0 || !ap_shape_size(s->rank - 1, s->shape + 1, &size) ||
        !ap_size_mul((size_t)size, ap_dtype_size(s->type), &s->row) || s->row == 0)
        return ap_fail(error, AP_BUG, "%s has %" PRId64 " rows of absurd size", s->name, s->shape[0]);
    s->room = s->row < BUFFER_BYTES ? BUFFER_BYTES / s->row : 1;
    s->buffer = malloc(s->room * s->row);
    if (!s->buffer) return ap_fail(error, AP_ENVIRONMENT, "out of memory (%zu bytes)", s->room * s->row);
    s->set = create_set(ap_h5_writer_file(packer->writer), s);
    if (s->set < 0) return ap_fail(error, AP_IO, "cannot make data set %s", s->name);
    return AP_OK;
}

static ap_status flush_sink(sink *s, ap_error *error) {
    if (s->held == 0) return AP_OK;
    hsize_t start[AP_FIELD_MAX_RANK + 1] = {(hsize_t)s->written}, count[AP_FIELD_MAX_RANK + 1] = {s->held};
    for (int i = 1; i < s->rank; i++) count[i] = (hsize_t)s->shape[i];
    hid_t where = H5Dget_space(s->set), memory = H5Screate_simple(s->rank, count, NULL);
    errno = 0;
    bool fine = where >= 0 && memory >= 0 &&
                H5Sselect_hyperslab(where, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dwrite(s->set, little_endian(s->type), memory, where, H5P_DEFAULT, s->buffer) >= 0;
    int code = errno;
    if (where >= 0) H5Sclose(where);
    if (memory >= 0) H5Sclose(memory);
    errno = code ? code : EIO;
    if (!fine) return ap_fail_errno(error, AP_IO, "cannot write %zu rows of %s", s->held, s->name);
    s->written += (int64_t)s->held;
    s->held = 0;
    return AP_OK;
}

static ap_status fill_sink(sink *s, const void *rows, size_t n, ap_error *error) {
    const char *from = rows;
    while (n > 0) {
        size_t some = s->room - s->held < n ? s->room - s->held : n;
        memcpy(s->buffer + s->held * s->row, from, some * s->row);
        from += some * s->row, n -= some, s->held += some;
        if (s->held == s->room) AP_TRY(flush_sink(s, error));
    }
    return AP_OK;
}

static void close_sinks(ap_packer *packer) {
    for (int i = 0; i < packer->sinks; i++) {
        sink *s = &packer->sink[i];
        if (s->set >= 0) H5Dclose(s->set);
        free(s->buffer);
    }
    packer->sinks = 0;
}

/* ---- beginning */

ap_status ap_packer_find(const char *path, const char *workload, const char *name, const char *source, int fields,
                         const ap_field *field, bool *same, ap_error *error) {
    ap_dataset *there;
    *same = false;
    if (!ap_file_exists(path)) return AP_OK;
    ap_error why = {0};
    if (ap_dataset_open(path, workload, fields, field, &there, &why) != AP_OK)
        return ap_fail(error, AP_USAGE,
                       "%s exists and is not an intact packed file for this workload (%s); remove it or choose "
                       "another file name",
                       path, why.text);
    bool same_name = strcmp(ap_dataset_name(there), name) == 0;
    bool same_source = strcmp(ap_dataset_source(there), source) == 0;
    *same = same_name && same_source;
    ap_status status = AP_OK;
    if (!*same)
        status = ap_fail(error, AP_USAGE,
                         "%s exists and holds data set \"%s\"%s, not \"%s\"%s; remove it or choose another file name",
                         path, ap_dataset_name(there), same_source ? "" : " from other files", name,
                         same_source ? "" : " from these");
    ap_dataset_close(there);
    return status;
}

static ap_status write_attributes(hid_t file, const char *workload, const char *name, const char *source,
                                  ap_error *error) {
    AP_TRY(ap_h5_set_i64(file, "/", "format", FORMAT, error));
    AP_TRY(ap_h5_set_text(file, "/", "workload", workload, error));
    AP_TRY(ap_h5_set_text(file, "/", "data_set", name, error));
    return ap_h5_set_text(file, "/", "source", source, error);
}

ap_status ap_packer_create(const char *path, const char *workload, const char *dataset_name, const char *source,
                           int fields, const ap_field *field, ap_packer **result, ap_error *error) {
    bool same;
    *result = NULL;
    if (fields < 1 || fields > AP_MAX_FIELDS) return ap_fail(error, AP_BUG, "a data set of %d fields", fields);
    AP_TRY(ap_packer_find(path, workload, dataset_name, source, fields, field, &same, error));
    if (same) return AP_OK;
    ap_packer *packer = calloc(1, sizeof *packer);
    if (!packer || !(packer->path = strdup(path))) {
        free(packer);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    }
    packer->fields = fields;
    memcpy(packer->field, field, (size_t)fields * sizeof *field);
    ap_status status = ap_h5_create_large(path, "data", &packer->writer, error);
    if (status == AP_OK)
        status = write_attributes(ap_h5_writer_file(packer->writer), workload, dataset_name, source, error);
    if (status != AP_OK) {
        ap_packer_abandon(packer);
        return status;
    }
    *result = packer;
    return AP_OK;
}

/* ---- one split */

static ap_status open_field(ap_packer *packer, ap_split split, int f, int64_t total, ap_error *error) {
    const ap_field *field = &packer->field[f];
    const char *group = ap_split_names[split];
    sink *s = &packer->sink[packer->sinks];
    s->type = field->type;
    if (!ap_field_is_ragged(field)) {
        s->rank = field->rank + 1;
        s->shape[0] = packer->count;
        memcpy(s->shape + 1, field->shape, sizeof field->shape);
        AP_TRY(ap_path(s->name, error, "/%s/%s", group, field->name));
        return open_sink(packer, error);
    }
    AP_TRY(ap_path(s->name, error, "/%s/%s", group, field->name));
    AP_TRY(ap_h5_make_group(ap_h5_writer_file(packer->writer), s->name, error));
    s->rank = field->rank;
    memcpy(s->shape, field->shape, sizeof field->shape);
    s->shape[0] = total;
    AP_TRY(ap_path(s->name, error, "/%s/%s/values", group, field->name));
    AP_TRY(open_sink(packer, error));

    s = &packer->sink[packer->sinks];
    s->type = AP_I64;
    s->rank = 1;
    s->shape[0] = packer->count + 1;
    AP_TRY(ap_path(s->name, error, "/%s/%s/offsets", group, field->name));
    AP_TRY(open_sink(packer, error));
    return fill_sink(s, &(int64_t){0}, 1, error);
}

/* The split that was begun last is complete: everything that was announced is there and in the file. */
static ap_status finish_split(ap_packer *packer, ap_error *error) {
    for (int i = 0; i < packer->sinks; i++) {
        sink *s = &packer->sink[i];
        AP_TRY(flush_sink(s, error));
        if (s->written != s->shape[0])
            return ap_fail(error, AP_BUG, "%s got %" PRId64 " rows, %" PRId64 " were announced", s->name, s->written,
                           s->shape[0]);
    }
    close_sinks(packer);
    return AP_OK;
}

static ap_status begin_split(ap_packer *packer, ap_split split, int64_t count, const int64_t *total_lengths,
                             ap_error *error) {
    char group[32];
    if ((int)split != packer->splits || count < 0 || count == INT64_MAX)
        return ap_fail(error, AP_BUG, "split %d of %" PRId64 " examples begun after %d", (int)split, count,
                       packer->splits);
    AP_TRY(finish_split(packer, error));
    packer->splits++;
    packer->count = count;
    packer->appended = 0;
    memset(packer->total, 0, sizeof packer->total);
    snprintf(group, sizeof group, "/%s", ap_split_names[split]);
    AP_TRY(ap_h5_make_group(ap_h5_writer_file(packer->writer), group, error));
    for (int f = 0; f < packer->fields; f++)
        AP_TRY(open_field(packer, split, f, total_lengths ? total_lengths[f] : 0, error));
    sink *s = &packer->sink[packer->sinks];
    s->type = AP_U64;
    s->rank = 1;
    s->shape[0] = count;
    AP_TRY(ap_path(s->name, error, "/%s/digest", ap_split_names[split]));
    return open_sink(packer, error);
}

static ap_status append(ap_packer *packer, const ap_example *example, ap_error *error) {
    if (packer->appended == packer->count || example->fields != packer->fields)
        return ap_fail(error, AP_BUG, "example %" PRId64 " with %d fields (announced: %" PRId64 " examples, %d fields)",
                       packer->appended, example->fields, packer->count, packer->fields);
    sink *s = packer->sink;
    for (int f = 0; f < packer->fields; f++, s++) {
        if (!ap_field_is_ragged(&packer->field[f])) {
            AP_TRY(fill_sink(s, example->data[f], 1, error));
            continue;
        }
        int64_t length = example->length[f], left = s->shape[0] - packer->total[f];
        if (length < 0 || length > left)
            return ap_fail(error, AP_BUG, "%s: %" PRId64 " more rows, only %" PRId64 " of those announced are left",
                           s->name, length, left);
        packer->total[f] += length;
        AP_TRY(fill_sink(s, example->data[f], (size_t)length, error));
        s++;
        AP_TRY(fill_sink(s, &packer->total[f], 1, error));
    }
    uint64_t digest = ap_example_digest(example, packer->fields, packer->field);
    AP_TRY(fill_sink(s, &digest, 1, error));
    packer->appended++;
    return AP_OK;
}

ap_status ap_packer_begin(ap_packer *packer, ap_split split, int64_t count, const int64_t *total_lengths,
                          ap_error *error) {
    ap_status status = begin_split(packer, split, count, total_lengths, error);
    if (status != AP_OK) ap_context(error, "%s", packer->path);
    return status;
}

ap_status ap_packer_append(ap_packer *packer, const ap_example *example, ap_error *error) {
    ap_status status = append(packer, example, error);
    if (status != AP_OK) ap_context(error, "%s", packer->path);
    return status;
}

/* ---- the end */

ap_status ap_packer_vocabulary(ap_packer *packer, const char *text, ap_error *error) {
    const int64_t n = (int64_t)strlen(text);
    if (packer->splits) return ap_fail(error, AP_BUG, "%s: a vocabulary behind a split", packer->path);
    *packer->sink = (sink){.name = "/vocabulary", .type = AP_U8, .rank = 1, .shape = {n}};
    ap_status status = open_sink(packer, error);
    if (status == AP_OK) status = fill_sink(packer->sink, text, (size_t)n, error);
    if (status == AP_OK) status = flush_sink(packer->sink, error);
    close_sinks(packer);
    return status;
}

ap_status ap_packer_skipped(ap_packer *packer, int64_t count, const char *records, ap_error *error) {
    hid_t file = ap_h5_writer_file(packer->writer);
    AP_TRY(ap_h5_set_i64(file, "/", "skipped", count, error));
    return ap_h5_set_text(file, "/", "skipped_records", records, error);
}

ap_status ap_packer_left_out(ap_packer *packer, int64_t count, ap_error *error) {
    return ap_h5_set_i64(ap_h5_writer_file(packer->writer), "/", "left_out", count, error);
}

ap_status ap_packer_commit(ap_packer *packer, ap_error *error) {
    ap_status status = AP_OK;
    if (packer->splits != AP_SPLITS)
        status = ap_fail(error, AP_BUG, "only %d of %d splits were begun", packer->splits, (int)AP_SPLITS);
    if (status == AP_OK) status = finish_split(packer, error);
    if (status != AP_OK) {
        ap_context(error, "%s", packer->path);
    } else {
        ap_h5_writer *writer = packer->writer;
        packer->writer = NULL;
        status = ap_h5_commit(writer, error);
    }
    ap_packer_abandon(packer);
    return status;
}

void ap_packer_abandon(ap_packer *packer) {
    if (!packer) return;
    close_sinks(packer);
    ap_h5_abandon(packer->writer);
    free(packer->path);
    free(packer);
}
