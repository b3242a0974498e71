/* The ranks that prepare a data set together: who makes which part, progress, and what happens when one fails. Without
 * MPI_Init (no launcher) the crew is this process. Any number of ranks. */
#ifndef AP_CLI_PREPARE_CREW_H
#define AP_CLI_PREPARE_CREW_H

#include "data/prepare.h"

int ap_crew_rank(void);
int ap_crew_ranks(void);
/* Collective. All ranks return the status and the text of the lowest rank that failed; AP_OK if none did. */
ap_status ap_crew_agree(ap_status status, ap_error *error);

typedef struct ap_crew_totals {
    int64_t parts, bytes; /* of this call */
    int64_t reused;       /* parts that were there */
    int64_t examples, skipped, left_out;
    double seconds;
} ap_crew_totals;
/* Collective: packs the plan's input into target->to. *there: it was there already, from the same input. Ranks must see
 * the same input and the same output folder (AP_ENVIRONMENT, AP_IO). When a rank fails the others stop within a
 * second, the parts that are whole stay, and every rank returns the failure. *totals on rank 0. */
ap_status ap_crew_prepare(const ap_prepare_target *target, const ap_prepare_plan *plan, bool *there,
                          ap_crew_totals *totals, ap_error *error);

#endif
