/* A checkpoint that somebody sealed. */
#include "fuzz.h"

#include "harness/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char note[AP_ERROR_TEXT];
    ap_checkpoint checkpoint = {.step = -1};
    ap_error error;
    fuzz_file("checkpoint_000000000008.h5", "checkpoint", data, size);
    if (ap_checkpoint_load(fuzz_folder(), "fuzz", &checkpoint, note, &error) == AP_OK) {
        void *blob;
        (void)ap_checkpoint_find(&checkpoint, "/parameters/weight", AP_F32, 6, &blob, &error);
        ap_checkpoint_free(&checkpoint);
    }
    fuzz_check_closed();
    return 0;
}
