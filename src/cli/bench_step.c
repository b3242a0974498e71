/* algoperf bench step: a workload's training step with the baseline (nadamw), as a trial makes it, part by part. Under
 * mpirun the ranks are one group. */
#include "cli/bench.h"
#include "cli/cli.h"

#include "base/clock.h"
#include "base/log.h"
#include "harness/pace.h"
#include "tensor/kernels/isa.h"

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const ap_command self = {"bench step",
                                "WORKLOAD[_VARIANT] [--scale S] [--batch B] [--shards N] [--steps N] [--threads N] "
                                "[--math M] [--data F] [--examples N]",
                                "time and memory of a training step, part by part", NULL, true};

typedef struct settings {
    const char *workload, *scale, *data, *math;
    int64_t batch, shards, steps, threads, examples;
} settings;

/* Kilobytes of a line of /proc/self/status; NAN if it is not there. */
static double status_bytes(const char *key) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    double kilobytes = NAN;
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key))) kilobytes = strtod(line + strlen(key) + 1, NULL);
    if (file) fclose(file);
    return kilobytes * 1024;
}

/* CPU time: what other programs take of a busy machine does not count. */
static double cpu_clock_s(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct result {
    ap_pace_parts parts;
    double median_s, thread_median_s; /* wall time and the first thread's CPU time of a step */
    double cpu_s, flops, first_loss, last_loss, peak;
    double planned_bytes, real_bytes; /* of the rank that has most */
    double parameters, memory_bytes_s;
    int64_t batch;
    int ranks, shards;
} result;

/* Every step sees other examples: losses are compared over several. */
static int64_t quarter_of(int64_t steps) {
    return steps < 4 ? 1 : steps / 4;
}

static void print(const settings *set, const result *r) {
    const ap_pace_parts *p = &r->parts;
    const double n = (double)p->steps;
    const struct {
        const char *what;
        double s;
    } rows[] = {{"waiting for data", p->data_wait_s / n},
                {"forward", p->forward_s / n},
                {"backward", (p->passes_s - p->forward_s) / n},
                {"reduction (beyond the passes)", p->exposed_s / n},
                {"update and the rest", p->update_s / n}};
    const double own = p->own_s / n, cores = (double)set->threads;
    printf("%s %s, batch %lld on %d rank%s (%d shards, %lld thread%s), math %s, kernels %s, %lld steps\n\n",
           set->workload, set->scale, (long long)r->batch, r->ranks, r->ranks == 1 ? "" : "s", r->shards,
           (long long)set->threads, set->threads == 1 ? "" : "s", set->math, ap_isa_name(ap_isa_current()),
           (long long)p->steps);
    printf("%-32s %10s %8s\n", "rank 0", "ms a step", "share");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-32s %10.2f %7.1f%%\n", rows[i].what, rows[i].s * 1e3, 100 * rows[i].s / own);
    printf("%-32s %10.2f\n%-32s %10.2f\n%-32s %10.2f\n%-32s %10.2f\n", "sum", own * 1e3, "median step, slowest rank",
           r->median_s * 1e3, "CPU time of the first thread*", r->thread_median_s * 1e3,
           "CPU time, reading ahead included", r->cpu_s / n * 1e3);
    puts("* the median of the steps, as tests/bench/torch/step.py has it; the others are means");
    const double passes = p->passes_s / n, cpu_s = set->threads == 1 ? r->thread_median_s * n : r->cpu_s;
    printf(
        "\nmatrix products and convolutions: %.2f GF a step on rank 0 as defined (those of 3x3 multiply less); %.1f "
        "GF/s over the step, %.1f %% of the fma peak (%.1f GF/s a core); %.1f GF/s, %.1f %% over the passes; %.1f %% "
        "over the CPU time\n",
        r->flops / n * 1e-9, r->flops / n / own * 1e-9, r->flops / n / own * 1e-7 / (r->peak * cores), r->peak,
        r->flops / n / passes * 1e-9, r->flops / n / passes * 1e-7 / (r->peak * cores),
        r->flops / cpu_s * 1e-7 / r->peak);
    printf("%.2f examples/s; loss %.4f -> %.4f (means of the first and the last %lld)\n",
           (double)r->batch / r->median_s, r->first_loss, r->last_loss, (long long)quarter_of(p->steps));
    if (r->ranks > 1)
        printf("gradients sent by rank 0: %.2f MiB a step, %.2f of them rows of tables; at full size: %.2f MiB\n",
               (double)(p->reduction.bytes_sent + p->table_bytes_sent) / n / 1048576,
               (double)p->table_bytes_sent / n / 1048576, 8 * r->parameters * (1 - 1.0 / r->ranks) / 1048576);
    const double moved = 24 * r->parameters, moved_s = moved / (p->update_s / n);
    printf(
        "update: %.2f GB of parameters and states read and written a step, %.1f GB/s, %.0f %% of what y += x / 2 moves "
        "on long arrays here (%.1f GB/s)\n",
        1e-9 * moved, 1e-9 * moved_s, 100 * moved_s / r->memory_bytes_s, 1e-9 * r->memory_bytes_s);
    printf("peak memory%s: planned %.1f MiB, real %.1f MiB\n", r->ranks > 1 ? " of the largest rank" : "",
           r->planned_bytes / 1048576, r->real_bytes / 1048576);
}

/* What a rank should need: the program before, parameters, optimizer state (nadamw: two more), packed weights, the
 * arrays of the gradient sum, activations of one shard. Batches and scratch are left out. */
static double planned_bytes(const ap_pace *pace, double before) {
    const ap_pace_memory m = ap_pace_get_memory(pace);
    return before + (double)sizeof(float) * (1 + 2) * m.parameters + m.packed_bytes + m.gradient_bytes +
           m.activation_bytes;
}

static ap_status measure_pace(const settings *set, ap_pace *pace, double before, result *r, ap_error *error) {
    double *step_s = malloc(2 * (size_t)set->steps * sizeof *step_s);
    if (!step_s) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %lld step times", (long long)set->steps);
    double *thread_s = step_s + set->steps;
    const double flops = ap_kernels_flops(), cpu_s = cpu_clock_s(CLOCK_PROCESS_CPUTIME_ID);
    const int64_t quarter = quarter_of(set->steps);
    ap_status status = AP_OK;
    for (int64_t i = 0; i < set->steps && !status; i++) {
        const double start = cpu_clock_s(CLOCK_THREAD_CPUTIME_ID);
        status = ap_pace_steps(pace, 1, step_s + i, error);
        thread_s[i] = cpu_clock_s(CLOCK_THREAD_CPUTIME_ID) - start;
        if (i < quarter) r->first_loss += ap_pace_loss(pace) / (double)quarter;
        if (i >= set->steps - quarter) r->last_loss += ap_pace_loss(pace) / (double)quarter;
    }
    r->flops = ap_kernels_flops() - flops;
    r->cpu_s = cpu_clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
    r->parts = ap_pace_get_parts(pace);
    r->median_s = ap_pace_quantile(step_s, set->steps, 0.5);
    r->thread_median_s = ap_pace_quantile(thread_s, set->steps, 0.5);
    r->batch = ap_pace_batch(pace);
    r->planned_bytes = planned_bytes(pace, before);
    r->parameters = ap_pace_get_memory(pace).parameters;
    r->real_bytes = status_bytes("VmHWM:");
    free(step_s);
    return status;
}

static ap_status largest_memory(ap_group *group, result *r, ap_error *error) {
    double bytes[] = {r->planned_bytes, r->real_bytes};
    AP_TRY(ap_group_max_f64(group, bytes, 2, error));
    r->planned_bytes = bytes[0], r->real_bytes = bytes[1];
    return AP_OK;
}

/* On all ranks at once, as they update. */
static ap_status memory_bandwidth(ap_group *group, result *r, ap_error *error) {
    const int64_t n = 1 << 26;
    float *x = ap_bench_filled((size_t)n), *y = ap_bench_filled((size_t)n);
    ap_status status = x && y ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for two arrays of 256 MiB");
    status = ap_group_agree(group, status, error);
    if (!status) r->memory_bytes_s = ap_bench_bandwidth(n, x, y, ap_clock_ns);
    free(x);
    free(y);
    return status;
}

/* The most shards up to 8 that the batch fills. */
static int64_t default_shards(int64_t batch) {
    int64_t shards = 8;
    while (batch && shards > batch) shards /= 2;
    return shards;
}

static ap_status measure(const settings *set, ap_error *error) {
    result r = {.shards = (int)(set->shards ? set->shards : default_shards(set->batch))};
    ap_group *group = NULL;
    ap_problem *problem = NULL;
    ap_dataset *dataset = NULL;
    ap_pace *pace = NULL;
    const double before = status_bytes("VmRSS:");
    AP_TRY(ap_group_create(MPI_COMM_WORLD, r.shards, 0, &group, error));
    ap_status status =
        ap_group_agree(group, ap_pace_problem(set->workload, set->scale, set->data, &problem, &dataset, error), error);
    if (!status) {
        if (set->examples) problem->scale.train_examples = set->examples, problem->scale.step_hint = set->steps;
        r.peak = ap_bench_fma_peak();
        const ap_pace_options options = {.group = group,
                                         .problem = problem,
                                         .dataset = dataset,
                                         .math = strcmp(set->math, "blas") ? AP_MATH_ORDERED : AP_MATH_BLAS,
                                         .threads = (int)set->threads,
                                         .global_batch = set->batch};
        status = ap_pace_open(&options, &pace, error);
        if (!status) status = measure_pace(set, pace, before, &r, error);
        if (!status) status = largest_memory(group, &r, error);
        r.ranks = ap_group_ranks(group);
        ap_pace_close(pace);
        ap_dataset_close(dataset);
        ap_problem_close(problem);
    }
    if (!status) status = memory_bandwidth(group, &r, error); /* after the rest: it takes memory */
    if (!status && ap_group_rank(group) == 0) print(set, &r);
    ap_group_destroy(group);
    return status;
}

static ap_status read_number(const char *flag, const char *text, int64_t low, int64_t high, int64_t *value,
                             ap_error *error) {
    char *end;
    *value = strtoll(text, &end, 10);
    if (*text && !*end && *value >= low && *value <= high) return AP_OK;
    return ap_fail(error, AP_USAGE, "--%s %s (must be a whole number from %lld to %lld)", flag, text, (long long)low,
                   (long long)high);
}

ap_status ap_bench_step(int argc, char **argv, ap_error *error) {
    settings set = {.scale = "mini", .math = "ordered"};
    const char *batch = "0", *shards = "0", *steps = "10", *threads = "1", *examples = "0";
    const ap_flag flags[] = {
        {"scale", "S", "scale of the workload (default mini)", &set.scale},
        {"batch", "B", "global batch (default: the published baseline's)", &batch},
        {"shards", "N", "a power of two (default 8, or fewer if the batch is smaller)", &shards},
        {"steps", "N", "steps that are timed (default 10)", &steps},
        {"threads", "N", "threads of a rank (default 1)", &threads},
        {"math", "ordered|blas", "matrix products to use (default ordered)", &set.math},
        {"data", "FILE.h5", "packed data (default: the synthetic set)", &set.data},
        {"examples", "N", "a short run: the first N examples alone, learning rates for --steps steps", &examples},
        {0}};
    char **rest;
    int count, rank;
    bool helped;
    AP_TRY(ap_cli_parse(&self, argc, argv, flags, &rest, &count, &helped, error));
    if (helped) return AP_OK;
    if (count != 1) return ap_fail(error, AP_USAGE, "algoperf bench step: name one workload; see --help");
    set.workload = rest[0];
    AP_TRY(read_number("batch", batch, 0, 1 << 24, &set.batch, error));
    AP_TRY(read_number("shards", shards, 0, 1024, &set.shards, error));
    AP_TRY(read_number("steps", steps, 1, 1 << 20, &set.steps, error));
    AP_TRY(read_number("threads", threads, 1, 1024, &set.threads, error));
    AP_TRY(read_number("examples", examples, 0, INT64_MAX, &set.examples, error));
    if (strcmp(set.math, "ordered") && strcmp(set.math, "blas"))
        return ap_fail(error, AP_USAGE, "--math = %s (must be ordered or blas)", set.math);
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    ap_log_open(rank, rank == 0, AP_LOG_WARNING);
    ap_status status = measure(&set, error);
    MPI_Finalize();
    return status;
}
