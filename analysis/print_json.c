#include "analysis/print.h"

#include "analysis/summary.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Memory: every json_* call takes NULL and passes it on, so one check at the end finds any failure. */

json_t *ap_json_number(double value) {
    if (isnan(value)) return json_null();
    if (isinf(value)) return json_string(value > 0 ? "inf" : "-inf");
    return json_real(value);
}
static json_t *count(size_t n) {
    return json_integer((json_int_t)n);
}
/* Folder names need not be UTF-8; JSON must: what is not becomes "?". */
json_t *ap_json_text(const char *s) {
    json_t *value = json_string(s);
    if (value || !s) return s ? value : json_null();
    json_t *replaced = NULL;
    char *copy = strdup(s);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p > 126) *p = '?';
    if (copy) replaced = json_string(copy);
    free(copy);
    return replaced;
}
static void put(json_t *object, const char *key, json_t *value) {
    json_object_set_new(object, key, value);
}
static json_t *names(const ap_names *list) {
    json_t *array = json_array();
    for (size_t i = 0; i < list->n; i++) json_array_append_new(array, ap_json_text(list->name[i]));
    return array;
}

static json_t *submission_of(const ap_leaderboard *b, size_t s) {
    return ap_json_text(b->trials.submissions.name[s]);
}
static json_t *workload_of(const ap_leaderboard *b, size_t w) {
    return ap_json_text(b->targets.target[w].workload);
}

/* ---- what was read */

static const char *role_name(ap_role role) {
    static const char *const words[] = {[AP_ROLE_BASE] = "base",
                                        [AP_ROLE_HELD_OUT] = "held_out",
                                        [AP_ROLE_LISTED] = "listed",
                                        [AP_ROLE_OTHER] = "ignored"};
    return words[role];
}

static json_t *workloads(const ap_leaderboard *b) {
    json_t *array = json_array();
    for (size_t w = 0; w < b->targets.n; w++) {
        const ap_target *t = &b->targets.target[w];
        json_t *o = json_object();
        put(o, "workload", ap_json_text(t->workload));
        put(o, "role", ap_json_text(role_name(t->role)));
        put(o, "base_workload", workload_of(b, t->base));
        put(o, "metric", ap_json_text(t->metric));
        put(o, "direction", ap_json_text(t->maximise ? "max" : "min"));
        put(o, "validation_target", ap_json_number(t->validation_target));
        put(o, "budget_s", ap_json_number(t->budget_s[b->rules.ruleset]));
        put(o, "step_hint", ap_json_number(t->step_hint));
        put(o, "results_of", ap_json_text(t->identity));
        json_array_append_new(array, o);
    }
    return array;
}

static json_t *facts(const ap_leaderboard *b) {
    json_t *array = json_array();
    for (size_t i = 0; i < b->trials.facts; i++) {
        json_t *o = json_object();
        put(o, "fact", ap_json_text(b->trials.fact[i].name));
        put(o, "values", names(&b->trials.fact[i].value));
        json_array_append_new(array, o);
    }
    return array;
}

static json_t *trials(const ap_leaderboard *b) {
    json_t *array = json_array();
    for (size_t i = 0; i < b->trials.n; i++) {
        const ap_trial *trial = &b->trials.trial[i];
        const ap_target *target = &b->targets.target[trial->workload];
        ap_trial_summary s = ap_trial_summarise(trial, target);
        ap_hit hit = b->hits[i];
        json_t *o = json_object();
        put(o, "submission", submission_of(b, trial->submission));
        put(o, "study", ap_json_text(trial->study));
        put(o, "workload", ap_json_text(target->workload));
        put(o, "workload_folder", ap_json_text(trial->folder));
        put(o, "trial", ap_json_text(trial->name));
        put(o, "evaluations", count(trial->rows));
        put(o, "running", json_boolean(trial->running));
        put(o, "target_reached", json_boolean(s.reached));
        put(o, "best_validation_value", ap_json_number(s.best));
        put(o, "time_to_best_s", ap_json_number(s.best_time_s));
        put(o, "time_to_target_s", ap_json_number(s.target_time_s));
        put(o, "hit_index", json_integer(hit.index));
        put(o, "hit_step", json_integer(hit.index < 0 ? -1 : trial->row[hit.index].step));
        put(o, "hit_time_s", ap_json_number(hit.index < 0 ? INFINITY : trial->row[hit.index].score_s));
        put(o, "step_time_s", ap_json_number(b->step_s[trial->submission * b->targets.n + trial->workload]));
        json_array_append_new(array, o);
    }
    return array;
}

