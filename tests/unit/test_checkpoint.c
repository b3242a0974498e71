/* Checkpoints: what is loaded is a whole, undamaged one, the newest there is, bit for bit, whatever happened before. */
#include "base/file.h"
#include "crash.h"
#include "data_scratch.h"
#include "harness/checkpoint.h"
#include <sys/stat.h>

static ap_error error;
static char note[AP_ERROR_TEXT];
static const char identity[] = "job 1 nadamw mnist trial_1";

static const char *folder(void) {
    scratch("");
    return scratch_folder;
}

static const char *file_of(int step) {
    char name[64];
    snprintf(name, sizeof name, "checkpoint_%012d.h5", step);
    return scratch(name);
}

/* A checkpoint whose every number is its step. */
static ap_status save_filled(const char *directory, int64_t step, int64_t n) {
    float *weights = malloc((size_t)n * sizeof *weights);
    int64_t clock[3] = {step, step, step};
    if (!weights) return ap_fail(&error, AP_ENVIRONMENT, "out of memory");
    for (int64_t i = 0; i < n; i++) weights[i] = (float)step;
    const ap_blob blobs[] = {{.name = "/parameters/net.layer1.weight", .type = AP_F32, .n = n, .data = weights},
                             {.name = "/clock", .type = AP_I64, .n = 3, .data = clock}};
    ap_status status = ap_checkpoint_save(directory, step, identity, 2, blobs, &error);
    free(weights);
    return status;
}

/* The step of the checkpoint that is loaded, after a look at every number of it. */
static int64_t loaded_step(const char *directory, int64_t n) {
    ap_checkpoint c;
    void *data;
    CHECK_OK(ap_checkpoint_load(directory, identity, &c, note, &error));
    int64_t step = c.step;
    if (step >= 0) {
        CHECK_OK(ap_checkpoint_find(&c, "/clock", AP_I64, 3, &data, &error));
        CHECK_INT(((int64_t *)data)[2], step);
        CHECK_OK(ap_checkpoint_find(&c, "/parameters/net.layer1.weight", AP_F32, n, &data, &error));
        int wrong = 0;
        for (int64_t i = 0; i < n; i++) wrong += ((float *)data)[i] != (float)step;
        CHECK_INT(wrong, 0);
    }
    ap_checkpoint_free(&c);
    return step;
}

/* ---- what is saved is loaded */

static void test_every_type_comes_back_bit_for_bit(void) {
    scratch_clear();
    uint32_t f32[] = {0x7fc12345, 0x80000000, 0x00000001}; /* a NaN with a payload, -0, the smallest denormal */
    uint64_t f64[] = {0x7ff8000000abcdef, 0x8000000000000000, 1};
    int64_t i64[] = {INT64_MIN, -1, INT64_MAX};
    int32_t i32[] = {INT32_MIN, 7};
    uint8_t u8[] = {0, 255};
    uint64_t u64[] = {UINT64_MAX};
    const ap_blob blobs[] = {{"/parameters/a.weight", AP_F32, 3, f32},
                             {"/s/f64", AP_F64, 3, f64},
                             {"/s/i64", AP_I64, 3, i64},
                             {"/s/i32", AP_I32, 2, i32},
                             {"/s/u8", AP_U8, 2, u8},
                             {"/s/deeper/u64", AP_U64, 1, u64},
                             {"/s/empty", AP_F64, 0, NULL}};
    const int n = sizeof blobs / sizeof *blobs;
    CHECK_OK(ap_checkpoint_save(folder(), 7, identity, n, blobs, &error));
    ap_checkpoint c;
    CHECK_OK(ap_checkpoint_load(folder(), identity, &c, note, &error));
    CHECK_INT(c.step, 7);
    CHECK_INT(c.n, n);
    CHECK(!note[0]);
    for (int i = 0; i < n && i < c.n; i++) { /* in the order given */
        CHECK(!strcmp(c.blobs[i].name, blobs[i].name));
        CHECK_INT(c.blobs[i].type, blobs[i].type);
        CHECK_INT(c.blobs[i].n, blobs[i].n);
        size_t bytes = (size_t)blobs[i].n * ap_dtype_size(blobs[i].type);
        CHECK(bytes == 0 || !memcmp(c.blobs[i].data, blobs[i].data, bytes));
    }
    ap_checkpoint_free(&c);
    CHECK_INT(c.step, -1);
}

