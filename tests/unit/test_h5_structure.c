/* base/h5_structure: what base/h5 writes is plain, and nothing else is. */
#include "base/h5.h"
#include "base/h5_structure.h"
#include "base/seal.h"
#include "check.h"
#include "folder.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ap_error error;

static void must(ap_status status) {
    if (status == AP_OK) return;
    printf("the test cannot be set up: %s\n", error.text);
    exit(1);
}

/* A sealed file that `fill` makes, by the writer in memory or the one through a file. */
static ap_status opened(void (*fill)(hid_t file), bool large) {
    ap_h5_writer *writer;
    hid_t file;
    start();
    const char *path = in_folder("a.h5");
    must((large ? ap_h5_create_large : ap_h5_create)(path, "result", &writer, &error));
    fill(ap_h5_writer_file(writer));
    must(ap_h5_commit(writer, &error));
    error.text[0] = '\0';
    AP_TRY(ap_h5_open_sealed(path, "result", true, &file, &error));
    ap_h5_close(file);
    return AP_OK;
}

static void plain(void (*fill)(hid_t file)) {
    for (int large = 0; large < 2; large++) {
        CHECK_INT(opened(fill, large), AP_OK);
        if (*error.text) printf("%s\n", error.text);
    }
}

static void refused(void (*fill)(hid_t file), const char *says) {
    for (int large = 0; large < 2; large++) {
        CHECK_INT(opened(fill, large), AP_DATA);
        CHECK_TEXT(error.text, says);
        CHECK_TEXT(error.text, "a.h5");
    }
}

/* ---- plain */

static void nothing(hid_t file) {
    (void)file;
}

static void every_type(hid_t file) {
    static const ap_dtype types[] = {AP_F32, AP_F64, AP_I64, AP_I32, AP_U8, AP_U64, AP_I16};
    static const double zeros[6] = {0};
    const int64_t shape[] = {3, 0, 1, 1, 1, 1, 1, 1}, some[] = {1, 3, 1, 1, 1, 1, 1, 1};
    char name[64];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int rank = 0; rank <= 8; rank++) {
            snprintf(name, sizeof name, "/%zu/rank_%d", i, rank);
            must(ap_h5_write(file, name, types[i], rank, rank > 1 && i % 2 ? shape : some, zeros, "s", &error));
        }
}

/* More links than a node of a symbol table has, in several levels; many and long attributes; names of every kind. */
static void many_of_everything(hid_t file) {
    char name[400], *text = malloc(100001);
    const double one = 1;
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "/group/of_many/set_%d", i * 7919 % 2000);
        must(ap_h5_write(file, name, AP_F64, 0, NULL, &one, NULL, &error));
    }
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "attribute_%d", i);
        memset(text, 'x', (size_t)(i * i));
        text[i * i] = '\0';
        must(ap_h5_set_text(file, "/group", name, text, &error));
        must(ap_h5_set_i64(file, "/", name, i, &error));
        must(ap_h5_set_f64(file, "/", name, NAN, &error)); /* replaced: leaves room behind */
    }
    must(ap_h5_make_group(file, "/a/b/c/d/e/f/g/h/i/\xc3\xa4 with spaces", &error));
    const char *const words[] = {"", "one", "three"};
    must(ap_h5_write_text(file, "/words", 3, words, &error));
    must(ap_h5_write_text(file, "/none", 0, NULL, &error));
    free(text);
}

static void test_what_is_written_is_plain(void) {
    plain(nothing);
    plain(every_type);
    plain(many_of_everything);
}

/* ---- not plain */

