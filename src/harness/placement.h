/* Which ranks of a world, or which places of an allocation, form the groups of a sweep. Not collective. */
#ifndef AP_HARNESS_PLACEMENT_H
#define AP_HARNESS_PLACEMENT_H

#include "base/status.h"
#include <stdint.h>

/* host[ranks]: any numbers, equal for ranks of one host. Fills group[ranks]: groups of `per` ranks (per divides ranks),
 * first as many whole groups as fit inside each host, then groups of what is left over, host after host; any order of
 * ranks. Hosts count in the order of their first rank, and groups are numbered so. AP_ENVIRONMENT: out of memory. */
ap_status ap_place_ranks(int ranks, const uint64_t *host, int per, int *group, ap_error *error);

/* ---- groups that are worlds of their own (isolation = "step") */
typedef struct ap_node {
    char name[256];
    int cpus;
} ap_node;
typedef struct ap_allocation {
    bool slurm; /* a Slurm allocation; else this machine alone */
    int n;
    ap_node *host;
} ap_allocation;
/* The Slurm allocation this process is in (SLURM_JOB_NODELIST, SLURM_JOB_CPUS_PER_NODE), or this machine with the CPUs
 * this process may use. AP_ENVIRONMENT. Free with ap_allocation_free. */
ap_status ap_allocation_find(ap_allocation *allocation, ap_error *error);
void ap_allocation_free(ap_allocation *allocation);

typedef struct ap_group_place {
    int first_host, hosts; /* a row of hosts with ranks / hosts ranks each */
    int ranks;
} ap_group_place;
typedef struct ap_plan {
    int n;
    ap_group_place *place; /* first group of each host, then the second of each, ... */
    bool crowded;          /* more ranks than CPUs */
} ap_plan;
/* Places for groups of `per` ranks (0: as many as there are CPUs for, at most `most`) with `threads` CPUs a rank:
 * inside hosts where they fit, else over 2, 4, ... neighbouring hosts in equal parts. groups: how many; 0 = as many as
 * there are CPUs for. AP_ENVIRONMENT: not one fits; AP_USAGE: more groups than the allocation has room for (on one
 * machine they may crowd). Free place. */
ap_status ap_plan_make(const ap_allocation *allocation, int per, int most, int threads, int groups, ap_plan *plan,
                       ap_error *error);

#endif