static void test_a_checkpoint_may_hold_nothing(void) {
    scratch_clear();
    CHECK_OK(ap_checkpoint_save(folder(), 0, identity, 0, NULL, &error));
    ap_checkpoint c;
    CHECK_OK(ap_checkpoint_load(folder(), identity, &c, note, &error));
    CHECK_INT(c.step, 0);
    CHECK_INT(c.n, 0);
    ap_checkpoint_free(&c);
}

/* More than 64 MiB take another way to the disk. */
static void test_a_large_checkpoint(void) {
    scratch_clear();
    const int64_t n = (int64_t)17 << 20;
    CHECK_OK(save_filled(folder(), 3, n));
    CHECK_INT(loaded_step(folder(), n), 3);
    CHECK_INT(scratch_files(), 1);
    scratch_clear();
}

static void test_find_wants_the_same_name_type_and_length(void) {
    scratch_clear();
    ap_checkpoint c;
    void *data;
    CHECK_OK(save_filled(folder(), 5, 4));
    CHECK_OK(ap_checkpoint_load(folder(), identity, &c, note, &error));
    CHECK_INT(ap_checkpoint_find(&c, "/clocks", AP_I64, 3, &data, &error), AP_DATA);
    CHECK_TEXT(error.text, "/clocks");
    CHECK_INT(ap_checkpoint_find(&c, "/clock", AP_F64, 3, &data, &error), AP_DATA);
    CHECK_TEXT(error.text, "3 x int64");
    CHECK_INT(ap_checkpoint_find(&c, "/clock", AP_I64, 4, &data, &error), AP_DATA);
    ap_checkpoint_free(&c);
}

static void test_names_that_cannot_be_stored(void) {
    scratch_clear();
    double one = 1;
    ap_blob relative = {"clock", AP_F64, 1, &one};
    CHECK_INT(ap_checkpoint_save(folder(), 1, identity, 1, &relative, &error), AP_BUG);
    ap_blob unended = {.name = "/", .type = AP_F64, .n = 1, .data = &one};
    memset(unended.name + 1, 'x', sizeof unended.name - 1);
    CHECK_INT(ap_checkpoint_save(folder(), 1, identity, 1, &unended, &error), AP_BUG);
    CHECK_INT(ap_checkpoint_save(folder(), -1, identity, 0, NULL, &error), AP_BUG);
    CHECK_INT(ap_checkpoint_save(folder(), 1000000000000, identity, 0, NULL, &error), AP_BUG);
    CHECK_INT(scratch_files(), 0);
}

/* ---- which ones are kept */

static void test_two_are_kept(void) {
    scratch_clear();
    for (int step = 10; step <= 50; step += 10) CHECK_OK(save_filled(folder(), step, 4));
    CHECK_INT(scratch_files(), 2);
    CHECK(ap_file_exists(file_of(40)) && ap_file_exists(file_of(50)));
    CHECK_INT(ap_checkpoint_newest(folder()), 50);
    CHECK_OK(save_filled(folder(), 50, 4)); /* once more the same */
    CHECK_INT(scratch_files(), 2);
}

static void test_one_that_was_passed_over_does_not_take_the_place_of_a_good_one(void) {
    scratch_clear();
    CHECK_OK(save_filled(folder(), 10, 4));
    CHECK_OK(save_filled(folder(), 20, 4));
    scratch_write("checkpoint_000000000020.h5", "damaged", 7);
    CHECK_INT(loaded_step(folder(), 4), 10);
    CHECK_OK(save_filled(folder(), 15, 4)); /* the trial went on from 10 */
    CHECK(!ap_file_exists(file_of(20)));
    CHECK(ap_file_exists(file_of(10)) && ap_file_exists(file_of(15)));
}

