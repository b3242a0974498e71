/* Rows that belong to segments (edges to the node they leave, nodes to their graph): sums over a segment's rows, and
 * the row of each one's segment. */
#ifndef AP_KERNELS_SEGMENTS_H
#define AP_KERNELS_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

/* Row i of `rows` belongs to segment of[i] in 0 .. count - 1. The rows of segment s are order[first[s]] ..
 * order[first[s + 1] - 1], ascending. Made by ap_segments_sort; the arrays are the caller's. */
typedef struct ap_segments {
    int64_t rows, count;
    const int64_t *of;            /* [rows] */
    const int64_t *order, *first; /* [rows], [count + 1] */
} ap_segments;

/* Fills order and first from `of` (in range): a counting sort. */
void ap_segments_sort(int64_t rows, const int64_t *of, int64_t count, int64_t *order, int64_t *first);

/* out [count, columns] (+)= the sum of each segment's rows of x [rows, columns].
 * ORDER: the first row, or what is there if accumulate; then the others are added, ascending. Without rows: +0, or what
 * is there. Threads split segments. */
void ap_segment_sums(const ap_segments *segments, int64_t columns, const float *x, bool accumulate, float *out);

/* out [rows, columns] (+)= x [count, columns] at each row's segment. Threads split rows. */
void ap_gather_rows_of(const ap_segments *segments, int64_t columns, const float *x, bool accumulate, float *out);

#endif
