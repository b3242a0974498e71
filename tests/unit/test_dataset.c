#include "packed_sample.h"

#include <pthread.h>

static const char *changed(const char *name, uint8_t *bytes, size_t n, bool reseal) {
    return reseal ? sample_reseal(name, bytes, n) : scratch_write(name, bytes, n);
}

static void check_refused(const char *path, ap_status status, const char *text) {
    ap_dataset *dataset;
    ap_error error;
    CHECK_INT(sample_open(path, &dataset, &error), status);
    CHECK_INT(error.status, status);
    CHECK_TEXT(error.text, path);
    CHECK_TEXT(error.text, text);
    CHECK(dataset == NULL);
}

/* Reads all; -1 = all fine, else the position (splits in order) of the one bad example; more than one bad: -2. */
static int64_t find_bad_example(const char *path, char *text) {
    ap_dataset *dataset;
    ap_error error;
    ap_example example = {0};
    int64_t bad = -1, position = 0;
    CHECK_OK(sample_open(path, &dataset, &error));
    for (ap_split split = 0; dataset && split < AP_SPLITS; split++)
        for (int64_t i = 0; i < sample_counts[split]; i++, position++) {
            ap_status status = ap_dataset_read(dataset, split, i, &example, &error);
            if (status == AP_OK) {
                CHECK(sample_equal(&example, split, i));
                continue;
            }
            CHECK_INT(status, AP_DATA);
            strcpy(text, error.text);
            bad = bad == -1 ? position : -2;
        }
    ap_example_free(&example);
    ap_dataset_close(dataset);
    return bad;
}

/* Where a data set lies in the file. */
static int64_t offset_of(const char *path, const char *name, ap_dtype type) {
    hid_t file;
    int64_t offset = 0;
    ap_error error = {0};
    CHECK_OK(ap_h5_open(path, &file, &error));
    CHECK_OK(ap_h5_offset(file, name, type, &offset, &error));
    ap_h5_close(file);
    return offset;
}

/* ---- what is fine */

static void test_facts(void) {
    const char *path = sample_pack("a.h5");
    ap_dataset *dataset;
    ap_digest digest;
    ap_error error;
    char hex[AP_DIGEST_TEXT];
    CHECK_OK(sample_open(path, &dataset, &error));
    CHECK_OK(ap_h5_check_seal(path, "data", &digest, &error));
    ap_digest_text(digest, hex);
    CHECK(strcmp(ap_dataset_name(dataset), "small") == 0);
    CHECK(strcmp(ap_dataset_source(dataset), "made by a test") == 0);
    CHECK(strcmp(ap_dataset_digest(dataset), hex) == 0);
    ap_example example = {0};
    CHECK_INT(ap_dataset_read(dataset, AP_TEST, sample_counts[AP_TEST], &example, &error), AP_BUG);
    CHECK_INT(ap_dataset_read(dataset, AP_TEST, -1, &example, &error), AP_BUG);
    ap_dataset_close(dataset);
    ap_dataset_close(NULL);
}

static ap_status count_up(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    const ap_field field = {.name = "x", .type = AP_I64};
    AP_TRY(ap_example_reserve(example, 1, &field, NULL, error));
    *(int64_t *)example->data[0] = *(const int64_t *)model + (int64_t)seed + 1000 * (int64_t)split + index;
    return AP_OK;
}

static void test_synthetic(void) {
    const ap_generator generator = {
        .name = "counting", .fields = 1, .field = {{.name = "x", .type = AP_I64}}, .generate = count_up};
    const int64_t model = 7;
    ap_dataset *dataset;
    ap_error error = {0};
    ap_example example = {0};
    CHECK_OK(ap_dataset_synthetic(&generator, &model, 5, (int64_t[]){10, 20, 30}, &dataset, &error));
    CHECK(strcmp(ap_dataset_name(dataset), "counting") == 0);
    CHECK(strcmp(ap_dataset_digest(dataset), "") == 0 && strcmp(ap_dataset_source(dataset), "") == 0);
    CHECK_INT(ap_dataset_count(dataset, AP_TEST), 30);
    CHECK_OK(ap_dataset_read(dataset, AP_VALIDATION, 3, &example, &error));
    CHECK_INT(*(int64_t *)example.data[0], 7 + 5 + 1000 + 3);
    CHECK_INT(ap_dataset_read(dataset, AP_TRAIN, 10, &example, &error), AP_BUG);
    ap_example_free(&example);
    ap_dataset_close(dataset);
}

