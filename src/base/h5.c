#include "base/h5.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/h5_structure.h"
#include "base/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME = 1024, LONGEST_TEXT = 1 << 26, IMAGE_GROWTH = 1 << 20 };

/* ---- HDF5's manners */

/* Before the library's first use: no error stack on stderr, and no clean-up at process exit. The latter dereferences
 * freed memory when a file could not be closed on a full disk (1.10.8: SIGSEGV after main); every file here is closed
 * by name, so nothing is lost. */
static void library_open(void) {
    static bool done;
    if (!done) {
        H5dont_atexit();
        H5PLset_loading_state(0); /* no file may name a filter whose code is then loaded from HDF5_PLUGIN_PATH */
    }
    done = true;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void ap_h5_version(unsigned *major, unsigned *minor, unsigned *release) {
    library_open();
    H5get_libversion(major, minor, release);
}

/* An id that is closed when its variable goes out of scope, after the error text has been made. */
static void close_id(const hid_t *id) {
    if (*id >= 0) H5Idec_ref(*id);
}
#define CLOSED_AT_END __attribute__((cleanup(close_id)))

typedef struct library_error {
    char text[NAME];
    bool memory; /* it was out of memory */
} library_error;

static herr_t take_innermost(unsigned n, const H5E_error2_t *e, void *data) {
    library_error *error = data;
    if (n > 0) return 0;
    snprintf(error->text, NAME, "%s (%s)", e->desc ? e->desc : "no message", e->func_name ? e->func_name : "?");
    error->memory = e->maj_num == H5E_RESOURCE;
    return 0;
}

/* The innermost message of HDF5's error stack; of a failed system call only the system's words, not the addresses.
 * Returns `status`, or what the failure was in truth: the system's refusal (a file that cannot be read is not damaged),
 * or lack of memory. */
static ap_status library_message(ap_status status, char text[NAME]) {
    library_error error = {.text = "no message from HDF5"};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &error);
    const char *words = strstr(error.text, "error message = '");
    if (words) words += strlen("error message = '");
    snprintf(text, NAME, "%s", words ? words : error.text);
    if (words) text[strcspn(text, "'")] = '\0';
    return words ? AP_IO : error.memory ? AP_ENVIRONMENT : status;
}

/* Of a group in it: "file in /a/b". */
static void file_name(hid_t object, char name[NAME]) {
    char group[NAME];
    if (H5Fget_name(object, name, NAME) <= 0) strcpy(name, "HDF5 file");
    size_t n = strlen(name);
    if (H5Iget_type(object) == H5I_GROUP && H5Iget_name(object, group, NAME) > 1)
        snprintf(name + n, NAME - n, " in %s", group);
}

/* To be called right after the HDF5 call that failed: the next one clears the error stack. */
static ap_status library_fail(ap_error *error, ap_status status, hid_t file, const char *object, const char *what) {
    char message[NAME], name[NAME];
    status = library_message(status, message);
    file_name(file, name);
    return ap_fail(error, status, "%s: %s: %s: %s", name, object, what, message);
}

AP_PRINTF(4, 5)
static ap_status data_fail(ap_error *error, hid_t file, const char *object, const char *format, ...) {
    char name[NAME], text[NAME];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    file_name(file, name);
    return ap_fail(error, AP_DATA, "%s: %s: %s", name, object, text);
}

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [AP_F32] = {"float32", 4}, [AP_F64] = {"float64", 8}, [AP_I64] = {"int64", 8}, [AP_I32] = {"int32", 4},
    [AP_U8] = {"uint8", 1},    [AP_U64] = {"uint64", 8},  [AP_I16] = {"int16", 2},
};

size_t ap_dtype_size(ap_dtype type) {
    return dtypes[type].size;
}

const char *ap_dtype_name(ap_dtype type) {
    return dtypes[type].name;
}

/* In files always little endian; in memory x86-64 is the same. */
static hid_t file_type(ap_dtype type) {
    switch (type) {
    case AP_F32: return H5T_IEEE_F32LE;
    case AP_F64: return H5T_IEEE_F64LE;
    case AP_I64: return H5T_STD_I64LE;
    case AP_I32: return H5T_STD_I32LE;
    case AP_U8: return H5T_STD_U8LE;
    case AP_U64: return H5T_STD_U64LE;
    case AP_I16: return H5T_STD_I16LE;
    }
    return H5I_INVALID_HID;
}

/* ---- the seal alone */

ap_status ap_h5_check_seal(const char *path, const char *kind, ap_digest *digest, ap_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be opened", path);
    ap_status status = ap_seal_check(fd, path, kind, true, digest, error);
    close(fd);
    return status;
}

/* ---- creating and committing a file */

struct ap_h5_writer {
    hid_t file;
    bool in_memory;
    char path[AP_PATH], temp[AP_PATH], kind[AP_SEAL_KIND];
};