/* ---- studies and medians */

static json_t *studies(const ap_leaderboard *b) {
    json_t *array = json_array();
    for (size_t i = 0; i < b->study_count; i++) {
        const ap_study *s = &b->studies[i];
        const ap_trial *best = s->best < b->trials.n ? &b->trials.trial[s->best] : NULL;
        json_t *o = json_object();
        put(o, "submission", submission_of(b, s->submission));
        put(o, "workload", workload_of(b, s->workload));
        put(o, "study", ap_json_text(b->trials.trial[s->first].study));
        put(o, "trials", count(s->trials));
        put(o, "trials_hit", count(s->trials_hit));
        put(o, "trials_running", count(s->trials_running));
        put(o, "best_trial", best ? ap_json_text(best->name) : json_null());
        put(o, "best_index", json_integer(s->hit.index));
        put(o, "best_step", json_integer(best ? best->row[s->hit.index].step : -1));
        put(o, "to_target", ap_json_number(s->hit.time));
        put(o, "tied_trials", count(s->tied));
        put(o, "tied_min", ap_json_number(s->tied_min));
        put(o, "tied_max", ap_json_number(s->tied_max));
        put(o, "fastest_trial", ap_json_number(s->fastest));
        json_array_append_new(array, o);
    }
    return array;
}

static json_t *credit(const ap_leaderboard *b, size_t s, size_t c) {
    const ap_scores *scores = b->scores;
    char reasons[AP_REASONS];
    json_t *o = json_object();
    put(o, "submission", submission_of(b, s));
    put(o, "workload", workload_of(b, scores->workload[c]));
    put(o, "to_target", ap_json_number(scores->time[s * scores->columns + c]));
    put(o, "own_loss", ap_json_text(ap_loss_text(ap_scores_loss(scores, s, c))));
    if (c >= scores->bases) return o;
    ap_reasons(b, s, c, reasons);
    put(o, "after_rules", ap_json_number(scores->final[s * scores->columns + c]));
    put(o, "ratio", ap_json_number(scores->ratio[s * scores->bases + c]));
    put(o, "credit", json_boolean(ap_scores_credit(scores, s, c)));
    put(o, "no_credit_because", ap_json_text(reasons));
    return o;
}

static json_t *credits(const ap_leaderboard *b) {
    json_t *array = json_array();
    for (size_t s = 0; s < b->scores->submissions; s++)
        for (size_t c = 0; c < b->scores->columns; c++) json_array_append_new(array, credit(b, s, c));
    return array;
}

/* ---- scores */

static json_t *score(const ap_printed *p, size_t s) {
    const ap_scores *scores = p->board->scores;
    json_t *o = json_object(), *rho = json_array();
    put(o, "submission", submission_of(p->board, s));
    put(o, "score", ap_json_number(scores->score[s]));
    put(o, "score_exact_integral", ap_json_number(scores->exact[s]));
    if (p->confidence) {
        put(o, "score_low", ap_json_number(p->confidence->low[s]));
        put(o, "score_high", ap_json_number(p->confidence->high[s]));
        put(o, "score_standard_error", ap_json_number(p->confidence->error[s]));
        put(o, "rank_low", ap_json_number(p->confidence->rank_low[s]));
        put(o, "rank_high", ap_json_number(p->confidence->rank_high[s]));
    }
    if (p->board->rules.metric == AP_METRIC_STEPS)
        put(o, "counts_other_steps", json_boolean(ap_counts_other_steps(p->board, s)));
    for (int k = 0; k < AP_TAUS; k++)
        json_array_append_new(rho, ap_json_number(scores->profile[s * AP_TAUS + (size_t)k]));
    put(o, "profile", rho);
    return o;
}

