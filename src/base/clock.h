/* Monotonic time. */
#ifndef AP_BASE_CLOCK_H
#define AP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds on CLOCK_MONOTONIC: never steps back, unaffected by changes of the wall clock. */
static inline int64_t ap_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static inline double ap_clock_s(int64_t ns) {
    return (double)ns * 1e-9;
}

/* UTC time of day as "2026-01-31T12:00:00Z" for records; never used to decide anything. */
void ap_clock_utc(char text[24]);

#endif
