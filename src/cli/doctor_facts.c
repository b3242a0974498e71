#include "cli/doctor.h"

#include "base/clock.h"
#include "base/file.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"

#include <inttypes.h>
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

int openblas_get_num_threads(void);

/* ---- small files of the kernel */

/* The rest of the first line of `path` that begins with `start`; "" if there is none. */
static void read_line(const char *path, const char *start, char *text, size_t size) {
    char line[512];
    *text = '\0';
    FILE *file = fopen(path, "re");
    if (!file) return;
    while (!*text && fgets(line, sizeof line, file)) {
        if (strncmp(line, start, strlen(start))) continue;
        line[strcspn(line, "\n")] = '\0';
        const char *rest = line + strlen(start);
        snprintf(text, size, "%s", rest + strspn(rest, " \t:"));
    }
    fclose(file);
}

static int64_t read_kib(const char *key) {
    char text[64];
    read_line("/proc/meminfo", key, text, sizeof text);
    return strtoll(text, NULL, 10) * 1024;
}

/* ---- control groups: version 2 has one tree, version 1 one a controller */

/* The path of this process in the tree of `controller` ("" = version 2). */
static void cgroup_of(const char *controller, char path[AP_PATH]) {
    char line[AP_PATH];
    *path = '\0';
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;
        if (!where) continue;
        *where++ = '\0';
        names++;
        bool found = !*controller ? !*names : false;
        for (char *save, *name = strtok_r(names, ",", &save); name && *controller; name = strtok_r(NULL, ",", &save))
            found |= !strcmp(name, controller);
        if (found) snprintf(path, AP_PATH, "%s", where);
    }
    if (file) fclose(file);
}

