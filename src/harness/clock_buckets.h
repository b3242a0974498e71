/* The trial's clock: every nanosecond belongs to exactly one bucket (design decision 4). */
#ifndef AP_HARNESS_CLOCK_BUCKETS_H
#define AP_HARNESS_CLOCK_BUCKETS_H

#include "base/clock.h"

typedef enum ap_bucket {
    AP_BUCKET_SUBMISSION, /* data_selection, update_params, prepare_for_eval: the benchmark's time */
    AP_BUCKET_EVALUATION,
    AP_BUCKET_CHECKPOINT,
    AP_BUCKET_LOGGING, /* record, log */
    AP_BUCKET_SETUP,   /* data, model, submission; restart */
    AP_BUCKET_HARNESS, /* whatever is left: the loop itself */
    AP_BUCKETS
} ap_bucket;
extern const char *const ap_bucket_names[AP_BUCKETS];

typedef struct ap_buckets {
    int64_t ns[AP_BUCKETS]; /* sums, over restarts too */
    int64_t started_ns;     /* of this process's part */
    int64_t before_ns;      /* wall time of earlier parts */
    int64_t last_ns;        /* of the last switch */
    ap_bucket current;
} ap_buckets;

/* Starts (or, with sums of an earlier part in ns[], goes on) in bucket `first`. For a fresh trial ns[] is zero. */
void ap_buckets_start(ap_buckets *buckets, ap_bucket first);
/* ns[] has just been overwritten with the sums of earlier parts (a checkpoint): they count as wall time too. Before the
 * first switch. */
void ap_buckets_continue(ap_buckets *buckets);
/* Books the time since the last switch to the current bucket and goes to another; returns the nanoseconds booked. */
int64_t ap_buckets_switch(ap_buckets *buckets, ap_bucket next);
/* Wall time of all parts up to the last switch, and whether the buckets add up to it exactly (and none is negative):
 * false if someone changed ns[] after the start. Switch first to count up to now. */
int64_t ap_buckets_wall_ns(const ap_buckets *buckets);
int ap_buckets_add_up(const ap_buckets *buckets);

#endif
