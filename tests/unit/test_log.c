/* base/log: who speaks, plain lines in files, whole lines from threads, one live line on a terminal. */
#include "base/clock.h"
#include "base/log.h"
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

enum { CAPTURE = 1 << 20 };
static char captured[CAPTURE];

/* What `action` writes to stderr when that is a file. */
static const char *capture(void (*action)(void)) {
    char name[] = "/tmp/ap_test_log.XXXXXX";
    int fd = mkstemp(name), saved = dup(STDERR_FILENO);
    unlink(name);
    dup2(fd, STDERR_FILENO);
    action();
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = pread(fd, captured, CAPTURE - 1, 0);
    captured[n < 0 ? 0 : n] = '\0';
    close(fd);
    return captured;
}

static void say_some(void) {
    ap_log(AP_GLOBAL, AP_LOG_INFO, "step %d", 5);
    ap_log(AP_RANK, AP_LOG_WARNING, "slow disk");
    ap_log(AP_GLOBAL, AP_LOG_ERROR, "gone");
    ap_log(AP_GLOBAL, AP_LOG_DEBUG, "detail");
}

static void test_without_mpi_there_is_no_rank(void) {
    CHECK(strcmp(capture(say_some), "step 5\nwarning: slow disk\nerror: gone\n") == 0);
}

static void test_speaker_and_ranks(void) {
    ap_log_open(0, true, AP_LOG_DEBUG);
    CHECK(strcmp(capture(say_some), "step 5\nrank 0: warning: slow disk\nerror: gone\ndebug: detail\n") == 0);
    ap_log_open(3, false, AP_LOG_DEBUG);
    CHECK(strcmp(capture(say_some), "rank 3: warning: slow disk\n") == 0);
}

static void test_level_limits(void) {
    ap_log_open(0, true, AP_LOG_ERROR);
    CHECK(strcmp(capture(say_some), "error: gone\n") == 0);
    ap_log_open(-1, true, AP_LOG_INFO);
}

static void say_too_much(void) {
    char text[10000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ap_log(AP_GLOBAL, AP_LOG_INFO, "%s", text);
}

static void test_a_line_too_long_is_cut_and_says_so(void) {
    const char *text = capture(say_too_much);
    size_t n = strlen(text);
    CHECK(n > 1000 && n < 5000);
    CHECK(n > 4 && strcmp(text + n - 4, "...\n") == 0);
}

static void *talk(void *which) {
    for (int i = 0; i < 200; i++)
        ap_log(AP_GLOBAL, AP_LOG_INFO, "thread %c%c%c%c %d", *(char *)which, *(char *)which, *(char *)which,
               *(char *)which, i);
    return NULL;
}

static void talk_together(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, talk, &"abcd"[i]);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static void test_threads_do_not_tear_lines(void) {
    int next[4] = {0}, lines = 0;
    char *rest = NULL;
    capture(talk_together);
    for (char *line = strtok_r(captured, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++) {
        char word[5] = "";
        int i = -1;
        CHECK_INT(sscanf(line, "thread %4[a-d] %d", word, &i), 2);
        int t = word[0] - 'a';
        if (t < 0 || t > 3) continue;
        CHECK(word[1] == word[0] && word[3] == word[0]);
        CHECK_INT(i, next[t]);
        next[t]++;
    }
    CHECK_INT(lines, 800);
}

static void live_and_line(void) {
    ap_log_live("50 %%");
    ap_log(AP_GLOBAL, AP_LOG_INFO, "evaluated");
    ap_log_live_end();
}

static void test_no_live_line_in_a_file(void) {
    CHECK(strcmp(capture(live_and_line), "evaluated\n") == 0);
}

/* The same with stderr on a pseudo-terminal; what the terminal got is in `captured`. */
static bool capture_terminal(void (*action)(void)) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return false;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0) return false;
    int saved = dup(STDERR_FILENO);
    dup2(slave, STDERR_FILENO);
    close(slave);
    setenv("TERM", "xterm", 1);
    ap_log_open(-1, true, AP_LOG_INFO); /* looks at stderr again */
    bool terminal = ap_log_is_terminal();
    action();
    dup2(saved, STDERR_FILENO); /* closes the last slave: read ends */
    close(saved);
    size_t used = 0;
    for (ssize_t n; used < CAPTURE - 1 && (n = read(master, captured + used, CAPTURE - 1 - used)) > 0;)
        used += (size_t)n;
    captured[used] = '\0';
    close(master);
    return terminal;
}

static void test_live_line_is_cleared_before_a_line(void) {
    if (!capture_terminal(live_and_line)) SKIP("no pseudo-terminals here");
    CHECK(strcmp(captured, "50 %\r\033[Kevaluated\r\n") == 0); /* the terminal itself adds \r to \n */
}

static void many_live(void) {
    int64_t end = ap_clock_ns() + 250000000;
    while (ap_clock_ns() < end) {
        ap_log_live("running %s", "on");
        usleep(1000);
    }
    ap_log_live_end();
}

static void test_live_line_at_most_ten_times_a_second(void) {
    if (!capture_terminal(many_live)) SKIP("no pseudo-terminals here");
    int shown = 0;
    for (const char *at = captured; (at = strstr(at, "running on")); at++) shown++;
    CHECK(shown >= 1 && shown <= 3);
    size_t n = strlen(captured);
    CHECK(n > 4 && strcmp(captured + n - 4, "\r\033[K") == 0);
}

static void long_live(void) {
    char text[500];
    memset(text, 'z', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ap_log_live("%s", text);
}

static void test_live_line_does_not_wrap(void) {
    if (!capture_terminal(long_live)) SKIP("no pseudo-terminals here");
    CHECK_INT(strlen(captured), 79); /* a new pseudo-terminal has no size: 80 columns are taken */
}

static void test_utc(void) {
    char text[24];
    ap_clock_utc(text);
    CHECK_INT(strlen(text), 20);
    CHECK(text[4] == '-' && text[10] == 'T' && text[19] == 'Z');
}

static void test_clock_goes_on(void) {
    int64_t before = ap_clock_ns();
    usleep(2000);
    double s = ap_clock_s(ap_clock_ns() - before);
    CHECK(s >= 0.002 && s < 5);
}

AP_TEST_MAIN(test_without_mpi_there_is_no_rank, test_speaker_and_ranks, test_level_limits,
             test_a_line_too_long_is_cut_and_says_so, test_threads_do_not_tear_lines, test_no_live_line_in_a_file,
             test_live_line_is_cleared_before_a_line, test_live_line_at_most_ten_times_a_second,
             test_live_line_does_not_wrap, test_utc, test_clock_goes_on)
