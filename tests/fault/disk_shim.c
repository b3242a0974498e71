/* LD_PRELOAD: lets one file operation of a program fail, for tests. It counts the operations on files whose absolute
 * path begins with $FAULT_PREFIX, and makes the $FAULT_AT-th misbehave (a negative number: that one and all later ones
 * that need room or write):
 *
 *     FAULT_MODE=ENOSPC | EIO | EROFS | EDQUOT | EACCES | EMFILE   it fails so and does nothing
 *     FAULT_MODE=short    a write or read moves half of its bytes; other operations are left alone
 *     FAULT_MODE=kill     the process is killed before it
 *     FAULT_MODE=kill_after   ... and after it
 *     FAULT_MODE=sleep    it takes $FAULT_SLEEP_MS longer (100)
 *     FAULT_MODE=run      the shell command $FAULT_RUN is run before it
 *
 * FAULT_LOG=FILE gets one line an operation: its number, name and path (FILE lies outside the prefix). FAULT_KIND is
 * "write" (default: what changes files, and the closing of files opened for it) or "read" (opening to read, read,
 * opendir, readdir). FAULT_RANK: only in this rank (default 0; without a launcher every process is rank 0). */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name)                                                                                                     \
    static __typeof__(name) *real;                                                                                     \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

enum { PATH = 4200 };
typedef enum verdict { GO_ON, FAIL, HALF } verdict;
typedef enum kind { WRITES, READS } kind;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long count;
static __thread int inside; /* our own calls are not counted */

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static int number_of(const char *mode) {
    static const struct {
        const char *name;
        int number;
    } known[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EROFS", EROFS},
                 {"EDQUOT", EDQUOT}, {"EACCES", EACCES}, {"EMFILE", EMFILE}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(mode, known[i].name)) return known[i].number;
    return 0;
}

static int is_meant(kind what, const char *path) {
    const char *prefix = getenv("FAULT_PREFIX"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (inside || !prefix || !path || strncmp(path, prefix, strlen(prefix))) return 0;
    if (rank && strcmp(rank, setting("FAULT_RANK", "0"))) return 0;
    return what == (strcmp(setting("FAULT_KIND", "write"), "read") ? WRITES : READS);
}

static void note(long number, const char *name, const char *path) {
    const char *log = getenv("FAULT_LOG");
    if (!log) return;
    char line[PATH + 100];
    int n = snprintf(line, sizeof line, "%ld %s %s\n", number, name, path);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd >= 0 && write(fd, line, (size_t)n) != n) abort();
    if (fd >= 0) close(fd);
}

/* What happens to this operation; errno is set for FAIL. A file name's operation `frees` if it needs no room. */
static verdict judge(kind what, const char *name, const char *path, int frees) {
    if (!is_meant(what, path)) return GO_ON;
    inside = 1;
    pthread_mutex_lock(&lock);
    long number = ++count, at = atol(setting("FAULT_AT", "0"));
    pthread_mutex_unlock(&lock);
    const char *mode = setting("FAULT_MODE", "EIO");
    int due = number == at || (at < 0 && number >= -at && !frees);
    note(number, name, path);
    verdict result = GO_ON;
    if (due && !strcmp(mode, "kill")) raise(SIGKILL);
    if (due && !strcmp(mode, "sleep")) usleep((useconds_t)atol(setting("FAULT_SLEEP_MS", "100")) * 1000);
    if (due && !strcmp(mode, "run") && system(getenv("FAULT_RUN")) < 0) abort();
    if (due && !strcmp(mode, "short")) result = HALF;
    if (due && number_of(mode)) result = FAIL;
    inside = 0;
    if (result == FAIL) errno = number_of(mode);
    return result;
}

/* After an operation: the death of FAULT_MODE=kill_after. */
static void afterwards(kind what, const char *path) {
    int saved = errno;
    if (is_meant(what, path) && count == atol(setting("FAULT_AT", "0")) &&
        !strcmp(setting("FAULT_MODE", ""), "kill_after"))
        raise(SIGKILL);
    errno = saved;
}

static const char *path_of(int fd, char path[PATH]) {
    char link[64];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH - 1);
    path[n < 0 ? 0 : n] = 0;
    errno = saved;
    return path;
}

