#include "base/seal.h"

#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };
static const char magic[] = "algoperf-sealed ";

void ap_seal_make(char seal[AP_SEAL_BYTES], const char *kind, int64_t bytes, ap_digest digest) {
    char hex[AP_DIGEST_TEXT];
    ap_digest_text(digest, hex);
    memset(seal, 0, AP_SEAL_BYTES);
    snprintf(seal, AP_SEAL_BYTES, "%s1\nkind=%s\nbytes=%" PRId64 "\nxxh3_128=%s\n", magic, kind, bytes, hex);
}

/* Takes the seal apart. It must be, byte for byte, what ap_seal_make makes of its parts. */
static ap_status parse(const char seal[AP_SEAL_BYTES], const char *path, char kind[AP_SEAL_KIND], int64_t *bytes,
                       ap_digest *digest, ap_error *error) {
    char text[AP_SEAL_BYTES + 1], again[AP_SEAL_BYTES], hex[AP_DIGEST_TEXT] = "";
    memcpy(text, seal, AP_SEAL_BYTES);
    text[AP_SEAL_BYTES] = '\0';
    if (strncmp(text, magic, sizeof magic - 1) != 0)
        return ap_fail(error, AP_DATA, "%s: is not a file of algoperf's (it does not start with \"%s\")", path, magic);
    if (strncmp(text + sizeof magic - 1, "1\n", 2) != 0)
        return ap_fail(error, AP_DATA,
                       "%s: has seal version \"%.8s\"; this program reads version 1, use the one that wrote it", path,
                       text + sizeof magic - 1);
    if (sscanf(text + sizeof magic + 1, "kind=%31[a-z0-9_-]\nbytes=%18" SCNd64 "\nxxh3_128=%32[0-9a-f]", kind, bytes,
               hex) == 3 &&
        ap_digest_parse(hex, digest)) {
        ap_seal_make(again, kind, *bytes, *digest);
        if (memcmp(seal, again, AP_SEAL_BYTES) == 0) return AP_OK;
    }
    return ap_fail(error, AP_DATA,
                   "%s: is damaged: its seal (the first %d bytes) is malformed; delete it or copy it again", path,
                   AP_SEAL_BYTES);
}

/* The first bytes of a file; what is missing stays as it is. False: they cannot be read. */
static bool read_start(int fd, char seal[AP_SEAL_BYTES]) {
    for (size_t used = 0; used < AP_SEAL_BYTES;) {
        ssize_t n = pread(fd, seal + used, AP_SEAL_BYTES - used, (off_t)used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (n == 0) break;
        used += (size_t)n;
    }
    return true;
}

ap_status ap_seal_digest(int fd, const char *path, ap_digest *digest, ap_error *error) {
    ap_digest_stream *stream = ap_digest_stream_create();
    char *buffer = malloc(BUFFER);
    ap_status status = stream && buffer ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "%s: no memory for its digest", path);
    for (off_t at = AP_SEAL_BYTES; status == AP_OK;) {
        ssize_t n = pread(fd, buffer, BUFFER, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
        if (n <= 0) break;
        ap_digest_stream_add(stream, buffer, (size_t)n);
        at += n;
    }
    if (status == AP_OK) *digest = ap_digest_stream_final(stream);
    ap_digest_stream_destroy(stream);
    free(buffer);
    return status;
}

ap_status ap_seal_check(int fd, const char *path, const char *kind, bool check_digest, ap_digest *digest,
                        ap_error *error) {
    struct stat info;
    if (fstat(fd, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    if (!S_ISREG(info.st_mode)) return ap_fail(error, AP_DATA, "%s: is not a regular file", path);
    char seal[AP_SEAL_BYTES] = {0}, found[AP_SEAL_KIND] = "";
    if (!read_start(fd, seal)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    if (info.st_size <= AP_SEAL_BYTES)
        return ap_fail(error, AP_DATA, "%s: is no complete file of algoperf's: it has only %" PRId64 " bytes", path,
                       (int64_t)info.st_size);
    int64_t bytes = 0;
    ap_digest stated = {0, 0}, is;
    AP_TRY(parse(seal, path, found, &bytes, &stated, error));
    if (strcmp(found, kind) != 0)
        return ap_fail(error, AP_DATA, "%s: is a %s file, a %s file is needed here", path, found, kind);
    if (bytes != info.st_size)
        return ap_fail(error, AP_DATA,
                       "%s: has %" PRId64 " bytes but was sealed with %" PRId64
                       "; it was cut off or added to: copy or make it again",
                       path, (int64_t)info.st_size, bytes);
    if (check_digest) {
        AP_TRY(ap_seal_digest(fd, path, &is, error));
        if (!ap_digest_equal(is, stated)) {
            char is_text[AP_DIGEST_TEXT], stated_text[AP_DIGEST_TEXT];
            ap_digest_text(is, is_text);
            ap_digest_text(stated, stated_text);
            return ap_fail(error, AP_DATA, "%s: is damaged: its digest is %s, sealed was %s; copy or make it again",
                           path, is_text, stated_text);
        }
    }
    if (digest) *digest = stated;
    return AP_OK;
}

ap_status ap_seal_kind(const char *path, char kind[AP_SEAL_KIND], ap_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be opened", path);
    char seal[AP_SEAL_BYTES] = {0};
    struct stat info;
    int64_t bytes;
    ap_digest digest;
    ap_status status = AP_OK;
    if (fstat(fd, &info))
        status = ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    else if (!S_ISREG(info.st_mode))
        status = ap_fail(error, AP_DATA, "%s: is not a regular file", path);
    else if (!read_start(fd, seal))
        status = ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    close(fd);
    return status == AP_OK ? parse(seal, path, kind, &bytes, &digest, error) : status;
}
