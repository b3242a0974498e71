#include "base/pages.h"
#include "base/checked.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 1 << 21, LINE = 64 };

void *ap_pages_alloc(size_t *bytes) {
    const size_t unit = *bytes < HUGE_PAGE ? LINE : HUGE_PAGE;
    size_t rounded;
    if (!ap_size_add(*bytes ? *bytes : 1, unit - 1, &rounded)) return NULL;
    rounded -= rounded % unit;
    void *memory = aligned_alloc(unit, rounded);
    if (!memory) return NULL;
    if (unit == HUGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE); /* a wish: a refusal costs nothing but speed */
    *bytes = rounded;
    return memory;
}
