#include "packed_sample.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void check_all_examples(const char *path) {
    ap_dataset *dataset;
    ap_error error;
    ap_example example = {0};
    CHECK_OK(sample_open(path, &dataset, &error));
    for (ap_split split = 0; dataset && split < AP_SPLITS; split++) {
        CHECK_INT(ap_dataset_count(dataset, split), sample_counts[split]);
        for (int64_t i = sample_counts[split] - 1; i >= 0; i--) {
            CHECK_OK(ap_dataset_read(dataset, split, i, &example, &error));
            CHECK(sample_equal(&example, split, i));
        }
    }
    ap_example_free(&example);
    ap_dataset_close(dataset);
}

static void test_what_is_packed_is_read_back(void) {
    check_all_examples(sample_pack("a.h5"));
}

static void test_same_input_makes_the_same_file(void) {
    size_t n, m;
    uint8_t *a = scratch_read(sample_pack("a.h5"), &n), *b = scratch_read(sample_pack("b.h5"), &m);
    CHECK(n == m && memcmp(a, b, n) == 0);
    free(a);
    free(b);
}

static ap_status pack_bytes(const char *path, int64_t size, int64_t count, ap_error *error) {
    const ap_field field = {.name = "bytes", .type = AP_U8, .rank = 1, .shape = {size}};
    ap_packer *packer;
    ap_example example = {0};
    ap_status status = ap_packer_create(path, "bytes", "many", "", 1, &field, &packer, error);
    if (status != AP_OK) return status;
    for (ap_split split = 0; status == AP_OK && split < AP_SPLITS; split++) {
        status = ap_packer_begin(packer, split, split == AP_TRAIN ? count : 0, NULL, error);
        for (int64_t i = 0; status == AP_OK && split == AP_TRAIN && i < count; i++) {
            ap_example_reserve(&example, 1, &field, NULL, NULL);
            memset(example.data[0], (int)(i + 1), (size_t)size);
            status = ap_packer_append(packer, &example, error);
        }
    }
    ap_example_free(&example);
    if (status == AP_OK) return ap_packer_commit(packer, error);
    ap_packer_abandon(packer);
    return status;
}

/* Rows of a third of the buffer, and rows larger than the buffer; empty splits beside them. */
static void test_large_examples(void) {
    for (int64_t size = 300000; size <= 1500000; size += 1200000) {
        const ap_field field = {.name = "bytes", .type = AP_U8, .rank = 1, .shape = {size}};
        const char *path = scratch("large.h5");
        ap_error error = {0};
        ap_dataset *dataset = NULL;
        ap_example example = {0};
        unlink(path);
        CHECK_OK(pack_bytes(path, size, 8, &error));
        CHECK_OK(ap_dataset_open(path, "bytes", 1, &field, &dataset, &error));
        CHECK_INT(ap_dataset_count(dataset, AP_VALIDATION), 0);
        for (int64_t i = 0; dataset && i < 8; i++) {
            CHECK_OK(ap_dataset_read(dataset, AP_TRAIN, i, &example, &error));
            const uint8_t *bytes = example.data[0];
            CHECK(bytes[0] == i + 1 && memcmp(bytes, bytes + 1, (size_t)size - 1) == 0);
        }
        ap_example_free(&example);
        ap_dataset_close(dataset);
    }
}

/* ---- a file that is there already */

static void test_the_same_file_is_left_alone(void) {
    const char *path = sample_pack("a.h5");
    ap_packer *packer = (ap_packer *)&path; /* anything but NULL */
    ap_error error = {0};
    CHECK_OK(ap_packer_create(path, "sample", "small", "made by a test", SAMPLE_FIELDS, sample_field, &packer, &error));
    CHECK(packer == NULL);
    check_all_examples(path);
}

static void check_not_overwritten(const char *path, const char *name, const char *source, const char *text) {
    size_t n, m;
    uint8_t *before = scratch_read(path, &n);
    ap_packer *packer;
    ap_error error = {0};
    CHECK_INT(ap_packer_create(path, "sample", name, source, SAMPLE_FIELDS, sample_field, &packer, &error), AP_USAGE);
    CHECK(packer == NULL);
    CHECK_TEXT(error.text, text);
    CHECK_TEXT(error.text, path);
    uint8_t *after = scratch_read(path, &m);
    CHECK(n == m && memcmp(before, after, n) == 0);
    free(before);
    free(after);
}

static void test_another_file_is_never_overwritten(void) {
    check_not_overwritten(sample_pack("a.h5"), "small", "other files", "holds data set \"small\" from other files");
    check_not_overwritten(sample_pack("a.h5"), "large", "made by a test", "holds data set \"small\", not \"large\"");
    check_not_overwritten(scratch_write("notes.txt", "my notes", 8), "small", "made by a test", "not an intact");
}

/* ---- failures leave nothing behind */

static void check_nothing_left(ap_packer *packer) {
    ap_packer_abandon(packer);
    CHECK_INT(scratch_files(), 0);
}

