#include "data/gz.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_BLOCK = 1 << 20 };

ap_status ap_gz_open(const char *path, const char *format, ap_gz *gz, ap_error *error) {
    errno = 0;
    *gz = (ap_gz){.path = path, .format = format, .file = gzopen(path, "rb")};
    if (!gz->file && errno) return ap_fail_errno(error, AP_IO, "%s: cannot open", path);
    gz->digest = gz->file ? ap_digest_stream_create() : NULL;
    return gz->digest ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", path);
}

void ap_gz_close(ap_gz *gz) {
    if (gz->digest) ap_digest_stream_destroy(gz->digest);
    if (gz->file) gzclose_r(gz->file);
    *gz = (ap_gz){0};
}

ap_status ap_gz_read(ap_gz *gz, void *bytes, size_t n, size_t *got, ap_error *error) {
    errno = 0;
    int k = gzread(gz->file, bytes, (unsigned)n);
    *got = k > 0 ? (size_t)k : 0;
    int code = Z_OK;
    const char *text = k < 0 || *got < n ? gzerror(gz->file, &code) : "";
    if (code == Z_ERRNO) return ap_fail_errno(error, AP_IO, "%s: cannot read", gz->path);
    if (code == Z_BUF_ERROR)
        return ap_fail(error, AP_DATA, "%s: the gzip stream ends early: the file is truncated; copy it again",
                       gz->path);
    if (k < 0 || (code != Z_OK && code != Z_STREAM_END))
        return ap_fail(error, AP_DATA, "%s: broken gzip (%s); copy the file again", gz->path, text);
    ap_digest_stream_add(gz->digest, bytes, *got);
    return AP_OK;
}

ap_status ap_gz_read_data(ap_gz *gz, size_t size, uint8_t **data, ap_error *error) {
    size_t have = 0, room = 0;
    do {
        room = room == 0 ? FIRST_BLOCK : 2 * room;
        if (room > size) room = size;
        uint8_t *grown = realloc(*data, room ? room : 1);
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory (%zu bytes)", gz->path, room);
        *data = grown;
        size_t got;
        AP_TRY(ap_gz_read(gz, *data + have, room - have, &got, error));
        have += got;
        if (have < room)
            return ap_fail(error, AP_DATA,
                           "%s: %zu bytes of data; the %s header announces %zu: the file is truncated; copy it again",
                           gz->path, have, gz->format, size);
    } while (have < size);
    return AP_OK;
}

ap_status ap_gz_expect_end(ap_gz *gz, size_t size, ap_error *error) {
    uint8_t more;
    size_t got;
    AP_TRY(ap_gz_read(gz, &more, 1, &got, error));
    if (got)
        return ap_fail(error, AP_DATA, "%s: bytes left over behind the %zu that the %s header announces", gz->path,
                       size, gz->format);
    return AP_OK;
}
