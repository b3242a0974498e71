/* algoperf status RESULTS, algoperf watch RESULTS: the state of a sweep, by its result tree alone. */
#include "cli/cli.h"

#include "harness/status.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- text */

/* "3 h 20 min", "12.5 s". */
static const char *duration(double seconds, char text[48]) {
    if (seconds >= 172800)
        snprintf(text, 48, "%.1f days", seconds / 86400);
    else if (seconds >= 3600)
        snprintf(text, 48, "%d h %d min", (int)(seconds / 3600), (int)fmod(seconds / 60, 60));
    else if (seconds >= 120)
        snprintf(text, 48, "%.0f min", seconds / 60);
    else
        snprintf(text, 48, "%.0f s", seconds);
    return text;
}

static void show_progress(const ap_trial_status *t) {
    if (t->step < 0) {
        printf(", before its first evaluation");
        return;
    }
    printf(", step %lld, %.1f of %.1f s", (long long)t->step, t->score_s, t->budget_s);
    if (!isnan(t->metric)) printf(", validation %s %.4f (target %.4f)", t->metric_name, t->metric, t->target);
}

static void show_trial(const ap_tree_trial *name, const ap_trial_status *t) {
    char owner[256];
    printf("  %s: %s", name->path,
           t->state == AP_TRIAL_DONE ? ap_verdict_names[t->summary.verdict] : ap_trial_state_names[t->state]);
    if (t->state == AP_TRIAL_DONE) {
        printf(", step %lld", (long long)t->summary.steps);
        if (*t->summary.reason) printf(": %s", t->summary.reason);
    } else {
        if (t->state != AP_TRIAL_PENDING || t->step >= 0) show_progress(t);
        if (t->cancelled) printf(", to be cancelled");
    }
    if (t->state == AP_TRIAL_RUNNING || t->state == AP_TRIAL_STALE) {
        ap_claim_owner_text(&t->claim, owner);
        printf(", by %s%s", owner, t->state == AP_TRIAL_STALE ? ", which is gone" : "");
        if (t->state == AP_TRIAL_RUNNING && t->claim.owner == AP_OWNER_UNKNOWN) printf(" (not to be seen from here)");
    }
    printf("\n");
}

static bool wanted(const ap_trial_status *t, bool all) {
    bool failed = t->summary.verdict == AP_VERDICT_DIVERGED || t->summary.verdict == AP_VERDICT_FAILED ||
                  t->summary.verdict == AP_VERDICT_CRASHED || t->summary.verdict == AP_VERDICT_RULE_VIOLATION;
    return all || t->state == AP_TRIAL_RUNNING || t->state == AP_TRIAL_STALE || (t->state == AP_TRIAL_DONE && failed) ||
           (t->state == AP_TRIAL_PENDING && t->cancelled);
}

static void show_held(const ap_tree_status *s) {
    for (int i = 0; i < s->held_count; i++)
        printf("Slurm holds job %s (%s): it will not start by itself. To let it: scontrol release %s (if its nodes are "
               "drained, `sinfo -R`, they have to be resumed too)\n",
               s->held[i].id, s->held[i].reason, s->held[i].id);
}

static void show(const char *results, const ap_tree_status *s, bool all) {
    char text[48];
    printf("%s: %d trial%s of %s\n", results, s->list.n, s->list.n == 1 ? "" : "s", s->list.job_file);
    for (int i = AP_TRIAL_STATES - 1; i >= 0; i--) {
        printf("%6d %s", s->states[i], ap_trial_state_names[i]);
        const char *separator = " (";
        for (int v = 0; i == AP_TRIAL_DONE && v < AP_VERDICTS; v++)
            if (s->verdicts[v]) printf("%s%d %s", separator, s->verdicts[v], ap_verdict_names[v]), separator = ", ";
        printf("%s\n", *separator == ',' ? ")" : "");
    }
    for (int i = 0; i < s->list.n; i++)
        if (wanted(&s->trial[i], all)) show_trial(&s->list.trial[i], &s->trial[i]);
    show_held(s);
    if (!isnan(s->latest_end_s)) {
        char end[24];
        time_t at = time(NULL) + (time_t)s->latest_end_s;
        strftime(end, sizeof end, "%Y-%m-%d %H:%M", localtime(&at));
        printf("by the budgets it ends in %s at the latest (%s), with %d group%s at work\n",
               duration(s->latest_end_s, text), end, s->states[AP_TRIAL_RUNNING],
               s->states[AP_TRIAL_RUNNING] == 1 ? "" : "s");
    }
    if (s->states[AP_TRIAL_STALE])
        printf("stale trials are taken up by the next group that looks: run the job again if none is at work\n");
}

