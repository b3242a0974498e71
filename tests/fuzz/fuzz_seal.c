/* Whole files, seal and all: what is not sealed must never reach HDF5. */
#include "fuzz.h"

#include "base/h5.h"
#include "base/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char kind[AP_SEAL_KIND];
    ap_error error;
    hid_t file;
    const char *path = fuzz_file("input.h5", NULL, data, size);
    (void)ap_seal_kind(path, kind, &error);
    (void)ap_h5_check_seal(path, "result", NULL, &error);
    if (ap_h5_open_sealed(path, "result", true, &file, &error) == AP_OK) ap_h5_close(file);
    fuzz_check_closed();
    return 0;
}
