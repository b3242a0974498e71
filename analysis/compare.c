#include "analysis/compare.h"

#include "analysis/score.h"
#include "analysis/trials.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const ap_outcome_names[AP_OUTCOMES] = {
    [AP_IDENTICAL] = "identical",        [AP_SAME_SO_FAR] = "same as far as both go",
    [AP_UNEXPLAINED] = "ends elsewhere", [AP_DIFFERENT] = "DIFFERENT",
    [AP_ONLY_IN_A] = "only in A",        [AP_ONLY_IN_B] = "only in B",
};

const char *const ap_outcome_words[AP_OUTCOMES] = {
    [AP_IDENTICAL] = "identical", [AP_SAME_SO_FAR] = "same_so_far", [AP_UNEXPLAINED] = "ends_elsewhere",
    [AP_DIFFERENT] = "different", [AP_ONLY_IN_A] = "only_in_a",     [AP_ONLY_IN_B] = "only_in_b",
};

static bool is_one_of(const char *name, const char *const *list) {
    for (; *list; list++)
        if (!strcmp(name, *list)) return true;
    return false;
}

/* ---- one trial in both trees: where do they part? */

/* A measured time, or a count of what happened to the run and not in it. */
static bool is_measured(const char *column, bool steps_clock) {
    static const char *const names[] = {"evaluations/accumulated_submission_time",
                                        "evaluations/accumulated_eval_time",
                                        "evaluations/accumulated_logging_time",
                                        "evaluations/total_duration",
                                        "evaluations/preemption_count",
                                        "steps/submission_time",
                                        NULL};
    return is_one_of(column, names) || (!steps_clock && !strcmp(column, "evaluations/score"));
}

/* What of a result's head decides the training. Targets and budgets do not: they only decide where it ends. */
static const char *const settings[] = {"workload",  "variant",           "scale",           "data_set",
                                       "loss_type", "global_batch_size", "hyperparameters", NULL};

static void note_difference(ap_pair *pair, int64_t step, const char *quantity, const char *a, const char *b) {
    if (pair->differing++ && pair->first_step <= step) return;
    pair->first_step = step;
    snprintf(pair->quantity, sizeof pair->quantity, "%s", quantity);
    snprintf(pair->value[0], sizeof pair->value[0], "%s", a);
    snprintf(pair->value[1], sizeof pair->value[1], "%s", b);
}

static void compare_settings(ap_pair *pair, const ap_result *a, const ap_result *b) {
    for (const char *const *name = settings; *name; name++) {
        char text[2][AP_SHOWN] = {"(not there)", "(not there)"};
        const ap_fact *x = ap_facts_find(&a->head, *name), *y = ap_facts_find(&b->head, *name);
        pair->values++;
        if (x == y || (x && y && ap_fact_same(x, y))) continue;
        if (x) ap_fact_text(x, text[0], sizeof text[0]);
        if (y) ap_fact_text(y, text[1], sizeof text[1]);
        note_difference(pair, -1, *name, text[0], text[1]);
    }
}

/* A column of one group ("steps/", "evaluations/") in both; rows are matched by global_step, which must increase, as
 * ap_compare_results has checked. */
static void compare_column(ap_pair *pair, const char *group, const ap_result *a, const ap_column *x, const ap_result *b,
                           const ap_column *y) {
    char name[AP_QUANTITY], text[2][AP_SHOWN];
    snprintf(name, sizeof name, "%sglobal_step", group);
    const int64_t *at_a = ap_result_i64(a, name), *at_b = ap_result_i64(b, name);
    for (int64_t i = 0, k = 0; i < x->n && k < y->n;) {
        if (at_a[i] != at_b[k]) {
            at_a[i] < at_b[k] ? i++ : k++;
            continue;
        }
        pair->values++;
        if (!ap_column_same(x, i, y, k)) {
            ap_column_text(x, i, text[0], sizeof text[0]);
            ap_column_text(y, k, text[1], sizeof text[1]);
            note_difference(pair, at_a[i], x->name, text[0], text[1]);
        }
        i++, k++;
    }
}

