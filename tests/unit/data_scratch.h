/* A folder of one test program's own, removed at its end. */
#ifndef AP_TESTS_DATA_SCRATCH_H
#define AP_TESTS_DATA_SCRATCH_H

#include "check.h"

#include <dirent.h>
#include <stdint.h>
#include <unistd.h>

/* The call succeeds; else its error text is shown. Needs an `ap_error error` in scope. */
#define CHECK_OK(call)                                                                                                 \
    do {                                                                                                               \
        if ((call) != AP_OK) {                                                                                         \
            printf("%s:%d: %s failed: %s\n", __FILE__, __LINE__, #call, error.text);                                   \
            ap_check_failures++;                                                                                       \
        }                                                                                                              \
    } while (0)

static char scratch_folder[256];

static inline void scratch_clear(void) {
    DIR *folder = opendir(scratch_folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", scratch_folder, entry->d_name);
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) unlink(path);
    }
    if (folder) closedir(folder);
}
static inline void scratch_remove(void) {
    scratch_clear();
    rmdir(scratch_folder);
}
/* Path of `name` in the folder; a few may be in use at once. */
static inline const char *scratch(const char *name) {
    static char paths[8][512];
    static int next;
    if (!*scratch_folder) {
        const char *base = getenv("TMPDIR");
        snprintf(scratch_folder, sizeof scratch_folder, "%s/algoperf-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(scratch_folder)) perror("mkdtemp"), exit(1);
        atexit(scratch_remove);
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
    return path;
}
/* Files in the folder, hidden ones (temp files) included. */
static inline int scratch_files(void) {
    int n = 0;
    DIR *folder = opendir(scratch_folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (folder) closedir(folder);
    return n;
}
static inline const char *scratch_write(const char *name, const void *bytes, size_t n) {
    const char *path = scratch(name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) perror(path), exit(1);
    return path;
}
/* Whole file; the caller frees. */
static inline uint8_t *scratch_read(const char *path, size_t *n) {
    FILE *file = fopen(path, "rb");
    if (!file) perror(path), exit(1);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*n + 1);
    if (!bytes || fread(bytes, 1, *n, file) != *n) perror(path), exit(1);
    fclose(file);
    return bytes;
}

#endif
