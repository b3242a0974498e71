/* algoperf bench overhead: one trial of mnist mini with the real loop, record and queue, and where its time went. */
#include "cli/bench.h"
#include "cli/cli.h"

#include "base/file.h"
#include "base/log.h"
#include "harness/sweep.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ap_command self = {"bench overhead", "[--steps N] [--data FILE.h5]",
                                "share of a training step spent outside the submission's own work", NULL, true};

static ap_status write_job(const char *directory, const char *data, const char *steps, char path[AP_PATH],
                           ap_error *error) {
    char text[2 * AP_PATH], file[AP_PATH];
    if (!realpath(data, file)) snprintf(file, sizeof file, "%s", data); /* "synthetic" */
    snprintf(text, sizeof text,
             "results = \"%s/results\"; clock = \"steps\"; max_steps = %s; eval_every = %s; trials = 1;\n"
             "workloads = ( { name = \"mnist\"; scale = \"mini\"; data = \"%s\"; } );\n"
             "submissions = ( { submission = \"nadamw\"; } );\n",
             directory, steps, steps, file);
    AP_TRY(ap_path(path, error, "%s/overhead.cfg", directory));
    return ap_write_file(path, text, strlen(text), error);
}

static void print(const ap_trial_outcome *o) {
    const double steps = (double)o->steps;
    double own = ap_clock_s(o->buckets.ns[AP_BUCKET_SUBMISSION]);
    double harness = ap_clock_s(o->buckets.ns[AP_BUCKET_HARNESS]),
           logging = ap_clock_s(o->buckets.ns[AP_BUCKET_LOGGING]);
    printf("mnist mini, nadamw, %lld steps\n\n%-44s %10s %10s\n", (long long)o->steps, "", "us a step", "share");
    const struct {
        const char *what;
        double s;
    } rows[] = {{"submission (batch, passes, update)", own},
                {"  of it waiting for data", o->data_wait_s},
                {"  of it waiting for the gradient sum", o->reduction_wait_s},
                {"harness (loop, clock, agreement)", harness},
                {"  of it agreement, waiting for the slower rank", o->agreement_s},
                {"logging (record; one evaluation, the verdict)", logging}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-44s %10.2f %9.2f%%\n", rows[i].what, rows[i].s / steps * 1e6, 100 * rows[i].s / own);
    double outside = (harness + logging + o->data_wait_s) / own;
    printf("\noutside the submission's own work (harness, logging, queue): %.2f %% of it; aim below 1 %%: %s\n",
           100 * outside, outside < 0.01 ? "met" : "not met");
}

/* All ranks read the job file that rank 0 has written; *job only if all could. Collective. */
static ap_status open_job(const char *directory, const char *data, const char *steps, ap_job **job, ap_error *error) {
    char path[AP_PATH];
    int rank, failed, worst;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    failed = rank == 0 ? (int)write_job(directory, data, steps, path, error) : AP_OK;
    MPI_Bcast(&failed, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (failed) return rank == 0 ? (ap_status)failed : ap_fail(error, (ap_status)failed, "see rank 0");
    failed = (int)ap_path(path, error, "%s/overhead.cfg", directory);
    if (!failed) failed = (int)ap_job_open(path, job, error);
    MPI_Allreduce(&failed, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (worst && !failed) ap_fail(error, (ap_status)worst, "another rank could not open the job");
    return (ap_status)worst;
}

static ap_status measure(const char *directory, const char *data, const char *steps, ap_error *error) {
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    ap_job *job = NULL;
    ap_group *group = NULL;
    ap_trial_outcome outcome;
    ap_status status;
    AP_TRY_GOTO(status, open_job(directory, data, steps, &job, error), out);
    ap_trial_spec spec = {.job = job};
    AP_TRY_GOTO(status, ap_group_create(MPI_COMM_WORLD, (int)job->settings.shards, 60, &group, error), out);
    status = ap_trial_directory(job, 0, 0, 0, 0, spec.directory, error);
    if (!status && rank == 0) status = ap_make_directories(spec.directory, error);
    AP_TRY_GOTO(status, ap_group_agree(group, status, error), out);
    AP_TRY_GOTO(status, ap_trial_run(group, &spec, &outcome, error), out);
    if (rank == 0) print(&outcome);
out:
    ap_group_destroy(group);
    ap_job_close(job);
    return status;
}

ap_status ap_bench_overhead(int argc, char **argv, ap_error *error) {
    const char *steps = "10000", *data = "synthetic";
    const ap_flag flags[] = {{"steps", "N", "steps to run (default 10000)", &steps},
                             {"data", "FILE.h5", "packed data (default: the synthetic set)", &data},
                             {0}};
    char directory[AP_PATH] = "/tmp/algoperf-overhead.XXXXXX", command[AP_PATH + 16];
    int rank;
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    if (strspn(steps, "0123456789") != strlen(steps) || strlen(steps) > 12 || atoll(steps) < 1)
        return ap_fail(error, AP_USAGE, "--steps %s (must be a whole number from 1)", steps);
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    ap_log_open(rank, rank == 0, AP_LOG_WARNING);
    int made = rank != 0 || mkdtemp(directory) != NULL;
    MPI_Bcast(&made, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Bcast(directory, sizeof directory, MPI_CHAR, 0, MPI_COMM_WORLD);
    ap_status status =
        made ? measure(directory, data, steps, error) : ap_fail(error, AP_IO, "no folder can be made in /tmp");
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (rank == 0 && made && system(command)) ap_log(AP_GLOBAL, AP_LOG_WARNING, "%s could not be removed", directory);
    MPI_Finalize();
    return status;
}
