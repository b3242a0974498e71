#include "harness/provenance.h"
#include "base/clock.h"
#include "base/h5.h"
#include "build_facts.h"
#include "source_revision.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"
#include <gnu/libc-version.h>
#include <mpi.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* OpenBLAS declares these in cblas.h, which not every BLAS package has under that name. */
char *openblas_get_config(void);
int openblas_get_num_threads(void);

/* ---- the list */

enum { KEY = sizeof((ap_provenance *)0)->item[0].key, TEXT = sizeof((ap_provenance *)0)->item[0].text };

static int find(const ap_provenance *provenance, const char *key) {
    for (int i = 0; i < provenance->n; i++)
        if (!strcmp(provenance->item[i].key, key)) return i;
    return -1;
}

/* The last place belongs to the note of what did not fit, so that a full list says that it is not all. */
static void drop(ap_provenance *provenance, const char *key) {
    int last = AP_PROVENANCE_ITEMS - 1;
    long dropped = 1;
    if (provenance->n > last) dropped += strtol(provenance->item[last].text, NULL, 10);
    provenance->n = AP_PROVENANCE_ITEMS;
    snprintf(provenance->item[last].key, KEY, "dropped");
    snprintf(provenance->item[last].text, TEXT, "%ld item%s had no place here; the last was %.40s", dropped,
             dropped == 1 ? "" : "s", key);
}

void ap_provenance_set(ap_provenance *provenance, const char *key, const char *format, ...) {
    int i = find(provenance, key);
    if (i < 0) {
        if (provenance->n >= AP_PROVENANCE_ITEMS - 1 || strlen(key) >= KEY) {
            drop(provenance, key);
            return;
        }
        i = provenance->n++;
        snprintf(provenance->item[i].key, KEY, "%s", key);
        ap_clean_text(provenance->item[i].key);
    }
    char *text = provenance->item[i].text;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, TEXT, format, arguments);
    va_end(arguments);
    ap_clean_text(text);
    if (length >= TEXT) memcpy(text + TEXT - 4, "...", 4);
}

const char *ap_provenance_get(const ap_provenance *provenance, const char *key) {
    int i = find(provenance, key);
    return i < 0 ? NULL : provenance->item[i].text;
}

/* ---- the collection */

static void set_program(ap_provenance *p) {
    ap_provenance_set(p, "program_version", "%s", AP_PROGRAM_VERSION);
    ap_provenance_set(p, "source_revision", "%s", AP_SOURCE_REVISION);
    ap_provenance_set(p, "compiler", "%s", AP_COMPILER);
    ap_provenance_set(p, "compiler_flags", "%s", AP_COMPILER_FLAGS);
    ap_provenance_set(p, "build_type", "%s", AP_BUILD_TYPE);
    ap_provenance_set(p, "c_library", "glibc %s", gnu_get_libc_version());
}

static void set_libraries(ap_provenance *p) {
    ap_provenance_set(p, "instruction_set", "%s", ap_isa_name(ap_isa_current()));
    ap_provenance_set(p, "openblas", "%s", openblas_get_config());
    ap_provenance_set(p, "openblas_core", "%s", ap_blas_core());
    ap_provenance_set(p, "openblas_threads", "%d", openblas_get_num_threads());
    unsigned major = 0, minor = 0, release = 0;
    ap_h5_version(&major, &minor, &release);
#ifdef H5_HAVE_PARALLEL
    const char *build = "parallel";
#else
    const char *build = "serial";
#endif
    ap_provenance_set(p, "hdf5", "%u.%u.%u, %s build", major, minor, release, build);
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (MPI_Get_library_version(text, &length) == MPI_SUCCESS) ap_provenance_set(p, "mpi", "%s", text);
}

/* The rest of the first line of `path` that begins with `start`, "" if there is none. */
static void read_line(const char *path, const char *start, char text[TEXT]) {
    text[0] = '\0';
    FILE *file = fopen(path, "re");
    if (!file) return;
    char line[TEXT];
    while (!text[0] && fgets(line, sizeof line, file)) {
        if (strncmp(line, start, strlen(start))) continue;
        line[strcspn(line, "\n")] = '\0';
        const char *rest = line + strlen(start);
        rest += strspn(rest, " \t:");
        memcpy(text, rest, strlen(rest) + 1);
    }
    fclose(file);
}

static void set_machine(ap_provenance *p) {
    struct utsname names;
    if (!uname(&names)) {
        ap_provenance_set(p, "host", "%s", names.nodename);
        ap_provenance_set(p, "kernel", "%s %s %s", names.sysname, names.release, names.machine);
    }
    char text[TEXT];
    read_line("/proc/cpuinfo", "model name", text);
    ap_provenance_set(p, "cpu_model", "%s", text[0] ? text : "unknown");
    read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "", text);
    ap_provenance_set(p, "cpu_governor", "%s", text[0] ? text : "unknown");
    ap_provenance_set(p, "cpus", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    cpu_set_t mine; /* fails on machines with more CPUs than the set has room for: then it is left out */
    if (!sched_getaffinity(0, sizeof mine, &mine)) ap_provenance_set(p, "cpus_allowed", "%d", CPU_COUNT(&mine));
    double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    ap_provenance_set(p, "memory_GiB", "%.1f", bytes / (1024.0 * 1024.0 * 1024.0));
}

static bool begins_with_one_of(const char *text, const char *const *starts) {
    for (; *starts; starts++)
        if (!strncmp(text, *starts, strlen(*starts))) return true;
    return false;
}

/* What the user or the site set. What mpirun tells its own ranks (addresses, a session key) is left out. */
static bool is_setting(const char *variable) {
    static const char *const wanted[] = {"OMP_",
                                         "OPENBLAS_",
                                         "OMPI_MCA_",
                                         "ALGOPERF_",
                                         "SLURM_CLUSTER_NAME=",
                                         "SLURM_JOB_ID=",
                                         "SLURM_JOB_PARTITION=",
                                         "SLURM_JOB_NODELIST=",
                                         "SLURM_NTASKS=",
                                         "SLURM_CPUS_PER_TASK=",
                                         "SLURM_RESTART_COUNT=",
                                         "SLURM_ARRAY_",
                                         NULL};
    static const char *const launcher[] = {"OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_MCA_initial_wdir", NULL};
    return begins_with_one_of(variable, wanted) && !begins_with_one_of(variable, launcher);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void set_environment(ap_provenance *p) {
    size_t n = 0;
    for (char **variable = environ; variable && *variable; variable++) n += is_setting(*variable);
    char **found = malloc((n + 1) * sizeof *found);
    if (!found) {
        ap_provenance_set(p, "environment", "not collected: out of memory");
        return;
    }
    n = 0;
    for (char **variable = environ; variable && *variable; variable++)
        if (is_setting(*variable)) found[n++] = *variable;
    qsort(found, n, sizeof *found, by_text);
    for (size_t i = 0; i < n; i++) {
        size_t length = strcspn(found[i], "=");
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)length, found[i]);
        ap_provenance_set(p, key, "%s", found[i][length] ? found[i] + length + 1 : "");
    }
    free(found);
}

void ap_provenance_collect(ap_provenance *provenance) {
    char now[24];
    ap_clock_utc(now);
    ap_provenance_set(provenance, "time", "%s", now);
    set_program(provenance);
    set_libraries(provenance);
    set_machine(provenance);
    set_environment(provenance);
}
