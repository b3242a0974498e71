#include "tensor/kernels/gemm.h"
#include "base/checked.h"
#include "tensor/kernels/blas.h"
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/kernel_set.h"
#include <math.h>
#include <string.h>

/* Structure after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), and BLIS, turned
 * to row-major: B is packed, KC of k by NC of columns at a time, into panels two vectors wide ([panel][k][width]), or
 * comes packed; C is walked in blocks of MC rows, panel by panel, tile by tile; a micro-kernel (gemm_tile.inc) keeps a
 * tile of C in registers. A block of k continues the chains that the one before left in C, which rounds nothing.
 *
 * What decided the speed, in the order of what it brought (one core of a Zen 5 with AVX-512):
 *   - tiles of equal height and one kernel for each height: 197 rows are 15 tiles of 13 or 14, not 14 of 14 and one of
 * 1;
 *   - KC = 1024 and not 256: another pass over C costs more than a panel of B in L1 saves (+10 %);
 *   - A is not packed, a broadcast reads anything, except for a long k and many panels;
 *   - the next panel of B is prefetched from L3 to L2 while a tile is computed (2048^3: +9 %);
 *   - packing in strips of 16 rows across all panels touches few pages at a time. */
enum {
    KC = 1024,  /* steps of k: a panel of KC x 32 floats streams from L2 */
    MC = 112,   /* rows: MC x KC of A stays in L2 */
    NC = 1024,  /* columns: KC x NC of B stays in L3 */
    STRIP = 16, /* rows packed at a time */
    FEW = 2,    /* up to FEW tall tiles of rows, B is read where it lies: each element is used too rarely to pack */
    LIE = 16,   /* up to LIE panels, A is read where it lies */
};

/* ---- the definition */

void ap_gemm_reference(const ap_gemm_args *g) {
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            float c = g->accumulate ? g->c[i * g->ldc + j] : 0.0f;
            for (int64_t k = 0; k < g->k; k++) {
                const float a = g->transpose_a ? g->a[k * g->lda + i] : g->a[i * g->lda + k];
                const float b = g->transpose_b ? g->b[j * g->ldb + k] : g->b[k * g->ldb + j];
                c = fmaf(a, b, c);
            }
            g->c[i * g->ldc + j] = c;
        }
}

/* ---- packing */

/* Rows are too short, or too many, for the hardware to see a stream in them (attention, 64 long: +3 % from memory). */
static void prefetch_rows(int rows, int64_t count, const float *p, int64_t ld) {
    for (int i = 0; i < rows; i++)
        for (int64_t k = 0; k < count; k += 16) __builtin_prefetch(p + i * ld + k, 0, 2);
}

/* Panel j / width at out + j * k: [k][width]. Columns behind the last are not written and not read. */
static void pack_panels(const ap_gemm_kernels *kernels, bool transpose_b, int64_t k, int64_t n, const float *b,
                        int64_t ldb, float *out) {
    const int width = kernels->width;
    const float *row[AP_GEMM_MAX_WIDTH];
    for (int64_t k0 = 0; k0 < k; k0 += transpose_b ? k : STRIP)
        for (int64_t j = 0; j < n; j += width) {
            const int columns = (int)ap_smaller(n - j, width);
            if (!transpose_b) {
                kernels->pack_columns(columns, ap_smaller(k - k0, STRIP), b + k0 * ldb + j, ldb,
                                      out + j * k + k0 * width, width);
                continue;
            }
            for (int i = 0; i < columns; i++) row[i] = b + (j + i) * ldb;
            if (columns == width) prefetch_rows(width, ap_smaller(k, 64), b + (j + width) * ldb, ldb);
            kernels->pack_rows(columns, k, row, out + j * k, width);
        }
}

