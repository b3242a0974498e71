#include "algorithms/share.h"

void ap_share_begin(ap_host *host, ap_share *share) {
    *share = (ap_share){.ranks = host->call->ranks(host)};
    if (share->ranks > AP_SHARE_RANKS) share->ranks = AP_SHARE_RANKS; /* the others get no work */
}

int ap_share_next(ap_share *share, double cost) {
    int best = 0;
    for (int r = 1; r < share->ranks; r++)
        if (share->load[r] < share->load[best]) best = r;
    share->load[best] += cost;
    return best;
}
