/* Child processes that are killed, limited or moved to a small disk: what they leave behind is what a test looks at.
 * A child must not run this program's atexit handlers, hence _exit. */
#ifndef AP_TESTS_CRASH_H
#define AP_TESTS_CRASH_H

#include "check.h"
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs body(argument) in a child; its failed checks count here. Returns its exit code. */
static inline int in_child(void (*body)(void *), void *argument) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        ap_check_failures = 0;
        body(argument);
        fflush(stdout);
        _exit(ap_check_failures ? 1 : 0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) perror("fork"), exit(1);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    CHECK_INT(code, 0);
    return code;
}

/* Starts body(argument), kills it after `us` microseconds. Returns 1 if it had ended before. */
static inline int killed_after(useconds_t us, void (*body)(void *), void *argument) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        body(argument);
        _exit(0);
    }
    if (child < 0) perror("fork"), exit(1);
    usleep(us);
    kill(child, SIGKILL);
    int status = 0;
    if (waitpid(child, &status, 0) != child) perror("waitpid"), exit(1);
    return WIFEXITED(status);
}

/* No file of this process may grow beyond `bytes`: write(2) then fails with EFBIG, after what still fits. */
static inline void limit_files(size_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes})) perror("setrlimit"), _exit(1);
}

/* A disk of its own for this process at `folder`; 0 if mounting is not permitted. */
static inline int small_disk(const char *folder, const char *options) {
    return !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
           !mount("algoperf-test", folder, "tmpfs", 0, options);
}

#endif
