/* Memory of synthetic examples: a generator is pure, so what it gave once need not be made again. Only for data sets up
 * to AP_SYNTHETIC_CACHE bytes, of ragged fields as the example at hand has them; of larger ones every read generates.
 * Thread-safe; private to src/data. */
#ifndef AP_DATA_SYNTHETIC_CACHE_H
#define AP_DATA_SYNTHETIC_CACHE_H

#include "data/dataset.h"

enum { AP_SYNTHETIC_CACHE = 256 << 20 };

typedef struct ap_synthetic_cache ap_synthetic_cache;
/* NULL: too large whatever the ragged fields hold, or no memory; then every example is generated. */
ap_synthetic_cache *ap_synthetic_cache_create(const ap_generator *generator, const int64_t counts[AP_SPLITS]);
void ap_synthetic_cache_destroy(ap_synthetic_cache *cache);
/* True: *example is filled. */
bool ap_synthetic_cache_get(ap_synthetic_cache *cache, ap_split split, int64_t index, ap_example *example);
/* Copies the example, if there is room. */
void ap_synthetic_cache_put(ap_synthetic_cache *cache, ap_split split, int64_t index, const ap_example *example);

#endif
