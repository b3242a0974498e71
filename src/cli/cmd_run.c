/* algoperf run JOB.cfg */
#include "cli/cli.h"

#include "base/log.h"
#include "harness/sweep.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Budgets measured on other ranks, threads or CPUs are another machine's clock. */
static void announce_budgets(const ap_job *job, int ranks) {
    char difference[256];
    int per_trial = job->settings.ranks_per_trial ? (int)job->settings.ranks_per_trial : ranks;
    ap_budgets_difference(job->budgets, per_trial, job->settings.threads, job->settings.math, difference);
    ap_log(AP_GLOBAL, AP_LOG_INFO, "budgets of calibration %s", job->budgets->label);
    if (*difference)
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "%s was not measured like this run: %s; `algoperf calibrate` makes its own",
               job->settings.budgets, difference);
}

/* What a user wants to see before a long run: what is run, where, and anything that makes it slow. */
static void announce(const ap_job *job) {
    int ranks;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    ap_log(AP_GLOBAL, AP_LOG_INFO, "%s: %d rank%s, %lld shards, %lld thread%s a rank, math %s (%s), clock %s",
           job->path, ranks, ranks == 1 ? "" : "s", (long long)job->settings.shards, (long long)job->settings.threads,
           job->settings.threads == 1 ? "" : "s", job->settings.math, ap_isa_name(ap_isa_current()),
           job->settings.clock);
    for (int i = 0; i < job->workloads; i++)
        ap_log(AP_GLOBAL, AP_LOG_INFO, "workload %s %s on %s: target %s %.6g", job->workload[i].label,
               job->workload[i].scale, ap_dataset_name(job->workload[i].dataset),
               job->workload[i].problem->workload->metric_names[job->workload[i].problem->workload->target_metric],
               job->workload[i].problem->validation_target);
    if (job->budgets) announce_budgets(job, ranks);
    if (job->math == AP_MATH_BLAS) {
        ap_log(AP_GLOBAL, AP_LOG_WARNING,
               "math = \"blas\": bits depend on OpenBLAS's core type (%s), threads and ranks", ap_blas_core());
        if (ap_blas_is_slowed())
            ap_log(AP_GLOBAL, AP_LOG_WARNING,
                   "OpenBLAS runs as %s, this CPU can do %s: unset OPENBLAS_CORETYPE, or set it so", ap_blas_core(),
                   ap_blas_best_core());
    }
}

static void summarise(const ap_job *job, const ap_sweep_summary *s) {
    printf("%d trials:", s->trials);
    for (int v = 0; v < AP_VERDICTS; v++)
        if (s->verdicts[v])
            printf(" %d %s", s->verdicts[v], v == AP_VERDICT_RUNNING ? "unfinished" : ap_verdict_names[v]);
    printf("\n%d of %d studies reached their target\nresults: %s\n", s->studies_reached, s->studies,
           job->settings.results);
}

static int run(int argc, char **argv) {
    const char *reclaim = NULL;
    const ap_flag flags[] = {
        {"reclaim", NULL,
         "take over trials whose owner cannot be known to be gone (only when no other job runs on the tree)", &reclaim},
        {0}};
    char **rest;
    int count, rank = 0;
    bool helped, broken = false;
    ap_error error;
    if (ap_cli_parse(&ap_command_run, argc, argv, flags, &rest, &count, &helped, &error)) return ap_cli_report(&error);
    if (helped) {
        printf("\n");
        ap_job_help(stdout);
        return AP_OK;
    }
    if (count != 1) {
        ap_fail(&error, AP_USAGE, "algoperf run: give one job file; see `algoperf run --help`");
        return ap_cli_report(&error);
    }
    ap_job *job = NULL;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    ap_status status = ap_job_open(rest[0], &job, &error);
    int failed = (int)status, worst;
    MPI_Allreduce(&failed, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (worst) {
        if (status && rank) ap_log(AP_RANK, AP_LOG_ERROR, "%s", error.text);
        if (!status) ap_fail(&error, (ap_status)worst, "another rank could not open the job");
        ap_job_close(job);
        return ap_cli_report(&error);
    }
    announce(job);
    ap_sweep_summary summary;
    status = ap_sweep_run(MPI_COMM_WORLD, &(ap_sweep_options){.job = job, .reclaim = reclaim != NULL}, &summary,
                          &broken, &error);
    if (broken) { /* a rank is stuck: MPI_Finalize would wait for it for ever */
        ap_log(AP_RANK, AP_LOG_ERROR, "%s", error.text);
        MPI_Abort(MPI_COMM_WORLD, (int)status);
    }
    if (rank == 0 && summary.trials) summarise(job, &summary);
    ap_job_close(job);
    return status ? ap_cli_report(&error) : AP_OK;
}

void ap_run_guard_signals(void) {
    ap_interrupt_install();
    signal(SIGPIPE, SIG_IGN);
}

const ap_command ap_command_run = {"run", "JOB.cfg", "train all trials of a job; started again it goes on where it was",
                                   run, true};