static bool unusable; /* a large file could not be closed, see ap_h5_create_large */

static ap_status check_usable(const char *path, ap_error *error) {
    library_open();
    if (!unusable) return AP_OK;
    return ap_fail(error, AP_IO,
                   "%s: not touched, because HDF5 could not close an earlier file (disk full?); "
                   "make room and start the program again",
                   path);
}

static ap_status create_file(ap_h5_writer *writer, ap_error *error) {
    const char *name = writer->in_memory ? writer->path : writer->temp;
    CLOSED_AT_END hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    CLOSED_AT_END hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_userblock(creation, AP_SEAL_BYTES);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST); /* base/h5_structure.h reads no newer form */
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, false,
                        true); /* temp and rename need no lock, and some cluster file systems have none */
#endif
    /* Without a sieve buffer: it would be written when a data set is closed, where failures are easily lost. */
    H5Pset_sieve_buf_size(access, 0);
    if (writer->in_memory) H5Pset_fapl_core(access, IMAGE_GROWTH, false);
    writer->file = H5Fcreate(name, H5F_ACC_TRUNC, creation, access);
    if (writer->file >= 0) return AP_OK;
    char message[NAME];
    ap_status status = library_message(AP_IO, message);
    return ap_fail(error, status, "%s: cannot be made: %s", name, message);
}

static ap_status create(const char *path, const char *kind, bool in_memory, ap_h5_writer **writer, ap_error *error) {
    size_t letters = strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    if (letters == 0 || letters >= AP_SEAL_KIND || kind[letters])
        return ap_fail(error, AP_BUG, "%s: \"%s\" is no kind of sealed file", path, kind);
    AP_TRY(check_usable(path, error));
    ap_h5_writer *w = calloc(1, sizeof *w);
    if (!w) return ap_fail(error, AP_ENVIRONMENT, "%s: no memory for a file's writer", path);
    w->in_memory = in_memory;
    strcpy(w->kind, kind);
    ap_status status = ap_path(w->path, error, "%s", path);
    if (status == AP_OK) status = ap_temp_name(path, w->temp, error);
    if (status == AP_OK) {
        if (!in_memory) ap_abandon_file(w->temp); /* of a dead process with our number */
        status = create_file(w, error);
    }
    if (status == AP_OK) {
        *writer = w;
    } else {
        if (!in_memory) ap_abandon_file(w->temp);
        free(w);
    }
    return status;
}

ap_status ap_h5_create(const char *path, const char *kind, ap_h5_writer **writer, ap_error *error) {
    return create(path, kind, true, writer, error);
}

ap_status ap_h5_create_large(const char *path, const char *kind, ap_h5_writer **writer, ap_error *error) {
    return create(path, kind, false, writer, error);
}

hid_t ap_h5_writer_file(ap_h5_writer *writer) {
    return writer->file;
}

void ap_h5_abandon(ap_h5_writer *writer) {
    if (!writer) return;
    if (writer->file >= 0) {
        /* Gives a full disk's room back first, for the metadata that closing writes; if that fails, closing says so. */
        int ignored = writer->in_memory ? 0 : truncate(writer->temp, 0);
        (void)ignored;
        if (H5Fclose(writer->file) < 0) unusable = true;
    }
    if (!writer->in_memory) ap_abandon_file(writer->temp);
    free(writer);
}

/* The image that HDF5 gives leaves the user block out. */
static ap_status commit_image(ap_h5_writer *writer, ap_error *error) {
    char *bytes = NULL;
    ssize_t n = -1;
    if (H5Fflush(writer->file, H5F_SCOPE_GLOBAL) >= 0) n = H5Fget_file_image(writer->file, NULL, 0);
    if (n < 0) return library_fail(error, AP_IO, writer->file, "/", "the file cannot be finished");
    size_t size = (size_t)n + AP_SEAL_BYTES;
    if (!(bytes = malloc(size)))
        return ap_fail(error, AP_ENVIRONMENT, "%s: no memory for %zu bytes", writer->path, size);
    ap_status status = AP_OK;
    if (H5Fget_file_image(writer->file, bytes + AP_SEAL_BYTES, (size_t)n) != n)
        status = library_fail(error, AP_IO, writer->file, "/", "the file cannot be finished");
    if (status == AP_OK) {
        ap_seal_make(bytes, writer->kind, (int64_t)size, ap_digest_of(bytes + AP_SEAL_BYTES, (size_t)n));
        status = ap_write_file(writer->path, bytes, size, error);
    }
    free(bytes);
    return status;
}

