#include "data/xz.h"

#include <stdio.h>
#include <string.h>

bool ap_xz_is(const char *path) {
    static const char magic[6] = "\xFD"
                                 "7zXZ";
    char begins[sizeof magic];
    FILE *file = fopen(path, "rbe");
    const bool is = file && fread(begins, 1, sizeof begins, file) == sizeof begins && !memcmp(begins, magic, 6);
    if (file) fclose(file);
    return is;
}

#ifdef AP_HAVE_LZMA
#include <errno.h>
#include <lzma.h>
#include <stdlib.h>

enum { BLOCK = 1 << 16, MOST_MEMORY = 256 << 20 };

struct ap_xz {
    const char *path;
    FILE *file;
    lzma_stream stream;
    bool end; /* of the stream, all its checks passed */
    uint8_t block[BLOCK];
};

ap_status ap_xz_open(const char *path, ap_xz **result, ap_error *error) {
    ap_xz *xz = calloc(1, sizeof *xz);
    if (!xz) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", path);
    xz->path = path;
    xz->stream = (lzma_stream)LZMA_STREAM_INIT;
    xz->file = fopen(path, "rbe");
    ap_status status = AP_OK;
    if (!xz->file)
        status = ap_fail_errno(error, AP_IO, "%s: cannot open", path);
    else if (lzma_stream_decoder(&xz->stream, MOST_MEMORY, LZMA_CONCATENATED) != LZMA_OK)
        status = ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", path);
    if (status == AP_OK)
        *result = xz;
    else
        ap_xz_close(xz);
    return status;
}

void ap_xz_close(ap_xz *xz) {
    if (!xz) return;
    lzma_end(&xz->stream);
    if (xz->file) fclose(xz->file);
    free(xz);
}

static ap_status failed(const ap_xz *xz, lzma_ret code, ap_error *error) {
    switch (code) {
    case LZMA_BUF_ERROR:
        return ap_fail(error, AP_DATA, "%s: the xz stream ends early: the file is truncated; copy it again", xz->path);
    case LZMA_FORMAT_ERROR: return ap_fail(error, AP_DATA, "%s: bytes that are no xz stream", xz->path);
    case LZMA_MEM_ERROR: return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", xz->path);
    case LZMA_MEMLIMIT_ERROR:
        return ap_fail(error, AP_DATA,
                       "%s: needs %.0f MiB to be read (at most %d are allowed); compress it with a smaller dictionary, "
                       "such as xz -9",
                       xz->path, (double)lzma_memusage(&xz->stream) / 1048576, MOST_MEMORY >> 20);
    default: return ap_fail(error, AP_DATA, "%s: broken xz (liblzma's code %d); copy the file again", xz->path, code);
    }
}

ap_status ap_xz_read(ap_xz *xz, void *bytes, size_t n, size_t *got, ap_error *error) {
    lzma_stream *s = &xz->stream;
    s->next_out = bytes, s->avail_out = n;
    while (s->avail_out && !xz->end) {
        if (s->avail_in == 0 && !feof(xz->file)) {
            s->next_in = xz->block;
            s->avail_in = fread(xz->block, 1, BLOCK, xz->file);
            if (ferror(xz->file)) return ap_fail_errno(error, AP_IO, "%s: cannot read", xz->path);
        }
        const lzma_ret code = lzma_code(s, feof(xz->file) ? LZMA_FINISH : LZMA_RUN);
        if (code == LZMA_STREAM_END)
            xz->end = true;
        else if (code != LZMA_OK)
            return failed(xz, code, error);
    }
    *got = n - s->avail_out;
    return AP_OK;
}

#else

ap_status ap_xz_open(const char *path, ap_xz **xz, ap_error *error) {
    (void)xz;
    return ap_fail(error, AP_ENVIRONMENT,
                   "%s: this program was built without liblzma; install liblzma-dev and build again, or unpack the "
                   "file with xz -dk",
                   path);
}
void ap_xz_close(ap_xz *xz) {
    (void)xz;
}
ap_status ap_xz_read(ap_xz *xz, void *bytes, size_t n, size_t *got, ap_error *error) {
    (void)xz, (void)bytes, (void)n, (void)got;
    return ap_fail(error, AP_BUG, "xz without liblzma");
}

#endif
