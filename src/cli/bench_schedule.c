/* algoperf bench schedule: how well groups share a sweep, measured here and modelled for large clusters. */
#include "cli/bench.h"
#include "cli/cli.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/h5.h"
#include "base/log.h"
#include "harness/claim.h"
#include "harness/schedule_model.h"
#include "harness/sweep.h"
#include "harness/tree.h"

#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ap_command self = {
    "bench schedule", "[OPTIONS]",
    "trials of uneven length on this world's ranks, one a group, against the longest-first bound; or a model", NULL,
    true};

typedef struct settings {
    int64_t trials, claims;
    double shortest, longest;
    const char *folder, *simulate, *rates, *latency_ms;
} settings;

enum { SEED = 1 };

/* ---- a sweep of dummy trials, each with its own budget */

static ap_status write_job(const settings *set, const double *seconds, const char *directory, ap_error *error) {
    char path[AP_PATH], *text = NULL;
    size_t n = 0;
    AP_TRY(ap_path(path, error, "%s/schedule.cfg", directory));
    FILE *out = open_memstream(&text, &n);
    if (!out) return ap_fail_errno(error, AP_ENVIRONMENT, "cannot write a job");
    fprintf(out,
            "results = \"%s/results\"; ranks_per_trial = 1; shards = 1; trials = 1; eval_every = 1000000000;\n"
            "checkpoint_s = 0.0; workloads = (\n",
            directory);
    for (int64_t i = 0; i < set->trials; i++) /* in no order: the sweep has to sort them */
        fprintf(out,
                "  { name = \"dummy\"; label = \"dummy_%02lld\"; max_runtime_s = %.6f; options = { sleep_ms = 5.0; }; "
                "}%s\n",
                (long long)(i * 7 % set->trials), seconds[i * 7 % set->trials], i + 1 < set->trials ? "," : "");
    fprintf(out, ");\nsubmissions = ( { submission = \"nadamw\"; search_space = \"slow.json\"; } );\n");
    if (fclose(out)) return ap_fail_errno(error, AP_ENVIRONMENT, "cannot write a job");
    ap_status status = ap_write_file(path, text, n, error);
    free(text);
    AP_TRY(status);
    static const char slow[] =
        "[{\"learning_rate\": 1e-30, \"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0, "
        "\"warmup_factor\": 0.05, \"label_smoothing\": 0.0}]"; /* no target is reached */
    AP_TRY(ap_path(path, error, "%s/slow.json", directory));
    return ap_write_file(path, slow, strlen(slow), error);
}

/* What a finished trial says of itself: all its time, and the part that the budget counts. */
static ap_status read_times(const char *directory, double *total_s, double *trained_s, ap_error *error) {
    char path[AP_PATH];
    hid_t file;
    static const char *const names[] = {"/evaluations/total_duration", "/evaluations/accumulated_submission_time"};
    double *const to[] = {total_s, trained_s};
    AP_TRY(ap_path(path, error, "%s/result.h5", directory));
    AP_TRY(ap_h5_open_sealed(path, "result", true, &file, error));
    ap_status status = AP_OK;
    for (int i = 0; i < 2 && !status; i++) {
        void *data = NULL;
        int64_t n = 0;
        status = ap_h5_read(file, names[i], AP_F64, -1, 1 << 20, &data, &n, error);
        if (!status && n < 1) status = ap_fail(error, AP_DATA, "%s: no evaluation", path);
        if (!status) *to[i] = ((double *)data)[n - 1];
        free(data);
    }
    ap_h5_close(file);
    return status;
}

static ap_status print_sweep(const ap_job *job, const settings *set, const double *seconds, int groups, double makespan,
                             ap_error *error) {
    double total = 0, trained = 0, wanted = 0, bound = ap_longest_first(seconds, (int)set->trials, groups);
    for (int w = 0; w < job->workloads; w++) {
        char directory[AP_PATH];
        double t, s;
        AP_TRY(ap_trial_directory(job, 0, 0, w, 0, directory, error));
        AP_TRY(read_times(directory, &t, &s, error));
        total += t, trained += s, wanted += seconds[w];
    }
    printf("%lld trials, log-uniform %g to %g s, %.2f s in all, on %d group%s\n\n", (long long)set->trials,
           set->shortest, set->longest, wanted, groups, groups == 1 ? "" : "s");
    printf("%-58s %8.3f s\n%-58s %8.3f s\n\n", "longest-first bound", bound, "makespan here", makespan);
    printf("%-58s %8.2f %%\n", "busy share of the groups at the bound", 100 * wanted / (groups * bound));
    printf("%-58s %8.2f %%\n", "busy share here: in a trial", 100 * total / (groups * makespan));
    printf("%-58s %8.2f %%\n", "  training, as the budget counts", 100 * trained / (groups * makespan));
    printf("%-58s %8.2f ms\n", "set-up, evaluation and records of a trial",
           (total - trained) / (double)set->trials * 1e3);
    printf("%-58s %8.2f ms\n", "between trials (claim, verdict, end), and idle at the end",
           (groups * makespan - total) / (double)set->trials * 1e3);
    double share = total / (groups * makespan) / (wanted / (groups * bound));
    printf("\nbusy share here is %.2f %% of that at the bound; aim: at least 95 %%: %s\n", 100 * share,
           share >= 0.95 ? "met" : "not met");
    return AP_OK;
}