static ap_status seal_file(const char *path, const char *kind, ap_error *error) {
    char seal[AP_SEAL_BYTES];
    struct stat info;
    ap_digest digest;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be opened again", path);
    ap_status status = fstat(fd, &info) ? ap_fail_errno(error, AP_IO, "%s: cannot be read", path)
                                        : ap_seal_digest(fd, path, &digest, error);
    if (status == AP_OK) {
        ap_seal_make(seal, kind, info.st_size, digest);
        errno = ENOSPC; /* for a short write */
        if (pwrite(fd, seal, AP_SEAL_BYTES, 0) != AP_SEAL_BYTES)
            status = ap_fail_errno(error, AP_IO, "%s: the seal cannot be written", path);
    }
    if (close(fd) && status == AP_OK) status = ap_fail_errno(error, AP_IO, "%s: cannot be closed", path);
    return status;
}

static ap_status commit_large(ap_h5_writer *writer, ap_error *error) {
    if (H5Fflush(writer->file, H5F_SCOPE_GLOBAL) < 0)
        return library_fail(error, AP_IO, writer->file, "/", "the file cannot be finished");
    hid_t file = writer->file;
    writer->file = H5I_INVALID_HID;
    if (H5Fclose(file) < 0) {
        unusable = true;
        return ap_fail(error, AP_IO, "%s: cannot be closed", writer->temp);
    }
    AP_TRY(seal_file(writer->temp, writer->kind, error));
    return ap_commit_file(writer->temp, writer->path, error);
}

ap_status ap_h5_commit(ap_h5_writer *writer, ap_error *error) {
    ap_status status = writer->in_memory ? commit_image(writer, error) : commit_large(writer, error);
    ap_h5_abandon(writer); /* closes; after a success there is no temp file any more */
    return status;
}

/* ---- writing objects */

static hid_t make_parents(void) {
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    return links;
}

static hid_t make_space(int rank, const int64_t *shape) {
    hsize_t extent[AP_H5_MAX_RANK];
    for (int i = 0; i < rank; i++) extent[i] = (hsize_t)shape[i];
    return rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(rank, extent, NULL);
}

/* The data set with its bytes, contiguous and without times, so that equal content makes equal files. */
static ap_status write_bytes(hid_t file, const char *name, hid_t type, int rank, const int64_t *shape, const void *data,
                             ap_error *error) {
    CLOSED_AT_END hid_t space = make_space(rank, shape);
    CLOSED_AT_END hid_t links = make_parents();
    CLOSED_AT_END hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(creation, false);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    CLOSED_AT_END hid_t set = H5Dcreate2(file, name, type, space, links, creation, H5P_DEFAULT);
    if (set < 0) return library_fail(error, AP_IO, file, name, "the data set cannot be made");
    if (H5Sget_simple_extent_npoints(space) > 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        return library_fail(error, AP_IO, file, name, "the data set cannot be written");
    return AP_OK;
}

ap_status ap_h5_write(hid_t file, const char *name, ap_dtype type, int rank, const int64_t *shape, const void *data,
                      const char *unit, ap_error *error) {
    library_open();
    int64_t n;
    size_t bytes;
    char hex[AP_DIGEST_TEXT];
    if (rank < 0 || rank > AP_H5_MAX_RANK || !ap_shape_size(rank, shape, &n) ||
        !ap_size_mul((size_t)n, ap_dtype_size(type), &bytes))
        return ap_fail(error, AP_BUG, "%s: the shape of a data set of rank %d to be written is not possible", name,
                       rank);
    AP_TRY(write_bytes(file, name, file_type(type), rank, shape, data, error));
    ap_digest_text(ap_digest_of(data, bytes), hex);
    AP_TRY(ap_h5_set_text(file, name, "xxh3_128", hex, error));
    return unit ? ap_h5_set_text(file, name, "unit", unit, error) : AP_OK;
}

ap_status ap_h5_write_text(hid_t file, const char *name, int64_t n, const char *const *text, ap_error *error) {
    library_open();
    size_t width = 1, bytes; /* HDF5 has no strings of size 0 */
    for (int64_t i = 0; i < n; i++)
        if (strlen(text[i]) > width) width = strlen(text[i]);
    if (!ap_size_mul((size_t)n, width, &bytes) || bytes > LONGEST_TEXT)
        return ap_fail(error, AP_BUG, "%s: %" PRId64 " texts of up to %zu bytes are too much", name, n, width);
    char *block = calloc(bytes ? bytes : 1, 1);
    if (!block) return ap_fail(error, AP_ENVIRONMENT, "%s: no memory for %zu bytes", name, bytes);
    for (int64_t i = 0; i < n; i++) memcpy(block + (size_t)i * width, text[i], strlen(text[i]));
    CLOSED_AT_END hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    ap_status status = write_bytes(file, name, type, 1, &n, block, error);
    free(block);
    return status;
}

static ap_status set_attribute(hid_t file, const char *object, const char *name, hid_t type, const void *value,
                               ap_error *error) {
    CLOSED_AT_END hid_t holder = H5Oopen(file, object, H5P_DEFAULT);
    if (holder < 0) return library_fail(error, AP_IO, file, object, "there is no such object for an attribute");
    if (H5Aexists(holder, name) > 0) H5Adelete(holder, name);
    CLOSED_AT_END hid_t space = H5Screate(H5S_SCALAR);
    CLOSED_AT_END hid_t attribute = H5Acreate2(holder, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, type, value) < 0) {
        ap_status status = library_fail(error, AP_IO, file, object, "an attribute cannot be written");
        return error ? ap_context(error, "attribute %s", name) : status;
    }
    return AP_OK;
}