/* The tiles of a block of A one behind the other, each [k][rows]; tile t at tile_of(block, its first row, t). */
static float *tile_of(float *block, int64_t k, int64_t first_row, int64_t t) {
    return block + first_row * k + STRIP * t; /* STRIP: packing writes whole vectors */
}
static void pack_tiles(const ap_gemm_kernels *kernels, bool transpose_a, int64_t rows, int64_t tiles, int64_t k,
                       const float *a, int64_t lda, float *out) {
    const float *row[AP_GEMM_MAX_ROWS];
    for (int64_t k0 = 0; k0 < k; k0 += transpose_a ? STRIP : k)
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t i = ap_cut(rows, tiles, t);
            const int height = (int)(ap_cut(rows, tiles, t + 1) - i);
            float *tile = tile_of(out, k, i, t);
            if (transpose_a) {
                kernels->pack_columns(height, ap_smaller(k - k0, STRIP), a + k0 * lda + i, lda, tile + k0 * height,
                                      height);
                continue;
            }
            for (int r = 0; r < height; r++) row[r] = a + (i + r) * lda;
            kernels->pack_rows(height, k, row, tile, height);
        }
}

size_t ap_gemm_packed_size(int64_t k, int64_t n) {
    const int width = ap_kernels_current()->gemm.width;
    return (size_t)k * (size_t)(ap_quotient_up(n, width) * width);
}

void ap_gemm_pack_b(bool transpose_b, int64_t k, int64_t n, const float *b, int64_t ldb, float *packed) {
    pack_panels(&ap_kernels_current()->gemm, transpose_b, k, n, b, ldb, packed);
}

/* ---- one thread */

/* B as the kernels read it: panel j / width at p + j / width * panel, rows of ld floats. Packed, or row-major where it
 * lies (panel = width). */
typedef struct panels {
    const float *p;
    int64_t ld, panel;
} panels;

/* A block of at most MC rows by one block of k: g->m, g->k, g->a, g->c are the block's. */
static void multiply_block(const ap_gemm_kernels *kernels, const ap_gemm_args *g, panels b, float *packed_a) {
    const int64_t tiles = ap_quotient_up(g->m, kernels->rows);
    if (packed_a) pack_tiles(kernels, g->transpose_a, g->m, tiles, g->k, g->a, g->lda, packed_a);
    ap_gemm_kernel *const(*table)[AP_GEMM_MAX_ROWS + 1] =
        packed_a || g->transpose_a ? kernels->by_column : kernels->by_row;
    const int64_t height = g->m / tiles, taller = g->m % tiles; /* as ap_cut() does */
    ap_gemm_tile tile = {
        .runs = 1, .k = g->k, .lda = g->lda, .b = b.p, .ldb = b.ld, .ldc = g->ldc, .first = !g->accumulate};
    for (int64_t j = 0; j < g->n; j += kernels->width, tile.b += b.panel) {
        tile.columns = (int)ap_smaller(g->n - j, kernels->width);
        ap_gemm_kernel *const *kernel = table[tile.columns > kernels->vector];
        for (int64_t t = 0, i = 0, rows; t < tiles; t++, i += rows) {
            rows = height + (t < taller);
            tile.a = g->a + (g->transpose_a ? i : i * g->lda);
            if (packed_a) {
                tile.a = tile_of(packed_a, g->k, i, t);
                tile.lda = rows;
            }
            tile.c = g->c + i * g->ldc + j;
            tile.next_c = t + 1 < tiles ? tile.c + rows * g->ldc : g->c + j + kernels->width;
            tile.next_b = tile.b + b.panel + t * g->k * 4;
            kernel[rows](&tile);
        }
    }
}

/* Whether A is better packed: used by many panels and long, or its rows lie a multiple of a page apart and more of them
 * than a set of a level 1 cache has ways (112 x 320 x 1024: 85 GF/s where it lies, 107 packed). */
static bool wants_packed_a(const ap_gemm_kernels *kernels, const ap_gemm_args *g) {
    enum { PAGE = 1024, WAYS = 8 };
    const bool collides = !g->transpose_a && g->lda % PAGE == 0 && ap_smaller(g->m, kernels->rows) > WAYS;
    return collides || (g->n > LIE * kernels->width && g->k > KC / 2);
}

