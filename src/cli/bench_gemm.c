/* algoperf bench gemm: the ordered products against OpenBLAS and against what the core's fma units can do.
 *
 * OpenBLAS fixes its core type when it is loaded, so each core type runs in a copy of this program ("worker"), which
 * times one shape when it is asked to through a pipe. All stay on one core and take turns, sample by sample, so that
 * they see the same neighbours; the best sample of each counts. */
#include "base/checked.h"
#include "base/clock.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/kernel_set.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const ap_command self = {"bench gemm", "[--seconds S] [--filter TEXT] [--csv]",
                                "GF/s of ordered matrix products and of OpenBLAS on one core", NULL, false};

/* ---- shapes */

typedef struct shape {
    const char *name;
    int64_t m, n, k;
    const char *transposes;
    int batch;
    bool weight; /* B is a weight: packed once a step and used by every shard */
} shape;

/* What the workloads multiply: layers of MLP, ViT and DLRM forward (NN), their input gradients (NT) and weight
 * gradients (TN); ResNet convolutions as products; attention, head by head. */
static const shape shapes[] = {
    {"square", 1024, 1024, 1024, "NN", 1, true},
    {"square", 2048, 2048, 2048, "NN", 1, true},
    {"mlp", 256, 768, 768, "NN", 1, true},
    {"mlp dX", 256, 768, 768, "NT", 1, true},
    {"mlp dW", 768, 768, 256, "TN", 1, false},
    {"vit mlp", 788, 384, 1536, "NN", 1, true},
    {"vit mlp dX", 788, 1536, 384, "NT", 1, true},
    {"vit mlp dW", 1536, 384, 788, "TN", 1, false},
    {"dlrm top", 2048, 1024, 1024, "NN", 1, true},
    {"dlrm top dX", 2048, 1024, 1024, "NT", 1, true},
    {"dlrm top dW", 1024, 1024, 2048, "TN", 1, false},
    {"dlrm bottom", 8192, 512, 256, "NN", 1, true},
    {"dlrm bottom dX", 8192, 256, 512, "NT", 1, true},
    {"dlrm bottom dW", 256, 512, 4096, "TN", 1, false},
    {"conv5 3x3", 49, 512, 4608, "NN", 1, true},
    {"conv3 3x3", 784, 128, 1152, "NN", 1, true},
    {"conv2 3x3", 3136, 64, 576, "NN", 1, true},
    {"conv2 3x3 dX", 3136, 576, 64, "NT", 1, true},
    {"conv2 3x3 dW", 576, 64, 3136, "TN", 1, false},
    {"skinny", 16, 1024, 784, "NN", 1, true},
    {"skinny dX", 16, 784, 1024, "NT", 1, true},
    {"skinny dW", 784, 1024, 16, "TN", 1, false},
    {"attention PV", 197, 64, 197, "NN", 24, false},
    {"attention QK'", 197, 197, 64, "NT", 24, false},
    {"attention P'dO", 197, 64, 197, "TN", 24, false},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double flops(const shape *s) {
    return 2.0 * (double)s->m * (double)s->n * (double)s->k * s->batch;
}
static bool is_large(const shape *s) {
    return s->m >= 256 && s->n >= 256 && s->k >= 256;
}

/* ---- operands */

typedef struct operands {
    float *a, *b, *c, *packed;
    size_t packed_stride;
    ap_gemm_args args;
} operands;

static void free_operands(operands *o) {
    free(o->a);
    free(o->b);
    free(o->c);
    free(o->packed);
    memset(o, 0, sizeof *o);
}

static bool make_operands(const shape *s, operands *o) {
    const bool ta = s->transposes[0] == 'T', tb = s->transposes[1] == 'T';
    const size_t m = (size_t)s->m, n = (size_t)s->n, k = (size_t)s->k, batch = (size_t)s->batch;
    memset(o, 0, sizeof *o);
    o->packed_stride = ap_gemm_packed_size(s->k, s->n);
    o->a = ap_bench_filled(batch * m * k);
    o->b = ap_bench_filled(batch * k * n);
    o->c = ap_bench_filled(batch * m * n);
    o->packed = ap_bench_filled(batch * o->packed_stride);
    if (!o->a || !o->b || !o->c || !o->packed) {
        free_operands(o);
        return false;
    }
    o->args = (ap_gemm_args){.transpose_a = ta,
                             .transpose_b = tb,
                             .m = s->m,
                             .n = s->n,
                             .k = s->k,
                             .a = o->a,
                             .lda = ta ? s->m : s->k,
                             .b = o->b,
                             .ldb = tb ? s->k : s->n,
                             .c = o->c,
                             .ldc = s->n};
    for (size_t i = 0; i < batch; i++)
        ap_gemm_pack_b(tb, s->k, s->n, o->b + i * k * n, o->args.ldb, o->packed + i * o->packed_stride);
    return true;
}

static void multiply(ap_math math, bool packed, const shape *s, const operands *o) {
    if (!packed) {
        ap_gemm_batched(math, &o->args, s->batch, s->m * s->k, s->k * s->n, s->m * s->n);
        return;
    }
    for (int i = 0; i < s->batch; i++) {
        ap_gemm_args g = o->args;
        g.a += i * s->m * s->k;
        g.c += i * s->m * s->n;
        g.packed_b = o->packed + (size_t)i * o->packed_stride;
        ap_gemm(math, &g);
    }
}

static void keep_best(double *best, double seconds) {
    if (*best == 0 || seconds < *best) *best = seconds;
}

/* A sample, in seconds of one product: the best of the means of `repetitions`, over two milliseconds or at least two of
 * them: the first products, which find the caches as others left them, do not count, and on a busy machine some samples
 * fit into a time slice. */
static double time_product(ap_math math, bool packed, const shape *s, const operands *o, int repetitions) {
    double best = 0;
    const int64_t start = ap_bench_cpu_ns();
    for (int n = 0; n < 2 || ap_bench_cpu_ns() - start < 2000000; n++) {
        const int64_t before = ap_bench_cpu_ns();
        for (int i = 0; i < repetitions; i++) multiply(math, packed, s, o);
        keep_best(&best, ap_clock_s(ap_bench_cpu_ns() - before) / repetitions);
    }
    return best;
}

/* ---- workers: one OpenBLAS core type each */

enum { CORE_NAME = 32 };
typedef struct request {
    int32_t index, repetitions; /* of shapes[] */
} request;

static bool read_all(int fd, void *p, size_t n) {
    for (size_t done = 0; done < n;) {
        const ssize_t got = read(fd, (char *)p + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}
static bool write_all(int fd, const void *p, size_t n) {
    for (size_t done = 0; done < n;) {
        const ssize_t put = write(fd, (const char *)p + done, n - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        done += (size_t)put;
    }
    return true;
}

/* The worker's whole life: says its core type, then answers requests with seconds until the pipe closes. */
static ap_status serve(ap_error *error) {
    char core[CORE_NAME] = {0};
    snprintf(core, sizeof core, "%s", ap_blas_core());
    if (!write_all(STDOUT_FILENO, core, sizeof core)) return ap_fail_errno(error, AP_IO, "bench gemm worker");
    operands o = {0};
    int32_t at = -1;
    for (request r; read_all(STDIN_FILENO, &r, sizeof r);) {
        double seconds = 0; /* what a worker without memory answers */
        if (r.index < 0 || r.index >= SHAPES || r.repetitions < 1) break;
        if (r.index != at) free_operands(&o);
        if (r.index == at || make_operands(shapes + r.index, &o)) {
            at = r.index;
            seconds = time_product(AP_MATH_BLAS, false, shapes + at, &o, r.repetitions);
        }
        if (!write_all(STDOUT_FILENO, &seconds, sizeof seconds)) break;
    }
    free_operands(&o);
    return AP_OK;
}

typedef struct worker {
    const char *wanted; /* core type asked for; NULL: what the environment gives */
    char core[CORE_NAME];
    pid_t pid;
    int to, from;
    double best_s[SHAPES];
} worker;

/* The environment with another core type, and without the cache size that may go with the old one. Entries are
 * borrowed, the array and `core` are the caller's. */
static char **environment_with(char *core) {
    size_t n = 0;
    while (environ[n]) n++;
    char **copy = calloc(n + 2, sizeof *copy);
    size_t kept = 0;
    for (size_t i = 0; copy && i < n; i++)
        if (strncmp(environ[i], "OPENBLAS_CORETYPE=", 18) && strncmp(environ[i], "OPENBLAS_L2_SIZE=", 17))
            copy[kept++] = environ[i];
    if (copy) copy[kept] = core;
    return copy;
}

static int spawn(worker *w, int child_in, int child_out) {
    static char program[] = "algoperf", bench[] = "bench", gemm[] = "gemm", flag[] = "--blas-worker";
    char *const argv[] = {program, bench, gemm, flag, NULL};
    char core[64];
    snprintf(core, sizeof core, "OPENBLAS_CORETYPE=%s", w->wanted ? w->wanted : "");
    char **changed = w->wanted ? environment_with(core) : NULL;
    if (w->wanted && !changed) return ENOMEM;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, child_out, STDOUT_FILENO);
    const int failure = posix_spawn(&w->pid, "/proc/self/exe", &actions, NULL, argv, changed ? changed : environ);
    posix_spawn_file_actions_destroy(&actions);
    free(changed);
    return failure;
}

static void stop_worker(worker *w) {
    if (w->pid <= 0) return;
    close(w->to);
    close(w->from);
    waitpid(w->pid, NULL, 0);
    w->pid = 0;
}

static ap_status start_worker(worker *w, ap_error *error) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC)) return ap_fail_errno(error, AP_ENVIRONMENT, "bench gemm: pipe");
    if (pipe2(out, O_CLOEXEC)) {
        ap_fail_errno(error, AP_ENVIRONMENT, "bench gemm: pipe");
        close(in[0]);
        close(in[1]);
        return error->status;
    }
    const int failure = spawn(w, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    w->to = in[1];
    w->from = out[0];
    if (failure) {
        close(w->to);
        close(w->from);
        return ap_fail(error, AP_ENVIRONMENT, "bench gemm: starting a copy of this program: %s", strerror(failure));
    }
    if (!read_all(w->from, w->core, sizeof w->core)) {
        stop_worker(w);
        return ap_fail(error, AP_ENVIRONMENT, "bench gemm: the copy of this program for OpenBLAS core %s ended early",
                       w->wanted ? w->wanted : "of the environment");
    }
    w->core[CORE_NAME - 1] = 0;
    return AP_OK;
}

static ap_status ask_worker(worker *w, int index, int repetitions, double *seconds, ap_error *error) {
    const request r = {index, repetitions};
    if (!write_all(w->to, &r, sizeof r) || !read_all(w->from, seconds, sizeof *seconds))
        return ap_fail(error, AP_ENVIRONMENT, "bench gemm: the copy of this program for OpenBLAS core %s ended early",
                       w->core);
    if (*seconds <= 0) return ap_fail(error, AP_ENVIRONMENT, "bench gemm: out of memory for %s", shapes[index].name);
    return AP_OK;
}

/* ---- the measurement */

enum { ENVIRONMENT, CANDIDATES = 5, LEAST_ROUNDS = 6 };
typedef struct measurement {
    bool chosen[SHAPES];
    double ordered_s[SHAPES], packed_s[SHAPES];
    worker workers[CANDIDATES]; /* the first is the environment's */
    int n_workers, best;        /* the best core type in the geometric mean */
    double peak_before, peak_after;
} measurement;

static double rate(const double *seconds, int index) {
    return flops(shapes + index) / seconds[index] * 1e-9;
}

/* One sample of every way to compute shape i. The two ordered ones take turns in finding the caches cold. */
static ap_status measure_round(measurement *m, int i, int round, const operands *o, int repetitions, ap_error *error) {
    const shape *s = shapes + i;
    for (int way = 0; way < 2; way++) {
        const bool packed = (way + round) % 2;
        keep_best((packed ? m->packed_s : m->ordered_s) + i, time_product(AP_MATH_ORDERED, packed, s, o, repetitions));
    }
    for (int w = 0; w < m->n_workers; w++) {
        double seconds = 0;
        AP_TRY(ask_worker(m->workers + w, i, repetitions, &seconds, error));
        keep_best(m->workers[w].best_s + i, seconds);
    }
    return AP_OK;
}

static ap_status measure_shape(measurement *m, int i, double seconds, ap_error *error) {
    operands o;
    ap_status status = AP_OK;
    if (!make_operands(shapes + i, &o))
        return ap_fail(error, AP_ENVIRONMENT, "bench gemm: out of memory for %s", shapes[i].name);
    const double expected_s = flops(shapes + i) / (m->peak_before * 1e9);
    const int repetitions = expected_s < 1e-4 ? (int)(2e-4 / expected_s) : 1; /* the clock takes 3e-7 s */
    const int64_t start = ap_clock_ns();
    for (int n = 0; status == AP_OK && (n < LEAST_ROUNDS || ap_clock_s(ap_clock_ns() - start) < seconds); n++)
        status = measure_round(m, i, n, &o, repetitions, error);
    free_operands(&o);
    return status;
}

/* exp of the mean logarithm of over / under, over the chosen shapes; > 1: `under` is faster. */
static double geometric_mean(const measurement *m, const double *over, const double *under) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < SHAPES; i++)
        if (m->chosen[i]) sum += log(over[i] / under[i]), n++;
    return exp(sum / n);
}

