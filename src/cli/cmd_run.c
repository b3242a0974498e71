/* algoperf run JOB.cfg */
#include "cli/cli.h"
#include "cli/run_estimate.h"

#include "base/log.h"
#include "harness/claim.h"
#include "harness/launch.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Budgets measured on other ranks, threads or CPUs are another machine's clock. */
static void announce_budgets(const ap_job *job, int ranks) {
    char difference[256];
    int per_trial = job->settings.ranks_per_trial ? (int)job->settings.ranks_per_trial : ranks;
    *difference = '\0';
    if (per_trial)
        ap_budgets_difference(job->budgets, per_trial, job->settings.threads, job->settings.math, difference);
    ap_log(AP_GLOBAL, AP_LOG_INFO, "budgets of calibration %s", job->budgets->label);
    if (*difference)
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "%s was not measured like this run: %s; `algoperf calibrate` makes its own",
               job->settings.budgets, difference);
}

/* What a user wants to see before a long run: what is run, where, and anything that makes it slow. ranks: 0 = not yet
 * known. */
static void announce(const ap_job *job, int ranks) {
    char world[32] = "";
    if (ranks) snprintf(world, sizeof world, "%d rank%s, ", ranks, ranks == 1 ? "" : "s");
    ap_log(AP_GLOBAL, AP_LOG_INFO, "%s: %s%lld shards, %lld thread%s a rank, math %s (%s), clock %s", job->path, world,
           (long long)job->settings.shards, (long long)job->settings.threads, job->settings.threads == 1 ? "" : "s",
           job->settings.math, ap_isa_name(ap_isa_current()), job->settings.clock);
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

/* ---- the command line */

typedef struct arguments {
    const char *job, *reclaim, *wait, *groups, *launcher, *world, *group, *dry_run, *measure, *points;
    int64_t group_count, group_number;
    ap_starter starter;
    bool helped;
} arguments;

static ap_status check(arguments *a, ap_error *error) {
    static const char *const starters[] = {"auto", "srun", "mpirun", NULL}; /* order of ap_starter */
    if (a->points && strcmp(a->points, "text") != 0 && strcmp(a->points, "json") != 0)
        return ap_fail(error, AP_USAGE, "algoperf run: --points %s (must be text or json)", a->points);
    if (a->groups) AP_TRY(ap_cli_integer("groups", a->groups, 1, 100000, &a->group_count, error));
    if (a->group) AP_TRY(ap_cli_integer("group", a->group, 0, 1000000, &a->group_number, error));
    if (a->world) AP_TRY(ap_world_name_check(a->world, error));
    if (a->world && (a->groups || a->launcher || a->reclaim))
        return ap_fail(error, AP_USAGE,
                       "algoperf run: --world is what a launcher gives to its groups; it does not go "
                       "with --groups, --launcher and --reclaim");
    for (int i = 0; a->launcher && starters[i]; i++) {
        if (strcmp(a->launcher, starters[i])) continue;
        a->starter = (ap_starter)i;
        return AP_OK;
    }
    return a->launcher
               ? ap_fail(error, AP_USAGE, "algoperf run: --launcher %s (must be auto, srun or mpirun)", a->launcher)
               : AP_OK;
}

static ap_status parse(int argc, char **argv, arguments *a, ap_error *error) {
    *a = (arguments){0};
    const ap_flag flags[] = {
        {"dry-run", NULL, "run nothing: say what there is to do, and what it needs of time, memory and disk",
         &a->dry_run},
        {"measure", NULL, "with --dry-run: time and memory of a step at full scale too, which can take minutes",
         &a->measure},
        {"points", "text|json", "run nothing: print the hyperparameters of every trial", &a->points},
        {"wait", NULL, "when all is done or with other jobs: wait, and take over what they leave", &a->wait},
        {"reclaim", NULL,
         "take over trials whose owner cannot be known to be gone (only when no other job runs on the tree)",
         &a->reclaim},
        {"groups", "N", "isolation = \"step\": so many groups in place of as many as there are CPUs for", &a->groups},
        {"launcher", "auto|srun|mpirun", "isolation = \"step\": what starts the groups", &a->launcher},
        {"world", "NAME", "isolation = \"step\": given by the launcher to a group", &a->world},
        {"group", "I", "likewise", &a->group},
        {0}};
    char **rest;
    int count;
    AP_TRY(ap_cli_parse(&ap_command_run, argc, argv, flags, &rest, &count, &a->helped, error));
    if (a->helped) return AP_OK;
    if (count != 1) return ap_fail(error, AP_USAGE, "algoperf run: give one job file; see `algoperf run --help`");
    a->job = rest[0];
    return check(a, error);
}

/* ---- isolation = "step", as the launcher: no MPI */

static bool is_rank(void) {
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i])) return true;
    return false;
}

