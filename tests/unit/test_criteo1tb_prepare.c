/* Criteo's text -> packed file: the hash against its author's published values, rows against the published rules, days
 * and splits, parts cut at any byte, malformed input named with file, line and rule. */
#include "workloads/criteo1tb/criteo1tb.h"

#include "data/lines.h"
#include "data_scratch.h" /* CHECK_OK */
#include "prepare_alone.h"

#include <sys/stat.h>
#include <zlib.h>

extern const ap_workload ap_workload_criteo1tb;
static char base[] = "/tmp/algoperf-clicks-XXXXXX", from[256];

static void scratch_begin(void) {
    CHECK(mkdtemp(base) != NULL);
}
static void scratch_end(void) {
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    CHECK_INT(system(command), 0);
}
static void scratch_path(char path[256], const char *name) {
    snprintf(path, 256, "%s/%s", base, name);
}

/* ---- the hash */

static void test_fingerprints(void) {
    /* TensorFlow's string_to_hash_bucket_op_test.py; BigQuery's reference of FARM_FINGERPRINT (signed there); farmhash
     * 5.0.0 for node; CityHash64 1.1, the same function at these lengths. */
    static const struct {
        const char *text;
        uint64_t value;
    } published[] = {{"a", 12917804110809363939u},
                     {"b", 11795596070477164822u},
                     {"c", 11430444447143000872u},
                     {"d", 4470636696479570465u},
                     {"abc", 2640714258260161385u},
                     {"3true", (uint64_t)-4880158226897771312},
                     {"hello", 13009744463427800296u},
                     {"1footrue", (uint64_t)-1541654101129638711},
                     {"2applefalse", 2794438866806483259},
                     {"hello world", 6381520714923946011},
                     {"1234567890123456", 17239105360639788068u}};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const uint64_t got = ap_criteo1tb_fingerprint(published[i].text, strlen(published[i].text));
        if (got != published[i].value) printf("%s\n", published[i].text);
        CHECK(got == published[i].value);
    }
}

/* ---- rows: `label`, then 13 times `dense`, then 26 times `category` */

static void make_row(char *row, size_t size, const char *label, const char *dense, const char *category) {
    size_t n = (size_t)snprintf(row, size, "%s", label);
    for (int i = 0; i < AP_CRITEO1TB_INPUTS; i++)
        n += (size_t)snprintf(row + n, size - n, "\t%s", i < AP_CRITEO1TB_DENSE ? dense : category);
}

static void test_rows_follow_the_published_rules(void) {
    char row[2048];
    float inputs[AP_CRITEO1TB_INPUTS], again[AP_CRITEO1TB_INPUTS];
    uint8_t label = 7;
    ap_error error = {0};
    make_row(row, sizeof row, "1", "41", "00000000");
    CHECK_OK(ap_criteo1tb_row(row, strlen(row), inputs, &label, &error));
    CHECK_INT(label, 1);
    for (int i = 0; i < AP_CRITEO1TB_DENSE; i++) CHECK_NEAR(inputs[i], log(42), 1e-6);
    /* of FarmHash's own library: "000000000" and "0000000012" */
    CHECK(inputs[13] == (float)(2271946735276985195u % 39884406u));
    CHECK(inputs[13 + 12] == (float)(13407846318489110114u % 10u));
    make_row(row, sizeof row, "", "-1", "-1"); /* both stand for nothing */
    CHECK_OK(ap_criteo1tb_row(row, strlen(row), again, &label, &error));
    CHECK_INT(label, 0);
    CHECK_INT(again[0], 0);
    CHECK(!memcmp(inputs + 13, again + 13, 26 * sizeof *inputs));
    make_row(row, sizeof row, "0", "-7", ""); /* max(x, 0) */
    CHECK_OK(ap_criteo1tb_row(row, strlen(row), again, &label, &error));
    CHECK_INT(again[5], 0);
    CHECK(!memcmp(inputs + 13, again + 13, 26 * sizeof *inputs));
    make_row(row, sizeof row, "0", "2147483647", "fFfF0000"); /* hashed as written; above 2^24 low bits are lost */
    CHECK_OK(ap_criteo1tb_row(row, strlen(row), again, &label, &error));
    CHECK_NEAR(again[0], 31 * log(2), 1e-5);
    for (int c = 0; c < AP_CRITEO1TB_SPARSE; c++) {
        CHECK(again[13 + c] == floorf(again[13 + c]) && again[13 + c] >= 0);
        CHECK(again[13 + c] <= (float)ap_criteo1tb_vocabulary[c]);
        CHECK(again[13 + c] <= 0x1p24f || (int64_t)again[13 + c] % 2 == 0);
    }
}

