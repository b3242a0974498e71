/* Where there is no libFuzzer: replay FILE-OR-FOLDER... runs a target once on every file, so that what the fuzzer found
 * stays found under every compiler. */
#include "fuzz.h"

#include "base/file.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int files;

static int run(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info, (void)at;
    char *bytes;
    size_t n;
    ap_error error;
    if (type != FTW_F) return 0;
    if (ap_read_file(path, 1 << 30, &bytes, &n, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    fprintf(stderr, "%s\n", path); /* the last line names a file that crashes */
    LLVMFuzzerTestOneInput((const uint8_t *)bytes, n);
    free(bytes);
    files++;
    return 0;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info)) continue; /* a target without regressions has no such folder */
        if (nftw(argv[i], run, 16, FTW_PHYS)) return 1;
    }
    printf("%d inputs\n", files);
    return files == 0;
}
