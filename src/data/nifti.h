/* NIfTI-1 volumes in one file (.nii, .nii.gz): a 348-byte header, extensions, voxels. Source: nifti1.h of the NIfTI
 * Data Format Working Group (nifti.nimh.nih.gov/nifti-1). Only what a volume of numbers needs is read: orientation,
 * units and extensions are passed over. */
#ifndef AP_DATA_NIFTI_H
#define AP_DATA_NIFTI_H

#include "base/digest.h"
#include "base/status.h"
#include <stdint.h>

typedef struct ap_nifti {
    int64_t shape[3]; /* the first index is the fastest */
    float *data;      /* scl_slope * voxel + scl_inter (slope 0: the voxel itself); malloc'ed, the caller frees */
    ap_digest digest; /* of the whole file, uncompressed: the same for X.nii and X.nii.gz */
} ap_nifti;

/* Read: little-endian "n+1" files of three dimensions (or more of extent 1), voxels uint8, int16, uint16, int32 or
 * float32. Errors (AP_DATA) name the file and what is wrong: no NIfTI-1, byte-swapped, two-file form, other dimensions
 * or types, extents that are not positive or exceed 2^29 voxels, data too short, bytes left over, broken gzip, voxels
 * that are not finite. AP_IO if the file cannot be read. On failure *nifti owns nothing. Not collective. */
ap_status ap_nifti_read(const char *path, ap_nifti *nifti, ap_error *error);

#endif
