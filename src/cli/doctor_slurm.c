/* Launcher and scheduler: does this launch make one world of N ranks, and does Slurm do what the sweep counts on. */
#include "cli/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int number_of(const char *variable) {
    const char *value = getenv(variable);
    return value ? atoi(value) : 0;
}

/* ---- before MPI_Init */

/* Open MPI finds its world through PMIx or its own daemon; a launcher that offers neither starts N worlds of one, or
 * makes MPI_Init abort. */
bool ap_doctor_launcher_is_wrong(ap_findings *findings) {
    bool has_world = getenv("PMIX_RANK") || getenv("OMPI_COMM_WORLD_RANK");
    int step = number_of("SLURM_STEP_NUM_TASKS"), pmi = number_of("PMI_SIZE");
    if (has_world || (step <= 1 && pmi <= 1)) return false;
    const char *kind = getenv("SLURM_MPI_TYPE");
    if (step > 1)
        ap_find(findings, AP_FINDING_PROBLEM, "launch",
                "srun --mpi=pmix ...   (or export SLURM_MPI_TYPE=pmix; or mpirun inside the allocation)",
                "srun started %d tasks without PMIx (mpi type %s): MPI would abort, or every task would believe to be "
                "rank 0 of 1",
                step, kind ? kind : "by default");
    else
        ap_find(findings, AP_FINDING_PROBLEM, "launch",
                "Open MPI's own mpirun ...   (which -a mpirun), or srun --mpi=pmix",
                "another MPI's launcher started %d processes (PMI_SIZE): each would believe to be rank 0 of 1", pmi);
    return true;
}

/* ---- Slurm */

/* The value of `key` in `scontrol show config`, or "". */
static void config_value(const char *config, const char *key, char value[64]) {
    size_t n = strlen(key);
    *value = '\0';
    for (const char *line = config; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
        if (strncmp(line, key, n) || (line[n] != ' ' && line[n] != '=')) continue;
        const char *text = strchr(line, '=');
        if (!text) return;
        text += 1 + strspn(text + 1, " ");
        snprintf(value, 64, "%.*s", (int)strcspn(text, "\n"), text);
        return;
    }
}

/* Output of a command, at most 5 seconds of it; false: it failed. */
static bool output_of(const char *command, char *text, size_t size) {
    FILE *pipe = popen(command, "r");
    if (!pipe) return false;
    size_t n = fread(text, 1, size - 1, pipe);
    text[n] = '\0';
    char rest[4096];
    while (fread(rest, 1, sizeof rest, pipe)) {
    }
    return pclose(pipe) == 0;
}

static void find_config(const char *config, ap_findings *findings) {
    char kind[64], requeue[64], wait[64], preempt[64];
    config_value(config, "MpiDefault", kind);
    config_value(config, "JobRequeue", requeue);
    config_value(config, "KillWait", wait);
    config_value(config, "PreemptMode", preempt);
    bool pmix = strstr(kind, "pmix") != NULL || (getenv("SLURM_MPI_TYPE") && strstr(getenv("SLURM_MPI_TYPE"), "pmix"));
    ap_find(findings, pmix ? AP_FINDING_OK : AP_FINDING_WARNING, "slurm",
            pmix ? NULL : "srun --mpi=pmix ...   (or export SLURM_MPI_TYPE=pmix)", "MpiDefault = %s%s", kind,
            pmix ? "" : ": a bare srun does not make one world of Open MPI ranks");
    bool requeues = strcmp(requeue, "0") != 0;
    ap_find(findings, requeues ? AP_FINDING_OK : AP_FINDING_NOTE, "slurm",
            requeues ? NULL : "sbatch --requeue   (the script of slurm/submit asks for it)",
            "JobRequeue = %s, PreemptMode = %s, KillWait = %s", requeue, preempt, wait);
}

static void find_plugins(ap_findings *findings) {
    char list[4096];
    if (!output_of("timeout 5 srun --mpi=list 2>&1", list, sizeof list)) return;
    if (!strstr(list, "pmix"))
        ap_find(findings, AP_FINDING_WARNING, "slurm", "mpirun inside the allocation, or Slurm built with PMIx",
                "srun has no pmix plugin: Open MPI ranks cannot be started by srun");
}

void ap_doctor_slurm(int ranks, ap_findings *findings) {
    static char config[1 << 16];
    const char *job = getenv("SLURM_JOB_ID");
    bool there = output_of("timeout 5 scontrol show config 2>/dev/null", config, sizeof config);
    if (there) {
        find_config(config, findings);
        find_plugins(findings);
    } else if (job) {
        ap_find(
            findings, AP_FINDING_WARNING, "slurm", "scontrol ping   (is slurmctld up, is scontrol in PATH on nodes?)",
            "in job %s, but scontrol does not answer: claims of jobs that are gone cannot be told from live ones", job);
    } else {
        ap_find(findings, AP_FINDING_OK, "slurm", NULL, "no Slurm here: start ranks with mpirun");
    }
    if (!job) return;
    int tasks = number_of("SLURM_NTASKS");
    const char *nodes = getenv("SLURM_JOB_NODELIST"), *restarts = getenv("SLURM_RESTART_COUNT");
    bool alone = ranks == 1 && tasks > 1;
    ap_find(findings, alone ? AP_FINDING_WARNING : AP_FINDING_OK, "slurm",
            alone ? "srun --mpi=pmix algoperf doctor ...   (or mpirun)" : NULL, "job %s on %s, %d task%s, restart %s%s",
            job, nodes ? nodes : "?", tasks, tasks == 1 ? "" : "s", restarts ? restarts : "0",
            alone ? "; this is one process of its own: the launch is not tested" : "");
}
