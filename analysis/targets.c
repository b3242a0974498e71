#include "analysis/targets.h"

#include "analysis/csv.h"
#include "analysis/trials.h"
#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const char ap_targets_v05_csv[], ap_targets_v06_csv[]; /* workload_targets_*.csv of this folder */

static const struct {
    const char *name, *text;
} published[] = {{"v05", ap_targets_v05_csv}, {"v06", ap_targets_v06_csv}};

const char *const ap_ruleset_names[] = {"external_tuning", "self_tuning", NULL};

void ap_targets_free(ap_targets *targets) {
    for (size_t i = 0; i < targets->n; i++) {
        free(targets->target[i].workload);
        free(targets->target[i].metric);
        free(targets->target[i].identity);
    }
    free(targets->target);
    free(targets->name);
    *targets = (ap_targets){0};
}

size_t ap_targets_find(const ap_targets *targets, const char *workload) {
    size_t i = 0;
    while (i < targets->n && strcmp(targets->target[i].workload, workload)) i++;
    return i;
}

ap_status ap_targets_add(ap_targets *targets, const char *workload, const char *metric, bool maximise,
                         double validation_target, ap_error *error) {
    ap_target *grown = ap_room_for_one(targets->target, targets->n, sizeof *grown);
    if (!grown) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of workloads");
    targets->target = grown;
    ap_target *target = &grown[targets->n];
    *target = (ap_target){.workload = strdup(workload),
                          .metric = strdup(metric),
                          .role = AP_ROLE_BASE,
                          .base = targets->n,
                          .maximise = maximise,
                          .validation_target = validation_target,
                          .budget_s = {NAN, NAN},
                          .step_hint = NAN};
    targets->n++; /* before the check: ap_targets_free then frees what there is */
    if (!target->workload || !target->metric)
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of workloads");
    return AP_OK;
}

bool ap_target_is_reached(const ap_target *target, double value) {
    return target->maximise ? value >= target->validation_target : value <= target->validation_target;
}

/* ---- tables */

typedef struct columns {
    size_t workload, role, base, metric, direction, target;
    int budget[AP_RULESETS], step_hint; /* -1: the table has no such column */
} columns;

static ap_status find_columns(const ap_csv *csv, columns *c, ap_error *error) {
    AP_TRY(ap_csv_need(csv, "workload", &c->workload, error));
    AP_TRY(ap_csv_need(csv, "role", &c->role, error));
    AP_TRY(ap_csv_need(csv, "base_workload", &c->base, error));
    AP_TRY(ap_csv_need(csv, "metric", &c->metric, error));
    AP_TRY(ap_csv_need(csv, "direction", &c->direction, error));
    c->budget[AP_EXTERNAL_TUNING] = ap_csv_find(csv, "max_runtime_external_s");
    c->budget[AP_SELF_TUNING] = ap_csv_find(csv, "max_runtime_self_tuning_s");
    c->step_hint = ap_csv_find(csv, "scorer_step_hint");
    return ap_csv_need(csv, "validation_target", &c->target, error);
}

/* A cell that a table need not have: NaN if it does not. */
static ap_status optional_number(const ap_csv *csv, int column, double *value, ap_error *error) {
    *value = NAN;
    if (column < 0) return AP_OK;
    AP_TRY(ap_csv_number(csv, (size_t)column, value, error));
    if (*value > 0 || isnan(*value)) return AP_OK;
    return ap_fail(error, AP_DATA, "%s:%zu: %s is \"%s\" (must be positive, or empty if it is not known)", csv->name,
                   csv->line, csv->header[column], csv->cell[column]);
}

static ap_status parse_role(const ap_csv *csv, const char *text, ap_role *role, ap_error *error) {
    static const char *const names[] = {"base", "held_out", "variant", "listed_without_results"};
    static const ap_role roles[] = {AP_ROLE_BASE, AP_ROLE_HELD_OUT, AP_ROLE_OTHER, AP_ROLE_LISTED};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(text, names[i])) {
            *role = roles[i];
            return AP_OK;
        }
    return ap_fail(error, AP_DATA, "%s:%zu: role is \"%s\" (must be base, held_out, variant or listed_without_results)",
                   csv->name, csv->line, text);
}