static json_t *confidence(const ap_printed *p) {
    const ap_confidence *c = p->confidence;
    json_t *o = json_object(), *beats = json_array();
    for (size_t a = 0; a < c->submissions; a++)
        for (size_t b = 0; b < c->submissions; b++) {
            if (a == b) continue;
            json_t *pair = json_object();
            put(pair, "submission", submission_of(p->board, a));
            put(pair, "other", submission_of(p->board, b));
            put(pair, "probability", ap_json_number(c->beats[a * c->submissions + b]));
            json_array_append_new(beats, pair);
        }
    put(o, "level", ap_json_number(c->options.level));
    put(o, "resampled", ap_json_text(c->options.studies_only ? "studies" : "studies and trials"));
    put(o, "resamples", count(c->options.resamples));
    put(o, "seed", json_integer((json_int_t)c->options.seed));
    put(o, "beats", beats);
    return o;
}

static json_t *speedups(const ap_printed *p) {
    const ap_leaderboard *b = p->board;
    json_t *o = json_object(), *array = json_array();
    for (size_t s = 0; s < b->scores->submissions; s++) {
        json_t *one = json_object(), *terms = json_array();
        for (size_t w = 0; w < b->scores->bases; w++) {
            const ap_speedup_term *t = &p->speedups->term[s * b->scores->bases + w];
            json_t *term = json_object();
            put(term, "workload", workload_of(b, b->scores->workload[w]));
            put(term, "time_s", ap_json_number(t->time_used));
            put(term, "reference_time_s", ap_json_number(t->reference_time_used));
            put(term, "ratio", ap_json_number(t->ratio));
            json_array_append_new(terms, term);
        }
        put(one, "submission", submission_of(b, s));
        put(one, "time_ratio", ap_json_number(p->speedups->ratio[s]));
        put(one, "speedup", ap_json_number(1 / p->speedups->ratio[s]));
        put(one, "percent_faster", ap_json_number((1 - p->speedups->ratio[s]) * 100));
        put(one, "terms", terms);
        json_array_append_new(array, one);
    }
    put(o, "reference", submission_of(b, p->speedups->reference));
    put(o, "submissions", array);
    return o;
}

static json_t *everything(const ap_printed *p) {
    const ap_leaderboard *b = p->board;
    json_t *o = json_object(), *taus = json_array(), *scores = json_array();
    for (int k = 0; k < AP_TAUS; k++) json_array_append_new(taus, ap_json_number(ap_tau(k)));
    for (size_t i = 0; i < b->scores->submissions; i++) json_array_append_new(scores, score(p, b->scores->rank[i]));
    put(o, "format", ap_json_text("algoperf-score 1"));
    put(o, "metric", ap_json_text(ap_metric_names[b->rules.metric]));
    put(o, "ruleset", ap_json_text(ap_ruleset_names[b->rules.ruleset]));
    put(o, "targets", ap_json_text(b->targets.name));
    put(o, "base_workloads", count(b->scores->bases));
    put(o, "scores", scores);
    put(o, "tau", taus);
    put(o, "credits", credits(b));
    put(o, "studies", studies(b));
    put(o, "trials", trials(b));
    put(o, "workloads", workloads(b));
    put(o, "facts", facts(b));
    put(o, "different_clocks", names(&b->differences));
    put(o, "gaps", names(&b->gaps));
    put(o, "notes", names(&b->trials.notes));
    put(o, "unlisted_workloads", names(&b->trials.unlisted));
    put(o, "speedups", p->speedups ? speedups(p) : json_null());
    put(o, "confidence", p->confidence ? confidence(p) : json_null());
    return o;
}

ap_status ap_print_json(const ap_printed *printed, FILE *out, ap_error *error) {
    return ap_json_dump(everything(printed), out, error);
}

ap_status ap_json_dump(struct json_t *o, FILE *out, ap_error *error) {
    char *dumped = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    json_decref(o);
    if (!dumped) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the JSON text");
    fputs(dumped, out);
    fputc('\n', out);
    free(dumped);
    return AP_OK;
}