/* All rows by all of g->k, with B given as panels. */
static void multiply_panels(const ap_gemm_kernels *kernels, const ap_gemm_args *g, panels b) {
    float *packed_a = NULL; /* also without memory: read where it lies */
    if (wants_packed_a(kernels, g)) packed_a = ap_scratch(AP_SCRATCH_A, (size_t)MC * (KC + STRIP));
    const int64_t row_blocks = ap_quotient_up(g->m, MC), k_blocks = ap_quotient_up(g->k, KC);
    for (int64_t ib = 0; ib < row_blocks; ib++)
        for (int64_t kb = 0; kb < k_blocks; kb++) {
            const int64_t i = ap_cut(g->m, row_blocks, ib), k = ap_cut(g->k, k_blocks, kb);
            ap_gemm_args block = *g;
            block.m = ap_cut(g->m, row_blocks, ib + 1) - i;
            block.k = ap_cut(g->k, k_blocks, kb + 1) - k;
            block.a += g->transpose_a ? k * g->lda + i : i * g->lda + k;
            block.c += i * g->ldc;
            block.accumulate = g->accumulate || kb > 0;
            multiply_block(kernels, &block, (panels){b.p + k * b.ld, b.ld, b.panel}, packed_a);
        }
}

static void clear(const ap_gemm_args *g) {
    for (int64_t i = 0; i < g->m; i++) memset(g->c + i * g->ldc, 0, (size_t)g->n * sizeof(float));
}

/* Blocks of NC columns by KC of k, so that a block of B stays near; each is packed when it is needed. */
static void multiply(const ap_gemm_kernels *kernels, const ap_gemm_args *g) {
    const int width = kernels->width;
    if (g->m <= 0 || g->n <= 0) return;
    if (g->k <= 0) {
        if (!g->accumulate) clear(g);
        return;
    }
    if (g->packed_b && g->m <= MC) {
        multiply_panels(kernels, g, (panels){g->packed_b, width, g->k * width});
        return;
    }
    if (!g->packed_b && !g->transpose_b && g->m <= FEW * kernels->rows) {
        multiply_panels(kernels, g, (panels){g->b, g->ldb, width});
        return;
    }
    const int64_t k_blocks = ap_quotient_up(g->k, KC);
    for (int64_t j = 0; j < g->n; j += NC)
        for (int64_t kb = 0; kb < k_blocks; kb++) {
            const int64_t k = ap_cut(g->k, k_blocks, kb);
            ap_gemm_args block = *g;
            block.n = ap_smaller(g->n - j, NC);
            block.k = ap_cut(g->k, k_blocks, kb + 1) - k;
            block.a += g->transpose_a ? k * g->lda : k;
            block.c += j;
            block.accumulate = g->accumulate || kb > 0;
            panels b = {g->packed_b, width, g->k * width};
            if (g->packed_b) {
                b.p += j * g->k + k * width;
            } else {
                block.b += g->transpose_b ? j * g->ldb + k : k * g->ldb + j;
                float *packed = ap_scratch(AP_SCRATCH_B, (size_t)(block.k * ap_quotient_up(block.n, width) * width));
                if (!packed) { /* out of memory: slow, and the same bits */
                    ap_gemm_reference(&block);
                    continue;
                }
                pack_panels(kernels, g->transpose_b, block.k, block.n, block.b, g->ldb, packed);
                b = (panels){packed, width, block.k * width};
            }
            multiply_panels(kernels, &block, b);
        }
}

/* ---- threads */

/* A grid of rows x columns parts of C, one a thread. */
typedef struct grid {
    const ap_gemm_kernels *kernels;
    const ap_gemm_args *args;
    int rows, columns;
} grid;

/* The widest part of n, in whole units. */
static int64_t largest_part(int64_t n, int unit, int parts) {
    return ap_quotient_up(ap_quotient_up(n, unit), parts) * unit;
}