/* Collective over the world. */
static ap_status run_sweep(const settings *set, const char *directory, ap_error *error) {
    int rank, groups;
    char path[AP_PATH];
    ap_job *job = NULL;
    ap_sweep_summary summary;
    bool broken = false;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &groups);
    double *seconds = calloc((size_t)set->trials, sizeof *seconds);
    if (!seconds) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_schedule_lengths(seconds, (int)set->trials, set->shortest, set->longest, SEED);
    ap_status status = rank == 0 ? write_job(set, seconds, directory, error) : AP_OK;
    MPI_Barrier(MPI_COMM_WORLD); /* a rank whose file is not there says so when it opens it */
    if (!status) status = ap_path(path, error, "%s/schedule.cfg", directory);
    if (!status) status = ap_job_open(path, &job, error);
    int code = (int)status, worst;
    MPI_Allreduce(&code, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (worst && !status) status = ap_fail(error, (ap_status)worst, "another rank failed");
    if (!status) {
        double start = MPI_Wtime();
        status = ap_sweep_run(MPI_COMM_WORLD, &(ap_sweep_options){.job = job}, &summary, &broken, error);
        double makespan = MPI_Wtime() - start;
        if (broken) MPI_Abort(MPI_COMM_WORLD, (int)status);
        if (status == AP_TARGET_NOT_REACHED) status = AP_OK; /* none was meant to */
        if (!status && rank == 0) status = print_sweep(job, set, seconds, groups, makespan, error);
    }
    ap_job_close(job);
    free(seconds);
    return status;
}

/* ---- claims alone: what the harness does between two trials, without trials. Under `strace -c` it tells the file
 * operations. */

typedef enum part { LISTS, TAKE, RECORD, RELEASE, PARTS } part;

static ap_status run_claims(const settings *set, const char *directory, ap_error *error) {
    static const char *const names[PARTS] = {"list verdicts and claims", "take the claim", "write the verdict",
                                             "give the claim back"};
    char results[AP_PATH], world[128];
    int n = (int)set->claims;
    unsigned char *marks = calloc((size_t)n, 1);
    int64_t ns[PARTS] = {0}, last;
    if (!marks) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_world_name_make(world);
    ap_status status = ap_path(results, error, "%s/claims", directory);
    if (!status) status = ap_make_directories(results, error);
    if (!status) status = ap_tree_prepare(results, error);
    const ap_claimant claimant = {.results = results, .world = world};
    const ap_result_summary summary = {.verdict = AP_VERDICT_BUDGET_SPENT, .steps = 1, .evaluations = 1};
    for (int i = 0; i < n && !status; i++) {
        ap_claim claim;
        last = ap_clock_ns();
#define BOOK(p) (ns[p] -= last, last = ap_clock_ns(), ns[p] += last)
        status = ap_verdicts_list(results, n, marks, error);
        if (!status) status = ap_claims_list(results, n, marks, error);
        BOOK(LISTS);
        if (!status) status = ap_claim_take(&claimant, i, -1, &claim, error);
        BOOK(TAKE);
        if (!status) status = ap_verdict_record(results, i, results, &summary, error);
        BOOK(RECORD);
        if (!status) ap_claim_release(results, i);
        BOOK(RELEASE);
#undef BOOK
    }
    free(marks);
    AP_TRY(status);
    double total = 0;
    printf("%d claims, one after another\n", n);
    for (int p = 0; p < PARTS; p++) {
        printf("%-30s %8.3f ms\n", names[p], ap_clock_s(ns[p]) * 1e3 / n);
        total += ap_clock_s(ns[p]) * 1e3 / n;
    }
    printf("%-30s %8.3f ms\n", "a trial's claim in all", total);
    return AP_OK;
}

/* ---- the model */

/* File operations as `strace -f -c` counts them on ext4 (README.md here says how); a network file system asks its
 * server for each. A training trial's: its folder, events.jsonl, result.h5 and checkpoints at the start, at ten
 * evaluations and at the end. */
static const ap_schedule_costs counted = {
    .list = 8, .list_each_1000 = 1, .take = 15, .lose = 6, .look = 6, .finish = 16, .training = 225};

