#include "workload/workload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table */

ap_status ap_workload_find(const char *name, const ap_workload **workload, ap_error *error) {
    const ap_workload *const *table = ap_workload_table();
    const char *names[64];
    size_t n = 0;
    for (; table[n] && n < 63; n++) {
        if (!strcmp(table[n]->name, name)) {
            *workload = table[n];
            return AP_OK;
        }
        names[n] = table[n]->name;
    }
    names[n] = NULL;
    char list[512] = "";
    for (size_t i = 0; i < n; i++) {
        strncat(list, i ? ", " : "", sizeof list - strlen(list) - 1);
        strncat(list, names[i], sizeof list - strlen(list) - 1);
    }
    const char *close = ap_closest(name, names);
    return ap_fail(error, AP_CONFIG, "there is no workload \"%s\"%s%s%s (there are: %s)", name,
                   close ? "; did you mean \"" : "", close ? close : "", close ? "\"?" : "", list);
}

bool ap_target_reached(ap_direction direction, double value, double target) {
    switch (direction) {
    case AP_HIGHER: return value > target;
    case AP_LOWER: return value < target;
    case AP_LOWER_OR_EQUAL: return value <= target;
    }
    return false;
}

/* ---- workload.cfg: option tables of its three kinds of group */

typedef struct head {
    char *loss_type, *direction;
} head;
static const char *const directions[] = {"higher", "lower", "lower_or_equal", NULL}; /* order of ap_direction */
static const ap_option head_options[] = {
    {"loss_type", AP_OPTION_STRING, offsetof(head, loss_type), .help = "loss, as submissions see it"},
    {"direction", AP_OPTION_STRING, offsetof(head, direction), .choices = directions, .help = "which metric is better"},
};

#define MOST_EXAMPLES 1e15
#define EXAMPLES(member, text)                                                                                         \
    { #member, AP_OPTION_INT, offsetof(ap_scale, member), .min = 1, .max = MOST_EXAMPLES, .help = text }
static const ap_option scale_options[] = {
    {"name", AP_OPTION_STRING, offsetof(ap_scale, name), .help = "name of the scale"},
    EXAMPLES(train_examples, "training examples"),
    EXAMPLES(eval_train_examples, "training examples that are evaluated"),
    EXAMPLES(validation_examples, "validation examples"),
    {"test_examples", AP_OPTION_INT, offsetof(ap_scale, test_examples), .max = MOST_EXAMPLES, .fallback = "0",
     .help = "test examples; 0 = no test split"},
    EXAMPLES(batch_size, "the published baseline's global training batch"),
    EXAMPLES(eval_batch_size, "global evaluation batch"),
    {"max_runtime_s", AP_OPTION_FLOAT, offsetof(ap_scale, max_runtime_s), .min = 1e-3, .max = 1e9,
     .help = "external-tuning budget, s"},
    {"eval_period_s", AP_OPTION_FLOAT, offsetof(ap_scale, eval_period_s), .min = 1e-3, .max = 1e9,
     .help = "time between evaluations, s"},
    {"step_hint", AP_OPTION_INT, offsetof(ap_scale, step_hint), .min = 1, .max = 1e9,
     .help = "schedule length of the baseline, steps"},
};

typedef struct target {
    char *data, *variant;
    double validation, test;
    int64_t batch_size;
} target;
static const ap_option target_options[] = {
    {"data", AP_OPTION_STRING, offsetof(target, data), .help = "data set these targets belong to"},
    {"variant", AP_OPTION_STRING, offsetof(target, variant), .fallback = "",
     .help = "held-out variant these targets belong to; empty = the base"},
    {"validation", AP_OPTION_FLOAT, offsetof(target, validation), .help = "validation target"},
    {"test", AP_OPTION_FLOAT, offsetof(target, test), .fallback = "-1e300", .help = "test target"},
    {"batch_size", AP_OPTION_INT, offsetof(target, batch_size), .max = 1e9, .fallback = "0",
     .help = "the published baseline's global training batch, where it is not the scale's; 0 = the scale's"},
};
typedef struct variant_head {
    char *name;
} variant_head;
static const ap_option variant_options[] = {
    {"name", AP_OPTION_STRING, offsetof(variant_head, name), .help = "name of the held-out variant"},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static const char *const head_groups[] = {"scales", "variants", NULL};
static const char *const scale_groups[] = {"model", "targets", NULL};
static const char *const variant_groups[] = {"model", NULL};

static ap_status parse(const ap_workload *workload, ap_config **config, ap_error *error) {
    char name[128];
    snprintf(name, sizeof name, "workloads/%s/workload.cfg", workload->name);
    return ap_config_parse(*workload->config_text, name, config, error);
}

/* The section of scale `name`, or NULL and the error with the names there are. */
static const ap_section *find_scale(const ap_workload *workload, const ap_config *config, const char *name,
                                    ap_scale *scale, ap_error *error) {
    const ap_section *root = ap_config_root(config);
    char list[256] = "";
    for (int i = 0; i < ap_section_count(root, "scales"); i++) {
        const ap_section *section = ap_section_element(root, "scales", i);
        if (ap_section_read(section, scale_options, COUNT(scale_options), scale_groups, scale, error)) return NULL;
        if (!strcmp(scale->name, name)) return section;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "", scale->name);
        ap_options_free(scale_options, COUNT(scale_options), scale);
    }
    ap_fail(error, AP_CONFIG, "workload %s has no scale \"%s\" (there are: %s)", workload->name, name, list);
    return NULL;
}

/* The line for this data set and variant; a variant without one of its own has the base's. found->data and
 * found->variant are freed. */
static ap_status find_target(const ap_problem *problem, const ap_section *scale, const char *dataset, target *found,
                             ap_error *error) {
    char list[256] = "";
    bool any = false, exact = false;
    for (int i = 0; i < ap_section_count(scale, "targets") && !exact; i++) {
        target t;
        AP_TRY(ap_section_read(ap_section_element(scale, "targets", i), target_options, COUNT(target_options), NULL, &t,
                               error));
        if (!*t.variant) snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "", t.data);
        exact = !strcmp(t.data, dataset) && !strcmp(t.variant, problem->variant);
        if (exact || (!strcmp(t.data, dataset) && !*t.variant)) *found = t, any = true;
        ap_options_free(target_options, COUNT(target_options), &t);
    }
    if (any) return AP_OK;
    return ap_fail(error, AP_CONFIG,
                   "workload %s, scale %s has no target for data set \"%s\" (targets are known for: %s); give the data "
                   "set its known name with `algoperf prepare --name`, or choose another scale",
                   problem->workload->name, problem->scale.name, dataset, list);
}

