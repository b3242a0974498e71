/* base/h5: sealed files round trip, every damage is refused, hostile contents are refused before memory is taken for
 * them, and a full disk leaves neither half a file nor a crash. */
#include "base/file.h"
#include "base/h5.h"
#include "check.h"
#include "folder.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT = 1 << 20 };
static ap_error error;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        error.text[0] = '\0';                                                                                          \
        if ((call) != AP_OK) {                                                                                         \
            printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, error.text);                                          \
            ap_check_failures++;                                                                                       \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)
#define REFUSED(call, want, part)                                                                                      \
    do {                                                                                                               \
        error.text[0] = '\0';                                                                                          \
        CHECK_INT((call), (want));                                                                                     \
        CHECK_TEXT(error.text, (part));                                                                                \
    } while (0)

typedef ap_status creator(const char *path, const char *kind, ap_h5_writer **writer, ap_error *error);
static creator *const creators[] = {ap_h5_create, ap_h5_create_large};

static const float floats[6] = {1, -2.5f, 3, 0, 1e-30f, 7};
static const int64_t shape_2_3[2] = {2, 3};

/* A small result with a bit of everything. */
static ap_status write_sample(creator *create, const char *path, ap_error *e) {
    ap_h5_writer *writer;
    const char *const words[] = {"one", "", "drei\xc3\xa4"};
    const int64_t five = 5;
    AP_TRY(create(path, "result", &writer, e));
    hid_t file = ap_h5_writer_file(writer);
    ap_status status = ap_h5_write(file, "/evaluations/loss", AP_F32, 2, shape_2_3, floats, "s", e);
    if (!status) status = ap_h5_write(file, "/steps", AP_I64, 0, NULL, &five, NULL, e);
    if (!status) status = ap_h5_write_text(file, "/words", 3, words, e);
    if (!status) status = ap_h5_set_text(file, "/", "workload", "mnist", e);
    if (!status) status = ap_h5_set_i64(file, "/evaluations", "count", INT64_MIN, e);
    if (!status) status = ap_h5_set_f64(file, "/evaluations/loss", "scale", 0.1, e);
    if (!status) return ap_h5_commit(writer, e);
    ap_h5_abandon(writer);
    return status;
}

/* ---- round trips */

static void check_sample(const char *path) {
    hid_t file;
    void *data;
    char *text, **texts;
    int rank;
    int64_t n, shape[AP_H5_MAX_RANK], i;
    double d;
    OK(ap_h5_open_sealed(path, "result", true, &file, &error));
    OK(ap_h5_shape(file, "/evaluations/loss", &rank, shape, &error));
    CHECK(rank == 2 && shape[0] == 2 && shape[1] == 3);
    OK(ap_h5_read(file, "/evaluations/loss", AP_F32, 6, LIMIT, &data, &n, &error));
    CHECK(n == 6 && memcmp(data, floats, sizeof floats) == 0);
    free(data);
    OK(ap_h5_read(file, "steps", AP_I64, 1, 8, &data, &n, &error));
    CHECK(n == 1 && *(int64_t *)data == 5);
    free(data);
    OK(ap_h5_read_text(file, "/words", &n, &texts, &error));
    CHECK(n == 3 && !strcmp(texts[0], "one") && !strcmp(texts[1], "") && !strcmp(texts[2], "drei\xc3\xa4"));
    ap_h5_free_text(n, texts);
    OK(ap_h5_get_text(file, "/", "workload", &text, &error));
    CHECK(strcmp(text, "mnist") == 0);
    free(text);
    OK(ap_h5_get_text(file, "/evaluations/loss", "unit", &text, &error));
    CHECK(strcmp(text, "s") == 0);
    free(text);
    OK(ap_h5_get_i64(file, "/evaluations", "count", &i, &error));
    CHECK(i == INT64_MIN);
    OK(ap_h5_get_f64(file, "/evaluations/loss", "scale", &d, &error));
    CHECK(d == 0.1);
    ap_h5_close(file);
}

static void test_round_trip(void) {
    start();
    for (int k = 0; k < 2; k++) {
        OK(write_sample(creators[k], in_folder("a.h5"), &error));
        CHECK_INT(entries(folder), 1);
        check_sample(in_folder("a.h5"));
    }
}

