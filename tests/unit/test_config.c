/* base/config: every kind of wrong input is an error that names file, line, key and what is allowed. */
#include "base/config.h"
#include "base/file.h"
#include "check.h"

#include <math.h>
#include <stddef.h>
#include <unistd.h>

typedef struct job {
    bool flag;
    int64_t steps;
    double rate;
    char *math, *name;
    char **tags;
} job;

static const char *const maths[] = {"ordered", "blas", NULL};
static const ap_option table[] = {
    {"flag", AP_OPTION_BOOL, offsetof(job, flag), .fallback = "false", .help = "a switch"},
    {"steps", AP_OPTION_INT, offsetof(job, steps), 0, 1e18, .fallback = "100", .help = "number of steps"},
    {"learning_rate", AP_OPTION_FLOAT, offsetof(job, rate), 0, 1, .fallback = "0.1", .help = "step size"},
    {"math", AP_OPTION_STRING, offsetof(job, math), .choices = maths, .fallback = "ordered", .help = "matrix products"},
    {"name", AP_OPTION_STRING, offsetof(job, name), .help = "what to call it"},
    {"tags", AP_OPTION_LIST, offsetof(job, tags), .fallback = "a,b", .help = "labels"},
};
enum { OPTIONS = sizeof table / sizeof *table };
static const char *const other[] = {"workloads", "model", NULL};
static ap_error error;

/* Reads `text` by the table; on success the caller frees. */
static ap_status read_job(const char *text, job *j) {
    ap_config *config = NULL;
    error.text[0] = '\0';
    ap_status status = ap_config_parse(text, "jobs/a.cfg", &config, &error);
    if (status == AP_OK) status = ap_section_read(ap_config_root(config), table, OPTIONS, other, j, &error);
    ap_config_destroy(config);
    return status;
}

/* Whether it was read, as it should be. */
static bool accepted(const char *text, job *j) {
    if (read_job(text, j) == AP_OK) return true;
    printf("refused: %s\n", error.text);
    ap_check_failures++;
    return false;
}

/* `text` must be AP_CONFIG with `part` and `line` in the message, and must leave the object as it was. */
static void check_refused(const char *text, const char *line, const char *part) {
    job j = {.steps = 77}, untouched = j;
    CHECK_INT(read_job(text, &j), AP_CONFIG);
    CHECK_TEXT(error.text, line);
    CHECK_TEXT(error.text, part);
    CHECK(memcmp(&j, &untouched, sizeof j) == 0);
}

/* ---- what is right */

static void test_all_types(void) {
    job j;
    if (!accepted("flag = true; steps = 5000000000; learning_rate = 0.25;\nmath = \"blas\"; name : \"x y\";\n"
                  "tags = [\"p\", \"q\", \"r\"];",
                  &j))
        return;
    CHECK(j.flag && j.steps == 5000000000 && j.rate == 0.25);
    CHECK(strcmp(j.math, "blas") == 0 && strcmp(j.name, "x y") == 0);
    CHECK(strcmp(j.tags[0], "p") == 0 && strcmp(j.tags[2], "r") == 0 && j.tags[3] == NULL);
    ap_options_free(table, OPTIONS, &j);
    CHECK(j.math == NULL && j.tags == NULL);
}

static void test_fallbacks(void) {
    job j;
    if (!accepted("name = \"n\"", &j)) return;
    CHECK(!j.flag && j.steps == 100 && j.rate == 0.1 && strcmp(j.math, "ordered") == 0);
    CHECK(strcmp(j.tags[0], "a") == 0 && strcmp(j.tags[1], "b") == 0 && j.tags[2] == NULL);
    ap_options_free(table, OPTIONS, &j);
}

/* The whole of int64, however it is written. */
static void test_integers(void) {
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"3000000000", 3000000000},
        {"3000000000L", 3000000000},
        {"7LL", 7},
        {"9000000000", 9000000000},
        {"+12", 12},
        {"0x10", 16},
        {"0xFFFFFFFF", 4294967295},
        {"0x7FFFFFFFFL", 34359738367},
        {"010", 10},
        {"2147483648", 2147483648},
        {"1000000000000000000", 1000000000000000000},
        {"2147483647", 2147483647},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[100];
        job j;
        snprintf(text, sizeof text, "name = \"n\"; steps = %s;", good[i].text);
        if (!accepted(text, &j)) return;
        CHECK_INT(j.steps, good[i].value);
        ap_options_free(table, OPTIONS, &j);
    }
}

