/* A gradient of which most rows are zero: those that are not, in rising order, and their values. */
#ifndef AP_TENSOR_ROWS_H
#define AP_TENSOR_ROWS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ap_rows {
    int64_t count, columns;
    int32_t *row;     /* [count], strictly rising */
    float *values;    /* [count][columns], aligned to 64 */
    int64_t capacity; /* rows that there is memory for */
} ap_rows;

/* Makes room for `capacity` rows of rows->columns values; what was in it is lost if it grows (then by a quarter more,
 * so that lists of about one length soon grow no more). False: out of memory, nothing has changed. */
bool ap_rows_reserve(ap_rows *rows, int64_t capacity);
void ap_rows_free(ap_rows *rows); /* frees the memory, not the struct */

/* out = a + b: rows of both are added, a's value + b's; a row of one alone is copied. Rows below `first` and from
 * `end` on are left out. `out` is neither a nor b. False: out of memory. */
bool ap_rows_add(const ap_rows *a, const ap_rows *b, int32_t first, int32_t end, ap_rows *out);
/* Index of the first row that is at least `row`. */
int64_t ap_rows_find(const ap_rows *rows, int32_t row);

#endif
