#include "analysis/result.h"

#include "analysis/trials.h"
#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAMES = 512, NAME = 512 };

/* ---- attributes */

static void free_facts(ap_facts *facts) {
    for (size_t i = 0; i < facts->n; i++) {
        free(facts->fact[i].name);
        free(facts->fact[i].text);
    }
    free(facts->fact);
    *facts = (ap_facts){0};
}

/* Integer, floating point or text: the first that the library reads it as without loss. */
static ap_status read_fact(hid_t place, const char *object, ap_fact *fact, ap_error *error) {
    fact->kind = AP_VALUE_I64;
    if (ap_h5_get_i64(place, object, fact->name, &fact->i64, NULL) == AP_OK) return AP_OK;
    fact->kind = AP_VALUE_F64;
    if (ap_h5_get_f64(place, object, fact->name, &fact->f64, NULL) == AP_OK) return AP_OK;
    fact->kind = AP_VALUE_TEXT;
    return ap_h5_get_text(place, object, fact->name, &fact->text, error);
}

static ap_status check_count(int64_t n, const char *object, const char *what, ap_error *error) {
    if (n <= MOST_NAMES) return AP_OK;
    return ap_fail(error, AP_DATA, "%s has %" PRId64 " %s (at most %d are read)", object, n, what, MOST_NAMES);
}

/* Takes the list of names over. */
static ap_status read_facts(hid_t place, const char *object, ap_facts *facts, ap_error *error) {
    int64_t n;
    char **names;
    AP_TRY(ap_h5_list_attributes(place, object, &n, &names, error));
    ap_status status = check_count(n, object, "attributes", error);
    if (status == AP_OK && !(facts->fact = calloc((size_t)n + 1, sizeof *facts->fact)))
        status = ap_fail(error, AP_ENVIRONMENT, "out of memory for %" PRId64 " attributes", n);
    for (int64_t i = 0; i < n && status == AP_OK; i++) {
        ap_fact *fact = &facts->fact[facts->n++];
        fact->name = names[i];
        names[i] = NULL;
        status = read_fact(place, object, fact, error);
    }
    ap_h5_free_text(n, names);
    return status;
}

/* ---- columns */

static ap_status read_values(hid_t place, ap_column *column, ap_error *error) {
    void *data = NULL;
    size_t limit = ap_h5_file_bytes(place);
    if (ap_h5_read_text(place, column->name, &column->n, &column->text, NULL) == AP_OK) {
        column->kind = AP_VALUE_TEXT;
        return AP_OK;
    }
    if (ap_h5_read(place, column->name, AP_I64, -1, limit, &data, &column->n, NULL) == AP_OK) {
        column->kind = AP_VALUE_I64;
        column->i64 = data;
        return AP_OK;
    }
    AP_TRY(ap_h5_read(place, column->name, AP_F64, -1, limit, &data, &column->n, error));
    column->kind = AP_VALUE_F64;
    column->f64 = data;
    return AP_OK;
}

/* Columns that were never written read as zeros and take no room in the file: some hundred of them could take all
 * memory. */
static ap_status check_size(hid_t place, const ap_result *result, ap_error *error) {
    size_t bytes = 0, most = ap_h5_file_bytes(place);
    for (size_t i = 0; i < result->columns; i++) bytes += (size_t)result->column[i].n * sizeof(int64_t);
    if (bytes / 2 <= most) return AP_OK;
    return ap_fail(error, AP_DATA, "has columns of %zu bytes in a file of %zu", bytes, most);
}

/* `length` < 0: the first column of its group. */
static ap_status add_column(hid_t place, ap_result *result, const char *name, int64_t *length, ap_error *error) {
    AP_TRY(check_count((int64_t)result->columns + 1, name, "columns before it", error));
    ap_column *grown = ap_room_for_one(result->column, result->columns, sizeof *grown);
    if (grown) result->column = grown;
    char *copy = grown ? strdup(name) : NULL;
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "out of memory for column %s", name);
    ap_column *column = &grown[result->columns++];
    *column = (ap_column){.name = copy};
    int rank;
    int64_t shape[AP_H5_MAX_RANK];
    AP_TRY(ap_h5_shape(place, name, &rank, shape, error));
    if (rank != 1) return ap_fail(error, AP_DATA, "%s has %d dimensions (a column has 1)", name, rank);
    if (*length < 0) *length = shape[0];
    if (shape[0] != *length)
        return ap_fail(error, AP_DATA, "%s has %" PRId64 " rows, the columns before it have %" PRId64, name, shape[0],
                       *length);
    AP_TRY(read_values(place, column, error));
    AP_TRY(check_size(place, result, error));
    if (!ap_h5_has_attribute(place, name, "unit")) return AP_OK;
    return ap_h5_get_text(place, name, "unit", &column->unit, error);
}

static bool is_group(hid_t place, const char *name) {
    hid_t group;
    if (ap_h5_open_group(place, name, &group, NULL) != AP_OK) return false;
    ap_h5_close(group);
    return true;
}

