#include "data/idx.h"

#include "data_scratch.h"

#include <zlib.h>

/* A 2 x 3 file of unsigned bytes, from the format's description. */
static const uint8_t small[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 20, 30, 40, 50, 255};
enum { SMALL = sizeof small, SMALL_HEADER = 12 };

static const char *write_gz(const char *name, const void *bytes, size_t n) {
    const char *path = scratch(name);
    gzFile file = gzopen(path, "wb9");
    if (!file || gzwrite(file, bytes, (unsigned)n) != (int)n || gzclose(file) != Z_OK) exit(1);
    return path;
}

static void check_small(const char *path) {
    ap_idx idx;
    ap_error error = {0};
    CHECK_OK(ap_idx_read(path, &idx, &error));
    CHECK_INT(idx.rank, 2);
    CHECK_INT(idx.shape[0], 2);
    CHECK_INT(idx.shape[1], 3);
    CHECK_INT(idx.size, 6);
    CHECK(idx.data && memcmp(idx.data, small + SMALL_HEADER, 6) == 0);
    CHECK(ap_digest_equal(idx.digest, ap_digest_of(small, SMALL)));
    free(idx.data);
}

static void check_refused(const char *path, ap_status status, const char *text) {
    ap_idx idx;
    ap_error error = {0};
    CHECK_INT(ap_idx_read(path, &idx, &error), status);
    CHECK_INT(error.status, status);
    CHECK_TEXT(error.text, text);
    CHECK_TEXT(error.text, path);
    CHECK(idx.data == NULL);
}

static void test_plain_and_gzip_read_the_same(void) {
    check_small(scratch_write("plain", small, SMALL));
    check_small(write_gz("small.gz", small, SMALL));
}

static void test_more_than_one_block(void) {
    enum { N = 3000000 };
    uint8_t *bytes = malloc(N + 8);
    memcpy(bytes, (uint8_t[]){0, 0, 8, 1, N >> 24, (N >> 16) & 255, (N >> 8) & 255, N & 255}, 8);
    for (int i = 0; i < N; i++) bytes[8 + i] = (uint8_t)(i * 7 % 251);
    const char *paths[] = {scratch_write("large", bytes, N + 8), write_gz("large.gz", bytes, N + 8)};
    for (int i = 0; i < 2; i++) {
        ap_idx idx;
        ap_error error = {0};
        CHECK_OK(ap_idx_read(paths[i], &idx, &error));
        CHECK_INT(idx.size, N);
        CHECK(idx.data && memcmp(idx.data, bytes + 8, N) == 0);
        free(idx.data);
    }
    free(bytes);
}

static void test_no_elements(void) {
    ap_idx idx;
    ap_error error = {0};
    const uint8_t empty[] = {0, 0, 8, 1, 0, 0, 0, 0};
    CHECK_OK(ap_idx_read(scratch_write("empty", empty, sizeof empty), &idx, &error));
    CHECK_INT(idx.size, 0);
    free(idx.data);
}

static void test_wrong_magic(void) {
    uint8_t bytes[SMALL];
    memcpy(bytes, small, SMALL);
    bytes[1] = 1;
    check_refused(scratch_write("magic", bytes, SMALL), AP_DATA, "00 01 08 02");
    check_refused(scratch_write("nothing", "", 0), AP_DATA, "only 0 bytes");
}

static void test_wrong_type(void) {
    uint8_t bytes[SMALL];
    memcpy(bytes, small, SMALL);
    bytes[2] = 0x0d; /* float */
    check_refused(scratch_write("type", bytes, SMALL), AP_DATA, "type 0d");
}

static void test_wrong_rank(void) {
    uint8_t bytes[SMALL];
    memcpy(bytes, small, SMALL);
    bytes[3] = 5;
    check_refused(scratch_write("rank5", bytes, SMALL), AP_DATA, "rank 5");
    bytes[3] = 0;
    check_refused(scratch_write("rank0", bytes, SMALL), AP_DATA, "rank 0");
}

static void test_truncated_anywhere(void) {
    for (size_t n = 0; n < SMALL; n++) {
        ap_idx idx;
        ap_error error = {0};
        CHECK_INT(ap_idx_read(scratch_write("short", small, n), &idx, &error), AP_DATA);
    }
    check_refused(scratch_write("short", small, SMALL - 1), AP_DATA, "5 bytes of data");
}

static void test_bytes_left_over(void) {
    uint8_t bytes[SMALL + 1] = {0};
    memcpy(bytes, small, SMALL);
    check_refused(scratch_write("long", bytes, SMALL + 1), AP_DATA, "left over");
    check_refused(write_gz("long.gz", bytes, SMALL + 1), AP_DATA, "left over");
}

/* 2^31 - 1 announced in 12 bytes: refused for the bytes that are missing. More than 2^31, or an overflow of 64 bits:
 * refused from the header. */
static void test_absurd_extents(void) {
    const uint8_t big[] = {0, 0, 8, 1, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    check_refused(scratch_write("big", big, sizeof big), AP_DATA, "announces 2147483647");
    const uint8_t bigger[] = {0, 0, 8, 2, 0x80, 0, 0, 0, 0, 0, 0, 2};
    check_refused(scratch_write("bigger", bigger, sizeof bigger), AP_DATA, "2^31");
    uint8_t overflow[20];
    memset(overflow, 0xff, sizeof overflow);
    memcpy(overflow, (uint8_t[]){0, 0, 8, 4}, 4);
    check_refused(scratch_write("overflow", overflow, sizeof overflow), AP_DATA, "2^31");
}

/* A gzip file cut off or with a flipped bit at any byte: never read as something else, and never a crash. Header fields
 * that gzip leaves unused (time, system) may change freely. */
static void test_broken_gzip(void) {
    size_t n;
    uint8_t *bytes = scratch_read(write_gz("whole.gz", small, SMALL), &n);
    for (size_t cut = 1; cut < n; cut++) {
        ap_idx idx;
        ap_error error = {0};
        CHECK_INT(ap_idx_read(scratch_write("cut.gz", bytes, cut), &idx, &error), AP_DATA);
    }
    for (size_t at = 0; at < n; at++) {
        ap_idx idx;
        ap_error error = {0};
        bytes[at] ^= 0x10;
        ap_status status = ap_idx_read(scratch_write("flip.gz", bytes, n), &idx, &error);
        bool unused_field = at >= 3 && at < 10;
        CHECK(status == AP_DATA || (status == AP_OK && unused_field && memcmp(idx.data, small + SMALL_HEADER, 6) == 0));
        free(idx.data);
        bytes[at] ^= 0x10;
    }
    free(bytes);
}

static void test_unreadable(void) {
    check_refused(scratch("absent"), AP_IO, "No such file");
    scratch("");
    check_refused(scratch_folder, AP_IO, "Is a directory");
}

AP_TEST_MAIN(test_plain_and_gzip_read_the_same, test_more_than_one_block, test_no_elements, test_wrong_magic,
             test_wrong_type, test_wrong_rank, test_truncated_anywhere, test_bytes_left_over, test_absurd_extents,
             test_broken_gzip, test_unreadable)
