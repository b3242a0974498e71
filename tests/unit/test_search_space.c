/* Search points against recorded points of the official program, and every wrong search space. */
#include "base/file.h"
#include "check.h"
#include "tuning/halton.h"
#include "tuning/search_space.h"
#include <jansson.h>

static json_t *fixture(void) {
    static json_t *root; /* lives until the program ends */
    if (root) return root;
    char *bytes;
    size_t n;
    ap_error error;
    if (ap_read_file(AP_TEST_FIXTURES "/halton.json", 1 << 20, &bytes, &n, &error) != AP_OK) {
        printf("%s\n", error.text);
        exit(1);
    }
    root = json_loads(bytes, 0, NULL);
    free(bytes);
    if (!root) exit(1);
    return root;
}

static json_t *spaces(void) {
    return json_object_get(fixture(), "spaces");
}

/* ---- the generator */

static void test_bases_are_those_of_the_official_program(void) {
    const char *name;
    json_t *space;
    json_object_foreach(spaces(), name, space) {
        json_t *primes = json_object_get(space, "primes");
        int base[AP_HALTON_MAX_DIMENSIONS], d = (int)json_array_size(primes);
        ap_halton_bases(d, base);
        for (int i = 0; i < d; i++) CHECK_INT(base[i], json_integer_value(json_array_get(primes, (size_t)i)));
    }
}

static void test_most_dimensions_start_at_the_base_three(void) {
    int base[AP_HALTON_MAX_DIMENSIONS];
    ap_halton_bases(AP_HALTON_MAX_DIMENSIONS, base);
    CHECK_INT(base[0], 3);
    CHECK_INT(base[AP_HALTON_MAX_DIMENSIONS - 1], 991);
}

static void test_digit_tables_and_shifts(void) {
    json_t *tables = json_object_get(json_object_get(spaces(), "synthetic_mixed"), "digit_tables"), *table;
    size_t t, i;
    CHECK_INT(json_array_size(tables), 4);
    json_array_foreach(tables, t, table) {
        ap_halton_dimension d;
        ap_halton_dimension_init(&d, (int)json_integer_value(json_object_get(table, "base")));
        json_t *digits = json_object_get(table, "digit_permutation"), *digit;
        CHECK_INT(json_array_size(digits), d.base);
        json_array_foreach(digits, i, digit) CHECK_INT(d.digit[i], json_integer_value(digit));
        CHECK_NEAR(d.shift, json_real_value(json_object_get(table, "shift")), 0);
    }
}

static void test_coordinates_of_small_and_large_bases(void) {
    json_t *primitives = json_object_get(json_object_get(fixture(), "primitives"), "van_der_corput_shifted_first12");
    const char *base;
    json_t *values, *value;
    size_t i;
    CHECK(json_object_size(primitives) > 4);
    json_object_foreach(primitives, base, values) {
        ap_halton_dimension d;
        ap_halton_dimension_init(&d, atoi(base));
        json_array_foreach(values, i, value)
            CHECK_NEAR(ap_halton_coordinate(&d, (long long)i + 1), json_real_value(value), 1e-14);
    }
}

static void test_unit_points(void) {
    const char *name;
    json_t *space, *point, *u;
    size_t i, k;
    json_object_foreach(spaces(), name, space) {
        int base[AP_HALTON_MAX_DIMENSIONS], d = (int)json_array_size(json_object_get(space, "primes"));
        ap_halton_bases(d, base);
        json_array_foreach(json_object_get(space, "unit_points_unshuffled_20"), i, point) {
            json_array_foreach(point, k, u) {
                ap_halton_dimension dimension;
                ap_halton_dimension_init(&dimension, base[k]);
                CHECK_NEAR(ap_halton_coordinate(&dimension, AP_HALTON_DROPPED + (long long)i + 1), json_real_value(u),
                           1e-14);
            }
        }
    }
}

/* ---- drawn points */

static ap_points draw(const char *json, int trials) {
    ap_points points = {0};
    ap_error error = {0};
    if (ap_search_space_draw(json, "space.json", trials, &points, &error) != AP_OK)
        printf("%s\n", error.text), ap_check_failures++;
    return points;
}

static void compare_points(json_t *want, const ap_points *got) {
    size_t i;
    json_t *point, *value;
    const char *key;
    CHECK_INT(got->n, json_array_size(want));
    json_array_foreach(want, i, point) {
        int k = 0;
        json_object_foreach(point, key, value) {
            double x = NAN, w = json_number_value(value);
            CHECK(ap_point_get(&got->point[i], key, &x));
            CHECK(!strcmp(got->point[i].name[k++], key));
            CHECK_NEAR(x, w, 1e-12 * fabs(w));
        }
        CHECK_INT(got->point[i].n, k);
    }
}

