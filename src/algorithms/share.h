/* Work shared out over the ranks of the group: every rank computes the same owners, does its own items, and gets the
 * others' results. Moves data only, so the number of ranks changes no bit. */
#ifndef AP_ALGORITHMS_SHARE_H
#define AP_ALGORITHMS_SHARE_H

#include "submission/submission.h"

enum { AP_SHARE_RANKS = 1024 };
/* Hands out items one by one: each to the rank with the least cost so far, the first of those. */
typedef struct ap_share {
    int ranks;
    double load[AP_SHARE_RANKS];
} ap_share;
void ap_share_begin(ap_host *host, ap_share *share);
int ap_share_next(ap_share *share, double cost); /* the item's rank */

#endif
