/* A packed data set that somebody sealed, with the fields of mnist. */
#include "fuzz.h"

#include "data/dataset.h"

static const ap_field fields[] = {
    {.name = "inputs", .type = AP_U8, .rank = 2, .shape = {-1, 4}},
    {.name = "targets", .type = AP_U8},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ap_dataset *dataset;
    ap_example example = {0};
    ap_error error;
    const char *path = fuzz_file("input.h5", "data", data, size);
    if (ap_dataset_open(path, "fuzz", 2, fields, &dataset, &error) == AP_OK) {
        for (ap_split split = 0; split < AP_SPLITS; split++)
            for (int64_t i = 0; i < ap_dataset_count(dataset, split) && i < 64; i++)
                (void)ap_dataset_read(dataset, split, i, &example, &error);
        ap_dataset_close(dataset);
    }
    ap_example_free(&example);
    fuzz_check_closed();
    return 0;
}