static void test_points_of_the_official_spaces(void) {
    const char *name;
    json_t *space;
    int compared = 0;
    json_object_foreach(spaces(), name, space) {
        if (!strcmp(name, "synthetic_mixed")) continue;
        char *json = json_dumps(json_object_get(space, "search_space"), 0);
        ap_points points = draw(json, 20);
        compare_points(json_object_get(space, "points_unshuffled_20"), &points);
        ap_points_free(&points);
        free(json);
        compared++;
    }
    CHECK_INT(compared, 5);
}

static void test_linear_and_feasible_points(void) {
    /* synthetic_mixed has texts as feasible points; their places stand in for them. */
    ap_points points = draw("{\"lin\": {\"min\": -1, \"max\": 3.0, \"scaling\": \"linear\"},"
                            " \"log\": {\"min\": 1e-5, \"max\": 0.1, \"scaling\": \"log\"},"
                            " \"disc\": {\"feasible_points\": [0, 1, 2, 3]}, \"one\": {\"feasible_points\": [7]}}",
                            20);
    json_t *want = json_object_get(json_object_get(spaces(), "synthetic_mixed"), "points_unshuffled_20"), *point;
    size_t i;
    CHECK_INT(points.n, 20);
    json_array_foreach(want, i, point) {
        double x = NAN;
        CHECK(ap_point_get(&points.point[i], "lin", &x));
        CHECK_NEAR(x, json_real_value(json_object_get(point, "lin")), 1e-12);
        CHECK(ap_point_get(&points.point[i], "disc", &x));
        CHECK_INT(x, json_string_value(json_object_get(point, "disc"))[0] - 'a');
        CHECK(ap_point_get(&points.point[i], "one", &x));
        CHECK_INT(x, 7);
    }
    ap_points_free(&points);
}

static void test_more_trials_begin_with_the_same_points(void) {
    static const char json[] = "{\"lr\": {\"min\": 0.1, \"max\": 1.0, \"scaling\": \"log\"}}";
    ap_points few = draw(json, 3), many = draw(json, 50);
    CHECK_INT(few.n, 3);
    CHECK_INT(many.n, 50);
    for (int i = 0; i < few.n; i++) CHECK(few.point[i].value[0] == many.point[i].value[0]);
    ap_points_free(&few);
    ap_points_free(&many);
}

static void test_list_is_used_in_order_and_truncated(void) {
    static const char json[] = "[{\"a\": 1, \"b\": true}, {\"a\": 2.5, \"b\": false}, {\"a\": 3}]";
    ap_points two = draw(json, 2), three = draw(json, 3);
    double x = NAN;
    CHECK_INT(two.n, 2);
    CHECK_INT(three.n, 3);
    CHECK(ap_point_get(&two.point[1], "a", &x) && x == 2.5);
    CHECK(ap_point_get(&two.point[0], "b", &x) && x == 1);
    CHECK(ap_point_get(&two.point[1], "b", &x) && x == 0);
    CHECK(!ap_point_get(&three.point[2], "b", &x));
    ap_points_free(&two);
    ap_points_free(&three);
}

static void test_booleans_may_be_feasible_points(void) {
    ap_points points = draw("{\"nesterov\": {\"feasible_points\": [true]}}", 1);
    CHECK(points.n == 1 && points.point[0].value[0] == 1);
    ap_points_free(&points);
}

static void test_texts_are_values(void) {
    ap_points points = draw("[{\"style\": \"adam\", \"l2\": 0.1}]", 1);
    double x = 7;
    CHECK_TEXT(ap_point_text(&points.point[0], "style"), "adam");
    CHECK(!ap_point_get(&points.point[0], "style", &x) && x == 7);
    CHECK(ap_point_text(&points.point[0], "l2") == NULL && ap_point_text(&points.point[0], "none") == NULL);
    char *json = ap_point_json(&points.point[0]);
    CHECK_TEXT(json, "{\"style\": \"adam\", \"l2\": ");
    free(json);
    ap_points_free(&points);

    /* those of the recorded space, in their order */
    json_t *space = json_object_get(spaces(), "synthetic_mixed"),
           *want = json_object_get(space, "points_unshuffled_20"), *p;
    size_t i;
    json = json_dumps(json_object_get(space, "search_space"), 0);
    points = draw(json, 20);
    json_array_foreach(want, i, p)
        CHECK_TEXT(ap_point_text(&points.point[i], "disc"), json_string_value(json_object_get(p, "disc")));
    ap_points_free(&points);
    free(json);
}