static void test_every_type_and_rank(void) {
    start();
    const ap_dtype types[] = {AP_F32, AP_F64, AP_I64, AP_I32, AP_U8, AP_U64, AP_I16};
    const size_t sizes[] = {4, 8, 8, 4, 1, 8};
    const char *const names[] = {"float32", "float64", "int64", "int32", "uint8", "uint64"};
    const int64_t shape[AP_H5_MAX_RANK] = {1, 2, 1, 3, 1, 2, 1, 2};
    unsigned char bytes[24 * 8];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 5 % 127);
    ap_h5_writer *writer;
    OK(ap_h5_create(in_folder("a.h5"), "data", &writer, &error));
    for (int t = 0; t < 6; t++) {
        CHECK_INT(ap_dtype_size(types[t]), sizes[t]);
        CHECK(strcmp(ap_dtype_name(types[t]), names[t]) == 0);
        for (int rank = 0; rank <= AP_H5_MAX_RANK; rank++) {
            char name[32];
            snprintf(name, sizeof name, "/%s/%d", names[t], rank);
            OK(ap_h5_write(ap_h5_writer_file(writer), name, types[t], rank, shape, bytes, NULL, &error));
        }
    }
    OK(ap_h5_commit(writer, &error));
    hid_t file;
    OK(ap_h5_open_sealed(in_folder("a.h5"), "data", true, &file, &error));
    for (int t = 0; t < 6; t++) {
        int64_t n = 1, got;
        for (int rank = 0; rank <= AP_H5_MAX_RANK; rank++) {
            char name[32];
            void *data;
            if (rank > 0) n *= shape[rank - 1];
            snprintf(name, sizeof name, "/%s/%d", names[t], rank);
            OK(ap_h5_read(file, name, types[t], n, LIMIT, &data, &got, &error));
            CHECK(memcmp(data, bytes, (size_t)n * sizes[t]) == 0);
            free(data);
        }
    }
    ap_h5_close(file);
}

static void test_nothing_at_all_can_be_stored(void) {
    start();
    ap_h5_writer *writer;
    const int64_t none[2] = {0, 5};
    hid_t file;
    void *data;
    char **text;
    int64_t n, offset;
    OK(ap_h5_create(in_folder("a.h5"), "data", &writer, &error));
    OK(ap_h5_write(ap_h5_writer_file(writer), "/x", AP_F32, 2, none, NULL, NULL, &error));
    OK(ap_h5_write_text(ap_h5_writer_file(writer), "/t", 0, NULL, &error));
    OK(ap_h5_set_text(ap_h5_writer_file(writer), "/x", "empty", "", &error));
    OK(ap_h5_commit(writer, &error));
    OK(ap_h5_open_sealed(in_folder("a.h5"), "data", true, &file, &error));
    OK(ap_h5_read(file, "/x", AP_F32, 0, 0, &data, &n, &error));
    free(data);
    OK(ap_h5_read_text(file, "/t", &n, &text, &error));
    CHECK_INT(n, 0);
    ap_h5_free_text(n, text);
    OK(ap_h5_offset(file, "/x", AP_F32, &offset, &error));
    CHECK_INT(offset, 0);
    char *empty;
    OK(ap_h5_get_text(file, "/x", "empty", &empty, &error));
    CHECK(*empty == '\0');
    free(empty);
    ap_h5_close(file);
}

static void test_attribute_is_replaced_and_may_be_long(void) {
    start();
    ap_h5_writer *writer;
    hid_t file;
    char *text, *longer = malloc(200001);
    memset(longer, 'j', 200000);
    longer[200000] = '\0';
    OK(ap_h5_create(in_folder("a.h5"), "data", &writer, &error));
    OK(ap_h5_set_text(ap_h5_writer_file(writer), "/", "job", "short", &error));
    OK(ap_h5_set_text(ap_h5_writer_file(writer), "/", "job", longer, &error));
    OK(ap_h5_commit(writer, &error));
    OK(ap_h5_open_sealed(in_folder("a.h5"), "data", true, &file, &error));
    OK(ap_h5_get_text(file, "/", "job", &text, &error));
    CHECK(strcmp(text, longer) == 0);
    free(text);
    free(longer);
    ap_h5_close(file);
}

static void test_equal_content_makes_equal_files(void) {
    start();
    char *a, *b;
    size_t n, m;
    for (int k = 0; k < 2; k++) {
        OK(write_sample(creators[k], in_folder("a.h5"), &error));
        OK(write_sample(creators[k], in_folder("b.h5"), &error));
        OK(ap_read_file(in_folder("a.h5"), LIMIT, &a, &n, &error));
        OK(ap_read_file(in_folder("b.h5"), LIMIT, &b, &m, &error));
        CHECK(n == m && memcmp(a, b, n) == 0);
        free(a);
        free(b);
    }
}

static void test_abandoned_file_leaves_nothing(void) {
    start();
    for (int k = 0; k < 2; k++) {
        ap_h5_writer *writer;
        OK(creators[k](in_folder("a.h5"), "result", &writer, &error));
        OK(ap_h5_write(ap_h5_writer_file(writer), "/x", AP_F32, 2, shape_2_3, floats, NULL, &error));
        ap_h5_abandon(writer);
        CHECK_INT(entries(folder), 0);
    }
    ap_h5_abandon(NULL);
}

