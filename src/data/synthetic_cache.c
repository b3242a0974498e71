#include "data/synthetic_cache.h"

#include "base/checked.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { EMPTY, FILLING, READY };

struct ap_synthetic_cache {
    const ap_generator *generator;
    size_t example_bytes;
    unsigned char *data[AP_SPLITS];
    atomic_uchar *state[AP_SPLITS];
};

ap_synthetic_cache *ap_synthetic_cache_create(const ap_generator *generator, const int64_t counts[AP_SPLITS]) {
    size_t example = 0, total = 0;
    for (int f = 0; f < generator->fields; f++) {
        size_t bytes;
        if (ap_field_is_ragged(&generator->field[f]) || !ap_field_bytes(&generator->field[f], 0, &bytes)) return NULL;
        example += bytes;
    }
    for (int s = 0; s < AP_SPLITS; s++) {
        size_t split;
        if (!ap_size_mul((size_t)counts[s], example + 1, &split) || !ap_size_add(total, split, &total)) return NULL;
    }
    if (total > AP_SYNTHETIC_CACHE) return NULL;
    ap_synthetic_cache *cache = calloc(1, sizeof *cache);
    if (!cache) return NULL;
    cache->generator = generator;
    cache->example_bytes = example;
    for (int s = 0; s < AP_SPLITS; s++) { /* calloc: pages appear as they are used */
        cache->data[s] = calloc((size_t)counts[s] + 1, example);
        cache->state[s] = calloc((size_t)counts[s] + 1, sizeof *cache->state[s]);
        if (cache->data[s] && cache->state[s]) continue;
        ap_synthetic_cache_destroy(cache);
        return NULL;
    }
    return cache;
}

void ap_synthetic_cache_destroy(ap_synthetic_cache *cache) {
    if (!cache) return;
    for (int s = 0; s < AP_SPLITS; s++) {
        free(cache->data[s]);
        free(cache->state[s]);
    }
    free(cache);
}

bool ap_synthetic_cache_get(ap_synthetic_cache *cache, ap_split split, int64_t index, ap_example *example) {
    const ap_generator *g = cache->generator;
    if (atomic_load_explicit(&cache->state[split][index], memory_order_acquire) != READY) return false;
    if (ap_example_reserve(example, g->fields, g->field, NULL, NULL)) return false;
    const unsigned char *from = cache->data[split] + (size_t)index * cache->example_bytes;
    for (int f = 0; f < g->fields; f++) {
        size_t bytes = 0;
        ap_field_bytes(&g->field[f], 0, &bytes);
        memcpy(example->data[f], from, bytes);
        from += bytes;
    }
    return true;
}

void ap_synthetic_cache_put(ap_synthetic_cache *cache, ap_split split, int64_t index, const ap_example *example) {
    const ap_generator *g = cache->generator;
    unsigned char expected = EMPTY; /* two threads may have made the same example: one keeps it */
    if (!atomic_compare_exchange_strong(&cache->state[split][index], &expected, FILLING)) return;
    unsigned char *to = cache->data[split] + (size_t)index * cache->example_bytes;
    for (int f = 0; f < g->fields; f++) {
        size_t bytes = 0;
        ap_field_bytes(&g->field[f], 0, &bytes);
        memcpy(to, example->data[f], bytes);
        to += bytes;
    }
    atomic_store_explicit(&cache->state[split][index], READY, memory_order_release);
}