static void test_integer_literals_are_numbers_for_a_float(void) {
    const char *const ones[] = {"1", "1L", "0x1", "1.", "1e0", ".1e1", "+1.0"};
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
        char text[100];
        job j;
        snprintf(text, sizeof text, "name = \"n\"; learning_rate = %s;", ones[i]);
        if (!accepted(text, &j)) return;
        CHECK(j.rate == 1.0);
        ap_options_free(table, OPTIONS, &j);
    }
}

static void test_numbers_in_strings_names_and_comments_are_left_alone(void) {
    job j;
    if (!accepted(
            "# 99999999999999999999 @include\n// 1e999 \"\n/* nan\n 3x3 */ name = \"3000000000 \\\" 1e999 # @\";\n"
            "workloads = ( { x-2_3 = 1; a1e999 = 2; } ); // inf",
            &j))
        return;
    CHECK(strcmp(j.name, "3000000000 \" 1e999 # @") == 0);
    ap_options_free(table, OPTIONS, &j);
}

static void test_a_string_is_a_list_of_one_and_an_empty_list_is_empty(void) {
    job j;
    if (!accepted("name = \"n\"; tags = \"only\";", &j)) return;
    CHECK(strcmp(j.tags[0], "only") == 0 && j.tags[1] == NULL);
    ap_options_free(table, OPTIONS, &j);
    if (!accepted("name = \"n\"; tags = ();", &j)) return;
    CHECK(j.tags && j.tags[0] == NULL);
    ap_options_free(table, OPTIONS, &j);
}

/* ---- what is wrong */

static void test_out_of_range(void) {
    check_refused("name = \"n\";\n\nlearning_rate = 3;", "jobs/a.cfg:3: learning_rate = 3 (",
                  "must be a number, 0 to 1");
    CHECK_TEXT(error.text, "leave it out for the default 0.1");
    check_refused("name = \"n\";\nsteps = -1;", "jobs/a.cfg:2: steps = -1 ", "an integer, 0 to 1e+18");
    check_refused("name = \"n\"; learning_rate = -0.001;", "a.cfg:1: learning_rate = -0.001", "0 to 1");
}

static void test_wrong_types(void) {
    check_refused("name = 3;", "a.cfg:1: name = 3 ", "must be a string");
    CHECK_TEXT(error.text, "what to call it");
    check_refused("name = \"n\"; flag = 1;", "flag = 1 ", "must be true or false");
    check_refused("name = \"n\"; flag = \"true\";", "flag = \"true\" ", "true or false");
    check_refused("name = \"n\"; steps = 1.0;", "steps = 1.0 ", "must be an integer");
    check_refused("name = \"n\"; steps = 1e3;", "steps = 1000.0 ", "must be an integer");
    check_refused("name = \"n\"; steps = true;", "steps = true ", "must be an integer");
    check_refused("name = \"n\"; learning_rate = \"0.1\";", "learning_rate = \"0.1\" ", "must be a number");
    check_refused("name = \"n\"; math = { a = 1; };", "math = { a group }", "one of ordered, blas");
    check_refused("name = \"n\"; tags = 3;", "tags = 3 ", "a list of strings");
    check_refused("name = \"n\"; steps = [1, 2];", "steps = [ a list ]", "an integer");
    check_refused("name = \"n\"; workloads = 3;", "a.cfg:1: workloads = 3", "must be a group");
    check_refused("name = \"n\";\nworkloads = ( { }, 3 );", "a.cfg:2: workloads = ( a list )", "must be a group");
}

