/* prepare fastmri: fastMRI's HDF5 files (written here by libhdf5) and NIfTI-1 volumes; what is refused. */
#include "workloads/fastmri/fastmri.h"

#include "base/h5.h"
#include "check.h"
#include "folder.h"
#include "prepare_alone.h"

#include <fcntl.h>
#include <time.h>

extern const ap_workload ap_workload_fastmri;

enum { SLICES = 3, H = 12, W = 10, SIDE = 8 };
static ap_error error;

#define CHECK_OK(call)                                                                                                 \
    do {                                                                                                               \
        if ((call) != AP_OK) printf("%s:%d: %s\n", __FILE__, __LINE__, error.text), ap_check_failures++;               \
    } while (0)

/* ---- files */

typedef struct volume {
    int slices, target_slices, h, side; /* h: of k-space */
    bool real, no_max, nan;             /* real: k-space without imaginary part; nan: in the last slice */
    const char *target_name;
} volume;
static const volume good = {SLICES, SLICES, H, SIDE, false, false, false, "reconstruction_esc"};

static float kspace_value(int file, int64_t i) {
    return (float)(file * 1000 + i % 997 + 1) / 64;
}
static float target_value(int file, int64_t i) {
    return (float)(file * 10 + i % 101 + 1) / 8;
}

static void write_set(hid_t file, const char *name, hid_t type, int slices, int h, int w, const void *data) {
    const hsize_t extent[3] = {(hsize_t)slices, (hsize_t)h, (hsize_t)w};
    hid_t space = H5Screate_simple(3, extent, NULL),
          set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    CHECK(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set), H5Sclose(space);
}

