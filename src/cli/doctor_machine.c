/* What the facts of the ranks mean: launch and binding, CPU and BLAS, memory, clocks. */
#include "cli/doctor.h"

#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double GiB = 1024.0 * 1024 * 1024, MiB = 1024.0 * 1024;

void ap_find(ap_findings *findings, ap_severity severity, const char *topic, const char *mend, const char *format,
             ...) {
    if (findings->n == AP_FINDINGS) {
        findings->dropped++;
        return;
    }
    ap_finding *f = &findings->item[findings->n++];
    f->severity = severity;
    snprintf(f->topic, sizeof f->topic, "%s", topic);
    snprintf(f->mend, sizeof f->mend, "%s", mend ? mend : "");
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
}

/* ---- hosts: the first rank of each stands for it */

static bool is_first_of_host(const ap_rank_facts *all, int rank) {
    for (int r = 0; r < rank; r++)
        if (!strcmp(all[r].host, all[rank].host)) return false;
    return true;
}

static int ranks_of_host(const ap_rank_facts *all, int ranks, const char *host) {
    int n = 0;
    for (int r = 0; r < ranks; r++) n += !strcmp(all[r].host, host);
    return n;
}

static int threads_of(const ap_rank_facts *f) {
    return f->omp_threads > 0 ? f->omp_threads : 1; /* the job's `threads` decides; 1 is its default */
}

/* ---- launch, binding, oversubscription */

static void find_layout(const ap_rank_facts *all, int ranks, ap_findings *findings) {
    char list[300] = "";
    int hosts = 0;
    for (int r = 0; r < ranks; r++) {
        if (!is_first_of_host(all, r)) continue;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s %d", hosts++ ? ", " : "", all[r].host,
                 ranks_of_host(all, ranks, all[r].host));
    }
    ap_find(findings, AP_FINDING_OK, "launch", NULL, "%d rank%s on %d host%s (%s)", ranks, ranks == 1 ? "" : "s", hosts,
            hosts == 1 ? "" : "s", list);
    if (ranks & (ranks - 1))
        ap_find(findings, AP_FINDING_WARNING, "launch", "mpirun -n 1, 2, 4, 8, ... or a job with ranks_per_trial = 1",
                "%d ranks are not a power of two: a trial cannot run on all of them", ranks);
}

/* CPUs that the host's ranks may use together, by affinity and quota. */
static double usable_cpus(const ap_rank_facts *all, int ranks, int first) {
    cpu_set_t together;
    CPU_ZERO(&together);
    for (int r = first; r < ranks; r++)
        if (!strcmp(all[r].host, all[first].host)) CPU_OR(&together, &together, &all[r].allowed);
    double cpus = CPU_COUNT(&together), quota = all[first].quota;
    return quota > 0 && quota < cpus ? quota : cpus;
}

static void find_oversubscription(const ap_rank_facts *all, int ranks, int first, ap_findings *findings) {
    const ap_rank_facts *f = &all[first];
    int here = ranks_of_host(all, ranks, f->host), threads = threads_of(f);
    double cpus = usable_cpus(all, ranks, first);
    if (here * threads <= cpus) {
        ap_find(findings, AP_FINDING_OK, "cpus", NULL, "%s: %d rank%s x %d thread%s on %g of %d CPUs", f->host, here,
                here == 1 ? "" : "s", threads, threads == 1 ? "" : "s", cpus, f->online);
        return;
    }
    char mend[160];
    if (cpus < f->online && f->quota == 0)
        snprintf(mend, sizeof mend, "mpirun --bind-to none ... (or --map-by slot:PE=%d), srun --cpu-bind=none",
                 threads);
    else
        snprintf(mend, sizeof mend, "mpirun -n %d, or OMP_NUM_THREADS=1 and `threads = 1` in the job",
                 cpus >= 1 ? (int)cpus : 1);
    ap_find(findings, AP_FINDING_WARNING, "cpus", mend,
            "%s: %d ranks x %d threads share %g CPUs (of %d; affinity%s): every step waits for its slowest rank",
            f->host, here, threads, cpus, f->online, f->quota > 0 ? " and cgroup quota" : "");
    if (!f->yields)
        ap_find(findings, AP_FINDING_WARNING, "cpus", "export OMPI_MCA_mpi_yield_when_idle=1",
                "%s: more ranks than CPUs, and waiting ranks do not give theirs away", f->host);
}

