/* What `algoperf-score compare` prints: text for people, JSON for programs. */
#include "analysis/compare.h"

#include "analysis/text_table.h"
#include "base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- text: the trials */

static void add_lengths(ap_text_table *table, const int64_t all[2], int64_t common) {
    if (all[0] == all[1] && all[0] == common)
        ap_text_table_add(table, "%" PRId64, common);
    else
        ap_text_table_add(table, "%" PRId64 " (A %" PRId64 ", B %" PRId64 ")", common, all[0], all[1]);
}

static void add_ratio(ap_text_table *table, const double time[2]) {
    if (time[0] > 0 && time[1] > 0)
        ap_text_table_add(table, "%.3f", time[1] / time[0]);
    else
        ap_text_table_add(table, "-");
}

static void add_pair(const ap_pair *pair, bool times, ap_text_table *table) {
    char verdicts[2 * sizeof pair->verdict[0] + 4];
    bool both = pair->outcome < AP_ONLY_IN_A, same = !strcmp(pair->verdict[0], pair->verdict[1]);
    ap_text_table_add(table, "%s", pair->name);
    ap_text_table_add(table, "%s", ap_outcome_names[pair->outcome]);
    snprintf(verdicts, sizeof verdicts, "%s%s%s", pair->verdict[0], same ? "" : " | ", same ? "" : pair->verdict[1]);
    ap_clean_text(verdicts);
    ap_text_table_add(table, "%s", both ? verdicts : "-");
    if (both) {
        add_lengths(table, pair->all_evaluations, pair->evaluations);
        add_lengths(table, pair->all_steps, pair->steps);
    } else {
        ap_text_table_add(table, "-");
        ap_text_table_add(table, "-");
    }
    if (times) add_ratio(table, pair->step_s);
    if (times) add_ratio(table, pair->evaluation_s);
}

static ap_status print_trials(const ap_comparison *c, bool times, FILE *out, ap_error *error) {
    static const char *const header[] = {"trial", "bits", "verdict", "evaluations", "steps", "step time", "evaluation"};
    ap_text_table table = {.align = times ? "lllrrrr" : "lllrr"};
    for (int i = 0; i < (times ? 7 : 5); i++) ap_text_table_add(&table, "%s", header[i]);
    for (size_t i = 0; i < c->pairs; i++) add_pair(&c->pair[i], times, &table);
    fprintf(out, "Trials (evaluations and steps that both have%s)\n", times ? "; times as B / A, of medians" : "");
    return ap_text_table_print(&table, out, error);
}

/* ---- text: where they part */

static void print_difference(const ap_pair *pair, FILE *out) {
    char place[64] = "before the first step";
    bool after = !strncmp(pair->quantity, "evaluations/", strlen("evaluations/"));
    if (pair->first_step >= 0)
        snprintf(place, sizeof place, after ? "in the evaluation after step %" PRId64 : "at step %" PRId64,
                 pair->first_step);
    fprintf(out, "  %s: first %s: %s\n    A  %s\n    B  %s\n    %" PRId64 " of %" PRId64 " compared values differ\n",
            pair->name, place, pair->quantity, pair->value[0], pair->value[1], pair->differing, pair->values);
}

static void print_elsewhere(const ap_pair *pair, FILE *out) {
    if (!pair->steps && !pair->evaluations)
        fprintf(out, "  %s: no step or evaluation in common\n", pair->name);
    else
        fprintf(out,
                "  %s: the same as far as both go, but A ended as %s after step %" PRId64
                " and B as %s after step %" PRId64 ", which no wall clock explains\n",
                pair->name, pair->verdict[0], pair->last_step[0], pair->verdict[1], pair->last_step[1]);
}

static void print_differences(const ap_comparison *c, FILE *out) {
    if (!c->count[AP_DIFFERENT] && !c->count[AP_UNEXPLAINED]) return;
    fprintf(out, "\nWhere they part\n");
    for (size_t i = 0; i < c->pairs; i++) {
        if (c->pair[i].outcome == AP_DIFFERENT) print_difference(&c->pair[i], out);
        if (c->pair[i].outcome == AP_UNEXPLAINED) print_elsewhere(&c->pair[i], out);
    }
}

