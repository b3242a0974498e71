#include "harness/slurm_jobs.h"

#include "base/child.h"
#include "base/file.h"
#include "harness/provenance.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { JOBS = 256, LIMIT = 1 << 28, ANSWER = 1 << 20 };

typedef struct job_names {
    int n;
    char name[JOBS][64];
} job_names;

/* ---- lines of JSON */

/* Calls `use` with every line of the file that is a JSON object. False: the file cannot be read. */
static bool each_line(const char *path, void (*use)(const json_t *line, void *data), void *data) {
    char *text = NULL;
    size_t n = 0;
    if (!ap_file_exists(path) || ap_read_file(path, LIMIT, &text, &n, NULL)) return false;
    for (const char *line = text, *end; (end = memchr(line, '\n', n - (size_t)(line - text))); line = end + 1) {
        json_t *object = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (json_is_object(object)) use(object, data);
        json_decref(object);
    }
    free(text);
    return true;
}

/* A member as text for a terminal; "-": not there. */
static const char *member(const json_t *object, const char *key, char text[256]) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value))
        snprintf(text, 256, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(text, 256, "%lld", (long long)json_integer_value(value));
    else
        snprintf(text, 256, "-");
    ap_clean_text(text);
    return text;
}

static bool is_event(const json_t *line, const char *event) {
    const char *text = json_string_value(json_object_get(line, "event"));
    return text && !strcmp(text, event);
}

/* ---- which jobs */

static const char *fact(const json_t *provenance, const char *key) {
    const char *text = json_string_value(json_object_get(provenance, key));
    return text && *text && strspn(text, "0123456789") == strlen(text) ? text : NULL;
}

/* Of the lines that hold a provenance: "17", or "17_3" for a task of an array, as the batch script names its record. */
static void note_job(const json_t *line, void *data) {
    job_names *jobs = data;
    const json_t *provenance = json_object_get(line, "provenance");
    const char *job = fact(provenance, "SLURM_JOB_ID"), *array = fact(provenance, "SLURM_ARRAY_JOB_ID"),
               *task = fact(provenance, "SLURM_ARRAY_TASK_ID");
    char name[64];
    if (!job || jobs->n == JOBS) return;
    if (array && task)
        snprintf(name, sizeof name, "%s_%s", array, task);
    else
        snprintf(name, sizeof name, "%s", job);
    for (int i = 0; i < jobs->n; i++)
        if (!strcmp(jobs->name[i], name)) return;
    memcpy(jobs->name[jobs->n++], name, sizeof name);
}

/* ---- their stories */

typedef struct page {
    FILE *out;
    const char *job;
    bool open;          /* a start whose end has not been told */
    json_t *accounting; /* the last such line */
} page;

static void end_line(page *p) {
    if (p->open) fprintf(p->out, ": no end recorded (it runs, or was killed with its node)\n");
    p->open = false;
}

static void tell(const json_t *line, void *data) {
    page *p = data;
    char a[256], b[256], c[256], d[256];
    if (is_event(line, "started")) {
        end_line(p);
        fprintf(p->out, "  job %s, restart %s: on %s, partition %s, %s tasks", p->job, member(line, "restart", a),
                member(line, "nodes", b), member(line, "partition", c), member(line, "tasks", d));
        p->open = true;
    } else if (is_event(line, "ended") && p->open) {
        fprintf(p->out, ": %s after %s s: %s\n", member(line, "how", a), member(line, "elapsed_s", b),
                member(line, "why", c));
        p->open = false;
    } else if (is_event(line, "accounting")) {
        json_t *copy = json_deep_copy(line);
        json_decref(p->accounting);
        p->accounting = copy;
    }
}

