/* Collections: all trials of one or more folders of results in one sealed HDF5 file (base/h5.h), kind "collection".
 *
 *     /                                           attribute format_version
 *     /trials/SUBMISSION/STUDY/WORKLOAD/trial_M   what is in the trial's result.h5, under the same names: attributes,
 *                                                 evaluations/, steps/, provenance/ (harness/record.h), bit for bit,
 *                                                 each data set with its digest and unit
 *         events.jsonl                            the trial's log as bytes (uint8), if it has one
 *     /files/0/job.txt, ...                       what describes the job of the first folder, as bytes
 *
 * The logs are kept because they alone tell the provenance of every part of a trial that was resumed. Not collective;
 * main thread only. */
#ifndef AP_ANALYSIS_ARCHIVE_H
#define AP_ANALYSIS_ARCHIVE_H

#include "base/h5.h"

#define AP_ARCHIVE_KIND "collection"
#define AP_ARCHIVE_TRIALS "/trials"
#define AP_ARCHIVE_FILES "/files"
#define AP_ARCHIVE_EVENTS "events.jsonl"

/* AP_DATA if this program does not read this version. */
ap_status ap_archive_check_version(hid_t collection, ap_error *error);

typedef struct ap_archive_summary {
    size_t trials, empty; /* packed; trial folders without a result, which are left out */
} ap_archive_summary;

/* Packs the places `roots` (NULL-terminated: folders of results, other collections) into `path`, which appears whole or
 * not at all and replaces what was there. Every result is read and checked first (ap_result_read). AP_DATA: damage, the
 * same trial twice, a root that is one result or holds official logs. progress (may be NULL) is told before each trial.
 */
ap_status ap_archive_write(const char *const *roots, const char *path, ap_archive_summary *summary,
                           void (*progress)(const char *root, size_t done, size_t all), ap_error *error);

#endif
