#include "analysis/leaderboard.h"

#include "analysis/clocks.h"
#include "analysis/gaps.h"
#include "analysis/read_tree.h"
#include "analysis/summary.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ap_leaderboard_free(ap_leaderboard *board) {
    ap_scores_free(board->scores);
    free(board->studies);
    free(board->hits);
    free(board->step_s);
    ap_names_free(&board->differences);
    ap_names_free(&board->gaps);
    ap_trials_free(&board->trials);
    ap_targets_free(&board->targets);
    *board = (ap_leaderboard){0};
}

/* ---- options */

ap_status ap_choose(const char *option, const char *word, const char *const *names, int *index, ap_error *error) {
    char list[128] = "";
    for (int i = 0; names[i]; i++) {
        if (!strcmp(word, names[i])) {
            *index = i;
            return AP_OK;
        }
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", i ? " or " : "", names[i]);
    }
    const char *closest = ap_closest(word, names);
    return ap_fail(error, AP_USAGE, "--%s %.60s: must be %s%s%s%s", option, word, list,
                   closest ? "; did you mean " : "", closest ? closest : "", closest ? "?" : "");
}

/* Without the option it is what all results say; what they say differently is a difference of clocks. */
static ap_status set_ruleset(ap_leaderboard *board, const char *word, ap_error *error) {
    int index = AP_EXTERNAL_TUNING;
    size_t kind = ap_trials_find_fact(&board->trials, "ruleset");
    const ap_names *said = kind < board->trials.facts ? &board->trials.fact[kind].value : NULL;
    if (word) AP_TRY(ap_choose("ruleset", word, ap_ruleset_names, &index, error));
    if (said && said->n == 1 && word && strcmp(word, said->name[0]))
        return ap_fail(error, AP_DATA, "--ruleset %s: the results say that they are of %s; leave the option out", word,
                       said->name[0]);
    for (int i = 0; said && said->n == 1 && ap_ruleset_names[i]; i++)
        if (!strcmp(said->name[0], ap_ruleset_names[i])) index = i;
    board->rules.ruleset = (ap_ruleset)index;
    return AP_OK;
}

/* ---- reading */

/* A workload that the table lists without results counts as soon as there are any. */
static ap_status promote_listed(ap_leaderboard *board, ap_error *error) {
    char note[512];
    for (size_t w = 0; w < board->targets.n; w++) {
        ap_target *target = &board->targets.target[w];
        if (target->role != AP_ROLE_LISTED) continue;
        target->role = AP_ROLE_OTHER;
        for (size_t i = 0; i < board->trials.n && target->role == AP_ROLE_OTHER; i++)
            if (board->trials.trial[i].workload == w) target->role = AP_ROLE_BASE;
        if (target->role == AP_ROLE_OTHER) continue;
        snprintf(note, sizeof note, "there are results of %s, so it is a base workload, and n counts it",
                 target->workload);
        AP_TRY(ap_names_add(&board->trials.notes, note, NULL, error));
    }
    return AP_OK;
}

/* Without a table the workloads are those of the results: one that nobody is left with is none. */
static void drop_empty_workloads(ap_leaderboard *board) {
    for (size_t w = 0; w < board->targets.n; w++) {
        bool met = false;
        for (size_t i = 0; i < board->trials.n && !met; i++) met = board->trials.trial[i].workload == w;
        if (!met) board->targets.target[w].role = AP_ROLE_OTHER;
    }
}

/* `list`: names with commas between them. */
static ap_status leave_out(ap_leaderboard *board, const char *list, ap_error *error) {
    char *names = strdup(list), *next = names;
    ap_status status = names ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for a list of names");
    for (char *name; status == AP_OK && (name = strsep(&next, ","));) {
        size_t submission;
        if (ap_leaderboard_find(board, name, &submission, error) != AP_OK)
            status = ap_context(error, "--without");
        else
            ap_trials_remove(&board->trials, submission);
    }
    free(names);
    if (status == AP_OK && !board->trials.n)
        return ap_fail(error, AP_USAGE, "--without %.200s: nothing is left to score", list);
    if (!board->targets.name) drop_empty_workloads(board);
    return status;
}

static ap_status read_roots(char **roots, const ap_leaderboard_options *options, ap_leaderboard *board,
                            ap_error *error) {
    int metric = AP_METRIC_TIME;
    board->rules = ap_rules_published();
    board->trials.details = options->details;
    if (options->metric) AP_TRY(ap_choose("metric", options->metric, ap_metric_names, &metric, error));
    board->rules.metric = (ap_metric)metric;
    int unused; /* a wrong word is found before the reading */
    if (options->ruleset) AP_TRY(ap_choose("ruleset", options->ruleset, ap_ruleset_names, &unused, error));
    if (options->targets) AP_TRY(ap_targets_load(options->targets, &board->targets, error));
    for (; *roots; roots++) AP_TRY(ap_read_tree(*roots, &board->targets, &board->trials, error));
    AP_TRY(ap_trials_sort(&board->trials, error));
    if (!board->trials.n)
        return ap_fail(error, AP_DATA, "nothing to score: no workload of the results is in the table of targets %s",
                       board->targets.name ? board->targets.name : "");
    if (options->without) AP_TRY(leave_out(board, options->without, error));
    AP_TRY(set_ruleset(board, options->ruleset, error));
    return promote_listed(board, error);
}

/* ---- what is refused */

