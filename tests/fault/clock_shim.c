/* LD_PRELOAD: a wall clock that somebody sets, for tests: at every look it has jumped by $CLOCK_STEP_S seconds (default
 * a year), forward and back in turn. The monotonic clock is left alone, as the system does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define REAL(name)                                                                                                     \
    static __typeof__(name) *real;                                                                                     \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

static time_t jump(void) {
    static atomic_int looks;
    const char *seconds = getenv("CLOCK_STEP_S");
    time_t step = seconds ? (time_t)atol(seconds) : 365 * 86400;
    return looks++ % 2 ? step : -step;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static int (*real)(struct timeval *restrict, void *restrict);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    now->tv_sec += jump();
    return result;
}

time_t time(time_t *now) {
    REAL(time);
    time_t is = real(NULL) + jump();
    if (now) *now = is;
    return is;
}
