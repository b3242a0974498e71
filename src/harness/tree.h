/* What a result tree holds beside its trials: which trials there are, which have a verdict, which are to be cancelled.
 *
 *     RESULTS/job.txt                     what decides the training, as text; all jobs on the tree have the same
 *     RESULTS/trials.json                 the list of trials, written once; a trial's number is its place there
 *     RESULTS/.sweep/verdicts/000012      trial 12 is over: an index, so that one pass over a folder tells all
 *     RESULTS/.sweep/cancel/000012        trial 12 shall end with the verdict `cancelled`
 *     RESULTS/.sweep/claims, /worlds      see claim.h
 *     RESULTS/SUBMISSION/study_N/WORKLOAD/trial_M/    the trials: result.h5 is the truth, the index follows it
 *
 * Only who holds a trial's claim writes its verdict. Not collective: rank 0 of a group. */
#ifndef AP_HARNESS_TREE_H
#define AP_HARNESS_TREE_H

#include "base/file.h"
#include "harness/record.h"

/* ---- the list of trials */
typedef struct ap_tree_trial {
    char *path; /* "nadamw/study_0/mnist/trial_1", below RESULTS */
    char *submission, *workload;
    int study, trial;  /* from 0 */
    double expected_s; /* the longest it may train: budget or step cap */
} ap_tree_trial;

typedef struct ap_tree_list {
    int n;
    char *identity, *job_file; /* of the job that made the tree */
    ap_tree_trial *trial;
} ap_tree_list;

/* Makes the tree's folders, claims' too. */
ap_status ap_tree_prepare(const char *results, ap_error *error);
/* Removes temp files of dead processes from the folders of the tree itself. */
void ap_tree_tidy(const char *results);
/* Writes the list if there is none. */
ap_status ap_tree_write_list(const char *results, const ap_tree_list *list, ap_error *error);
/* AP_DATA if there is none (no result tree) or it is damaged. Free with ap_tree_free_list. */
ap_status ap_tree_read_list(const char *results, ap_tree_list *list, ap_error *error);
void ap_tree_free_list(ap_tree_list *list); /* of read_list */
/* Splits "RESULTS/nadamw/study_0/mnist/trial_1" (which need not exist yet) at the folder that has a trials.json.
 * AP_USAGE if it is no trial of a tree. */
ap_status ap_tree_find_trial(const char *path, char results[AP_PATH], ap_tree_list *list, int *trial, ap_error *error);

/* ---- verdicts */
/* After result.h5 has it. */
ap_status ap_verdict_record(const char *results, int trial, const char *directory, const ap_result_summary *summary,
                            ap_error *error);
/* Sets finished[i] (0 or 1) by one pass over the folder. */
ap_status ap_verdicts_list(const char *results, int trials, unsigned char *finished, ap_error *error);
/* By the index if it has it, else by result.h5. As ap_result_summarise. */
ap_status ap_verdict_read(const char *results, int trial, const char *directory, ap_result_summary *summary,
                          ap_error *error);
/* Drops the trial from the index unless its result.h5 still has the size and time of change it had then: a file that
 * was removed or written to is looked at again. One stat. AP_IO: the entry is stale and cannot be removed. */
ap_status ap_verdict_check(const char *results, int trial, const char *directory, ap_error *error);
void ap_verdict_forget(const char *results, int trial);
/* Of the trial's entry, that killed processes left. Only for the holder of its claim. */
void ap_verdict_remove_temps(const char *results, int trial);

/* ---- cancelling */
ap_status ap_cancel_ask(const char *results, int trial, ap_error *error);
bool ap_cancel_is_asked(const char *results, int trial);
void ap_cancel_forget(const char *results, int trial);

#endif
