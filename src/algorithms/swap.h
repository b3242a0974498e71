/* Algorithms that evaluate other weights than they train (averages, slow weights): prepare_for_eval puts those into the
 * parameters, the next update takes the training weights back. Both sets survive a checkpoint in between. Functions
 * return false after `fail`. */
#ifndef AP_ALGORITHMS_SWAP_H
#define AP_ALGORITHMS_SWAP_H

#include "submission/submission.h"

/* In init_optimizer_state. */
bool ap_swap_init(ap_host *host);
/* The parameters become `state`; the training weights are kept. Again before the next update: `state` as it is now. */
bool ap_swap_in(ap_host *host, const char *state);
/* At the start of update_params: the training weights, if they were swapped. */
bool ap_swap_back(ap_host *host);

#endif
