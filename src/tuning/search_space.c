#include "tuning/search_space.h"
#include "base/fmath.h"
#include "tuning/halton.h"
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TRIALS = 1000000 };

/* ---- points */

bool ap_point_get(const ap_point *point, const char *name, double *value) {
    for (int i = 0; i < point->n; i++)
        if (!strcmp(point->name[i], name) && !(point->text && point->text[i])) {
            *value = point->value[i];
            return true;
        }
    return false;
}

const char *ap_point_text(const ap_point *point, const char *name) {
    for (int i = 0; i < point->n; i++)
        if (point->text && !strcmp(point->name[i], name)) return point->text[i];
    return NULL;
}

char *ap_point_json(const ap_point *point) {
    json_t *object = json_object();
    bool fine = object != NULL;
    for (int i = 0; fine && i < point->n; i++)
        fine = json_object_set_new(object, point->name[i],
                                   point->text && point->text[i] ? json_string(point->text[i])
                                                                 : json_real(point->value[i])) == 0;
    char *text = fine ? json_dumps(object, JSON_REAL_PRECISION(17)) : NULL;
    json_decref(object);
    return text;
}

void ap_point_free(ap_point *point) {
    for (int i = 0; i < point->n; i++) {
        free(point->name[i]);
        if (point->text) free(point->text[i]);
    }
    free(point->name);
    free(point->value);
    free(point->text);
    *point = (ap_point){0};
}

void ap_points_free(ap_points *points) {
    for (int i = 0; i < points->n; i++) ap_point_free(&points->point[i]);
    free(points->point);
    *points = (ap_points){0};
}

static ap_status out_of_memory(const char *name, ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", name);
}

/* Room for n names and values; the names are added one by one with point_add. */
static ap_status point_reserve(ap_point *point, size_t n, const char *name, ap_error *error) {
    *point = (ap_point){.name = calloc(n, sizeof *point->name),
                        .value = calloc(n, sizeof *point->value),
                        .text = calloc(n, sizeof *point->text)};
    if (point->name && point->value && point->text) return AP_OK;
    ap_point_free(point);
    return out_of_memory(name, error);
}

/* A hyperparameter's value: a number, or a text (borrowed from the JSON). */
typedef struct setting {
    double value;
    const char *text;
} setting;

static ap_status point_add(ap_point *point, const char *key, setting value, const char *name, ap_error *error) {
    int i = point->n++;
    point->value[i] = value.text ? NAN : value.value;
    if (!(point->name[i] = strdup(key))) return out_of_memory(name, error);
    if (value.text && !(point->text[i] = strdup(value.text))) return out_of_memory(name, error);
    return AP_OK;
}

static ap_status points_reserve(ap_points *points, int n, const char *name, ap_error *error) {
    *points = (ap_points){.point = calloc((size_t)n, sizeof *points->point)};
    return points->point ? AP_OK : out_of_memory(name, error);
}

/* ---- reading JSON */

static const char *type_name(const json_t *value) {
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a text", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",    [JSON_FALSE] = "false",   [JSON_NULL] = "null"};
    return names[json_typeof(value)];
}

/* Duplicate keys, nan, numbers out of range and text behind the end are jansson's errors, with their line. */
static ap_status parse(const char *json, const char *name, json_t **root, ap_error *error) {
    json_error_t at;
    *root = json_loads(json, JSON_REJECT_DUPLICATES, &at);
    if (*root) return AP_OK;
    return ap_fail(error, AP_CONFIG, "%s:%d:%d: not valid JSON: %s; correct the file", name, at.line, at.column,
                   at.text);
}

/* Where a key of the file stands, for messages: its line. jansson keeps none, so the text, which is valid JSON by then,
 * is walked again. `element`: of a list, from 0; -1: the file is one object. */
typedef struct place {
    const char *name, *json; /* the file, its text */
    int element;
} place;

