/* A trial's record: events.jsonl (live, append-only, synced) and result.h5 (sealed HDF5, rebuilt whole at every
 * evaluation), design decision 5.
 *
 * events.jsonl has one JSON object a line: {"event": "started" | "resumed" | "evaluation" | "finished" | "interrupted"
 * | "failed", "time": UTC, ...}. On resume a torn last line is cut off, and evaluations after the checkpoint's step are
 * dropped (rewritten by temp + rename), since they are run again: the "resumed" line says how many rows and, as far as
 * the log knows, how many steps that were. So no row is there twice, and a row of the checkpoint that the log lacks is
 * put back. Times are in seconds; NaN and infinity are null. "started" and "resumed" hold the provenance of their part.
 *
 * result.h5:  /evaluations/<column> and /steps/<column>: 1-D data sets of equal length, published column names,
 * attribute `unit`; the digest of the parameters as text per evaluation in /evaluations/parameter_digest; root
 * attributes: format_version, submission, workload, variant, scale, data_set, ruleset, clock, calibration ("NAME
 * DIGEST" of the budget file that max_runtime_s and eval_period_s come from, budgets.h; empty, or not there as in
 * older files: the published seconds; times of different calibrations are times of different clocks), study, trial,
 * hyperparameters (JSON), loss_type, target_metric, direction, validation_target, test_target, max_runtime_s,
 * eval_period_s, step_hint, global_batch_size, steps (the last one), steps_dropped, resumes, verdict, reason, status
 * (exit code of the failure's class), buckets (JSON: nanoseconds by bucket); /provenance: attributes (provenance.h) of
 * the last part. Columns of /evaluations: global_step, accumulated_submission_time [s], accumulated_eval_time [s],
 * accumulated_logging_time [s], total_duration [s], score [s] (the time used for scoring), preemption_count,
 * {train,validation,test}/<metric>, {train,validation,test}/num_examples, parameter_digest.   /steps: global_step,
 * loss, submission_time [s].
 *
 * Not collective: rank 0 of the group owns the record. */
#ifndef AP_HARNESS_RECORD_H
#define AP_HARNESS_RECORD_H

#include "base/digest.h"
#include "base/status.h"
#include "harness/checkpoint.h"
#include "harness/clock_buckets.h"
#include "harness/provenance.h"
#include <stdint.h>
#include <stdio.h>

enum { AP_RECORD_SPLITS = 3, AP_RECORD_METRICS = 8 }; /* train, validation, test */

typedef enum ap_verdict {
    AP_VERDICT_RUNNING, /* not a verdict yet */
    AP_VERDICT_TARGET_REACHED,
    AP_VERDICT_BUDGET_SPENT,
    AP_VERDICT_STEP_CAP,
    AP_VERDICT_STOPPED,        /* by the submission */
    AP_VERDICT_DIVERGED,       /* non-finite loss */
    AP_VERDICT_FAILED,         /* submission, data or environment; `reason` says */
    AP_VERDICT_CRASHED,        /* took its world down more often than allowed */
    AP_VERDICT_CANCELLED,      /* by `algoperf cancel` */
    AP_VERDICT_RULE_VIOLATION, /* the submission broke a rule of the benchmark; `reason` says which */
    AP_VERDICTS
} ap_verdict;
extern const char *const ap_verdict_names[AP_VERDICTS]; /* "running", "target_reached", ... */

/* What stays the same through a trial. Texts are borrowed for the record's life. */
typedef struct ap_record_head {
    const char *submission, *workload, *variant, *scale, *data_set, *ruleset, *clock, *calibration,
        *hyperparameters;                              /* calibration: "" = published seconds; the last: JSON */
    const char *loss_type, *target_metric, *direction; /* direction: "higher", "lower", "lower_or_equal" */
    int study, trial;                                  /* from 0; folders are study_<n>, trial_<n + 1>, as published */
    double validation_target, test_target, max_runtime_s, eval_period_s;
    int64_t step_hint, global_batch_size;
    int metrics;
    const char *metric_names[AP_RECORD_METRICS];
    const ap_provenance *provenance;
} ap_record_head;

