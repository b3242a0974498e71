/* Arena: memory that is handed out in order and taken back all at once, for what lives as long as one shard's pass.
 *
 * It grows by chaining blocks, and after a reset merges them into one, so from the second pass on a pass of the same
 * size allocates nothing (the promise of "no malloc in the timed step"; a test counts). Not thread-safe. */
#ifndef AP_BASE_ARENA_H
#define AP_BASE_ARENA_H

#include <stddef.h>

typedef struct ap_arena ap_arena;

/* NULL when out of memory. `bytes`: first block, 0 = none until needed. */
ap_arena *ap_arena_create(size_t bytes);
void ap_arena_destroy(ap_arena *arena); /* NULL is fine */

/* Memory aligned to 64 bytes, not cleared, owned by the arena until reset or destroy. NULL when out of memory. */
void *ap_arena_take(ap_arena *arena, size_t bytes);
void *ap_arena_take_zeroed(ap_arena *arena, size_t bytes);

/* Takes back everything handed out. Keeps (and merges) the blocks. */
void ap_arena_reset(ap_arena *arena);

/* Marks a point; rewind takes back all that was handed out after it. */
size_t ap_arena_mark(const ap_arena *arena);
void ap_arena_rewind(ap_arena *arena, size_t mark);

size_t ap_arena_peak_bytes(const ap_arena *arena);

#endif