static void put_set(hid_t file, hid_t type, hid_t space, hid_t creation) {
    H5Dclose(H5Dcreate2(file, "set", type, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Sclose(space);
}
static hid_t four(void) {
    return H5Screate_simple(1, (const hsize_t[]){4}, NULL);
}

static void soft_link(hid_t file) {
    H5Lcreate_soft("/nowhere", file, "link", H5P_DEFAULT, H5P_DEFAULT);
}
static void external_link(hid_t file) {
    H5Lcreate_external("/etc/passwd", "/", file, "link", H5P_DEFAULT, H5P_DEFAULT);
}
static void circle(hid_t file) {
    must(ap_h5_make_group(file, "/a", &error));
    H5Lcreate_hard(file, "/", file, "/a/root", H5P_DEFAULT, H5P_DEFAULT);
}
/* 2^20 ways to the innermost group, none of them round in a circle. */
static void braid(hid_t file) {
    char name[64], other[64];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "/%d", i);
        must(ap_h5_make_group(file, name, &error));
    }
    for (int i = 0; i < 19; i++)
        for (int way = 0; way < 2; way++) {
            snprintf(name, sizeof name, "/%d", i + 1);
            snprintf(other, sizeof other, "/%d/way_%d", i, way);
            H5Lcreate_hard(file, name, file, other, H5P_DEFAULT, H5P_DEFAULT);
        }
}
static void chunks(hid_t file) {
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 1, (const hsize_t[]){2});
    H5Pset_deflate(creation, 9);
    put_set(file, H5T_IEEE_F64LE, four(), creation);
    H5Pclose(creation);
}
static void compact(hid_t file) {
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(creation, H5D_COMPACT);
    put_set(file, H5T_IEEE_F64LE, four(), creation);
    H5Pclose(creation);
}
static void stored_elsewhere(hid_t file) {
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(creation, "/etc/passwd", 0, 32);
    put_set(file, H5T_IEEE_F64LE, four(), creation);
    H5Pclose(creation);
}
static void never_written(hid_t file) {
    put_set(file, H5T_IEEE_F64LE, H5Screate_simple(1, (const hsize_t[]){(hsize_t)1 << 40}, NULL), H5P_DEFAULT);
}
static void big_endian(hid_t file) {
    put_set(file, H5T_IEEE_F64BE, four(), H5P_DEFAULT);
}
static void named_type(hid_t file) {
    hid_t type = H5Tcopy(H5T_IEEE_F64LE);
    H5Tcommit2(file, "type", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Tclose(type);
}
static void compound(hid_t file) {
    hid_t type = H5Tcreate(H5T_COMPOUND, 16);
    H5Tinsert(type, "a", 0, H5T_IEEE_F64LE);
    H5Tinsert(type, "b", 8, H5T_IEEE_F64LE);
    put_set(file, type, four(), H5P_DEFAULT);
    H5Tclose(type);
}
static void fill_value(hid_t file) {
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_fill_value(creation, H5T_NATIVE_DOUBLE, &(double){7});
    put_set(file, H5T_IEEE_F64LE, four(), creation);
    H5Pclose(creation);
}
static void array_attribute(hid_t file) {
    hid_t space = four();
    H5Aclose(H5Acreate2(file, "many", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}
static void new_kind_of_group(hid_t file) {
    hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED);
    H5Gclose(H5Gcreate2(file, "ordered", H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Pclose(creation);
}
static void other_time(hid_t file) {
    put_set(file, H5T_IEEE_F64LE, four(), H5P_DEFAULT); /* with its time of change */
}

static void test_what_is_never_written(void) {
    refused(soft_link, "not hard");
    refused(external_link, "never written");
    refused(circle, "too deep");
    refused(braid, "round in circles");
    refused(chunks, "at byte");
    refused(compact, "not contiguous");
    refused(stored_elsewhere, "at byte");
    refused(never_written, "at byte");
    refused(big_endian, "unknown type");
    refused(named_type, "cut off or shared");
    refused(compound, "unknown type");
    refused(fill_value, "unknown fill value");
    refused(array_attribute, "no single value");
    refused(new_kind_of_group, "never written");
    refused(other_time, "never written");
}

/* ---- damage */

/* The check itself survives any byte: each is set to some others, and the file is cut off at each. */
static void test_any_byte(void) {
    static const uint8_t values[] = {0, 1, 0x7f, 0xff};
    start();
    const char *path = in_folder("a.h5"), *copy = in_folder("b.h5");
    ap_h5_writer *writer;
    char *bytes;
    size_t n;
    must(ap_h5_create(path, "result", &writer, &error));
    must(ap_h5_set_text(ap_h5_writer_file(writer), "/", "name", "value", &error));
    must(ap_h5_write(ap_h5_writer_file(writer), "/a/b", AP_U8, 1, &(int64_t){3}, "abc", NULL, &error));
    must(ap_h5_commit(writer, &error));
    must(ap_read_file(path, 1 << 20, &bytes, &n, &error));
    int fd = open(copy, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    int accepted = 0;
    for (size_t i = AP_SEAL_BYTES; i < n; i++)
        for (size_t v = 0; v < sizeof values; v++) {
            CHECK(pwrite(fd, &values[v], 1, (off_t)i) == 1);
            accepted += ap_h5_check_structure(fd, copy, AP_SEAL_BYTES, &error) == AP_OK;
            CHECK(pwrite(fd, &bytes[i], 1, (off_t)i) == 1);
        }
    CHECK(accepted > 0);
    CHECK_INT(ap_h5_check_structure(fd, copy, AP_SEAL_BYTES, &error), AP_OK);
    for (size_t end = n; end-- > 0;) {
        CHECK(ftruncate(fd, (off_t)end) == 0);
        CHECK_INT(ap_h5_check_structure(fd, copy, AP_SEAL_BYTES, &error), AP_DATA);
    }
    close(fd);
    free(bytes);
}

AP_TEST_MAIN(test_what_is_written_is_plain, test_what_is_never_written, test_any_byte)
