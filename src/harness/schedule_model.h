/* How well groups share trials: the longest-first bound, and a discrete-event model of claims through a metadata
 * server. Pure functions.
 *
 * The model's groups behave as sweep.c: a group lists verdicts and claims, tries the first free trial in order of
 * expected length (at the start it leaves as many to the groups before it), loses when another has linked first and
 * goes on in its list, trains, writes the verdict, gives the claim back. At the end it lists again and looks at each
 * claim that is held. All file operations go through one server that serves `rate` of them a second, first come first
 * served. */
#ifndef AP_HARNESS_SCHEDULE_MODEL_H
#define AP_HARNESS_SCHEDULE_MODEL_H

#include "base/status.h"
#include <stdint.h>

/* Makespan of `n` trials on `groups` groups, each taking the longest that is left (Graham, "Bounds on multiprocessing
 * timing anomalies", 1969: within 4/3 of the best). seconds[n] in descending order. NaN: out of memory. */
double ap_longest_first(const double *seconds, int n, int groups);

/* n lengths, log-uniform in [shortest, longest], by a fixed random stream; descending. */
void ap_schedule_lengths(double *seconds, int n, double shortest, double longest, uint64_t seed);

/* How many free trials a group leaves out after it has lost `lost` claims in a row: from 0 to 2^lost - 1, another
 * number for each group. Budgets end together (longest-first makes the sums equal), and k groups that walk through one
 * list would lose k^2 / 2 claims; so they spread as in exponential backoff. */
int ap_schedule_leap(int group, int lost);

typedef struct ap_schedule_costs {
    double list, list_each_1000; /* file operations of the two listings: fixed, and more for every 1000 entries */
    double take, lose;           /* of a claim that is won, of one that is lost */
    double look;                 /* at a claim that another holds, at the end */
    double finish;               /* verdict written, claim given back */
    double training;             /* per trial: events, results, checkpoints */
    double operation_s;          /* latency of an operation, without queueing */
    double rate;                 /* operations a second that the server does */
} ap_schedule_costs;

typedef struct ap_schedule_outcome {
    double makespan_s, busy;           /* busy: share of the groups' time that trains */
    double operations, lost, waited_s; /* file operations; claims lost; waiting for the server, all groups together */
    double busiest;                    /* share of the makespan the server was busy */
    double start_s;                    /* until every group has its first trial */
} ap_schedule_outcome;

/* seconds[n] in descending order. AP_ENVIRONMENT: out of memory. */
ap_status ap_schedule_simulate(const double *seconds, int n, int groups, const ap_schedule_costs *costs,
                               ap_schedule_outcome *outcome, ap_error *error);

#endif
