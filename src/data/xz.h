/* xz files read from front to end, by liblzma. Built without it, opening says so. Not collective. */
#ifndef AP_DATA_XZ_H
#define AP_DATA_XZ_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct ap_xz ap_xz;

/* Does the file begin as every xz file does? False also if it cannot be read. */
bool ap_xz_is(const char *path);

/* Borrows path. AP_ENVIRONMENT: built without liblzma. */
ap_status ap_xz_open(const char *path, ap_xz **xz, ap_error *error);
void ap_xz_close(ap_xz *xz); /* NULL is fine */

/* *got < n only at the end of the file. AP_DATA: broken or truncated, or made to need more than 256 MiB to read. */
ap_status ap_xz_read(ap_xz *xz, void *bytes, size_t n, size_t *got, ap_error *error);

#endif
