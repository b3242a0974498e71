/* Large pieces of memory that are walked from end to end: in 2 MiB pages where the system gives them. */
#ifndef AP_BASE_PAGES_H
#define AP_BASE_PAGES_H

#include <stddef.h>

/* At least `bytes` bytes, not cleared, aligned to 64, from 2 MiB on to a page of that size; *bytes becomes what there
 * is. free() gives them back. NULL when out of memory. */
void *ap_pages_alloc(size_t *bytes);

#endif
