#include "data/dynamic_batch.h"

#include "base/checked.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdlib.h>

struct ap_dynamic_batch {
    const ap_dataset *dataset;
    const ap_batch_budget *budget;
    uint64_t seed;
    int64_t examples, share;
    int64_t position; /* in the epochs' order */
    int64_t taken;    /* of the stream: without what is left out */
    int64_t width;    /* of rows; 0: no rows */
    int64_t most;     /* examples of a shard */
    int64_t *known;   /* [examples][amounts]; -1: not measured yet */
    int64_t *index;   /* [share] */
    ap_example example;
};

ap_status ap_dynamic_batch_create(const ap_dataset *dataset, int64_t examples, const ap_batch_budget *budget,
                                  const void *model, uint64_t seed, int64_t share, ap_dynamic_batch **result,
                                  ap_error *error) {
    if (examples < 1 || share < 1)
        return ap_fail(error, AP_BUG, "dynamic batches of %" PRId64 " of %" PRId64 " examples", share, examples);
    ap_dynamic_batch *d = calloc(1, sizeof *d);
    if (!d) return ap_fail(error, AP_ENVIRONMENT, "input queue: out of memory");
    *d = (ap_dynamic_batch){.dataset = dataset, .budget = budget, .seed = seed, .examples = examples, .share = share};
    d->width = budget->row ? budget->row(model) : 0;
    d->most = d->width ? share * d->width : share; /* an example has one of some amount, at least */
    size_t bytes = 0;
    if (ap_size_mul((size_t)examples, (size_t)budget->amounts * sizeof *d->known, &bytes)) d->known = malloc(bytes);
    d->index = calloc((size_t)d->most, sizeof *d->index);
    if (!d->known || !d->index) {
        ap_dynamic_batch_destroy(d);
        return ap_fail(error, AP_ENVIRONMENT, "input queue: out of memory for the sizes of %" PRId64 " examples",
                       examples);
    }
    for (int64_t i = 0; i < examples * budget->amounts; i++) d->known[i] = -1;
    *result = d;
    return AP_OK;
}

void ap_dynamic_batch_destroy(ap_dynamic_batch *d) {
    if (!d) return;
    ap_example_free(&d->example);
    free(d->known);
    free(d->index);
    free(d);
}

static ap_status amounts_of(ap_dynamic_batch *d, int64_t index, const int64_t **amounts, ap_error *error) {
    int64_t *known = d->known + index * d->budget->amounts;
    if (known[0] < 0) {
        int64_t measured[AP_MAX_AMOUNTS] = {0};
        AP_TRY(ap_dataset_read(d->dataset, AP_TRAIN, index, &d->example, error));
        d->budget->measure(&d->example, measured);
        for (int a = 0; a < d->budget->amounts; a++) known[a] = measured[a];
    }
    *amounts = known;
    return AP_OK;
}

static ap_status too_large(const ap_dynamic_batch *d, int64_t index, int amount, int64_t value, ap_error *error) {
    const int64_t each = d->budget->per_example[amount];
    return ap_fail(error, AP_CONFIG,
                   "training example %" PRId64 " has %" PRId64 " %s; a shard's %" PRId64 " examples may have %" PRId64
                   " (%" PRId64 " each) together: choose a larger batch or fewer shards",
                   index, value, d->budget->name[amount], d->share, d->share * each, each);
}

int64_t ap_dynamic_batch_most(const ap_dynamic_batch *d) {
    return d->most;
}

/* The example at the current position, and what it measures. */
static ap_status look(ap_dynamic_batch *d, int64_t *index, const int64_t **amounts, ap_error *error) {
    const ap_random stream = ap_random_stream(d->seed, AP_RANDOM_SHUFFLE, (uint64_t)(d->position / d->examples), 0);
    *index = ap_random_permute(&stream, d->examples, d->position % d->examples);
    return amounts_of(d, *index, amounts, error);
}

static void take(ap_dynamic_batch *d, int64_t index, int64_t *n) {
    d->index[(*n)++] = index;
    d->position++, d->taken++;
}

static ap_status next_by_total(ap_dynamic_batch *d, int64_t *n, ap_error *error) {
    int64_t total[AP_MAX_AMOUNTS] = {0};
    while (*n < d->share) {
        int64_t next;
        const int64_t *amounts;
        AP_TRY(look(d, &next, &amounts, error));
        bool fits = true;
        for (int a = 0; a < d->budget->amounts; a++) {
            const int64_t limit = d->share * d->budget->per_example[a];
            if (amounts[a] > limit) return too_large(d, next, a, amounts[a], error);
            fits = fits && total[a] + amounts[a] <= limit;
        }
        if (!fits) break;
        for (int a = 0; a < d->budget->amounts; a++) total[a] += amounts[a];
        take(d, next, n);
    }
    return AP_OK;
}

/* Whether these amounts fit into a row with what is in it (used; NULL: an empty one). */
static bool fits_row(const ap_dynamic_batch *d, const int64_t *used, const int64_t *amounts) {
    bool fits = true;
    for (int a = 0; a < d->budget->amounts; a++) fits = fits && (used ? used[a] : 0) + amounts[a] <= d->width;
    return fits;
}

static ap_status next_rows(ap_dynamic_batch *d, int64_t *n, ap_error *error) {
    int64_t used[AP_MAX_AMOUNTS] = {0}, rows = 0, left_out = 0;
    while (*n < d->most) {
        int64_t next;
        const int64_t *amounts;
        AP_TRY(look(d, &next, &amounts, error));
        if (!fits_row(d, NULL, amounts)) {
            d->position++;
            if (++left_out < d->examples) continue;
            return ap_fail(error, AP_DATA, "all %" PRId64 " training examples have more than %" PRId64 " %s",
                           d->examples, d->width, d->budget->name[0]);
        }
        if (rows == 0 || d->taken % d->budget->group == 0 || !fits_row(d, used, amounts)) {
            if (rows == d->share) break;
            rows++;
            for (int a = 0; a < d->budget->amounts; a++) used[a] = 0;
        }
        for (int a = 0; a < d->budget->amounts; a++) used[a] += amounts[a];
        take(d, next, n);
        left_out = 0;
    }
    return AP_OK;
}

ap_status ap_dynamic_batch_next(ap_dynamic_batch *d, const int64_t **index, int64_t *n, int64_t *first,
                                ap_error *error) {
    *index = d->index, *n = 0, *first = d->taken;
    return d->width ? next_rows(d, n, error) : next_by_total(d, n, error);
}
