#include "harness/status.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const ap_trial_state_names[AP_TRIAL_STATES] = {
    [AP_TRIAL_PENDING] = "pending",
    [AP_TRIAL_RUNNING] = "running",
    [AP_TRIAL_STALE] = "stale",
    [AP_TRIAL_DONE] = "done",
};

/* ---- a trial's log: its first lines and its last ones */

enum { PART = 1 << 16 };

/* Bytes [from, from + PART) of the file, NUL added; from < 0: its end. Returns the length. */
static size_t read_part(int fd, bool end, char text[PART + 1]) {
    off_t size = lseek(fd, 0, SEEK_END), from = end && size > PART ? size - PART : 0;
    ssize_t n = pread(fd, text, PART, from);
    text[n < 0 ? 0 : n] = '\0';
    return n < 0 ? 0 : (size_t)n;
}

static double real_of(const json_t *line, const char *key) {
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool is_event(const json_t *line, const char *event) {
    const char *text = json_string_value(json_object_get(line, "event"));
    return text && !strcmp(text, event);
}

/* "2026-01-31T12:00:00Z" as seconds; NaN. */
static double time_of(const json_t *line) {
    const char *text = json_string_value(json_object_get(line, "time"));
    struct tm tm = {0};
    return text && strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ? (double)timegm(&tm) : NAN;
}

static void read_head(char *text, ap_trial_status *t) {
    char *end = strchr(text, '\n');
    json_t *line = end ? json_loadb(text, (size_t)(end - text), 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(line, "target_metric"));
    snprintf(t->metric_name, sizeof t->metric_name, "%s", name ? name : "");
    t->target = real_of(line, "validation_target");
    t->budget_s = real_of(line, "max_runtime_s");
    json_decref(line);
}

/* The last evaluation; and the pace between the first and the last one since the trial was begun or resumed. */
static void read_tail(char *text, ap_trial_status *t) {
    double first_time = NAN, first_score = NAN;
    char key[96], *rest = text;
    snprintf(key, sizeof key, "validation/%s", t->metric_name);
    for (char *at; (at = strsep(&rest, "\n"));) {
        json_t *line = json_loads(at, 0, NULL); /* the first one may be cut, the last one torn */
        if (is_event(line, "started") || is_event(line, "resumed")) first_time = first_score = NAN;
        if (is_event(line, "evaluation")) {
            t->step = json_integer_value(json_object_get(line, "global_step"));
            t->score_s = real_of(line, "score");
            t->metric = real_of(line, key);
            double time = time_of(line), passed = t->score_s - first_score;
            if (isnan(first_time))
                first_time = time, first_score = t->score_s;
            else if (passed > 0)
                t->wall_per_score = (time - first_time) / passed;
        }
        json_decref(line);
    }
}

static void read_log(const char *results, const char *trial, ap_trial_status *t) {
    char path[AP_PATH];
    t->step = -1;
    t->score_s = t->budget_s = t->metric = t->target = t->wall_per_score = NAN;
    int fd = ap_path(path, NULL, "%s/%s/events.jsonl", results, trial) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    char *text = malloc(PART + 1);
    if (text && read_part(fd, false, text)) {
        read_head(text, t);
        read_part(fd, true, text);
        read_tail(text, t);
    }
    free(text);
    close(fd);
}

/* ---- one trial */

/* Not in the index: its result may have a verdict all the same (a tree that was copied without its index). */
static bool has_verdict(const char *results, const char *path, ap_result_summary *summary) {
    char directory[AP_PATH];
    return !ap_path(directory, NULL, "%s/%s", results, path) && !ap_result_summarise(directory, summary, NULL) &&
           summary->evaluations >= 0 && summary->verdict != AP_VERDICT_RUNNING;
}

static void look(const char *results, const ap_tree_status *s, int i, bool finished, bool claimed) {
    const ap_claimant nobody = {.results = results, .world = "", .asks = true};
    const char *path = s->list.trial[i].path;
    ap_trial_status *t = &s->trial[i];
    char directory[AP_PATH];
    if (finished && !ap_path(directory, NULL, "%s/%s", results, path) &&
        !ap_verdict_read(results, i, directory, &t->summary, NULL)) {
        t->state = AP_TRIAL_DONE;
        return;
    }
    read_log(results, path, t);
    t->cancelled = ap_cancel_is_asked(results, i);
    if (claimed && ap_claim_look(&nobody, i, &t->claim))
        t->state = t->claim.owner == AP_OWNER_GONE ? AP_TRIAL_STALE : AP_TRIAL_RUNNING;
    else if (has_verdict(results, path, &t->summary))
        t->state = AP_TRIAL_DONE;
}

/* ---- the tree */

/* Groups at work take what is left, longest first: no later than the longest trial, and the sum over the groups. */
static double latest_end(const ap_tree_status *s) {
    double sum = 0, longest = 0, pace = 0;
    int groups = s->states[AP_TRIAL_RUNNING], paced = 0;
    for (int i = 0; i < s->list.n; i++) {
        const ap_trial_status *t = &s->trial[i];
        if (t->state == AP_TRIAL_DONE) continue;
        double used = t->step >= 0 && t->score_s > 0 ? t->score_s : 0;
        double left = fmax(s->list.trial[i].expected_s - used, 0);
        sum += left;
        longest = fmax(longest, left);
        if (t->state == AP_TRIAL_RUNNING && t->wall_per_score > 0) pace += t->wall_per_score, paced++;
    }
    if (groups == 0) return NAN;
    return (paced ? pace / paced : 1) * (sum / groups + longest * (groups - 1) / groups);
}

ap_status ap_tree_status_read(const char *results, ap_tree_status *status, ap_error *error) {
    *status = (ap_tree_status){0};
    AP_TRY(ap_tree_read_list(results, &status->list, error));
    size_t n = (size_t)status->list.n;
    unsigned char *flags = calloc(2, n);
    status->trial = calloc(n, sizeof *status->trial);
    ap_status result = AP_OK;
    if (!flags || !status->trial) result = ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu trials", n);
    /* Claims first: what ends in between is then seen as done. A tree without an index has no claims either. */
    if (!result && ap_claims_list(results, (int)n, flags, NULL)) memset(flags, 0, n);
    if (!result && ap_verdicts_list(results, (int)n, flags + n, NULL)) memset(flags + n, 0, n);
    for (int i = 0; !result && i < (int)n; i++) {
        look(results, status, i, flags[n + (size_t)i], flags[i]);
        status->states[status->trial[i].state]++;
        if (status->trial[i].state == AP_TRIAL_DONE) status->verdicts[status->trial[i].summary.verdict]++;
    }
    free(flags);
    if (result) {
        ap_tree_status_free(status);
        return result;
    }
    status->latest_end_s = latest_end(status);
    if (status->states[AP_TRIAL_DONE] < status->list.n) status->held_count = ap_slurm_jobs_held(results, status->held);
    return AP_OK;
}

void ap_tree_status_free(ap_tree_status *status) {
    ap_tree_free_list(&status->list);
    free(status->trial);
    *status = (ap_tree_status){0};
}

/* ---- JSON */

static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *owner_object(const ap_claim_info *c) {
    static const char *const owners[] = {
        [AP_OWNER_UNKNOWN] = "unknown", [AP_OWNER_LIVES] = "lives", [AP_OWNER_GONE] = "gone"};
    return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:I}", "host", c->host, "pid", (json_int_t)c->pid, "slurm_job",
                     c->slurm_job, "world", c->world, "since", c->since, "process", owners[c->owner], "attempts",
                     (json_int_t)c->attempts);
}