/* The grid whose largest part costs least. A thread that packs B for itself pays about 8 rows' worth of arithmetic for
 * each element of it. */
static grid choose_grid(const ap_gemm_kernels *kernels, const ap_gemm_args *g, int threads) {
    grid best = {kernels, g, 1, 1};
    int64_t least = INT64_MAX;
    for (int rows = 1; rows <= threads; rows++) {
        const int columns = threads / rows;
        const int64_t m = largest_part(g->m, kernels->rows, rows), n = largest_part(g->n, kernels->width, columns);
        const int64_t cost = n * (m + (g->packed_b ? 0 : 8));
        if (cost < least) {
            least = cost;
            best.rows = rows;
            best.columns = columns;
        }
    }
    return best;
}

static void multiply_part(int64_t index, void *context) {
    const grid *s = context;
    const ap_gemm_args *g = s->args;
    const int width = s->kernels->width;
    const int64_t row = index / s->columns, column = index % s->columns, all_panels = ap_quotient_up(g->n, width);
    const int64_t i = ap_cut(g->m, s->rows, row), j = ap_cut(all_panels, s->columns, column) * width;
    ap_gemm_args part = *g;
    part.m = ap_cut(g->m, s->rows, row + 1) - i;
    part.n = ap_smaller(g->n, ap_cut(all_panels, s->columns, column + 1) * width) - j;
    part.a += g->transpose_a ? i : i * g->lda;
    if (g->packed_b)
        part.packed_b += j * g->k;
    else
        part.b += g->transpose_b ? j * g->ldb : j;
    part.c += i * g->ldc + j;
    multiply(s->kernels, &part);
}

/* Waking threads takes microseconds: below this many fma a product is done sooner by one. Never some of the threads:
 * OpenMP ends those that a smaller team leaves over, and they would have to be started again. */
enum { WORTH_THREADS = 1 << 20 };

static int threads_for(const ap_gemm_args *g, int64_t batch) {
    const double work = (double)g->m * (double)g->n * (double)g->k * (double)batch;
    return work < WORTH_THREADS ? 1 : ap_kernels_threads();
}

static void ordered(const ap_gemm_args *g) {
    const ap_gemm_kernels *kernels = &ap_kernels_current()->gemm;
    const int threads = threads_for(g, 1);
    if (threads <= 1) {
        multiply(kernels, g);
        return;
    }
    grid parts = choose_grid(kernels, g, threads);
    ap_kernels_for(threads, (int64_t)parts.rows * parts.columns, multiply_part, &parts);
}

static void count(const ap_gemm_args *g, int64_t batch) {
    ap_kernels_count((double)g->m * (double)batch, (double)g->n, (double)g->k);
}

static void any(ap_math math, const ap_gemm_args *args) {
    if (math == AP_MATH_BLAS)
        ap_blas_gemm(args);
    else
        ordered(args);
}

void ap_gemm(ap_math math, const ap_gemm_args *args) {
    count(args, 1);
    any(math, args);
}

/* ---- a batch */

typedef struct batch {
    const ap_gemm_args *args;
    int64_t stride_a, stride_b, stride_c;
} batch;

static ap_gemm_args member(const batch *b, int64_t index) {
    ap_gemm_args g = *b->args;
    g.a += index * b->stride_a;
    g.b += index * b->stride_b;
    g.c += index * b->stride_c;
    return g;
}
static void multiply_member(int64_t index, void *context) {
    const ap_gemm_args g = member(context, index);
    multiply(&ap_kernels_current()->gemm, &g);
}

void ap_gemm_batched(ap_math math, const ap_gemm_args *args, int64_t batch_size, int64_t stride_a, int64_t stride_b,
                     int64_t stride_c) {
    batch b = {args, stride_a, stride_b, stride_c};
    count(args, batch_size);
    const int threads = threads_for(args, batch_size);
    if (math == AP_MATH_ORDERED && batch_size >= threads) {
        ap_kernels_for(threads, batch_size, multiply_member, &b);
        return;
    }
    for (int64_t i = 0; i < batch_size; i++) {
        const ap_gemm_args g = member(&b, i);
        any(math, &g);
    }
}