static void test_list_elements(void) {
    check_refused("name = \"n\";\ntags = (\"a\",\n 5);", "a.cfg:3: tags = 5 ", "a list of strings");
    static const ap_option only[] = {{"m", AP_OPTION_LIST, 0, .choices = maths, .fallback = "blas", .help = "h"}};
    ap_config *config;
    char **list;
    CHECK_INT(ap_config_parse("m = [\"blas\", \"bals\"]", "x", &config, &error), AP_OK);
    CHECK_INT(ap_section_read(ap_config_root(config), only, 1, NULL, &list, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "x:1: m = bals (must be a list of ordered, blas); did you mean \"blas\"?");
    ap_config_destroy(config);
}

static void test_choices(void) {
    check_refused("name = \"n\"; math = \"orderd\";", "math = orderd (must be one of ordered, blas)",
                  "did you mean \"ordered\"?");
    check_refused("name = \"n\"; math = \"\";", "math =  (must be one of", "default ordered");
}

static void test_unknown_key(void) {
    check_refused("name = \"n\";\nlerning_rate = 0.1;", "jobs/a.cfg:2: unknown key \"lerning_rate\"",
                  "did you mean \"learning_rate\"?");
    CHECK_TEXT(error.text, "known keys: flag, steps, learning_rate, math, name, tags, workloads, model");
    check_refused("name = \"n\"; workload = ();", "unknown key \"workload\"", "did you mean \"workloads\"?");
}

static void test_missing_key(void) {
    check_refused("steps = 3;", "jobs/a.cfg:", "the required key name is missing (a string): what to call it");
    check_refused("", "jobs/a.cfg:", "the required key name is missing");
    check_refused("# only a comment", "jobs/a.cfg:", "the required key name is missing");
}

static void test_duplicate_key(void) {
    check_refused("name = \"n\";\nsteps = 1;\nsteps = 2;", "jobs/a.cfg:3: duplicate setting name", "settings are");
}

static void test_numbers_that_do_not_fit(void) {
    check_refused("name = \"n\";\nsteps = 99999999999999999999;", "jobs/a.cfg:2: 99999999999999999999 does not fit",
                  "64");
    check_refused("steps = 9223372036854775808;", "a.cfg:1: 9223372036854775808 does not fit", "64 bits");
    check_refused("steps = -9223372036854775809L;", "-9223372036854775809L does not fit", "64 bits");
    check_refused("steps = 0xFFFFFFFFFFFFFFFF;", "0xFFFFFFFFFFFFFFFF does not fit", "64 bits");
    check_refused("learning_rate = 1e999;", "1e999 is too large", "double");
    check_refused("learning_rate = -1.5e400;", "-1.5e400 is too large", "double");
    check_refused("learning_rate = 1e-999;", "1e-999 is too small", "double");
}

static void test_words_that_are_no_numbers(void) {
    check_refused("learning_rate = inf;", "a.cfg:1: inf is not a number", "finite");
    check_refused("learning_rate = NaN;", "NaN is not a number", "finite");
    check_refused("learning_rate = -inf;", "-inf is not a number", "a.cfg:1");
    check_refused("learning_rate = Infinity;", "Infinity is not a number", "finite");
    check_refused("steps = 12abc;", "12abc is not a number", "a.cfg:1");
    check_refused("learning_rate = 1.2.3;", "1.2.3 is not a number", "a.cfg:1");
    check_refused("learning_rate = .;", ". is not a number", "a.cfg:1");
    check_refused("learning_rate = 1e;", "1e is not a number", "a.cfg:1");
    check_refused("steps = 5LLL;", "5LLL is not a number", "a.cfg:1");
    check_refused("steps = 0x;", "0x is not a number", "a.cfg:1");
    check_refused("steps = --5;", "- is not a number", "a.cfg:1");
}

static void test_syntax(void) {
    check_refused("name = \"n\"\nsteps 5;", "jobs/a.cfg:2: syntax error", "settings are `key = value;`");
    check_refused("name = \"n\";\nmodel = { a = 1;", "jobs/a.cfg:2: the group or list that", "not closed");
    check_refused("name = \"n\";\n}", "jobs/a.cfg:2: this } closes nothing", "}");
    check_refused("name = \"n\"; model = ( { a = 1; ) };", "jobs/a.cfg:1: syntax error", "lists ( )");
    check_refused("name = \"n\"; steps = ;", "a.cfg:1: syntax error", "settings");
    check_refused("name = \"n\"; x = [1, \"a\"];", "a.cfg:1: ", "mismatched element type");
    check_refused("name = \"n", "a.cfg:1: a string is not closed", "missing");
    check_refused("\nname = \"n\nsteps = 5;", "a.cfg:2: a string is not closed", "missing");
    check_refused("name = \"n\\", "a.cfg:1: a string is not closed", "missing");
    check_refused("\n\n/* no end\n", "a.cfg:3: the comment that starts here", "*/");
    check_refused("@include \"b.cfg\"\n", "a.cfg:1: @include is not supported", "one file");
    check_refused("name = \"n\";\n \t@include \"b.cfg\"", "a.cfg:2: @include", "one file");
}

static void test_text_that_is_none(void) {
    check_refused("name = \"n\";\n\x01", "a.cfg:2: byte 0x01 is not text", "configuration file");
    check_refused("name\x80 = 1;", "a.cfg:1: byte 0x80 is not text", "configuration file");
    check_refused("name = \"\xff\";", "a.cfg:1: name = (bytes that are not UTF-8)", "string");
    check_refused("name = \"\\xff\";", "a.cfg:1: name = (bytes that are not UTF-8)", "string");
    job j;
    if (!accepted("# gr\xc3\xbc\xc3\x9f"
                  "e\nname = \"gr\xc3\xbc\xc3\x9f"
                  "e\";",
                  &j))
        return;
    CHECK(strcmp(j.name, "gr\xc3\xbc\xc3\x9f"
                         "e") == 0);
    ap_options_free(table, OPTIONS, &j);
}

static void test_nesting_is_limited(void) {
    char text[100000];
    memset(text, '(', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, "workloads =", 11);
    check_refused(text, "a.cfg:1: ", "nested more than 32 deep");
}

static void test_files(void) {
    char path[] = "/tmp/ap_test_config.XXXXXX";
    int fd = mkstemp(path);
    ap_config *config = NULL;
    CHECK_INT(ap_config_read(path, &config, &error), AP_OK); /* empty */
    ap_config_destroy(config);
    CHECK(write(fd, "a = 1;\0b = 2;", 13) == 13);
    CHECK_INT(ap_config_read(path, &config, &error), AP_CONFIG);
    CHECK_TEXT(error.text, ":1: byte 0x00 is not text");
    char block[4096];
    memset(block, ' ', sizeof block);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    for (int i = 0; i < 257; i++) CHECK(write(fd, block, sizeof block) == sizeof block);
    CHECK_INT(ap_config_read(path, &config, &error), AP_CONFIG);
    CHECK_INT(error.status, AP_CONFIG);
    CHECK_TEXT(error.text, "longer than 1048576 bytes");
    close(fd);
    unlink(path);
    CHECK_INT(ap_config_read(path, &config, &error), AP_IO);
    CHECK_TEXT(error.text, path);
}

/* ---- sections */

static void test_groups_and_lists_of_groups(void) {
    ap_config *config;
    CHECK_INT(ap_config_parse("model = {\n  a = 1;\n};\nworkloads = (\n  { name = \"x\"; },\n  { name = \"y\"; } );\n"
                              "one = { name = \"z\"; }; none = ();",
                              "f", &config, &error),
              AP_OK);
    const ap_section *root = ap_config_root(config);
    CHECK(ap_section_group(root, "model") != NULL);
    CHECK(ap_section_group(root, "workloads") == NULL && ap_section_group(root, "absent") == NULL);
    CHECK_INT(ap_section_count(root, "workloads"), 2);
    CHECK_INT(ap_section_count(root, "one"), 1);
    CHECK_INT(ap_section_count(root, "none"), 0);
    CHECK_INT(ap_section_count(root, "absent"), 0);
    CHECK(ap_section_element(root, "workloads", 2) == NULL && ap_section_element(root, "workloads", -1) == NULL);
    CHECK(ap_section_element(root, "one", 0) == ap_section_group(root, "one"));
    CHECK(ap_section_element(root, "one", 1) == NULL);
    CHECK(strcmp(ap_section_where(root, "model"), "f:1") == 0);
    CHECK(strcmp(ap_section_where(ap_section_group(root, "model"), "a"), "f:2") == 0);
    CHECK(strcmp(ap_section_where(ap_section_element(root, "workloads", 1), "name"), "f:6") == 0);
    job j;
    CHECK_INT(ap_section_read(ap_section_element(root, "workloads", 1), table, OPTIONS, NULL, &j, &error), AP_OK);
    CHECK(strcmp(j.name, "y") == 0);
    ap_options_free(table, OPTIONS, &j);
    ap_config_destroy(config);
}

static void test_overlay_sets_only_what_is_there(void) {
    ap_config *config;
    job j = {0};
    CHECK_INT(ap_options_defaults(table, OPTIONS, &j, &error), AP_OK);
    CHECK(j.name == NULL); /* required: no default */
    CHECK_INT(ap_config_parse("steps = 5; math = \"blas\"; tags = [\"t\"];", "f", &config, &error), AP_OK);
    CHECK_INT(ap_section_overlay(ap_config_root(config), table, OPTIONS, &j, &error), AP_OK);
    CHECK(j.steps == 5 && strcmp(j.math, "blas") == 0 && strcmp(j.tags[0], "t") == 0 && j.rate == 0.1 && !j.name);
    ap_config_destroy(config);
    CHECK_INT(ap_config_parse("stepps = 5;", "f", &config, &error), AP_OK);
    CHECK_INT(ap_section_overlay(ap_config_root(config), table, OPTIONS, &j, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "did you mean \"steps\"?");
    ap_config_destroy(config);
    ap_options_free(table, OPTIONS, &j);
}

/* ---- options from text */

static void check_set(const char *key, const char *value, ap_status want, const char *part) {
    job j = {0};
    CHECK_INT(ap_options_defaults(table, OPTIONS, &j, &error), AP_OK);
    error.text[0] = '\0';
    CHECK_INT(ap_options_set(table, OPTIONS, key, value, "--set", &j, &error), want);
    if (want != AP_OK) {
        CHECK_TEXT(error.text, "--set: ");
        CHECK_TEXT(error.text, part);
        CHECK(j.steps == 100 && j.rate == 0.1 && strcmp(j.math, "ordered") == 0 && j.tags[1]);
    } else {
        char text[100];
        for (int i = 0; i < OPTIONS; i++)
            if (strcmp(table[i].name, key) == 0) ap_option_text(&table[i], &j, text, sizeof text);
        CHECK(strcmp(text, part) == 0);
    }
    ap_options_free(table, OPTIONS, &j);
}

static void test_set_from_text(void) {
    check_set("flag", "true", AP_OK, "true");
    check_set("steps", "12", AP_OK, "12");
    check_set("learning_rate", "1e-3", AP_OK, "0.001");
    check_set("math", "blas", AP_OK, "blas");
    check_set("name", "free text, with = and \"", AP_OK, "free text, with = and \"");
    check_set("tags", "x,y", AP_OK, "x,y");
    check_set("tags", "", AP_OK, "");
}

static void test_set_refuses(void) {
    const char *const wrong_int[] = {"", " 5", "5 ", "5x", "1.0", "0x10", "99999999999999999999", "-1", "nan"};
    for (size_t i = 0; i < sizeof wrong_int / sizeof *wrong_int; i++)
        check_set("steps", wrong_int[i], AP_CONFIG, "must be an integer");
    const char *const wrong_float[] = {"", "nan", "inf", "-inf", "1e999", "0x1p-1", "0.5s", " 0.5", "2", "+nan"};
    for (size_t i = 0; i < sizeof wrong_float / sizeof *wrong_float; i++)
        check_set("learning_rate", wrong_float[i], AP_CONFIG, "must be a number");
    check_set("flag", "1", AP_CONFIG, "true or false");
    check_set("math", "lapack", AP_CONFIG, "one of ordered, blas");
    check_set("name", "\xff", AP_CONFIG, "not UTF-8");
    check_set("rate", "1", AP_CONFIG, "unknown key \"rate\"");
}

static void test_texts_read_back_as_the_same_double(void) {
    const double values[] = {0, 1, 0.1, 1.0 / 3, 1e-300, 123456789.123, 0x1.fffffffffffffp-1, 1e22, 5e-324};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        job j = {.rate = values[i]};
        char text[40];
        ap_option_text(&table[2], &j, text, sizeof text);
        CHECK(strtod(text, NULL) == values[i]);
    }
    job j = {.rate = 0.1};
    char text[40];
    ap_option_text(&table[2], &j, text, sizeof text);
    CHECK(strcmp(text, "0.1") == 0);
    ap_option_text(&table[2], &j, text, 2); /* cut, never overrun */
    CHECK(strcmp(text, "0") == 0);
}

static void test_a_wrong_table_is_found(void) {
    static const ap_option bad[] = {{"n", AP_OPTION_STRING, 0, .fallback = "fine", .help = "h"},
                                    {"x", AP_OPTION_INT, 8, 1, 5, .fallback = "9", .help = "h"}};
    struct {
        char *n;
        int64_t x;
    } object;
    CHECK_INT(ap_options_defaults(bad, 2, &object, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "x = 9 (must be an integer, 1 to 5)");
    CHECK(object.n == NULL);
}

static void test_help_is_one_line_an_option_in_columns(void) {
    static const ap_option options[] = {
        {"name", AP_OPTION_STRING, 0, .help = "what to call it"},
        {"learning_rate", AP_OPTION_FLOAT, 0, 0, 1, .fallback = "0.1", .help = "step size"},
        {"ranks", AP_OPTION_INT, 0, 1, INFINITY, .fallback = "1", .help = "ranks a trial"},
        {"math", AP_OPTION_STRING, 0, .choices = maths, .fallback = "", .help = "matrix products"},
    };
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    ap_options_help(options, 4, out);
    fclose(out);
    CHECK(strcmp(text, "  name           string   required  what to call it\n"
                       "  learning_rate  number   0.1       step size [0 to 1]\n"
                       "  ranks          integer  1         ranks a trial [at least 1]\n"
                       "  math           string   \"\"        matrix products [ordered, blas]\n") == 0);
    free(text);
}

/* ---- any bytes at all */

/* libconfig 1.5 loses the string it was reading when the next token is a syntax error. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
    return "leak:strbuf_append";
}

static void test_random_mutations_never_crash(void) {
    static const char valid[] =
        "# job\nflag = true; steps = 3000000000; learning_rate = 1e-3;\n/* c */ math = \"blas\";\n"
        "name : \"a\\\"b\"; tags = [\"x\", \"y\"];\nmodel = { hidden = 0x10; };\n"
        "workloads = ( { name = \"w\"; l = (1, 2.5, \"z\"); }, { } );\n";
    static const char pieces[] = "{}()[];=\"\\/*#@,.:+-0123456789eExXLnainf \n\x01\xff";
    uint32_t state = 2463534242u;
    int good = 0;
    for (int round = 0; round < 6000; round++) {
        char text[sizeof valid];
        memcpy(text, valid, sizeof valid);
        for (int k = 0; k <= round % 4; k++) {
            state ^= state << 13, state ^= state >> 17, state ^= state << 5;
            size_t at = state % (sizeof valid - 1);
            if (state >> 20 & 1)
                text[at] = pieces[state / 977 % (sizeof pieces - 1)];
            else
                memmove(text + at, text + at + 1, sizeof valid - at - 1);
        }
        job j;
        ap_status status = read_job(text, &j);
        CHECK(status == AP_OK || status == AP_CONFIG);
        if (status != AP_OK) {
            CHECK_TEXT(error.text, "jobs/a.cfg:");
        } else {
            good++;
            ap_options_free(table, OPTIONS, &j);
        }
    }
    CHECK(good > 100 && good < 5900);
}

AP_TEST_MAIN(test_all_types, test_fallbacks, test_integers, test_integer_literals_are_numbers_for_a_float,
             test_numbers_in_strings_names_and_comments_are_left_alone,
             test_a_string_is_a_list_of_one_and_an_empty_list_is_empty, test_out_of_range, test_wrong_types,
             test_list_elements, test_choices, test_unknown_key, test_missing_key, test_duplicate_key,
             test_numbers_that_do_not_fit, test_words_that_are_no_numbers, test_syntax, test_text_that_is_none,
             test_nesting_is_limited, test_files, test_groups_and_lists_of_groups, test_overlay_sets_only_what_is_there,
             test_set_from_text, test_set_refuses, test_texts_read_back_as_the_same_double, test_a_wrong_table_is_found,
             test_help_is_one_line_an_option_in_columns, test_random_mutations_never_crash)
