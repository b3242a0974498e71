/* The trials of a place of results, found but not read. A place is
 *
 *     RESULTS/SUBMISSION/STUDY/WORKLOAD/trial_M/result.h5                           a folder of `algoperf run`
 *     RESULTS/SUBMISSION/STUDY/WORKLOAD_FRAMEWORK/trial_M/eval_measurements.csv     official logs: the same tree
 *     FILE.h5                  a collection: `algoperf-score collect` packs the first kind into one (archive.h)
 *     FILE.h5, trial_M/        one result, or its folder, for commands that take one
 *
 * Every folder at a level counts, whatever its name, except that a trial's must begin with "trial_" and a digit; what
 * is no folder is passed over, and so are names that begin with a dot. Trials come sorted by name, level by level. Not
 * collective; main thread only (libhdf5). */
#ifndef AP_ANALYSIS_TREE_H
#define AP_ANALYSIS_TREE_H

#include "base/h5.h"

typedef enum ap_entry_kind {
    AP_ENTRY_RESULT, /* a result.h5, or a trial in a collection */
    AP_ENTRY_LOG,    /* an official eval_measurements.csv */
    AP_ENTRY_NOTHING /* a trial folder with neither: no trial (a run that ended before its first evaluation) */
} ap_entry_kind;

/* The folder names are a trial's identity (a copy under another submission name is another submission: that is how two
 * clusters are compared). */
typedef struct ap_entry {
    ap_entry_kind kind;
    char *submission, *study, *workload, *trial; /* "" in a tree that is one result */
    char *path;                                  /* file, or group in the collection; of nothing: the folder */
} ap_entry;

typedef struct ap_tree {
    char *root;
    bool is_single;   /* one result, whatever its place */
    hid_t collection; /* open, or negative */
    size_t sources;
    size_t n, trials; /* entries; those that are not AP_ENTRY_NOTHING */
    ap_entry *entry;
} ap_tree;

/* AP_DATA if there is no trial, or a collection is damaged; AP_IO if a folder cannot be read. The caller closes, after
 * a failure too. */
ap_status ap_tree_open(const char *root, ap_tree *tree, ap_error *error);
void ap_tree_close(ap_tree *tree); /* a zeroed tree is fine */

/* The place (h5.h) of an entry that is a result, its seal and digest checked. Close it before the tree and before the
 * next: meanwhile the process is guarded (base/guard.h). */
ap_status ap_tree_open_result(const ap_tree *tree, const ap_entry *entry, hid_t *place, ap_error *error);
void ap_tree_close_result(hid_t place);

/* The trial's log as bytes with a NUL behind them, malloc'ed; *events = NULL if it has none. Of one result: the log
 * beside it. */
ap_status ap_tree_read_events(const ap_tree *tree, const ap_entry *entry, char **events, size_t *n, ap_error *error);

/* Files that describe a job (AP_TREE_FILES): of a folder of results there is one source of them, of a collection as
 * many as folders were packed, of one result none. *text = NULL if the source has no such file; else as above. */
size_t ap_tree_sources(const ap_tree *tree);
ap_status ap_tree_read_file(const ap_tree *tree, size_t source, const char *name, char **text, size_t *n,
                            ap_error *error);
#define AP_TREE_JOB "job.txt"
#define AP_TREE_TRIALS "trials.json"
extern const char *const ap_tree_files[]; /* those names; ends with NULL */

/* "submission/study/workload/trial"; of a single result its path. Cut to `size`. */
void ap_entry_name(const ap_tree *tree, const ap_entry *entry, char *name, size_t size);
/* Where it lies, for messages: its path, of a collection "FILE.h5 in /trials/...". */
void ap_entry_where(const ap_tree *tree, const ap_entry *entry, char *where, size_t size);

#endif
