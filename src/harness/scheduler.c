#include "harness/scheduler.h"

#include "base/child.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ANSWERS = 256, OUTPUT = 1 << 16 };
static const double silence_s = 60; /* after the controller did not answer */
static const double settled_s = 60; /* after the controller has started */
static double again_s = 60, limit_s = 10;

/* ---- who we are */

static void copy(char *to, size_t size, const char *variable) {
    const char *value = getenv(variable);
    snprintf(to, size, "%s", value ? value : "");
}

void ap_slurm_place_here(ap_slurm_place *place) {
    const char *array = getenv("SLURM_ARRAY_JOB_ID"), *task = getenv("SLURM_ARRAY_TASK_ID");
    const char *restart = getenv("SLURM_RESTART_COUNT"); /* unset before the first restart */
    *place = (ap_slurm_place){.restart = restart ? atoll(restart) : 0};
    copy(place->job, sizeof place->job, "SLURM_JOB_ID");
    if (!*place->job) return;
    copy(place->cluster, sizeof place->cluster, "SLURM_CLUSTER_NAME");
    copy(place->step, sizeof place->step, "SLURM_STEP_ID");
    if (strtoll(place->step, NULL, 10) > 1000000000) *place->step = '\0'; /* Slurm's own steps: batch, extern, ... */
    if (array && task) snprintf(place->array_task, sizeof place->array_task, "%s_%s", array, task);
}

/* ---- asking */

static int64_t silent_until_ns; /* 0: the controller answers */

/* False: no answer. */
static bool ask(const char *const *argv, char output[OUTPUT], int *code) {
    ap_error error;
    if (ap_child_output(argv, limit_s, output, OUTPUT, code, &error) == AP_OK &&
        (*code == 0 || strstr(output, "Invalid job id")) && strlen(output) < OUTPUT - 1)
        return true;
    silent_until_ns = ap_clock_ns() + (int64_t)(silence_s * 1e9);
    return false;
}

/* Outside a job the environment does not tell which cluster squeue speaks of. */
static const char *local_cluster(void) {
    static char name[64];
    const char *variable = getenv("SLURM_CLUSTER_NAME");
    if (variable && *variable) return variable;
    if (*name) return name;
    static char output[OUTPUT];
    int code;
    if (!ask((const char *const[]){"scontrol", "show", "config", NULL}, output, &code)) return "";
    const char *line = strstr(output, "ClusterName");
    if (line) sscanf(line, "ClusterName = %63s", name);
    return name;
}

/* The controller writes its state down every few seconds. One that was killed and started again has forgotten the last
 * of them, and speaks of jobs and steps that run as waiting or unknown until their nodes have reported and have ended
 * what it does not know. True: it has been up for long enough to be believed. Its own clock tells, both times. */
static bool controller_is_settled(void) {
    static char output[OUTPUT];
    static const char *const lines[] = {"Configuration data as of ", "BOOT_TIME"};
    struct tm at[2] = {{.tm_isdst = -1}, {.tm_isdst = -1}};
    int code;
    if (!ask((const char *const[]){"scontrol", "show", "config", NULL}, output, &code)) return false;
    for (int i = 0; i < 2; i++) {
        const char *text = strstr(output, lines[i]);
        if (!text) return false;
        text += strlen(lines[i]);
        text += strspn(text, " =");
        if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &at[i])) return false;
    }
    return difftime(mktime(&at[0]), mktime(&at[1])) >= settled_s;
}

/* Lines are "JOB STATE RESTARTS". A requeue counts as a restart from the moment it is asked for, while the processes of
 * the start before are still given time to end (COMPLETING). */
