/* From published files to a packed file, in parts: what `algoperf prepare` does for every workload alike (README.md,
 * "A reader").
 *
 * A workload's reader makes a plan: the ordered list of parts of the published input (a file, a range of bytes, a class
 * folder), split by split, and a function that reads one part into examples. Any process can make any part: it becomes
 * a sealed file in the folder FILE.parts beside the packed file, and is reused after a kill. In the end one process
 * joins the parts, in the plan's order, to the packed file, and the folder goes. So the bytes of the packed file are a
 * function of the input alone, never of who made which part. Memory: one example and a few MiB of buffers.
 *
 * Nothing here is collective or knows MPI: cli/prepare_crew.h deals the parts out to ranks. Main thread only
 * (libhdf5). */
#ifndef AP_DATA_PREPARE_H
#define AP_DATA_PREPARE_H

#include "base/digest.h"
#include "data/dataset.h"

/* ---- the reader's side */

typedef struct ap_part {
    ap_split split;
    char *name;    /* "train/n01440764, class 0", "day_3 bytes 0 to 268435455": for messages; and it tells all that the
                      part's examples depend on beside the input's bytes, so that parts of an earlier call can be used */
    int64_t bytes; /* of input, for progress and throughput; an estimate will do */
    int64_t stamp; /* time of change of the file, ns since 1970 (ap_prepare_plan_stat); 0: `source` has digests of the
                      bytes */
} ap_part;

typedef struct ap_part_output ap_part_output;

typedef struct ap_prepare_plan {
    const char *data_set; /* name where the user gives none; static text */
    char *source;         /* from malloc: what the input is, with digests or names and sizes; part of its identity */
    char *vocabulary;     /* from malloc or NULL: what token ids mean (ap_dataset_vocabulary); part of its identity */
    /* > 0: the parts' examples are pieces of one stream a split, the rows of its only field, which is ragged. Joined,
     * it is cut into examples of `window` rows each; what is left at the end of a split is dropped. 0: examples stay.
     */
    int64_t window;
    int64_t parts, room;
    ap_part *part;
    void *reader; /* handed to the functions below */
    /* Reads part `index` of the plan and appends its examples. Errors name file, record and rule (AP_DATA). */
    ap_status (*read)(void *reader, int64_t index, ap_part_output *output, ap_error *error);
    /* Optional: fills what depends on the example's place in its split (0, 1, ...), when the parts are joined. */
    void (*place)(ap_example *example, int64_t index);
    void (*release)(void *reader); /* optional */
} ap_prepare_plan;

/* Adds a part behind the others; all parts of training come first, then those of validation, then of test. */
ap_status ap_prepare_plan_add(ap_prepare_plan *plan, ap_split split, int64_t bytes, int64_t stamp, ap_error *error,
                              const char *format, ...) AP_PRINTF(6, 7);
/* Size and time of change of a file of the input; AP_IO names it. */
ap_status ap_prepare_plan_stat(const char *path, int64_t *bytes, int64_t *stamp, ap_error *error);
/* The folder's own name, for a data set's: the last part of its real path, else `fallback`. */
enum { AP_FOLDER_NAME = 64 };
void ap_prepare_folder_name(const char *folder, const char *fallback, char name[AP_FOLDER_NAME]);
ap_status ap_prepare_plan_source(ap_prepare_plan *plan, ap_error *error, const char *format, ...) AP_PRINTF(3, 4);
void ap_prepare_plan_free(ap_prepare_plan *plan); /* what it holds, not the struct */

/* Tells of `bytes` of input read; a part whose reader never does counts as it was planned. */
void ap_part_count(ap_part_output *output, int64_t bytes);
ap_status ap_part_append(ap_part_output *output, const ap_example *example, ap_error *error);
/* For a record that is malformed, *error saying where and why: AP_OK if the user allows it to be left out (then it is
 * counted and named), else the error. Only AP_DATA is ever left out. */
ap_status ap_part_skip(ap_part_output *output, ap_error *error);
/* For a record that is fine and that the published rules leave out (too long): counted, in the attribute `left_out`. */
void ap_part_leave_out(ap_part_output *output);

/* ---- the program's side */

typedef struct ap_preparation ap_preparation;
typedef struct ap_prepare_target {
    const char *to, *workload, *data_set; /* data_set: NULL = the plan's */
    int fields;
    const ap_field *field;
    int64_t skip_bad; /* so many malformed records may be left out */
} ap_prepare_target;

/* Borrows plan and target's texts. AP_DATA if the plan has no part for a split. */
ap_status ap_preparation_open(const ap_prepare_target *target, const ap_prepare_plan *plan,
                              ap_preparation **preparation, ap_error *error);
void ap_preparation_close(ap_preparation *preparation); /* NULL is fine */
/* Digest of all that the packed file depends on (list of input, data set, program): equal for all who work on it. */
ap_status ap_preparation_identity(const ap_preparation *preparation, ap_digest *identity, ap_error *error);

/* One process, before any part: *done if the packed file is there already, made of the same input; AP_USAGE if
 * something else is. Otherwise makes the folder of parts, and removes what killed processes left in it. */
ap_status ap_preparation_begin(ap_preparation *preparation, bool *done, ap_error *error);

typedef struct ap_part_result {
    int64_t examples, skipped, left_out, bytes; /* bytes of input read; 0 if the part was there already */
    bool reused;
} ap_part_result;
/* Called a few times a second while a part is made; anything but AP_OK ends it. */
typedef ap_status ap_prepare_watch(void *user, int64_t examples, ap_error *error);
/* Makes part `index`, unless it is there, whole and of the same identity. Any process; watch may be NULL. */
ap_status ap_preparation_make(const ap_preparation *preparation, int64_t index, ap_prepare_watch *watch, void *user,
                              ap_part_result *result, ap_error *error);
/* One process, after all parts: the packed file. Parts are kept if it fails. */
ap_status ap_preparation_join(ap_preparation *preparation, ap_prepare_watch *watch, void *user, ap_error *error);
/* One process, after a failure: removes the folder of parts if no part is in it. Returns the number of whole parts that
 * a new call goes on from. */
int64_t ap_preparation_leave(const ap_preparation *preparation);

/* All of it in this process. */
ap_status ap_prepare_alone(const ap_prepare_target *target, const ap_prepare_plan *plan, ap_error *error);

#endif