/* All lines that have room in an error's text. */
static void join(const ap_names *lines, char *text, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < lines->n; i++) {
        if (used + strlen(lines->name[i]) + 40 > size) {
            snprintf(text + used, size - used, "\n  and %zu more", lines->n - i);
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "\n  %s", lines->name[i]);
    }
}

static ap_status check_clocks(ap_leaderboard *board, bool allowed, ap_error *error) {
    char text[AP_ERROR_TEXT - 160] = "";
    AP_TRY(ap_clocks_compare(&board->trials, &board->targets, board->rules.metric, &board->differences, error));
    if (!board->differences.n || allowed) return AP_OK;
    join(&board->differences, text, sizeof text);
    return ap_fail(error, AP_DATA,
                   "these results do not have one clock:%s\nscore them apart, %sor add --allow-mixed-clocks", text,
                   board->rules.metric == AP_METRIC_TIME ? "compare steps (--metric steps), " : "");
}

static ap_status check_strictly(const ap_leaderboard *board, ap_error *error) {
    char text[AP_ERROR_TEXT - 120] = "";
    if (!board->gaps.n) return AP_OK;
    join(&board->gaps, text, sizeof text);
    return ap_fail(error, AP_DATA, "--strict: the results are not complete, or more than complete:%s", text);
}

/* ---- scoring */

ap_status ap_leaderboard_score(ap_leaderboard *board, ap_error *error) {
    const ap_rules *rules = &board->rules;
    AP_TRY(ap_hits(&board->trials, &board->targets, rules, &board->hits, error));
    AP_TRY(ap_studies(&board->trials, board->hits, rules, &board->studies, &board->study_count, error));
    AP_TRY(ap_scores_create(&board->targets, board->trials.submissions.n, &board->scores, error));
    AP_TRY(ap_scores_set_times(board->scores, board->studies, board->study_count, rules, error));
    ap_scores_compute(board->scores, rules);
    AP_TRY(ap_step_seconds(&board->trials, &board->targets, &board->step_s, error));
    return ap_gaps_find(board, error);
}

ap_status ap_leaderboard_read(char **roots, const ap_leaderboard_options *options, ap_leaderboard *board,
                              ap_error *error) {
    ap_status status;
    *board = (ap_leaderboard){0};
    AP_TRY_GOTO(status, read_roots(roots, options, board, error), failed);
    AP_TRY_GOTO(status, check_clocks(board, options->allow_mixed_clocks != NULL, error), failed);
    AP_TRY_GOTO(status, ap_leaderboard_score(board, error), failed);
    if (options->strict) AP_TRY_GOTO(status, check_strictly(board, error), failed);
    return AP_OK;
failed:
    ap_leaderboard_free(board);
    return status;
}

/* ---- warnings */

static void warn_all(const ap_names *lines) {
    for (size_t i = 0; i < lines->n; i++) ap_log(AP_GLOBAL, AP_LOG_WARNING, "%s", lines->name[i]);
}

/* A held-out workload that nobody ran takes its base workload from everybody (4.4). */
static void warn_unused(const ap_leaderboard *board, size_t column) {
    const ap_scores *s = board->scores;
    for (size_t i = 0; i < s->submissions; i++)
        if (!isnan(s->time[i * s->columns + column])) return;
    const char *name = board->targets.target[s->workload[column]].workload;
    if (column < s->bases)
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "nobody ran %s: nobody has its share, 1/%zu, of the score", name, s->bases);
    else
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "nobody ran the held-out workload %s: nobody gets credit for %s", name,
               board->targets.target[s->workload[s->base[column]]].workload);
}

static void warn_of_steps(const ap_leaderboard *board) {
    for (size_t s = 0; s < board->trials.submissions.n; s++)
        for (size_t c = 0; c < board->scores->columns; c++) {
            double ratio = ap_step_ratio(board, s, board->scores->workload[c]);
            if (ratio < AP_OTHER_UNITS) continue;
            ap_log(AP_GLOBAL, AP_LOG_WARNING,
                   "%s: its seconds a step on %s differ by a factor of %.0f from the others': it counts steps in "
                   "other units, or its batches are of another size; its step scores say nothing",
                   board->trials.submissions.name[s], board->targets.target[board->scores->workload[c]].workload,
                   ratio);
            break; /* one workload says enough */
        }
}

void ap_leaderboard_warn(const ap_leaderboard *board) {
    warn_all(&board->trials.notes);
    for (size_t i = 0; i < board->trials.unlisted.n; i++)
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "workload %s is not in the table of targets %s: left out",
               board->trials.unlisted.name[i], board->targets.name);
    warn_all(&board->gaps);
    for (size_t c = 0; c < board->scores->columns; c++) warn_unused(board, c);
    for (size_t i = 0; i < board->differences.n; i++)
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "different clocks are compared: %s", board->differences.name[i]);
    if (board->rules.metric == AP_METRIC_STEPS) warn_of_steps(board);
}

ap_status ap_leaderboard_find(const ap_leaderboard *board, const char *name, size_t *submission, ap_error *error) {
    const ap_names *names = &board->trials.submissions;
    char list[600] = "";
    for (size_t i = 0; i < names->n; i++) {
        if (!strcmp(names->name[i], name)) {
            *submission = i;
            return AP_OK;
        }
        size_t n = strlen(list);
        if (n < sizeof list - 1) snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", names->name[i]);
    }
    return ap_fail(error, AP_USAGE, "there is no submission \"%.60s\"; there are: %s", name, list);
}
