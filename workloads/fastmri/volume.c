#include "workloads/fastmri/volume.h"
#include "workloads/fastmri/fastmri.h"

#include "data/gz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- HDF5 */

static const size_t LARGEST_TARGET = (size_t)1 << 31;
enum { LARGEST_SIDE = 1 << 14 };

static ap_status check_shapes(const char *path, int rank, const int64_t *kspace, int target_rank, const int64_t *target,
                              ap_error *error) {
    if (rank != 3 || target_rank != 3)
        return ap_fail(error, AP_DATA,
                       "%s: kspace has rank %d, reconstruction_esc %d (both are 3: slices, height, width; single-coil)",
                       path, rank, target_rank);
    if (kspace[0] < 1 || kspace[0] != target[0])
        return ap_fail(error, AP_DATA, "%s: %lld slices in kspace, %lld in reconstruction_esc", path,
                       (long long)kspace[0], (long long)target[0]);
    if (target[1] < 1 || target[1] != target[2] || kspace[1] < target[1] || kspace[2] < target[2] ||
        kspace[1] > LARGEST_SIDE || kspace[2] > LARGEST_SIDE)
        return ap_fail(error, AP_DATA,
                       "%s: kspace of %lld x %lld, reconstruction_esc of %lld x %lld (which is square and not larger "
                       "than kspace, and that not than %d)",
                       path, (long long)kspace[1], (long long)kspace[2], (long long)target[1], (long long)target[2],
                       LARGEST_SIDE);
    return AP_OK;
}

/* h5py's form of complex numbers: a compound of floats "r" and "i". */
static ap_status check_complex(const ap_mri_volume *v, ap_error *error) {
    hid_t set = H5Dopen2(v->file, "kspace", H5P_DEFAULT), type = H5Dget_type(set);
    bool fine = H5Tget_class(type) == H5T_COMPOUND && H5Tget_nmembers(type) == 2;
    for (int i = 0; fine && i < 2; i++) {
        const int member = H5Tget_member_index(type, i ? "i" : "r");
        fine = member >= 0 && H5Tget_member_class(type, (unsigned)member) == H5T_FLOAT;
    }
    H5Tclose(type);
    H5Dclose(set);
    return fine ? AP_OK
                : ap_fail(error, AP_DATA, "%s: kspace is not complex (a compound of two floats, \"r\" and \"i\")",
                          v->path);
}

static ap_status open_hdf5(ap_mri_volume *v, ap_error *error) {
    int rank, target_rank;
    int64_t kspace[AP_H5_MAX_RANK], target[AP_H5_MAX_RANK], n;
    double max = 0;
    AP_TRY(ap_h5_open(v->path, &v->file, error));
    AP_TRY(ap_h5_shape(v->file, "kspace", &rank, kspace, error));
    AP_TRY(ap_h5_shape(v->file, "reconstruction_esc", &target_rank, target, error));
    AP_TRY(check_shapes(v->path, rank, kspace, target_rank, target, error));
    AP_TRY(check_complex(v, error));
    v->slices = kspace[0], v->h = kspace[1], v->w = kspace[2], v->side = target[1];
    if (ap_h5_has_attribute(v->file, "/", "max")) AP_TRY(ap_h5_get_f64(v->file, "/", "max", &max, error));
    v->max = (float)max;
    if (!(v->max >= 0) || !isfinite(v->max))
        return ap_fail(error, AP_DATA, "%s: attribute max is %g (0 or more is expected)", v->path, max);
    return ap_h5_read(v->file, "reconstruction_esc", AP_F32, v->slices * v->side * v->side, LARGEST_TARGET,
                      (void **)&v->target, &n, error);
}

static ap_status read_hdf5(ap_mri_volume *v, int64_t slice, float *kspace, float *target, ap_error *error) {
    const hsize_t from[3] = {(hsize_t)slice, 0, 0}, count[3] = {1, (hsize_t)v->h, (hsize_t)v->w};
    hid_t set = H5Dopen2(v->file, "kspace", H5P_DEFAULT), space = H5Dget_space(set),
          memory = H5Screate_simple(3, count, NULL), type = H5Tcreate(H5T_COMPOUND, 2 * sizeof(float));
    H5Tinsert(type, "r", 0, H5T_NATIVE_FLOAT);
    H5Tinsert(type, "i", sizeof(float), H5T_NATIVE_FLOAT);
    const bool fine = H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, count, NULL) >= 0 &&
                      H5Dread(set, type, memory, space, H5P_DEFAULT, kspace) >= 0;
    H5Tclose(type), H5Sclose(memory), H5Sclose(space), H5Dclose(set);
    if (!fine)
        return ap_fail(error, AP_DATA, "%s: slice %lld of kspace cannot be read: the file is damaged; copy it again",
                       v->path, (long long)slice);
    const int64_t pixels = v->side * v->side;
    memcpy(target, v->target + slice * pixels, (size_t)pixels * sizeof *target);
    return AP_OK;
}