/* The steps' losses come first: that of step s is older than the evaluation after step s. */
static void compare_group(ap_pair *pair, const char *group, const ap_result *a, const ap_result *b, bool steps_clock) {
    for (size_t c = 0; c < a->columns; c++) {
        const ap_column *x = &a->column[c], *y = ap_result_column(b, x->name);
        if (strncmp(x->name, group, strlen(group)) || is_measured(x->name, steps_clock)) continue;
        if (y)
            compare_column(pair, group, a, x, b, y);
        else
            note_difference(pair, -1, x->name, "a column", "no such column");
    }
    for (size_t c = 0; c < b->columns; c++)
        if (!strncmp(b->column[c].name, group, strlen(group)) && !ap_result_column(a, b->column[c].name))
            note_difference(pair, -1, b->column[c].name, "no such column", "a column");
}

static int64_t count_common(const int64_t *a, int64_t n, const int64_t *b, int64_t m) {
    int64_t common = 0;
    for (int64_t i = 0, k = 0; i < n && k < m;) {
        if (a[i] == b[k])
            common++, i++, k++;
        else
            a[i] < b[k] ? i++ : k++;
    }
    return common;
}

/* ---- outcome */

/* The run went to an end of its own, and the wall clock had a say in where that is. */
static bool ended_by_wall_clock(const ap_result *r) {
    static const char *const ends[] = {"target_reached", "budget_spent", "step_cap", "stopped", NULL};
    return !strcmp(ap_facts_text(&r->head, "clock"), "wall") && is_one_of(ap_facts_text(&r->head, "verdict"), ends);
}

static ap_outcome outcome_of(const ap_pair *pair, const ap_result *a, const ap_result *b) {
    bool all = true;
    if (pair->differing) return AP_DIFFERENT;
    for (int i = 0; i < 2; i++)
        all &= pair->all_steps[i] == pair->steps && pair->all_evaluations[i] == pair->evaluations;
    if (all && !strcmp(pair->verdict[0], pair->verdict[1])) return AP_IDENTICAL;
    bool explained = ended_by_wall_clock(a) && ended_by_wall_clock(b) && pair->steps + pair->evaluations > 0;
    return explained ? AP_SAME_SO_FAR : AP_UNEXPLAINED;
}

/* ---- times */

/* Median of the differences between neighbours of a column of accumulated seconds. */
static double median_interval(const ap_result *r, const char *name) {
    const ap_column *column = ap_result_column(r, name);
    if (!column || column->kind != AP_VALUE_F64 || column->n < 2) return NAN;
    size_t n = (size_t)column->n - 1;
    double *interval = malloc(n * sizeof *interval);
    if (!interval) return NAN;
    for (size_t i = 0; i < n; i++) interval[i] = column->f64[i + 1] - column->f64[i];
    double median = ap_median(interval, n);
    free(interval);
    return median;
}

static double median_ratio(const ap_comparison *c, bool of_steps) {
    size_t n = 0;
    double *ratio = malloc((c->pairs + 1) * sizeof *ratio);
    if (!ratio) return NAN;
    for (size_t i = 0; i < c->pairs; i++) {
        const double *t = of_steps ? c->pair[i].step_s : c->pair[i].evaluation_s;
        if (c->pair[i].outcome < AP_ONLY_IN_A && t[0] > 0 && t[1] > 0) ratio[n++] = t[1] / t[0];
    }
    double median = ap_median(ratio, n);
    free(ratio);
    return median;
}

/* ---- clues: provenance and settings that differ */

/* Facts that say how the run went, or when and under which name; none of them explains anything. */
static bool is_no_clue(const char *key) {
    static const char *const names[] = {
        "verdict",  "reason",     "status", "buckets", "steps",   "resumes",      "steps_dropped",       "time",
        "job_file", "submission", "study",  "trial",   "dropped", "SLURM_JOB_ID", "SLURM_RESTART_COUNT", NULL};
    return is_one_of(key, names) || !strncmp(key, "SLURM_ARRAY_", strlen("SLURM_ARRAY_"));
}