static ap_status check_variant(const ap_workload *workload, const char *variant, const char **known, ap_error *error) {
    *known = "";
    if (!variant || !*variant) return AP_OK;
    for (const char *const *v = workload->variants; v && *v; v++)
        if (!strcmp(*v, variant)) {
            *known = *v;
            return AP_OK;
        }
    return ap_fail(error, AP_CONFIG, "workload %s has no variant \"%s\" (see `algoperf list`)", workload->name,
                   variant);
}

/* The variant's `model` group over what the model's options are. */
static ap_status apply_variant(const ap_workload *workload, const ap_section *root, const char *name, void *model,
                               ap_error *error) {
    for (int i = 0; *name && i < ap_section_count(root, "variants"); i++) {
        const ap_section *section = ap_section_element(root, "variants", i);
        variant_head v;
        AP_TRY(ap_section_read(section, variant_options, COUNT(variant_options), variant_groups, &v, error));
        const bool same = !strcmp(v.name, name);
        ap_options_free(variant_options, COUNT(variant_options), &v);
        if (same)
            return ap_section_overlay(ap_section_group(section, "model"), workload->options, workload->option_count,
                                      model, error);
    }
    if (!*name) return AP_OK;
    return ap_fail(error, AP_BUG, "workloads/%s/workload.cfg does not say what variant \"%s\" changes", workload->name,
                   name);
}

const char *ap_workload_packed_as(const ap_workload *workload) {
    return workload->packed_as ? workload->packed_as : workload->name;
}

ap_status ap_workload_open_data(const ap_workload *workload, const char *path, ap_dataset **dataset, ap_error *error) {
    return ap_dataset_open(path, ap_workload_packed_as(workload), workload->fields, workload->field, dataset, error);
}

ap_status ap_workload_model(const ap_workload *workload, const char *variant, void *model, ap_error *error) {
    const char *known;
    AP_TRY(check_variant(workload, variant, &known, error));
    AP_TRY(ap_options_defaults(workload->options, workload->option_count, model, error));
    ap_config *config = NULL;
    ap_status status = parse(workload, &config, error);
    if (!status) status = apply_variant(workload, ap_config_root(config), known, model, error);
    ap_config_destroy(config);
    return status;
}

static ap_status apply_scale(const ap_workload *workload, const ap_section *section, void *model, ap_error *error) {
    const ap_section *group = ap_section_group(section, "model");
    AP_TRY(ap_options_defaults(workload->options, workload->option_count, model, error));
    return group ? ap_section_overlay(group, workload->options, workload->option_count, model, error) : AP_OK;
}