static void expect_wrong(const char *row, const char *text) {
    float inputs[AP_CRITEO1TB_INPUTS];
    uint8_t label;
    ap_error error = {0};
    CHECK_INT(ap_criteo1tb_row(row, strlen(row), inputs, &label, &error), AP_DATA);
    CHECK_TEXT(error.text, text);
}

static void test_malformed_rows(void) {
    static const struct {
        const char *label, *dense, *category, *text;
    } wrong[] = {{"2", "1", "a", "field 1 is \"2\" (the label must be 0 or 1"},
                 {"yes", "1", "a", "field 1 is \"yes\" (must be a whole number"},
                 {"0", "1.5", "a", "field 2 is \"1.5\" (must be a whole number of at most 18 digits"},
                 {"0", "-", "a", "field 2 is \"-\""},
                 {"0", "12x", "a", "field 2 is \"12x\""},
                 {"0", " 1", "a", "field 2 is \" 1\""},
                 {"0", "1234567890123456789", "a", "field 2 is \"1234567890123456789\""},
                 {"0", "1", "123456789", "field 15 is \"123456789\" (a category must be 1 to 8 hexadecimal digits"},
                 {"0", "1", "0000000g", "field 15 is \"0000000g\""},
                 {"0", "1", "-2", "field 15 is \"-2\""}};
    char row[2048];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make_row(row, sizeof row, wrong[i].label, wrong[i].dense, wrong[i].category);
        expect_wrong(row, wrong[i].text);
    }
    make_row(row, sizeof row, "0", "1", "a");
    strcat(row, "\t");
    expect_wrong(row, "more than 40 fields");
    row[strlen(row) - 3] = 0; /* "\ta\t" */
    expect_wrong(row, "39 fields (must be 40, separated by tabs)");
    expect_wrong("", "1 field (must be 40");
}

/* ---- files */

static void put_rows(const char *name, int first, int count) {
    char path[512], row[2048], dense[32], category[32];
    snprintf(path, sizeof path, "%s/%s", from, name);
    const bool zipped = strstr(name, ".gz") != NULL;
    gzFile file = gzopen(path, zipped ? "w" : "wT"); /* T: as it is */
    CHECK(file != NULL);
    for (int i = first; i < first + count; i++) {
        snprintf(dense, sizeof dense, "%d", i), snprintf(category, sizeof category, "%x", i * i);
        make_row(row, sizeof row, i % 2 ? "1" : "0", dense, category);
        gzprintf(file, "%s\n", row);
    }
    CHECK_INT(gzclose(file), Z_OK);
}

static void put(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", from, name);
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}
static void take(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", from, name);
    CHECK_INT(remove(path), 0);
}

static ap_status prepare(const char *to, const ap_criteo1tb_cut *cut, int64_t skip_bad, ap_error *error) {
    const ap_workload *w = &ap_workload_criteo1tb;
    const ap_prepare_options options = {.from = from, .to = to};
    const ap_prepare_target target = {
        .to = to, .workload = ap_workload_packed_as(w), .fields = w->fields, .field = w->field, .skip_bad = skip_bad};
    ap_prepare_plan plan = {0};
    *error = (ap_error){0};
    ap_status status = ap_criteo1tb_plan_cut(&options, cut, &plan, error);
    if (status == AP_OK) status = ap_prepare_alone(&target, &plan, error);
    ap_prepare_plan_free(&plan);
    return status;
}

