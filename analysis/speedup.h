/* Speedup against a reference submission: geometric mean of the ratios of times (leaderboard rules 6). Not used for
 * ranking. Pure functions over memory; not collective. */
#ifndef AP_ANALYSIS_SPEEDUP_H
#define AP_ANALYSIS_SPEEDUP_H

#include "analysis/leaderboard.h"

typedef struct ap_speedup_term {
    double reference_time, time;           /* medians, before any rule */
    double reference_time_used, time_used; /* a miss replaced by f * budget + 1 seconds */
    double ratio;
} ap_speedup_term;

typedef struct ap_speedups {
    size_t reference;      /* submission */
    double *budget_s;      /* [bases] f * B */
    ap_speedup_term *term; /* [submissions x bases] */
    double *ratio;         /* [submissions] geometric mean of the ratios; NaN if one is */
} ap_speedups;

/* f = 1, under self-tuning 3; B = the external budget of v0.5, as the official script has it for all versions, or, for
 * a workload that v0.5 does not have, f * B = the budget of the board's own targets. A budget that nobody knows makes
 * the term of a miss NaN. The times must be seconds. The caller frees by ap_speedups_free. */
ap_status ap_speedups_compute(const ap_leaderboard *board, size_t reference, ap_speedups *speedups, ap_error *error);
void ap_speedups_free(ap_speedups *speedups);

#endif