ap_status ap_workload_scale_model(const ap_workload *workload, const char *name, void *model, ap_error *error) {
    ap_config *config = NULL;
    ap_scale scale = {0};
    AP_TRY(parse(workload, &config, error));
    const ap_section *section = find_scale(workload, config, name, &scale, error);
    const ap_status status = section ? apply_scale(workload, section, model, error) : error ? error->status : AP_CONFIG;
    ap_options_free(scale_options, COUNT(scale_options), &scale);
    ap_config_destroy(config);
    return status;
}

ap_status ap_workload_find_label(const char *label, const ap_workload **workload, const char **variant,
                                 ap_error *error) {
    for (const ap_workload *const *w = ap_workload_table(); *w; w++) {
        const size_t n = strlen((*w)->name);
        for (const char *const *v = (*w)->variants; v && *v && !strncmp(label, (*w)->name, n) && label[n] == '_'; v++)
            if (!strcmp(label + n + 1, *v)) {
                *workload = *w, *variant = *v;
                return AP_OK;
            }
    }
    *variant = "";
    return ap_workload_find(label, workload, error);
}

/* Everything after the file is parsed; ap_problem_open cleans up. */
static ap_status fill(ap_problem *problem, const ap_config *config, const char *scale, const char *variant,
                      const char *dataset, const ap_section *options, ap_error *error) {
    const ap_workload *w = problem->workload;
    AP_TRY(check_variant(w, variant, &problem->variant, error));
    head h = {0};
    AP_TRY(ap_section_read(ap_config_root(config), head_options, COUNT(head_options), head_groups, &h, error));
    problem->loss_type = h.loss_type;
    for (int d = 0; directions[d]; d++)
        if (!strcmp(h.direction, directions[d])) problem->direction = (ap_direction)d;
    free(h.direction);
    const ap_section *section = find_scale(w, config, scale, &problem->scale, error);
    if (!section) return error ? error->status : AP_CONFIG;
    target t = {0};
    AP_TRY(find_target(problem, section, dataset, &t, error));
    problem->validation_target = t.validation;
    problem->has_test = problem->scale.test_examples > 0;
    problem->test_target = problem->has_test && t.test > -1e300 ? t.test : NAN;
    if (t.batch_size) problem->scale.batch_size = t.batch_size;
    problem->model = calloc(1, w->model_size ? w->model_size : 1);
    if (!problem->model) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the options of workload %s", w->name);
    AP_TRY(apply_scale(w, section, problem->model, error));
    AP_TRY(apply_variant(w, ap_config_root(config), problem->variant, problem->model, error));
    if (options) AP_TRY(ap_section_overlay(options, w->options, w->option_count, problem->model, error));
    return AP_OK;
}

ap_status ap_problem_open(const ap_workload *workload, const char *scale, const char *variant, const char *dataset,
                          const ap_section *options, ap_problem **problem, ap_error *error) {
    ap_problem *p = calloc(1, sizeof *p);
    if (!p) return ap_fail(error, AP_ENVIRONMENT, "out of memory for workload %s", workload->name);
    p->workload = workload;
    ap_config *config = NULL;
    ap_status status = parse(workload, &config, error);
    if (!status) status = fill(p, config, scale, variant, dataset, options, error);
    ap_config_destroy(config);
    if (status) {
        ap_problem_close(p);
        return status;
    }
    *problem = p;
    return AP_OK;
}

void ap_problem_close(ap_problem *problem) {
    if (!problem) return;
    if (problem->model) ap_options_free(problem->workload->options, problem->workload->option_count, problem->model);
    free(problem->model);
    free(problem->loss_type);
    ap_options_free(scale_options, COUNT(scale_options), &problem->scale);
    free(problem);
}

/* ---- listing */

ap_status ap_workload_each_target(const ap_workload *workload, ap_target_visitor *visit, void *user, ap_error *error) {
    ap_config *config = NULL;
    AP_TRY(parse(workload, &config, error));
    const ap_section *root = ap_config_root(config);
    ap_status status = AP_OK;
    for (int i = 0; !status && i < ap_section_count(root, "scales"); i++) {
        const ap_section *section = ap_section_element(root, "scales", i);
        ap_scale scale = {0};
        status = ap_section_read(section, scale_options, COUNT(scale_options), scale_groups, &scale, error);
        for (int j = 0; !status && j < ap_section_count(section, "targets"); j++) {
            target t = {0};
            status = ap_section_read(ap_section_element(section, "targets", j), target_options, COUNT(target_options),
                                     NULL, &t, error);
            if (!status && !*t.variant) visit(user, &scale, t.data, t.validation, t.test > -1e300 ? t.test : NAN);
            ap_options_free(target_options, COUNT(target_options), &t);
        }
        ap_options_free(scale_options, COUNT(scale_options), &scale);
    }
    ap_config_destroy(config);
    return status;
}