ap_status ap_h5_set_text(hid_t file, const char *object, const char *name, const char *text, ap_error *error) {
    library_open();
    CLOSED_AT_END hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return set_attribute(file, object, name, type, &text, error);
}

ap_status ap_h5_set_i64(hid_t file, const char *object, const char *name, int64_t value, ap_error *error) {
    library_open();
    return set_attribute(file, object, name, H5T_STD_I64LE, &value, error);
}

ap_status ap_h5_set_f64(hid_t file, const char *object, const char *name, double value, ap_error *error) {
    library_open();
    return set_attribute(file, object, name, H5T_IEEE_F64LE, &value, error);
}

ap_status ap_h5_make_group(hid_t file, const char *name, ap_error *error) {
    library_open();
    if (ap_h5_exists(file, name)) return AP_OK;
    CLOSED_AT_END hid_t links = make_parents();
    CLOSED_AT_END hid_t group = H5Gcreate2(file, name, links, H5P_DEFAULT, H5P_DEFAULT);
    return group < 0 ? library_fail(error, AP_IO, file, name, "the group cannot be made") : AP_OK;
}

/* ---- opening */

static ap_status open_checked(const char *path, hid_t *file, ap_error *error) {
    CLOSED_AT_END hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, false, true);
#endif
    hid_t id = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (id < 0) {
        char message[NAME];
        ap_status status = library_message(AP_DATA, message);
        return ap_fail(error, status, "%s: HDF5 cannot open it: %s", path, message);
    }
    *file = id;
    return AP_OK;
}

ap_status ap_h5_open(const char *path, hid_t *file, ap_error *error) {
    AP_TRY(check_usable(path, error));
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info)) {
        ap_status status = ap_fail_errno(error, AP_IO, "%s: cannot be opened", path);
        if (fd >= 0) close(fd);
        return status;
    }
    close(fd);
    if (!S_ISREG(info.st_mode)) return ap_fail(error, AP_DATA, "%s: is not a regular file", path);
    return open_checked(path, file, error);
}

ap_status ap_h5_open_sealed(const char *path, const char *kind, bool check_digest, hid_t *file, ap_error *error) {
    AP_TRY(check_usable(path, error));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be opened", path);
    ap_status status = ap_seal_check(fd, path, kind, check_digest, NULL, error);
    if (status == AP_OK) status = ap_h5_check_structure(fd, path, AP_SEAL_BYTES, error);
    close(fd);
    return status == AP_OK ? open_checked(path, file, error) : status;
}

void ap_h5_close(hid_t place) {
    if (place >= 0) H5Iget_type(place) == H5I_FILE ? H5Fclose(place) : H5Gclose(place);
}

size_t ap_h5_file_bytes(hid_t place) {
    CLOSED_AT_END hid_t file = H5Iget_file_id(place);
    hsize_t bytes = 0;
    return file >= 0 && H5Fget_filesize(file, &bytes) >= 0 ? (size_t)bytes : 0;
}

/* ---- finding objects */

/* A question to the library was answered with a failure: was it the system that failed (or memory)? */
static bool system_failed(void) {
    char message[NAME];
    return library_message(AP_DATA, message) != AP_DATA;
}

/* Whether every part of the path `name` is a hard link. */
typedef enum path_kind {
    NOT_THERE,
    PLAIN,
    LEADS_OUT /* another kind of link */,
    UNKNOWN /* see system_failed */
} path_kind;
static path_kind kind_of_path(hid_t file, const char *name) {
    char part[NAME];
    size_t n = strlen(name);
    if (n == 0 || n >= NAME) return NOT_THERE;
    if (!strcmp(name, ".")) return 1;
    strcpy(part, name);
    for (size_t i = 1; i <= n; i++) {
        if (name[i] != '/' && name[i] != '\0') continue;
        if (part[i - 1] == '/') continue; /* the root, or a doubled slash */
        part[i] = '\0';
        H5L_info_t info;
        htri_t there = H5Lexists(file, part, H5P_DEFAULT);
        if (there > 0 && H5Lget_info(file, part, &info, H5P_DEFAULT) < 0) there = -1;
        if (there <= 0) return there < 0 && system_failed() ? UNKNOWN : NOT_THERE;
        if (info.type != H5L_TYPE_HARD) return LEADS_OUT;
        part[i] = name[i];
    }
    return PLAIN;
}

bool ap_h5_exists(hid_t file, const char *name) {
    library_open();
    return kind_of_path(file, name) == PLAIN;
}

