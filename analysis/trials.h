/* Results in memory: the trials that were found, each with its evaluations.
 *
 * One flat list of trials, sorted by (submission, workload, study, trial number), so that the trials of a study, and
 * the studies of a workload, stand together, and nothing depends on the order in which folders are listed.
 * Not collective. */
#ifndef AP_ANALYSIS_TRIALS_H
#define AP_ANALYSIS_TRIALS_H

#include "analysis/targets.h"
#include <stdint.h>

typedef struct ap_names {
    size_t n;
    char **name;
} ap_names;

/* One evaluation. Row order is time order. */
typedef struct ap_trial_row {
    int64_t step;
    double score_s;      /* the time used for scoring */
    double submission_s; /* accumulated_submission_time; NaN: not known */
    double validation;   /* the workload's target metric on the validation split; NaN: not known */
} ap_trial_row;

typedef struct ap_trial {
    size_t submission; /* index in ap_trials.submissions */
    size_t workload;   /* index in the ap_targets that the trials were read with */
    char *study, *name, *path;
    char *source;     /* submission folder it lies in: another than its submission if that was merged (ap_read_tree) */
    char *folder;     /* workload folder, "ogbg_pytorch" */
    char *parameters; /* hyperparameters as JSON; NULL: not known, or not asked for */
    uint64_t number;  /* of the folder name, "trial_10" */
    bool running;     /* the result says that the trial has not ended */
    size_t rows;
    ap_trial_row *row;
    size_t facts, *fact; /* [facts] of kind i: 1 + index of the value in ap_trials.fact[i], 0: not stated */
} ap_trial;

/* One thing that results say about how they came about: "clock", "cpu_model", ... and every value that was met. */
typedef struct ap_fact_kind {
    char *name;
    ap_names value;
} ap_fact_kind;

/* Where a trial lies: RESULTS/submission/study/workload/trial. The folder names are its identity (a copy under another
 * submission name is another submission: that is how two clusters are compared). Texts are borrowed. */
typedef struct ap_place {
    const char *submission, *study, *workload, *trial;
    const char *source; /* submission folder; NULL: `submission` */
} ap_place;

typedef struct ap_trials {
    size_t n;
    ap_trial *trial;
    ap_names submissions; /* alphabetical after ap_trials_sort */
    bool details;         /* set before reading: hyperparameters and all of the provenance are wanted */
    size_t facts;
    ap_fact_kind *fact;
    ap_names unlisted; /* workloads that are not in the table of targets */
    ap_names notes;    /* what was found and left out, one line each */
} ap_trials;

void ap_trials_free(ap_trials *trials);

/* Adds an empty trial (texts copied), which the caller fills by ap_trial_add_row; *trial is good until the next is
 * added. `workload`: index in the targets. `path`: of the file. */
ap_status ap_trials_add(ap_trials *trials, const ap_place *place, size_t workload, const char *path, ap_trial **trial,
                        ap_error *error);
ap_status ap_trial_add_row(ap_trial *trial, ap_trial_row row, ap_error *error);

/* Takes a submission out, as if it had not been found. Of a list that is complete: nothing is added afterwards. */
void ap_trials_remove(ap_trials *trials, size_t submission);

/* What a trial says of itself. The name of a fact that only some trials state is fine. */
ap_status ap_trials_set_fact(ap_trials *trials, ap_trial *trial, const char *name, const char *value, ap_error *error);
/* The kind's index, trials->facts if no trial states it; and a trial's value, NULL if it does not state it. */
size_t ap_trials_find_fact(const ap_trials *trials, const char *name);
const char *ap_trial_fact(const ap_trials *trials, const ap_trial *trial, size_t kind);

/* After the last one was added. AP_DATA if the same trial of the same study is there twice: names both files. */
ap_status ap_trials_sort(ap_trials *trials, ap_error *error);

/* Adds `name` if it is not there; *index (NULL: not asked) = where it is. */
ap_status ap_names_add(ap_names *names, const char *name, size_t *index, ap_error *error);
void ap_names_free(ap_names *names);

/* Room for one more element behind the n of an array: the array, moved if need be, or NULL when out of memory (the
 * old array is then still there). */
void *ap_room_for_one(void *array, size_t n, size_t element_bytes);

#endif