static void test_example_memory(void) {
    ap_example example = {0};
    for (int round = 0; round < 3; round++) {
        CHECK_INT(ap_example_reserve(&example, SAMPLE_FIELDS, sample_field, (int64_t[]){0, 3, 50 * round, 0}, NULL),
                  AP_OK);
        for (int f = 0; f < SAMPLE_FIELDS; f++) CHECK((uintptr_t)example.data[f] % 16 == 0);
        CHECK_INT(example.length[0], 3);
        CHECK_INT(example.length[1], 3);
        CHECK_INT(example.length[2], 50 * round);
        CHECK_INT(example.length[3], 1);
        memset(example.data[2], 1, (size_t)(50 * round) * 8);
        memset(example.data[3], 1, 8);
    }
    ap_error error = {0};
    CHECK_INT(ap_example_reserve(&example, SAMPLE_FIELDS, sample_field, (int64_t[]){0, -5, 1, 0}, &error),
              AP_ENVIRONMENT);
    CHECK_INT(ap_example_reserve(&example, SAMPLE_FIELDS, sample_field, (int64_t[]){0, INT64_MAX / 2, 1, 0}, &error),
              AP_ENVIRONMENT);
    ap_example_free(&example);
}

static void *read_everything(void *argument) {
    const ap_dataset *dataset = argument;
    ap_example example = {0};
    long wrong = 0;
    for (int round = 0; round < 50; round++)
        for (ap_split split = 0; split < AP_SPLITS; split++)
            for (int64_t i = 0; i < sample_counts[split]; i++)
                wrong +=
                    ap_dataset_read(dataset, split, i, &example, NULL) != AP_OK || !sample_equal(&example, split, i);
    ap_example_free(&example);
    return (void *)wrong;
}

static void test_threads_read_at_once(void) {
    ap_dataset *dataset;
    ap_error error;
    pthread_t threads[4];
    CHECK_OK(sample_open(sample_pack("a.h5"), &dataset, &error));
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, read_everything, dataset);
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        CHECK_INT((long)wrong, 0);
    }
    ap_dataset_close(dataset);
}

/* ---- damage */

static void test_any_flipped_bit_is_found_at_opening(void) {
    size_t n;
    uint8_t *bytes = scratch_read(sample_pack("a.h5"), &n);
    uint32_t random = 1;
    for (int i = 0; i < 200; i++) {
        random = random * 1664525 + 1013904223;
        size_t at = i < 80 ? (size_t)i : (random >> 8) % n; /* the seal's text, then anywhere */
        bytes[at] ^= (uint8_t)(1 << (random >> 29));
        ap_dataset *dataset;
        ap_error error;
        CHECK_INT(sample_open(changed("flipped.h5", bytes, n, false), &dataset, &error), AP_DATA);
        bytes[at] ^= (uint8_t)(1 << (random >> 29));
    }
    free(bytes);
}

static void test_truncated_or_longer(void) {
    size_t n;
    uint8_t *bytes = scratch_read(sample_pack("a.h5"), &n);
    const size_t lengths[] = {0, 1, 100, 511, 512, 513, 600, n / 2, n - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_refused(changed("short.h5", bytes, lengths[i], false), AP_DATA, "");
    bytes = realloc(bytes, n + 1);
    bytes[n] = 0;
    check_refused(changed("long.h5", bytes, n + 1, false), AP_DATA, "bytes");
    free(bytes);
}

/* A byte changed in each data set, under a seal that was made again: exactly the example it belongs to is refused. */
static void test_each_example_has_its_own_digest(void) {
    static const struct {
        const char *name;
        ap_dtype type;
        int64_t byte, position; /* of the byte in the data set; of the example it belongs to */
    } cases[] = {
        {"/train/image", AP_U8, 6 * 4 + 5, 4},   {"/train/label", AP_I64, 8 * 22, 22},
        {"/train/digest", AP_U64, 8 * 9 + 7, 9}, {"/validation/label", AP_I64, 8 * 2 + 1, 23 + 2},
        {"/test/image", AP_U8, 0, 23 + 5 + 0},   {"/test/frames/values", AP_F32, 8 * (1 + 2 + 3 + 1), 23 + 5 + 4},
        {"/train/text/values", AP_I32, 0, 1},
    };
    const char *path = sample_pack("a.h5");
    size_t n;
    uint8_t *bytes = scratch_read(path, &n);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[AP_ERROR_TEXT] = "", which[64];
        int64_t at = offset_of(path, cases[i].name, cases[i].type) + cases[i].byte, p = cases[i].position;
        bytes[at] ^= 4;
        CHECK_INT(find_bad_example(changed("changed.h5", bytes, n, true), text), p);
        bytes[at] ^= 4;
        snprintf(which, sizeof which, "%s example %d",
                 p < 23   ? "train"
                 : p < 28 ? "validation"
                          : "test",
                 (int)(p < 23   ? p
                       : p < 28 ? p - 23
                                : p - 28));
        CHECK_TEXT(text, which);
        CHECK_TEXT(text, "changed.h5");
        CHECK_TEXT(text, "digest");
    }
    char text[AP_ERROR_TEXT];
    CHECK_INT(find_bad_example(changed("changed.h5", bytes, n, true), text), -1); /* all were put back */
    free(bytes);
}