/* ---- a long k */

enum { LEVELS = 52, BLOCK = 16 }; /* 2^63 steps of k in chunks of 2^12 */

typedef struct matrix {
    float *p;
    int64_t ld;
} matrix;

static void add_matrix(int64_t m, int64_t n, matrix x, matrix y) {
    for (int64_t i = 0; i < m; i++) ap_kernels_current()->add_into((size_t)n, x.p + i * x.ld, y.p + i * y.ld);
}

/* The tree as a binary counter: after chunk c there is one partial result for each bit that is set in c + 1; a new
 * chunk is merged while its index has trailing ones. What is left at the end is merged from the last on, which lets an
 * odd last one move up unchanged. Leaves the tree in partial[0]. */
static void fold_chunks(const ap_gemm_args *g, const matrix *partial) {
    int top = -1;
    for (int64_t chunk = 0, k = 0; k < g->k; chunk++, k += AP_GEMM_CHUNK) {
        ap_gemm_args part = *g;
        top++;
        part.k = ap_smaller(g->k - k, AP_GEMM_CHUNK);
        part.a += g->transpose_a ? k * g->lda : k;
        part.b += g->transpose_b ? k : k * g->ldb;
        part.c = partial[top].p;
        part.ldc = partial[top].ld;
        part.accumulate = false;
        ordered(&part);
        for (int64_t bits = chunk; bits & 1; bits >>= 1, top--) add_matrix(g->m, g->n, partial[top], partial[top - 1]);
    }
    for (; top > 0; top--) add_matrix(g->m, g->n, partial[top], partial[top - 1]);
}

/* With room for `levels` partial results of C's size in `memory`; the lowest is C itself if C may be overwritten. */
static void fold_in(const ap_gemm_args *g, int levels, float *memory) {
    const matrix c = {g->c, g->ldc};
    matrix partial[LEVELS];
    for (int i = 0; i < levels; i++) partial[i] = (matrix){memory + i * g->m * g->n, g->n};
    if (!g->accumulate) partial[0] = c;
    fold_chunks(g, partial);
    if (g->accumulate) add_matrix(g->m, g->n, partial[0], c);
}

/* Out of memory: block by block of C, on the stack. */
static void fold_by_blocks(const ap_gemm_args *g, int levels) {
    float memory[LEVELS * BLOCK * BLOCK];
    for (int64_t i = 0; i < g->m; i += BLOCK)
        for (int64_t j = 0; j < g->n; j += BLOCK) {
            ap_gemm_args block = *g;
            block.m = ap_smaller(g->m - i, BLOCK);
            block.n = ap_smaller(g->n - j, BLOCK);
            block.a += g->transpose_a ? i : i * g->lda;
            block.b += g->transpose_b ? j * g->ldb : j;
            block.c += i * g->ldc + j;
            fold_in(&block, levels, memory);
        }
}

void ap_gemm_long_k(ap_math math, const ap_gemm_args *args) {
    count(args, 1);
    if (math == AP_MATH_BLAS || args->k <= 0 || (args->k <= AP_GEMM_CHUNK && !args->accumulate)) {
        any(math, args);
        return;
    }
    if (args->m <= 0 || args->n <= 0) return;
    const int64_t chunks = ap_quotient_up(args->k, AP_GEMM_CHUNK);
    int levels = 1;
    while (chunks >> levels) levels++;
    size_t floats;
    float *memory = NULL;
    if (ap_size_mul((size_t)args->m, (size_t)args->n, &floats) && ap_size_mul(floats, (size_t)levels, &floats))
        memory = ap_scratch(AP_SCRATCH_TREE, floats);
    if (memory)
        fold_in(args, levels, memory);
    else
        fold_by_blocks(args, levels);
}