/* All data sets of a group and of the groups below it (evaluations/validation/...), which are at most `depth` deep. */
static ap_status read_group(hid_t place, ap_result *result, const char *group, int depth, int64_t *length,
                            ap_error *error) {
    int64_t n;
    char **names, name[NAME];
    AP_TRY(ap_h5_list(place, group, &n, &names, error));
    ap_status status = check_count(n, group, "members", error);
    for (int64_t i = 0; i < n && status == AP_OK; i++) {
        if (snprintf(name, sizeof name, "%s/%s", group, names[i]) >= NAME)
            status = ap_fail(error, AP_DATA, "%.100s... is a name of more than %d bytes", name, NAME - 1);
        else if (depth > 0 && is_group(place, name))
            status = read_group(place, result, name, depth - 1, length, error);
        else
            status = add_column(place, result, name, length, error);
    }
    ap_h5_free_text(n, names);
    return status;
}

/* ---- the whole */

static ap_status need_steps(const ap_result *result, const char *name, ap_error *error) {
    if (ap_result_i64(result, name)) return AP_OK;
    return ap_fail(error, AP_DATA, "no column %s of integers", name);
}

static ap_status read_all(hid_t place, ap_result *result, ap_error *error) {
    result->evaluations = result->steps = -1;
    AP_TRY(read_facts(place, ".", &result->head, error));
    AP_TRY(read_facts(place, "provenance", &result->provenance, error));
    AP_TRY(read_group(place, result, "evaluations", 1, &result->evaluations, error));
    AP_TRY(read_group(place, result, "steps", 1, &result->steps, error));
    AP_TRY(need_steps(result, "evaluations/global_step", error));
    return need_steps(result, "steps/global_step", error);
}

ap_status ap_result_read(hid_t place, ap_result *result, ap_error *error) {
    *result = (ap_result){0};
    ap_status status = read_all(place, result, error);
    if (status != AP_OK) ap_result_free(result);
    return status;
}

void ap_result_free(ap_result *result) {
    free_facts(&result->head);
    free_facts(&result->provenance);
    for (size_t i = 0; i < result->columns; i++) {
        ap_column *column = &result->column[i];
        free(column->name);
        free(column->unit);
        free(column->i64);
        free(column->f64);
        ap_h5_free_text(column->n, column->text);
    }
    free(result->column);
    *result = (ap_result){0};
}

/* ---- looking up */

const ap_fact *ap_facts_find(const ap_facts *facts, const char *name) {
    for (size_t i = 0; i < facts->n; i++)
        if (!strcmp(facts->fact[i].name, name)) return &facts->fact[i];
    return NULL;
}

const char *ap_facts_text(const ap_facts *facts, const char *name) {
    const ap_fact *fact = ap_facts_find(facts, name);
    return fact && fact->kind == AP_VALUE_TEXT ? fact->text : "";
}

double ap_facts_number(const ap_facts *facts, const char *name) {
    const ap_fact *fact = ap_facts_find(facts, name);
    if (!fact || fact->kind == AP_VALUE_TEXT) return NAN;
    return fact->kind == AP_VALUE_I64 ? (double)fact->i64 : fact->f64;
}

const ap_column *ap_result_column(const ap_result *result, const char *name) {
    for (size_t i = 0; i < result->columns; i++)
        if (!strcmp(result->column[i].name, name)) return &result->column[i];
    return NULL;
}

const int64_t *ap_result_i64(const ap_result *result, const char *name) {
    const ap_column *column = ap_result_column(result, name);
    return column && column->kind == AP_VALUE_I64 ? column->i64 : NULL;
}

const double *ap_result_f64(const ap_result *result, const char *name) {
    const ap_column *column = ap_result_column(result, name);
    return column && column->kind == AP_VALUE_F64 ? column->f64 : NULL;
}

/* ---- equality and text */

bool ap_fact_same(const ap_fact *a, const ap_fact *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case AP_VALUE_TEXT: return !strcmp(a->text, b->text);
    case AP_VALUE_I64: return a->i64 == b->i64;
    case AP_VALUE_F64: return !memcmp(&a->f64, &b->f64, sizeof a->f64);
    }
    return false;
}

bool ap_column_same(const ap_column *a, int64_t i, const ap_column *b, int64_t k) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case AP_VALUE_TEXT: return !strcmp(a->text[i], b->text[k]);
    case AP_VALUE_I64: return a->i64[i] == b->i64[k];
    case AP_VALUE_F64: return !memcmp(&a->f64[i], &b->f64[k], sizeof *a->f64);
    }
    return false;
}

void ap_double_text(double value, char text[AP_DOUBLE_TEXT]) {
    if (isnan(value)) {
        strcpy(text, "nan");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, AP_DOUBLE_TEXT, "%.*g", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}

static void value_text(ap_value_kind kind, const char *string, int64_t i64, double f64, char *text, size_t size) {
    char number[AP_DOUBLE_TEXT];
    switch (kind) {
    case AP_VALUE_TEXT:
        snprintf(text, size, "%s", string);
        ap_clean_text(text); /* after the cut, which may have split a character */
        break;
    case AP_VALUE_I64: snprintf(text, size, "%" PRId64, i64); break;
    case AP_VALUE_F64:
        ap_double_text(f64, number);
        snprintf(text, size, "%s", number);
        break;
    }
}

void ap_fact_text(const ap_fact *fact, char *text, size_t size) {
    value_text(fact->kind, fact->text, fact->i64, fact->f64, text, size);
}

void ap_column_text(const ap_column *column, int64_t i, char *text, size_t size) {
    value_text(column->kind, column->kind == AP_VALUE_TEXT ? column->text[i] : NULL,
               column->kind == AP_VALUE_I64 ? column->i64[i] : 0, column->kind == AP_VALUE_F64 ? column->f64[i] : 0,
               text, size);
}
