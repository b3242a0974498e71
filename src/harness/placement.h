/* Which ranks of a world, or which places of an allocation, form the groups of a sweep. Not collective. */
#ifndef AP_HARNESS_PLACEMENT_H
#define AP_HARNESS_PLACEMENT_H

#include "base/status.h"
#include <stdint.h>

/* host[ranks]: any numbers, equal for ranks of one host. Fills group[ranks]: groups of `per` ranks (per divides ranks),
 * first as many whole groups as fit inside each host, then groups of what is left over, host after host; any order of
 * ranks. Hosts count in the order of their first rank, and groups are numbered so. AP_ENVIRONMENT: out of memory. */
ap_status ap_place_ranks(int ranks, const uint64_t *host, int per, int *group, ap_error *error);

#endif