/* Reads `file` in the group `path` of the tree at `root` and in all groups above it, for the tightest limit. */
typedef void limit_reader(const char *group, void *user);
static void each_group(const char *root, const char *controller, limit_reader *read, void *user) {
    char path[AP_PATH], group[2 * AP_PATH];
    cgroup_of(controller, path);
    for (;;) {
        snprintf(group, sizeof group, "%s%s", root, path);
        read(group, user);
        char *slash = strrchr(path, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

static int64_t read_bytes(const char *group, const char *file) {
    char path[2 * AP_PATH + 64], text[64];
    snprintf(path, sizeof path, "%s/%s", group, file);
    read_line(path, "", text, sizeof text);
    return *text >= '0' && *text <= '9' ? strtoll(text, NULL, 10) : -1; /* "max": no limit */
}

typedef struct memory_search {
    const char *limit, *used;
    ap_rank_facts *facts;
} memory_search;

static void memory_of_group(const char *group, void *user) {
    memory_search *s = user;
    int64_t limit = read_bytes(group, s->limit);
    if (limit <= 0 || limit >= s->facts->memory) return; /* version 1 writes "no limit" as a huge number */
    if (s->facts->limit && s->facts->limit <= limit) return;
    s->facts->limit = limit;
    s->facts->limit_used = read_bytes(group, s->used);
}

static void cpu_of_group_v2(const char *group, void *user) {
    double *quota = user;
    char path[2 * AP_PATH + 64], text[64];
    long long most, period;
    snprintf(path, sizeof path, "%s/cpu.max", group);
    read_line(path, "", text, sizeof text);
    if (sscanf(text, "%lld %lld", &most, &period) != 2 || period <= 0) return;
    double cpus = (double)most / (double)period;
    if (*quota == 0 || cpus < *quota) *quota = cpus;
}

static void cpu_of_group_v1(const char *group, void *user) {
    double *quota = user;
    int64_t most = read_bytes(group, "cpu.cfs_quota_us"), period = read_bytes(group, "cpu.cfs_period_us");
    if (most <= 0 || period <= 0) return;
    double cpus = (double)most / (double)period;
    if (*quota == 0 || cpus < *quota) *quota = cpus;
}

static void read_limits(ap_rank_facts *f) {
    memory_search v2 = {"memory.max", "memory.current", f};
    memory_search v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", f};
    each_group("/sys/fs/cgroup", "", memory_of_group, &v2);
    each_group("/sys/fs/cgroup/memory", "memory", memory_of_group, &v1);
    each_group("/sys/fs/cgroup", "", cpu_of_group_v2, &f->quota);
    each_group("/sys/fs/cgroup/cpu", "cpu", cpu_of_group_v1, &f->quota);
}

/* ---- the rest */

static void read_clock(ap_rank_facts *f) {
    enum { CALLS = 20000 };
    struct timespec resolution = {0};
    clock_getres(CLOCK_MONOTONIC, &resolution);
    f->clock_resolution_ns = (int64_t)resolution.tv_sec * 1000000000 + resolution.tv_nsec;
    f->clock_step_ns = INT64_MAX;
    int64_t start = ap_clock_ns(), last = start;
    for (int i = 0; i < CALLS; i++) {
        int64_t now = ap_clock_ns();
        if (now > last && now - last < f->clock_step_ns) f->clock_step_ns = now - last;
        last = now;
    }
    f->clock_cost_ns = (double)(last - start) / CALLS;
    read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", "", f->clock_source,
              sizeof f->clock_source);
}

static void read_variable(const char *name, char *text, size_t size) {
    const char *value = getenv(name);
    snprintf(text, size, "%s", value ? value : "");
}

static bool is_set(const char *name) {
    const char *value = getenv(name);
    return value && (atoi(value) > 0 || !strcmp(value, "true"));
}

void ap_doctor_facts(ap_rank_facts *f) {
    struct statvfs shm;
    memset(f, 0, sizeof *f);
    gethostname(f->host, sizeof f->host - 1);
    read_line("/proc/cpuinfo", "model name", f->cpu, sizeof f->cpu);
    snprintf(f->isa, sizeof f->isa, "%s", ap_isa_name(ap_isa_current()));
    for (int isa = 0; isa < AP_ISA_COUNT; isa++)
        if (ap_isa_supported((ap_isa)isa)) snprintf(f->best_isa, sizeof f->best_isa, "%s", ap_isa_name((ap_isa)isa));
    read_variable("ALGOPERF_ISA", f->isa_wish, sizeof f->isa_wish);
    snprintf(f->blas_core, sizeof f->blas_core, "%s", ap_blas_core());
    snprintf(f->blas_best, sizeof f->blas_best, "%s", ap_blas_best_core());
    read_variable("OPENBLAS_CORETYPE", f->blas_wish, sizeof f->blas_wish);
    f->blas_slowed = ap_blas_is_slowed();
    f->blas_threads = openblas_get_num_threads();
    const char *threads = getenv("OMP_NUM_THREADS");
    f->omp_threads = threads ? atoi(threads) : 0;
    f->yields = is_set("OMPI_MCA_mpi_yield_when_idle") || is_set("OMPI_MCA_mpi_oversubscribe");
    f->online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof f->allowed, &f->allowed)) /* more CPUs than the set has room for */
        for (int c = 0; c < f->online && c < CPU_SETSIZE; c++) CPU_SET((size_t)c, &f->allowed);
    f->memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    f->available = read_kib("MemAvailable:");
    read_limits(f);
    f->shm = f->shm_free = -1;
    if (!statvfs("/dev/shm", &shm)) {
        f->shm = (int64_t)shm.f_blocks * (int64_t)shm.f_frsize;
        f->shm_free = (int64_t)shm.f_bavail * (int64_t)shm.f_frsize;
    }
    read_line("/sys/kernel/mm/transparent_hugepage/enabled", "", f->huge_pages, sizeof f->huge_pages);
    read_clock(f);
}

/* ---- wall clocks, by the fastest of some round trips */

static double wall_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void ap_doctor_skew(ap_rank_facts *f) {
    enum { ROUNDS = 20 };
    int rank, ranks;
    double there, skew[2];
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    for (int r = 1; r < ranks; r++) {
        skew[0] = 0, skew[1] = 1e9;
        for (int i = 0; i < ROUNDS && rank == 0; i++) {
            double start = wall_s();
            MPI_Send(NULL, 0, MPI_BYTE, r, 0, MPI_COMM_WORLD);
            MPI_Recv(&there, 1, MPI_DOUBLE, r, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            double end = wall_s();
            if (end - start < 2 * skew[1]) skew[0] = there - (start + end) / 2, skew[1] = (end - start) / 2;
        }
        for (int i = 0; i < ROUNDS && rank == r; i++) {
            MPI_Recv(NULL, 0, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            there = wall_s();
            MPI_Send(&there, 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
        }
        if (rank == 0) MPI_Send(skew, 2, MPI_DOUBLE, r, 1, MPI_COMM_WORLD);
        if (rank == r) {
            MPI_Recv(skew, 2, MPI_DOUBLE, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            f->skew_s = skew[0], f->skew_error_s = skew[1];
        }
    }
}