static ap_status open_object(hid_t file, const char *name, H5I_type_t type, hid_t *object, ap_error *error) {
    static const char *const words[] = {[H5I_GROUP] = "group", [H5I_DATASET] = "data set"};
    library_open();
    path_kind kind = kind_of_path(file, name);
    if (kind == UNKNOWN) return library_fail(error, AP_IO, file, name, "cannot be looked up");
    if (kind == LEADS_OUT)
        return data_fail(error, file, name, "is or lies behind a soft or external link; only hard links are read");
    if (kind == NOT_THERE) return data_fail(error, file, name, "is not there");
    hid_t id = H5Oopen(file, name, H5P_DEFAULT);
    if (id < 0) return library_fail(error, AP_DATA, file, name, "cannot be opened");
    if (type != H5I_BADID && H5Iget_type(id) != type) {
        H5Oclose(id);
        return data_fail(error, file, name, "is not a %s", words[type]);
    }
    *object = id;
    return AP_OK;
}

static ap_status open_set(hid_t file, const char *name, hid_t *set, ap_error *error) {
    hid_t id = H5I_INVALID_HID;
    AP_TRY(open_object(file, name, H5I_DATASET, &id, error));
    CLOSED_AT_END hid_t creation = H5Dget_create_plist(id);
    bool contiguous = H5Pget_layout(creation) == H5D_CONTIGUOUS;
    if (H5Pget_layout(creation) == H5D_VIRTUAL || (contiguous && H5Pget_external_count(creation) != 0)) {
        H5Oclose(id);
        return data_fail(error, file, name, "keeps its data in another file; only data sets within the file are read");
    }
    *set = id;
    return AP_OK;
}

static ap_status shape_of(hid_t set, hid_t file, const char *name, int *rank, int64_t shape[AP_H5_MAX_RANK], int64_t *n,
                          ap_error *error) {
    hsize_t extent[AP_H5_MAX_RANK];
    CLOSED_AT_END hid_t space = H5Dget_space(set);
    H5S_class_t class = H5Sget_simple_extent_type(space);
    int found = class == H5S_SCALAR ? 0 : H5Sget_simple_extent_ndims(space);
    if ((class != H5S_SCALAR && class != H5S_SIMPLE) || found < 0 || found > AP_H5_MAX_RANK)
        return data_fail(error, file, name, "has rank %d or no shape (0 to %d dimensions are read)", found,
                         AP_H5_MAX_RANK);
    if (found > 0) H5Sget_simple_extent_dims(space, extent, NULL);
    for (int i = 0; i < found; i++) shape[i] = extent[i] > INT64_MAX ? -1 : (int64_t)extent[i];
    if (!ap_shape_size(found, shape, n)) return data_fail(error, file, name, "has more elements than fit in 63 bits");
    *rank = found;
    return AP_OK;
}

ap_status ap_h5_open_group(hid_t place, const char *name, hid_t *group, ap_error *error) {
    return open_object(place, name, H5I_GROUP, group, error);
}

ap_status ap_h5_shape(hid_t file, const char *name, int *rank, int64_t shape[AP_H5_MAX_RANK], ap_error *error) {
    CLOSED_AT_END hid_t set = H5I_INVALID_HID;
    int64_t n;
    AP_TRY(open_set(file, name, &set, error));
    return shape_of(set, file, name, rank, shape, &n, error);
}

/* ---- reading numbers */

/* *number = the stored type as a number type that H5Tconvert understands (of an enumeration: its base). The caller
 * closes it. */
static ap_status number_type(hid_t type, hid_t file, const char *name, ap_dtype to, hid_t *number, ap_error *error) {
    H5T_class_t class = H5Tget_class(type);
    bool to_float = to == AP_F32 || to == AP_F64;
    if (class != H5T_INTEGER && class != H5T_FLOAT && class != H5T_ENUM)
        return data_fail(error, file, name, "does not hold numbers; %s is needed", ap_dtype_name(to));
    if (class == H5T_FLOAT && !to_float)
        return data_fail(error, file, name, "holds floating-point numbers; %s is needed", ap_dtype_name(to));
    if (H5Tget_size(type) > 16) return data_fail(error, file, name, "holds numbers of more than 16 bytes");
    if (H5Tcommitted(type) > 0) return data_fail(error, file, name, "has a named type; only plain types are read");
    *number = class == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type);
    return *number < 0 ? library_fail(error, AP_DATA, file, name, "its type cannot be read") : AP_OK;
}