static void choose_best(measurement *m) {
    for (int w = 1; w < m->n_workers; w++)
        if (geometric_mean(m, m->workers[m->best].best_s, m->workers[w].best_s) > 1) m->best = w;
}

/* All core types of OpenBLAS that can be the best for a CPU with these instructions. */
static void list_candidates(measurement *m) {
    __builtin_cpu_init();
    m->n_workers = 1;
    if (ap_isa_supported(AP_ISA_AVX2)) {
        m->workers[m->n_workers++].wanted = "Haswell";
        m->workers[m->n_workers++].wanted = "Zen";
    }
    if (ap_isa_supported(AP_ISA_AVX512)) m->workers[m->n_workers++].wanted = "SkylakeX";
    if (ap_isa_supported(AP_ISA_AVX512) && __builtin_cpu_supports("avx512bf16"))
        m->workers[m->n_workers++].wanted = "Cooperlake";
}

static ap_status measure(measurement *m, double seconds, ap_error *error) {
    int n = 0;
    for (int i = 0; i < SHAPES; i++) n += m->chosen[i];
    list_candidates(m);
    for (int w = 0; w < m->n_workers; w++) AP_TRY(start_worker(m->workers + w, error));
    m->peak_before = ap_bench_fma_peak();
    for (int i = 0; i < SHAPES; i++)
        if (m->chosen[i]) AP_TRY(measure_shape(m, i, seconds / n, error));
    m->peak_after = ap_bench_fma_peak();
    choose_best(m);
    return AP_OK;
}

