/* Lines of a text file, plain, gzip or xz (told apart by their first bytes), read from front to end with about 1 MiB of
 * memory, or twice the longest line. Not collective. */
#ifndef AP_DATA_LINES_H
#define AP_DATA_LINES_H

#include "base/digest.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ap_lines ap_lines;
enum { AP_LONGEST_LINE = 1 << 16 };

/* Can the file be read from the middle? False: it is compressed, or cannot be read. */
bool ap_lines_is_plain(const char *path);

/* Borrows path. `first` > 0: the first line is the first that begins at that byte of text or behind it; a compressed
 * file is read up to there. */
ap_status ap_lines_open(const char *path, int64_t first, ap_lines **lines, ap_error *error);
void ap_lines_close(ap_lines *lines);                 /* NULL is fine */
void ap_lines_allow(ap_lines *lines, size_t longest); /* bytes of a line, in place of AP_LONGEST_LINE */

/* The next line without its end (LF or CRLF), valid until the next call; *line NULL: there is none left. The last line
 * may lack its end. AP_DATA with *line: it is longer than allowed and was passed over; the caller says where, and the
 * next can be had. AP_DATA without: broken or truncated compression, the file named. */
ap_status ap_lines_next(ap_lines *lines, const char **line, size_t *n, ap_error *error);
/* The same for who looks at lines ahead of their reader: one that is too long comes as an empty one. */
ap_status ap_lines_skim(ap_lines *lines, const char **line, size_t *n, ap_error *error);

int64_t ap_lines_offset(const ap_lines *lines); /* where the next line begins, in bytes of text */
int64_t ap_lines_count(const ap_lines *lines);  /* lines handed out */
/* XXH3-128 of the text that was read: of all of it, when it was opened at 0 and has ended. */
ap_digest ap_lines_digest(const ap_lines *lines);

/* Line feeds in the first `bytes` of a plain file. Reads them. */
ap_status ap_lines_before(const char *path, int64_t bytes, int64_t *lines, ap_error *error);

#endif
