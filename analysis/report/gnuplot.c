#include "analysis/report/gnuplot.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- texts */

/* Bytes of the first `most` characters of UTF-8. */
static size_t cut(const char *text, size_t most) {
    size_t bytes = 0, characters = 0;
    for (; text[bytes]; bytes++)
        if (((unsigned char)text[bytes] & 0xc0) != 0x80 && ++characters > most) break;
    return bytes;
}

void ap_gnuplot_quote(FILE *script, const char *text, size_t most, bool format) {
    char *clean = strdup(text);
    fputc('\'', script);
    if (clean) {
        ap_clean_text(clean);
        size_t n = cut(clean, most);
        for (size_t i = 0; i < n; i++) {
            if (clean[i] == '\'' || (format && clean[i] == '%')) fputc(clean[i], script); /* doubled */
            fputc(clean[i], script);
        }
        if (clean[n]) fputs("...", script);
    }
    fputc('\'', script);
    free(clean);
}

/* ---- the program */

/* Starts gnuplot on the folder's script and waits. -d: no settings of the user's. */
static ap_status start(const char *script, const char *log, int *exit_code, ap_error *error) {
    char *const words[] = {"gnuplot", "-d", (char *)script, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    if (posix_spawn_file_actions_init(&actions)) return ap_fail(error, AP_ENVIRONMENT, "out of memory for gnuplot");
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int failed = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed == ENOENT)
        return ap_fail(error, AP_ENVIRONMENT,
                       "gnuplot was not found; it draws the figures. On Debian: apt-get install gnuplot-nox");
    errno = failed;
    if (failed) return ap_fail_errno(error, AP_ENVIRONMENT, "gnuplot could not be started");
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return ap_fail_errno(error, AP_ENVIRONMENT, "gnuplot was lost");
    *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return AP_OK;
}

/* The first thing that gnuplot complained of. */
static ap_status complain(const char *log, int exit_code, ap_error *error) {
    char *text = NULL;
    size_t n;
    if (ap_read_file(log, 1 << 20, &text, &n, NULL) != AP_OK) text = NULL;
    ap_clean_text(text ? text : (char[]){""});
    ap_fail(error, AP_ENVIRONMENT, "gnuplot failed with code %d: %.600s", exit_code, text ? text : "");
    free(text);
    return AP_ENVIRONMENT;
}

static ap_status run_in(const char *folder, const char *terminal, const char *script, char **bytes, size_t *n,
                        ap_error *error) {
    enum { LIMIT = 256 << 20 };
    char path[3][AP_PATH];
    static const char *const names[] = {"script", "picture", "log"};
    for (int i = 0; i < 3; i++) AP_TRY(ap_path(path[i], error, "%s/%s", folder, names[i]));
    FILE *out = fopen(path[0], "w");
    if (!out) return ap_fail_errno(error, AP_IO, "%s: cannot be written", path[0]);
    fprintf(out, "set terminal %s\nset output '%s'\nset encoding utf8\n%s\n", terminal, path[1], script);
    if (fclose(out)) return ap_fail_errno(error, AP_IO, "%s: cannot be written", path[0]);
    int code = 0;
    AP_TRY(start(path[0], path[2], &code, error));
    if (code || !ap_file_exists(path[1])) return complain(path[2], code, error);
    return ap_read_file(path[1], LIMIT, bytes, n, error);
}

ap_status ap_gnuplot(const char *terminal, const char *script, char **bytes, size_t *n, ap_error *error) {
    static const char *const names[] = {"script", "picture", "log"};
    const char *place = getenv("TMPDIR");
    char folder[AP_PATH], path[AP_PATH];
    *bytes = NULL;
    AP_TRY(ap_path(folder, error, "%s/algoperf-score.XXXXXX", place && *place ? place : "/tmp"));
    if (!mkdtemp(folder)) return ap_fail_errno(error, AP_IO, "%s: a temporary folder cannot be made", folder);
    ap_status status = run_in(folder, terminal, script, bytes, n, error);
    for (int i = 0; i < 3; i++)
        if (ap_path(path, NULL, "%s/%s", folder, names[i]) == AP_OK) unlink(path);
    rmdir(folder);
    return status;
}
