/* Provenance: what a reproducibility study needs to know of how a result came about, as a list of key = text. */
#ifndef AP_HARNESS_PROVENANCE_H
#define AP_HARNESS_PROVENANCE_H

#include "base/status.h"
#include "base/text.h"

enum { AP_PROVENANCE_ITEMS = 96 };
typedef struct ap_provenance {
    int n;
    struct {
        char key[48];
        char text[464];
    } item[AP_PROVENANCE_ITEMS];
} ap_provenance;

/* printf-like; a key that exists is replaced; the text is cleaned (ap_clean_text) and, if too long, ends in "...". An
 * item that has no place (the list is full, the key too long) is dropped, and the last item, "dropped", says so. */
void ap_provenance_set(ap_provenance *provenance, const char *key, const char *format, ...) AP_PRINTF(3, 4);
const char *ap_provenance_get(const ap_provenance *provenance, const char *key); /* NULL: not there */

/* Collects what this process can see: program version and source revision, compiler and flags, C library, kernel, host
 * name, CPU model and count and frequency governor, memory, instruction set picked, OpenBLAS version, core type and
 * threads, HDF5 version and build, MPI library version, environment (OMP_*, OPENBLAS_*, OMPI_MCA_*, ALGOPERF_*), Slurm
 * job facts (SLURM_CLUSTER_NAME, SLURM_JOB_ID, _PARTITION and _NODELIST, SLURM_NTASKS, _CPUS_PER_TASK, _RESTART_COUNT,
 * _ARRAY_*), UTC time. What
 * mpirun sets for its own ranks (OMPI_MCA_orte_*: addresses, a session key) is left out. A source tree outside git has
 * the revision "unknown". MPI facts are added by the caller; the MPI library's version needs no MPI_Init. */
void ap_provenance_collect(ap_provenance *provenance);

#endif
