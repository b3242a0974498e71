/* One result as a whole: every attribute and every column, whatever its name, for commands that compare, pack, export
 * or check (a scorer needs less: read_result.h). Format: harness/record.h. Not collective; main thread only. */
#ifndef AP_ANALYSIS_RESULT_H
#define AP_ANALYSIS_RESULT_H

#include "base/h5.h"

typedef enum ap_value_kind { AP_VALUE_TEXT, AP_VALUE_I64, AP_VALUE_F64 } ap_value_kind;

/* An attribute. */
typedef struct ap_fact {
    char *name;
    ap_value_kind kind;
    char *text; /* kind TEXT */
    int64_t i64;
    double f64;
} ap_fact;

typedef struct ap_facts {
    size_t n;
    ap_fact *fact; /* in name order */
} ap_facts;

/* A data set of one dimension. */
typedef struct ap_column {
    char *name; /* "evaluations/validation/accuracy" */
    char *unit; /* NULL: none */
    ap_value_kind kind;
    int64_t n;
    int64_t *i64; /* one of the three, by kind */
    double *f64;
    char **text;
} ap_column;

typedef struct ap_result {
    ap_facts head, provenance;
    int64_t evaluations, steps; /* rows */
    size_t columns;
    ap_column *column; /* in name order: evaluations/..., then steps/... */
} ap_result;

/* Reads all there is at `place` (a result.h5 or a trial in a collection). AP_DATA if it is not what a result is: a
 * missing group or global_step, columns of unequal length, types other than text, integer and floating point, more than
 * some hundreds of columns or attributes, a data set whose digest is wrong. On failure there is nothing to free. */
ap_status ap_result_read(hid_t place, ap_result *result, ap_error *error);
void ap_result_free(ap_result *result); /* a zeroed one is fine */

const ap_fact *ap_facts_find(const ap_facts *facts, const char *name);        /* NULL: not there */
const char *ap_facts_text(const ap_facts *facts, const char *name);           /* "": not there or no text */
double ap_facts_number(const ap_facts *facts, const char *name);              /* NaN: not there or text */
const ap_column *ap_result_column(const ap_result *result, const char *name); /* NULL: not there */
const int64_t *ap_result_i64(const ap_result *result, const char *name);      /* NULL: not there or not of this kind */
const double *ap_result_f64(const ap_result *result, const char *name);

/* The bits are equal: NaN is equal to itself. Of the same kind. */
bool ap_fact_same(const ap_fact *a, const ap_fact *b);
bool ap_column_same(const ap_column *a, int64_t i, const ap_column *b, int64_t k);

/* A value as text that reads back as the same value ("0.1", "nan"), cleaned, cut to `size`. */
void ap_fact_text(const ap_fact *fact, char *text, size_t size);
void ap_column_text(const ap_column *column, int64_t i, char *text, size_t size);
/* The shortest decimal text of a double: at most 17 digits. */
enum { AP_DOUBLE_TEXT = 32 };
void ap_double_text(double value, char text[AP_DOUBLE_TEXT]);

#endif
