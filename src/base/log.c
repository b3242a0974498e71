#include "base/log.h"
#include "base/clock.h"
#include "base/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE = 4096, LIVE_INTERVAL_NS = 100000000 };

static struct {
    pthread_mutex_t lock;
    int rank;
    bool speaker;
    ap_log_level most_detailed;
    bool live_shown;      /* a live line stands on the terminal */
    int64_t live_next_ns; /* earlier live lines are dropped */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .rank = -1, .speaker = true, .most_detailed = AP_LOG_INFO};

/* mpirun gives its ranks a pipe for stderr, and copies what comes through it to its own: whether that is a terminal
 * is seen in the parent process, if the parent is a launcher on this host. */
static bool launcher_has_terminal(void) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)getppid());
    FILE *file = fopen(path, "r");
    if (!file) return false;
    if (!fgets(text, sizeof text, file)) text[0] = 0;
    fclose(file);
    text[strcspn(text, "\n")] = 0;
    if (strcmp(text, "mpirun") && strcmp(text, "orterun") && strcmp(text, "mpiexec")) return false;
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getppid(), STDERR_FILENO);
    ssize_t n = readlink(path, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    return !strncmp(text, "/dev/pts/", 9) || !strncmp(text, "/dev/tty", 8);
}

/* Asked at every step, so found out once: at ap_log_open, or at the first question. */
static atomic_int terminal = -1;
static void find_terminal(void) {
    const char *kind = getenv("TERM");
    terminal = (isatty(STDERR_FILENO) || launcher_has_terminal()) && kind && strcmp(kind, "dumb") != 0;
}

bool ap_log_is_terminal(void) {
    if (terminal < 0) find_terminal();
    return terminal > 0;
}

void ap_log_open(int rank, bool speaker, ap_log_level most_detailed) {
    find_terminal();
    pthread_mutex_lock(&state.lock);
    state.rank = rank;
    state.speaker = speaker;
    state.most_detailed = most_detailed;
    pthread_mutex_unlock(&state.lock);
}

/* One write(2) a line, so that the lines of several ranks and threads on one pipe do not mix. A log that cannot be
 * written is no reason to stop: errors are ignored. */
static void put(const char *text, size_t n) {
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, text, n);
        if (done <= 0) return;
        text += done;
        n -= (size_t)done;
    }
}

static void clear_live(void) {
    static const char back_and_erase[] = "\r\033[K";
    if (state.live_shown) put(back_and_erase, sizeof back_and_erase - 1);
    state.live_shown = false;
    state.live_next_ns = 0;
}

static void append(char line[LINE], size_t *used, const char *format, va_list args) {
    int n = vsnprintf(line + *used, LINE - *used, format, args);
    if (n > 0) *used += (size_t)n;
    if (*used > LINE - 2) { /* room for the newline */
        *used = LINE - 2;
        memcpy(line + *used - 3, "...", 3);
    }
}

AP_PRINTF(3, 4) static void append_text(char line[LINE], size_t *used, const char *format, ...) {
    va_list args;
    va_start(args, format);
    append(line, used, format, args);
    va_end(args);
}

/* File names and what files hold may be anyone's: no escape sequence of theirs reaches the terminal. Our messages may
 * have several lines. */
static void clean(char line[LINE], size_t used) {
    for (char *start = line; start < line + used;) {
        char *end = memchr(start, '\n', used - (size_t)(start - line));
        if (end) *end = '\0';
        ap_clean_text(start);
        if (!end) return;
        *end = '\n';
        start = end + 1;
    }
}

void ap_log(ap_log_category category, ap_log_level level, const char *format, ...) {
    static const char *const words[] = {
        [AP_LOG_ERROR] = "error: ", [AP_LOG_WARNING] = "warning: ", [AP_LOG_INFO] = "", [AP_LOG_DEBUG] = "debug: "};
    pthread_mutex_lock(&state.lock);
    if (level <= state.most_detailed && (category == AP_RANK || state.speaker)) {
        char line[LINE];
        size_t used = 0;
        if (category == AP_RANK && state.rank >= 0) append_text(line, &used, "rank %d: ", state.rank);
        append_text(line, &used, "%s", words[level]);
        va_list args;
        va_start(args, format);
        append(line, &used, format, args);
        va_end(args);
        clean(line, used);
        line[used++] = '\n';
        clear_live();
        put(line, used);
    }
    pthread_mutex_unlock(&state.lock);
}

static size_t terminal_columns(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void ap_log_live(const char *format, ...) {
    if (!ap_log_is_terminal()) return;
    pthread_mutex_lock(&state.lock);
    int64_t now = ap_clock_ns();
    if (state.speaker && now >= state.live_next_ns) {
        char line[LINE];
        size_t used = 0, columns = terminal_columns();
        va_list args;
        va_start(args, format);
        append(line, &used, format, args);
        va_end(args);
        clean(line, used);
        if (used > columns - 1) used = columns - 1; /* a line that wraps could not be taken back */
        clear_live();
        put(line, used);
        state.live_shown = true;
        state.live_next_ns = now + LIVE_INTERVAL_NS;
    }
    pthread_mutex_unlock(&state.lock);
}

void ap_log_live_end(void) {
    pthread_mutex_lock(&state.lock);
    clear_live();
    pthread_mutex_unlock(&state.lock);
}