/* ---- text: clues */

/* Of two long texts what stands around the first difference. */
static void add_window(ap_text_table *table, const char *text, const char *other) {
    enum { SHOWN = 56, BEFORE = 12 };
    size_t from = 0;
    if (!text) {
        ap_text_table_add(table, "(not there)");
        return;
    }
    if (other && strlen(text) > SHOWN) {
        while (text[from] && text[from] == other[from]) from++;
        from = from > BEFORE ? from - BEFORE : 0;
        if (from + SHOWN > strlen(text)) from = strlen(text) - SHOWN;
    }
    bool cut = strlen(text + from) > SHOWN;
    char shown[SHOWN + 8];
    snprintf(shown, sizeof shown, "%s%.*s%s", from ? "..." : "", SHOWN, text + from, cut ? "..." : "");
    ap_clean_text(shown);
    ap_text_table_add(table, "%s", shown);
}

static ap_status print_clues(const ap_comparison *c, FILE *out, ap_error *error) {
    static const char *const kinds[] = {"yes", "should not", "no"};
    ap_text_table table = {.align = "llrll"};
    if (!c->clues) {
        fprintf(out, "\nSettings and provenance are the same.\n");
        return AP_OK;
    }
    ap_text_table_add(&table, "what");
    ap_text_table_add(&table, "changes bits?");
    ap_text_table_add(&table, "trials");
    ap_text_table_add(&table, "A");
    ap_text_table_add(&table, "B");
    for (size_t i = 0; i < c->clues; i++) {
        const ap_clue *clue = &c->clue[i];
        ap_text_table_add(&table, "%s", clue->key);
        ap_text_table_add(&table, "%s", kinds[clue->weight]);
        ap_text_table_add(&table, "%zu%s", clue->trials, clue->varies ? "*" : "");
        add_window(&table, clue->a, clue->b);
        add_window(&table, clue->b, clue->a);
    }
    bool parted = c->count[AP_DIFFERENT] > 0;
    fprintf(out, "\nDifferences in settings and provenance%s (*: other values in other trials)\n",
            parted ? " that may explain it" : ", none of which changed a bit");
    return ap_text_table_print(&table, out, error);
}

/* ---- text: the whole */

static void print_counts(const ap_comparison *c, FILE *out) {
    const char *comma = "";
    for (int i = 0; i < AP_OUTCOMES; i++) {
        if (!c->count[i]) continue;
        fprintf(out, "%s%zu %s", comma, c->count[i], ap_outcome_names[i]);
        comma = ", ";
    }
    fprintf(out, "\n");
}

ap_status ap_comparison_print(const ap_comparison *comparison, const ap_tree *a, const ap_tree *b, bool times,
                              bool strict, FILE *out, ap_error *error) {
    const ap_comparison *c = comparison;
    char root[2][AP_SHOWN];
    snprintf(root[0], AP_SHOWN, "%s", a->root);
    snprintf(root[1], AP_SHOWN, "%s", b->root);
    for (int i = 0; i < 2; i++) ap_clean_text(root[i]);
    fprintf(out, "A  %s: %zu trial%s\nB  %s: %zu trial%s\n\n", root[0], a->trials, a->trials == 1 ? "" : "s", root[1],
            b->trials, b->trials == 1 ? "" : "s");
    AP_TRY(print_trials(c, times, out, error));
    print_differences(c, out);
    AP_TRY(print_clues(c, out, error));
    if (times && isfinite(c->step_ratio))
        fprintf(out, "\nTime, median over trials: a step of B takes %.3f of a step of A", c->step_ratio);
    if (times && isfinite(c->step_ratio) && isfinite(c->evaluation_ratio))
        fprintf(out, ", an evaluation %.3f", c->evaluation_ratio);
    if (times && isfinite(c->step_ratio)) fprintf(out, "\n");
    fprintf(out, "\n%s: ", ap_comparison_same(c, strict) ? "SAME" : "DIFFERENT");
    print_counts(c, out);
    return AP_OK;
}

