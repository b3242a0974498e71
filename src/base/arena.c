#include "base/arena.h"
#include "base/checked.h"
#include "base/pages.h"

#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer what is not handed out is poisoned: use after a reset, or past the end of a piece, is found.
 */
#if defined(__SANITIZE_ADDRESS__)
#define AP_ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AP_ARENA_POISONS 1
#endif
#endif
#ifdef AP_ARENA_POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum { ALIGNMENT = 64, SMALLEST_BLOCK = 1 << 16 };

/* Positions count the bytes handed out in all blocks before, plus those of this block; the gap that was left at the end
 * of a block does not count, so the same pieces need the same positions in one merged block. Blocks after `current` are
 * empty and wait to be used again. */
typedef struct block {
    struct block *next;
    size_t start, used, capacity;
    _Alignas(ALIGNMENT) unsigned char memory[];
} block;

struct ap_arena {
    block *first, *current;
    size_t peak;
};

static block *block_create(size_t capacity) {
    size_t bytes;
    if (!ap_size_add(capacity, sizeof(block), &bytes)) return NULL;
    block *b = ap_pages_alloc(&bytes);
    if (!b) return NULL;
    *b = (block){.capacity = bytes - sizeof(block)}; /* both are multiples of ALIGNMENT */
    ASAN_POISON_MEMORY_REGION(b->memory, b->capacity);
    return b;
}

static void free_blocks(ap_arena *arena) {
    for (block *b = arena->first, *next; b; b = next) {
        next = b->next;
        ASAN_UNPOISON_MEMORY_REGION(b->memory, b->capacity);
        free(b);
    }
    arena->first = arena->current = NULL;
}

static bool round_up(size_t bytes, size_t *rounded) {
    if (!ap_size_add(bytes ? bytes : 1, ALIGNMENT - 1, rounded)) return false;
    *rounded &= ~(size_t)(ALIGNMENT - 1);
    return true;
}

ap_arena *ap_arena_create(size_t bytes) {
    ap_arena *arena = calloc(1, sizeof *arena);
    if (!arena || bytes == 0) return arena;
    size_t capacity;
    if (round_up(bytes, &capacity)) arena->first = arena->current = block_create(capacity);
    if (arena->first) return arena;
    free(arena);
    return NULL;
}

void ap_arena_destroy(ap_arena *arena) {
    if (!arena) return;
    free_blocks(arena);
    free(arena);
}

/* Makes a block with room for `bytes` current: the next waiting one, or a new one as large as all before together. */
static bool next_block(ap_arena *arena, size_t bytes) {
    block *current = arena->current;
    size_t position = current ? current->start + current->used : 0;
    if (!current || !current->next || current->next->capacity < bytes) {
        size_t capacity = position > SMALLEST_BLOCK ? position : SMALLEST_BLOCK;
        block *b = block_create(capacity > bytes ? capacity : bytes);
        if (!b) b = block_create(bytes);
        if (!b) return false;
        b->next = current ? current->next : NULL;
        *(current ? &current->next : &arena->first) = b;
    }
    arena->current = current ? current->next : arena->first;
    arena->current->start = position;
    return true;
}

void *ap_arena_take(ap_arena *arena, size_t bytes) {
    size_t rounded;
    if (!round_up(bytes, &rounded)) return NULL;
    if (!arena->current || arena->current->capacity - arena->current->used < rounded)
        if (!next_block(arena, rounded)) return NULL;
    block *b = arena->current;
    void *piece = b->memory + b->used;
    ASAN_UNPOISON_MEMORY_REGION(piece, bytes);
    b->used += rounded;
    if (b->start + b->used > arena->peak) arena->peak = b->start + b->used;
    return piece;
}

void *ap_arena_take_zeroed(ap_arena *arena, size_t bytes) {
    void *piece = ap_arena_take(arena, bytes);
    return piece ? memset(piece, 0, bytes) : NULL;
}

void ap_arena_reset(ap_arena *arena) {
    if (arena->first && arena->first->next) {
        free_blocks(arena);
        arena->first = arena->current = block_create(arena->peak); /* NULL: take tries again, and reports */
    }
    ap_arena_rewind(arena, 0);
}

size_t ap_arena_mark(const ap_arena *arena) {
    return arena->current ? arena->current->start + arena->current->used : 0;
}

void ap_arena_rewind(ap_arena *arena, size_t mark) {
    block *b = arena->first;
    if (!b) return;
    while (b->start + b->used < mark && b != arena->current) b = b->next;
    arena->current = b;
    b->used = mark - b->start;
    ASAN_POISON_MEMORY_REGION(b->memory + b->used, b->capacity - b->used);
    for (b = b->next; b; b = b->next) {
        b->used = 0;
        ASAN_POISON_MEMORY_REGION(b->memory, b->capacity);
    }
}

size_t ap_arena_peak_bytes(const ap_arena *arena) {
    return arena->peak;
}