static void test_other_files_are_left_alone(void) {
    scratch_clear();
    static const char *const others[] = {"checkpoint_5.h5",
                                         "checkpoint_0000000000050.h5",
                                         "checkpoint_00000000005x.h5",
                                         "checkpoint_000000000050.h5.bak",
                                         "result.h5",
                                         "Checkpoint_000000000050.h5"};
    const int n = sizeof others / sizeof *others;
    for (int i = 0; i < n; i++) scratch_write(others[i], "x", 1);
    CHECK_INT(ap_checkpoint_newest(folder()), -1);
    for (int step = 1; step <= 3; step++) CHECK_OK(save_filled(folder(), step, 4));
    CHECK_INT(loaded_step(folder(), 4), 3);
    CHECK(!note[0]);
    CHECK_OK(ap_checkpoint_remove_all(folder(), &error));
    CHECK_INT(ap_checkpoint_newest(folder()), -1);
    for (int i = 0; i < n; i++) CHECK(ap_file_exists(scratch(others[i])));
    CHECK_INT(scratch_files(), n);
}

static void test_no_checkpoint_is_no_error(void) {
    scratch_clear();
    CHECK_INT(loaded_step(folder(), 4), -1);
    CHECK(!note[0]);
    CHECK_INT(loaded_step(scratch("no_such_folder"), 4), -1);
    CHECK_OK(ap_checkpoint_remove_all(scratch("no_such_folder"), &error));
    ap_checkpoint c;
    const char *file = scratch_write("a_file", "x", 1);
    CHECK_INT(ap_checkpoint_load(file, identity, &c, note, &error), AP_IO);
    CHECK_INT(ap_checkpoint_save(scratch("no_such_folder"), 1, identity, 0, NULL, &error), AP_IO);
}

/* ---- bad input */

static void test_another_trial_is_refused(void) {
    scratch_clear();
    ap_checkpoint c;
    CHECK_OK(save_filled(folder(), 10, 4));
    CHECK_INT(ap_checkpoint_load(folder(), "job 2 nadamw mnist trial_1", &c, note, &error), AP_CONFIG);
    CHECK_INT(c.step, -1);
    CHECK_TEXT(error.text, "job 1 nadamw");
    CHECK_TEXT(error.text, "job 2 nadamw");
    CHECK(ap_file_exists(file_of(10)));
}

/* What stands in for checkpoint 20 is not used; 10 is, and that is said. */
static void check_passed_over(const char *what, const void *bytes, size_t n) {
    scratch_write("checkpoint_000000000020.h5", bytes, n);
    int64_t step = loaded_step(folder(), 4);
    if (step != 10) printf("with %s in its place:\n", what);
    CHECK_INT(step, 10);
    CHECK_TEXT(note, "checkpoint_000000000020.h5");
    CHECK_TEXT(note, "step 10, is used");
}

static void test_damaged_ones_are_passed_over_and_that_is_said(void) {
    scratch_clear();
    size_t n, m;
    CHECK_OK(save_filled(folder(), 10, 4));
    CHECK_OK(save_filled(folder(), 20, 4));
    uint8_t *ten = scratch_read(file_of(10), &m), *good = scratch_read(file_of(20), &n);
    check_passed_over("nothing", "", 0);
    check_passed_over("half of it", good, n / 2);
    check_passed_over("all but a byte of it", good, n - 1);
    check_passed_over("only its seal", good, 512);
    check_passed_over("a text", "hello, world\n", 13);
    check_passed_over("a renamed one", ten, m);
    good = realloc(good, n + 1);
    good[n] = 0;
    check_passed_over("one byte more", good, n + 1);
    ap_h5_writer *writer;
    CHECK_OK(ap_h5_create(file_of(20), "result", &writer, &error));
    CHECK_OK(ap_h5_commit(writer, &error));
    CHECK_INT(loaded_step(folder(), 4), 10);
    CHECK_TEXT(note, "result file");
    unlink(file_of(20));
    CHECK(!mkdir(file_of(20), 0777));
    CHECK_INT(loaded_step(folder(), 4), 10);
    rmdir(file_of(20));
    free(ten);
    free(good);
}

