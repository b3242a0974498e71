/* Search spaces and the trials drawn from them. Source: AlgoPerf rules, "External tuning"; the official halton.py
 * (algorithms.md, "Halton search"). */
#ifndef AP_TUNING_SEARCH_SPACE_H
#define AP_TUNING_SEARCH_SPACE_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* One hyperparameter point: names and values in the order of the file. Booleans are 0 and 1. A value may be a text
 * ("grafting_type": "ADAM"): then `text` has it and `value` is NaN. */
typedef struct ap_point {
    int n;
    char **name;
    double *value;
    char **text; /* NULL as a whole or for one: a number */
} ap_point;
/* False if there is no number (no text) of that name. */
bool ap_point_get(const ap_point *point, const char *name, double *value);
const char *ap_point_text(const ap_point *point, const char *name);
/* Canonical JSON (17 digits) for records and digests, malloc'ed. */
char *ap_point_json(const ap_point *point);

typedef struct ap_points {
    int n;
    ap_point *point;
} ap_points;
void ap_points_free(ap_points *points);

/* Draws `trials` points. A JSON list is used verbatim, in order, truncated (fewer points than trials: AP_CONFIG). An
 * object is sampled by the Halton generator; the published code then shuffles the list with an unseeded generator; we
 * keep the deterministic order. `name` stands for the file in messages; bad JSON, unknown keys, min >= max, log of a
 * non-positive bound, empty feasible_points, nan, duplicates: AP_CONFIG. */
ap_status ap_search_space_draw(const char *json, const char *name, int trials, ap_points *points, ap_error *error);
/* For messages about a point of a space that has been read: the line of hyperparameter `key` ("": of the point's start)
 * in point `number`, from 0, of a list; of an object `number` does not count. */
int ap_search_space_line(const char *json, int number, const char *key);
/* A flat JSON object as one point (self-tuning, hparams.json). */
ap_status ap_point_parse(const char *json, const char *name, ap_point *point, ap_error *error);
void ap_point_free(ap_point *point);

#endif
