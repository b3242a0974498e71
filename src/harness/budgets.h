/* Budgets: this cluster's own seconds in place of the published ones (design decision 4).
 *
 * A budget file is libconfig, written by `algoperf calibrate` and named by the job setting `budgets`:
 *
 *     name = "cluster-2x1";  created = "2026-01-31T12:00:00Z";  hosts = "n1, n2";  ranks = 2;  threads = 1;  ...
 *     budgets = ( { workload = "mnist"; scale = "mini"; step_hint = 5000; step_time_s = 0.0011;
 *                   max_runtime_s = 5.5; eval_period_s = 0.55; ... }, ... );
 *     digest = "0123...";
 *
 * max_runtime_s = step_hint * step_time_s, the time that the baseline's published schedule takes here; eval_period_s is
 * the published one times the same factor, so that as many evaluations fit into a trial as published. `digest` is over
 * everything else and proves that the numbers are as measured; who edits the file takes it out. A variant has its base
 * workload's budget. Not collective. */
#ifndef AP_HARNESS_BUDGETS_H
#define AP_HARNESS_BUDGETS_H

#include "base/digest.h"
#include "workload/workload.h"

typedef struct ap_budget {
    char *workload, *scale;
    int64_t step_hint, batch_size, steps; /* steps: how many were measured */
    double step_time_s;                   /* median, a step as long as its slowest rank's */
    double step_time_p10_s, step_time_p90_s;
    double max_runtime_s, eval_period_s;
} ap_budget;

enum { AP_BUDGETS_NAME = 31, AP_BUDGETS_LABEL = AP_BUDGETS_NAME + 1 + AP_DIGEST_TEXT };

typedef struct ap_budgets {
    char *name, *created, *hosts, *cpu, *instruction_set, *math, *baseline, *program;
    char *digest;                             /* as in the file; "" = taken out: edited by hand */
    int64_t ranks, threads, shards, per_host; /* of the trial that was timed; trials at work on a host meanwhile */
    int n;
    ap_budget *budget;
    char label[AP_BUDGETS_LABEL]; /* "NAME DIGEST", the digest as computed: names the clock in results and identities */
} ap_budgets;

/* Reads and checks a file. Each mistake is AP_CONFIG with file, line and key: unknown workload (with the closest match)
 * or scale, a workload there twice, a step_hint that is not this program's, numbers out of range or not those that the
 * digest was made of. AP_IO: it cannot be read. */
ap_status ap_budgets_read(const char *path, ap_budgets **budgets, ap_error *error);
/* AP_USAGE: `path` is there and is no budget file. AP_IO: its folder cannot be written. For before a long measurement.
 */
ap_status ap_budgets_may_write(const char *path, ap_error *error);
/* Writes a file that ap_budgets_read gives back, all or nothing; computes digest and label. Fails as
 * ap_budgets_may_write, and then `path` is as it was. */
ap_status ap_budgets_write(ap_budgets *budgets, const char *path, ap_error *error);
void ap_budgets_free(ap_budgets *budgets); /* NULL is fine */

/* NULL: the file does not have it. */
const ap_budget *ap_budgets_find(const ap_budgets *budgets, const char *workload, const char *scale);
/* Puts this cluster's seconds into the problem's scale. AP_CONFIG if the file does not have the workload at that scale.
 */
ap_status ap_budgets_apply(const ap_budgets *budgets, const char *path, ap_problem *problem, ap_error *error);

/* How a run on `ranks` ranks a trial with `threads` threads here differs from what was timed, in words; "" = it does
 * not. */
void ap_budgets_difference(const ap_budgets *budgets, int ranks, int64_t threads, const char *math, char text[256]);

#endif
