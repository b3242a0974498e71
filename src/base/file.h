/* Files whose readers never see half of them, and the few file operations that all parts share. Not collective. */
#ifndef AP_BASE_FILE_H
#define AP_BASE_FILE_H

#include "base/status.h"
#include <stdint.h>

enum { AP_PATH = 4096 };

/* Joins printf-like into path[AP_PATH]; too long is AP_USAGE. */
ap_status ap_path(char path[AP_PATH], ap_error *error, const char *format, ...) AP_PRINTF(3, 4);

/* mkdir -p. */
ap_status ap_make_directories(const char *path, ap_error *error);

/* Writes temp file beside `path`, fsync, rename over `path`, fsync of the directory. On failure `path` is untouched and
 * the temp file is gone. Temp names are ".NAME.HOST.PID.tmp"; ap_remove_stale_temps deletes those of dead processes. */
ap_status ap_write_file(const char *path, const void *bytes, size_t n, ap_error *error);

/* The same in two steps, for writers that need a file name (HDF5): temp[AP_PATH] gets the name to write to;
 * ap_commit_file does fsync + rename + directory fsync; ap_abandon_file removes it. */
ap_status ap_temp_name(const char *path, char temp[AP_PATH], ap_error *error);
ap_status ap_commit_file(const char *temp, const char *path, ap_error *error);
void ap_abandon_file(const char *temp);

/* Creates `path` with these bytes only if it does not exist, atomically also on NFS (temp + link(2)): *created tells.
 * On failure it was not created. */
ap_status ap_create_exclusive(const char *path, const void *bytes, size_t n, bool *created, ap_error *error);

/* Reads a whole file of at most `limit` bytes into malloc'ed memory, NUL added behind; the caller frees *bytes. */
ap_status ap_read_file(const char *path, size_t limit, char **bytes, size_t *n, ap_error *error);

/* False only if it is known not to be there: when the system cannot tell (I/O error, no permission), whoever opens the
 * file hears why. */
bool ap_file_exists(const char *path);
void ap_remove_stale_temps(const char *directory);
/* Removes the temp files of one file, or of all files there (name NULL), whichever host and process made them. For who
 * alone may write them (the claim's holder), and writes none at the moment. */
void ap_remove_temps(const char *directory, const char *name);

/* Puts /dev/null where standard input, output or error is closed: else the next file that is opened takes their number,
 * and what is printed goes into it. First call of a program. */
void ap_guard_standard_files(void);

/* FOR TESTS of kills inside a write: when the environment variable AP_TEST_WRITE_DELAY_MS is set, every commit sleeps
 * that long between write, fsync and rename. */

#endif