static ap_status add_row(ap_targets *targets, const ap_csv *csv, const columns *c, ap_error *error) {
    const char *workload = csv->cell[c->workload], *metric = csv->cell[c->metric], *way = csv->cell[c->direction];
    enum { LONGEST = 200 };
    ap_role role = AP_ROLE_OTHER;
    double value;
    AP_TRY(parse_role(csv, csv->cell[c->role], &role, error));
    AP_TRY(ap_csv_number(csv, c->target, &value, error));
    if (!*workload || !*metric || strlen(workload) > LONGEST || strlen(metric) > LONGEST)
        return ap_fail(error, AP_DATA, "%s:%zu: workload is \"%.40s\", metric \"%.40s\" (must have 1 to %d bytes)",
                       csv->name, csv->line, workload, metric, LONGEST);
    if (ap_targets_find(targets, workload) < targets->n)
        return ap_fail(error, AP_DATA, "%s:%zu: workload \"%s\" is there twice", csv->name, csv->line, workload);
    if (strcmp(way, "min") && strcmp(way, "max"))
        return ap_fail(error, AP_DATA, "%s:%zu: direction is \"%s\" (must be min or max)", csv->name, csv->line, way);
    if (!isfinite(value))
        return ap_fail(error, AP_DATA, "%s:%zu: validation_target is \"%s\" (must be finite)", csv->name, csv->line,
                       csv->cell[c->target]);
    AP_TRY(ap_targets_add(targets, workload, metric, !strcmp(way, "max"), value, error));
    ap_target *target = &targets->target[targets->n - 1];
    target->role = role;
    for (int r = 0; r < AP_RULESETS; r++) AP_TRY(optional_number(csv, c->budget[r], &target->budget_s[r], error));
    return optional_number(csv, c->step_hint, &target->step_hint, error);
}

/* Second pass, since a held-out workload may stand before its base workload: needs the cells again, so the names are
 * kept in `bases` ([targets->n]). */
static ap_status link_bases(ap_targets *targets, char **bases, const char *name, ap_error *error) {
    size_t count = 0;
    for (size_t i = 0; i < targets->n; i++) {
        ap_target *target = &targets->target[i];
        if (target->role == AP_ROLE_BASE) count++;
        if (target->role != AP_ROLE_HELD_OUT) continue;
        target->base = ap_targets_find(targets, bases[i]);
        if (target->base == targets->n || targets->target[target->base].role != AP_ROLE_BASE)
            return ap_fail(error, AP_DATA, "%s: base_workload of %s is \"%s\", which is no base workload of this table",
                           name, target->workload, bases[i]);
    }
    if (!count) return ap_fail(error, AP_DATA, "%s: no workload has the role base, so there is nothing to score", name);
    return AP_OK;
}

static ap_status read_rows(ap_csv *csv, ap_targets *targets, char ***bases, ap_error *error) {
    columns c;
    AP_TRY(find_columns(csv, &c, error));
    for (;;) {
        bool more;
        AP_TRY(ap_csv_next(csv, &more, error));
        if (!more) return AP_OK;
        AP_TRY(add_row(targets, csv, &c, error));
        char **grown = ap_room_for_one(*bases, targets->n - 1, sizeof *grown);
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the table of targets");
        *bases = grown;
        grown[targets->n - 1] = csv->cell[c.base]; /* lives in csv->text */
    }
}

ap_status ap_targets_parse(char *text, const char *name, ap_targets *targets, ap_error *error) {
    *targets = (ap_targets){0};
    ap_csv csv;
    AP_TRY(ap_csv_open(text, name, &csv, error));
    char **bases = NULL;
    ap_status status = read_rows(&csv, targets, &bases, error);
    if (status == AP_OK) status = link_bases(targets, bases, name, error);
    free(bases);
    ap_csv_close(&csv);
    if (status == AP_OK && !(targets->name = strdup(name)))
        status = ap_fail(error, AP_ENVIRONMENT, "out of memory for the table of targets");
    if (status != AP_OK) ap_targets_free(targets);
    return status;
}

ap_status ap_targets_load(const char *name, ap_targets *targets, ap_error *error) {
    enum { LIMIT = 1 << 20 }; /* the published tables have 5 kB */
    *targets = (ap_targets){0};
    char *text = NULL;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (!strcmp(name, published[i].name)) {
            if (!(text = strdup(published[i].text)))
                return ap_fail(error, AP_ENVIRONMENT, "out of memory for the table of targets");
            return ap_targets_parse(text, name, targets, error);
        }
    if (!ap_file_exists(name))
        return ap_fail(error, AP_USAGE, "--targets %s: neither a published table (v05, v06) nor a file", name);
    size_t n;
    AP_TRY(ap_read_file(name, LIMIT, &text, &n, error));
    if (strlen(text) != n) {
        free(text);
        return ap_fail(error, AP_DATA, "%s: contains a NUL byte, so it is no text", name);
    }
    return ap_targets_parse(text, name, targets, error);
}
