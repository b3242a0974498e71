#include "fuzz.h"

#include "base/digest.h"
#include "base/seal.h"

#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[128];

static void clean_up(void) {
    unlink(path);
    rmdir(folder);
}

const char *fuzz_folder(void) {
    if (*folder) return folder;
    snprintf(folder, sizeof folder, "%s/algoperf-fuzz.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) abort();
    atexit(clean_up);
    return folder;
}

static void write_all(int fd, const void *bytes, size_t n) {
    if (write(fd, bytes, n) != (ssize_t)n) abort();
}

const char *fuzz_file(const char *name, const char *kind, const uint8_t *data, size_t size) {
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) abort();
    if (kind) {
        char seal[AP_SEAL_BYTES];
        ap_seal_make(seal, kind, (int64_t)size + AP_SEAL_BYTES, ap_digest_of(data, size));
        write_all(fd, seal, sizeof seal);
    }
    write_all(fd, data, size);
    close(fd);
    return path;
}

char *fuzz_text(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

void fuzz_check_closed(void) {
    ssize_t open = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL);
    if (open > 0) {
        fprintf(stderr, "%zd HDF5 objects were left open\n", open);
        abort();
    }
}
