#include "data/idx.h"

#include "base/checked.h"
#include "data/gz.h"

#include <inttypes.h>
#include <stdlib.h>

enum { TYPE_UNSIGNED_BYTE = 0x08 };
static const int64_t LARGEST = INT64_C(1) << 31;

static uint32_t big_endian(const uint8_t b[4]) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static ap_status read_header(ap_gz *gz, ap_idx *idx, ap_error *error) {
    uint8_t magic[4], extent[4];
    size_t got;
    AP_TRY(ap_gz_read(gz, magic, 4, &got, error));
    if (got < 4)
        return ap_fail(error, AP_DATA, "%s: only %zu bytes; an IDX file begins with a 4-byte magic", gz->path, got);
    if (magic[0] != 0 || magic[1] != 0)
        return ap_fail(error, AP_DATA,
                       "%s: begins with %02x %02x %02x %02x; neither gzip (1f 8b) nor IDX (00 00 TYPE RANK)", gz->path,
                       magic[0], magic[1], magic[2], magic[3]);
    if (magic[2] != TYPE_UNSIGNED_BYTE)
        return ap_fail(error, AP_DATA, "%s: IDX type %02x; only 08 (unsigned byte) is read", gz->path, magic[2]);
    if (magic[3] < 1 || magic[3] > 4)
        return ap_fail(error, AP_DATA, "%s: IDX rank %d; 1 to 4 are read", gz->path, magic[3]);
    idx->rank = magic[3];
    for (int i = 0; i < idx->rank; i++) {
        AP_TRY(ap_gz_read(gz, extent, 4, &got, error));
        if (got < 4)
            return ap_fail(error, AP_DATA, "%s: ends inside extent %d of %d of the IDX header", gz->path, i, idx->rank);
        idx->shape[i] = big_endian(extent);
    }
    if (!ap_shape_size(idx->rank, idx->shape, &idx->size) || idx->size > LARGEST)
        return ap_fail(error, AP_DATA, "%s: the IDX extents (first: %" PRId64 ") multiply to more than 2^31 bytes",
                       gz->path, idx->shape[0]);
    return AP_OK;
}

static ap_status read_file(ap_gz *gz, ap_idx *idx, ap_error *error) {
    AP_TRY(read_header(gz, idx, error));
    AP_TRY(ap_gz_read_data(gz, (size_t)idx->size, &idx->data, error));
    AP_TRY(ap_gz_expect_end(gz, (size_t)idx->size, error));
    idx->digest = ap_digest_stream_final(gz->digest);
    return AP_OK;
}

ap_status ap_idx_read(const char *path, ap_idx *idx, ap_error *error) {
    *idx = (ap_idx){0};
    ap_gz gz;
    ap_status status = ap_gz_open(path, "IDX", &gz, error);
    if (status == AP_OK) status = read_file(&gz, idx, error);
    ap_gz_close(&gz);
    if (status != AP_OK) {
        free(idx->data);
        *idx = (ap_idx){0};
    }
    return status;
}