/* Two ranks on one CPU while others are free, and ranks with fewer CPUs than threads. */
static void find_binding(const ap_rank_facts *all, int ranks, int first, ap_findings *findings) {
    for (int r = first; r < ranks; r++) {
        if (strcmp(all[r].host, all[first].host)) continue;
        int mine = CPU_COUNT(&all[r].allowed);
        if (mine < threads_of(&all[r]))
            ap_find(findings, AP_FINDING_WARNING, "binding", "mpirun --bind-to none, or --map-by slot:PE=THREADS",
                    "%s: rank %d has %d threads and is bound to %d CPU%s", all[r].host, r, threads_of(&all[r]), mine,
                    mine == 1 ? "" : "s");
        for (int k = first; k < r; k++) {
            if (strcmp(all[k].host, all[r].host) || !CPU_EQUAL(&all[k].allowed, &all[r].allowed)) continue;
            if (mine >= 2 * threads_of(&all[r]) || mine >= all[r].online) continue;
            ap_find(findings, AP_FINDING_WARNING, "binding", "mpirun --bind-to none, srun --cpu-bind=none",
                    "%s: ranks %d and %d are bound to the same %d of %d CPUs", all[r].host, k, r, mine, all[r].online);
            return; /* one pair tells it */
        }
    }
}

