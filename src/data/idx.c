#include "data/idx.h"

#include "base/checked.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { TYPE_UNSIGNED_BYTE = 0x08, FIRST_BLOCK = 1 << 20 };
static const int64_t LARGEST = INT64_C(1) << 31;

typedef struct reader {
    const char *path;
    gzFile file; /* zlib hands plain files through, told apart by their first two bytes */
    ap_digest_stream *digest;
} reader;

/* *got < n only at the end of the file. */
static ap_status read_bytes(reader *r, void *bytes, size_t n, size_t *got, ap_error *error) {
    errno = 0;
    int k = gzread(r->file, bytes, (unsigned)n);
    *got = k > 0 ? (size_t)k : 0;
    int code = Z_OK;
    const char *text = k < 0 || *got < n ? gzerror(r->file, &code) : "";
    if (code == Z_ERRNO) return ap_fail_errno(error, AP_IO, "%s: cannot read", r->path);
    if (code == Z_BUF_ERROR)
        return ap_fail(error, AP_DATA, "%s: the gzip stream ends early: the file is truncated; copy it again", r->path);
    if (k < 0 || (code != Z_OK && code != Z_STREAM_END))
        return ap_fail(error, AP_DATA, "%s: broken gzip (%s); copy the file again", r->path, text);
    ap_digest_stream_add(r->digest, bytes, *got);
    return AP_OK;
}

static uint32_t big_endian(const uint8_t b[4]) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static ap_status read_header(reader *r, ap_idx *idx, ap_error *error) {
    uint8_t magic[4], extent[4];
    size_t got;
    AP_TRY(read_bytes(r, magic, 4, &got, error));
    if (got < 4)
        return ap_fail(error, AP_DATA, "%s: only %zu bytes; an IDX file begins with a 4-byte magic", r->path, got);
    if (magic[0] != 0 || magic[1] != 0)
        return ap_fail(error, AP_DATA,
                       "%s: begins with %02x %02x %02x %02x; neither gzip (1f 8b) nor IDX (00 00 TYPE RANK)", r->path,
                       magic[0], magic[1], magic[2], magic[3]);
    if (magic[2] != TYPE_UNSIGNED_BYTE)
        return ap_fail(error, AP_DATA, "%s: IDX type %02x; only 08 (unsigned byte) is read", r->path, magic[2]);
    if (magic[3] < 1 || magic[3] > 4)
        return ap_fail(error, AP_DATA, "%s: IDX rank %d; 1 to 4 are read", r->path, magic[3]);
    idx->rank = magic[3];
    for (int i = 0; i < idx->rank; i++) {
        AP_TRY(read_bytes(r, extent, 4, &got, error));
        if (got < 4)
            return ap_fail(error, AP_DATA, "%s: ends inside extent %d of %d of the IDX header", r->path, i, idx->rank);
        idx->shape[i] = big_endian(extent);
    }
    if (!ap_shape_size(idx->rank, idx->shape, &idx->size) || idx->size > LARGEST)
        return ap_fail(error, AP_DATA, "%s: the IDX extents (first: %" PRId64 ") multiply to more than 2^31 bytes",
                       r->path, idx->shape[0]);
    return AP_OK;
}

static ap_status read_data(reader *r, ap_idx *idx, ap_error *error) {
    size_t size = (size_t)idx->size, have = 0, room = 0;
    do {
        room = room == 0 ? FIRST_BLOCK : 2 * room;
        if (room > size) room = size;
        uint8_t *grown = realloc(idx->data, room ? room : 1);
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory (%zu bytes)", r->path, room);
        idx->data = grown;
        size_t got;
        AP_TRY(read_bytes(r, idx->data + have, room - have, &got, error));
        have += got;
        if (have < room)
            return ap_fail(error, AP_DATA,
                           "%s: %zu bytes of data; the IDX header announces %zu: the file is truncated; copy it again",
                           r->path, have, size);
    } while (have < size);
    return AP_OK;
}

/* Also makes zlib check the CRC, which stands behind the data. */
static ap_status expect_end(reader *r, int64_t size, ap_error *error) {
    uint8_t more;
    size_t got;
    AP_TRY(read_bytes(r, &more, 1, &got, error));
    if (got)
        return ap_fail(error, AP_DATA, "%s: bytes left over behind the %" PRId64 " that the IDX header announces",
                       r->path, size);
    return AP_OK;
}

static ap_status read_file(reader *r, ap_idx *idx, ap_error *error) {
    AP_TRY(read_header(r, idx, error));
    AP_TRY(read_data(r, idx, error));
    AP_TRY(expect_end(r, idx->size, error));
    idx->digest = ap_digest_stream_final(r->digest);
    return AP_OK;
}

ap_status ap_idx_read(const char *path, ap_idx *idx, ap_error *error) {
    *idx = (ap_idx){0};
    errno = 0;
    reader r = {.path = path, .file = gzopen(path, "rb")};
    if (!r.file && errno) return ap_fail_errno(error, AP_IO, "%s: cannot open", path);
    r.digest = r.file ? ap_digest_stream_create() : NULL;
    ap_status status = r.digest ? read_file(&r, idx, error) : ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", path);
    if (r.digest) ap_digest_stream_destroy(r.digest);
    if (r.file) gzclose_r(r.file);
    if (status != AP_OK) {
        free(idx->data);
        *idx = (ap_idx){0};
    }
    return status;
}
