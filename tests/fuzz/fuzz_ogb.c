/* OGB's raw folders: the nine files of one, form feeds between them. */
#include "fuzz.h"

#include "base/file.h"
#include "workloads/ogbg/raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const files[] = {
    "raw/num-node-list", "raw/num-edge-list",    "raw/node-feat",        "raw/edge-feat",      "raw/edge",
    "raw/graph-label",   "split/scaffold/train", "split/scaffold/valid", "split/scaffold/test"};
enum { FILES = sizeof files / sizeof *files };

static void write_part(int index, const uint8_t *data, size_t size) {
    char path[AP_PATH];
    snprintf(path, sizeof path, "%s/%s.csv", fuzz_folder(), files[index]);
    FILE *file = fopen(path, "wb");
    if (!file) abort();
    fwrite(data, 1, size, file);
    fclose(file);
}

static void read_folder(void) {
    ap_ogb_raw raw;
    ap_error error = {0};
    ap_example example = {0};
    ap_status status = ap_ogb_raw_read(fuzz_folder(), &raw, &error);
    for (int s = 0; status == AP_OK && s < AP_SPLITS; s++)
        for (int64_t i = 0; status == AP_OK && i < raw.split_count[s]; i++)
            status = ap_ogb_raw_example(&raw, raw.split[s][i], &example, &error);
    ap_example_free(&example);
    ap_ogb_raw_free(&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[AP_PATH];
    snprintf(path, sizeof path, "%s/raw", fuzz_folder());
    if (ap_make_directories(path, NULL)) abort();
    snprintf(path, sizeof path, "%s/split/scaffold", fuzz_folder());
    if (ap_make_directories(path, NULL)) abort();
    for (int i = 0; i < FILES; i++) {
        const uint8_t *end = size ? memchr(data, '\f', size) : NULL;
        const size_t n = end ? (size_t)(end - data) : size;
        write_part(i, data, n);
        data += n + (end != NULL), size -= n + (end != NULL);
    }
    read_folder();
    return 0;
}
