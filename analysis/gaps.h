/* What a complete leaderboard would have and this one has not (leaderboard rules 8). Not collective. */
#ifndef AP_ANALYSIS_GAPS_H
#define AP_ANALYSIS_GAPS_H

#include "analysis/leaderboard.h"

/* Adds one line a submission and kind of gap to board->gaps: workload folders other than base and held-out ones,
 * workloads without the full number of studies, studies without the full number of trials (one under self-tuning).
 * Full numbers: those of the published table (v05: 5 studies, v06: 3; 5 trials); for other results the largest that is
 * found. */
ap_status ap_gaps_find(ap_leaderboard *board, ap_error *error);

#endif
