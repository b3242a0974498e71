#include "data/synthetic_cache.h"

#include "base/checked.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* An example that is kept: the lengths of its fields, then their bytes. Written once, before its slot points to it. */
typedef struct kept {
    int64_t length[AP_MAX_FIELDS];
    unsigned char bytes[];
} kept;

struct ap_synthetic_cache {
    const ap_generator *generator;
    size_t examples;    /* of all splits */
    atomic_size_t used; /* bytes of what is kept */
    _Atomic(kept *) *slot[AP_SPLITS];
    int64_t count[AP_SPLITS];
};

/* Bytes of an example; NULL lengths: of its fixed fields alone. */
static bool example_bytes(const ap_generator *g, const int64_t *lengths, size_t *total) {
    *total = 0;
    for (int f = 0; f < g->fields; f++) {
        size_t bytes;
        if (!ap_field_bytes(&g->field[f], lengths ? lengths[f] : 0, &bytes) || !ap_size_add(*total, bytes, total))
            return false;
    }
    return true;
}

/* Whether `examples` of that size are allowed. */
static bool fits(size_t examples, size_t bytes) {
    size_t total;
    return ap_size_add(bytes, sizeof(kept *), &bytes) && ap_size_mul(examples, bytes, &total) &&
           total <= AP_SYNTHETIC_CACHE;
}

ap_synthetic_cache *ap_synthetic_cache_create(const ap_generator *generator, const int64_t counts[AP_SPLITS]) {
    size_t examples = 0, bytes;
    for (int s = 0; s < AP_SPLITS; s++)
        if (!ap_size_add(examples, (size_t)counts[s], &examples)) return NULL;
    if (!example_bytes(generator, NULL, &bytes) || !fits(examples, bytes)) return NULL;
    ap_synthetic_cache *cache = calloc(1, sizeof *cache);
    if (!cache) return NULL;
    cache->generator = generator;
    cache->examples = examples;
    for (int s = 0; s < AP_SPLITS; s++) { /* calloc: pages appear as they are used */
        cache->count[s] = counts[s];
        cache->slot[s] = calloc((size_t)counts[s] + 1, sizeof *cache->slot[s]);
        if (cache->slot[s]) continue;
        ap_synthetic_cache_destroy(cache);
        return NULL;
    }
    return cache;
}

void ap_synthetic_cache_destroy(ap_synthetic_cache *cache) {
    if (!cache) return;
    for (int s = 0; s < AP_SPLITS; s++) {
        for (int64_t i = 0; cache->slot[s] && i < cache->count[s]; i++) free(atomic_load(&cache->slot[s][i]));
        free(cache->slot[s]);
    }
    free(cache);
}

bool ap_synthetic_cache_get(ap_synthetic_cache *cache, ap_split split, int64_t index, ap_example *example) {
    const ap_generator *g = cache->generator;
    const kept *k = atomic_load_explicit(&cache->slot[split][index], memory_order_acquire);
    if (!k || ap_example_reserve(example, g->fields, g->field, k->length, NULL)) return false;
    const unsigned char *from = k->bytes;
    for (int f = 0; f < g->fields; f++) {
        size_t bytes = 0;
        ap_field_bytes(&g->field[f], k->length[f], &bytes);
        memcpy(example->data[f], from, bytes);
        from += bytes;
    }
    return true;
}

static kept *copy_of(const ap_generator *g, const ap_example *example, size_t total) {
    kept *k = malloc(sizeof *k + total);
    if (!k) return NULL;
    unsigned char *to = k->bytes;
    for (int f = 0; f < g->fields; f++) {
        size_t bytes = 0;
        k->length[f] = example->length[f];
        ap_field_bytes(&g->field[f], k->length[f], &bytes);
        memcpy(to, example->data[f], bytes);
        to += bytes;
    }
    return k;
}

void ap_synthetic_cache_put(ap_synthetic_cache *cache, ap_split split, int64_t index, const ap_example *example) {
    size_t bytes;
    if (!example_bytes(cache->generator, example->length, &bytes) || !fits(cache->examples, bytes)) return;
    if (atomic_fetch_add(&cache->used, bytes) + bytes > AP_SYNTHETIC_CACHE) {
        atomic_fetch_sub(&cache->used, bytes);
        return;
    }
    kept *k = copy_of(cache->generator, example, bytes), *none = NULL;
    /* Two threads may have made the same example: one keeps it. */
    if (k && atomic_compare_exchange_strong_explicit(&cache->slot[split][index], &none, k, memory_order_release,
                                                     memory_order_relaxed))
        return;
    free(k);
    atomic_fetch_sub(&cache->used, bytes);
}
