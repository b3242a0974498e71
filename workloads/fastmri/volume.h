/* Fully sampled volumes: fastMRI's single-coil HDF5 files, and NIfTI-1 volumes whose k-space is simulated. */
#ifndef AP_WORKLOADS_FASTMRI_VOLUME_H
#define AP_WORKLOADS_FASTMRI_VOLUME_H

#include "base/h5.h"
#include "data/nifti.h"

typedef struct ap_mri_volume {
    int64_t slices, h, w, side; /* k-space is [slices, h, w], the target images [slices, side, side] */
    float max;                  /* largest value of the volume; 0 = not known */
    const char *path;           /* the rest is private */
    hid_t file;
    float *target;
    ap_nifti nifti;
    int64_t first;
    double *work;
} ap_mri_volume;

/* fastMRI (Zbontar et al. 2018, "HDF5 data format"): `kspace` complex64 [slices, h, w], `reconstruction_esc` float32
 * [slices, side, side], attribute `max`.
 *
 * NIfTI-1 (a path that ends with .nii or .nii.gz): the slices of the third index, the middle two thirds of them (others
 * hold air or little tissue), first index along a row. An image is real, its k-space is its centred orthonormal Fourier
 * transform, so that the published preprocessing of all of it gives the image back; `max` is that of all voxels.
 *
 * AP_DATA names the file and the rule. The caller closes, also after a failure. Borrows `path`. Not collective; main
 * thread only. */
ap_status ap_mri_open(const char *path, ap_mri_volume *volume, ap_error *error);
/* kspace [h, w] (re, im), target [side, side]. AP_DATA if a value is not finite or k-space is zero everywhere. */
ap_status ap_mri_read(ap_mri_volume *volume, int64_t slice, float *kspace, float *target, ap_error *error);
void ap_mri_close(ap_mri_volume *volume);

#endif
