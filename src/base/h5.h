/* Sealed HDF5 files: packed data sets, checkpoints and results.
 *
 * A sealed file is an ordinary HDF5 file (h5py, h5dump and pandas read it) with a 512-byte user block in front:
 *
 *     algoperf-sealed 1\n
 *     kind=<result|checkpoint|data|...>\n
 *     bytes=<size of the whole file>\n
 *     xxh3_128=<digest of everything behind the user block>\n
 *     NUL up to 512
 *
 * Why: HDF5 accepts most flipped bits silently and hangs on some. Whoever opens a sealed file checks its size and
 * digest before libhdf5 sees a byte (base/seal.h does). Files are written to a temp name, closed, sealed, synced and
 * renamed (base/file.h). HDF5's own error stack is kept quiet; its innermost message becomes part of our error text.
 * libhdf5 is not thread-safe: only a process's main thread may call this module. Not collective. */
#ifndef AP_BASE_H5_H
#define AP_BASE_H5_H

#include "base/digest.h"
#include "base/status.h"
#include <hdf5.h>

typedef enum ap_dtype { AP_F32, AP_F64, AP_I64, AP_I32, AP_U8, AP_U64, AP_I16 } ap_dtype;
size_t ap_dtype_size(ap_dtype type);
const char *ap_dtype_name(ap_dtype type); /* "float32", ... */

/* Of the library that is running. Not H5get_libversion: whoever uses HDF5 before this module does has its clean-up at
 * process exit, which can crash (h5.c). */
void ap_h5_version(unsigned *major, unsigned *minor, unsigned *release);

/* ---- writing */
typedef struct ap_h5_writer ap_h5_writer;
/* The file is built in memory and written at commit, so a full disk or a kill can only make the commit fail; it takes
 * twice the file's size for a moment. `kind`: 1 to 31 of a-z, 0-9, '_', '-'. */
ap_status ap_h5_create(const char *path, const char *kind, ap_h5_writer **writer, ap_error *error);
/* The same for files that do not fit in memory (packed data sets): written through to the temp file. If libhdf5 cannot
 * close it (metadata that no longer fits on the disk), this module refuses all further work in this process, because
 * HDF5 1.10 then keeps pointers to freed memory. */
ap_status ap_h5_create_large(const char *path, const char *kind, ap_h5_writer **writer, ap_error *error);
hid_t ap_h5_writer_file(ap_h5_writer *writer); /* for calls of the caller's own; borrowed */
/* Closes, seals, commits. The writer is gone afterwards, whatever the result; on failure `path` is untouched. What the
 * caller still holds open in the file is closed. */
ap_status ap_h5_commit(ap_h5_writer *writer, ap_error *error);
void ap_h5_abandon(ap_h5_writer *writer); /* NULL is fine */

/* Contiguous data set of `rank` dimensions at `name` ("/a/b/c": groups are made), with attribute `xxh3_128` = digest of
 * the bytes as stored (little endian). Rank 0 = scalar. `unit` (NULL: none) becomes the attribute `unit`. */
ap_status ap_h5_write(hid_t file, const char *name, ap_dtype type, int rank, const int64_t *shape, const void *data,
                      const char *unit, ap_error *error);
ap_status ap_h5_write_text(hid_t file, const char *name, int64_t n, const char *const *text,
                           ap_error *error); /* 1-D, fixed-length UTF-8 */
/* Attributes of object `object` ("/" = root); one that is there is replaced. Text is a scalar UTF-8 string of variable
 * length (h5py: str; any size). */
ap_status ap_h5_set_text(hid_t file, const char *object, const char *name, const char *text, ap_error *error);
ap_status ap_h5_set_i64(hid_t file, const char *object, const char *name, int64_t value, ap_error *error);
ap_status ap_h5_set_f64(hid_t file, const char *object, const char *name, double value, ap_error *error);
ap_status ap_h5_make_group(hid_t file, const char *name, ap_error *error); /* with those above it; fine if it exists */

/* ---- reading */
/* Opens a sealed file of this kind read-only after checking magic, kind, size and digest (digest only if
 * `check_digest`). The caller closes with ap_h5_close. */
ap_status ap_h5_open_sealed(const char *path, const char *kind, bool check_digest, hid_t *file, ap_error *error);
/* Opens any HDF5 file read-only (fixtures, others' data). Only hard links are followed by the functions below. */
ap_status ap_h5_open(const char *path, hid_t *file, ap_error *error);
void ap_h5_close(hid_t place); /* a file or a group; negative is fine */
/* A group as a place of its own: every function below takes it for `file`, with names that do not begin with '/' and
 * "." for the group itself. The caller closes with ap_h5_close. */
ap_status ap_h5_open_group(hid_t place, const char *name, hid_t *group, ap_error *error);
/* Checks a sealed file (digest included) without libhdf5; *digest = the one found (NULL: not wanted). */
ap_status ap_h5_check_seal(const char *path, const char *kind, ap_digest *digest, ap_error *error);

/* Size of the file of a place: data that is neither packed nor missing cannot be more. 0: not known. */
size_t ap_h5_file_bytes(hid_t place);

enum { AP_H5_MAX_RANK = 8 };
bool ap_h5_exists(hid_t file, const char *name);
/* Rank and extents of a data set. External storage and external links are refused (AP_DATA). */
ap_status ap_h5_shape(hid_t file, const char *name, int *rank, int64_t shape[AP_H5_MAX_RANK], ap_error *error);
/* Reads a whole data set, converted to `type` (integer to float and width conversions as HDF5 does; float to integer is
 * refused), into memory from malloc that the caller frees; *n = number of elements. If `expect` >= 0 the number must
 * equal it. If the data set has an xxh3_128 attribute it is verified. At most `limit` bytes. h5py's booleans (an
 * enumeration) read as 0 and 1. */
ap_status ap_h5_read(hid_t file, const char *name, ap_dtype type, int64_t expect, size_t limit, void **data, int64_t *n,
                     ap_error *error);
/* Strings, fixed or variable length, of a data set of rank 0 or 1; at most 64 MiB; free with ap_h5_free_text. */
ap_status ap_h5_read_text(hid_t file, const char *name, int64_t *n, char ***text, ap_error *error);
void ap_h5_free_text(int64_t n, char **text);
ap_status ap_h5_get_text(hid_t file, const char *object, const char *name, char **text,
                         ap_error *error); /* malloc'ed; fixed or variable length */
ap_status ap_h5_get_i64(hid_t file, const char *object, const char *name, int64_t *value, ap_error *error);
ap_status ap_h5_get_f64(hid_t file, const char *object, const char *name, double *value, ap_error *error);
bool ap_h5_has_attribute(hid_t file, const char *object, const char *name);
/* Byte offset in the file of a contiguous data set stored as little-endian `type`, for pread(2) from other threads; the
 * data is known to end within the file. 0 for a data set without elements. AP_DATA if it is not contiguous or not of
 * this type. */
ap_status ap_h5_offset(hid_t file, const char *name, ap_dtype type, int64_t *offset, ap_error *error);
/* Names of the links in a group, in name order (hard links only); free with ap_h5_free_text. */
ap_status ap_h5_list(hid_t file, const char *group, int64_t *n, char ***names, ap_error *error);
/* Names of the attributes of an object, likewise. */
ap_status ap_h5_list_attributes(hid_t file, const char *object, int64_t *n, char ***names, ap_error *error);

#endif
