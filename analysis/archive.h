/* Collections: all trials of a folder of results in one sealed HDF5 file (base/h5.h), kind "collection".
 *
 *     /                                           attribute format_version
 *     /trials/SUBMISSION/STUDY/WORKLOAD/trial_M   what is in the trial's result.h5, under the same names: attributes,
 *                                                 evaluations/, steps/, provenance/ (harness/record.h), bit for bit,
 *                                                 each data set with its digest
 *         events.jsonl                            the trial's log as bytes (uint8), if it has one
 *     /files/job.txt, ...                         what describes the job, as bytes
 *
 * Not collective; main thread only. */
#ifndef AP_ANALYSIS_ARCHIVE_H
#define AP_ANALYSIS_ARCHIVE_H

#include "base/h5.h"

#define AP_ARCHIVE_KIND "collection"
#define AP_ARCHIVE_TRIALS "/trials"
#define AP_ARCHIVE_FILES "/files"

/* AP_DATA if this program does not read this version. */
ap_status ap_archive_check_version(hid_t collection, ap_error *error);

#endif