/* HDF5 reads whole chunks: one chunk may not be much larger than what is asked for. */
static ap_status check_chunk(hid_t set, hid_t file, const char *name, size_t size, size_t limit, ap_error *error) {
    CLOSED_AT_END hid_t creation = H5Dget_create_plist(set);
    if (H5Pget_layout(creation) != H5D_CHUNKED) return AP_OK;
    hsize_t extent[H5S_MAX_RANK];
    int rank = H5Pget_chunk(creation, H5S_MAX_RANK, extent);
    for (int i = 0; i < rank; i++)
        if (!ap_size_mul(size, extent[i], &size)) size = SIZE_MAX;
    if (rank < 0 || size / 2 > limit / 2 + LONGEST_TEXT / 2)
        return data_fail(error, file, name, "has chunks of %zu bytes, too large for the at most %zu bytes wanted", size,
                         limit);
    return AP_OK;
}

static ap_status check_digest_attribute(hid_t set, hid_t file, const char *name, const void *bytes, size_t n,
                                        ap_error *error) {
    htri_t there = H5Aexists(set, "xxh3_128");
    if (there < 0) return library_fail(error, AP_DATA, file, name, "its digest cannot be looked up");
    if (there == 0) return AP_OK;
    char *stated = NULL, is[AP_DIGEST_TEXT];
    AP_TRY(ap_h5_get_text(file, name, "xxh3_128", &stated, error));
    ap_digest_text(ap_digest_of(bytes, n), is);
    ap_status status = AP_OK;
    if (strcmp(is, stated) != 0)
        status = data_fail(error, file, name, "is damaged: its digest is %s, stated is %.40s", is, stated);
    free(stated);
    return status;
}

ap_status ap_h5_read(hid_t file, const char *name, ap_dtype type, int64_t expect, size_t limit, void **data, int64_t *n,
                     ap_error *error) {
    CLOSED_AT_END hid_t set = H5I_INVALID_HID, number = H5I_INVALID_HID;
    int rank;
    int64_t shape[AP_H5_MAX_RANK], count;
    AP_TRY(open_set(file, name, &set, error));
    AP_TRY(shape_of(set, file, name, &rank, shape, &count, error));
    if (expect >= 0 && count != expect)
        return data_fail(error, file, name, "has %" PRId64 " elements, %" PRId64 " are needed", count, expect);
    CLOSED_AT_END hid_t stored = H5Dget_type(set);
    AP_TRY(number_type(stored, file, name, type, &number, error));
    size_t from = H5Tget_size(number), to = ap_dtype_size(type), wanted, bytes;
    if (!ap_size_mul((size_t)count, to, &wanted) || wanted > limit ||
        !ap_size_mul((size_t)count, from > to ? from : to, &bytes))
        return data_fail(error, file, name,
                         "has %" PRId64 " elements of %zu bytes, more than the %zu bytes allowed here", count, to,
                         limit);
    AP_TRY(check_chunk(set, file, name, from, limit, error));
    void *buffer = malloc(bytes ? bytes : 1);
    if (!buffer) return ap_fail(error, AP_ENVIRONMENT, "%s: no memory for %zu bytes", name, bytes);
    ap_status status = AP_OK;
    /* As stored, so that the digest can be checked; converted after that. */
    if (count > 0 && H5Dread(set, stored, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer) < 0)
        status = library_fail(error, AP_DATA, file, name, "cannot be read");
    if (status == AP_OK) status = check_digest_attribute(set, file, name, buffer, (size_t)count * from, error);
    if (status == AP_OK && H5Tconvert(number, file_type(type), (size_t)count, buffer, NULL, H5P_DEFAULT) < 0)
        status = library_fail(error, AP_DATA, file, name, "cannot be converted");
    if (status != AP_OK) {
        free(buffer);
        return status;
    }
    void *exact = from > to ? realloc(buffer, wanted ? wanted : 1) : buffer;
    *data = exact ? exact : buffer;
    *n = count;
    return AP_OK;
}

ap_status ap_h5_offset(hid_t file, const char *name, ap_dtype type, int64_t *offset, ap_error *error) {
    CLOSED_AT_END hid_t set = H5I_INVALID_HID;
    int rank;
    int64_t shape[AP_H5_MAX_RANK], n;
    AP_TRY(open_set(file, name, &set, error));
    AP_TRY(shape_of(set, file, name, &rank, shape, &n, error));
    CLOSED_AT_END hid_t stored = H5Dget_type(set);
    CLOSED_AT_END hid_t creation = H5Dget_create_plist(set);
    if (H5Tequal(stored, file_type(type)) <= 0)
        return data_fail(error, file, name, "is not stored as little-endian %s", ap_dtype_name(type));
    if (H5Pget_layout(creation) != H5D_CONTIGUOUS)
        return data_fail(error, file, name, "is not stored in one piece (contiguous layout)");
    if (n == 0) {
        *offset = 0;
        return AP_OK;
    }
    char path[NAME];
    struct stat info;
    haddr_t at = H5Dget_offset(set);
    size_t bytes, end;
    file_name(file, path);
    if (at == HADDR_UNDEF || !ap_size_mul((size_t)n, ap_dtype_size(type), &bytes) || !ap_size_add(at, bytes, &end) ||
        stat(path, &info) || end > (size_t)info.st_size)
        return data_fail(error, file, name, "does not lie within the file");
    *offset = (int64_t)at;
    return AP_OK;
}

