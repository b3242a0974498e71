#include "tensor/rows.h"

#include "base/checked.h"
#include "tensor/kernels/reduce.h"

#include <stdlib.h>
#include <string.h>

bool ap_rows_reserve(ap_rows *rows, int64_t capacity) {
    if (capacity <= rows->capacity) return true;
    size_t bytes, room = (size_t)capacity + (size_t)capacity / 4 + 1;
    if (!ap_size_mul(room, (size_t)rows->columns * sizeof(float), &bytes) || !ap_size_add(bytes, 63, &bytes))
        return false;
    float *values = aligned_alloc(64, bytes & ~(size_t)63);
    int32_t *row = malloc(room * sizeof *row);
    if (!values || !row) {
        free(values);
        free(row);
        return false;
    }
    free(rows->values);
    free(rows->row);
    rows->values = values, rows->row = row, rows->capacity = (int64_t)room;
    return true;
}

void ap_rows_free(ap_rows *rows) {
    free(rows->values);
    free(rows->row);
    rows->values = NULL, rows->row = NULL, rows->capacity = rows->count = 0;
}

int64_t ap_rows_find(const ap_rows *rows, int32_t row) {
    int64_t low = 0, high = rows->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (rows->row[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool ap_rows_add(const ap_rows *a, const ap_rows *b, int32_t first, int32_t end, ap_rows *out) {
    const size_t columns = (size_t)a->columns, bytes = columns * sizeof(float);
    int64_t i = ap_rows_find(a, first), j = ap_rows_find(b, first), n = 0;
    const int64_t a_end = ap_rows_find(a, end), b_end = ap_rows_find(b, end);
    out->columns = a->columns;
    if (!ap_rows_reserve(out, a_end - i + b_end - j)) return false;
    for (; i < a_end || j < b_end; n++) {
        const bool from_a = j >= b_end || (i < a_end && a->row[i] <= b->row[j]);
        const bool both = from_a && j < b_end && i < a_end && a->row[i] == b->row[j];
        float *to = out->values + n * out->columns;
        out->row[n] = from_a ? a->row[i] : b->row[j];
        memcpy(to, from_a ? a->values + i * a->columns : b->values + j * b->columns, bytes);
        if (both) ap_add_into(columns, b->values + j * b->columns, to);
        i += from_a, j += both || !from_a;
    }
    out->count = n;
    return true;
}
