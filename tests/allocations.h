/* Counts allocations of the code under test: link the program with the options in ap_count_allocations
 * (unit/tensor.cmake); the linker then sends every call in our own objects through these functions. Works under the
 * sanitizers too. */
#ifndef AP_TESTS_ALLOCATIONS_H
#define AP_TESTS_ALLOCATIONS_H

#include <errno.h>
#include <stddef.h>

static long allocations;           /* calls so far */
static long allocations_left = -1; /* from 0 on every allocation fails; negative: none does */

static int allocation_fails(void) {
    allocations++;
    if (allocations_left > 0) allocations_left--;
    return allocations_left == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
    return allocation_fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size) {
    return allocation_fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *old, size_t size) {
    return allocation_fails() ? NULL : __real_realloc(old, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return allocation_fails() ? NULL : __real_aligned_alloc(alignment, size);
}
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    return allocation_fails() ? ENOMEM : __real_posix_memalign(memory, alignment, size);
}

#endif
