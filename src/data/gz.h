/* Binary files, plain or gzip, read from front to end: for the readers of IDX and NIfTI files. Not collective. */
#ifndef AP_DATA_GZ_H
#define AP_DATA_GZ_H

#include "base/digest.h"
#include "base/status.h"
#include <zlib.h>

typedef struct ap_gz {
    const char *path, *format; /* borrowed; format: "IDX", for messages */
    gzFile file;               /* zlib hands plain files through, told apart by their first two bytes */
    ap_digest_stream *digest;  /* of what was read, uncompressed */
} ap_gz;

ap_status ap_gz_open(const char *path, const char *format, ap_gz *gz, ap_error *error);
void ap_gz_close(ap_gz *gz); /* also after a failed open */

/* *got < n only at the end of the file. AP_DATA: broken or truncated gzip. */
ap_status ap_gz_read(ap_gz *gz, void *bytes, size_t n, size_t *got, ap_error *error);
/* The `size` bytes of data that the header announces, into *data (malloc'ed; the caller frees, also after a failure).
 * Memory grows with the data that is really there, so a header's lie costs nothing. AP_DATA if there are fewer. */
ap_status ap_gz_read_data(ap_gz *gz, size_t size, uint8_t **data, ap_error *error);
/* AP_DATA if anything is left. Also makes zlib check the CRC, which stands behind the data. */
ap_status ap_gz_expect_end(ap_gz *gz, size_t size, ap_error *error);

#endif
