#include "data/batch.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

void ap_batch_free(ap_batch *batch) {
    for (int i = 0; i < AP_MAX_ARRAYS; i++) free(batch->blocks[i]);
    *batch = (ap_batch){0};
}

void ap_batch_clear(ap_batch *batch) {
    batch->arrays = 0;
    batch->examples = batch->real_examples = 0;
}

/* Grows block i to at least `bytes`; doubling, so that ragged batches soon stop allocating. */
static bool grow_block(ap_batch *batch, int i, size_t bytes) {
    if (batch->blocks[i] && batch->capacity[i] >= bytes) return true;
    size_t room = batch->capacity[i] <= SIZE_MAX / 2 ? 2 * batch->capacity[i] : bytes;
    if (room < bytes) room = bytes;
    if (!ap_size_add(room, ALIGNMENT, &room)) return false; /* an empty array has memory, too */
    room -= room % ALIGNMENT;
    void *block = aligned_alloc(ALIGNMENT, room);
    if (!block) return false;
    free(batch->blocks[i]);
    batch->blocks[i] = block;
    batch->capacity[i] = room;
    return true;
}

void *ap_batch_add(ap_batch *batch, const char *name, ap_dtype type, int rank, const int64_t *shape) {
    int64_t size;
    size_t bytes;
    int i = batch->arrays;
    if (i >= AP_MAX_ARRAYS || rank < 0 || rank > AP_ARRAY_MAX_RANK || !ap_shape_size(rank, shape, &size)) return NULL;
    if (!ap_size_mul((size_t)size, ap_dtype_size(type), &bytes) || bytes > PTRDIFF_MAX) return NULL;
    if (!grow_block(batch, i, bytes)) return NULL;
    ap_array *array = &batch->array[i];
    *array = (ap_array){.name = name, .type = type, .rank = rank, .size = size, .data = batch->blocks[i]};
    if (rank > 0) memcpy(array->shape, shape, (size_t)rank * sizeof *shape);
    batch->arrays++;
    return array->data;
}

const ap_array *ap_batch_find(const ap_batch *batch, const char *name) {
    for (int i = 0; i < batch->arrays; i++)
        if (strcmp(batch->array[i].name, name) == 0) return &batch->array[i];
    return NULL;
}

const float *ap_batch_f32(const ap_batch *batch, const char *name) {
    const ap_array *array = ap_batch_find(batch, name);
    return array && array->type == AP_F32 ? array->data : NULL;
}

const int64_t *ap_batch_i64(const ap_batch *batch, const char *name) {
    const ap_array *array = ap_batch_find(batch, name);
    return array && array->type == AP_I64 ? array->data : NULL;
}