static int line_of(const place *p, const char *key) {
    int line = 1, depth = 0, element = 0, key_depth = p->element < 0 ? 1 : 2, start = 1;
    size_t n = key ? strlen(key) : 0;
    for (const char *c = p->json; *c; c++) {
        if (*c == '\n') line++;
        if (*c == '[' || *c == '{') depth++;
        if (*c == ']' || *c == '}') depth--;
        if (*c == ',' && depth == 1 && p->element >= 0) element++;
        if (*c == '{' && depth == key_depth && element <= p->element) start = line;
        if (*c != '"') continue;
        const char *text = c + 1;
        for (c++; *c && *c != '"'; c++) c += *c == '\\';
        if (!*c) break;
        const char *next = c + 1 + strspn(c + 1, " \t\r\n");
        bool here = depth == key_depth && *next == ':' && (p->element < 0 || element == p->element);
        if (key && here && (size_t)(c - text) == n && !memcmp(text, key, n)) return line;
    }
    return start;
}

int ap_search_space_line(const char *json, int number, const char *key) {
    const char *start = json + strspn(json, " \t\r\n");
    return line_of(&(place){"", json, *start == '[' ? number : -1}, *key ? key : NULL);
}

/* AP_CONFIG with "FILE:LINE: " and, in a list, "point N: " in front. */
static ap_status wrong(ap_error *error, const place *p, const char *key, const char *format, ...) AP_PRINTF(4, 5);
static ap_status wrong(ap_error *error, const place *p, const char *key, const char *format, ...) {
    char text[AP_ERROR_TEXT], point[32] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (p->element >= 0) snprintf(point, sizeof point, " point %d:", p->element + 1);
    return ap_fail(error, AP_CONFIG, "%s:%d:%s %s", p->name, line_of(p, key), point, text);
}

/* The published program makes hyperparameters the fields of a Python namedtuple, so names are identifiers. */
static ap_status check_name(const char *key, const place *p, ap_error *error) {
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    size_t digits = strspn(key, "0123456789"), length = strspn(key, allowed);
    if (digits == 0 && length > 0 && key[length] == '\0') return AP_OK;
    return wrong(error, p, key,
                 "\"%s\" is not a hyperparameter's name (must be letters, digits and _, not a digit first)", key);
}

static ap_status read_number(const json_t *json, const place *p, const char *key, const char *member, double *value,
                             ap_error *error) {
    if (!json_is_number(json))
        return wrong(error, p, key, "%s.%s is %s (must be a number)", key, member, type_name(json));
    *value = json_number_value(json);
    return AP_OK;
}

/* A number, true or false (1 and 0), or a text. */
static ap_status read_value(const json_t *json, const place *p, const char *key, setting *value, ap_error *error) {
    *value = (setting){.text = json_string_value(json)};
    if (json_is_boolean(json)) value->value = json_is_true(json);
    if (json_is_number(json)) value->value = json_number_value(json);
    if (value->text || json_is_boolean(json) || json_is_number(json)) return AP_OK;
    return wrong(error, p, key, "%s is %s (must be a number, true, false or a text)", key, type_name(json));
}

static ap_status read_point(json_t *object, const place *p, ap_point *point, ap_error *error) {
    if (!json_is_object(object))
        return wrong(error, p, NULL, "found %s (must be an object of hyperparameters)", type_name(object));
    if (json_object_size(object) == 0)
        return wrong(error, p, NULL, "found an empty object (must have at least one hyperparameter)");
    AP_TRY(point_reserve(point, json_object_size(object), p->name, error));
    const char *key;
    json_t *json;
    json_object_foreach(object, key, json) {
        setting value;
        ap_status status = check_name(key, p, error);
        if (status == AP_OK) status = read_value(json, p, key, &value, error);
        if (status == AP_OK) status = point_add(point, key, value, p->name, error);
        if (status != AP_OK) {
            ap_point_free(point);
            return status;
        }
    }
    return AP_OK;
}

ap_status ap_point_parse(const char *json, const char *name, ap_point *point, ap_error *error) {
    json_t *root;
    AP_TRY(parse(json, name, &root, error));
    ap_point parsed = {0};
    ap_status status = read_point(root, &(place){name, json, -1}, &parsed, error);
    json_decref(root);
    if (status == AP_OK) *point = parsed;
    return status;
}

/* ---- a list of points */

