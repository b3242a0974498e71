#include "harness/placement.h"

#include "base/child.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ranks of each host in a row: order[] sorted by the host's first rank, then by rank. */
typedef struct slot {
    uint64_t host;
    int rank, first; /* first: the lowest rank of this host */
} slot;

static int by_host(const void *a, const void *b) {
    const slot *x = a, *y = b;
    if (x->host != y->host) return x->host < y->host ? -1 : 1;
    return x->rank - y->rank;
}
static int by_first_rank(const void *a, const void *b) {
    const slot *x = a, *y = b;
    return x->first != y->first ? x->first - y->first : x->rank - y->rank;
}

ap_status ap_place_ranks(int ranks, const uint64_t *host, int per, int *group, ap_error *error) {
    slot *order = malloc((size_t)ranks * sizeof *order);
    if (!order) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the places of %d ranks", ranks);
    for (int r = 0; r < ranks; r++) order[r] = (slot){.host = host[r], .rank = r};
    qsort(order, (size_t)ranks, sizeof *order, by_host);
    for (int i = 0; i < ranks; i++)
        order[i].first = i > 0 && order[i].host == order[i - 1].host ? order[i - 1].first : order[i].rank;
    qsort(order, (size_t)ranks, sizeof *order, by_first_rank);
    int placed = 0; /* ranks in groups so far; a group is complete at every multiple of `per` */
    for (int left_over = 0; left_over < 2; left_over++)
        for (int begin = 0, end; begin < ranks; begin = end) {
            for (end = begin; end < ranks && order[end].first == order[begin].first; end++) {
            }
            int whole = begin + (end - begin) / per * per;
            for (int i = left_over ? whole : begin; i < (left_over ? end : whole); i++)
                group[order[i].rank] = placed++ / per;
        }
    free(order);
    return AP_OK;
}

/* ---- what there is */

static ap_status no_memory(ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of hosts");
}

static ap_status this_machine(ap_allocation *a, ap_error *error) {
    cpu_set_t mine;
    a->host = calloc(1, sizeof *a->host);
    if (!a->host) return no_memory(error);
    a->n = 1;
    gethostname(a->host[0].name, sizeof a->host[0].name - 1);
    bool known = sched_getaffinity(0, sizeof mine, &mine) == 0; /* fails beyond 1024 CPUs */
    a->host[0].cpus = known ? CPU_COUNT(&mine) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    return AP_OK;
}

/* "4(x2),8": CPUs of the hosts in order. Returns how many hosts it speaks of, -1 if it cannot be read. */
static int read_cpus(const char *text, ap_node *host, int n) {
    int at = 0;
    while (*text) {
        char *end;
        long cpus = strtol(text, &end, 10), times = 1;
        if (end == text || cpus < 1 || cpus > 1 << 20) return -1;
        if (end[0] == '(' && end[1] == 'x') {
            times = strtol(end + 2, &end, 10);
            if (*end++ != ')' || times < 1) return -1;
        }
        for (; times > 0; times--, at++)
            if (at < n) host[at].cpus = (int)cpus;
        if (*end == ',')
            end++;
        else if (*end)
            return -1;
        text = end;
    }
    return at;
}

static ap_status slurm_hosts(const char *nodes, ap_allocation *a, ap_error *error) {
    enum { OUTPUT = 1 << 20 };
    const char *cpus = getenv("SLURM_JOB_CPUS_PER_NODE");
    char *output = malloc(OUTPUT), *rest = output;
    int code;
    if (!output) return no_memory(error);
    ap_status status = ap_child_output((const char *const[]){"scontrol", "show", "hostnames", nodes, NULL}, 60, output,
                                       OUTPUT, &code, error);
    if (!status && code)
        status = ap_fail(error, AP_ENVIRONMENT, "`scontrol show hostnames %s` failed: %.200s", nodes, output);
    for (char *name; !status && (name = strsep(&rest, "\n"));) {
        ap_node *more = *name ? realloc(a->host, ((size_t)a->n + 1) * sizeof *more) : NULL;
        if (!*name) continue;
        if (!more) {
            status = no_memory(error);
            break;
        }
        a->host = more;
        a->host[a->n] = (ap_node){0};
        snprintf(a->host[a->n++].name, sizeof more->name, "%s", name);
    }
    free(output);
    if (!status && (!cpus || read_cpus(cpus, a->host, a->n) != a->n))
        status = ap_fail(error, AP_ENVIRONMENT,
                         "SLURM_JOB_CPUS_PER_NODE = %s does not fit the %d hosts of SLURM_JOB_NODELIST = %s",
                         cpus ? cpus : "(unset)", a->n, nodes);
    return status;
}