/* ---- the report */

static const char *cpu_name(char name[49]) {
    memset(name, 0, 49);
    for (unsigned leaf = 0; leaf < 3; leaf++) {
        unsigned r[4];
        if (!__get_cpuid(0x80000002u + leaf, r, r + 1, r + 2, r + 3)) return "unknown CPU";
        memcpy(name + 16 * leaf, r, sizeof r);
    }
    return name;
}

static double peak(const measurement *m) {
    return fmax(m->peak_before, m->peak_after);
}

static void print_csv(const measurement *m) {
    const double *best = m->workers[m->best].best_s, *given = m->workers[ENVIRONMENT].best_s;
    printf("name,transposes,m,n,k,batch,ordered_gflops,packed_gflops,openblas_environment_gflops,openblas_best_gflops,"
           "fma_peak_gflops,openblas_environment_core,openblas_best_core\n");
    for (int i = 0; i < SHAPES; i++) {
        const shape *s = shapes + i;
        if (!m->chosen[i]) continue;
        printf("%s,%s,%ld,%ld,%ld,%d,%.2f,%.2f,%.2f,%.2f,%.2f,%s,%s\n", s->name, s->transposes, (long)s->m, (long)s->n,
               (long)s->k, s->batch, rate(m->ordered_s, i), rate(m->packed_s, i), rate(given, i), rate(best, i),
               peak(m), m->workers[ENVIRONMENT].core, m->workers[m->best].core);
    }
}