static json_t *trial_object(const ap_tree_trial *name, const ap_trial_status *t) {
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:o}", "path", name->path, "state",
                          ap_trial_state_names[t->state], "submission", name->submission, "workload", name->workload,
                          "study", name->study, "trial", name->trial + 1, "expected_s", real(name->expected_s));
    if (!o) return NULL;
    if (t->state == AP_TRIAL_DONE) {
        json_object_set_new(o, "verdict", json_string(ap_verdict_names[t->summary.verdict]));
        json_object_set_new(o, "reason", json_string(t->summary.reason));
        json_object_set_new(o, "steps", json_integer(t->summary.steps));
        json_object_set_new(o, "evaluations", json_integer(t->summary.evaluations));
        json_object_set_new(o, "target_reached", json_boolean(t->summary.target_reached));
        return o;
    }
    json_object_set_new(o, "cancelled", json_boolean(t->cancelled));
    if (t->step >= 0) {
        json_object_set_new(o, "step", json_integer(t->step));
        json_object_set_new(o, "score_s", real(t->score_s));
        json_object_set_new(o, "budget_s", real(t->budget_s));
        json_object_set_new(o, "metric", json_string(t->metric_name));
        json_object_set_new(o, "validation", real(t->metric));
        json_object_set_new(o, "validation_target", real(t->target));
    }
    if (t->state != AP_TRIAL_PENDING) json_object_set_new(o, "owner", owner_object(&t->claim));
    return o;
}

char *ap_tree_status_json(const char *results, const ap_tree_status *s) {
    json_t *states = json_object(), *verdicts = json_object(), *trials = json_array(), *held = json_array();
    for (int i = 0; i < AP_TRIAL_STATES; i++)
        json_object_set_new(states, ap_trial_state_names[i], json_integer(s->states[i]));
    for (int v = AP_VERDICT_RUNNING + 1; v < AP_VERDICTS; v++)
        json_object_set_new(verdicts, ap_verdict_names[v], json_integer(s->verdicts[v]));
    for (int i = 0; i < s->list.n; i++)
        if (json_array_append_new(trials, trial_object(&s->list.trial[i], &s->trial[i]))) {
            json_decref(trials);
            trials = NULL;
            break;
        }
    for (int i = 0; i < s->held_count; i++)
        json_array_append_new(held, json_pack("{s:s, s:s}", "job", s->held[i].id, "reason", s->held[i].reason));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "results", results, "job_file", s->list.job_file,
                  "identity", s->list.identity, "count", s->list.n, "states", states, "verdicts", verdicts, "held_jobs",
                  held, "latest_end_s", real(s->latest_end_s), "trials", trials);
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    json_decref(o);
    return text;
}