ap_status ap_allocation_find(ap_allocation *allocation, ap_error *error) {
    const char *job = getenv("SLURM_JOB_ID"), *nodes = getenv("SLURM_JOB_NODELIST");
    *allocation = (ap_allocation){.slurm = job && *job && nodes && *nodes};
    ap_status status = allocation->slurm ? slurm_hosts(nodes, allocation, error) : this_machine(allocation, error);
    if (status) ap_allocation_free(allocation);
    return status;
}

void ap_allocation_free(ap_allocation *allocation) {
    free(allocation->host);
    *allocation = (ap_allocation){0};
}

/* ---- groups in it */

static ap_status add_place(ap_plan *plan, ap_group_place place, ap_error *error) {
    ap_group_place *more = realloc(plan->place, ((size_t)plan->n + 1) * sizeof *more);
    if (!more) return no_memory(error);
    plan->place = more;
    plan->place[plan->n++] = place;
    return AP_OK;
}

/* Groups over `hosts` hosts with `part` ranks on each. */
static ap_status place_parts(const ap_allocation *a, int hosts, int part, int threads, ap_plan *plan, ap_error *error) {
    if (hosts == 1) { /* several may share a host */
        bool more = true;
        for (int turn = 1; more; turn++) {
            more = false;
            for (int h = 0; h < a->n; h++)
                if (a->host[h].cpus / threads >= turn * part) {
                    AP_TRY(add_place(plan, (ap_group_place){h, 1, part}, error));
                    more = true;
                }
        }
        return AP_OK;
    }
    for (int h = 0; h + hosts <= a->n;) {
        int fits = 0;
        while (fits < hosts && a->host[h + fits].cpus / threads >= part) fits++;
        if (fits == hosts) AP_TRY(add_place(plan, (ap_group_place){h, hosts, hosts * part}, error));
        h += fits == hosts ? hosts : fits + 1;
    }
    return AP_OK;
}

static ap_status place_groups(const ap_allocation *a, int per, int threads, ap_plan *plan, ap_error *error) {
    for (int hosts = 1; hosts <= per && hosts <= a->n && plan->n == 0; hosts *= 2)
        AP_TRY(place_parts(a, hosts, per / hosts, threads, plan, error));
    return AP_OK;
}

/* More groups than CPUs, on one machine. */
static ap_status crowd(int per, int groups, ap_plan *plan, ap_error *error) {
    plan->crowded = true;
    while (plan->n < groups) AP_TRY(add_place(plan, (ap_group_place){0, 1, per}, error));
    return AP_OK;
}

ap_status ap_plan_make(const ap_allocation *allocation, int per, int most, int threads, int groups, ap_plan *plan,
                       ap_error *error) {
    *plan = (ap_plan){0};
    if (per > 0) {
        AP_TRY(place_groups(allocation, per, threads, plan, error));
    } else { /* one group of all */
        for (per = most; per > 1 && plan->n == 0; per /= 2) {
            AP_TRY(place_groups(allocation, per, threads, plan, error));
            if (plan->n) break;
        }
        if (!plan->n) AP_TRY(place_groups(allocation, per, threads, plan, error));
        if (plan->n > 1) plan->n = 1;
    }
    if (!allocation->slurm && plan->n < (groups > 0 ? groups : 1))
        return crowd(per, groups > 0 ? groups : 1, plan, error);
    if (plan->n == 0)
        return ap_fail(error, AP_ENVIRONMENT,
                       "no place for a group of ranks_per_trial = %d with threads = %d in this allocation of %d host%s "
                       "(the first, %s, has %d CPUs): ask Slurm for more CPUs, or lower one of the two",
                       per, threads, allocation->n, allocation->n == 1 ? "" : "s", allocation->host[0].name,
                       allocation->host[0].cpus);
    if (groups > plan->n)
        return ap_fail(error, AP_USAGE,
                       "--groups = %d, but the allocation has CPUs for %d groups of %d rank%s with %d thread%s each",
                       groups, plan->n, per, per == 1 ? "" : "s", threads, threads == 1 ? "" : "s");
    if (groups > 0) plan->n = groups;
    return AP_OK;
}