static void print_head(const measurement *m) {
    char name[49];
    printf("CPU                 %s, one core\n", cpu_name(name));
    printf("ordered kernels     %s\n", ap_isa_name(ap_isa_current()));
    printf("fma peak            %.1f GF/s before, %.1f after\n", m->peak_before, m->peak_after);
    printf("OpenBLAS cores      environment gives %s;", m->workers[ENVIRONMENT].core);
    for (int w = 1; w < m->n_workers; w++)
        printf(" %s %.3f%s", m->workers[w].core,
               geometric_mean(m, m->workers[ENVIRONMENT].best_s, m->workers[w].best_s),
               w + 1 < m->n_workers ? "," : " of its speed");
    printf("\n                    \"best\" is %s, the fastest in the geometric mean over these shapes\n\n",
           m->workers[m->best].core);
}

static void print_table(const measurement *m) {
    const double *best = m->workers[m->best].best_s, *given = m->workers[ENVIRONMENT].best_s;
    printf("%-16s %-26s %8s %8s %8s %8s %8s %8s %7s\n", "GF/s", "M x N x K", "ordered", "packed B", "OB env", "OB best",
           "ord/best", "pack/bst", "% peak");
    for (int i = 0; i < SHAPES; i++) {
        const shape *s = shapes + i;
        char extents[48], batch[16] = "";
        if (!m->chosen[i]) continue;
        if (s->batch > 1) snprintf(batch, sizeof batch, "%d x ", s->batch);
        snprintf(extents, sizeof extents, "%s%ld x %ld x %ld %s", batch, (long)s->m, (long)s->n, (long)s->k,
                 s->transposes);
        printf("%-16s %-26s %8.1f %8.1f %8.1f %8.1f %8.3f %8.3f %7.1f\n", s->name, extents, rate(m->ordered_s, i),
               rate(m->packed_s, i), rate(given, i), rate(best, i), best[i] / m->ordered_s[i], best[i] / m->packed_s[i],
               100 * rate(m->ordered_s, i) / peak(m));
    }
}

