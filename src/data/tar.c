#include "data/tar.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* POSIX.1-1988 ustar header, 512 bytes; offsets of its fields. */
enum { BLOCK = 512, SIZE = 124, CHECKSUM = 148, TYPE = 156, MAGIC = 257, PREFIX = 345, LONGEST = 1 << 20 };

static ap_status malformed(const ap_tar *tar, const char *what, ap_error *error) {
    return ap_fail(error, AP_DATA, "%s: at byte %lld of the tar file: %s", tar->path, (long long)tar->at, what);
}

static ap_status read_bytes(const ap_tar *tar, int64_t at, void *bytes, size_t n, ap_error *error) {
    char *to = bytes;
    for (size_t done = 0; done < n;) {
        const ssize_t got = pread(tar->fd, to + done, n - done, (off_t)(at + (int64_t)done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be read", tar->path);
        if (got == 0) return malformed(tar, "the file ends here; it is truncated: copy it again", error);
        done += (size_t)got;
    }
    return AP_OK;
}

/* Octal digits, or GNU's base 256 where the first bit is set. -1: neither. */
static int64_t number(const uint8_t *field, int n) {
    int64_t value = 0;
    int i = 0;
    if (field[0] & 0x80) {
        for (i = 1; i < n; i++) {
            if (value > INT64_MAX >> 9) return -1;
            value = value << 8 | field[i];
        }
        return value;
    }
    while (i < n && field[i] == ' ') i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++) value = value << 3 | (field[i] - '0');
    return i == n || field[i] == ' ' || field[i] == 0 ? value : -1;
}

static bool has_checksum(const uint8_t *header) {
    int64_t sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += i >= CHECKSUM && i < CHECKSUM + 8 ? ' ' : header[i];
    return sum == number(header + CHECKSUM, 8);
}

static bool is_blank(const uint8_t *header) {
    for (int i = 0; i < BLOCK; i++)
        if (header[i]) return false;
    return true;
}

static void header_name(const uint8_t *header, char name[AP_PATH]) {
    const bool ustar = !memcmp(header + MAGIC, "ustar", 6); /* GNU's "ustar " has other things in place of the prefix */
    const size_t prefix = ustar ? strnlen((const char *)header + PREFIX, 155) : 0,
                 n = strnlen((const char *)header, 100);
    memcpy(name, header + PREFIX, prefix);
    if (prefix) name[prefix] = '/';
    memcpy(name + prefix + (prefix > 0), header, n);
    name[prefix + (prefix > 0) + n] = '\0';
}

/* What a pax header or a GNU long name says of the member that follows. */
typedef struct more {
    char name[AP_PATH];
    int64_t bytes; /* -1: nothing */
} more;

/* Records "LENGTH KEY=VALUE\n". */
static bool read_pax(char *text, size_t n, more *said) {
    for (size_t at = 0; at < n;) {
        char *rest;
        const unsigned long length = strtoul(text + at, &rest, 10);
        if (*rest != ' ' || length > n - at || text + at + length <= rest || text[at + length - 1] != '\n')
            return false;
        text[at + length - 1] = '\0';
        const char *value = strchr(++rest, '=');
        if (!value) return false;
        if (!strncmp(rest, "path=", 5)) {
            if (strlen(value + 1) >= AP_PATH) return false;
            strcpy(said->name, value + 1);
        }
        if (!strncmp(rest, "size=", 5)) said->bytes = strtoll(value + 1, NULL, 10);
        at += length;
    }
    return true;
}

static ap_status read_more(const ap_tar *tar, uint8_t type, int64_t bytes, more *said, ap_error *error) {
    if (bytes < 1 || bytes > LONGEST) return malformed(tar, "a long name or pax header of absurd length", error);
    char *text = malloc((size_t)bytes + 1);
    if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_status status = read_bytes(tar, tar->at + BLOCK, text, (size_t)bytes, error);
    text[bytes] = '\0';
    if (status == AP_OK && type == 'L') {
        if (strlen(text) < AP_PATH)
            strcpy(said->name, text);
        else
            status = malformed(tar, "a name that is too long", error);
    } else if (status == AP_OK && !read_pax(text, (size_t)bytes, said)) {
        status = malformed(tar, "a malformed pax header", error);
    }
    free(text);
    return status;
}

/* One header and where its content ends. *type 0: the end of the archive. */
static ap_status read_header(const ap_tar *tar, uint8_t header[BLOCK], uint8_t *type, int64_t *bytes, ap_error *error) {
    if (tar->end - tar->at < BLOCK)
        return malformed(tar, "no block of zeros ends the archive; it is truncated: copy it again", error);
    AP_TRY(read_bytes(tar, tar->at, header, BLOCK, error));
    *type = 0, *bytes = 0;
    if (is_blank(header)) return AP_OK;
    *type = header[TYPE] ? header[TYPE] : '0';
    *bytes = number(header + SIZE, 12);
    if (!has_checksum(header))
        return malformed(tar, "no tar header: its checksum is wrong (is it compressed? unpack it first)", error);
    return *bytes < 0 ? malformed(tar, "a size that is no number", error) : AP_OK;
}

ap_status ap_tar_next(ap_tar *tar, ap_tar_member *member, bool *found, ap_error *error) {
    more said = {.bytes = -1};
    for (;;) {
        uint8_t header[BLOCK], type = 0;
        int64_t bytes = 0;
        *found = false;
        AP_TRY(read_header(tar, header, &type, &bytes, error));
        if (!type) return AP_OK;
        const bool extension = type == 'L' || type == 'K' || type == 'x' || type == 'g';
        if (!extension && said.bytes >= 0) bytes = said.bytes;
        if (bytes > tar->end - tar->at - BLOCK)
            return malformed(tar, "a member goes beyond the end; the file is truncated: copy it again", error);
        if (type == 'L' || type == 'x') AP_TRY(read_more(tar, type, bytes, &said, error));
        if (type == '0' || type == '7') {
            if (*said.name)
                strcpy(member->name, said.name);
            else
                header_name(header, member->name);
            member->offset = tar->at + BLOCK;
            member->bytes = bytes;
            *found = true;
        }
        if (!extension) said = (more){.bytes = -1};
        tar->at += BLOCK + (bytes + BLOCK - 1) / BLOCK * BLOCK;
        if (*found) return AP_OK;
    }
}