/* A seal that holds does not make a checkpoint: these were never written by ap_checkpoint_save. */
static void test_sealed_files_with_wrong_content_are_passed_over(void) {
    scratch_clear();
    CHECK_OK(save_filled(folder(), 10, 4));
    for (int variant = 0; variant < 4; variant++) {
        const char *const names[] = {variant == 2 ? "/not_there" : "/clock"};
        const int32_t type = variant == 1 ? 99 : AP_I64;
        const int64_t one = 1, clock = 20;
        ap_h5_writer *writer;
        CHECK_OK(ap_h5_create(file_of(20), "checkpoint", &writer, &error));
        hid_t file = ap_h5_writer_file(writer);
        CHECK_OK(ap_h5_set_text(file, "/", "identity", identity, &error));
        if (variant != 0) CHECK_OK(ap_h5_set_i64(file, "/", "step", 20, &error));
        CHECK_OK(ap_h5_write_text(file, "/blobs/name", 1, names, &error));
        if (variant != 3) CHECK_OK(ap_h5_write(file, "/blobs/type", AP_I32, 1, &one, &type, NULL, &error));
        CHECK_OK(ap_h5_write(file, "/clock", AP_I64, 1, &one, &clock, NULL, &error));
        CHECK_OK(ap_h5_commit(writer, &error));
        CHECK_INT(loaded_step(folder(), 4), 10);
        CHECK_TEXT(note, "checkpoint_000000000020.h5");
    }
}

static void test_all_damaged_starts_anew_and_says_so(void) {
    scratch_clear();
    scratch_write("checkpoint_000000000010.h5", "x", 1);
    scratch_write("checkpoint_000000000020.h5", "x", 1);
    CHECK_INT(loaded_step(folder(), 4), -1);
    CHECK_TEXT(note, "checkpoint_000000000010.h5");
    CHECK_TEXT(note, "checkpoint_000000000020.h5");
    CHECK_TEXT(note, "starts anew");
}

static void test_every_flipped_bit_is_noticed(void) {
    scratch_clear();
    size_t n;
    CHECK_OK(save_filled(folder(), 10, 4));
    CHECK_OK(save_filled(folder(), 20, 4));
    uint8_t *bytes = scratch_read(file_of(20), &n);
    srand(20);
    for (int i = 0; i < 300; i++) {
        size_t at = i < 100 ? (size_t)rand() % 512 : (size_t)rand() % n; /* the seal as well */
        uint8_t bit = (uint8_t)(1 << rand() % 8);
        bytes[at] ^= bit;
        scratch_write("checkpoint_000000000020.h5", bytes, n);
        if (loaded_step(folder(), 4) != 10) {
            printf("bit 0x%02x of byte %zu\n", bit, at);
            CHECK(0);
        }
        CHECK_TEXT(note, "checkpoint_000000000020.h5");
        bytes[at] ^= bit;
    }
    scratch_write("checkpoint_000000000020.h5", bytes, n);
    CHECK_INT(loaded_step(folder(), 4), 20);
    free(bytes);
}

/* ---- kills and full disks */

typedef struct saver {
    int64_t first;
    int pipe[2];
} saver;

static void save_on_and_on(void *argument) {
    const saver *s = argument;
    setenv("AP_TEST_WRITE_DELAY_MS", "2", 1);
    for (int64_t step = s->first;; step++) {
        if (save_filled(scratch_folder, step, 3000) != AP_OK) _exit(1);
        if (write(s->pipe[1], &step, sizeof step) != sizeof step) _exit(1); /* "step is on the disk" */
    }
}

static int checkpoints_there(void) {
    int n = 0;
    DIR *there = opendir(scratch_folder);
    for (struct dirent *entry; there && (entry = readdir(there));) n += !strncmp(entry->d_name, "checkpoint_", 11);
    closedir(there);
    return n;
}

