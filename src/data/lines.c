#include "data/lines.h"

#include "data/gz.h"
#include "data/xz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20 };

struct ap_lines {
    const char *path;
    ap_gz gz; /* plain, too */
    ap_digest_stream *digest;
    ap_xz *xz;
    char *text;                     /* [room] */
    size_t have, at, room, longest; /* have: what is read; the next line begins at `at` */
    int64_t offset, count;
    bool end;
};

bool ap_lines_is_plain(const char *path) {
    unsigned char begins[2];
    FILE *file = fopen(path, "rbe");
    if (!file) return false;
    const bool gzip = fread(begins, 1, 2, file) == 2 && begins[0] == 0x1f && begins[1] == 0x8b;
    fclose(file);
    return !gzip && !ap_xz_is(path);
}

static ap_status fill(ap_lines *l, ap_error *error);

/* Reads `bytes` of text and drops them. */
static ap_status drop(ap_lines *l, int64_t bytes, ap_error *error) {
    while (bytes > 0 && !(l->end && l->at == l->have)) {
        const size_t left = l->have - l->at, n = (int64_t)left < bytes ? left : (size_t)bytes;
        l->at += n, bytes -= (int64_t)n;
        if (l->at == l->have && !l->end) AP_TRY(fill(l, error));
    }
    return AP_OK;
}

/* The rest of a line, its end included. */
static ap_status pass_over(ap_lines *l, ap_error *error) {
    for (;;) {
        const size_t left = l->have - l->at;
        const char *stop = left ? memchr(l->text + l->at, '\n', left) : NULL;
        const size_t taken = stop ? (size_t)(stop - l->text) + 1 - l->at : left;
        l->at += taken, l->offset += (int64_t)taken;
        if (stop || l->end) return AP_OK;
        AP_TRY(fill(l, error));
    }
}

/* To the first line that begins at `first` or behind it. */
static ap_status go_to(ap_lines *l, int64_t first, ap_error *error) {
    const bool plain = !l->xz && gzdirect(l->gz.file);
    if (plain && gzseek(l->gz.file, (z_off_t)first - 1, SEEK_SET) < 0)
        return ap_fail(error, AP_IO, "%s: cannot go to byte %" PRId64, l->path, first);
    if (!plain) AP_TRY(drop(l, first - 1, error));
    l->offset = first - 1;
    return pass_over(l, error);
}

ap_status ap_lines_open(const char *path, int64_t first, ap_lines **lines, ap_error *error) {
    ap_lines *l = calloc(1, sizeof *l);
    if (!l) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", path);
    *l = (ap_lines){.path = path, .longest = AP_LONGEST_LINE};
    l->digest = ap_digest_stream_create();
    if (!l->digest) {
        free(l);
        return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", path);
    }
    ap_status status = ap_xz_is(path) ? ap_xz_open(path, &l->xz, error) : ap_gz_open(path, "text", &l->gz, error);
    if (status == AP_OK && first > 0) status = go_to(l, first, error);
    if (status == AP_OK)
        *lines = l;
    else
        ap_lines_close(l);
    return status;
}

void ap_lines_close(ap_lines *l) {
    if (!l) return;
    if (l->xz)
        ap_xz_close(l->xz);
    else
        ap_gz_close(&l->gz);
    ap_digest_stream_destroy(l->digest);
    free(l->text);
    free(l);
}

void ap_lines_allow(ap_lines *l, size_t longest) {
    l->longest = longest;
}

static ap_status fill(ap_lines *l, ap_error *error) {
    size_t got;
    if (l->have - l->at > l->room / 2 || !l->room) {
        const size_t more = 2 * l->room + BLOCK;
        char *grown = realloc(l->text, more);
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for a line of %zu bytes", l->path, more);
        l->text = grown, l->room = more;
    }
    if (l->at) memmove(l->text, l->text + l->at, l->have - l->at);
    l->have -= l->at, l->at = 0;
    const size_t room = l->room - l->have < BLOCK ? l->room - l->have : BLOCK;
    AP_TRY(l->xz ? ap_xz_read(l->xz, l->text + l->have, room, &got, error)
                 : ap_gz_read(&l->gz, l->text + l->have, room, &got, error));
    ap_digest_stream_add(l->digest, l->text + l->have, got);
    l->have += got;
    l->end = got < room;
    return AP_OK;
}

static ap_status too_long(ap_lines *l, const char **line, ap_error *error) {
    *line = NULL;
    l->count++;
    AP_TRY(pass_over(l, error));
    *line = "";
    return ap_fail(error, AP_DATA, "a line of more than %zu bytes; is this text?", l->longest);
}

ap_status ap_lines_next(ap_lines *l, const char **line, size_t *n, ap_error *error) {
    char *stop = NULL;
    *line = NULL;
    for (;;) {
        const size_t left = l->have - l->at;
        stop = left ? memchr(l->text + l->at, '\n', left) : NULL;
        if (stop || l->end) break;
        if (left > l->longest) break;
        AP_TRY(fill(l, error));
    }
    if (l->have == l->at) return AP_OK;
    *line = l->text + l->at;
    *n = (size_t)((stop ? stop : l->text + l->have) - *line);
    if (*n > l->longest) return too_long(l, line, error);
    const size_t taken = *n + (stop ? 1 : 0);
    l->at += taken, l->offset += (int64_t)taken, l->count++;
    if (*n && (*line)[*n - 1] == '\r') --*n;
    return AP_OK;
}

ap_status ap_lines_skim(ap_lines *l, const char **line, size_t *n, ap_error *error) {
    const ap_status status = ap_lines_next(l, line, n, error);
    if (status != AP_DATA || !*line) return status;
    *error = (ap_error){0}, *n = 0;
    return AP_OK;
}

int64_t ap_lines_offset(const ap_lines *l) {
    return l->offset;
}
int64_t ap_lines_count(const ap_lines *l) {
    return l->count;
}

ap_digest ap_lines_digest(const ap_lines *l) {
    return ap_digest_stream_final(l->digest);
}

ap_status ap_lines_before(const char *path, int64_t bytes, int64_t *lines, ap_error *error) {
    FILE *file = fopen(path, "rbe");
    char *block = malloc(BLOCK);
    ap_status status = AP_OK;
    *lines = 0;
    if (!file)
        status = ap_fail_errno(error, AP_IO, "%s: cannot open", path);
    else if (!block)
        status = ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", path);
    while (status == AP_OK && bytes > 0) {
        const size_t n = fread(block, 1, bytes < BLOCK ? (size_t)bytes : BLOCK, file);
        if (n == 0) break;
        for (const char *at = block; (at = memchr(at, '\n', n - (size_t)(at - block))); at++) ++*lines;
        bytes -= (int64_t)n;
    }
    if (status == AP_OK && ferror(file)) status = ap_fail_errno(error, AP_IO, "%s: cannot read", path);
    if (file) fclose(file);
    free(block);
    return status;
}
