#include "harness/schedule_model.h"

#include "base/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- a heap of groups by the time of their next event; among equal times the lower number first */

typedef struct event {
    double time;
    int group;
} event;

static bool earlier(event a, event b) {
    return a.time < b.time || (a.time == b.time && a.group < b.group);
}

static void push(event *heap, int *n, event e) {
    int i = (*n)++;
    for (; i > 0 && earlier(e, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = e;
}

static event pop(event *heap, int *n) {
    event top = heap[0], last = heap[--*n];
    int i = 0;
    for (int child; (child = 2 * i + 1) < *n; i = child) {
        if (child + 1 < *n && earlier(heap[child + 1], heap[child])) child++;
        if (!earlier(heap[child], last)) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

/* ---- the bound */

double ap_longest_first(const double *seconds, int n, int groups) {
    event *heap = malloc((size_t)groups * sizeof *heap);
    double end = 0;
    int size = 0;
    if (!heap) return NAN;
    for (int g = 0; g < groups; g++) push(heap, &size, (event){0, g});
    for (int i = 0; i < n; i++) {
        event e = pop(heap, &size);
        e.time += seconds[i];
        if (e.time > end) end = e.time;
        push(heap, &size, e);
    }
    free(heap);
    return end;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

void ap_schedule_lengths(double *seconds, int n, double shortest, double longest, uint64_t seed) {
    ap_random stream = ap_random_stream(seed, AP_RANDOM_TUNING, 0, 0);
    for (int i = 0; i < n; i++) {
        double u = ((double)ap_random_bits(&stream, (uint64_t)i) + 0.5) / 4294967296.0;
        seconds[i] = shortest * exp(u * log(longest / shortest));
    }
    qsort(seconds, (size_t)n, sizeof *seconds, descending);
}

int ap_schedule_leap(int group, int lost) {
    const uint32_t odd = 2654435761U; /* Knuth's multiplicative hash: neighbours land far apart */
    int bits = lost < 12 ? lost : 12;
    return (int)((uint32_t)(group + 1) * odd * (uint32_t)lost >> (32 - bits));
}

/* ---- the model */

typedef enum phase { LISTING, TRYING, TRAINING, LOOKING, GONE } phase;

typedef struct group {
    phase phase;
    bool first;
    double listed; /* when its list was made */
    int at, skip;  /* place in the list; how many free ones it leaves to others */
    int lost;      /* claims since the list was made */
} group;

typedef struct model {
    const double *seconds;
    const ap_schedule_costs *costs;
    int n, groups, low; /* trials before `low` were claimed before any list that is in use */
    double *claimed;    /* [n]: when; INFINITY: not yet */
    group *group;
    event *heap;
    int events, training, first_trials;
    double server_free, served_s;
    ap_schedule_outcome out;
} model;

/* `count` operations of one group, one after another, from `now`: each waits for the server and then has its latency.
 * The server sees them as one packet, so a group's wait is that of the queue in front. Returns when they are done. */
static double operate(model *m, double now, double count) {
    double start = now > m->server_free ? now : m->server_free, service = count / m->costs->rate;
    m->server_free = start + service;
    m->served_s += service;
    m->out.operations += count;
    m->out.waited_s += start - now;
    double latency = count * m->costs->operation_s;
    return start + (latency > service ? latency : service);
}

static double listing(const model *m) {
    return m->costs->list + m->costs->list_each_1000 * m->n / 1000.0;
}

/* The next free trial in the group's list; m->n: there is none. */
static int next_free(const model *m, group *g) {
    int skip = g->skip;
    for (int i = g->at; i < m->n; i++) {
        if (m->claimed[i] <= g->listed) continue;
        if (skip-- > 0) continue;
        return i;
    }
    return m->n;
}

static void after_list(model *m, event e, group *g) {
    g->listed = e.time;
    g->lost = 0;
    g->at = m->low;
    g->at = next_free(m, g);
    bool again = g->skip > 0; /* what it has left may not all be taken */
    g->skip = 0;
    if (g->at < m->n) {
        g->phase = TRYING;
        e.time = operate(m, e.time, m->costs->take);
    } else if (again) {
        e.time = operate(m, e.time, listing(m));
    } else {
        g->phase = LOOKING;
        e.time = operate(m, e.time, listing(m) + m->costs->look * m->training);
    }
    push(m->heap, &m->events, e);
}

static void after_try(model *m, event e, group *g) {
    if (m->claimed[g->at] < e.time) { /* another was first */
        m->out.lost++;
        g->at++;
        g->skip = ap_schedule_leap(e.group, ++g->lost);
        g->at = next_free(m, g);
        if (g->at < m->n) {
            e.time = operate(m, e.time, m->costs->lose);
        } else {
            g->phase = LISTING;
            e.time = operate(m, e.time, listing(m));
        }
        push(m->heap, &m->events, e);
        return;
    }
    m->claimed[g->at] = e.time;
    if (g->first) {
        g->first = false;
        m->first_trials++;
        if (e.time > m->out.start_s) m->out.start_s = e.time;
    }
    g->phase = TRAINING;
    m->training++;
    e.time = operate(m, e.time, m->costs->training) + m->seconds[g->at];
    push(m->heap, &m->events, e);
}

static void step(model *m) {
    event e = pop(m->heap, &m->events);
    group *g = &m->group[e.group];
    if (e.time > m->out.makespan_s) m->out.makespan_s = e.time;
    while (m->low < m->n && m->claimed[m->low] < e.time - 60) m->low++; /* no list is a minute old */
    switch (g->phase) {
    case LISTING: after_list(m, e, g); break;
    case TRYING: after_try(m, e, g); break;
    case TRAINING:
        m->training--;
        g->phase = LISTING;
        e.time = operate(m, e.time, m->costs->finish + listing(m));
        push(m->heap, &m->events, e);
        break;
    case LOOKING: g->phase = GONE; break;
    case GONE: break;
    }
}

ap_status ap_schedule_simulate(const double *seconds, int n, int groups, const ap_schedule_costs *costs,
                               ap_schedule_outcome *outcome, ap_error *error) {
    model m = {.seconds = seconds, .costs = costs, .n = n, .groups = groups};
    m.claimed = malloc((size_t)n * sizeof *m.claimed);
    m.group = calloc((size_t)groups, sizeof *m.group);
    m.heap = malloc((size_t)groups * sizeof *m.heap);
    ap_status status = AP_OK;
    if (!m.claimed || !m.group || !m.heap) status = ap_fail(error, AP_ENVIRONMENT, "out of memory for the simulation");
    double work = 0;
    for (int i = 0; !status && i < n; i++) m.claimed[i] = INFINITY, work += seconds[i];
    for (int g = 0; !status && g < groups; g++) {
        m.group[g] = (group){.phase = LISTING, .first = true, .skip = g};
        push(m.heap, &m.events, (event){operate(&m, 0, listing(&m)), g});
    }
    while (!status && m.events) step(&m);
    if (!status) {
        m.out.busy = work / (groups * m.out.makespan_s);
        m.out.busiest = m.served_s / m.out.makespan_s;
        *outcome = m.out;
    }
    free(m.claimed);
    free(m.group);
    free(m.heap);
    return status;
}