static int weight_of(const char *key) {
    static const char *const place[] = {"host",
                                        "kernel",
                                        "cpus",
                                        "cpus_allowed",
                                        "memory_GiB",
                                        "cpu_governor",
                                        "max_runtime_s",
                                        "eval_period_s",
                                        "validation_target",
                                        "test_target",
                                        "step_hint",
                                        "SLURM_JOB_NODELIST",
                                        NULL};
    static const char *const promised[] = {"ranks",
                                           "threads",
                                           "cpu_model",
                                           "instruction_set",
                                           "compiler",
                                           "compiler_flags",
                                           "build_type",
                                           "c_library",
                                           "openblas",
                                           "openblas_core",
                                           "openblas_threads",
                                           "hdf5",
                                           "mpi",
                                           "mpi_library",
                                           "clock",
                                           NULL};
    static const char *const prefixes[] = {"OMP_", "OMPI_", "OPENBLAS_", "ALGOPERF_", "SLURM_"};
    if (is_one_of(key, place)) return 2;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (!strncmp(key, prefixes[i], strlen(prefixes[i]))) return 1;
    return is_one_of(key, promised) ? 1 : 0;
}

static bool same_text(const char *a, const char *b) {
    return a && b ? !strcmp(a, b) : a == b;
}

/* One clue a key, with the values of the first trial that has it. A stranger's results can have any number of keys. */
static ap_status add_clue(ap_comparison *c, const char *key, const char *a, const char *b, ap_error *error) {
    enum { MOST_CLUES = 1024 };
    for (size_t i = 0; i < c->clues; i++)
        if (!strcmp(c->clue[i].key, key)) {
            c->clue[i].trials++;
            c->clue[i].varies |= !same_text(c->clue[i].a, a) || !same_text(c->clue[i].b, b);
            return AP_OK;
        }
    if (c->clues == MOST_CLUES) return AP_OK;
    ap_clue *grown = ap_room_for_one(c->clue, c->clues, sizeof *grown);
    if (grown) c->clue = grown;
    char *copy = grown ? strdup(key) : NULL;
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a difference in provenance");
    grown[c->clues++] = (ap_clue){
        .key = copy, .a = a ? strdup(a) : NULL, .b = b ? strdup(b) : NULL, .trials = 1, .weight = weight_of(key)};
    return AP_OK;
}

/* Of `a`'s facts those that `b` has otherwise or lacks; `swapped` (a is B): only those that it lacks. */
static ap_status collect_clues(ap_comparison *c, const ap_facts *a, const ap_facts *b, bool swapped, ap_error *error) {
    enum { LONGEST = 1024 };
    char x[LONGEST], y[LONGEST];
    for (size_t i = 0; i < a->n; i++) {
        const ap_fact *fact = &a->fact[i], *other = ap_facts_find(b, fact->name);
        if (is_no_clue(fact->name) || (other && (swapped || ap_fact_same(fact, other)))) continue;
        ap_fact_text(fact, x, sizeof x);
        if (other) ap_fact_text(other, y, sizeof y);
        const char *second = other ? y : NULL;
        AP_TRY(add_clue(c, fact->name, swapped ? second : x, swapped ? x : second, error));
    }
    return AP_OK;
}

