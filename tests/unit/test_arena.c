/* base/arena: alignment, growth, merge, marks, and that a second equal pass asks malloc for nothing. */
#include "base/arena.h"
#include "check.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>

static bool aligned(const void *p) {
    return ((uintptr_t)p & 63) == 0;
}

/* A pass of odd sizes that fills each piece with its number and looks whether the others kept theirs. */
static void pass(ap_arena *arena, int n) {
    unsigned char *piece[64];
    for (int i = 0; i < n; i++) {
        size_t bytes = 1 + (size_t)(i * i) * 300;
        piece[i] = ap_arena_take(arena, bytes);
        CHECK(piece[i] && aligned(piece[i]));
        memset(piece[i], i, bytes);
    }
    for (int i = 0; i < n; i++) {
        size_t bytes = 1 + (size_t)(i * i) * 300;
        CHECK(piece[i][0] == i && piece[i][bytes - 1] == i);
    }
}

static void test_pieces_are_aligned_and_apart(void) {
    for (size_t first = 0; first < 3000; first += 999) {
        ap_arena *arena = ap_arena_create(first);
        pass(arena, 40);
        ap_arena_destroy(arena);
    }
}

static void test_zero_bytes_and_zeroed(void) {
    ap_arena *arena = ap_arena_create(256);
    void *a = ap_arena_take(arena, 0), *b = ap_arena_take(arena, 0);
    CHECK(a && b && a != b);
    memset(ap_arena_take(arena, 100), 0xff, 100);
    ap_arena_reset(arena);
    unsigned char *z = ap_arena_take_zeroed(arena, 200);
    for (int i = 0; i < 200; i++) CHECK_INT(z[i], 0);
    ap_arena_destroy(arena);
}

static size_t bytes_from_malloc(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_second_pass_allocates_nothing(void) {
    ap_arena *arena = ap_arena_create(0);
    pass(arena, 50);
    ap_arena_reset(arena);
    void *first = ap_arena_take(arena, 1);
    size_t before = bytes_from_malloc();
    for (int i = 0; i < 10; i++) {
        ap_arena_reset(arena);
        pass(arena, 50);
        CHECK_INT(bytes_from_malloc(), before);
    }
    ap_arena_reset(arena);
    CHECK(ap_arena_take(arena, 1) == first); /* still the one merged block */
    ap_arena_destroy(arena);
}

static void test_rewind_gives_the_same_memory_again(void) {
    ap_arena *arena = ap_arena_create(1024);
    char *kept = ap_arena_take(arena, 100);
    strcpy(kept, "kept");
    size_t mark = ap_arena_mark(arena);
    void *once = ap_arena_take(arena, 300);
    for (int i = 0; i < 20; i++) ap_arena_take(arena, 100000); /* into further blocks */
    ap_arena_rewind(arena, mark);
    CHECK_INT(ap_arena_mark(arena), mark);
    CHECK(ap_arena_take(arena, 300) == once);
    CHECK(strcmp(kept, "kept") == 0);
    ap_arena_destroy(arena);
}

static void test_rewind_in_a_loop_allocates_once(void) {
    ap_arena *arena = ap_arena_create(64);
    ap_arena_take(arena, 64);
    size_t before = 0;
    for (int i = 0; i < 50; i++) {
        size_t mark = ap_arena_mark(arena);
        for (int k = 0; k < 4; k++) CHECK(ap_arena_take(arena, 70000) != NULL);
        ap_arena_rewind(arena, mark);
        if (i == 0) before = bytes_from_malloc();
    }
    CHECK_INT(bytes_from_malloc(), before);
    ap_arena_destroy(arena);
}

static void test_nested_marks_over_blocks(void) {
    ap_arena *arena = ap_arena_create(0);
    size_t marks[30];
    unsigned char *piece[30];
    for (int i = 0; i < 30; i++) {
        marks[i] = ap_arena_mark(arena);
        piece[i] = ap_arena_take(arena, 9000);
        memset(piece[i], i, 9000);
    }
    for (int i = 29; i >= 0; i--) {
        for (int k = 0; k <= i; k++) CHECK(piece[k][8999] == k);
        ap_arena_rewind(arena, marks[i]);
        CHECK_INT(ap_arena_mark(arena), marks[i]);
    }
    CHECK_INT(ap_arena_mark(arena), 0);
    ap_arena_destroy(arena);
}

static void test_peak_counts_what_was_out_at_once(void) {
    ap_arena *arena = ap_arena_create(0);
    CHECK_INT(ap_arena_peak_bytes(arena), 0);
    ap_arena_take(arena, 64);
    size_t mark = ap_arena_mark(arena);
    ap_arena_take(arena, 1000); /* 1024 with its alignment */
    ap_arena_rewind(arena, mark);
    ap_arena_take(arena, 128);
    CHECK_INT(ap_arena_peak_bytes(arena), 64 + 1024);
    ap_arena_destroy(arena);
}

/* AddressSanitizer's malloc ends the program where others return NULL. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void test_impossible_sizes_are_refused(void) {
    ap_arena *arena = ap_arena_create(128);
    CHECK(ap_arena_take(arena, SIZE_MAX) == NULL);
    CHECK(ap_arena_take(arena, SIZE_MAX - 100) == NULL);
    CHECK(ap_arena_take(arena, (size_t)1 << 62) == NULL);
    CHECK(ap_arena_take(arena, 64) != NULL);
    ap_arena_destroy(arena);
    ap_arena_destroy(NULL);
}

AP_TEST_MAIN(test_pieces_are_aligned_and_apart, test_zero_bytes_and_zeroed, test_second_pass_allocates_nothing,
             test_rewind_gives_the_same_memory_again, test_rewind_in_a_loop_allocates_once,
             test_nested_marks_over_blocks, test_peak_counts_what_was_out_at_once, test_impossible_sizes_are_refused)
