#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOST = 256 };

/* ---- names */

ap_status ap_path(char path[AP_PATH], ap_error *error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, AP_PATH, format, args);
    va_end(args);
    if (n >= 0 && n < AP_PATH) return AP_OK;
    return ap_fail(error, AP_USAGE, "the path \"%.80s...\" is %d bytes long (at most %d); use a shorter folder name",
                   path, n, AP_PATH - 1);
}

/* The folder part of `path` ("." if none), and where its last component starts. */
static const char *split(const char *path, char folder[AP_PATH]) {
    const char *slash = strrchr(path, '/');
    if (!slash) {
        strcpy(folder, ".");
        return path;
    }
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    if (n >= AP_PATH) n = AP_PATH - 1; /* such a path fails in open(2), with its own message */
    memcpy(folder, path, n);
    folder[n] = '\0';
    return slash + 1;
}

static void host_name(char host[HOST]) {
    if (gethostname(host, HOST)) strcpy(host, "unknown");
    host[HOST - 1] = '\0';
}

ap_status ap_temp_name(const char *path, char temp[AP_PATH], ap_error *error) {
    char folder[AP_PATH], host[HOST];
    const char *name = split(path, folder);
    if (!*name) return ap_fail(error, AP_USAGE, "%s: is a folder name, a file name is needed", path);
    host_name(host);
    return ap_path(temp, error, "%s/.%s.%s.%ld.tmp", folder, name, host, (long)getpid());
}

ap_status ap_make_directories(const char *path, ap_error *error) {
    char part[AP_PATH];
    AP_TRY(ap_path(part, error, "%s", path));
    struct stat there;
    if (mkdir(part, 0777) == 0) return AP_OK; /* most often all above it is there, or it is itself */
    if (errno == EEXIST && stat(part, &there) == 0 && S_ISDIR(there.st_mode)) return AP_OK;
    for (char *end = part + 1;; end++) {
        if (*end != '/' && *end != '\0') continue;
        char kept = *end;
        *end = '\0';
        struct stat status;
        if (mkdir(part, 0777) && (errno != EEXIST || stat(part, &status) || !S_ISDIR(status.st_mode))) {
            if (errno == EEXIST) errno = ENOTDIR;
            return ap_fail_errno(error, AP_IO, "%s: the folder cannot be made", part);
        }
        if (!kept) return AP_OK;
        *end = kept;
    }
}

bool ap_file_exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* ---- writing */

static void delay_for_tests(void) {
    const char *ms = getenv("AP_TEST_WRITE_DELAY_MS");
    if (ms) usleep((useconds_t)(strtoul(ms, NULL, 10) * 1000));
}

static ap_status sync_folder_of(const char *path, ap_error *error) {
    char folder[AP_PATH];
    split(path, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ap_fail_errno(error, AP_IO, "%s: the folder cannot be opened", folder);
    int failed = fsync(fd);
    int why = errno; /* some network file systems have no fsync for folders and say EINVAL */
    close(fd);
    errno = why;
    return failed && why != EINVAL ? ap_fail_errno(error, AP_IO, "%s: the folder cannot be synced", folder) : AP_OK;
}

static ap_status write_all(int fd, const char *path, const char *bytes, size_t n, ap_error *error) {
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be written", path);
        bytes += done;
        n -= (size_t)done;
    }
    return AP_OK;
}

/* A temp file with these bytes, synced. An old one of that name is removed first, never truncated: it may be a second
 * link to a file that ap_create_exclusive made before its process was killed. */
