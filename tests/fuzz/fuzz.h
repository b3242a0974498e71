/* What the fuzz targets share. A target is one function from bytes to "fine, or refused": whatever the bytes are, it
 * must come back, without a crash, a leak, or an HDF5 object left open. */
#ifndef AP_TESTS_FUZZ_H
#define AP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's entry; replay.c calls it on files where there is no libFuzzer. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A folder of this process, in memory where there is /dev/shm; removed at exit. */
const char *fuzz_folder(void);

/* The bytes as file `name` in it, with the seal of `kind` in front (NULL: none). The path is good until the next call.
 */
const char *fuzz_file(const char *name, const char *kind, const uint8_t *data, size_t size);

/* The bytes as a malloc'ed text with a NUL behind. */
char *fuzz_text(const uint8_t *data, size_t size);

/* Aborts if HDF5 objects are open. */
void fuzz_check_closed(void);

#endif