static int writes(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

/* ---- opening and closing */

static int any_open(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    kind what = (flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY ? WRITES : READS;
    if (judge(what, flags & O_CREAT ? "create" : "open", path, 0) == FAIL) return -1;
    int fd = real(path, flags, mode);
    afterwards(what, path);
    return fd;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        REAL(name);                                                                                                    \
        va_list args;                                                                                                  \
        va_start(args, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;                                                      \
        va_end(args);                                                                                                  \
        return any_open(real, path, flags, mode);                                                                      \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(close);
    char path[PATH];
    /* A failed close(2) has closed the file all the same. */
    verdict v = inside ? GO_ON : judge(writes(fd) ? WRITES : READS, "close", path_of(fd, path), 1);
    int saved = errno, result = real(fd);
    if (!inside) afterwards(WRITES, path);
    if (v != FAIL) return result;
    errno = saved;
    return -1;
}

/* ---- moving bytes */

#define MOVE(name, kind, pointer)                                                                                      \
    ssize_t name(int fd, pointer bytes, size_t n) {                                                                    \
        REAL(name);                                                                                                    \
        char path[PATH];                                                                                               \
        verdict v = judge(kind, #name, path_of(fd, path), 0);                                                          \
        if (v == FAIL) return -1;                                                                                      \
        ssize_t done = real(fd, bytes, v == HALF && n > 1 ? n / 2 : n);                                                \
        afterwards(kind, path);                                                                                        \
        return done;                                                                                                   \
    }
MOVE(write, WRITES, const void *)
MOVE(read, READS, void *)

#define MOVE_AT(name, kind, pointer, offset)                                                                           \
    ssize_t name(int fd, pointer bytes, size_t n, offset at) {                                                         \
        REAL(name);                                                                                                    \
        char path[PATH];                                                                                               \
        verdict v = judge(kind, #name, path_of(fd, path), 0);                                                          \
        if (v == FAIL) return -1;                                                                                      \
        ssize_t done = real(fd, bytes, v == HALF && n > 1 ? n / 2 : n, at);                                            \
        afterwards(kind, path);                                                                                        \
        return done;                                                                                                   \
    }
MOVE_AT(pwrite, WRITES, const void *, off_t)
MOVE_AT(pwrite64, WRITES, const void *, off64_t)
MOVE_AT(pread, READS, void *, off_t)
MOVE_AT(pread64, READS, void *, off64_t)

/* ---- one file */

#define ON_FD(name, frees)                                                                                             \
    int name(int fd) {                                                                                                 \
        REAL(name);                                                                                                    \
        char path[PATH];                                                                                               \
        if (judge(WRITES, #name, path_of(fd, path), frees) == FAIL) return -1;                                         \
        int result = real(fd);                                                                                         \
        afterwards(WRITES, path);                                                                                      \
        return result;                                                                                                 \
    }
ON_FD(fsync, 0)
ON_FD(fdatasync, 0)

#define CUT(name, offset)                                                                                              \
    int name(int fd, offset size) {                                                                                    \
        REAL(name);                                                                                                    \
        char path[PATH];                                                                                               \
        if (judge(WRITES, #name, path_of(fd, path), 1) == FAIL) return -1;                                             \
        int result = real(fd, size);                                                                                   \
        afterwards(WRITES, path);                                                                                      \
        return result;                                                                                                 \
    }
CUT(ftruncate, off_t)
CUT(ftruncate64, off64_t)

/* ---- names */

int rename(const char *from, const char *to) {
    REAL(rename);
    if (judge(WRITES, "rename", to, 0) == FAIL) return -1;
    int result = real(from, to);
    afterwards(WRITES, to);
    return result;
}

int link(const char *from, const char *to) {
    REAL(link);
    if (judge(WRITES, "link", to, 0) == FAIL) return -1;
    int result = real(from, to);
    afterwards(WRITES, to);
    return result;
}

int unlink(const char *path) {
    REAL(unlink);
    if (judge(WRITES, "unlink", path, 1) == FAIL) return -1;
    int result = real(path);
    afterwards(WRITES, path);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    if (judge(WRITES, "mkdir", path, 0) == FAIL) return -1;
    int result = real(path, mode);
    afterwards(WRITES, path);
    return result;
}

/* ---- folders */

DIR *opendir(const char *path) {
    REAL(opendir);
    return judge(READS, "opendir", path, 0) == FAIL ? NULL : real(path);
}

#define NEXT(name, type)                                                                                               \
    struct type *name(DIR *folder) {                                                                                   \
        REAL(name);                                                                                                    \
        char path[PATH];                                                                                               \
        return judge(READS, "readdir", path_of(dirfd(folder), path), 0) == FAIL ? NULL : real(folder);                 \
    }
NEXT(readdir, dirent)
NEXT(readdir64, dirent64)