static void test_abandon_leaves_nothing(void) {
    scratch_clear();
    check_nothing_left(NULL);
    check_nothing_left(sample_begin(scratch("a.h5")));
    ap_packer *packer = sample_begin(scratch("a.h5"));
    CHECK_INT(sample_pack_split(packer, AP_TRAIN, NULL), AP_OK);
    CHECK_INT(ap_packer_begin(packer, AP_VALIDATION, 5, (int64_t[]){0, 9, 9, 0}, NULL), AP_OK);
    check_nothing_left(packer);
}

static void test_wrong_use_is_refused(void) {
    scratch_clear();
    ap_example example = {0};
    ap_error error = {0};
    const int64_t lengths[] = {0, 1, 8, 0}; /* of the example that sample_example makes below */

    ap_packer *packer = sample_begin(scratch("a.h5"));
    CHECK_INT(ap_packer_begin(packer, AP_VALIDATION, 1, lengths, &error), AP_BUG); /* not in order */
    check_nothing_left(packer);

    packer = sample_begin(scratch("a.h5"));
    CHECK_OK(ap_packer_begin(packer, AP_TRAIN, 2, lengths, &error));
    sample_example(AP_TRAIN, 1, &example);
    CHECK_OK(ap_packer_append(packer, &example, &error));
    CHECK_INT(ap_packer_append(packer, &example, &error), AP_BUG); /* `text` is longer than announced */
    CHECK_TEXT(error.text, "/train/text/values");
    check_nothing_left(packer);

    packer = sample_begin(scratch("a.h5"));
    CHECK_OK(ap_packer_begin(packer, AP_TRAIN, 1, lengths, &error));
    CHECK_INT(ap_packer_begin(packer, AP_VALIDATION, 0, NULL, &error), AP_BUG); /* one example is missing */
    CHECK_TEXT(error.text, "0 rows, 1 were announced");
    check_nothing_left(packer);

    packer = sample_begin(scratch("a.h5"));
    for (ap_split split = 0; split < AP_SPLITS; split++) CHECK_OK(ap_packer_begin(packer, split, 0, NULL, &error));
    CHECK_INT(ap_packer_append(packer, &example, &error), AP_BUG); /* one too many */
    check_nothing_left(packer);

    packer = sample_begin(scratch("a.h5"));
    CHECK_OK(sample_pack_split(packer, AP_TRAIN, &error));
    CHECK_INT(ap_packer_commit(packer, &error), AP_BUG); /* two splits are missing */
    check_nothing_left(NULL);
    ap_example_free(&example);
}

static void test_unwritable_place(void) {
    ap_packer *packer;
    ap_error error = {0};
    CHECK_INT(ap_packer_create("/nowhere/a.h5", "sample", "small", "", SAMPLE_FIELDS, sample_field, &packer, &error),
              AP_IO);
    CHECK_TEXT(error.text, "/nowhere/");
}

/* A limit on the size of files stands for the full disk: write(2) fails in the same places. In a process of its own,
 * as HDF5 may be unusable after a file that it could not close (base/h5.h). */
static void fail_on_full_disk(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
    ap_error error = {0};
    ap_status status = pack_bytes(scratch("full.h5"), 100000, 100, &error);
    _exit(status == AP_IO && error.status == AP_IO && strstr(error.text, "full.h5") && scratch_files() == 0 ? 0 : 1);
}

static void test_full_disk_leaves_nothing(void) {
    static const rlim_t limits[] = {100, 4096, 500000, 3000000, 9999000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        scratch_clear();
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) fail_on_full_disk(limits[i]);
        int code = -1;
        CHECK(child > 0 && waitpid(child, &code, 0) == child);
        CHECK_INT(code, 0);
    }
}

/* ---- others' tools */

/* packed.py is the README's example: it checks our file, and writes one that we read. */
static void test_h5py_reads_and_writes_the_format(void) {
    char command[2048];
    if (system("/usr/bin/python3 -c 'import h5py, ctypes.util as u; assert u.find_library(\"xxhash\")' 2>/dev/null") !=
        0) {
        printf("not run: /usr/bin/python3 with h5py, or libxxhash, is missing\n");
        return;
    }
    const char *ours = sample_pack("ours.h5"), *theirs = scratch("theirs.h5");
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' check '%s'", PACKED_PY, ours);
    CHECK_INT(system(command), 0);
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' copy '%s' '%s'", PACKED_PY, ours, theirs);
    CHECK_INT(system(command), 0);
    check_all_examples(theirs);
}

AP_TEST_MAIN(test_what_is_packed_is_read_back, test_same_input_makes_the_same_file, test_large_examples,
             test_the_same_file_is_left_alone, test_another_file_is_never_overwritten, test_abandon_leaves_nothing,
             test_wrong_use_is_refused, test_unwritable_place, test_full_disk_leaves_nothing,
             test_h5py_reads_and_writes_the_format)