static ap_status simulate(const settings *set, ap_error *error) {
    int trials, groups, used = 0;
    char rates[256], *save;
    double latency_ms;
    if (sscanf(set->simulate, "%d,%d%n", &trials, &groups, &used) != 2 || set->simulate[used] || trials < 1 ||
        groups < 1 || trials > 1000000 || groups > 100000)
        return ap_fail(error, AP_USAGE, "--simulate %s (must be TRIALS,GROUPS: to 1000000 and 100000)", set->simulate);
    AP_TRY(ap_cli_number("latency-ms", set->latency_ms, 0, 1e4, &latency_ms, error));
    double *seconds = calloc((size_t)trials, sizeof *seconds);
    if (!seconds) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_schedule_lengths(seconds, trials, set->shortest, set->longest, SEED);
    double bound = ap_longest_first(seconds, trials, groups), work = 0;
    for (int i = 0; i < trials; i++) work += seconds[i];
    printf("%d trials, log-uniform %g to %g s, on %d groups; longest-first bound %.1f s, %.2f %% busy\n"
           "file operations: lists %g + %g a thousand entries, claim %g (lost %g), look %g, verdict and release %g, "
           "training %g; %g ms each without queueing\n\n",
           trials, set->shortest, set->longest, groups, bound, 100 * work / (groups * bound), counted.list,
           counted.list_each_1000, counted.take, counted.lose, counted.look, counted.finish, counted.training,
           latency_ms);
    printf("%10s %12s %8s %12s %10s %8s %12s %12s %10s\n", "ops/s", "makespan s", "busy %", "operations", "a trial",
           "lost", "server busy", "all begun s", "wait s/tr");
    snprintf(rates, sizeof rates, "%s", set->rates);
    ap_status status = AP_OK;
    double first_good = 0;
    for (char *r = strtok_r(rates, ",", &save); r && !status; r = strtok_r(NULL, ",", &save)) {
        ap_schedule_costs costs = counted;
        ap_schedule_outcome o;
        costs.operation_s = latency_ms * 1e-3;
        status = ap_cli_number("rates", r, 1, 1e9, &costs.rate, error);
        if (!status) status = ap_schedule_simulate(seconds, trials, groups, &costs, &o, error);
        if (status) break;
        printf("%10.0f %12.1f %8.2f %12.0f %10.1f %8.0f %10.2f %% %12.2f %10.3f\n", costs.rate, o.makespan_s,
               100 * o.busy, o.operations, o.operations / trials, o.lost, 100 * o.busiest, o.start_s,
               o.waited_s / trials);
        if (o.makespan_s <= 1.01 * bound && (first_good == 0 || costs.rate < first_good)) first_good = costs.rate;
    }
    if (!status && first_good > 0)
        printf("\nwithin 1 %% of the bound from %.0f operations a second on\n", first_good);
    else if (!status)
        printf("\nat none of these rates within 1 %% of the bound: fewer groups a tree, or longer trials\n");
    free(seconds);
    return status;
}

/* ---- the command */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static ap_status run_here(const settings *set, ap_error *error) {
    char directory[AP_PATH];
    int rank;
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    ap_log_open(rank, rank == 0, AP_LOG_ERROR);
    ap_status status = ap_cli_check_launch(error);
    if (!status) status = ap_path(directory, error, "%s/algoperf-schedule.XXXXXX", set->folder);
    int made = rank != 0 || (!status && mkdtemp(directory) != NULL);
    MPI_Bcast(&made, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Bcast(directory, sizeof directory, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (!status && !made) status = ap_fail(error, AP_IO, "%s: no folder can be made in it", set->folder);
    if (!status && set->claims)
        status = rank == 0 ? run_claims(set, directory, error) : AP_OK;
    else if (!status)
        status = run_sweep(set, directory, error);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0 && made) nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    MPI_Finalize();
    return status;
}

ap_status ap_bench_schedule(int argc, char **argv, ap_error *error) {
    settings set = {.folder = "/tmp", .rates = "100,300,1000,3000,10000,30000,100000", .latency_ms = "0.5"};
    const char *trials = "40", *shortest = "0.2", *longest = "5", *claims = "0";
    const ap_flag flags[] = {
        {"trials", "N", "trials of the sweep, to 64 (default 40)", &trials},
        {"shortest", "S", "lengths are log-uniform from S ... (default 0.2)", &shortest},
        {"longest", "S", "... to S seconds (default 5)", &longest},
        {"folder", "FOLDER", "where the result tree is made and removed again (default /tmp)", &set.folder},
        {"claims", "N", "no trials: N claims, one after another (one rank)", &claims},
        {"simulate", "T,G", "no sweep: a model of T trials on G groups", &set.simulate},
        {"rates", "R,...", "of the model: file operations a second that the metadata server does", &set.rates},
        {"latency-ms", "L", "of the model: time of a file operation without queueing (default 0.5)", &set.latency_ms},
        {0}};
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    AP_TRY(ap_cli_integer("trials", trials, 1, AP_JOB_ITEMS, &set.trials, error));
    AP_TRY(ap_cli_integer("claims", claims, 0, 1000000, &set.claims, error));
    AP_TRY(ap_cli_number("shortest", shortest, 0.01, 1e7, &set.shortest, error));
    AP_TRY(ap_cli_number("longest", longest, 0.01, 1e7, &set.longest, error));
    if (set.shortest > set.longest)
        return ap_fail(error, AP_USAGE, "--shortest %s (must be at most --longest %s)", shortest, longest);
    return set.simulate ? simulate(&set, error) : run_here(&set, error);
}