/* ---- status */

static void trim(char *path) {
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/';) path[--n] = '\0';
}

static int status_command(int argc, char **argv) {
    const char *json = NULL, *all = NULL;
    const ap_flag flags[] = {{"json", NULL, "machine-readable, all trials", &json},
                             {"all", NULL, "a line for every trial, not only for those running, stale or failed", &all},
                             {0}};
    char **rest;
    int count;
    bool helped;
    ap_error error;
    if (ap_cli_parse(&ap_command_status, argc, argv, flags, &rest, &count, &helped, &error))
        return ap_cli_report(&error);
    if (helped) return AP_OK;
    ap_tree_status s;
    ap_status status = count == 1 ? AP_OK : ap_fail(&error, AP_USAGE, "algoperf status: give one result tree");
    if (!status) trim(rest[0]);
    if (!status) status = ap_tree_status_read(rest[0], &s, &error);
    if (status) return ap_cli_report(&error);
    char *text = json ? ap_tree_status_json(rest[0], &s) : NULL;
    if (text) printf("%s\n", text);
    if (json && !text) status = ap_fail(&error, AP_ENVIRONMENT, "out of memory");
    if (!json) show(rest[0], &s, all);
    free(text);
    ap_tree_status_free(&s);
    return status ? ap_cli_report(&error) : AP_OK;
}

const ap_command ap_command_status = {.name = "status",
                                      .arguments = "RESULTS",
                                      .summary = "what of a sweep is done, running where, pending, failed and why",
                                      .run = status_command};

/* ---- watch */

/* Redraws on a terminal until nothing is left to do; elsewhere it shows once. */
static ap_status watch(const char *results, double every_s, ap_error *error) {
    bool live = isatty(STDOUT_FILENO);
    for (;;) {
        ap_tree_status s;
        AP_TRY(ap_tree_status_read(results, &s, error));
        if (live) printf("\033[H\033[J");
        show(results, &s, false);
        fflush(stdout);
        bool over = s.states[AP_TRIAL_DONE] == s.list.n;
        ap_tree_status_free(&s);
        if (!live || over) return AP_OK;
        poll(NULL, 0, (int)(every_s * 1e3));
    }
}

static int watch_command(int argc, char **argv) {
    const char *every = NULL;
    const ap_flag flags[] = {{"every", "SECONDS", "how often to look; default 2", &every}, {0}};
    char **rest;
    int count;
    bool helped;
    double every_s = 2;
    ap_error error;
    if (ap_cli_parse(&ap_command_watch, argc, argv, flags, &rest, &count, &helped, &error))
        return ap_cli_report(&error);
    if (helped) return AP_OK;
    ap_status status = count == 1 ? AP_OK : ap_fail(&error, AP_USAGE, "algoperf watch: give one result tree");
    if (!status && every) status = ap_cli_number("every", every, 0.1, 86400, &every_s, &error);
    if (!status) trim(rest[0]);
    if (!status) status = watch(rest[0], every_s, &error);
    return status ? ap_cli_report(&error) : AP_OK;
}

const ap_command ap_command_watch = {.name = "watch",
                                     .arguments = "RESULTS",
                                     .summary = "the same, live on a terminal until all is done",
                                     .run = watch_command};
