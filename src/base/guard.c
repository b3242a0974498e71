#include "base/guard.h"

#include "base/status.h"
#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    SECONDS = 20,                /* reading a result takes a millisecond */
    BYTES_PER_SECOND = 20 << 20, /* more for large files, at a speed that the slowest machine has */
    MEMORY = 1 << 30,            /* above what the process has, */
    COPIES = 4,                  /* and this many times the file */
    PATH = 512,
    STACK = 1 << 15,
};

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { CRASHES = sizeof crashes / sizeof *crashes };

static struct {
    int fd, code;
    char prefix[64], crash[PATH + 256], time[PATH + 256]; /* the messages, made before they are needed */
    struct sigaction before[CRASHES], before_time;
    struct rlimit memory;
    char stack[STACK]; /* the handlers': a crash may be an overflow of the ordinary one */
} guard = {.fd = STDERR_FILENO, .code = AP_DATA, .prefix = "error: "};

/* Only what is safe in a signal handler. */
static void on_signal(int signal) {
    const char *text = signal == SIGPROF ? guard.time : guard.crash;
    ssize_t ignored = write(guard.fd, text, strlen(text));
    (void)ignored;
    _exit(guard.code);
}

void ap_guard_set_outcome(int fd, const char *prefix, int code) {
    guard.fd = fd;
    guard.code = code;
    snprintf(guard.prefix, sizeof guard.prefix, "%s", prefix);
}

static void set_timer(time_t seconds) {
    const struct itimerval timer = {.it_value = {.tv_sec = seconds}};
    setitimer(ITIMER_PROF, &timer, NULL);
}

static void catch_signals(void) {
    const stack_t stack = {.ss_sp = guard.stack, .ss_size = STACK};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    sigaction(SIGPROF, &action, &guard.before_time);
    if (SANITIZED) return;
    sigaltstack(&stack, NULL);
    for (int i = 0; i < CRASHES; i++) sigaction(crashes[i], &action, &guard.before[i]);
}

static size_t address_space(void) {
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%zu", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit_memory(size_t bytes) {
    size_t now = address_space();
    if (getrlimit(RLIMIT_AS, &guard.memory) || SANITIZED || !now || bytes > ((size_t)1 << 50)) return;
    struct rlimit limit = guard.memory;
    rlim_t most = now + MEMORY + COPIES * bytes;
    if (limit.rlim_cur > most) limit.rlim_cur = most;
    setrlimit(RLIMIT_AS, &limit);
}

static void misbehave_for_tests(void) {
    const char *how = getenv("AP_TEST_GUARD");
    if (!how) return;
    if (!strcmp(how, "crash")) raise(SIGSEGV);
    volatile int spin = !strcmp(how, "hang");
    while (spin) continue;
}

void ap_guard_begin(const char *path, size_t bytes) {
    char name[PATH];
    snprintf(name, sizeof name, "%s", path);
    ap_clean_text(name);
    time_t seconds = SECONDS + (time_t)(bytes / BYTES_PER_SECOND);
    if (getenv("AP_TEST_GUARD")) seconds = 1;
    snprintf(guard.crash, sizeof guard.crash,
             "%s%s: HDF5 crashed while reading it; it is damaged, or made to do harm: do not use it\n", guard.prefix,
             name);
    snprintf(guard.time, sizeof guard.time,
             "%s%s: HDF5 did not finish reading it in %ld s of CPU time; it is damaged, or made to do harm: do not use "
             "it\n",
             guard.prefix, name, (long)seconds);
    catch_signals();
    limit_memory(bytes);
    set_timer(seconds);
    misbehave_for_tests();
}

void ap_guard_end(void) {
    set_timer(0);
    setrlimit(RLIMIT_AS, &guard.memory);
    sigaction(SIGPROF, &guard.before_time, NULL);
    if (SANITIZED) return;
    for (int i = 0; i < CRASHES; i++) sigaction(crashes[i], &guard.before[i], NULL);
}
