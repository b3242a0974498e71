/* A guard around libhdf5 while it reads a stranger's file.
 *
 * A seal tells damage from harm only if nobody sealed the harm: libhdf5 1.10 runs for ever, asks for absurd memory or
 * crashes on some bytes, whatever is checked before. Between begin and end the process may use some seconds of CPU time
 * (not of wall time, so that a busy machine changes nothing) and some memory above what the file's size explains; a
 * crash, or too much time, ends the process with one line that names the file, instead of a hang or a core. Too much
 * memory makes HDF5 calls fail. For programs that do nothing else meanwhile: not for MPI ranks. Not collective; not
 * thread-safe; guards do not nest.
 *
 * Built with a sanitizer only the time is limited: crashes are the sanitizer's to report. */
#ifndef AP_BASE_GUARD_H
#define AP_BASE_GUARD_H

#include <stddef.h>

/* `path` is copied (cleaned, cut) for the message. bytes: size of the file. */
void ap_guard_begin(const char *path, size_t bytes);
void ap_guard_end(void);

/* What a guarded death says and returns: "<prefix><path>: ..." on file descriptor `fd`, exit code `code`. Before the
 * call: "error: " on stderr, AP_DATA. */
void ap_guard_set_outcome(int fd, const char *prefix, int code);

/* FOR TESTS: the variable AP_TEST_GUARD makes begin hang ("hang") or crash ("crash"). */

#endif