static ap_status write_temp(const char *temp, const void *bytes, size_t n, ap_error *error) {
    unlink(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be made", temp);
    ap_status status = write_all(fd, temp, bytes, n, error);
    if (status == AP_OK) delay_for_tests();
    if (status == AP_OK && fsync(fd)) status = ap_fail_errno(error, AP_IO, "%s: cannot be synced", temp);
    if (close(fd) && status == AP_OK) status = ap_fail_errno(error, AP_IO, "%s: cannot be closed", temp);
    if (status != AP_OK) unlink(temp);
    return status;
}

static ap_status rename_synced(const char *temp, const char *path, ap_error *error) {
    delay_for_tests();
    if (rename(temp, path)) {
        ap_status status = ap_fail_errno(error, AP_IO, "%s: cannot be put in place (rename of %s)", path, temp);
        unlink(temp);
        return status;
    }
    return sync_folder_of(path, error);
}

ap_status ap_write_file(const char *path, const void *bytes, size_t n, ap_error *error) {
    char temp[AP_PATH];
    AP_TRY(ap_temp_name(path, temp, error));
    AP_TRY(write_temp(temp, bytes, n, error));
    return rename_synced(temp, path, error);
}

ap_status ap_commit_file(const char *temp, const char *path, ap_error *error) {
    delay_for_tests();
    int fd = open(temp, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) {
        ap_status status = ap_fail_errno(error, AP_IO, "%s: cannot be synced", temp);
        if (fd >= 0) close(fd);
        unlink(temp);
        return status;
    }
    close(fd);
    return rename_synced(temp, path, error);
}

void ap_abandon_file(const char *temp) {
    unlink(temp);
}

/* link(2) over NFS may report EEXIST for a link that this call made, when the answer to the first try was lost; the
 * link count of the temp file tells (open(2), under O_EXCL). */
static bool link_was_made(const char *temp) {
    struct stat status;
    return stat(temp, &status) == 0 && status.st_nlink == 2;
}

ap_status ap_create_exclusive(const char *path, const void *bytes, size_t n, bool *created, ap_error *error) {
    char temp[AP_PATH];
    AP_TRY(ap_temp_name(path, temp, error));
    AP_TRY(write_temp(temp, bytes, n, error));
    delay_for_tests();
    int failed = link(temp, path), why = errno;
    bool made = !failed || link_was_made(temp);
    delay_for_tests();
    unlink(temp);
    *created = false;
    if (!made && why != EEXIST) {
        errno = why;
        return ap_fail_errno(error, AP_IO, "%s: cannot be made by link(2) (the file system must have hard links)",
                             path);
    }
    if (!made) return AP_OK;
    ap_status status = sync_folder_of(path, error);
    if (status != AP_OK) unlink(path);
    *created = status == AP_OK;
    return status;
}

/* ---- reading */

static ap_status read_all(int fd, const char *path, size_t limit, char **bytes, size_t *n, ap_error *error) {
    size_t capacity = 0, used = 0;
    char *buffer = NULL;
    for (;;) {
        if (used + 1 >= capacity) { /* one byte stays free for the NUL */
            capacity = capacity ? 2 * capacity : 1 << 14;
            char *more = realloc(buffer, capacity);
            if (!more) {
                free(buffer);
                return ap_fail(error, AP_ENVIRONMENT, "%s: no memory for %zu bytes", path, capacity);
            }
            buffer = more;
        }
        ssize_t done = read(fd, buffer + used, capacity - used - 1);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            ap_status status = ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
            free(buffer);
            return status;
        }
        if (done == 0) break;
        used += (size_t)done;
        if (used > limit) {
            free(buffer);
            return ap_fail(error, AP_DATA, "%s: is longer than %zu bytes, the most allowed here; is it the right file?",
                           path, limit);
        }
    }
    buffer[used] = '\0';
    *bytes = buffer;
    *n = used;
    return AP_OK;
}

ap_status ap_read_file(const char *path, size_t limit, char **bytes, size_t *n, ap_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be opened", path);
    ap_status status = read_all(fd, path, limit, bytes, n, error);
    close(fd);
    return status;
}

void ap_guard_standard_files(void) {
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0) return;
}

/* ---- left-overs */

/* A zombie is dead: its parent may be slow to collect it (pid 1 of a container often never does). */
static bool process_is_dead(long pid) {
    if (kill((pid_t)pid, 0) && errno == ESRCH) return true;
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *name_end = strrchr(text, ')'); /* "pid (name) state ..." */
    return name_end && (strncmp(name_end, ") Z", 3) == 0 || strncmp(name_end, ") X", 3) == 0);
}

/* Where the digits of ".NAME.HOST.PID.tmp" start; NULL: it is no such name. */
static const char *digits_of_temp(const char *name) {
    static const char end[] = ".tmp";
    size_t n = strlen(name);
    if (n < sizeof end || name[0] != '.' || strcmp(name + n - (sizeof end - 1), end) != 0) return NULL;
    const char *digits_end = name + n - (sizeof end - 1), *digits = digits_end;
    while (digits > name && digits[-1] >= '0' && digits[-1] <= '9') digits--;
    return digits == digits_end || digits_end - digits > 9 || digits[-1] != '.' ? NULL : digits;
}

/* The pid in ".NAME.HOST.PID.tmp" if the host is ours, else 0. */
static long pid_of_temp(const char *name, const char *host) {
    size_t m = strlen(host);
    const char *digits = digits_of_temp(name);
    if (!digits) return 0;
    const char *host_end = digits - 1; /* at the dot before the digits */
    if (host_end - name < (ptrdiff_t)m + 3) return 0;
    const char *host_start = host_end - m;
    return host_start[-1] == '.' && memcmp(host_start, host, m) == 0 ? strtol(digits, NULL, 10) : 0;
}

void ap_remove_stale_temps(const char *directory) {
    char host[HOST];
    host_name(host);
    DIR *folder = opendir(directory);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        long pid = pid_of_temp(entry->d_name, host);
        if (pid > 0 && process_is_dead(pid)) unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
}

void ap_remove_temps(const char *directory, const char *name) {
    size_t n = name ? strlen(name) : 0;
    DIR *folder = opendir(directory);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *at = entry->d_name;
        bool of_it = !name || (*at == '.' && strncmp(at + 1, name, n) == 0 && at[n + 1] == '.');
        if (of_it && digits_of_temp(at)) unlinkat(dirfd(folder), at, 0);
    }
    closedir(folder);
}
