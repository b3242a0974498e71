/* algoperf-score sensitivity: how scores and ranking move with the rules and with what was measured. */
#include "analysis/commands.h"

#include "analysis/print.h"
#include "analysis/sensitivity.h"
#include "analysis/text_table.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    ap_leaderboard_options board;
    const char *csv, *json;
} settings;

static const char *name_of(const ap_leaderboard *board, size_t submission) {
    return board->trials.submissions.name[submission];
}

/* The submission whose score moves most, the one with most to lose at equal moves. */
static size_t most_moved(const ap_leaderboard *board, const ap_change *change) {
    size_t most = 0;
    double largest = -1;
    for (size_t s = 0; s < board->scores->submissions; s++) {
        double moved = fabs(change->score[s] - board->scores->score[s]);
        if (moved > largest) largest = moved, most = s;
    }
    return most;
}
static double largest_move(const ap_leaderboard *board, const ap_change *change) {
    size_t s = most_moved(board, change);
    return change->score[s] - board->scores->score[s];
}

/* ---- text: every change, but of one thing of many only the worst */

static bool is_one_of_many(ap_change_group group) {
    return group == AP_CHANGE_ONE_STUDY || group == AP_CHANGE_ONE_TRIAL;
}

static void add_change(const ap_leaderboard *board, const ap_change *change, size_t of, ap_text_table *table) {
    size_t most = most_moved(board, change), n = board->scores->submissions, first = 0;
    while (first < n - 1 && ap_rank_of(change->score, n, first) != 1) first++;
    ap_text_table_add(table, "%s", ap_change_group_names[change->group]);
    if (of)
        ap_text_table_add(table, "%s (the worst of %zu)", change->what, of);
    else
        ap_text_table_add(table, "%s", change->what);
    ap_text_table_add(table, "%s", name_of(board, first));
    ap_text_table_add(table, "%zu", ap_pairs_swapped(board->scores->score, change->score, n));
    ap_text_table_add(table, "%+.4f", largest_move(board, change));
    ap_text_table_add(table, "%s", largest_move(board, change) == 0 ? "" : name_of(board, most));
}

/* The change of a group with most pairs swapped, then the largest move; *n of them. */
static const ap_change *worst(const ap_leaderboard *board, const ap_sensitivity *s, ap_change_group group, size_t *n) {
    const ap_change *found = NULL;
    size_t most = 0, submissions = s->submissions;
    *n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const ap_change *c = &s->change[i];
        if (c->group != group) continue;
        size_t swapped = ap_pairs_swapped(board->scores->score, c->score, submissions);
        ++*n;
        if (found && swapped < most) continue;
        if (found && swapped == most && fabs(largest_move(board, c)) <= fabs(largest_move(board, found))) continue;
        found = c;
        most = swapped;
    }
    return found;
}

static ap_status print_changes(const ap_leaderboard *board, const ap_sensitivity *s, FILE *out, ap_error *error) {
    static const char *const names[] = {"what", "change", "then first", "pairs swapped", "largest move", "of", NULL};
    ap_text_table table = {.align = "lllrrl"};
    for (const char *const *name = names; *name; name++) ap_text_table_add(&table, "%s", *name);
    for (int g = 0; g < AP_CHANGE_GROUPS; g++) {
        ap_change_group group = (ap_change_group)g;
        size_t n;
        const ap_change *most = worst(board, s, group, &n);
        if (most && is_one_of_many(group)) add_change(board, most, n, &table);
        for (size_t i = 0; i < s->n && !is_one_of_many(group); i++)
            if (s->change[i].group == group) add_change(board, &s->change[i], 0, &table);
    }
    fprintf(out, "Changes (pairs of submissions whose order turns round, and the score that moves most)\n");
    return ap_text_table_print(&table, out, error);
}

static void add_range(const ap_leaderboard *board, const ap_sensitivity *s, size_t submission, ap_change_group group,
                      ap_text_table *table) {
    size_t n = board->scores->submissions, best = n, last = 0, met = 0;
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < s->n; i++) {
        const ap_change *c = &s->change[i];
        size_t rank = ap_rank_of(c->score, n, submission);
        if (c->group != group || !rank) continue;
        met++;
        low = fmin(low, c->score[submission]);
        high = fmax(high, c->score[submission]);
        if (rank < best) best = rank;
        if (rank > last) last = rank;
    }
    if (!met) return;
    ap_text_table_add(table, "%s", name_of(board, submission));
    ap_text_table_add(table, "%.4f", board->scores->score[submission]);
    ap_text_table_add(table, "%zu", ap_rank_of(board->scores->score, n, submission));
    ap_text_table_add(table, "%s", ap_change_group_names[group]);
    ap_text_table_add(table, "%.4f to %.4f", low, high);
    ap_text_table_add(table, "%zu to %zu", best, last);
}