static void tell_accounting(const page *p) {
    const json_t *line = p->accounting, *run;
    size_t i;
    char a[256], b[256], c[256], d[256], e[256];
    if (!line) return;
    json_array_foreach(json_object_get(line, "runs"), i, run)
        fprintf(p->out, "  job %s by accounting (%s): on %s, %s, exit code %s, from %s to %s\n", p->job,
                member(line, "source", a), member(run, "nodes", b), member(run, "state", c),
                member(run, "exit_code", d), member(run, "start", e), member(run, "end", a));
    if (json_is_string(json_object_get(line, "note")))
        fprintf(p->out, "  job %s: %s\n", p->job, member(line, "note", a));
    json_array_foreach(json_object_get(line, "runs"), i, run) if (json_is_integer(json_object_get(run, "energy_J")))
        fprintf(p->out, "  job %s: %s J\n", p->job, member(run, "energy_J", a));
}

void ap_slurm_jobs_print(const char *path, FILE *out) {
    char folder[AP_PATH], file[AP_PATH];
    struct stat info;
    const char *slash = strrchr(path, '/');
    bool is_folder = !stat(path, &info) && S_ISDIR(info.st_mode);
    if (is_folder ? ap_path(folder, NULL, "%s", path)
                  : ap_path(folder, NULL, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : "."))
        return;
    job_names *jobs = calloc(1, sizeof *jobs);
    if (!jobs || ap_path(file, NULL, "%s/events.jsonl", folder) || !each_line(file, note_job, jobs) || jobs->n == 0) {
        free(jobs);
        return;
    }
    fprintf(out, "\nSlurm jobs\n");
    for (int i = 0; i < jobs->n; i++) {
        page p = {.out = out, .job = jobs->name[i]};
        if (ap_path(file, NULL, "%s/../../../../jobs/%s.jsonl", folder, jobs->name[i]) || !each_line(file, tell, &p))
            fprintf(out, "  job %s: it left no record in the result tree's folder `jobs`\n", jobs->name[i]);
        end_line(&p);
        tell_accounting(&p);
        json_decref(p.accounting);
    }
    free(jobs);
}

/* ---- jobs that are held */

/* By its record, or, before its first start, by the script that it was submitted with. */
static bool is_of_sweep(const char *folder, const char *id, const char *command) {
    char record[AP_PATH];
    size_t n = strlen(folder);
    if (strspn(id, "0123456789_") != strlen(id)) return false;
    if (!strncmp(command, folder, n) && command[n] == '/') return true;
    return !ap_path(record, NULL, "%s/%s.jsonl", folder, id) && ap_file_exists(record);
}

/* JobHeldUser, JobHeldAdmin, "launch failed requeued held", "job requeued in held state", JobHoldMaxRequeue. */
static bool is_held(const char *reason) {
    return strcasestr(reason, "held") || strcasestr(reason, "hold");
}

int ap_slurm_jobs_held(const char *results, ap_held_job held[AP_HELD_JOBS]) {
    static const char *const argv[] = {"squeue", "-h",       "-a", "-r", "-t", "PENDING,REQUEUE_HOLD,SPECIAL_EXIT",
                                       "-o",     "%i|%r|%o", NULL};
    char folder[AP_PATH], real[PATH_MAX];
    int n = 0, code;
    if (ap_path(folder, NULL, "%s/jobs", results) || !realpath(folder, real) || !ap_child_exists("squeue")) return 0;
    char *answer = malloc(ANSWER);
    bool answered = answer && !ap_child_output(argv, 10, answer, ANSWER, &code, NULL) && code == 0;
    char *rest = answered ? answer : NULL;
    for (char *line; n < AP_HELD_JOBS && (line = strsep(&rest, "\n"));) {
        const char *id = strsep(&line, "|"), *reason = strsep(&line, "|");
        if (!reason || !line || !is_held(reason) || !is_of_sweep(real, id, line)) continue;
        snprintf(held[n].id, sizeof held[n].id, "%s", id);
        snprintf(held[n].reason, sizeof held[n].reason, "%s", reason);
        ap_clean_text(held[n++].reason);
    }
    free(answer);
    return n;
}