/* All points are read, also those beyond `trials`: a broken one does not wait for a longer study. */
static ap_status draw_list(json_t *list, const char *name, const char *json, int trials, ap_points *points,
                           ap_error *error) {
    size_t n = json_array_size(list);
    if (n < 1 || n > MAX_TRIALS)
        return ap_fail(error, AP_CONFIG, "%s: a list of %zu points (must be 1 to %d)", name, n, MAX_TRIALS);
    AP_TRY(points_reserve(points, (int)n, name, error));
    for (size_t i = 0; i < n; i++) {
        ap_status status = read_point(json_array_get(list, i), &(place){name, json, (int)i}, &points->point[i], error);
        if (status != AP_OK) {
            ap_points_free(points);
            return status;
        }
        points->n++;
    }
    if (points->n < trials) {
        ap_status status = ap_fail(error, AP_CONFIG,
                                   "%s: a list of %d points, %d trials are wanted (a list is used point "
                                   "by point; lower `trials` in the job file, or give more points)",
                                   name, points->n, trials);
        ap_points_free(points);
        return status;
    }
    while (points->n > trials) ap_point_free(&points->point[--points->n]);
    return AP_OK;
}

/* ---- ranges and feasible points */

typedef enum scaling { LINEAR, LOG, FEASIBLE } scaling;

typedef struct dimension {
    const char *key; /* borrowed from the JSON, as is `feasible` */
    scaling scaling;
    double min, max;
    json_t *feasible;
} dimension;

static ap_status check_keys(json_t *object, const place *p, const char *key, ap_error *error) {
    static const char *const known[] = {"min", "max", "scaling", "feasible_points", NULL};
    const char *member;
    json_t *value;
    json_object_foreach(object, member, value) {
        bool fine = false;
        for (int i = 0; known[i]; i++) fine = fine || !strcmp(known[i], member);
        if (fine) continue;
        const char *closest = ap_closest(member, known);
        return wrong(error, p, key,
                     "%s has the unknown key \"%s\"%s%s%s (allowed: min, max and scaling, or feasible_points)", key,
                     member, closest ? "; did you mean \"" : "", closest ? closest : "", closest ? "\"?" : "");
    }
    return AP_OK;
}

static ap_status read_feasible(json_t *object, const place *p, dimension *d, ap_error *error) {
    if (json_object_size(object) > 1)
        return wrong(error, p, d->key, "%s has feasible_points and also min, max or scaling; keep one of both", d->key);
    d->scaling = FEASIBLE;
    d->feasible = json_object_get(object, "feasible_points");
    if (!json_is_array(d->feasible))
        return wrong(error, p, d->key, "feasible_points of %s is %s (must be a list)", d->key, type_name(d->feasible));
    if (json_array_size(d->feasible) == 0)
        return wrong(error, p, d->key, "feasible_points of %s is empty (must have at least one number)", d->key);
    size_t i;
    json_t *json;
    setting value;
    json_array_foreach(d->feasible, i, json) {
        AP_TRY(read_value(json, p, d->key, &value, error));
    }
    return AP_OK;
}

static ap_status read_range(json_t *object, const place *p, dimension *d, ap_error *error) {
    const char *const members[] = {"min", "max"};
    double *const values[] = {&d->min, &d->max};
    for (int i = 0; i < 2; i++) {
        json_t *json = json_object_get(object, members[i]);
        if (!json)
            return wrong(error, p, d->key, "%s has no %s (needed: min, max and scaling, or feasible_points)", d->key,
                         members[i]);
        AP_TRY(read_number(json, p, d->key, members[i], values[i], error));
    }
    const json_t *kind = json_object_get(object, "scaling");
    const char *text = json_string_value(kind);
    if (!text || (strcmp(text, "linear") != 0 && strcmp(text, "log") != 0))
        return wrong(error, p, d->key, "scaling of %s is %s%s%s (must be \"linear\" or \"log\")", d->key,
                     text ? "\"" : "", text ? text : (kind ? type_name(kind) : "missing"), text ? "\"" : "");
    d->scaling = strcmp(text, "log") == 0 ? LOG : LINEAR;
    if (!(d->min < d->max))
        return wrong(error, p, d->key,
                     "min of %s is %g, max is %g (min must be below max); one value is a "
                     "feasible_points list of one",
                     d->key, d->min, d->max);
    if (!isfinite(d->max - d->min))
        return wrong(error, p, d->key, "the range of %s, %g to %g, is too wide for a double", d->key, d->min, d->max);
    if (d->scaling == LOG && !(d->min > 0 && isfinite(d->max / d->min)))
        return wrong(error, p, d->key,
                     "min of %s is %g (with log scaling min must be above 0, and max / min "
                     "finite)",
                     d->key, d->min);
    return AP_OK;
}

