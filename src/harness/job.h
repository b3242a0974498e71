/* The job file: what a user submits. One table of options makes the reader, `algoperf run --help` and the provenance
 * record.
 *
 *     results = "results/quickstart";  ruleset = "external_tuning";  seed = 1;  studies = 1;  trials = 5;
 *     workloads   = ( { name = "mnist"; scale = "mini"; data = "data/fashion-mnist.h5"; } );
 *     submissions = ( { submission = "nadamw"; }, { submission = "./mine.so"; search_space = "mine.json"; } );
 *
 * Paths in `data`, `budgets`, `submission` and `search_space` are relative to the job file's folder, `results` to the
 * current one.
 */
#ifndef AP_HARNESS_JOB_H
#define AP_HARNESS_JOB_H

#include "base/config.h"
#include "base/digest.h"
#include "harness/budgets.h"
#include "harness/ruleset.h"
#include "submission/loader.h"
#include "tuning/search_space.h"
#include "workload/workload.h"

typedef enum ap_ruleset { AP_EXTERNAL_TUNING, AP_SELF_TUNING } ap_ruleset;
typedef enum ap_job_clock {
    AP_CLOCK_WALL,  /* the benchmark's: budgets and evaluations by seconds */
    AP_CLOCK_STEPS, /* a step counts max_runtime / step_hint seconds: the same evaluations and end on every machine */
} ap_job_clock;

/* When a trial ends: AP_END_BUDGET is for setting targets, and for whole curves. */
typedef enum ap_job_end { AP_END_TARGET, AP_END_BUDGET } ap_job_end;

/* Where groups live: all in the MPI world that was started, or each in a world of its own that a launcher starts. */
typedef enum ap_isolation { AP_ISOLATION_WORLD, AP_ISOLATION_STEP } ap_isolation;

/* job_points.h. */
typedef enum ap_points_order { AP_POINTS_SAME, AP_POINTS_SHUFFLED, AP_POINTS_FRESH } ap_points_order;

typedef struct ap_job_settings {
    char *points, *rules, *results, *ruleset, *math, *clock, *end, *budgets, *isolation;
    int64_t seed, studies, trials, shards, ranks_per_trial, threads, max_steps, eval_every, max_attempts;
    double watchdog_s, max_runtime_s, checkpoint_s;
} ap_job_settings;

typedef struct ap_job_workload {
    char *name, *scale, *variant, *data, *own_label;
    double max_runtime_s;      /* of this entry's trials; 0: the job's, or the workload's */
    const ap_section *options; /* group `options` of the job file; NULL: none */
    ap_problem *problem;
    ap_dataset *dataset; /* opened once a process */
    char label[128];     /* folder name: own_label, or name, _variant */
} ap_job_workload;

typedef struct ap_job_submission {
    char *submission, *search_space;
    ap_loaded_submission *loaded;
    ap_points points; /* all that were drawn; ap_job_point says which a trial has */
} ap_job_submission;

enum { AP_JOB_ITEMS = 64 };
typedef struct ap_job {
    char path[4096], directory[4096];
    ap_config *config;
    ap_job_settings settings;
    ap_ruleset ruleset;
    ap_job_clock clock;
    ap_job_end end;
    ap_points_order points;
    ap_rules rules;
    ap_budgets *budgets; /* this cluster's seconds, already in the workloads' problems; NULL: the published ones */
    ap_math math;
    ap_isolation isolation;
    int workloads, submissions;
    ap_job_workload workload[AP_JOB_ITEMS];
    ap_job_submission submission[AP_JOB_ITEMS];
    char identity[AP_DIGEST_TEXT]; /* digest of all that decides the training: two jobs in one result tree must have the
                                      same */
    char *description;             /* the text that was digested, one `key = value` a line */
} ap_job;

/* Reads and checks everything: file, workloads, data sets, submissions, search spaces. Every process of the world reads
 * by itself. Not collective. Main thread only. */
ap_status ap_job_open(const char *path, ap_job **job, ap_error *error);
void ap_job_close(ap_job *job); /* NULL is fine */
/* Only how its groups are to be started; checks no more than that needs. */
ap_status ap_job_peek(const char *path, ap_isolation *isolation, ap_error *error);

/* For --help: the tables. */
void ap_job_help(FILE *out);

/* Number of trials of one submission in one study, and the hyperparameters of one. */
int ap_job_trials(const ap_job *job, int submission);
const ap_point *ap_job_point(const ap_job *job, int submission, int study, int trial);
/* Every point of every trial, for a look before anything runs: a line each, or a JSON list. */
void ap_job_print_points(const ap_job *job, bool json, FILE *out);

#endif