typedef struct ap_eval_row {
    int64_t global_step, preemption_count;
    double accumulated_submission_time, accumulated_eval_time, accumulated_logging_time, total_duration, score;
    double metric[AP_RECORD_SPLITS][AP_RECORD_METRICS]; /* NaN: no such split */
    int64_t num_examples[AP_RECORD_SPLITS];             /* 0: no such split */
    ap_digest parameter_digest;
} ap_eval_row;

typedef struct ap_record ap_record;

/* Opens the record of a trial in `directory` (which exists) and removes temp files there. Fresh
 * start: events.jsonl is started anew with "started". Resume: pass the checkpoint; rows come from it and the log is
 * trimmed and gets "resumed". result.h5 is written in both cases (verdict "running"), so that it never tells of rows
 * that are run again. AP_IO: the folder cannot be written, its files are as before. AP_DATA: the checkpoint holds no
 * record. */
ap_status ap_record_open(const char *directory, const ap_record_head *head, const ap_checkpoint *resume,
                         ap_record **record, ap_error *error);
void ap_record_close(ap_record *record); /* frees; writes nothing. NULL is fine */

/* One finished step. Allocates nothing: capacity is ensured by ap_record_reserve_steps, called outside the timed
 * region; a step that does not fit is dropped from /steps and counted. */
void ap_record_step(ap_record *record, int64_t global_step, double loss, double submission_time_s);
ap_status ap_record_reserve_steps(ap_record *record, int64_t more, ap_error *error);

/* Adds a row: events.jsonl line (synced), then result.h5 with verdict "running". On AP_IO the files are as before, or
 * result.h5 lags by this row. */
ap_status ap_record_evaluation(ap_record *record, const ap_eval_row *row, const ap_buckets *buckets, ap_error *error);
/* The class of a failure, for `status` of a result whose verdict is "failed"; call before ap_record_finish. */
void ap_record_set_failure(ap_record *record, ap_status status);
/* The end: the event line ("failed" for AP_VERDICT_FAILED and _CRASHED), then result.h5, with which the trial has its
 * verdict; a start that finds the line alone drops it and goes on. Works with any number of rows, 0 too. */
ap_status ap_record_finish(ap_record *record, ap_verdict verdict, const char *reason, const ap_buckets *buckets,
                           ap_error *error);
/* A state change that is not an end: "interrupted". Extra: a JSON object as text, whose members are added, or NULL. */
ap_status ap_record_event(ap_record *record, const char *event, const char *extra, ap_error *error);

int ap_record_rows(const ap_record *record);
const ap_eval_row *ap_record_row(const ap_record *record, int i);
/* How often the trial was resumed, this time included, as the log and the checkpoint know it. */
int64_t ap_record_resumes(const ap_record *record);

/* The rows and steps as blobs for a checkpoint, bit for bit: fills blobs (room for AP_RECORD_BLOBS) and returns how
 * many; data is borrowed from the record until it changes. */
enum { AP_RECORD_BLOBS = 5 };
int ap_record_blobs(ap_record *record, ap_blob *blobs);

/* ---- reading results (inspect, skip of finished trials) */
typedef struct ap_result_summary {
    ap_verdict verdict;
    char reason[512];
    int64_t steps, evaluations; /* steps: the last one */
    bool target_reached;        /* an evaluation's validation value is better than the target (head's direction) */
    ap_status status;           /* class of the failure; AP_OK: none, or nobody said */
} ap_result_summary;
/* AP_OK and verdict RUNNING with evaluations = -1 if there is no result.h5. AP_DATA if it is damaged: the seal's digest
 * is checked before anything is read, then that all columns have one length. */
ap_status ap_result_summarise(const char *directory, ap_result_summary *summary, ap_error *error);
/* A trial's story in plain text: identity, hyperparameters, budget, evaluations table, target, time by bucket,
 * provenance, events. For `algoperf inspect`. `path`: a trial folder or its result.h5. Checked as above before the
 * first line is printed; texts are cleaned (ap_clean_text), since the file may be anyone's. */
ap_status ap_result_print(const char *path, FILE *out, ap_error *error);

#endif
