/* Seeds that are HDF5 files: seeds FOLDER writes FOLDER/<target>/..., by the program's own writers. A target whose
 * input is what stands behind the seal gets that alone. */
#include "analysis/archive.h"
#include "base/seal.h"
#include "data/dataset.h"
#include "harness/checkpoint.h"
#include "unit/full_result.h"

static char root[64];

/* The file below `root` as an input of `target`. */
static void keep(const char *folder, const char *target, const char *name, const char *file, size_t skip) {
    char path[AP_PATH], *bytes;
    size_t n;
    ap_error error = {0};
    must(ap_path(path, &error, "%s/%s", root, file), &error);
    must(ap_read_file(path, 1 << 24, &bytes, &n, &error), &error);
    must(ap_path(path, &error, "%s/%s", folder, target), &error);
    must(ap_make_directories(path, &error), &error);
    must(ap_path(path, &error, "%s/%s/%s", folder, target, name), &error);
    must(ap_write_file(path, bytes + skip, n - skip, &error), &error);
    free(bytes);
}

static void results(const char *folder) {
    full_result r = full_usual();
    full_write(root, "R/s/study_0/w/trial_1", r);
    keep(folder, "result", "usual", "R/s/study_0/w/trial_1/result.h5", AP_SEAL_BYTES);
    keep(folder, "seal", "result", "R/s/study_0/w/trial_1/result.h5", 0);
    r.steps = 0;
    r.verdict = "failed";
    r.status = 8;
    full_write(root, "R/s/study_0/w/trial_2", r);
    keep(folder, "result", "empty", "R/s/study_0/w/trial_2/result.h5", AP_SEAL_BYTES);
    put_text(root, "R/job.txt", "studies = 1\nworkload = w\nsubmission = s\n  {\"learning_rate\":0.1}\n");
    put_text(root, "R/s/study_0/w/trial_1/events.jsonl", "{\"event\":\"started\"}\n");
    char in[AP_PATH], out[AP_PATH];
    ap_archive_summary summary;
    ap_error error = {0};
    snprintf(in, sizeof in, "%s/R", root);
    snprintf(out, sizeof out, "%s/R.h5", root);
    must(ap_archive_write((const char *const[]){in, NULL}, out, &summary, NULL, &error), &error);
    keep(folder, "collection", "two_trials", "R.h5", AP_SEAL_BYTES);
}

static void dataset(const char *folder) {
    static const ap_field fields[] = {
        {.name = "inputs", .type = AP_U8, .rank = 2, .shape = {-1, 4}},
        {.name = "targets", .type = AP_U8},
    };
    ap_packer *packer;
    ap_example example = {0};
    ap_error error = {0};
    char path[AP_PATH];
    snprintf(path, sizeof path, "%s/data.h5", root);
    must(ap_packer_create(path, "fuzz", "small", "made by a test", 2, fields, &packer, &error), &error);
    for (ap_split split = 0; split < AP_SPLITS; split++) {
        const int64_t total[] = {6, 0};
        must(ap_packer_begin(packer, split, 3, total, &error), &error);
        for (int64_t i = 0; i < 3; i++) {
            const int64_t lengths[] = {i + 1, 1};
            must(ap_example_reserve(&example, 2, fields, lengths, &error), &error);
            memset(example.data[0], (int)i, (size_t)(4 * (i + 1)));
            memset(example.data[1], 7, 1);
            must(ap_packer_append(packer, &example, &error), &error);
        }
    }
    must(ap_packer_commit(packer, &error), &error);
    ap_example_free(&example);
    keep(folder, "dataset", "ragged", "data.h5", AP_SEAL_BYTES);
}

static void checkpoint(const char *folder) {
    float weights[] = {1, 2, 3, 4, 5, 6};
    int64_t state[] = {1, 2};
    const ap_blob blobs[] = {{.name = "/parameters/weight", .type = AP_F32, .n = 6, .data = weights},
                             {.name = "/record/state", .type = AP_I64, .n = 2, .data = state}};
    ap_error error = {0};
    must(ap_checkpoint_save(root, 8, "fuzz", 2, blobs, &error), &error);
    keep(folder, "checkpoint", "two_blobs", "checkpoint_000000000008.h5", AP_SEAL_BYTES);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: seeds FOLDER\n");
        return 2;
    }
    new_folder(root);
    results(argv[1]);
    dataset(argv[1]);
    checkpoint(argv[1]);
    remove_folder(root);
    return ap_check_failures; /* of none */
}