/* ---- JSON */

static json_t *text_json(const char *text) {
    char copy[2048];
    if (!text) return json_null();
    snprintf(copy, sizeof copy, "%s", text);
    ap_clean_text(copy);
    return json_string(copy);
}

static json_t *real_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *pair_json(const ap_pair *p, bool times) {
    json_t *o = json_pack("{s:o, s:s}", "trial", text_json(p->name), "outcome", ap_outcome_words[p->outcome]);
    if (!o || p->outcome >= AP_ONLY_IN_A) return o;
    json_t *more =
        json_pack("{s:[o,o], s:I, s:[I,I], s:I, s:[I,I], s:[I,I], s:I, s:I}", "verdict", text_json(p->verdict[0]),
                  text_json(p->verdict[1]), "evaluations_compared", (json_int_t)p->evaluations, "evaluations",
                  (json_int_t)p->all_evaluations[0], (json_int_t)p->all_evaluations[1], "steps_compared",
                  (json_int_t)p->steps, "steps", (json_int_t)p->all_steps[0], (json_int_t)p->all_steps[1], "last_step",
                  (json_int_t)p->last_step[0], (json_int_t)p->last_step[1], "values_compared", (json_int_t)p->values,
                  "values_differing", (json_int_t)p->differing);
    if (more && p->outcome == AP_DIFFERENT)
        json_object_set_new(more, "first_difference",
                            json_pack("{s:I, s:o, s:[o,o]}", "global_step", (json_int_t)p->first_step, "quantity",
                                      text_json(p->quantity), "value", text_json(p->value[0]), text_json(p->value[1])));
    if (more && times) {
        json_object_set_new(more, "step_time_s", json_pack("[o,o]", real_json(p->step_s[0]), real_json(p->step_s[1])));
        json_object_set_new(more, "evaluation_time_s",
                            json_pack("[o,o]", real_json(p->evaluation_s[0]), real_json(p->evaluation_s[1])));
    }
    if (more) json_object_update_new(o, more);
    return more ? o : (json_decref(o), NULL);
}

static json_t *clue_json(const ap_clue *clue) {
    static const char *const kinds[] = {"yes", "should_not", "no"};
    return json_pack("{s:o, s:s, s:I, s:b, s:[o,o]}", "key", text_json(clue->key), "changes_bits", kinds[clue->weight],
                     "trials", (json_int_t)clue->trials, "varies", clue->varies, "value", text_json(clue->a),
                     text_json(clue->b));
}

static json_t *comparison_json(const ap_comparison *c, const ap_tree *a, const ap_tree *b, bool times, bool strict) {
    json_t *pairs = json_array(), *clues = json_array(), *counts = json_object();
    for (size_t i = 0; i < c->pairs; i++) json_array_append_new(pairs, pair_json(&c->pair[i], times));
    for (size_t i = 0; i < c->clues; i++) json_array_append_new(clues, clue_json(&c->clue[i]));
    for (int i = 0; i < AP_OUTCOMES; i++)
        json_object_set_new(counts, ap_outcome_words[i], json_integer((json_int_t)c->count[i]));
    json_t *o =
        json_pack("{s:o, s:o, s:b, s:o, s:o, s:o}", "a", text_json(a->root), "b", text_json(b->root), "same",
                  ap_comparison_same(c, strict), "counts", counts, "trials", pairs, "differences_in_provenance", clues);
    if (o && times) {
        json_object_set_new(o, "step_time_ratio", real_json(c->step_ratio));
        json_object_set_new(o, "evaluation_time_ratio", real_json(c->evaluation_ratio));
    }
    return o;
}

ap_status ap_comparison_json(const ap_comparison *comparison, const ap_tree *a, const ap_tree *b, bool times,
                             bool strict, FILE *out, ap_error *error) {
    json_t *object = comparison_json(comparison, a, b, times, strict);
    char *text = object ? json_dumps(object, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(object);
    if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the comparison as JSON");
    fprintf(out, "%s\n", text);
    free(text);
    return AP_OK;
}