static int by_weight(const void *a, const void *b) {
    const ap_clue *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* ---- one trial */

static ap_status check_steps(const ap_result *r, const char *column, ap_error *error) {
    const ap_column *steps = ap_result_column(r, column);
    for (int64_t i = 1; i < steps->n; i++)
        if (steps->i64[i] <= steps->i64[i - 1])
            return ap_fail(error, AP_DATA, "%s[%" PRId64 "] is %" PRId64 " (must increase)", column, i, steps->i64[i]);
    return AP_OK;
}

static int64_t last_step(const ap_result *r) {
    double steps = ap_facts_number(&r->head, "steps");
    return steps >= 0 && steps < 9e15 ? (int64_t)steps : -1;
}

static void describe(ap_pair *pair, int which, const ap_result *r) {
    pair->all_evaluations[which] = r->evaluations;
    pair->all_steps[which] = r->steps;
    pair->last_step[which] = last_step(r);
    snprintf(pair->verdict[which], sizeof pair->verdict[which], "%s", ap_facts_text(&r->head, "verdict"));
    pair->step_s[which] = median_interval(r, "steps/submission_time");
    pair->evaluation_s[which] = median_interval(r, "evaluations/accumulated_eval_time");
}

static ap_status compare_results(ap_comparison *c, ap_pair *pair, const ap_result *a, const ap_result *b,
                                 ap_error *error) {
    describe(pair, 0, a);
    describe(pair, 1, b);
    bool steps_clock =
        !strcmp(ap_facts_text(&a->head, "clock"), "steps") && !strcmp(ap_facts_text(&b->head, "clock"), "steps");
    pair->evaluations = count_common(ap_result_i64(a, "evaluations/global_step"), a->evaluations,
                                     ap_result_i64(b, "evaluations/global_step"), b->evaluations);
    pair->steps =
        count_common(ap_result_i64(a, "steps/global_step"), a->steps, ap_result_i64(b, "steps/global_step"), b->steps);
    compare_settings(pair, a, b);
    compare_group(pair, "steps/", a, b, steps_clock);
    compare_group(pair, "evaluations/", a, b, steps_clock);
    pair->outcome = outcome_of(pair, a, b);
    c->ordered &=
        strcmp(ap_facts_text(&a->provenance, "math"), "blas") && strcmp(ap_facts_text(&b->provenance, "math"), "blas");
    AP_TRY(collect_clues(c, &a->head, &b->head, false, error));
    AP_TRY(collect_clues(c, &b->head, &a->head, true, error));
    AP_TRY(collect_clues(c, &a->provenance, &b->provenance, false, error));
    return collect_clues(c, &b->provenance, &a->provenance, true, error);
}

static ap_status read_result(const ap_tree *tree, const ap_entry *entry, ap_result *result, ap_error *error) {
    hid_t place;
    char where[2048];
    AP_TRY(ap_tree_open_result(tree, entry, &place, error));
    ap_status status = ap_result_read(place, result, error);
    ap_tree_close_result(place);
    if (status == AP_OK) status = check_steps(result, "evaluations/global_step", error);
    if (status == AP_OK) status = check_steps(result, "steps/global_step", error);
    if (status == AP_OK) return AP_OK;
    ap_entry_where(tree, entry, where, sizeof where);
    return ap_context(error, "%s", where);
}

static ap_status compare_pair(ap_comparison *c, ap_pair *pair, const ap_tree *a, const ap_entry *x, const ap_tree *b,
                              const ap_entry *y, ap_error *error) {
    ap_result in_a = {0}, in_b = {0};
    ap_status status = read_result(a, x, &in_a, error);
    if (status == AP_OK) status = read_result(b, y, &in_b, error);
    if (status == AP_OK) status = compare_results(c, pair, &in_a, &in_b, error);
    ap_result_free(&in_a);
    ap_result_free(&in_b);
    return status;
}

/* ---- all trials */

static int by_place(const ap_entry *x, const ap_entry *y) {
    int order = strcmp(x->submission, y->submission);
    if (!order) order = strcmp(x->study, y->study);
    if (!order) order = strcmp(x->workload, y->workload);
    return order ? order : strcmp(x->trial, y->trial);
}

static ap_status add_pair(ap_comparison *c, const ap_tree *tree, const ap_entry *entry, ap_outcome outcome,
                          ap_error *error) {
    enum { LONGEST = 2048 };
    char name[LONGEST];
    ap_pair *grown = ap_room_for_one(c->pair, c->pairs, sizeof *grown);
    if (grown) c->pair = grown;
    ap_entry_name(tree, entry, name, sizeof name);
    char *copy = grown ? strdup(name) : NULL;
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of trials");
    grown[c->pairs++] = (ap_pair){.name = copy, .outcome = outcome};
    return AP_OK;
}

static ap_status check_kinds(const ap_tree *tree, ap_error *error) {
    for (size_t i = 0; i < tree->n; i++)
        if (tree->entry[i].kind == AP_ENTRY_LOG)
            return ap_fail(error, AP_DATA,
                           "%s: official logs hold no digests to compare; compare takes results of algoperf",
                           tree->entry[i].path);
    return AP_OK;
}

/* The next entry with a result. */
static const ap_entry *next_entry(const ap_tree *tree, size_t *at) {
    while (*at < tree->n && tree->entry[*at].kind != AP_ENTRY_RESULT) ++*at;
    return *at < tree->n ? &tree->entry[*at] : NULL;
}

static ap_status merge(ap_comparison *c, const ap_tree *a, const ap_tree *b, ap_error *error) {
    const ap_entry *x, *y;
    for (size_t i = 0, k = 0; x = next_entry(a, &i), y = next_entry(b, &k), x || y;) {
        int order = !x ? 1 : !y ? -1 : by_place(x, y);
        if (order < 0) AP_TRY(add_pair(c, a, x, AP_ONLY_IN_A, error));
        if (order > 0) AP_TRY(add_pair(c, b, y, AP_ONLY_IN_B, error));
        if (order == 0) {
            AP_TRY(add_pair(c, a, x, AP_IDENTICAL, error));
            AP_TRY(compare_pair(c, &c->pair[c->pairs - 1], a, x, b, y, error));
        }
        i += order <= 0;
        k += order >= 0;
    }
    return AP_OK;
}

ap_status ap_compare_trees(const ap_tree *a, const ap_tree *b, ap_comparison *comparison, ap_error *error) {
    *comparison = (ap_comparison){.ordered = true};
    if (a->is_single != b->is_single)
        return ap_fail(error, AP_DATA, "%s is one trial's result, and %s holds a tree of trials: name two of a kind",
                       a->is_single ? a->root : b->root, a->is_single ? b->root : a->root);
    AP_TRY(check_kinds(a, error));
    AP_TRY(check_kinds(b, error));
    ap_status status = merge(comparison, a, b, error);
    if (status != AP_OK) {
        ap_comparison_free(comparison);
        return status;
    }
    for (size_t i = 0; i < comparison->pairs; i++) comparison->count[comparison->pair[i].outcome]++;
    /* Only ordered arithmetic promises that ranks, threads, compilers and instruction sets change nothing. */
    for (size_t i = 0; i < comparison->clues; i++)
        if (!comparison->ordered && comparison->clue[i].weight == 1) comparison->clue[i].weight = 0;
    if (comparison->clues) qsort(comparison->clue, comparison->clues, sizeof *comparison->clue, by_weight);
    comparison->step_ratio = median_ratio(comparison, true);
    comparison->evaluation_ratio = median_ratio(comparison, false);
    return AP_OK;
}

void ap_comparison_free(ap_comparison *comparison) {
    for (size_t i = 0; i < comparison->pairs; i++) free(comparison->pair[i].name);
    for (size_t i = 0; i < comparison->clues; i++) {
        free(comparison->clue[i].key);
        free(comparison->clue[i].a);
        free(comparison->clue[i].b);
    }
    free(comparison->pair);
    free(comparison->clue);
    *comparison = (ap_comparison){0};
}

bool ap_comparison_same(const ap_comparison *comparison, bool strict) {
    const size_t *count = comparison->count;
    return !count[AP_UNEXPLAINED] && !count[AP_DIFFERENT] && !count[AP_ONLY_IN_A] && !count[AP_ONLY_IN_B] &&
           !(strict && count[AP_SAME_SO_FAR]);
}
