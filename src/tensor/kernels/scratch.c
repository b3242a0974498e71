#include "base/checked.h"
#include "base/pages.h"
#include "tensor/kernels/blocking.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

enum { SMALLEST = 1 << 21 /* bytes: one large page */, SPARE = 64 /* floats: packing writes whole vectors */ };

typedef struct slot {
    float *p;
    size_t floats;
} slot;
static _Thread_local slot slots[AP_SCRATCH_COUNT];

/* A thread that ends gives its scratch back: OpenMP ends threads when it wants fewer. */
static tss_t at_thread_exit;
static bool has_at_thread_exit;
static void free_slots(void *p) {
    for (slot *s = p; s < (slot *)p + AP_SCRATCH_COUNT; s++) {
        free(s->p);
        *s = (slot){0};
    }
}
static void make_at_thread_exit(void) {
    has_at_thread_exit = tss_create(&at_thread_exit, free_slots) == thrd_success;
}

float *ap_scratch(int which, size_t floats) {
    static once_flag once = ONCE_FLAG_INIT;
    slot *s = slots + which;
    if (s->p && s->floats >= floats) return s->p;
    size_t bytes;
    if (!ap_size_add(floats, SPARE, &bytes) || !ap_size_mul(bytes, sizeof(float), &bytes)) return NULL;
    if (bytes < SMALLEST) bytes = SMALLEST;
    call_once(&once, make_at_thread_exit);
    if (!has_at_thread_exit || tss_set(at_thread_exit, slots) != thrd_success) return NULL;
    free(s->p);
    s->p = ap_pages_alloc(&bytes);
    if (!s->p) return NULL;
    memset(s->p, 0, bytes);
    s->floats = bytes / sizeof(float) - SPARE;
    return s->p;
}