/* ---- reading texts */

/* The n strings of an open data set or attribute, by one of the two readers. Each becomes a malloc'ed C string. */
typedef struct text_source {
    hid_t id, type, space;
    bool is_attribute;
} text_source;

static herr_t read_raw(const text_source *source, void *buffer) {
    return source->is_attribute ? H5Aread(source->id, source->type, buffer)
                                : H5Dread(source->id, source->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer);
}

/* Of a data set HDF5 tells how much its variable-length strings take: they may all be the same one, long one. */
static bool variable_fits(const text_source *source) {
    hsize_t bytes = 0;
    return source->is_attribute ||
           (H5Dvlen_get_buf_size(source->id, source->type, source->space, &bytes) >= 0 && bytes <= LONGEST_TEXT);
}

static bool copy_variable(const text_source *source, size_t n, char **text) {
    if (!variable_fits(source)) return false;
    char **borrowed = calloc(n, sizeof *borrowed);
    bool taken = borrowed && read_raw(source, borrowed) >= 0, fine = taken;
    for (size_t i = 0; fine && i < n; i++) fine = (text[i] = strdup(borrowed[i] ? borrowed[i] : "")) != NULL;
    if (taken) H5Dvlen_reclaim(source->type, source->space, H5P_DEFAULT, borrowed); /* else keep the error stack */
    free(borrowed);
    return fine;
}

static bool copy_fixed(const text_source *source, size_t n, char **text) {
    size_t width = H5Tget_size(source->type), bytes;
    if (!ap_size_mul(n, width, &bytes) || bytes > LONGEST_TEXT) return false;
    char *block = calloc(bytes ? bytes : 1, 1);
    bool spaces = H5Tget_strpad(source->type) == H5T_STR_SPACEPAD;
    bool fine = block && read_raw(source, block) >= 0; /* the last call: a failure's message is asked for next */
    for (size_t i = 0; fine && i < n; i++) {
        size_t length = strnlen(block + i * width, width);
        while (spaces && length > 0 && block[i * width + length - 1] == ' ') length--;
        fine = (text[i] = strndup(block + i * width, length)) != NULL;
    }
    free(block);
    return fine;
}

static ap_status read_texts(const text_source *source, hid_t file, const char *name, size_t n, char ***text,
                            ap_error *error) {
    if (H5Tget_class(source->type) != H5T_STRING) return data_fail(error, file, name, "does not hold text");
    if (H5Tcommitted(source->type) > 0)
        return data_fail(error, file, name, "has a named type; only plain types are read");
    if (n > LONGEST_TEXT / sizeof(char *)) return data_fail(error, file, name, "has %zu texts, too many", n);
    char **copy = calloc(n ? n : 1, sizeof *copy);
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "%s: no memory for %zu texts", name, n);
    bool variable = H5Tis_variable_str(source->type) > 0;
    if (n > 0 && !(variable ? copy_variable(source, n, copy) : copy_fixed(source, n, copy))) {
        ap_h5_free_text((int64_t)n, copy);
        return library_fail(error, AP_DATA, file, name, "its text cannot be read (damaged, or above 64 MiB)");
    }
    *text = copy;
    return AP_OK;
}

ap_status ap_h5_read_text(hid_t file, const char *name, int64_t *n, char ***text, ap_error *error) {
    CLOSED_AT_END hid_t set = H5I_INVALID_HID;
    int rank;
    int64_t shape[AP_H5_MAX_RANK], count;
    AP_TRY(open_set(file, name, &set, error));
    AP_TRY(shape_of(set, file, name, &rank, shape, &count, error));
    if (rank > 1) return data_fail(error, file, name, "has rank %d; a list of texts is needed", rank);
    CLOSED_AT_END hid_t type = H5Dget_type(set);
    CLOSED_AT_END hid_t space = H5Dget_space(set);
    AP_TRY(check_chunk(set, file, name, H5Tget_size(type), LONGEST_TEXT, error));
    const text_source source = {.id = set, .type = type, .space = space};
    AP_TRY(read_texts(&source, file, name, (size_t)count, text, error));
    *n = count;
    return AP_OK;
}

void ap_h5_free_text(int64_t n, char **text) {
    for (int64_t i = 0; text && i < n; i++) free(text[i]);
    free(text);
}

/* ---- attributes */

bool ap_h5_has_attribute(hid_t file, const char *object, const char *name) {
    CLOSED_AT_END hid_t holder = H5I_INVALID_HID;
    return open_object(file, object, H5I_BADID, &holder, NULL) == AP_OK && H5Aexists(holder, name) > 0;
}

