/* NIfTI-1: voxels of each type, scaling, gzip, and what is refused. Headers are made here by the format's offsets. */
#include "data/nifti.h"

#include "data_scratch.h"

#include <zlib.h>

enum { NX = 3, NY = 2, NZ = 4, VOXELS = NX * NY * NZ, START = 368 };
typedef struct file {
    uint8_t bytes[START + 4 * VOXELS + 8];
    size_t size;
} file;

static void put16(file *f, size_t at, int value) {
    f->bytes[at] = (uint8_t)value, f->bytes[at + 1] = (uint8_t)(value >> 8);
}
static void put_float(file *f, size_t at, float value) {
    memcpy(f->bytes + at, &value, 4);
}

/* Voxel i is 3 i. */
static file make(int type, int bits) {
    file f = {.size = START + (size_t)(bits / 8 * VOXELS)};
    put16(&f, 0, 348);
    const int dim[8] = {3, NX, NY, NZ, 1, 1, 1, 1};
    for (size_t i = 0; i < 8; i++) put16(&f, 40 + 2 * i, dim[i]);
    put16(&f, 70, type), put16(&f, 72, bits);
    put_float(&f, 108, START);
    memcpy(f.bytes + 344, "n+1", 4);
    for (size_t i = 0; i < VOXELS; i++) {
        const float real = (float)(3 * i);
        if (type == 16)
            put_float(&f, START + 4 * i, real);
        else
            f.bytes[START + (size_t)bits / 8 * i] = (uint8_t)(3 * i);
    }
    return f;
}

static ap_status read_back(const file *f, ap_nifti *nifti, ap_error *error) {
    *error = (ap_error){0};
    return ap_nifti_read(scratch_write("volume.nii", f->bytes, f->size), nifti, error);
}

static void check_values(const ap_nifti *n, float slope, float inter) {
    CHECK(n->shape[0] == NX && n->shape[1] == NY && n->shape[2] == NZ);
    for (int i = 0; i < VOXELS; i++) CHECK(n->data[i] == slope * (float)(3 * i) + inter);
}

static void test_types_and_scaling(void) {
    static const int types[5][2] = {{2, 8}, {4, 16}, {512, 16}, {8, 32}, {16, 32}};
    ap_nifti n;
    ap_error error;
    for (int t = 0; t < 5; t++) {
        file f = make(types[t][0], types[t][1]);
        CHECK_OK(read_back(&f, &n, &error));
        check_values(&n, 1, 0);
        free(n.data);
        put_float(&f, 112, 0.5f), put_float(&f, 116, -2);
        CHECK_OK(read_back(&f, &n, &error));
        check_values(&n, 0.5f, -2);
        free(n.data);
    }
    file f = make(4, 16);
    put16(&f, START, -7); /* signed or not */
    CHECK_OK(read_back(&f, &n, &error));
    CHECK(n.data[0] == -7);
    free(n.data);
    put16(&f, 70, 512);
    CHECK_OK(read_back(&f, &n, &error));
    CHECK(n.data[0] == 65529);
    free(n.data);
}

static void test_gzip_is_the_same(void) {
    const file f = make(2, 8);
    ap_nifti plain, zipped;
    ap_error error;
    CHECK_OK(read_back(&f, &plain, &error));
    const char *path = scratch("volume.nii.gz");
    gzFile gz = gzopen(path, "wb");
    CHECK(gzwrite(gz, f.bytes, (unsigned)f.size) > 0 && gzclose(gz) == Z_OK);
    CHECK_OK(ap_nifti_read(path, &zipped, &error));
    check_values(&zipped, 1, 0);
    CHECK(ap_digest_equal(plain.digest, zipped.digest));
    free(plain.data), free(zipped.data);
}

static void check_refused(const file *f, const char *rule) {
    ap_nifti n;
    ap_error error;
    CHECK_INT(read_back(f, &n, &error), AP_DATA);
    CHECK_TEXT(error.text, "volume.nii");
    CHECK_TEXT(error.text, rule);
    CHECK(n.data == NULL);
}

static void test_bad_files(void) {
#define BAD(change, rule)                                                                                              \
    do {                                                                                                               \
        file f = make(16, 32);                                                                                         \
        change;                                                                                                        \
        check_refused(&f, rule);                                                                                       \
    } while (0)
    BAD(f.size = 0, "only 0 bytes");
    BAD(f.size = 347, "only 347 bytes");
    BAD(f.size -= 1, "truncated");
    BAD(f.size = 352, "truncated");
    BAD(f.size += 1, "bytes left over");
    BAD(put16(&f, 0, 540), "neither gzip");
    BAD(memcpy(f.bytes, "\0\0\1\x5c", 4), "big-endian");
    BAD(memcpy(f.bytes + 344, "ni1", 4), "header and voxels in one file");
    BAD(put16(&f, 40, 2), "2 dimensions");
    BAD(put16(&f, 40, 8), "8 dimensions");
    BAD(put16(&f, 44, 0), "extent 2 is 0");
    BAD(put16(&f, 44, -5), "extent 2 is -5");
    BAD((put16(&f, 40, 4), put16(&f, 48, 2)), "extent 4 is 2");
    BAD((put16(&f, 42, 32767), put16(&f, 44, 32767), put16(&f, 46, 32767)), "2^29 voxels");
    BAD((put16(&f, 42, 1000), put16(&f, 44, 1000), put16(&f, 46, 100)), "truncated");
    BAD(put16(&f, 70, 64), "data type 64");
    BAD(put16(&f, 72, 16), "data type 16 of 16 bits");
    BAD(put_float(&f, 108, 348), "vox_offset 348");
    BAD(put_float(&f, 108, NAN), "vox_offset nan");
    BAD(put_float(&f, 108, 352.5f), "vox_offset 352.5");
    BAD(put_float(&f, 112, INFINITY), "scl_slope inf");
    BAD(put_float(&f, START + 4 * 5, NAN), "voxel 5 is not a finite number");
#undef BAD
    ap_nifti n;
    ap_error error = {0};
    CHECK_INT(ap_nifti_read(scratch("absent.nii"), &n, &error), AP_IO);
    CHECK_TEXT(error.text, "absent.nii");
}

AP_TEST_MAIN(test_types_and_scaling, test_gzip_is_the_same, test_bad_files)