/* Smallest value of rate(seconds) / rate(reference) over the chosen (large) shapes; reference NULL: the peak. */
static double worst(const measurement *m, const double *seconds, const double *reference, int *at) {
    double least = INFINITY;
    for (int i = 0; i < SHAPES; i++) {
        if (!m->chosen[i] || (!reference && !is_large(shapes + i))) continue;
        const double ratio = reference ? reference[i] / seconds[i] : rate(seconds, i) / peak(m);
        if (ratio < least) least = ratio, *at = i;
    }
    return least;
}

static void print_aims(const measurement *m) {
    const double *best = m->workers[m->best].best_s;
    double fastest[SHAPES] = {0}, weights[SHAPES];
    for (int i = 0; i < SHAPES; i++) {
        for (int w = 0; w < m->n_workers; w++) keep_best(fastest + i, m->workers[w].best_s[i]);
        weights[i] = shapes[i].weight ? m->packed_s[i] : m->ordered_s[i];
    }
    int at = 0;
    const double mean = geometric_mean(m, best, m->packed_s), least = worst(m, m->ordered_s, best, &at);
    printf("\ngeometric mean of ordered / best OpenBLAS: %.3f; B packed beforehand: %.3f; only where B is a weight: "
           "%.3f\n",
           geometric_mean(m, best, m->ordered_s), mean, geometric_mean(m, best, weights));
    printf("against the fastest core type of each shape apart: %.3f, %.3f, %.3f\n\n",
           geometric_mean(m, fastest, m->ordered_s), geometric_mean(m, fastest, m->packed_s),
           geometric_mean(m, fastest, weights));
    printf("aim: at least 0.95 x the best OpenBLAS on every shape: %s (least %.3f, %s)\n",
           least >= 0.95 ? "met" : "NOT met", least, shapes[at].name);
    printf("aim: 1.15 x in the geometric mean with B packed: %s (%.3f)\n", mean >= 1.15 ? "met" : "NOT met", mean);
    const double share = worst(m, m->ordered_s, NULL, &at);
    if (isfinite(share))
        printf("aim: 85 %% of fma peak on large shapes (all extents at least 256): %s (least %.1f %%, %s)\n",
               share >= 0.85 ? "met" : "NOT met", 100 * share, shapes[at].name);
}