static void test_what_the_caller_left_open_is_closed(void) {
    start();
    for (int k = 0; k < 2; k++) {
        ap_h5_writer *writer;
        OK(creators[k](in_folder("a.h5"), "result", &writer, &error));
        CHECK(H5Gcreate2(ap_h5_writer_file(writer), "/g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) >= 0);
        OK(ap_h5_make_group(ap_h5_writer_file(writer), "/g", &error)); /* there already: fine */
        OK(ap_h5_make_group(ap_h5_writer_file(writer), "/h/i", &error));
        OK(ap_h5_commit(writer, &error));
        OK(ap_h5_check_seal(in_folder("a.h5"), "result", NULL, &error));
        CHECK_INT(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    }
}

/* ---- the seal */

static void test_seal_is_what_the_header_says(void) {
    start();
    char *bytes, want[512] = "", hex[AP_DIGEST_TEXT];
    size_t n;
    ap_digest found;
    OK(write_sample(ap_h5_create, in_folder("a.h5"), &error));
    OK(ap_read_file(in_folder("a.h5"), LIMIT, &bytes, &n, &error));
    ap_digest digest = ap_digest_of(bytes + 512, n - 512);
    ap_digest_text(digest, hex);
    snprintf(want, sizeof want, "algoperf-sealed 1\nkind=result\nbytes=%zu\nxxh3_128=%s\n", n, hex);
    CHECK(memcmp(bytes, want, 512) == 0);
    CHECK(memcmp(bytes + 512, "\x89HDF\r\n\x1a\n", 8) == 0);
    OK(ap_h5_check_seal(in_folder("a.h5"), "result", &found, &error));
    CHECK(ap_digest_equal(found, digest));
    free(bytes);
}

static void check_damaged(const char *bytes, size_t n, const char *part) {
    hid_t file;
    const char *path = in_folder("damaged.h5");
    FILE *out = fopen(path, "w");
    CHECK(fwrite(bytes, 1, n, out) == n);
    fclose(out);
    REFUSED(ap_h5_open_sealed(path, "result", true, &file, &error), AP_DATA, part);
    CHECK_TEXT(error.text, path);
}

static void test_a_flipped_bit_anywhere_is_refused(void) {
    start();
    char *bytes;
    size_t n;
    OK(write_sample(ap_h5_create, in_folder("a.h5"), &error));
    OK(ap_read_file(in_folder("a.h5"), LIMIT, &bytes, &n, &error));
    int fd = open(in_folder("a.h5"), O_RDWR);
    for (size_t i = 0; i < n; i += i < 512 ? 1 : 7) {
        char flipped = (char)(bytes[i] ^ 1 << i % 8);
        CHECK(pwrite(fd, &flipped, 1, (off_t)i) == 1);
        if (ap_h5_check_seal(in_folder("a.h5"), "result", NULL, &error) != AP_DATA) {
            printf("flipped bit in byte %zu of %zu was not noticed\n", i, n);
            ap_check_failures++;
        }
        CHECK(pwrite(fd, bytes + i, 1, (off_t)i) == 1);
    }
    close(fd);
    OK(ap_h5_check_seal(in_folder("a.h5"), "result", NULL, &error));
    free(bytes);
}

static void test_any_other_length_is_refused(void) {
    start();
    char *bytes;
    size_t n;
    OK(write_sample(ap_h5_create, in_folder("a.h5"), &error));
    OK(ap_read_file(in_folder("a.h5"), LIMIT, &bytes, &n, &error));
    check_damaged(bytes, 0, "only 0 bytes");
    check_damaged(bytes, 1, "only 1 bytes");
    check_damaged(bytes, 511, "only 511 bytes");
    check_damaged(bytes, 512, "only 512 bytes");
    for (size_t length = 513; length < n; length += 61) check_damaged(bytes, length, "it was cut off or added to");
    check_damaged(bytes, n - 1, "it was cut off or added to");
    check_damaged(bytes, n + 1, "it was cut off or added to"); /* with the NUL that ap_read_file adds */
    free(bytes);
}

static void test_other_kinds_and_versions_are_refused(void) {
    start();
    char *bytes;
    size_t n;
    hid_t file;
    const char *path = in_folder("a.h5");
    OK(write_sample(ap_h5_create, path, &error));
    REFUSED(ap_h5_open_sealed(path, "checkpoint", true, &file, &error), AP_DATA,
            "is a result file, a checkpoint file is needed");
    OK(ap_read_file(path, LIMIT, &bytes, &n, &error));
    bytes[16] = '2';
    check_damaged(bytes, n, "seal version \"2");
    memcpy(bytes, "whatever", 8);
    check_damaged(bytes, n, "is not a file of algoperf's");
    check_damaged(bytes + 512, n - 512, "is not a file of algoperf's"); /* a plain HDF5 file */
    free(bytes);
    REFUSED(ap_h5_open_sealed(in_folder("none.h5"), "result", true, &file, &error), AP_IO, "No such file");
    REFUSED(ap_h5_open_sealed(folder, "result", true, &file, &error), AP_DATA, "not a regular file");
    REFUSED(ap_h5_open(folder, &file, &error), AP_DATA, "not a regular file");
    REFUSED(ap_h5_open(in_folder("none.h5"), &file, &error), AP_IO, "No such file");
    ap_h5_writer *writer;
    REFUSED(ap_h5_create(path, "Bad kind", &writer, &error), AP_BUG, "Bad kind");
}

static void test_digest_is_skipped_only_when_asked(void) {
    start();
    hid_t file;
    const char *path = in_folder("a.h5");
    OK(write_sample(ap_h5_create, path, &error));
    int fd = open(path, O_RDWR);
    off_t end = lseek(fd, 0, SEEK_END);
    char last = 0;
    CHECK(pread(fd, &last, 1, end - 1) == 1);
    last ^= 1;
    CHECK(pwrite(fd, &last, 1, end - 1) == 1);
    close(fd);
    REFUSED(ap_h5_open_sealed(path, "result", true, &file, &error), AP_DATA, "is damaged: its digest is");
    OK(ap_h5_open_sealed(path, "result", false, &file, &error));
    ap_h5_close(file);
}

static void test_plain_text_is_no_hdf5_file(void) {
    start();
    hid_t file;
    FILE *out = fopen(in_folder("a.h5"), "w");
    fputs("not HDF5", out);
    fclose(out);
    REFUSED(ap_h5_open(in_folder("a.h5"), &file, &error), AP_DATA, "HDF5 cannot open it: ");
}

/* ---- reading what others wrote */

/* A plain HDF5 file that `fill` puts something into, opened for reading. */
static hid_t others_file(void (*fill)(hid_t file)) {
    start();
    hid_t file = H5Fcreate(in_folder("other.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    fill(file);
    H5Fclose(file);
    CHECK_INT(ap_h5_open(in_folder("other.h5"), &file, &error), AP_OK);
    return file;
}

static void put_numbers(hid_t file, const char *name, hid_t type, int rank, const hsize_t *shape, hid_t creation,
                        hid_t memory, const void *data) {
    hid_t space = rank ? H5Screate_simple(rank, shape, NULL) : H5Screate(H5S_SCALAR);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    CHECK(set >= 0);
    if (data) CHECK(H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static void fill_types(hid_t file) {
    const short shorts[3] = {-1, 0, 300};
    const double doubles[3] = {0.5, -1, 1e30};
    const signed char switches[2] = {1, 0};
    hsize_t three = 3, two = 2;
    hid_t boolean = H5Tenum_create(H5T_STD_I8LE), big = H5Tcopy(H5T_STD_I16BE), gzip = H5Pcreate(H5P_DATASET_CREATE);
    signed char value = 0;
    H5Tenum_insert(boolean, "FALSE", &value);
    value = 1;
    H5Tenum_insert(boolean, "TRUE", &value);
    H5Pset_chunk(gzip, 1, &two);
    H5Pset_shuffle(gzip);
    put_numbers(file, "shorts", big, 1, &three, H5P_DEFAULT, H5T_NATIVE_SHORT, shorts);
    put_numbers(file, "chunked", H5T_IEEE_F64LE, 1, &three, gzip, H5T_NATIVE_DOUBLE, doubles);
    put_numbers(file, "doubles", H5T_IEEE_F64BE, 1, &three, H5P_DEFAULT, H5T_NATIVE_DOUBLE, doubles);
    put_numbers(file, "switches", boolean, 1, &two, H5P_DEFAULT, boolean, switches);
    H5Tclose(boolean);
    H5Tclose(big);
    H5Pclose(gzip);
}

static void check_read(hid_t file, const char *name, ap_dtype type, int64_t n, const void *want) {
    void *data;
    int64_t got;
    OK(ap_h5_read(file, name, type, n, LIMIT, &data, &got, &error));
    CHECK(memcmp(data, want, (size_t)n * ap_dtype_size(type)) == 0);
    free(data);
}

static void test_conversions(void) {
    hid_t file = others_file(fill_types);
    check_read(file, "shorts", AP_I64, 3, (int64_t[]){-1, 0, 300});
    check_read(file, "shorts", AP_I32, 3, (int32_t[]){-1, 0, 300});
    check_read(file, "shorts", AP_F32, 3, (float[]){-1, 0, 300});
    check_read(file, "doubles", AP_F64, 3, (double[]){0.5, -1, 1e30});
    check_read(file, "doubles", AP_F32, 3, (float[]){0.5f, -1, 1e30f});
    check_read(file, "chunked", AP_F32, 3, (float[]){0.5f, -1, 1e30f});
    check_read(file, "switches", AP_U8, 2, (uint8_t[]){1, 0});
    check_read(file, "switches", AP_I64, 2, (int64_t[]){1, 0});
    ap_h5_close(file);
}

static void test_refused_conversions_and_sizes(void) {
    hid_t file = others_file(fill_types);
    void *data;
    int64_t n, offset;
    char **text;
    REFUSED(ap_h5_read(file, "doubles", AP_I64, 3, LIMIT, &data, &n, &error), AP_DATA, "holds floating-point numbers");
    REFUSED(ap_h5_read(file, "doubles", AP_F32, 4, LIMIT, &data, &n, &error), AP_DATA, "has 3 elements, 4 are needed");
    REFUSED(ap_h5_read(file, "doubles", AP_F32, 3, 11, &data, &n, &error), AP_DATA, "more than the 11 bytes allowed");
    REFUSED(ap_h5_read(file, "none", AP_F32, 3, LIMIT, &data, &n, &error), AP_DATA, "none: is not there");
    REFUSED(ap_h5_read(file, "/", AP_F32, 3, LIMIT, &data, &n, &error), AP_DATA, "is not a data set");
    REFUSED(ap_h5_read(file, "doubles/x", AP_F32, 3, LIMIT, &data, &n, &error), AP_DATA, "is not there");
    REFUSED(ap_h5_read(file, "", AP_F32, 3, LIMIT, &data, &n, &error), AP_DATA, "is not there");
    REFUSED(ap_h5_read_text(file, "doubles", &n, &text, &error), AP_DATA, "does not hold text");
    REFUSED(ap_h5_offset(file, "doubles", AP_F64, &offset, &error), AP_DATA, "not stored as little-endian float64");
    REFUSED(ap_h5_offset(file, "chunked", AP_F64, &offset, &error), AP_DATA, "contiguous");
    REFUSED(ap_h5_list(file, "doubles", &n, &text, &error), AP_DATA, "is not a group");
    CHECK_TEXT(error.text, "other.h5");
    ap_h5_close(file);
}

static void fill_links(hid_t file) {
    hsize_t three = 3;
    hid_t outside = H5Pcreate(H5P_DATASET_CREATE), virtual = H5Pcreate(H5P_DATASET_CREATE);
    put_numbers(file, "real", H5T_STD_I64LE, 1, &three, H5P_DEFAULT, H5T_NATIVE_LLONG, (int64_t[]){1, 2, 3});
    H5Lcreate_soft("/real", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("other.h5", "/", file, "external", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/", file, "group", H5P_DEFAULT, H5P_DEFAULT);
    H5Pset_external(outside, "/etc/passwd", 0, 24);
    put_numbers(file, "stored_outside", H5T_STD_I64LE, 1, &three, outside, -1, NULL);
    hid_t space = H5Screate_simple(1, &three, NULL);
    H5Pset_virtual(virtual, space, "elsewhere.h5", "/x", space);
    put_numbers(file, "virtual", H5T_STD_I64LE, 1, &three, virtual, -1, NULL);
    H5Sclose(space);
    H5Pclose(outside);
    H5Pclose(virtual);
}

static void test_nothing_leads_out_of_the_file(void) {
    hid_t file = others_file(fill_links);
    void *data;
    char **names;
    int rank;
    int64_t n, shape[AP_H5_MAX_RANK], offset;
    const char *const linked[] = {"soft", "external", "group/real", "external/real", "/external//real"};
    for (size_t i = 0; i < sizeof linked / sizeof *linked; i++) {
        REFUSED(ap_h5_read(file, linked[i], AP_I64, 3, LIMIT, &data, &n, &error), AP_DATA, "only hard links");
        REFUSED(ap_h5_shape(file, linked[i], &rank, shape, &error), AP_DATA, "only hard links");
        CHECK(!ap_h5_exists(file, linked[i]));
    }
    const char *const elsewhere[] = {"stored_outside", "virtual"};
    for (size_t i = 0; i < 2; i++) {
        REFUSED(ap_h5_read(file, elsewhere[i], AP_I64, 3, LIMIT, &data, &n, &error), AP_DATA, "in another file");
        REFUSED(ap_h5_shape(file, elsewhere[i], &rank, shape, &error), AP_DATA, "in another file");
        REFUSED(ap_h5_offset(file, elsewhere[i], AP_I64, &offset, &error), AP_DATA, "in another file");
    }
    OK(ap_h5_list(file, "/", &n, &names, &error));
    CHECK_INT(n, 3);
    CHECK(!strcmp(names[0], "real") && !strcmp(names[1], "stored_outside") && !strcmp(names[2], "virtual"));
    ap_h5_free_text(n, names);
    ap_h5_close(file);
}

static void fill_huge(hid_t file) {
    const hsize_t huge[3] = {(hsize_t)1 << 40, (hsize_t)1 << 22, 1}, deep[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                  large[3] = {(hsize_t)1 << 50, 1, 1}, wide[3] = {1, (hsize_t)1 << 14, (hsize_t)1 << 14};
    hid_t chunked = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t unlimited[3] = {H5S_UNLIMITED, H5S_UNLIMITED, H5S_UNLIMITED};
    H5Pset_chunk(chunked, 3, (const hsize_t[]){1, 1, 1});
    put_numbers(file, "huge", H5T_STD_U8LE, 3, huge, chunked, -1, NULL);
    put_numbers(file, "large", H5T_STD_U8LE, 3, large, chunked, -1, NULL);
    put_numbers(file, "deep", H5T_STD_U8LE, 10, deep, H5P_DEFAULT, -1, NULL);
    H5Pset_chunk(chunked, 3, wide);
    hid_t space = H5Screate_simple(3, (const hsize_t[]){1, 1, 1}, unlimited);
    H5Dclose(H5Dcreate2(file, "one_of_a_huge_chunk", H5T_IEEE_F64LE, space, H5P_DEFAULT, chunked, H5P_DEFAULT));
    H5Sclose(space);
    hid_t null = H5Screate(H5S_NULL);
    H5Dclose(H5Dcreate2(file, "null", H5T_IEEE_F64LE, null, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(null);
    H5Pclose(chunked);
}

static void test_stated_sizes_are_checked_before_memory_is_taken(void) {
    hid_t file = others_file(fill_huge);
    void *data;
    int rank;
    int64_t n, shape[AP_H5_MAX_RANK];
    REFUSED(ap_h5_read(file, "large", AP_U8, -1, LIMIT, &data, &n, &error), AP_DATA, "bytes allowed here");
    REFUSED(ap_h5_read(file, "huge", AP_F64, -1, SIZE_MAX, &data, &n, &error), AP_DATA, "bytes allowed here");
    REFUSED(ap_h5_shape(file, "deep", &rank, shape, &error), AP_DATA, "has rank 10");
    REFUSED(ap_h5_read(file, "one_of_a_huge_chunk", AP_F64, 1, LIMIT, &data, &n, &error), AP_DATA, "chunks of");
    REFUSED(ap_h5_shape(file, "null", &rank, shape, &error), AP_DATA, "no shape");
    ap_h5_close(file);
}

static void fill_texts(hid_t file) {
    const char *const list[2] = {"variable", "length"};
    const char spaces[8] = "pad     ";
    hsize_t two = 2;
    hid_t variable = H5Tcopy(H5T_C_S1), fixed = H5Tcopy(H5T_C_S1), fortran = H5Tcopy(H5T_FORTRAN_S1);
    H5Tset_size(variable, H5T_VARIABLE);
    H5Tset_size(fixed, 4);
    H5Tset_size(fortran, 8);
    put_numbers(file, "variable", variable, 1, &two, H5P_DEFAULT, variable, list);
    put_numbers(file, "never_written", variable, 1, &two, H5P_DEFAULT, variable, NULL);
    put_numbers(file, "fixed", fixed, 1, &two, H5P_DEFAULT, fixed, "abcdef\0\0");
    put_numbers(file, "fortran", fortran, 0, NULL, H5P_DEFAULT, fortran, spaces);
    hid_t scalar = H5Screate(H5S_SCALAR), pair = H5Screate_simple(1, &two, NULL);
    hid_t a = H5Acreate2(file, "fixed", fixed, scalar, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, fixed, "wxyz");
    H5Aclose(a);
    a = H5Acreate2(file, "pair", variable, pair, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, variable, list);
    H5Aclose(a);
    a = H5Acreate2(file, "half", H5T_IEEE_F32BE, scalar, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_FLOAT, &(float){0.5f});
    H5Aclose(a);
    a = H5Acreate2(file, "small", H5T_STD_U8LE, scalar, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_UCHAR, &(unsigned char){200});
    H5Aclose(a);
    H5Sclose(scalar);
    H5Sclose(pair);
    H5Tclose(variable);
    H5Tclose(fixed);
    H5Tclose(fortran);
}

static void check_texts(hid_t file, const char *name, int64_t n, const char *const *want) {
    int64_t got;
    char **text;
    OK(ap_h5_read_text(file, name, &got, &text, &error));
    CHECK_INT(got, n);
    for (int64_t i = 0; i < n && i < got; i++) CHECK(strcmp(text[i], want[i]) == 0);
    ap_h5_free_text(got, text);
}

static void test_texts_of_every_make(void) {
    hid_t file = others_file(fill_texts);
    check_texts(file, "variable", 2, (const char *const[]){"variable", "length"});
    check_texts(file, "never_written", 2, (const char *const[]){"", ""});
    check_texts(file, "fixed", 2, (const char *const[]){"abcd", "ef"}); /* not closed by a NUL */
    check_texts(file, "fortran", 1, (const char *const[]){"pad"});
    ap_h5_close(file);
}

static void test_attributes_of_every_make(void) {
    hid_t file = others_file(fill_texts);
    char *text;
    int64_t i;
    double d;
    OK(ap_h5_get_text(file, "/", "fixed", &text, &error));
    CHECK(strcmp(text, "wxyz") == 0);
    free(text);
    OK(ap_h5_get_f64(file, "/", "half", &d, &error));
    CHECK(d == 0.5);
    OK(ap_h5_get_i64(file, "/", "small", &i, &error));
    CHECK_INT(i, 200);
    OK(ap_h5_get_f64(file, "/", "small", &d, &error));
    CHECK(d == 200);
    CHECK(ap_h5_has_attribute(file, "/", "half") && !ap_h5_has_attribute(file, "/", "none"));
    CHECK(!ap_h5_has_attribute(file, "/none", "half"));
    REFUSED(ap_h5_get_i64(file, "/", "half", &i, &error), AP_DATA, "attribute half: holds floating-point numbers");
    REFUSED(ap_h5_get_text(file, "/", "half", &text, &error), AP_DATA, "attribute half: does not hold text");
    REFUSED(ap_h5_get_i64(file, "/", "fixed", &i, &error), AP_DATA, "attribute fixed: does not hold numbers");
    REFUSED(ap_h5_get_text(file, "/", "pair", &text, &error), AP_DATA, "attribute pair: is not a single value");
    REFUSED(ap_h5_get_text(file, "/", "none", &text, &error), AP_DATA, "attribute none: is not there");
    REFUSED(ap_h5_get_text(file, "/none", "half", &text, &error), AP_DATA, "/none: is not there");
    ap_h5_close(file);
}

static void test_data_set_digest_is_verified(void) {
    start();
    ap_h5_writer *writer;
    hid_t file;
    void *data;
    int64_t n;
    OK(ap_h5_create(in_folder("a.h5"), "data", &writer, &error));
    file = ap_h5_writer_file(writer);
    OK(ap_h5_write(file, "/x", AP_F32, 2, shape_2_3, floats, NULL, &error));
    hid_t set = H5Dopen2(file, "/x", H5P_DEFAULT);
    CHECK(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, (float[]){1, -2.5f, 3, 0, 1e-30f, 8}) >= 0);
    H5Dclose(set);
    OK(ap_h5_commit(writer, &error));
    OK(ap_h5_open_sealed(in_folder("a.h5"), "data", true, &file, &error));
    REFUSED(ap_h5_read(file, "/x", AP_F32, 6, LIMIT, &data, &n, &error), AP_DATA, "/x: is damaged");
    REFUSED(ap_h5_read(file, "/x", AP_F64, 6, LIMIT, &data, &n, &error), AP_DATA, "/x: is damaged");
    ap_h5_close(file);
}

static void test_offset_is_where_the_bytes_are(void) {
    start();
    for (int k = 0; k < 2; k++) {
        hid_t file;
        int64_t offset = 0;
        float back[6];
        OK(write_sample(creators[k], in_folder("a.h5"), &error));
        OK(ap_h5_open_sealed(in_folder("a.h5"), "result", true, &file, &error));
        OK(ap_h5_offset(file, "/evaluations/loss", AP_F32, &offset, &error));
        ap_h5_close(file);
        int fd = open(in_folder("a.h5"), O_RDONLY);
        CHECK(pread(fd, back, sizeof back, offset) == sizeof back && memcmp(back, floats, sizeof back) == 0);
        close(fd);
    }
}

/* A golden file written by h5py. The numbers of the root attributes are facts about the file's own data sets. */
static void test_reads_a_file_of_h5py(void) {
    hid_t file;
    char *text, **names;
    int64_t count, n, total = 0, size;
    double worst;
    OK(ap_h5_open(AP_TEST_FIXTURES "/mnist.h5", &file, &error));
    OK(ap_h5_get_text(file, "/", "workload", &text, &error));
    CHECK(strcmp(text, "mnist") == 0);
    free(text);
    OK(ap_h5_get_text(file, "/", "config", &text, &error));
    CHECK_TEXT(text, "\"hidden\": 16");
    free(text);
    OK(ap_h5_get_i64(file, "/", "tiny_param_count", &count, &error));
    OK(ap_h5_get_f64(file, "/", "f32_vs_f64_worst_grad_rel_err", &worst, &error));
    CHECK(worst > 0 && worst < 1e-5);
    OK(ap_h5_list(file, "/params", &n, &names, &error));
    for (int64_t i = 0; i < n; i++) {
        char name[300];
        void *data;
        snprintf(name, sizeof name, "/params/%s", names[i]);
        OK(ap_h5_read(file, name, AP_F32, -1, 1 << 24, &data, &size, &error));
        free(data);
        total += size;
    }
    ap_h5_free_text(n, names);
    CHECK_INT(total, count);
    ap_h5_close(file);
}

/* h5py must read what we write, without our code. Not checked where there is no h5py. */
static void test_h5py_reads_ours(void) {
    static const char script[] = "import h5py, sys\n"
                                 "f = h5py.File(sys.argv[1], 'r')\n"
                                 "assert f.userblock_size == 512\n"
                                 "assert f['evaluations/loss'][()].tolist()[0] == [1.0, -2.5, 3.0]\n"
                                 "assert f['evaluations/loss'].attrs['unit'] == 's'\n"
                                 "assert f.attrs['workload'] == 'mnist'\n"
                                 "assert f['evaluations'].attrs['count'] == -2**63\n"
                                 "assert f['steps'][()] == 5\n"
                                 "assert f['words'].asstr()[()].tolist() == ['one', '', 'drei\\u00e4']\n"
                                 "print('h5py is content')\n";
    static const char *const pythons[] = {"/usr/bin/env python3", "/usr/bin/python3"};
    start();
    FILE *out = fopen(in_folder("read.py"), "w");
    fputs(script, out);
    fclose(out);
    for (int p = 0; p < 2; p++) {
        char command[2 * AP_PATH], answer[100] = "";
        snprintf(command, sizeof command, "LD_PRELOAD= %s -c 'import h5py' 2>&1", pythons[p]);
        FILE *pipe = popen(command, "r");
        while (fgets(answer, sizeof answer, pipe)) {
        }
        if (pclose(pipe) != 0) continue;
        for (int k = 0; k < 2; k++) {
            OK(write_sample(creators[k], in_folder("a.h5"), &error));
            snprintf(command, sizeof command, "LD_PRELOAD= %s %s %s 2>&1", pythons[p], in_folder("read.py"),
                     in_folder("a.h5"));
            pipe = popen(command, "r");
            while (fgets(answer, sizeof answer, pipe)) {
            }
            CHECK_INT(pclose(pipe), 0);
            CHECK_TEXT(answer, "h5py is content");
        }
        return;
    }
    printf("no h5py here: reading by it was not checked\n");
}

/* ---- full disks */

/* Writes a file of about `megabytes` with `groups` groups where there is no room for it; the old file must stay, no
 * temp file may be there, and afterwards, with room, the same process must be able to write (or say why not). */
static ap_status write_big(creator *create, const char *path, int groups, bool big_data) {
    static float data[1 << 19];
    const int64_t shape = 1 << 19;
    ap_h5_writer *writer;
    AP_TRY(create(path, "data", &writer, &error));
    hid_t file = ap_h5_writer_file(writer);
    ap_status status = AP_OK;
    for (int i = 0; !status && i < groups; i++) {
        char name[32];
        snprintf(name, sizeof name, "/g%d", i);
        status = ap_h5_make_group(file, name, &error);
    }
    if (!status && big_data) status = ap_h5_write(file, "/x", AP_F32, 1, &shape, data, NULL, &error);
    if (!status) return ap_h5_commit(writer, &error);
    ap_h5_abandon(writer);
    return status;
}

/* Runs in a child process, which must end by exit() with this code: a crash at exit would show. */
static void disk_full(creator *create, const char *where, int groups, bool big_data) {
    char path[AP_PATH];
    snprintf(path, sizeof path, "%s/a.h5", where);
    FILE *old = fopen(path, "w");
    fputs("old", old);
    fclose(old);
    if (write_big(create, path, groups, big_data) != AP_IO) exit(10);
    char *text;
    size_t n;
    if (ap_read_file(path, 10, &text, &n, NULL) != AP_OK || strcmp(text, "old") != 0) exit(11);
    free(text);
    if (entries(where) != 1) exit(12);
    exit(0);
}

static void check_child(pid_t child, const char *what) {
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    printf("%s: the child %s %d\n", what, WIFSIGNALED(status) ? "was killed by signal" : "ended with",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    ap_check_failures++;
}

static void test_file_size_limit(void) {
    for (int k = 0; k < 2; k++)
        for (int groups = 0; groups <= 500; groups += 500) {
            start();
            fflush(stdout);
            pid_t child = fork();
            if (child == 0) {
                signal(SIGXFSZ, SIG_IGN);
                setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, 100000});
                disk_full(creators[k], folder, groups, groups == 0);
            }
            check_child(child, k ? "large, size limit" : "in memory, size limit");
        }
}

static void test_full_disk(void) {
    for (int k = 0; k < 2; k++)
        for (int groups = 0; groups <= 5000; groups += 5000) {
            start();
            fflush(stdout);
            pid_t child = fork();
            if (child == 0) {
                if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
                    mount("tmpfs", folder, "tmpfs", 0, "size=1m")) {
                    printf("no mount allowed here: a full disk was not tried\n");
                    fflush(stdout);
                    _exit(0);
                }
                disk_full(creators[k], folder, groups, groups == 0);
            }
            check_child(child, k ? "large, full disk" : "in memory, full disk");
        }
}

/* After a data set did not fit, the same process goes on: room was given back, the file was closed, the next one works.
 */
static void test_the_process_goes_on_after_a_full_disk(void) {
    for (int k = 0; k < 2; k++) {
        start();
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
                mount("tmpfs", folder, "tmpfs", 0, "size=1m"))
                _exit(0);
            if (write_big(creators[k], in_folder("big.h5"), 1, true) != AP_IO) exit(20);
            if (write_sample(creators[k], in_folder("small.h5"), NULL) != AP_OK) exit(21);
            if (ap_h5_check_seal(in_folder("small.h5"), "result", NULL, NULL) != AP_OK) exit(22);
            exit(entries(folder) == 1 ? 0 : 23);
        }
        check_child(child, k ? "large, going on" : "in memory, going on");
    }
}

static void test_missing_folder_is_named(void) {
    start();
    for (int k = 0; k < 2; k++) {
        REFUSED(write_sample(creators[k], in_folder("none/a.h5"), &error), AP_IO, "none/");
        CHECK_TEXT(error.text, "No such file or directory");
        CHECK_INT(entries(folder), 0);
    }
}

AP_TEST_MAIN(test_round_trip, test_every_type_and_rank, test_nothing_at_all_can_be_stored,
             test_attribute_is_replaced_and_may_be_long, test_equal_content_makes_equal_files,
             test_abandoned_file_leaves_nothing, test_what_the_caller_left_open_is_closed,
             test_seal_is_what_the_header_says, test_a_flipped_bit_anywhere_is_refused,
             test_any_other_length_is_refused, test_other_kinds_and_versions_are_refused,
             test_digest_is_skipped_only_when_asked, test_plain_text_is_no_hdf5_file, test_conversions,
             test_refused_conversions_and_sizes, test_nothing_leads_out_of_the_file,
             test_stated_sizes_are_checked_before_memory_is_taken, test_texts_of_every_make,
             test_attributes_of_every_make, test_data_set_digest_is_verified, test_offset_is_where_the_bytes_are,
             test_reads_a_file_of_h5py, test_h5py_reads_ours, test_missing_folder_is_named,
             test_the_process_goes_on_after_a_full_disk, test_file_size_limit, test_full_disk)