void ap_doctor_launch(const ap_rank_facts *all, int ranks, ap_findings *findings) {
    char library[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0, level = 0;
    find_layout(all, ranks, findings);
    MPI_Get_library_version(library, &length);
    MPI_Query_thread(&level);
    library[strcspn(library, ",\n")] = '\0';
    ap_find(findings, level < MPI_THREAD_FUNNELED ? AP_FINDING_PROBLEM : AP_FINDING_OK, "mpi",
            level < MPI_THREAD_FUNNELED ? "an MPI library built with thread support" : NULL, "%.100s, thread level %s",
            library,
            level == MPI_THREAD_MULTIPLE     ? "multiple"
            : level == MPI_THREAD_SERIALIZED ? "serialized"
            : level == MPI_THREAD_FUNNELED   ? "funneled"
                                             : "single");
    for (int r = 0; r < ranks; r++) {
        if (!is_first_of_host(all, r)) continue;
        find_oversubscription(all, ranks, r, findings);
        find_binding(all, ranks, r, findings);
    }
}

/* ---- CPU, instruction set, BLAS */

static void find_blas(const ap_rank_facts *f, int here, ap_findings *findings) {
    char mend[160];
    if (f->blas_slowed && *f->blas_wish)
        snprintf(mend, sizeof mend, "unset OPENBLAS_CORETYPE   (or export OPENBLAS_CORETYPE=%s)", f->blas_best);
    else
        snprintf(mend, sizeof mend, "export OPENBLAS_CORETYPE=%s", f->blas_best);
    if (f->blas_slowed)
        ap_find(findings, AP_FINDING_WARNING, "blas", mend,
                "%s: OpenBLAS runs as %s%s%s, the CPU can do %s: math = \"blas\" is slower than it could be", f->host,
                f->blas_core, *f->blas_wish ? ", set by OPENBLAS_CORETYPE=" : ", its own guess", f->blas_wish,
                f->blas_best);
    else
        ap_find(findings, AP_FINDING_OK, "blas", NULL, "%s: OpenBLAS core type %s", f->host, f->blas_core);
    if (f->blas_threads > 1 && here * f->blas_threads > f->online)
        ap_find(findings, AP_FINDING_WARNING, "blas", "export OPENBLAS_NUM_THREADS=1",
                "%s: each of %d rank%s would start %d OpenBLAS threads on %d CPUs", f->host, here, here == 1 ? "" : "s",
                f->blas_threads, f->online);
}

void ap_doctor_cpu(const ap_rank_facts *all, int ranks, ap_findings *findings) {
    for (int r = 0; r < ranks; r++) {
        const ap_rank_facts *f = &all[r];
        if (!is_first_of_host(all, r)) continue;
        bool lower = strcmp(f->isa, f->best_isa) != 0;
        ap_find(findings, lower ? AP_FINDING_WARNING : AP_FINDING_OK, "isa", lower ? "unset ALGOPERF_ISA" : NULL,
                "%s: %s, kernels use %s%s%s", f->host, *f->cpu ? f->cpu : "unknown CPU", f->isa,
                lower ? "; it could use " : "", lower ? f->best_isa : "");
        find_blas(f, ranks_of_host(all, ranks, f->host), findings);
        if (r && strcmp(f->isa, all[0].isa))
            ap_find(findings, AP_FINDING_NOTE, "isa", NULL,
                    "%s uses %s, %s uses %s: same bits, but every step waits for the slower one", f->host, f->isa,
                    all[0].host, all[0].isa);
    }
}

/* ---- memory */

static void find_memory(const ap_rank_facts *f, int here, ap_findings *findings) {
    const double little = 1 * GiB;
    double free_bytes = (double)f->available, left = (double)(f->limit - f->limit_used);
    char limit[64] = "";
    if (f->limit) {
        snprintf(limit, sizeof limit, ", cgroup limit %.1f GiB", (double)f->limit / GiB);
        if (left < free_bytes) free_bytes = left;
    }
    double each = free_bytes / here;
    ap_find(findings, each < little ? AP_FINDING_WARNING : AP_FINDING_OK, "memory",
            each < little ? "fewer ranks a host, or more memory: sbatch --mem=0, --mem-per-cpu" : NULL,
            "%s: %.1f of %.1f GiB free%s: %.2f GiB for each of %d rank%s", f->host, (double)f->available / GiB,
            (double)f->memory / GiB, limit, each / GiB, here, here == 1 ? "" : "s");
}

static void find_shm(const ap_rank_facts *f, int here, ap_findings *findings) {
    const double a_rank = 16 * MiB; /* what Open MPI's shared-memory transport takes, generously */
    if (f->shm < 0) {
        ap_find(findings, AP_FINDING_WARNING, "shm", "mount -t tmpfs tmpfs /dev/shm, or export OMPI_MCA_btl=self,tcp",
                "%s: there is no /dev/shm; ranks of a host talk over TCP or fail", f->host);
        return;
    }
    bool small = here > 1 && (double)f->shm_free < a_rank * here;
    ap_find(findings, small ? AP_FINDING_WARNING : AP_FINDING_OK, "shm",
            small ? "rm -f /dev/shm/vader_segment.* of dead runs; mount -o remount,size=1g /dev/shm (containers: "
                    "--shm-size=1g)"
                  : NULL,
            "%s: /dev/shm has %.0f of %.0f MiB free (%d rank%s want %.0f)", f->host, (double)f->shm_free / MiB,
            (double)f->shm / MiB, here, here == 1 ? "" : "s", here > 1 ? a_rank * here / MiB : 0);
}

void ap_doctor_memory(const ap_rank_facts *all, int ranks, ap_findings *findings) {
    for (int r = 0; r < ranks; r++) {
        const ap_rank_facts *f = &all[r];
        if (!is_first_of_host(all, r)) continue;
        int here = ranks_of_host(all, ranks, f->host);
        find_memory(f, here, findings);
        find_shm(f, here, findings);
        if (strstr(f->huge_pages, "[never]"))
            ap_find(findings, AP_FINDING_NOTE, "memory", "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled",
                    "%s: transparent huge pages are off; large models miss the TLB more often", f->host);
    }
}

/* ---- clocks */

void ap_doctor_clock(const ap_rank_facts *all, int ranks, ap_findings *findings) {
    const double costly_ns = 250, coarse_ns = 10000, skewed_s = 1;
    for (int r = 0; r < ranks; r++) {
        const ap_rank_facts *f = &all[r];
        if (!is_first_of_host(all, r)) continue;
        bool bad = f->clock_cost_ns > costly_ns || (double)f->clock_step_ns > coarse_ns;
        ap_find(findings, bad ? AP_FINDING_WARNING : AP_FINDING_OK, "clock",
                bad ? "boot with a working TSC: clocksource=tsc (see /sys/devices/system/clocksource/clocksource0)"
                    : NULL,
                "%s: monotonic clock %s, resolution %" PRId64 " ns, smallest step %" PRId64 " ns, %.0f ns a call",
                f->host, f->clock_source, f->clock_resolution_ns, f->clock_step_ns, f->clock_cost_ns);
        if (r == 0) continue;
        bool skewed = fabs(f->skew_s) > skewed_s + f->skew_error_s;
        ap_find(findings, skewed ? AP_FINDING_WARNING : AP_FINDING_OK, "clock",
                skewed ? "chronyc makestep   (or ntpdate; nothing is decided by it, but records tell wrong times)"
                       : NULL,
                "%s: its time of day differs from %s's by %+.6f s (+- %.6f)", f->host, all[0].host, f->skew_s,
                f->skew_error_s);
    }
}