/* /train/text has lengths 0 1 2 3 0 1 ..., so offsets 0 0 1 3 6 6 7 ... */
static void test_bad_offsets(void) {
    const char *path = sample_pack("a.h5");
    size_t n;
    uint8_t *bytes = scratch_read(path, &n);
    int64_t *offsets = malloc(24 * sizeof *offsets), at = offset_of(path, "/train/text/offsets", AP_I64);
    memcpy(offsets, bytes + at, 24 * sizeof *offsets);
    CHECK(offsets[0] == 0 && offsets[3] == 3 && offsets[4] == 6);
    static const int64_t bad[] = {-1, 7, INT64_MIN, INT64_MAX, 1000000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[AP_ERROR_TEXT] = "";
        memcpy(bytes + at + 4 * 8, &bad[i], 8);
        CHECK_INT(find_bad_example(changed("offsets.h5", bytes, n, true), text), -2); /* examples 3 and 4 */
        CHECK_TEXT(text, "train example 4");
        memcpy(bytes + at, offsets, 24 * sizeof *offsets);
    }
    memcpy(bytes + at, &(int64_t){1}, 8);
    check_refused(changed("offsets.h5", bytes, n, true), AP_DATA, "/train/text/offsets goes from 1");
    memcpy(bytes + at, offsets, 24 * sizeof *offsets);
    memcpy(bytes + at + 23 * 8, &(int64_t){1000}, 8);
    check_refused(changed("offsets.h5", bytes, n, true), AP_DATA, "to 1000");
    free(offsets);
    free(bytes);
}

/* The file shrinks while it is open: what is held in memory is not touched by it, what is read as needed is refused. */
static void test_cut_after_opening(void) {
    const char *path = sample_pack("a.h5");
    ap_dataset *dataset;
    ap_error error;
    ap_example example = {0};
    CHECK_OK(sample_open(path, &dataset, &error));
    CHECK_INT(truncate(path, 1000), 0);
    bool held = ap_dataset_memory_limit > 0;
    CHECK_INT(ap_dataset_read(dataset, AP_TEST, 6, &example, &error), held ? AP_OK : AP_DATA);
    if (!held) CHECK_TEXT(error.text, "the file ends");
    ap_example_free(&example);
    ap_dataset_close(dataset);
}

/* ---- other files */

static void test_not_there(void) {
    check_refused(scratch("absent.h5"), AP_IO, "No such file");
    scratch("");
    check_refused(scratch_folder, AP_DATA, "not a regular file");
    check_refused(scratch_write("text.h5", "hello", 5), AP_DATA, "");
}

static void check_open_as(const char *path, const char *workload, int fields, const ap_field *field, const char *text) {
    ap_dataset *dataset = NULL;
    ap_error error = {0};
    CHECK_INT(ap_dataset_open(path, workload, fields, field, &dataset, &error), AP_DATA);
    CHECK_TEXT(error.text, text);
    CHECK_TEXT(error.text, path);
    CHECK(dataset == NULL);
}

static void test_other_workload_or_fields(void) {
    const char *path = sample_pack("a.h5");
    ap_field field[SAMPLE_FIELDS];
    check_open_as(path, "mnist", SAMPLE_FIELDS, sample_field, "its data is that of \"sample\", not of \"mnist\"");
    check_open_as(path, "sample", SAMPLE_FIELDS - 1, sample_field, "5 members");
#define OTHER(change, text)                                                                                            \
    memcpy(field, sample_field, sizeof field), change, check_open_as(path, "sample", SAMPLE_FIELDS, field, text)
    OTHER(field[0].name = "picture", "/train/picture");
    OTHER(field[0].type = AP_F32, "/train/image");
    OTHER(field[0].shape[1] = 3, "/train/image has shape [23, 3, 2] (expected [23, 3, 3])");
    OTHER(field[0].rank = 1, "/train/image has shape [23, 3, 2] (expected [23, 3])");
    OTHER(field[0].shape[0] = -1, "/train/image");
    OTHER(field[1].shape[0] = 2, "/train/text");
    OTHER(field[2].shape[1] = 3, "/train/frames/values has shape");
    OTHER(field[1].type = AP_I64, "/train/text/values");
#undef OTHER
}