static ap_status print_text(const ap_leaderboard *board, const ap_sensitivity *s, FILE *out, ap_error *error) {
    static const char *const names[] = {"submission", "score", "rank", "what is changed", "scores", "ranks", NULL};
    ap_text_table table = {.align = "lrrlrr"};
    for (const char *const *name = names; *name; name++) ap_text_table_add(&table, "%s", *name);
    for (size_t i = 0; i < s->submissions; i++)
        for (int g = 0; g < AP_CHANGE_GROUPS; g++)
            add_range(board, s, board->scores->rank[i], (ap_change_group)g, &table);
    AP_TRY(print_changes(board, s, out, error));
    fprintf(out, "\nRange of every score and rank under these changes\n");
    return ap_text_table_print(&table, out, error);
}

/* ---- CSV and JSON: every change */

static ap_status print_csv(const ap_leaderboard *board, const ap_sensitivity *s, FILE *out, ap_error *error) {
    for (size_t i = 0; i < s->n; i++) AP_TRY(ap_print_cell(s->change[i].what, NULL, error));
    for (size_t i = 0; i < s->submissions; i++) AP_TRY(ap_print_cell(name_of(board, i), NULL, error));
    fprintf(out, "what,change,submission,score,rank,score_change\n");
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->submissions; k++) {
            const ap_change *c = &s->change[i];
            size_t submission = board->scores->rank[k];
            fprintf(out, "%s,%s,%s,", ap_change_group_names[c->group], c->what, name_of(board, submission));
            ap_print_exactly(c->score[submission], out);
            fprintf(out, ",%zu,", ap_rank_of(c->score, s->submissions, submission));
            ap_print_exactly(c->score[submission] - board->scores->score[submission], out);
            fputc('\n', out);
        }
    return AP_OK;
}

static json_t *change_json(const ap_leaderboard *board, const ap_change *c, size_t submissions) {
    json_t *o = json_object(), *scores = json_array();
    for (size_t k = 0; k < submissions; k++) {
        size_t s = board->scores->rank[k];
        json_t *one = json_object();
        json_object_set_new(one, "submission", ap_json_text(name_of(board, s)));
        json_object_set_new(one, "score", ap_json_number(c->score[s]));
        json_object_set_new(one, "rank", json_integer((json_int_t)ap_rank_of(c->score, submissions, s)));
        json_array_append_new(scores, one);
    }
    json_object_set_new(o, "what", ap_json_text(ap_change_group_names[c->group]));
    json_object_set_new(o, "change", ap_json_text(c->what));
    json_object_set_new(o, "pairs_swapped",
                        json_integer((json_int_t)ap_pairs_swapped(board->scores->score, c->score, submissions)));
    json_object_set_new(o, "scores", scores);
    return o;
}

static ap_status print_json(const ap_leaderboard *board, const ap_sensitivity *s, FILE *out, ap_error *error) {
    json_t *o = json_object(), *array = json_array();
    for (size_t i = 0; i < s->n; i++) json_array_append_new(array, change_json(board, &s->change[i], s->submissions));
    json_object_set_new(o, "format", json_string("algoperf-score sensitivity 1"));
    json_object_set_new(o, "changes", array);
    return ap_json_dump(o, out, error);
}

/* ---- the command */

static ap_status analyse(const ap_leaderboard *board, const settings *set, ap_error *error) {
    ap_sensitivity s;
    AP_TRY(ap_sensitivity_compute(board, &s, error));
    ap_status status = set->csv    ? print_csv(board, &s, stdout, error)
                       : set->json ? print_json(board, &s, stdout, error)
                                   : print_text(board, &s, stdout, error);
    if (status == AP_OK) status = ap_score_flush(error);
    ap_sensitivity_free(&s);
    return status;
}

static ap_status read_and_analyse(char **roots, const settings *set, ap_error *error) {
    ap_leaderboard board;
    if (set->csv && set->json) return ap_fail(error, AP_USAGE, "--csv and --json: one of them");
    AP_TRY(ap_leaderboard_read(roots, &set->board, &board, error));
    ap_leaderboard_warn(&board);
    ap_status status = analyse(&board, set, error);
    ap_leaderboard_free(&board);
    return status;
}

static int sensitivity(int argc, char **argv) {
    settings set = {0};
    const ap_flag flags[] = {
        AP_LEADERBOARD_FLAGS(set.board),
        {"csv", NULL, "print every change as CSV: what,change,submission,score,rank,score_change", &set.csv},
        {"json", NULL, "print every change as one JSON object", &set.json},
        {0},
    };
    char **roots;
    bool helped;
    ap_error error;
    if (ap_score_parse(&ap_command_sensitivity, argc, argv, flags, 1, INT_MAX, "the folder of results", &roots, &helped,
                       &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    return read_and_analyse(roots, &set, &error) ? ap_score_report(&error) : AP_OK;
}

const ap_command ap_command_sensitivity = {
    "sensitivity", "RESULTS... [options]",
    "how scores and ranking move with target, budget, rules and what is left out", sensitivity, false};
