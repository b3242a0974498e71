/* Checkpoints: a set of named arrays in one sealed HDF5 file, the last two kept.
 *
 * Files are DIR/checkpoint_<step>.h5, step in 12 digits. A checkpoint is used only if its seal (size and digest) holds;
 * otherwise the one before is taken, and that is said. Arrays do not depend on the number of ranks. Not collective:
 * rank 0 of the group writes and reads; the caller broadcasts. */
#ifndef AP_HARNESS_CHECKPOINT_H
#define AP_HARNESS_CHECKPOINT_H

#include "base/h5.h"

typedef struct ap_blob {
    char name[160]; /* "/parameters/net.layer1.weight" */
    ap_dtype type;
    int64_t n;
    void *data; /* saving: borrowed; loading: malloc'ed, see ap_checkpoint_free */
} ap_blob;

/* Writes checkpoint_<step>.h5 and then removes all but it and the one before (newer ones too: they were damaged, since
 * the trial went on from before them). `identity`: text that must be equal at load (job digest, workload, point). On
 * failure (AP_IO: full disk) the checkpoints that are there stay. */
ap_status ap_checkpoint_save(const char *directory, int64_t step, const char *identity, int n, const ap_blob *blobs,
                             ap_error *error);

/* Loads the newest one whose seal holds and whose identity is equal. step = -1 and AP_OK if there is none. Damaged ones
 * are skipped; note[] says which and why, and what is used in their place (empty: none was damaged). A checkpoint of
 * another identity is AP_CONFIG. */
typedef struct ap_checkpoint {
    int64_t step;
    int n;
    ap_blob *blobs;
    char path[4096];
} ap_checkpoint;
ap_status ap_checkpoint_load(const char *directory, const char *identity, ap_checkpoint *checkpoint,
                             char note[AP_ERROR_TEXT], ap_error *error);
void ap_checkpoint_free(ap_checkpoint *checkpoint); /* what load filled, or zeroed with step = -1 */
/* The blob of that name, type and length, or AP_DATA. *data is borrowed from the checkpoint. */
ap_status ap_checkpoint_find(const ap_checkpoint *checkpoint, const char *name, ap_dtype type, int64_t n, void **data,
                             ap_error *error);
/* Step of the newest checkpoint file by its name (not verified); -1: there is none. */
int64_t ap_checkpoint_newest(const char *directory);
/* Removes all checkpoints of a finished trial. AP_IO: some are still there. */
ap_status ap_checkpoint_remove_all(const char *directory, ap_error *error);

#endif