static void write_volume(const char *path, int number, volume v) {
    const int64_t n = 2 * v.slices * v.h * W, pixels = v.target_slices * v.side * v.side;
    float *kspace = malloc((size_t)n * sizeof *kspace), *target = malloc((size_t)pixels * sizeof *target);
    for (int64_t i = 0; i < n; i++) kspace[i] = kspace_value(number, i);
    for (int64_t i = 0; i < pixels; i++) target[i] = target_value(number, i);
    if (v.nan) kspace[n - 1] = NAN;
    hid_t file = H5Fcreate(in_folder(path), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
          complex_type = H5Tcreate(H5T_COMPOUND, 2 * sizeof(float));
    H5Tinsert(complex_type, "r", 0, H5T_NATIVE_FLOAT);
    H5Tinsert(complex_type, "i", sizeof(float), H5T_NATIVE_FLOAT);
    write_set(file, "kspace", v.real ? H5T_NATIVE_FLOAT : complex_type, v.slices, v.h, W, kspace);
    write_set(file, v.target_name, H5T_NATIVE_FLOAT, v.target_slices, v.side, v.side, target);
    if (!v.no_max) CHECK_INT(ap_h5_set_f64(file, "/", "max", 100 + number, NULL), AP_OK);
    H5Tclose(complex_type), H5Fclose(file);
    free(kspace), free(target);
}

/* Two training volumes and three of validation: 2 and 1. `odd` is the second training volume. */
static void publish(volume odd) {
    start();
    mkdir(in_folder("knee_singlecoil_train"), 0777), mkdir(in_folder("knee_singlecoil_val"), 0777);
    write_volume("knee_singlecoil_train/file1.h5", 0, good);
    write_volume("knee_singlecoil_train/file2.h5", 1, odd);
    write_volume("knee_singlecoil_val/file3.h5", 2, good);
    write_volume("knee_singlecoil_val/file4.h5", 3, good);
    write_volume("knee_singlecoil_val/file5.h5", 4, good);
}

static ap_status prepare(void) {
    error = (ap_error){0};
    return prepare_alone(&ap_workload_fastmri, &(ap_prepare_options){.from = folder, .to = in_folder("packed.h5")}, 0,
                         &error);
}

static ap_dataset *open_packed(void) {
    ap_dataset *dataset = NULL;
    CHECK_OK(ap_dataset_open(in_folder("packed.h5"), "fastmri", AP_FASTMRI_FIELDS, ap_fastmri_generator.field, &dataset,
                             &error));
    if (!dataset) exit(1);
    return dataset;
}

static void check_slices(const ap_dataset *dataset, ap_split split, int files, int first) {
    ap_example e = {0};
    CHECK_INT(ap_dataset_count(dataset, split), files * SLICES);
    for (int i = 0; i < files * SLICES; i++) {
        const int file = first + i / SLICES, z = i % SLICES;
        int wrong = 0;
        CHECK_OK(ap_dataset_read(dataset, split, i, &e, &error));
        CHECK_INT(e.length[AP_FASTMRI_KSPACE], 2 * H * W);
        CHECK_INT(e.length[AP_FASTMRI_TARGET], SIDE * SIDE);
        const float *kspace = e.data[AP_FASTMRI_KSPACE], *target = e.data[AP_FASTMRI_TARGET];
        for (int k = 0; k < 2 * H * W; k++) wrong += kspace[k] != kspace_value(file, z * 2 * H * W + k);
        for (int k = 0; k < SIDE * SIDE; k++) wrong += target[k] != target_value(file, z * SIDE * SIDE + k);
        CHECK_INT(wrong, 0);
        CHECK_INT(((int32_t *)e.data[AP_FASTMRI_SIZE])[0], H);
        CHECK_INT(((int32_t *)e.data[AP_FASTMRI_SIZE])[1], W);
        CHECK_NEAR(*(float *)e.data[AP_FASTMRI_VOLUME_MAX], file == 1 ? 0 : 100 + file, 0);
        CHECK_INT(*(int64_t *)e.data[AP_FASTMRI_INDEX], i);
    }
    ap_example_free(&e);
}

static void test_published_files(void) {
    volume without = good;
    without.no_max = true;
    publish(without);
    CHECK_OK(prepare());
    ap_dataset *dataset = open_packed();
    CHECK_TEXT(ap_dataset_name(dataset), "fastmri-knee");
    check_slices(dataset, AP_TRAIN, 2, 0);
    check_slices(dataset, AP_VALIDATION, 2, 2);
    check_slices(dataset, AP_TEST, 1, 4);
    ap_dataset_close(dataset);
    CHECK_OK(prepare()); /* the same again */
    /* names and sizes are the same, so the time of change must tell */
    write_volume("knee_singlecoil_val/file5.h5", 7, good);
    const struct timespec later[2] = {{.tv_sec = time(NULL) + 10}, {.tv_sec = time(NULL) + 10}};
    CHECK_INT(utimensat(AT_FDCWD, in_folder("knee_singlecoil_val/file5.h5"), later, 0), 0);
    CHECK_INT(prepare(), AP_USAGE);
    CHECK_TEXT(error.text, "file5.h5");
    CHECK_TEXT(error.text, "was changed since");
    write_volume("knee_singlecoil_val/file6.h5", 8, good);
    CHECK_INT(prepare(), AP_USAGE);
    CHECK_TEXT(error.text, "other files");
}

static void check_refused(ap_status status, const char *file, const char *rule) {
    const int before = entries(folder);
    CHECK_INT(prepare(), status);
    CHECK_TEXT(error.text, file);
    CHECK_TEXT(error.text, rule);
    CHECK(entries(folder) == before || entries(in_folder("packed.h5.parts")) > 0); /* nothing but whole parts */
}

static void test_bad_published_files(void) {
#define BAD(change, rule)                                                                                              \
    do {                                                                                                               \
        volume v = good;                                                                                               \
        v.change;                                                                                                      \
        publish(v);                                                                                                    \
        check_refused(AP_DATA, "file2.h5", rule);                                                                      \
    } while (0)
    BAD(target_slices = 2, "3 slices in kspace, 2 in reconstruction_esc");
    BAD(h = 7, "not larger than kspace");
    BAD(side = 6, "has 8 x 8");
    BAD(real = true, "not complex");
    BAD(nan = true, "slice 2 of kspace has a value that is not finite");
    BAD(target_name = "reconstruction_rss", "reconstruction_esc");
#undef BAD
    publish(good);
    CHECK_INT(truncate(in_folder("knee_singlecoil_train/file2.h5"), 1500), 0);
    check_refused(AP_DATA, "file2.h5", "HDF5 cannot open it");
    publish(good);
    unlink(in_folder("knee_singlecoil_val/file4.h5")), unlink(in_folder("knee_singlecoil_val/file5.h5"));
    check_refused(AP_DATA, "knee_singlecoil_val", "at least 2");
    unlink(in_folder("knee_singlecoil_val/file3.h5"));
    check_refused(AP_IO, "knee_singlecoil_val", "has no .h5 files");
    rmdir(in_folder("knee_singlecoil_val"));
    check_refused(AP_IO, "knee_singlecoil_val", "cannot be listed");
    start();
    check_refused(AP_IO, folder, "neither");
}

/* ---- NIfTI: n x n x 6 voxels of which the slices 1 to 4 are taken */

enum { N = 10, DEPTH = 6 };
static int voxel(int file, int i) {
    return 1 + (file * 37 + i * 7919) % 251;
}
static void write_nifti(const char *path, int number, int width) {
    static uint8_t bytes[352 + N * N * DEPTH];
    memset(bytes, 0, 352);
    bytes[0] = 348 & 255, bytes[1] = 348 >> 8;
    bytes[40] = 3, bytes[42] = (uint8_t)width, bytes[44] = N, bytes[46] = DEPTH, bytes[70] = 2, bytes[72] = 8;
    memcpy(bytes + 108, &(float){352}, 4), memcpy(bytes + 344, "n+1", 4);
    const int voxels = width * N * DEPTH;
    for (int i = 0; i < voxels; i++) bytes[352 + i] = (uint8_t)voxel(number, i);
    FILE *file = fopen(in_folder(path), "wb");
    CHECK(file && fwrite(bytes, 1, (size_t)(352 + voxels), file) == (size_t)(352 + voxels) && !fclose(file));
}
static void publish_nifti(int width) {
    start();
    mkdir(in_folder("train"), 0777), mkdir(in_folder("valid"), 0777), mkdir(in_folder("test"), 0777);
    write_nifti("train/a.nii", 0, N), write_nifti("train/b.nii", 1, width);
    write_nifti("valid/c.nii", 2, N), write_nifti("test/d.nii", 3, N);
}

/* All of k-space gives the voxels back through the published preprocessing. */
static void test_nifti_files(void) {
    publish_nifti(N);
    CHECK_OK(prepare());
    ap_dataset *dataset = open_packed();
    ap_example e = {0};
    CHECK_INT(ap_dataset_count(dataset, AP_TRAIN), 8);
    CHECK_INT(ap_dataset_count(dataset, AP_VALIDATION), 4);
    CHECK_INT(ap_dataset_count(dataset, AP_TEST), 4);
    CHECK_OK(ap_dataset_read(dataset, AP_TRAIN, 5, &e, &error)); /* slice 2 of b */
    const float *target = e.data[AP_FASTMRI_TARGET];
    for (int i = 0; i < N * N; i++) CHECK_NEAR(target[i], voxel(1, 2 * N * N + i), 0);
    CHECK_INT(*(int64_t *)e.data[AP_FASTMRI_INDEX], 5);
    CHECK_NEAR(*(float *)e.data[AP_FASTMRI_VOLUME_MAX], 251, 0);
    float keep[N], input[N * N], normalised[N * N], mean, std;
    for (int i = 0; i < N; i++) keep[i] = 1;
    double *work = malloc(ap_fastmri_work(N, N) * sizeof *work);
    const ap_fastmri_slice slice = {N, N, N, N, e.data[AP_FASTMRI_KSPACE], keep, target};
    CHECK_OK(ap_fastmri_preprocess(&slice, work, input, normalised, &mean, &std, &error));
    for (int i = 0; i < N * N; i++) CHECK_NEAR(input[i] * std + mean, target[i], 1e-3);
    /* The transform's definition at zero frequency: the sum over sqrt(h w), in the middle. */
    double sum = 0;
    for (int i = 0; i < N * N; i++) sum += (double)target[i];
    const float *middle = (float *)e.data[AP_FASTMRI_KSPACE] + 2 * (N / 2 * N + N / 2);
    CHECK_NEAR(middle[0], sum / N, 1e-2);
    CHECK_NEAR(middle[1], 0, 1e-2);
    free(work);
    ap_example_free(&e);
    ap_dataset_close(dataset);
}

/* A model for smaller images takes the middle of input and target. */
static void test_smaller_models_see_the_middle(void) {
    enum { SIZE = 6 };
    const ap_fastmri_model whole = {.image_size = N}, part = {.image_size = SIZE}, large = {.image_size = N + 1};
    publish_nifti(N);
    CHECK_OK(prepare());
    ap_dataset *dataset = open_packed();
    ap_example e = {0};
    ap_batch a = {0}, b = {0};
    CHECK_OK(ap_dataset_read(dataset, AP_TEST, 0, &e, &error));
    CHECK_OK(ap_fastmri_collate(&whole, &(ap_collate_key){0}, 1, &e, 1, &a, &error));
    CHECK_OK(ap_fastmri_collate(&part, &(ap_collate_key){0}, 1, &e, 1, &b, &error));
    const char *const names[2] = {"inputs", "targets"};
    int compared = 0;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < SIZE * SIZE; i++) {
            const float full = ap_batch_f32(&a, names[k])[(2 + i / SIZE) * N + 2 + i % SIZE],
                        small = ap_batch_f32(&b, names[k])[i];
            if (fabsf(small) == 6 || fabsf(full) == 6) continue; /* clipped */
            compared++;
            CHECK_NEAR(small * *ap_batch_f32(&b, "std") + *ap_batch_f32(&b, "mean"),
                       full * *ap_batch_f32(&a, "std") + *ap_batch_f32(&a, "mean"), 1e-3);
        }
    CHECK(compared > SIZE * SIZE);
    ap_batch_clear(&b);
    CHECK_INT(ap_fastmri_collate(&large, &(ap_collate_key){0}, 1, &e, 1, &b, &error), AP_DATA);
    CHECK_TEXT(error.text, "at least the model's 11 x 11");
    ap_batch_free(&a), ap_batch_free(&b);
    ap_example_free(&e);
    ap_dataset_close(dataset);
}

static void test_bad_nifti_files(void) {
    publish_nifti(N - 1);
    check_refused(AP_DATA, "b.nii", "10 x 9 voxels (square");
    publish_nifti(N);
    CHECK_INT(truncate(in_folder("valid/c.nii"), 900), 0);
    check_refused(AP_DATA, "c.nii", "truncated");
    publish_nifti(N);
    unlink(in_folder("test/d.nii"));
    check_refused(AP_IO, "/test", "has no .nii or .nii.gz files");
}

AP_TEST_MAIN(test_published_files, test_bad_published_files, test_nifti_files, test_smaller_models_see_the_middle,
             test_bad_nifti_files)