/* ---- one point */

static void test_point_survives_its_json(void) {
    ap_point point, again;
    ap_error error;
    double x = 0;
    CHECK_INT(ap_point_parse("{\"z\": 0.1, \"a\": 1e-300, \"n\": 3, \"t\": true}", "p", &point, &error), AP_OK);
    char *json = ap_point_json(&point);
    CHECK(json && !strcmp(json, "{\"z\": 0.10000000000000001, \"a\": 1e-300, \"n\": 3.0, \"t\": 1.0}"));
    CHECK_INT(ap_point_parse(json, "p", &again, &error), AP_OK);
    CHECK_INT(again.n, 4);
    for (int i = 0; i < point.n; i++) {
        CHECK(!strcmp(point.name[i], again.name[i]));
        CHECK(point.value[i] == again.value[i]);
    }
    CHECK(!ap_point_get(&point, "y", &x) && x == 0);
    ap_point_free(&point);
    ap_point_free(&again);
    ap_point_free(&again); /* and once more: harmless */
    free(json);
}

static void test_bad_points(void) {
    static const char *const bad[][2] = {
        {"", "not valid JSON"},
        {"{", "not valid JSON"},
        {"{\"a\": 1} x", "not valid JSON"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": nan}", "not valid JSON"},
        {"{\"a\": 1e999}", "not valid JSON"},
        {"{\"a\": 99999999999999999999}", "not valid JSON"},
        {"{\"a\": null}", "a is null"},
        {"{\"a\": [1]}", "a is a list"},
        {"{}", "empty object"},
        {"[1]", "must be an object"},
        {"7", "not valid JSON"},
        {"{\"\": 1}", "not a hyperparameter's name"},
        {"{\"learning rate\": 1}", "\"learning rate\" is not"},
        {"{\"2nd\": 1}", "\"2nd\" is not"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ap_point point = {.n = -1};
        ap_error error = {0};
        CHECK_INT(ap_point_parse(bad[i][0], "hparams.json", &point, &error), AP_CONFIG);
        CHECK_TEXT(error.text, bad[i][1]);
        CHECK_TEXT(error.text, "hparams.json");
        CHECK_INT(point.n, -1);
    }
}

/* ---- wrong spaces */

static void check_bad(const char *json, int trials, const char *text) {
    ap_points points = {.n = -1};
    ap_error error = {0};
    CHECK_INT(ap_search_space_draw(json, "space.json", trials, &points, &error), AP_CONFIG);
    CHECK_TEXT(error.text, text);
    CHECK_TEXT(error.text, "space.json");
    CHECK_INT(points.n, -1); /* untouched */
}

static void test_bad_ranges(void) {
    check_bad("{\"a\": {\"min\": 1, \"max\": 1, \"scaling\": \"linear\"}}", 1, "min must be below max");
    check_bad("{\"a\": {\"min\": 2, \"max\": 1, \"scaling\": \"log\"}}", 1, "min of a is 2, max is 1");
    check_bad("{\"a\": {\"min\": 0, \"max\": 1, \"scaling\": \"log\"}}", 1, "min must be above 0");
    check_bad("{\"a\": {\"min\": -1, \"max\": 1, \"scaling\": \"log\"}}", 1, "min must be above 0");
    check_bad("{\"a\": {\"min\": 1e-320, \"max\": 1e300, \"scaling\": \"log\"}}", 1, "max / min finite");
    check_bad("{\"a\": {\"min\": -1.5e308, \"max\": 1.5e308, \"scaling\": \"linear\"}}", 1, "too wide");
    check_bad("{\"a\": {\"max\": 1, \"scaling\": \"log\"}}", 1, "a has no min");
    check_bad("{\"a\": {\"min\": 1, \"scaling\": \"log\"}}", 1, "a has no max");
    check_bad("{\"a\": {\"min\": 1, \"max\": 2}}", 1, "scaling of a is missing");
    check_bad("{\"a\": {\"min\": 1, \"max\": 2, \"scaling\": \"lin\"}}", 1, "scaling of a is \"lin\"");
    check_bad("{\"a\": {\"min\": 1, \"max\": 2, \"scaling\": 3}}", 1, "scaling of a is a number");
    check_bad("{\"a\": {\"min\": \"1\", \"max\": 2, \"scaling\": \"log\"}}", 1, "a.min is a text");
    check_bad("{\"a\": {\"min\": false, \"max\": true, \"scaling\": \"linear\"}}", 1, "a.min is false");
    check_bad("{\"a\": {}}", 1, "a has no min");
}

static void test_bad_feasible_points(void) {
    check_bad("{\"a\": {\"feasible_points\": []}}", 1, "feasible_points of a is empty");
    check_bad("{\"a\": {\"feasible_points\": 3}}", 1, "feasible_points of a is a number");
    check_bad("{\"a\": {\"feasible_points\": [1, [2]]}}", 1, "a is a list");
    check_bad("{\"a\": {\"feasible_points\": [1], \"min\": 1}}", 1, "keep one of both");
}

static void test_bad_documents(void) {
    check_bad("", 1, "not valid JSON");
    check_bad("nonsense", 1, "space.json:1:");
    check_bad("{\n\"a\": {\"feasible_points\": [1]},\n\"a\": {\"feasible_points\": [1]}}", 1, "space.json:3:");
    check_bad("{\"a\": {\"min\": nan, \"max\": 2, \"scaling\": \"log\"}}", 1, "not valid JSON");
    check_bad("{}", 1, "0 hyperparameters");
    check_bad("[]", 1, "a list of 0 points");
    check_bad("[{\"a\": 1}, 3]", 1, "point 2: found a number"); /* also beyond the trials wanted */
    check_bad("[{\"a\": 1}, {}]", 5, "point 2: found an empty object");
    check_bad("{\"a\": 0.1}", 1, "a is a number (must be an object");
    check_bad("{\"a b\": {\"feasible_points\": [1]}}", 1, "\"a b\" is not a hyperparameter's name");
    check_bad("{\"a\": {\"mim\": 1, \"max\": 2, \"scaling\": \"log\"}}", 1, "did you mean \"min\"?");
    check_bad("{\"a\": {\"min\": 1, \"max\": 2, \"scaling\": \"log\", \"unrelated\": 1}}", 1, "key \"unrelated\"");
}

static void test_errors_name_the_line(void) {
    check_bad("{\n \"a\": {\"feasible_points\": [1]},\n \"b\":\n {\"min\": 2, \"max\": 1, \"scaling\": \"log\"}\n}", 1,
              "space.json:3: min of b is 2");
    check_bad("[\n {\"a\": 1, \"t\": \"{ \\\" ] ,\"},\n {\"b\": 2,\n \"a\": null}\n]", 2,
              "space.json:4: point 2: a is null");
    check_bad("[{\"a\": 1},\n 3]", 2, "space.json:1: point 2");
    check_bad("{\n\n \"x\": {\"feasible_points\": []}}", 1, "space.json:3: feasible_points of x is empty");
}

static void test_fewer_points_than_trials(void) {
    check_bad("[{\"a\": 1}, {\"a\": 2}]", 3, "a list of 2 points, 3 trials are wanted");
}

static void test_bad_number_of_trials(void) {
    check_bad("{\"a\": {\"feasible_points\": [1]}}", 0, "0 trials wanted");
    check_bad("{\"a\": {\"feasible_points\": [1]}}", -5, "-5 trials wanted");
    check_bad("{\"a\": {\"feasible_points\": [1]}}", 1000001, "must be 1 to 1000000");
}

static void test_too_many_dimensions(void) {
    json_t *space = json_object();
    for (int i = 0; i <= AP_HALTON_MAX_DIMENSIONS; i++) {
        char name[16];
        snprintf(name, sizeof name, "h%d", i);
        json_object_set_new(space, name, json_pack("{s:[i]}", "feasible_points", i));
    }
    char *json = json_dumps(space, 0);
    check_bad(json, 1, "167 hyperparameters (must be 1 to 166)");
    free(json);
    json_object_del(space, "h7");
    json = json_dumps(space, 0);
    ap_points points = draw(json, 2);
    CHECK(points.n == 2 && points.point[1].n == AP_HALTON_MAX_DIMENSIONS);
    ap_points_free(&points);
    free(json);
    json_decref(space);
}

static void end(void) {
    json_decref(fixture());
}

AP_TEST_MAIN(test_bases_are_those_of_the_official_program, test_most_dimensions_start_at_the_base_three,
             test_digit_tables_and_shifts, test_coordinates_of_small_and_large_bases, test_unit_points,
             test_points_of_the_official_spaces, test_linear_and_feasible_points,
             test_more_trials_begin_with_the_same_points, test_list_is_used_in_order_and_truncated,
             test_booleans_may_be_feasible_points, test_texts_are_values, test_point_survives_its_json, test_bad_points,
             test_bad_ranges, test_bad_feasible_points, test_bad_documents, test_errors_name_the_line,
             test_fewer_points_than_trials, test_bad_number_of_trials, test_too_many_dimensions, end)