static ap_status read_dimension(const char *key, json_t *object, const place *p, dimension *d, ap_error *error) {
    *d = (dimension){.key = key};
    AP_TRY(check_name(key, p, error));
    if (!json_is_object(object))
        return wrong(error, p, key,
                     "%s is %s (must be an object with min, max and scaling, or feasible_points; a fixed point "
                     "is a list of one object)",
                     key, type_name(object));
    AP_TRY(check_keys(object, p, key, error));
    if (json_object_get(object, "feasible_points")) return read_feasible(object, p, d, error);
    return read_range(object, p, d, error);
}

/* u in [0, 1) to a value. base/fmath.h's functions, so that every machine draws the same bits. */
static setting map(const dimension *d, double u) {
    switch (d->scaling) {
    case LOG: return (setting){d->min * ap_f64_exp(u * ap_f64_log(d->max / d->min)), NULL};
    case LINEAR: return (setting){d->min + u * (d->max - d->min), NULL};
    case FEASIBLE: break;
    }
    size_t n = json_array_size(d->feasible);
    const json_t *json = json_array_get(d->feasible, (size_t)(u * (double)n));
    setting value = {.value = json_is_boolean(json) ? json_is_true(json) : json_number_value(json),
                     .text = json_string_value(json)};
    return value;
}

static ap_status draw_dimension(const dimension *d, int base, ap_points *points, const char *name, ap_error *error) {
    ap_halton_dimension halton;
    ap_halton_dimension_init(&halton, base);
    for (int i = 0; i < points->n; i++) {
        double u = ap_halton_coordinate(&halton, (long long)AP_HALTON_DROPPED + i + 1);
        AP_TRY(point_add(&points->point[i], d->key, map(d, u), name, error));
    }
    return AP_OK;
}

static ap_status draw_object(json_t *object, const char *name, const char *text, int trials, ap_points *points,
                             ap_error *error) {
    const place where = {name, text, -1};
    size_t d = json_object_size(object);
    if (d == 0 || d > AP_HALTON_MAX_DIMENSIONS)
        return ap_fail(error, AP_CONFIG, "%s: %zu hyperparameters (must be 1 to %d)", name, d,
                       AP_HALTON_MAX_DIMENSIONS);
    dimension dimensions[AP_HALTON_MAX_DIMENSIONS];
    int bases[AP_HALTON_MAX_DIMENSIONS], n = 0;
    const char *key;
    json_t *json;
    json_object_foreach(object, key, json) AP_TRY(read_dimension(key, json, &where, &dimensions[n++], error));
    ap_halton_bases((int)d, bases);

    AP_TRY(points_reserve(points, trials, name, error));
    ap_status status = AP_OK;
    while (status == AP_OK && points->n < trials) status = point_reserve(&points->point[points->n++], d, name, error);
    for (int i = 0; status == AP_OK && i < n; i++)
        status = draw_dimension(&dimensions[i], bases[i], points, name, error);
    if (status != AP_OK) ap_points_free(points);
    return status;
}

ap_status ap_search_space_draw(const char *json, const char *name, int trials, ap_points *points, ap_error *error) {
    if (trials < 1 || trials > MAX_TRIALS)
        return ap_fail(error, AP_CONFIG, "%s: %d trials wanted (must be 1 to %d)", name, trials, MAX_TRIALS);
    json_t *root;
    AP_TRY(parse(json, name, &root, error));
    ap_points drawn = {0};
    ap_status status;
    if (json_is_array(root))
        status = draw_list(root, name, json, trials, &drawn, error);
    else
        status = draw_object(root, name, json, trials, &drawn, error);
    json_decref(root);
    if (status == AP_OK) *points = drawn;
    return status;
}