/* ---- NIfTI */

static bool is_nifti(const char *path) {
    const size_t n = strlen(path);
    return (n > 4 && !strcmp(path + n - 4, ".nii")) || (n > 7 && !strcmp(path + n - 7, ".nii.gz"));
}

static ap_status open_nifti(ap_mri_volume *v, ap_error *error) {
    AP_TRY(ap_nifti_read(v->path, &v->nifti, error));
    const int64_t *shape = v->nifti.shape;
    if (shape[0] != shape[1])
        return ap_fail(error, AP_DATA, "%s: slices of %lld x %lld voxels (square ones are expected)", v->path,
                       (long long)shape[1], (long long)shape[0]);
    v->h = v->w = v->side = shape[0];
    v->first = shape[2] / 6;
    v->slices = shape[2] - 2 * v->first;
    for (int64_t i = 0; i < shape[0] * shape[1] * shape[2]; i++) {
        if (v->nifti.data[i] < 0)
            return ap_fail(error, AP_DATA, "%s: voxel %lld is %g (magnitudes are expected: 0 or more)", v->path,
                           (long long)i, (double)v->nifti.data[i]);
        if (v->nifti.data[i] > v->max) v->max = v->nifti.data[i];
    }
    v->work = malloc(ap_fastmri_work(v->h, v->w) * sizeof *v->work);
    return v->work ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", v->path);
}

/* kspace = fftshift(fft2(ifftshift(image))) / sqrt(h w) */
static ap_status read_nifti(ap_mri_volume *v, int64_t slice, float *kspace, float *target, ap_error *error) {
    const int64_t n = v->side, pixels = n * n;
    const float *image = v->nifti.data + (v->first + slice) * pixels;
    double *x = v->work;
    memcpy(target, image, (size_t)pixels * sizeof *target);
    for (int64_t i = 0; i < pixels; i++) {
        x[2 * i] = (double)image[(i / n + n / 2) % n * n + (i % n + n / 2) % n];
        x[2 * i + 1] = 0;
    }
    if (!ap_fft2(n, n, false, x, x + 2 * pixels))
        return ap_fail(error, AP_DATA, "%s: slices of %lld x %lld voxels (prime factors above %d are not handled)",
                       v->path, (long long)n, (long long)n, AP_FFT_LARGEST_PRIME);
    for (int64_t i = 0; i < pixels; i++) {
        const int64_t from = (i / n + (n + 1) / 2) % n * n + (i % n + (n + 1) / 2) % n;
        for (int c = 0; c < 2; c++) kspace[2 * i + c] = (float)(x[2 * from + c] / (double)n);
    }
    return AP_OK;
}

/* ---- both */

ap_status ap_mri_open(const char *path, ap_mri_volume *volume, ap_error *error) {
    *volume = (ap_mri_volume){.path = path, .file = H5I_INVALID_HID};
    return is_nifti(path) ? open_nifti(volume, error) : open_hdf5(volume, error);
}

static ap_status check_finite(const ap_mri_volume *v, int64_t slice, const char *what, const float *x, int64_t n,
                              ap_error *error) {
    bool any = false;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return ap_fail(error, AP_DATA, "%s: slice %lld of %s has a value that is not finite", v->path,
                           (long long)(v->first + slice), what);
        any = any || x[i] != 0;
    }
    return any ? AP_OK
               : ap_fail(error, AP_DATA, "%s: slice %lld of %s is zero everywhere", v->path,
                         (long long)(v->first + slice), what);
}

ap_status ap_mri_read(ap_mri_volume *v, int64_t slice, float *kspace, float *target, ap_error *error) {
    AP_TRY(v->nifti.data ? read_nifti(v, slice, kspace, target, error) : read_hdf5(v, slice, kspace, target, error));
    AP_TRY(check_finite(v, slice, "the target image", target, v->side * v->side, error));
    return check_finite(v, slice, "kspace", kspace, 2 * v->h * v->w, error);
}

void ap_mri_close(ap_mri_volume *volume) {
    ap_h5_close(volume->file);
    free(volume->target);
    free(volume->nifti.data);
    free(volume->work);
    *volume = (ap_mri_volume){.file = H5I_INVALID_HID};
}
