/* Search spaces and hyperparameter points. The first byte says which. */
#include "fuzz.h"

#include "tuning/search_space.h"

#include <stdlib.h>

static void read_space(const char *text) {
    ap_points points;
    ap_error error;
    if (ap_search_space_draw(text, "space", 3, &points, &error)) return;
    for (int i = 0; i < points.n; i++) free(ap_point_json(&points.point[i]));
    ap_points_free(&points);
}

static void read_point(const char *text) {
    ap_point point;
    ap_error error;
    if (ap_point_parse(text, "point", &point, &error)) return;
    free(ap_point_json(&point));
    ap_point_free(&point);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    char *text = fuzz_text(data + 1, size - 1);
    if (*data == 's') read_space(text);
    if (*data == 'p') read_point(text);
    free(text);
    return 0;
}
