#include "analysis/gaps.h"

#include <stdio.h>
#include <string.h>

typedef struct full {
    size_t studies, trials;
} full;

/* Studies of one submission on one workload. */
static size_t count_studies(const ap_leaderboard *board, size_t submission, size_t workload) {
    size_t n = 0;
    for (size_t i = 0; i < board->study_count; i++)
        n += board->studies[i].submission == submission && board->studies[i].workload == workload;
    return n;
}

static full full_numbers(const ap_leaderboard *board) {
    const char *table = board->targets.name ? board->targets.name : "";
    bool one_trial = board->rules.ruleset == AP_SELF_TUNING;
    if (!strcmp(table, "v05")) return (full){5, one_trial ? 1 : 5};
    if (!strcmp(table, "v06")) return (full){3, one_trial ? 1 : 5};
    full most = {0, 1};
    for (size_t s = 0; s < board->trials.submissions.n; s++)
        for (size_t w = 0; w < board->targets.n; w++) {
            size_t n = count_studies(board, s, w);
            if (n > most.studies) most.studies = n;
        }
    for (size_t i = 0; i < board->study_count && !one_trial; i++)
        if (board->studies[i].trials > most.trials) most.trials = board->studies[i].trials;
    return most;
}

/* ---- one line a submission and kind; counts, and the first names */

typedef struct listing {
    char text[512];
    size_t n;
} listing;

static void add(listing *list, const char *name) {
    size_t used = strlen(list->text);
    if (list->n < 4)
        snprintf(list->text + used, sizeof list->text - used, "%s%.100s", list->n ? ", " : "", name);
    else if (list->n == 4)
        snprintf(list->text + used, sizeof list->text - used, ", ...");
    list->n++;
}

static ap_status say(ap_leaderboard *board, size_t submission, const listing *list, const char *what, ap_error *error) {
    char line[1024];
    if (!list->n) return AP_OK;
    snprintf(line, sizeof line, "%.200s: %s (%zu): %s", board->trials.submissions.name[submission], what, list->n,
             list->text);
    return ap_names_add(&board->gaps, line, NULL, error);
}

static ap_status find_workload_gaps(ap_leaderboard *board, size_t submission, full want, ap_error *error) {
    listing missing = {0}, extra = {0}, few = {0};
    char what[96], name[160];
    for (size_t w = 0; w < board->targets.n; w++) {
        const ap_target *target = &board->targets.target[w];
        bool scored = target->role == AP_ROLE_BASE || target->role == AP_ROLE_HELD_OUT;
        size_t n = count_studies(board, submission, w);
        if (scored && !n) add(&missing, target->workload);
        if (!scored && n) add(&extra, target->workload);
        snprintf(name, sizeof name, "%.120s (%zu)", target->workload, n);
        if (scored && n && n != want.studies) add(&few, name);
    }
    AP_TRY(say(board, submission, &missing, "scored workloads never run", error));
    AP_TRY(say(board, submission, &extra, "workloads that are not scored", error));
    snprintf(what, sizeof what, "workloads without %zu studies", want.studies);
    return say(board, submission, &few, what, error);
}

static ap_status find_trial_gaps(ap_leaderboard *board, size_t submission, full want, ap_error *error) {
    listing few = {0};
    char what[96], name[160];
    for (size_t i = 0; i < board->study_count; i++) {
        const ap_study *study = &board->studies[i];
        if (study->submission != submission || study->trials == want.trials) continue;
        snprintf(name, sizeof name, "%.80s/%.50s (%zu)", board->trials.trial[study->first].study,
                 board->targets.target[study->workload].workload, study->trials);
        add(&few, name);
    }
    snprintf(what, sizeof what, "studies without %zu trial%s", want.trials, want.trials == 1 ? "" : "s");
    return say(board, submission, &few, what, error);
}

ap_status ap_gaps_find(ap_leaderboard *board, ap_error *error) {
    full want = full_numbers(board);
    for (size_t s = 0; s < board->trials.submissions.n; s++) {
        AP_TRY(find_workload_gaps(board, s, want, error));
        AP_TRY(find_trial_gaps(board, s, want, error));
    }
    return AP_OK;
}
