/* Every parameter of the full-size models: name, order, shape, type, and the statistics of its initialiser, against one
 * initialisation of the published models (param_shapes.csv). */
#include "check.h"

#include "workload/workload.h"

typedef struct line {
    char workload[64], name[128], shape[64], type[64];
    double mean, std, min, max;
} line;

static bool read_line(FILE *file, line *l) {
    return fscanf(file, "%63[^,],%127[^,],%63[^,],%63[^,],%lf,%lf,%lf,%lf\n", l->workload, l->name, l->shape, l->type,
                  &l->mean, &l->std, &l->min, &l->max) == 8;
}

enum { MOST_INITIALISED = 1 << 26 }; /* larger models: names, shapes and types alone */

/* The model of a workload's label, its parameters initialised if it is not too large; NULL if the program does not have
 * it. */
static ap_params *make(const char *label, bool *initialised) {
    const ap_workload *w;
    const char *variant;
    ap_error error = {0};
    if (ap_workload_find_label(label, &w, &variant, &error)) return NULL;
    void *model = calloc(1, w->model_size);
    ap_params *params = ap_params_create(), *state = ap_params_create();
    CHECK_INT(ap_workload_model(w, variant, model, &error), AP_OK);
    CHECK_INT(w->define(model, params, state, &error), AP_OK);
    *initialised = ap_params_length(params) <= MOST_INITIALISED;
    if (*initialised) {
        CHECK_INT(ap_params_allocate(params, &error), AP_OK);
        ap_params_initialise(params, 17);
    }
    ap_options_free(w->options, w->option_count, model);
    free(model);
    ap_params_destroy(state);
    return params;
}

static void shape_text(const ap_param *p, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%s", p->rank ? "" : "-"); /* a single number */
    for (int i = 0; i < p->rank; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? "x" : "", (long long)p->shape[i]);
}

/* Two samples of one distribution: their means and deviations differ by no more than five standard errors. */
static void check_statistics(const line *l, int64_t n, const float *x) {
    if (n == 1) return; /* one sample tells nothing */
    double mean = 0, square = 0, min = INFINITY, max = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)x[i];
        mean += v / (double)n, min = fmin(min, v), max = fmax(max, v);
    }
    for (int64_t i = 0; i < n; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double std = n > 1 ? sqrt(square / (double)(n - 1)) : 0, error = l->std * sqrt(2 / (double)n);
    CHECK_NEAR(mean, l->mean, 5 * error + 1e-4 * fabs(l->mean));
    CHECK_NEAR(std, l->std, 5 * error + 1e-3 * l->std + 1e-12);
    /* The ends of a uniform or truncated distribution are those of the samples; a normal one (beyond 2.5 deviations)
     * has none. */
    if (n < 1000 || l->max > 2.5 * l->std + l->mean) return;
    CHECK_NEAR(max, l->max, 0.1 * fabs(l->max));
    CHECK_NEAR(min, l->min, 0.1 * fmax(fabs(l->min), fabs(l->max)));
}

static void test_published_shapes(void) {
    FILE *file = fopen(AP_TEST_FIXTURES "/param_shapes.csv", "r");
    CHECK(file != NULL);
    if (!file) return;
    CHECK(fscanf(file, "%*[^\n]\n") == 0);
    line l;
    char current[64] = "";
    ap_params *params = NULL;
    int index = 0, models = 0;
    bool initialised = false;
    while (read_line(file, &l)) {
        if (strcmp(l.workload, current) != 0) {
            CHECK(!params || index == ap_params_count(params));
            ap_params_destroy(params);
            params = make(l.workload, &initialised);
            CHECK(params != NULL);
            snprintf(current, sizeof current, "%s", l.workload);
            index = 0, models++;
        }
        if (!params || index >= ap_params_count(params)) continue;
        const ap_param *p = ap_params_get(params, index++);
        char shape[64];
        shape_text(p, shape, sizeof shape);
        const int before = ap_check_failures;
        CHECK(strcmp(p->name, l.name) == 0);
        CHECK(strcmp(shape, l.shape) == 0);
        CHECK(strcmp(ap_param_type_name(p->type), l.type) == 0);
        if (initialised) check_statistics(&l, p->size, ap_params_value(params, index - 1));
        if (ap_check_failures > before)
            printf("%s %s %s %s: here %s %s\n", l.workload, l.name, l.shape, l.type, p->name, shape);
    }
    CHECK(params && index == ap_params_count(params));
    ap_params_destroy(params);
    CHECK(feof(file));
    CHECK(models > 0);
    fclose(file);
}

AP_TEST_MAIN(test_published_shapes)