/* An attribute of one element; *label is "object, attribute name" for messages. */
static ap_status open_attribute(hid_t file, const char *object, const char *name, hid_t *attribute, char label[NAME],
                                ap_error *error) {
    CLOSED_AT_END hid_t holder = H5I_INVALID_HID;
    AP_TRY(open_object(file, object, H5I_BADID, &holder, error));
    snprintf(label, NAME, "%.500s, attribute %.400s", object, name);
    htri_t there = H5Aexists(holder, name);
    if (there < 0) return library_fail(error, AP_DATA, file, label, "cannot be looked up");
    if (there == 0) return data_fail(error, file, label, "is not there");
    hid_t id = H5Aopen(holder, name, H5P_DEFAULT);
    if (id < 0) return library_fail(error, AP_DATA, file, label, "cannot be opened");
    CLOSED_AT_END hid_t space = H5Aget_space(id);
    if (H5Sget_simple_extent_npoints(space) != 1) {
        H5Aclose(id);
        return data_fail(error, file, label, "is not a single value");
    }
    *attribute = id;
    return AP_OK;
}

ap_status ap_h5_get_text(hid_t file, const char *object, const char *name, char **text, ap_error *error) {
    CLOSED_AT_END hid_t attribute = H5I_INVALID_HID;
    char label[NAME], **one = NULL;
    AP_TRY(open_attribute(file, object, name, &attribute, label, error));
    CLOSED_AT_END hid_t type = H5Aget_type(attribute);
    CLOSED_AT_END hid_t space = H5Aget_space(attribute);
    const text_source source = {.id = attribute, .type = type, .space = space, .is_attribute = true};
    AP_TRY(read_texts(&source, file, label, 1, &one, error));
    *text = one[0];
    free(one);
    return AP_OK;
}

static ap_status get_number(hid_t file, const char *object, const char *name, ap_dtype to, void *value,
                            ap_error *error) {
    CLOSED_AT_END hid_t attribute = H5I_INVALID_HID, number = H5I_INVALID_HID;
    char label[NAME];
    unsigned char buffer[16];
    AP_TRY(open_attribute(file, object, name, &attribute, label, error));
    CLOSED_AT_END hid_t stored = H5Aget_type(attribute);
    AP_TRY(number_type(stored, file, label, to, &number, error));
    if (H5Aread(attribute, stored, buffer) < 0 || H5Tconvert(number, file_type(to), 1, buffer, NULL, H5P_DEFAULT) < 0)
        return library_fail(error, AP_DATA, file, label, "cannot be read");
    memcpy(value, buffer, ap_dtype_size(to));
    return AP_OK;
}

ap_status ap_h5_get_i64(hid_t file, const char *object, const char *name, int64_t *value, ap_error *error) {
    return get_number(file, object, name, AP_I64, value, error);
}

ap_status ap_h5_get_f64(hid_t file, const char *object, const char *name, double *value, ap_error *error) {
    return get_number(file, object, name, AP_F64, value, error);
}

/* ---- listing */

typedef struct name_list {
    int64_t n, capacity;
    char **names;
} name_list;

static herr_t append_name(name_list *list, const char *name) {
    if (list->n == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 16;
        char **more = realloc(list->names, (size_t)capacity * sizeof *more);
        if (!more) return -1;
        list->names = more;
        list->capacity = capacity;
    }
    if (!(list->names[list->n] = strdup(name))) return -1;
    list->n++;
    return 0;
}

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *info, void *data) {
    (void)group;
    return info->type == H5L_TYPE_HARD ? append_name(data, name) : 0;
}

static herr_t add_attribute(hid_t holder, const char *name, const H5A_info_t *info, void *data) {
    (void)holder, (void)info;
    return append_name(data, name);
}

ap_status ap_h5_list(hid_t file, const char *group, int64_t *n, char ***names, ap_error *error) {
    CLOSED_AT_END hid_t id = H5I_INVALID_HID;
    name_list list = {0, 0, NULL};
    AP_TRY(open_object(file, group, H5I_GROUP, &id, error));
    if (H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, NULL, add_link, &list) < 0) {
        ap_h5_free_text(list.n, list.names);
        return library_fail(error, AP_DATA, file, group, "cannot be listed");
    }
    *n = list.n;
    *names = list.names;
    return AP_OK;
}

ap_status ap_h5_list_attributes(hid_t file, const char *object, int64_t *n, char ***names, ap_error *error) {
    CLOSED_AT_END hid_t id = H5I_INVALID_HID;
    name_list list = {0, 0, NULL};
    AP_TRY(open_object(file, object, H5I_BADID, &id, error));
    if (H5Aiterate2(id, H5_INDEX_NAME, H5_ITER_INC, NULL, add_attribute, &list) < 0) {
        ap_h5_free_text(list.n, list.names);
        return library_fail(error, AP_DATA, file, object, "its attributes cannot be listed");
    }
    *n = list.n;
    *names = list.names;
    return AP_OK;
}