static void test_a_kill_at_any_moment_leaves_the_newest_whole(void) {
    scratch_clear();
    folder();
    srand((unsigned)getpid());
    int64_t last = 0;
    int with_temp = 0;
    for (int i = 0; i < 30; i++) {
        saver s = {.first = last + 1};
        CHECK_INT(pipe(s.pipe), 0);
        CHECK(!killed_after((useconds_t)(rand() % 60000), save_on_and_on, &s));
        close(s.pipe[1]);
        int64_t told = last, step;
        while (read(s.pipe[0], &step, sizeof step) == sizeof step) told = step;
        close(s.pipe[0]);
        int64_t got = loaded_step(scratch_folder, 3000);
        CHECK(last == 0 || !note[0]);
        CHECK(got == told || got == told + 1 || (told == 0 && got == -1)); /* + 1: killed before it could tell */
        int before = scratch_files();
        ap_remove_stale_temps(scratch_folder);
        int left = scratch_files();
        with_temp += before != left;
        CHECK_INT(left, checkpoints_there()); /* more than two if killed before the oldest was removed */
        if (got > 0) last = got;
    }
    CHECK(last > 0);
    CHECK(with_temp > 0); /* else no kill came inside a write, and this test shows nothing */
    CHECK_OK(save_filled(scratch_folder, last + 1, 3000));
    CHECK_INT(scratch_files(), 2);
}

static void fail_to_save(void *argument) {
    limit_files(32768);
    CHECK_INT(save_filled(argument, 30, 100000), AP_IO);
    CHECK_TEXT(error.text, "checkpoint_000000000030.h5");
    CHECK_OK(save_filled(argument, 40, 4)); /* the process can go on */
}

static void test_a_file_that_does_not_fit_leaves_the_others(void) {
    scratch_clear();
    CHECK_OK(save_filled(folder(), 10, 4));
    CHECK_OK(save_filled(folder(), 20, 4));
    in_child(fail_to_save, scratch_folder);
    CHECK(ap_file_exists(file_of(20)) && ap_file_exists(file_of(40)));
    CHECK_INT(scratch_files(), 2);
    CHECK_INT(loaded_step(folder(), 4), 40);
}

static void fill_the_disk(void *argument) {
    const char *disk = argument;
    if (!small_disk(disk, "size=1m")) {
        printf("not tried: a full disk (mounting a tmpfs is not permitted)\n");
        return;
    }
    CHECK_OK(save_filled(disk, 1, 50000)); /* 0.2 MB each */
    CHECK_OK(save_filled(disk, 2, 50000));
    CHECK_INT(save_filled(disk, 3, 200000), AP_IO);
    CHECK_TEXT(error.text, "No space left");
    CHECK_INT(loaded_step(disk, 50000), 2);
    CHECK(!note[0]);
    CHECK_OK(save_filled(disk, 3, 50000)); /* the room was given back */
    CHECK_INT(loaded_step(disk, 50000), 3);
}

static void test_a_full_disk_leaves_the_others(void) {
    scratch_clear();
    char disk[300];
    snprintf(disk, sizeof disk, "%s/disk", folder());
    CHECK(!mkdir(disk, 0777));
    in_child(fill_the_disk, disk);
    rmdir(disk);
}

AP_TEST_MAIN(test_every_type_comes_back_bit_for_bit, test_a_checkpoint_may_hold_nothing, test_a_large_checkpoint,
             test_find_wants_the_same_name_type_and_length, test_names_that_cannot_be_stored, test_two_are_kept,
             test_one_that_was_passed_over_does_not_take_the_place_of_a_good_one, test_other_files_are_left_alone,
             test_no_checkpoint_is_no_error, test_another_trial_is_refused,
             test_damaged_ones_are_passed_over_and_that_is_said, test_sealed_files_with_wrong_content_are_passed_over,
             test_all_damaged_starts_anew_and_says_so, test_every_flipped_bit_is_noticed,
             test_a_kill_at_any_moment_leaves_the_newest_whole, test_a_file_that_does_not_fit_leaves_the_others,
             test_a_full_disk_leaves_the_others)