static ap_job_state find_job(char *output, const ap_slurm_place *place) {
    static const char *const over[] = {"COMPLETED", "CANCELLED",   "FAILED",       "TIMEOUT",       "NODE_FAIL",
                                       "PREEMPTED", "BOOT_FAIL",   "DEADLINE",     "OUT_OF_MEMORY", "REQUEUE_HOLD",
                                       "REQUEUED",  "REQUEUE_FED", "SPECIAL_EXIT", "REVOKED",       NULL};
    char *rest = output;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char job[32], state[32];
        long long restarts;
        if (sscanf(line, "%31s %31s %lld", job, state, &restarts) != 3 || strcmp(job, place->job)) continue;
        if (!strcmp(state, "COMPLETING")) return AP_JOB_LIVES;
        if (restarts > place->restart) return AP_JOB_GONE;
        if (restarts < place->restart || !strcmp(state, "PENDING"))
            return AP_JOB_UNKNOWN; /* the claim knows of a later start than the controller does */
        for (const char *const *s = over; *s; s++)
            if (!strcmp(state, *s)) return AP_JOB_GONE;
        return AP_JOB_LIVES;
    }
    return AP_JOB_GONE;
}

static ap_job_state ask_for_job(const ap_slurm_place *place) {
    static char output[OUTPUT];
    int code;
    /* the first job id of an array would list all its tasks */
    const char *job = *place->array_task ? place->array_task : place->job;
    const char *const argv[] = {"squeue", "-h", "-j", job, "-O", "JobID:20,State:20,RestartCnt:12", NULL};
    if (!ask(argv, output, &code)) return AP_JOB_UNKNOWN;
    return code ? AP_JOB_GONE : find_job(output, place); /* "Invalid job id": Slurm has forgotten it */
}

/* The first word of a line is "JOB.STEP", of an array's task "ARRAY_TASK.STEP". */
static ap_job_state ask_for_step(const ap_slurm_place *place) {
    static char output[OUTPUT];
    char question[64], answer[80], *rest = output;
    int code;
    snprintf(question, sizeof question, "%s.%s", place->job, place->step);
    snprintf(answer, sizeof answer, "%s.%s", *place->array_task ? place->array_task : place->job, place->step);
    if (!ask((const char *const[]){"squeue", "-h", "-s", question, NULL}, output, &code)) return AP_JOB_UNKNOWN;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char step[80];
        if (sscanf(line, "%79s", step) == 1 && (!strcmp(step, answer) || !strcmp(step, question))) return AP_JOB_LIVES;
    }
    return AP_JOB_GONE;
}

static ap_job_state ask_now(const ap_slurm_place *place) {
    if (!ap_child_exists("squeue")) return AP_JOB_UNKNOWN;
    if (*place->cluster && strcmp(place->cluster, local_cluster())) return AP_JOB_UNKNOWN;
    ap_job_state state = ask_for_job(place);
    if (state == AP_JOB_LIVES && *place->step) state = ask_for_step(place);
    return state == AP_JOB_GONE && !controller_is_settled() ? AP_JOB_UNKNOWN : state;
}

/* ---- answers that are still good */

typedef struct answer {
    ap_slurm_place place;
    ap_job_state state;
    int64_t until_ns;
} answer;
static answer answers[ANSWERS];
static int answer_count, next_answer;

static bool same_place(const ap_slurm_place *a, const ap_slurm_place *b) {
    return a->restart == b->restart && !strcmp(a->job, b->job) && !strcmp(a->step, b->step) &&
           !strcmp(a->cluster, b->cluster);
}

void ap_slurm_set_patience(double again, double limit) {
    again_s = again, limit_s = limit;
    answer_count = next_answer = 0;
    silent_until_ns = 0;
}

ap_job_state ap_slurm_ask(const ap_slurm_place *place) {
    if (!*place->job) return AP_JOB_UNKNOWN;
    int64_t now = ap_clock_ns();
    answer *a = NULL;
    for (int i = 0; i < answer_count && !a; i++)
        if (same_place(&answers[i].place, place)) a = &answers[i];
    if (a && (a->state == AP_JOB_GONE || now < a->until_ns)) return a->state;
    if (now < silent_until_ns) return AP_JOB_UNKNOWN;
    if (!a) {
        a = &answers[next_answer];
        next_answer = (next_answer + 1) % ANSWERS;
        if (answer_count < ANSWERS) answer_count++;
    }
    *a = (answer){.place = *place, .state = ask_now(place), .until_ns = ap_clock_ns() + (int64_t)(again_s * 1e9)};
    return a->state;
}