/* The first dense feature of example i of a split is log(i + first + 1) in all the files made here. */
static void expect_rows(const char *to, ap_split split, int first, int count) {
    ap_dataset *dataset;
    ap_example e = {0};
    ap_error error = {0};
    CHECK_OK(ap_dataset_open(to, "criteo1tb", AP_CRITEO1TB_FIELDS, ap_criteo1tb_generator.field, &dataset, &error));
    CHECK_INT(ap_dataset_count(dataset, split), count);
    for (int i = 0; i < count && i < ap_dataset_count(dataset, split); i++) {
        CHECK_OK(ap_dataset_read(dataset, split, i, &e, &error));
        CHECK_NEAR(((float *)e.data[AP_CRITEO1TB_FIELD_INPUTS])[0], log(first + i + 1), 1e-5);
        CHECK_INT(*(uint8_t *)e.data[AP_CRITEO1TB_FIELD_TARGETS], (first + i) % 2);
    }
    ap_example_free(&e);
    ap_dataset_close(dataset);
}

static bool same_files(const char *a, const char *b) {
    char command[1100];
    snprintf(command, sizeof command, "cmp -s '%s' '%s'", a, b);
    return system(command) == 0;
}

/* A plain file in many parts gives the same rows; a file may end without a line feed, and with CRLF. */
static void test_small_sets_and_cuts(void) {
    char to[256], cut_to[256];
    ap_error error;
    scratch_path(from, "small"), scratch_path(to, "small.h5");
    CHECK_INT(mkdir(from, 0777), 0);
    put_rows("train.tsv", 0, 40), put_rows("valid.tsv.gz", 40, 5), put_rows("test.tsv", 45, 3);
    CHECK_OK(prepare(to, &ap_criteo1tb_published_cut, 0, &error));
    expect_rows(to, AP_TRAIN, 0, 40), expect_rows(to, AP_VALIDATION, 40, 5), expect_rows(to, AP_TEST, 45, 3);
    scratch_path(cut_to, "cut.h5"); /* parts of about a line each */
    CHECK_OK(prepare(cut_to, &(ap_criteo1tb_cut){.part_bytes = 173, .test_lines = 1}, 0, &error));
    CHECK(same_files(to, cut_to));
    char row[2048], last[2048], crlf[sizeof row + sizeof last + 8];
    make_row(row, sizeof row, "1", "45", "7"), make_row(last, sizeof last, "0", "46", "7");
    snprintf(crlf, sizeof crlf, "%s\r\n%s", row, last);
    put("test.tsv", crlf);
    scratch_path(to, "crlf.h5");
    CHECK_OK(prepare(to, &ap_criteo1tb_published_cut, 0, &error));
    expect_rows(to, AP_TEST, 45, 2);
}

/* From every byte of a plain file on: the lines that begin there or behind it. */
static void test_lines_from_the_middle(void) {
    static const char text[] = "one\n\nthree\r\nfour";
    static const int begins[] = {0, 4, 5, 12};
    char path[512];
    ap_error error = {0};
    put("lines", text);
    snprintf(path, sizeof path, "%s/lines", from);
    for (int first = 0; first <= (int)strlen(text); first++) {
        ap_lines *lines;
        const char *line = "";
        size_t n = 0;
        int wanted = 0;
        while (wanted < 4 && begins[wanted] < first) wanted++;
        CHECK_OK(ap_lines_open(path, first, &lines, &error));
        for (int i = wanted; i <= 4; i++) {
            if (i < 4) CHECK_INT(ap_lines_offset(lines), begins[i]);
            CHECK_INT(ap_lines_count(lines), i - wanted);
            CHECK_OK(ap_lines_next(lines, &line, &n, &error));
            CHECK((line != NULL) == (i < 4));
            if (line) CHECK_INT(n, i == 0 ? 3 : i == 1 ? 0 : i == 2 ? 5 : 4);
        }
        ap_lines_close(lines);
        int64_t before;
        CHECK_OK(ap_lines_before(path, first, &before, &error));
        CHECK_INT(before, first <= 3 ? 0 : first == 4 ? 1 : first <= 11 ? 2 : 3);
    }
}

