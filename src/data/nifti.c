#include "data/nifti.h"

#include "base/checked.h"
#include "data/gz.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Offsets in the header. */
enum { HEADER = 348, DIM = 40, DATATYPE = 70, BITPIX = 72, VOX_OFFSET = 108, SLOPE = 112, INTER = 116, MAGIC = 344 };
enum { UINT8 = 2, INT16 = 4, INT32 = 8, FLOAT32 = 16, UINT16 = 512 };
static const int64_t LARGEST = INT64_C(1) << 29;

static int16_t get_i16(const uint8_t *b) {
    return (int16_t)(b[0] | b[1] << 8);
}
static uint32_t get_u32(const uint8_t *b) {
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static float get_f32(const uint8_t *b) {
    const uint32_t bits = get_u32(b);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int type_bits(int type) {
    return type == UINT8 ? 8 : type == INT16 || type == UINT16 ? 16 : type == INT32 || type == FLOAT32 ? 32 : 0;
}

static ap_status check_form(const char *path, const uint8_t *h, ap_error *error) {
    if (get_u32(h) == 0x5c010000)
        return ap_fail(error, AP_DATA, "%s: a big-endian NIfTI-1 file; only little-endian ones are read", path);
    if (get_u32(h) != HEADER)
        return ap_fail(error, AP_DATA, "%s: begins with %02x %02x %02x %02x; neither gzip (1f 8b) nor NIfTI-1 (348)",
                       path, h[0], h[1], h[2], h[3]);
    if (memcmp(h + MAGIC, "n+1", 4) != 0)
        return ap_fail(error, AP_DATA,
                       "%s: the magic at byte 344 is not \"n+1\"; only NIfTI-1 with header and voxels in one file is "
                       "read",
                       path);
    return AP_OK;
}

static ap_status check_header(const char *path, const uint8_t *h, ap_nifti *nifti, int64_t *voxels, ap_error *error) {
    AP_TRY(check_form(path, h, error));
    const int rank = get_i16(h + DIM), type = get_i16(h + DATATYPE), bits = get_i16(h + BITPIX);
    if (rank < 3 || rank > 7)
        return ap_fail(error, AP_DATA, "%s: %d dimensions; a volume has 3 (more of extent 1 are fine)", path, rank);
    for (int i = 1; i <= rank; i++) {
        const int extent = get_i16(h + DIM + 2 * i);
        if (extent < 1 || (i > 3 && extent != 1))
            return ap_fail(error, AP_DATA, "%s: extent %d is %d (the first three are at least 1, others 1)", path, i,
                           extent);
        if (i <= 3) nifti->shape[i - 1] = extent;
    }
    if (!type_bits(type) || bits != type_bits(type))
        return ap_fail(error, AP_DATA,
                       "%s: data type %d of %d bits; read are 2 (uint8), 4 (int16), 8 (int32), 16 (float32) and 512 "
                       "(uint16)",
                       path, type, bits);
    if (!ap_shape_size(3, nifti->shape, voxels) || *voxels > LARGEST)
        return ap_fail(error, AP_DATA, "%s: more than 2^29 voxels", path);
    const float offset = get_f32(h + VOX_OFFSET), slope = get_f32(h + SLOPE), inter = get_f32(h + INTER);
    if (!(offset >= 352 && offset <= 1 << 24) || offset != floorf(offset))
        return ap_fail(error, AP_DATA, "%s: vox_offset %g (a whole number from 352 to 2^24 is expected)", path,
                       (double)offset);
    if (!isfinite(slope) || !isfinite(inter))
        return ap_fail(error, AP_DATA, "%s: scl_slope %g, scl_inter %g (must be finite)", path, (double)slope,
                       (double)inter);
    return AP_OK;
}

static float voxel(const uint8_t *bytes, int type, int64_t i) {
    switch (type) {
    case UINT8: return bytes[i];
    case INT16: return get_i16(bytes + 2 * i);
    case UINT16: return (uint16_t)get_i16(bytes + 2 * i);
    case INT32: return (float)(int32_t)get_u32(bytes + 4 * i);
    default: return get_f32(bytes + 4 * i);
    }
}

static ap_status convert(const char *path, const uint8_t *h, const uint8_t *bytes, int64_t voxels, ap_nifti *nifti,
                         ap_error *error) {
    const float slope = get_f32(h + SLOPE), inter = get_f32(h + INTER);
    const int type = get_i16(h + DATATYPE);
    nifti->data = malloc((size_t)voxels * sizeof *nifti->data);
    if (!nifti->data) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory (%" PRId64 " voxels)", path, voxels);
    for (int64_t i = 0; i < voxels; i++) {
        const float stored = voxel(bytes, type, i), value = slope != 0 ? slope * stored + inter : stored;
        if (!isfinite(value)) return ap_fail(error, AP_DATA, "%s: voxel %" PRId64 " is not a finite number", path, i);
        nifti->data[i] = value;
    }
    return AP_OK;
}

static ap_status read_file(ap_gz *gz, uint8_t **bytes, ap_nifti *nifti, ap_error *error) {
    uint8_t h[HEADER];
    size_t got;
    int64_t voxels = 0;
    AP_TRY(ap_gz_read(gz, h, HEADER, &got, error));
    if (got < HEADER)
        return ap_fail(error, AP_DATA, "%s: only %zu bytes; a NIfTI-1 file begins with a header of 348", gz->path, got);
    AP_TRY(check_header(gz->path, h, nifti, &voxels, error));
    AP_TRY(ap_gz_read_data(gz, (size_t)get_f32(h + VOX_OFFSET) - HEADER, bytes, error)); /* extensions */
    const size_t size = (size_t)voxels * (size_t)type_bits(get_i16(h + DATATYPE)) / 8;
    AP_TRY(ap_gz_read_data(gz, size, bytes, error));
    AP_TRY(ap_gz_expect_end(gz, size, error));
    nifti->digest = ap_digest_stream_final(gz->digest);
    return convert(gz->path, h, *bytes, voxels, nifti, error);
}

ap_status ap_nifti_read(const char *path, ap_nifti *nifti, ap_error *error) {
    *nifti = (ap_nifti){0};
    ap_gz gz;
    uint8_t *bytes = NULL;
    ap_status status = ap_gz_open(path, "NIfTI-1", &gz, error);
    if (status == AP_OK) status = read_file(&gz, &bytes, nifti, error);
    ap_gz_close(&gz);
    free(bytes);
    if (status != AP_OK) {
        free(nifti->data);
        *nifti = (ap_nifti){0};
    }
    return status;
}
