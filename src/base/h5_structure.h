/* Whether an HDF5 file has the plain structure that base/h5.h writes, and no other: checked without libhdf5.
 *
 * libhdf5 1.10 crashes or hangs on about one in three hundred damaged files (tests/fuzz): it follows addresses and
 * lengths that it does not check, mostly in structures that this program never writes. So every structure of a sealed
 * file is walked here first: superblock version 0, object headers version 1 with the messages of groups and contiguous
 * data sets, symbol tables, local and global heaps, types that are byte for byte those that are written; every address
 * and length within the file, no cycles, nothing else. What passes is then read by libhdf5.
 *
 * Source: HDF5 File Format Specification Version 2.0 (docs.hdfgroup.org). Not collective. */
#ifndef AP_BASE_H5_STRUCTURE_H
#define AP_BASE_H5_STRUCTURE_H

#include "base/status.h"

/* Of an open file; `start`: bytes in front of the HDF5 part (the seal). AP_DATA names the file, the place and what is
 * not plain. The file must not become shorter meanwhile. */
ap_status ap_h5_check_structure(int fd, const char *path, size_t start, ap_error *error);

#endif
