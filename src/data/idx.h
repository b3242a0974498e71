/* IDX files (the format of MNIST and Fashion-MNIST), plain or gzip: magic 00 00 TYPE RANK, big-endian 32-bit extents,
 * data. Source: http://yann.lecun.com/exdb/mnist/ ("the IDX file format"). */
#ifndef AP_DATA_IDX_H
#define AP_DATA_IDX_H

#include "base/digest.h"
#include "base/status.h"
#include <stdint.h>

typedef struct ap_idx {
    int rank; /* 1 to 4 */
    int64_t shape[4];
    int64_t size;
    uint8_t *data;    /* unsigned bytes (type 08; others are refused), malloc'ed; the caller frees */
    ap_digest digest; /* of header and data, uncompressed: the same for X and X.gz (zcat X.gz | xxhsum -H2) */
} ap_idx;

/* Errors (AP_DATA) name the file and what is wrong: wrong magic, other type, extents that overflow or exceed 2^31, data
 * too short, bytes left over, broken gzip. AP_IO if the file cannot be read. On failure *idx is all zero and owns
 * nothing. Memory grows with the data that is really there, so a header's lie costs nothing. Not collective. */
ap_status ap_idx_read(const char *path, ap_idx *idx, ap_error *error);

#endif
