/* `algoperf doctor`: what may spoil a run here, before it runs. A check looks at facts and adds findings; cmd_doctor.c
 * collects the facts of all ranks, calls the checks and prints. */
#ifndef AP_CLI_DOCTOR_H
#define AP_CLI_DOCTOR_H

#include "base/status.h"
#include <sched.h>
#include <stdint.h>

typedef enum ap_severity {
    AP_FINDING_OK,      /* as it should be */
    AP_FINDING_NOTE,    /* worth knowing */
    AP_FINDING_WARNING, /* runs, but slower or less safe than it could */
    AP_FINDING_PROBLEM, /* a run fails, or its results are wrong or lost */
    AP_SEVERITIES
} ap_severity;

typedef struct ap_finding {
    ap_severity severity;
    char topic[16]; /* "launch", "blas", ... */
    char text[512]; /* what, with the value seen */
    char mend[320]; /* the command that mends it; "": nothing to mend */
} ap_finding;

enum { AP_FINDINGS = 96 };
typedef struct ap_findings {
    int n, dropped;
    ap_finding item[AP_FINDINGS];
} ap_findings;

/* mend: NULL = none. */
void ap_find(ap_findings *findings, ap_severity severity, const char *topic, const char *mend, const char *format, ...)
    AP_PRINTF(5, 6);

/* What one rank knows of itself. Plain bytes: gathered as such. */
typedef struct ap_rank_facts {
    char host[64], cpu[96], isa[16], best_isa[16], isa_wish[16]; /* isa_wish: ALGOPERF_ISA, "" = not set */
    char blas_core[32], blas_best[32], blas_wish[32];            /* blas_wish: OPENBLAS_CORETYPE */
    char clock_source[32], huge_pages[32];
    bool blas_slowed, yields;                     /* yields: MPI gives the CPU away while it waits */
    int online, blas_threads, omp_threads;        /* CPUs; 0 = OMP_NUM_THREADS is not set */
    cpu_set_t allowed;                            /* by affinity */
    double quota;                                 /* CPUs by cgroup; 0 = no limit */
    int64_t memory, available, limit, limit_used; /* bytes; limit: the tightest cgroup's, 0 = none */
    int64_t shm, shm_free;                        /* bytes of /dev/shm; -1: there is none */
    int64_t clock_resolution_ns, clock_step_ns;   /* as declared; smallest step seen */
    double clock_cost_ns, skew_s, skew_error_s;   /* of a call; wall clock against rank 0's */
} ap_rank_facts;

/* Fills all but the skew. Not collective. */
void ap_doctor_facts(ap_rank_facts *facts);
/* Measures every rank's skew. Collective over the world. */
void ap_doctor_skew(ap_rank_facts *facts);

/* Checks on the facts of all ranks. Rank 0. */
void ap_doctor_launch(const ap_rank_facts *all, int ranks, ap_findings *findings);
void ap_doctor_cpu(const ap_rank_facts *all, int ranks, ap_findings *findings);
void ap_doctor_memory(const ap_rank_facts *all, int ranks, ap_findings *findings);
void ap_doctor_clock(const ap_rank_facts *all, int ranks, ap_findings *findings);
/* Slurm, from the environment and, where there is one, scontrol. MPI may not be initialised. */
void ap_doctor_slurm(int ranks, ap_findings *findings);
/* A launch that would make MPI_Init fail, or N times rank 0; true: found one. Before MPI_Init. */
bool ap_doctor_launcher_is_wrong(ap_findings *findings);

/* The result folder: kind, space, speed, and whether claims and atomic replacement work on all ranks. Makes and removes
 * a folder in it. Collective over the world; findings on rank 0. */
void ap_doctor_disk(const char *folder, ap_findings *findings);

#endif
