#include "base/child.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* In a process group of its own, so that what a script starts can be ended with it; signals as a shell would have them.
 */
static int spawn(const char *const *argv, int output, pid_t *pid) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    int failure = posix_spawnp(pid, argv[0], &files, &how, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    return failure;
}

/* Reads until the writing end is closed everywhere. False: the time is up first. */
static bool read_all(int from, double limit_s, char *output, size_t size) {
    int64_t start = ap_clock_ns();
    size_t used = 0;
    char dropped[512];
    for (;;) {
        double left_s = limit_s - ap_clock_s(ap_clock_ns() - start);
        if (left_s <= 0) return false;
        struct pollfd ready = {.fd = from, .events = POLLIN};
        if (poll(&ready, 1, (int)(left_s * 1e3) + 1) <= 0) continue; /* time up, or a signal */
        bool room = used + 1 < size;
        ssize_t n = room ? read(from, output + used, size - used - 1) : read(from, dropped, sizeof dropped);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return true;
        if (room) used += (size_t)n, output[used] = '\0';
    }
}

/* A child that has closed its output has nothing to do but to end. */
static int collect(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

ap_status ap_child_output(const char *const *argv, double limit_s, char *output, size_t size, int *code,
                          ap_error *error) {
    int end[2];
    pid_t pid;
    output[0] = '\0';
    if (pipe2(end, O_CLOEXEC)) return ap_fail_errno(error, AP_ENVIRONMENT, "%s: no pipe", argv[0]);
    int failure = spawn(argv, end[1], &pid);
    close(end[1]);
    if (failure) {
        close(end[0]);
        errno = failure;
        return ap_fail_errno(error, AP_ENVIRONMENT, "%s: cannot be started", argv[0]);
    }
    bool ended = read_all(end[0], limit_s, output, size);
    close(end[0]);
    if (!ended) kill(-pid, SIGKILL);
    *code = collect(pid);
    return ended ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "%s: did not end within %g s", argv[0], limit_s);
}

bool ap_child_exists(const char *name) {
    const char *path = getenv("PATH");
    char program[4096];
    for (const char *at = path ? path : ""; *at;
         at += at[strcspn(at, ":")] == ':' ? strcspn(at, ":") + 1 : strcspn(at, ":")) {
        int n = snprintf(program, sizeof program, "%.*s/%s", (int)strcspn(at, ":"), at, name);
        if (n > 0 && (size_t)n < sizeof program && access(program, X_OK) == 0) return true;
    }
    return false;
}