/* ---- the command */

/* To the core where this runs, if it may use several; the workers inherit it. */
static void stay_on_one_core(void) {
    cpu_set_t one;
    const int cpu = sched_getcpu();
    if (cpu < 0) return;
    CPU_ZERO(&one);
    CPU_SET((unsigned)cpu, &one);
    sched_setaffinity(0, sizeof one, &one); /* refused: noisier numbers, nothing worse */
}

static ap_status parse_seconds(const char *text, double *seconds, ap_error *error) {
    char *end;
    *seconds = strtod(text, &end);
    if (end == text || *end || !(*seconds >= 0.1 && *seconds <= 3600))
        return ap_fail(error, AP_USAGE, "bench gemm: --seconds %s (must be a number from 0.1 to 3600)", text);
    return AP_OK;
}

static ap_status choose_shapes(measurement *m, const char *filter, ap_error *error) {
    int n = 0;
    for (int i = 0; i < SHAPES; i++) {
        char text[96];
        snprintf(text, sizeof text, "%s %ldx%ldx%ld %s", shapes[i].name, (long)shapes[i].m, (long)shapes[i].n,
                 (long)shapes[i].k, shapes[i].transposes);
        m->chosen[i] = strstr(text, filter) != NULL;
        n += m->chosen[i];
    }
    if (n) return AP_OK;
    return ap_fail(
        error, AP_USAGE,
        "bench gemm: --filter \"%s\" fits no shape (names look like \"%s %ldx%ldx%ld %s\"); run without it to "
        "see all",
        filter, shapes[2].name, (long)shapes[2].m, (long)shapes[2].n, (long)shapes[2].k, shapes[2].transposes);
}

ap_status ap_bench_gemm(int argc, char **argv, ap_error *error) {
    if (argc == 2 && !strcmp(argv[1], "--blas-worker")) return serve(error);
    const char *seconds_text = "40", *filter = "", *csv = NULL;
    const ap_flag flags[] = {{"seconds", "S", "time for the whole measurement, about (default 40)", &seconds_text},
                             {"filter", "TEXT", "only shapes whose name, extents or transposes contain TEXT", &filter},
                             {"csv", NULL, "comma-separated values instead of the table", &csv},
                             {0}};
    double seconds;
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    AP_TRY(parse_seconds(seconds_text, &seconds, error));
    measurement *m = calloc(1, sizeof *m);
    if (!m) return ap_fail(error, AP_ENVIRONMENT, "bench gemm: out of memory");
    void (*const before)(int) = signal(SIGPIPE, SIG_IGN); /* a worker that died is an error text, not a signal */
    ap_status status = choose_shapes(m, filter, error);
    if (status == AP_OK) {
        stay_on_one_core();
        status = measure(m, seconds, error);
    }
    for (int w = 0; w < m->n_workers; w++) stop_worker(m->workers + w);
    signal(SIGPIPE, before);
    if (status == AP_OK && csv) print_csv(m);
    if (status == AP_OK && !csv) {
        print_head(m);
        print_table(m);
        print_aims(m);
    }
    free(m);
    return status;
}
