#include "harness/clock_buckets.h"

const char *const ap_bucket_names[AP_BUCKETS] = {
    [AP_BUCKET_SUBMISSION] = "submission", [AP_BUCKET_EVALUATION] = "evaluation", [AP_BUCKET_CHECKPOINT] = "checkpoint",
    [AP_BUCKET_LOGGING] = "logging",       [AP_BUCKET_SETUP] = "setup",           [AP_BUCKET_HARNESS] = "harness",
};

static int64_t sum(const ap_buckets *buckets) {
    int64_t total = 0;
    for (int i = 0; i < AP_BUCKETS; i++) total += buckets->ns[i];
    return total;
}

void ap_buckets_start(ap_buckets *buckets, ap_bucket first) {
    buckets->before_ns = sum(buckets);
    buckets->started_ns = buckets->last_ns = ap_clock_ns();
    buckets->current = first;
}

void ap_buckets_continue(ap_buckets *buckets) {
    buckets->before_ns = sum(buckets);
}

int64_t ap_buckets_switch(ap_buckets *buckets, ap_bucket next) {
    int64_t now = ap_clock_ns();
    int64_t booked = now - buckets->last_ns;
    buckets->ns[buckets->current] += booked;
    buckets->last_ns = now;
    buckets->current = next;
    return booked;
}

int64_t ap_buckets_wall_ns(const ap_buckets *buckets) {
    return buckets->before_ns + (buckets->last_ns - buckets->started_ns);
}

int ap_buckets_add_up(const ap_buckets *buckets) {
    for (int i = 0; i < AP_BUCKETS; i++)
        if (buckets->ns[i] < 0) return 0;
    return sum(buckets) == ap_buckets_wall_ns(buckets);
}