static int launch(const arguments *a) {
    ap_error error;
    ap_job *job = NULL;
    ap_sweep_summary summary = {0};
    char program[AP_PATH] = "";
    ap_status status = ap_job_open(a->job, &job, &error);
    if (!status && readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        status = ap_fail_errno(&error, AP_ENVIRONMENT, "/proc/self/exe: this program's own path cannot be found");
    if (!status) {
        const ap_launch_options options = {.job = job,
                                           .program = program,
                                           .groups = (int)a->group_count,
                                           .starter = a->starter,
                                           .reclaim = a->reclaim,
                                           .wait = a->wait};
        announce(job, 0);
        status = ap_launch_run(&options, &summary, &error);
        if (summary.trials) summarise(job, &summary);
    }
    ap_job_close(job);
    return status ? ap_cli_report(&error) : AP_OK;
}

static void guard_signals(void) {
    ap_interrupt_install();
    signal(SIGPIPE, SIG_IGN);
}

/* Errors are left to run(), which says them once for all ranks. */
bool ap_run_as_launcher(int argc, char **argv, int *code) {
    guard_signals();
    arguments a;
    ap_isolation isolation = AP_ISOLATION_WORLD;
    char **copy = malloc(((size_t)argc + 1) * sizeof *copy); /* parsing moves arguments */
    if (!copy) return false;
    memcpy(copy, argv, ((size_t)argc + 1) * sizeof *copy);
    bool launches = parse(argc, copy, &a, NULL) == AP_OK && !a.helped && !a.world && !a.dry_run && !a.points &&
                    !is_rank() && ap_job_peek(a.job, &isolation, NULL) == AP_OK && isolation == AP_ISOLATION_STEP;
    if (launches) *code = launch(&a);
    free(copy);
    return launches;
}

/* ---- in an MPI world */

static ap_status check_isolation(const ap_job *job, const arguments *a, ap_error *error) {
    int ranks;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int64_t per = job->settings.ranks_per_trial;
    if (job->isolation == AP_ISOLATION_WORLD && (a->groups || a->launcher))
        return ap_fail(error, AP_USAGE,
                       "algoperf run: --groups and --launcher go with isolation = \"step\"; this job "
                       "has \"world\": start it with mpirun -n or srun -n");
    if (a->measure && !a->dry_run) return ap_fail(error, AP_USAGE, "algoperf run: --measure goes with --dry-run");
    if (job->isolation == AP_ISOLATION_STEP && !a->dry_run && !a->points && per != 0 && per != ranks)
        return ap_fail(error, AP_USAGE,
                       "isolation = \"step\": start `algoperf run %s` as one plain process, without mpirun or srun; it "
                       "starts groups of %lld ranks itself (these are %d ranks). Or set isolation = \"world\"",
                       a->job, (long long)per, ranks);
    return AP_OK;
}

static int dry_run(ap_job *job, const arguments *a, int rank, int ranks) {
    ap_error error = {0};
    if (rank == 0) ap_run_estimate(job, ranks, (int)a->group_count, a->measure, &error);
    int code = (int)error.status;
    MPI_Bcast(&code, 1, MPI_INT, 0, MPI_COMM_WORLD);
    ap_job_close(job);
    return rank == 0 && code ? ap_cli_report(&error) : code;
}

static int run(int argc, char **argv) {
    arguments a;
    int rank = 0;
    bool broken = false;
    ap_error error;
    if (parse(argc, argv, &a, &error)) return ap_cli_report(&error);
    if (a.helped) {
        printf("\n");
        ap_job_help(stdout);
        return AP_OK;
    }
    ap_job *job = NULL;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    ap_status status = ap_job_open(a.job, &job, &error);
    if (!status) status = check_isolation(job, &a, &error);
    int failed = (int)status, worst;
    MPI_Allreduce(&failed, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (worst) {
        if (status && rank) ap_log(AP_RANK, AP_LOG_ERROR, "%s", error.text);
        if (!status) ap_fail(&error, (ap_status)worst, "another rank could not open the job");
        ap_job_close(job);
        return ap_cli_report(&error);
    }
    int ranks;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (!a.world) announce(job, ranks);
    if (a.points) {
        if (rank == 0) ap_job_print_points(job, !strcmp(a.points, "json"), stdout);
        ap_job_close(job);
        return AP_OK;
    }
    if (a.dry_run) return dry_run(job, &a, rank, ranks);
    ap_sweep_summary summary;
    const ap_sweep_options options = {
        .job = job, .reclaim = a.reclaim, .wait = a.wait, .world = a.world, .group = (int)a.group_number};
    status = ap_sweep_run(MPI_COMM_WORLD, &options, &summary, &broken, &error);
    if (broken) { /* a rank is stuck: MPI_Finalize would wait for it for ever */
        ap_log(AP_RANK, AP_LOG_ERROR, "%s", error.text);
        MPI_Abort(MPI_COMM_WORLD, (int)status);
    }
    if (rank == 0 && summary.trials) summarise(job, &summary);
    ap_job_close(job);
    if (a.world && status == AP_INTERRUPTED) return AP_INTERRUPTED; /* the launcher says it */
    return status ? ap_cli_report(&error) : AP_OK;
}

const ap_command ap_command_run = {
    .name = "run",
    .arguments = "JOB.cfg",
    .summary = "train all trials of a job; started again it goes on where it was",
    .run = run,
    .parallel = AP_RANKS_ALWAYS,
};
