/* A folder of its own for each test function, with what lies in it; the last one goes at the program's end. */
#ifndef AP_TESTS_FOLDER_H
#define AP_TESTS_FOLDER_H

#include "base/file.h"
#include "check.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static inline const char *in_folder(const char *name) {
    static char path[4][AP_PATH];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], AP_PATH, "%s/%s", folder, name);
    return path[next];
}

static pid_t owner; /* a child process leaves the folder alone */

static inline int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static inline void end(void) {
    if (owner == getpid() && *folder) nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* A new empty folder; the one before goes. */
static inline void start(void) {
    if (!owner) atexit(end);
    owner = getpid();
    end();
    strcpy(folder, "/tmp/ap_test.XXXXXX");
    if (!mkdtemp(folder)) SKIP("no temporary folder");
}

static inline int entries(const char *path) {
    int n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; (e = readdir(dir));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

#endif