/* Files of the right kind and digest whose inside is wrong, written by hand with one 2-byte field. */
typedef enum flaw {
    NO_FLAW,
    FORMAT_2,
    NO_FORMAT,
    NO_SOURCE,
    NO_TEST,
    FEWER_ROWS,
    SHORT_DIGEST,
    WIDE_DIGEST,
    OTHER_KIND
} flaw;
static const ap_field pair_field = {.name = "pair", .type = AP_U8, .rank = 1, .shape = {2}};

static const char *write_flawed(flaw f) {
    const char *path = scratch("flawed.h5");
    static const uint8_t pairs[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    const uint64_t digests[3] = {ap_digest64(pairs[0], 2), ap_digest64(pairs[1], 2), ap_digest64(pairs[2], 2)};
    ap_h5_writer *writer;
    ap_error error = {0};
    CHECK_OK(ap_h5_create(path, f == OTHER_KIND ? "result" : "data", &writer, &error));
    hid_t file = ap_h5_writer_file(writer);
    if (f != NO_FORMAT) CHECK_OK(ap_h5_set_i64(file, "/", "format", f == FORMAT_2 ? 2 : 1, &error));
    CHECK_OK(ap_h5_set_text(file, "/", "workload", "pairs", &error));
    CHECK_OK(ap_h5_set_text(file, "/", "data_set", "by hand", &error));
    if (f != NO_SOURCE) CHECK_OK(ap_h5_set_text(file, "/", "source", "", &error));
    for (ap_split split = 0; split < AP_SPLITS - (f == NO_TEST); split++) {
        char name[64];
        bool here = split == AP_VALIDATION;
        snprintf(name, sizeof name, "/%s/pair", ap_split_names[split]);
        CHECK_OK(
            ap_h5_write(file, name, AP_U8, 2, (int64_t[]){here && f == FEWER_ROWS ? 2 : 3, 2}, pairs, NULL, &error));
        snprintf(name, sizeof name, "/%s/digest", ap_split_names[split]);
        CHECK_OK(ap_h5_write(file, name, AP_U64, here && f == WIDE_DIGEST ? 2 : 1,
                             (int64_t[]){here && f == SHORT_DIGEST ? 2 : 3, 1}, digests, NULL, &error));
    }
    CHECK_OK(ap_h5_commit(writer, &error));
    return path;
}

static void test_wrong_inside(void) {
    ap_dataset *dataset;
    ap_error error = {0};
    ap_example example = {0};
    CHECK_OK(ap_dataset_open(write_flawed(NO_FLAW), "pairs", 1, &pair_field, &dataset, &error));
    CHECK_OK(ap_dataset_read(dataset, AP_TEST, 2, &example, &error));
    CHECK(memcmp(example.data[0], (uint8_t[]){5, 6}, 2) == 0);
    ap_example_free(&example);
    ap_dataset_close(dataset);
    check_open_as(write_flawed(FORMAT_2), "pairs", 1, &pair_field, "packed format 2");
    check_open_as(write_flawed(NO_FORMAT), "pairs", 1, &pair_field, "format");
    check_open_as(write_flawed(NO_SOURCE), "pairs", 1, &pair_field, "source");
    check_open_as(write_flawed(NO_TEST), "pairs", 1, &pair_field, "/test");
    check_open_as(write_flawed(FEWER_ROWS), "pairs", 1, &pair_field, "/validation/pair has shape [2, 2]");
    check_open_as(write_flawed(SHORT_DIGEST), "pairs", 1, &pair_field, "/validation/pair has shape [3, 2]");
    check_open_as(write_flawed(WIDE_DIGEST), "pairs", 1, &pair_field, "/validation/digest has shape [3, 1]");
    check_open_as(write_flawed(OTHER_KIND), "pairs", 1, &pair_field, "a result file");
}

/* What reads files, once more without holding them in memory. */
static void test_again_with_pread(void) {
    ap_dataset_memory_limit = 0;
    test_facts();
    test_threads_read_at_once();
    test_each_example_has_its_own_digest();
    test_bad_offsets();
    test_cut_after_opening();
}

AP_TEST_MAIN(test_facts, test_synthetic, test_example_memory, test_threads_read_at_once,
             test_any_flipped_bit_is_found_at_opening, test_truncated_or_longer, test_each_example_has_its_own_digest,
             test_bad_offsets, test_cut_after_opening, test_not_there, test_other_workload_or_fields, test_wrong_inside,
             test_again_with_pread)