static void test_malformed_files(void) {
    char to[256], path[512];
    ap_error error;
    const ap_criteo1tb_cut *published = &ap_criteo1tb_published_cut, small = {.part_bytes = 1000, .test_lines = 1};
    scratch_path(to, "bad.h5");
    put_rows("train.tsv", 0, 40);
    char all[16384] = "", *line;
    snprintf(path, sizeof path, "%s/train.tsv", from);
    FILE *file = fopen(path, "r+");
    CHECK(file && fread(all, 1, sizeof all - 1, file) > 0);
    for (line = all; strncmp(line, "0\t30\t", 5) != 0;) line = strchr(line, '\n') + 1;
    line[2] = 'x'; /* of line 31 */
    rewind(file), fwrite(all, 1, strlen(all), file), fclose(file);
    CHECK_INT(prepare(to, published, 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "/train.tsv:31: field 2 is \"x0\" (must be a whole number");
    CHECK_INT(prepare(to, &small, 0, &error), AP_DATA); /* the same line, though its part begins elsewhere */
    CHECK_TEXT(error.text, "/train.tsv:31: field 2 is \"x0\"");
    CHECK(access(to, F_OK) != 0);
    CHECK_OK(prepare(to, &small, 1, &error)); /* left out */
    take("test.tsv"), put("test.tsv", "");
    scratch_path(to, "empty.h5");
    CHECK_INT(prepare(to, published, 1, &error), AP_DATA);
    CHECK_TEXT(error.text, "/test.tsv: is empty; a file needs rows");
    take("test.tsv"), put_rows("test.tsv.gz", 0, 0);
    CHECK_INT(prepare(to, published, 1, &error), AP_DATA);
    CHECK_TEXT(error.text, "/test.tsv.gz: is empty; a file needs rows");
    put_rows("test.tsv.gz", 0, 5000);
    snprintf(path, sizeof path, "%s/test.tsv.gz", from);
    CHECK_INT(truncate(path, 10000), 0);
    CHECK_INT(prepare(to, published, 1, &error), AP_DATA);
    CHECK_TEXT(error.text, "/test.tsv.gz: the gzip stream ends early");
    take("test.tsv.gz");
    CHECK_INT(prepare(to, published, 1, &error), AP_IO);
    CHECK_TEXT(error.text, "/test.tsv: is missing, plain, .gz and .xz");
    put("test.tsv", "1\n2\n");
    CHECK_INT(prepare(to, published, 3, &error), AP_DATA);
    CHECK_TEXT(error.text, "test: no example is left: 2 malformed (--skip-bad), 0 left out");
    CHECK(access(to, F_OK) != 0);
    /* a long line is left out as any other, also where a part begins within it */
    put_rows("test.tsv", 45, 3);
    file = fopen(strcat(strcpy(path, from), "/test.tsv"), "a");
    for (int i = 0; i < 150000; i++) fputc('a', file);
    fclose(file);
    CHECK_INT(prepare(to, published, 1, &error), AP_DATA); /* and one in train.tsv */
    CHECK_TEXT(error.text, "2 malformed records in all");
    for (int small_parts = 0; small_parts < 2; small_parts++) {
        const ap_criteo1tb_cut *cut = small_parts ? &small : published;
        scratch_path(to, small_parts ? "long_cut.h5" : "long.h5");
        put_rows("train.tsv", 0, 40);
        CHECK_INT(prepare(to, cut, 0, &error), AP_DATA);
        CHECK_TEXT(error.text, "/test.tsv:4: a line of more than 65536 bytes; is this text?");
        CHECK_OK(prepare(to, cut, 1, &error));
        expect_rows(to, AP_TEST, 45, 3);
    }
}

/* Row n of everything is dense n: days in order, pieces in order; of day 23 the pieces 00 to 18 are for test. */
static void test_days(void) {
    char to[256], name[64];
    ap_error error;
    const ap_criteo1tb_cut *published = &ap_criteo1tb_published_cut;
    scratch_path(from, "days"), scratch_path(to, "days.h5");
    CHECK_INT(mkdir(from, 0777), 0);
    CHECK_INT(prepare(to, published, 0, &error), AP_IO);
    CHECK_TEXT(error.text, "/day_0: is missing, whole and in pieces day_0_00");
    put_rows("day_0_00", 0, 2), put_rows("day_0_01.gz", 2, 1);
    put_rows("day_0", 999, 1); /* what the pieces were cut from may still be there */
    for (int day = 1; day < 23; day++) snprintf(name, sizeof name, "day_%d", day), put_rows(name, 2 + day, 1);
    CHECK_INT(prepare(to, published, 0, &error), AP_IO);
    CHECK_TEXT(error.text, "/day_23: is missing, whole and in pieces");
    for (int piece = 0; piece < 36; piece++)
        snprintf(name, sizeof name, "day_23_%02d", piece), put_rows(name, 100 + 2 * piece, 2);
    CHECK_OK(prepare(to, published, 0, &error));
    expect_rows(to, AP_TRAIN, 0, 25), expect_rows(to, AP_TEST, 100, 38), expect_rows(to, AP_VALIDATION, 138, 34);
    scratch_path(to, "more_days.h5");
    put_rows("day_23_36", 1, 1);
    CHECK_INT(prepare(to, published, 0, &error), AP_DATA);
    CHECK_TEXT(error.text, "/day_23_36: one piece too many");
    take("day_23_36"), take("day_23_35");
    CHECK_INT(prepare(to, published, 0, &error), AP_IO);
    CHECK_TEXT(error.text, "/day_23_35: is missing, plain, .gz and .xz");
    put_rows("day_7_04", 1, 1);
    CHECK_INT(prepare(to, published, 0, &error), AP_IO);
    CHECK_TEXT(error.text, "/day_7_00: is missing, plain, .gz and .xz (day 7 has pieces 00 to 04)");
    take("day_7_04"), take("day_7");
    CHECK_INT(prepare(to, published, 0, &error), AP_IO);
    CHECK_TEXT(error.text, "/day_7: is missing");
    put_rows("day_7", 9, 1);
    for (int piece = 0; piece < 35; piece++) snprintf(name, sizeof name, "day_23_%02d", piece), take(name);
}

/* Day 23 as one file: its first lines are for test, those behind them for validation. */
static void test_whole_last_day(void) {
    char to[256];
    ap_error error;
    static const char *const names[] = {"day_23", "day_23.gz"};
    for (int i = 0; i < 2; i++) {
        put_rows(names[i], 100, 30);
        scratch_path(to, i ? "whole_gz.h5" : "whole.h5");
        CHECK_INT(prepare(to, &ap_criteo1tb_published_cut, 0, &error), AP_DATA);
        CHECK_TEXT(error.text, "has no more than 95000000 lines, which are the test split; validation, what is behind");
        CHECK_INT(prepare(to, &(ap_criteo1tb_cut){.part_bytes = 300, .test_lines = 30}, 0, &error), AP_DATA);
        CHECK_OK(prepare(to, &(ap_criteo1tb_cut){.part_bytes = 300, .test_lines = 19}, 0, &error));
        expect_rows(to, AP_TEST, 100, 19), expect_rows(to, AP_VALIDATION, 119, 11);
        take(names[i]);
    }
}

AP_TEST_MAIN(scratch_begin, test_fingerprints, test_rows_follow_the_published_rules, test_malformed_rows,
             test_small_sets_and_cuts, test_lines_from_the_middle, test_malformed_files, test_days, test_whole_last_day,
             scratch_end)
