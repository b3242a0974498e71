#include "harness/sweep.h"

#include "base/log.h"
#include "harness/claim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- the list of trials */

typedef struct sweep {
    const ap_job *job;
    ap_claimant claimant;
    char world[128]; /* names this world in its claims */
    ap_group *group;
    int trials;
    ap_trial_spec *trial;
    int at; /* the next one to look at */
} sweep;

ap_status ap_trial_directory(const ap_job *job, int submission, int study, int workload, int trial, char path[AP_PATH],
                             ap_error *error) {
    return ap_path(path, error, "%s/%s/study_%d/%s/trial_%d", job->settings.results,
                   job->submission[submission].loaded->name, study, job->workload[workload].label, trial + 1);
}

static double expected_s(const ap_trial_spec *t) {
    return t->job->workload[t->workload].problem->scale.max_runtime_s;
}
/* Longest expected first; among equals the order of the job file, study by study. */
static int longest_first(const void *a, const void *b) {
    const ap_trial_spec *x = a, *y = b;
    double difference = expected_s(y) - expected_s(x);
    if (difference != 0) return difference > 0 ? 1 : -1;
    const int order[] = {x->study - y->study, x->workload - y->workload, x->submission - y->submission,
                         x->trial - y->trial};
    for (int i = 0; i < 4; i++)
        if (order[i]) return order[i];
    return 0;
}

static ap_status list_trials(sweep *s, ap_error *error) {
    const ap_job *job = s->job;
    int64_t n = 0;
    for (int i = 0; i < job->submissions; i++) n += job->settings.studies * job->workloads * ap_job_trials(job, i);
    s->trial = calloc((size_t)n, sizeof *s->trial);
    if (!s->trial) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %lld trials", (long long)n);
    for (int study = 0; study < job->settings.studies; study++)
        for (int w = 0; w < job->workloads; w++)
            for (int i = 0; i < job->submissions; i++)
                for (int k = 0; k < ap_job_trials(job, i); k++) {
                    ap_trial_spec *t = &s->trial[s->trials];
                    *t = (ap_trial_spec){
                        .job = job, .submission = i, .study = study, .workload = w, .trial = k, .index = s->trials++};
                    AP_TRY(ap_trial_directory(job, i, study, w, k, t->directory, error));
                }
    qsort(s->trial, (size_t)s->trials, sizeof *s->trial, longest_first);
    return AP_OK;
}

/* ---- one tree, one job */

/* The first job writes its description; others must have the same. Rank 0 of a group. */
static ap_status enter_tree(const ap_job *job, ap_error *error) {
    char path[AP_PATH];
    const char *results = job->settings.results;
    AP_TRY(ap_claims_prepare(results, error));
    AP_TRY(ap_path(path, error, "%s/job.txt", results));
    bool created = false;
    AP_TRY(ap_create_exclusive(path, job->description, strlen(job->description), &created, error));
    if (created) return AP_OK;
    char *there = NULL;
    size_t n = 0;
    AP_TRY(ap_read_file(path, 1 << 24, &there, &n, error));
    ap_status status = AP_OK;
    if (strcmp(there, job->description)) {
        const char *a = there, *b = job->description, *line_a = a, *line_b = b;
        for (; *a && *a == *b; a++, b++)
            if (*a == '\n') line_a = a + 1, line_b = b + 1;
        status = ap_fail(error, AP_CONFIG,
                         "%s belongs to another job: it has \"%.*s\" where this one has \"%.*s\" (see %s); choose "
                         "another `results` folder",
                         results, (int)strcspn(line_a, "\n"), line_a, (int)strcspn(line_b, "\n"), line_b, path);
    }
    free(there);
    return status;
}

/* ---- claiming */

/* *has: the trial is finished. A result that cannot be read is an error: to run the trial again would destroy it. */
static ap_status has_verdict(const ap_trial_spec *t, bool *has, ap_error *error) {
    ap_result_summary summary;
    ap_status status = ap_result_summarise(t->directory, &summary, error);
    if (status == AP_DATA) { /* damage is no verdict: the trial runs again, from its checkpoint if it has one */
        ap_log(AP_RANK, AP_LOG_WARNING, "%s; the trial runs again", error ? error->text : t->directory);
        *has = false;
        return AP_OK;
    }
    *has = !status && summary.evaluations >= 0 && summary.verdict != AP_VERDICT_RUNNING;
    return status;
}

/* A claimed trial. *mine: it is unfinished and may be started. */
static ap_status look_again(const ap_trial_spec *t, const ap_claim *claim, bool *mine, ap_error *error) {
    bool finished; /* between the first look and the claim */
    AP_TRY(has_verdict(t, &finished, error));
    *mine = !finished && claim->attempts <= t->job->settings.max_attempts;
    if (finished || *mine) return AP_OK;
    ap_log(AP_RANK, AP_LOG_ERROR, "%s ended its world %lld times without progress: crashed", t->directory,
           (long long)claim->attempts - 1);
    return ap_trial_give_up(t, (int)claim->attempts - 1, error);
}

/* Tries to get trial t. *mine: it is claimed and unfinished. */
static ap_status try_trial(const sweep *s, const ap_trial_spec *t, bool *mine, ap_error *error) {
    bool finished;
    *mine = false;
    AP_TRY(has_verdict(t, &finished, error));
    if (finished) return AP_OK;
    AP_TRY(ap_make_directories(t->directory, error));
    ap_claim claim;
    AP_TRY(ap_claim_take(&s->claimant, t->index, ap_checkpoint_newest(t->directory), &claim, error));
    if (!claim.taken) {
        ap_log(AP_RANK, AP_LOG_DEBUG, "%s is run by %s", t->directory, claim.owner);
        return AP_OK;
    }
    ap_remove_stale_temps(t->directory);
    ap_status status = look_again(t, &claim, mine, error);
    if (!status && !*mine) ap_claim_release(t->job->settings.results, t->index);
    return status;
}

/* The next trial for this group, or NULL. Rank 0 looks, all learn. Collective over the group. */
static ap_status next_trial(sweep *s, const ap_trial_spec **next, ap_error *error) {
    int found = -1;
    ap_status status = AP_OK;
    ap_group_set_activity(s->group, "the choice of the next trial");
    if (ap_group_rank(s->group) == 0)
        for (; s->at < s->trials && found < 0 && !status && !ap_interrupted(); s->at++) {
            bool mine;
            status = try_trial(s, &s->trial[s->at], &mine, error);
            if (!status && mine) found = s->at;
        }
    AP_TRY(ap_group_agree(s->group, status, error));
    AP_TRY(ap_group_broadcast(s->group, &found, sizeof found, 0, error));
    *next = found < 0 ? NULL : &s->trial[found];
    return AP_OK;
}

/* ---- running */

static void say(const ap_trial_spec *t, const ap_trial_outcome *o) {
    bool bad = o->status != AP_OK;
    ap_log(AP_RANK, bad ? AP_LOG_ERROR : AP_LOG_INFO, "%s: %s after %lld steps, %.2f s%s%s", t->directory,
           o->interrupted ? "interrupted" : ap_verdict_names[o->verdict], (long long)o->steps, o->submission_time_s,
           *o->reason ? ": " : "", o->reason);
}

static ap_status run_trials(sweep *s, bool *interrupted, ap_error *error) {
    bool root = ap_group_rank(s->group) == 0;
    for (;;) {
        const ap_trial_spec *t;
        AP_TRY(next_trial(s, &t, error));
        if (!t) break;
        ap_trial_outcome outcome;
        ap_status status = ap_trial_run(s->group, t, &outcome, error);
        if (status) {
            ap_context(error, "%s", t->directory);
            /* No infrastructure failure is the trial's fault: the claim is given back, unless a rank is stuck in it. */
            if (root && status != AP_ENVIRONMENT) ap_claim_release(t->job->settings.results, t->index);
            return status;
        }
        if (root) {
            say(t, &outcome);
            ap_claim_release(t->job->settings.results, t->index);
        }
        *interrupted |= outcome.interrupted;
        if (outcome.interrupted) break;
    }
    double flag = *interrupted || ap_interrupted();
    AP_TRY(ap_group_max_f64(s->group, &flag, 1, error));
    *interrupted = flag > 0;
    return AP_OK;
}

/* Without MPI_Barrier's spinning: groups finish minutes apart. */
static void wait_for_world(MPI_Comm world) {
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(world, &request);
    for (;;) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done) return;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

/* ---- the tree as it is now */

/* Trials that others have: they may be at work, or gone without that this host could know. */
static void say_claimed(const sweep *s) {
    char first[256] = "";
    int claimed = 0;
    const char *where = "";
    ap_claim_info info;
    for (int i = 0; i < s->trials; i++) {
        if (!ap_claim_look(&s->claimant, s->trial[i].index, &info) || claimed++) continue;
        ap_claim_owner_text(&info, first);
        where = s->trial[i].directory;
    }
    if (claimed)
        ap_log(AP_GLOBAL, AP_LOG_WARNING,
               "%d trial%s claimed by other processes, the first (%s) by %s; if that one is gone, run again with "
               "--reclaim",
               claimed, claimed == 1 ? " is" : "s are", where, first);
}

static ap_status count(const sweep *s, ap_sweep_summary *summary, ap_error *error) {
    ap_status first_failure = AP_OK;
    const ap_job *job = s->job;
    int cells = job->submissions * job->workloads * (int)job->settings.studies;
    bool *reached = calloc((size_t)cells + 1, sizeof *reached);
    if (!reached) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    summary->trials = s->trials;
    summary->studies = cells;
    for (int i = 0; i < s->trials; i++) {
        const ap_trial_spec *t = &s->trial[i];
        ap_result_summary r;
        ap_error e;
        if (ap_result_summarise(t->directory, &r, &e)) r = (ap_result_summary){.verdict = AP_VERDICT_RUNNING};
        summary->verdicts[r.evaluations < 0 ? AP_VERDICT_RUNNING : r.verdict]++;
        if (r.verdict == AP_VERDICT_DIVERGED || r.verdict == AP_VERDICT_FAILED || r.verdict == AP_VERDICT_CRASHED)
            if (!first_failure) {
                first_failure = r.verdict == AP_VERDICT_DIVERGED  ? AP_NUMERIC
                                : r.verdict == AP_VERDICT_CRASHED ? AP_ENVIRONMENT
                                                                  : (r.status ? r.status : AP_SUBMISSION);
                ap_fail(error, first_failure, "%s: %s: %s", t->directory, ap_verdict_names[r.verdict], r.reason);
            }
        bool *cell = &reached[(t->submission * job->workloads + t->workload) * (int)job->settings.studies + t->study];
        if (r.target_reached && !*cell) *cell = true, summary->studies_reached++;
    }
    free(reached);
    if (summary->verdicts[AP_VERDICT_RUNNING]) say_claimed(s);
    if (first_failure) return first_failure;
    if (summary->verdicts[AP_VERDICT_RUNNING] == 0 && summary->studies_reached < cells)
        return ap_fail(error, AP_TARGET_NOT_REACHED, "%d of %d studies ended without a trial that reached its target",
                       cells - summary->studies_reached, cells);
    return AP_OK;
}

/* ---- the whole */

/* World ranks into groups of neighbours. */
static ap_status split(MPI_Comm world, const ap_job *job, MPI_Comm *mine, ap_error *error) {
    int rank, ranks, per = (int)job->settings.ranks_per_trial;
    MPI_Comm_rank(world, &rank);
    MPI_Comm_size(world, &ranks);
    if (per == 0) per = ranks;
    if (per > ranks)
        return ap_fail(error, AP_ENVIRONMENT,
                       "the job wants ranks_per_trial = %d and this world has %d rank%s: start it with `mpirun -n %d "
                       "algoperf run ...` (or srun -n %d), or set ranks_per_trial = 0 for all ranks there are",
                       per, ranks, ranks == 1 ? "" : "s", per, per);
    if (ranks % per)
        return ap_fail(error, AP_ENVIRONMENT,
                       "%d ranks cannot be split into groups of ranks_per_trial = %d: start %d or %d", ranks, per,
                       ranks / per * per, (ranks / per + 1) * per);
    MPI_Comm_split(world, rank / per, rank, mine);
    return AP_OK;
}

/* A text that all ranks of this world share and no other world has. */
static void name_world(sweep *s, MPI_Comm world) {
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    snprintf(s->world, sizeof s->world, "%s.%ld.%lld", host, (long)getpid(), (long long)ap_clock_ns());
    MPI_Bcast(s->world, sizeof s->world, MPI_CHAR, 0, world);
    s->claimant.world = s->world;
}

/* Group, list of trials, result tree. */
static ap_status start(sweep *s, MPI_Comm comm, ap_error *error) {
    const ap_job_settings *settings = &s->job->settings;
    AP_TRY(ap_group_create(comm, (int)settings->shards, settings->watchdog_s, &s->group, error));
    AP_TRY(ap_group_agree(s->group, list_trials(s, error), error));
    ap_status entered = ap_group_rank(s->group) == 0 ? enter_tree(s->job, error) : AP_OK;
    return ap_group_agree(s->group, entered, error);
}

/* All groups are through: one status and one summary for the whole world. Collective over the world. */
static ap_status conclude(const sweep *s, MPI_Comm world, ap_status status, bool interrupted, ap_sweep_summary *summary,
                          ap_error *error) {
    int rank, codes[2] = {(int)status, interrupted}, worst[2];
    MPI_Comm_rank(world, &rank);
    if (status && rank && s->group && ap_group_rank(s->group) == 0) /* rank 0's error is printed by the program */
        ap_log(AP_RANK, AP_LOG_ERROR, "%s", error ? error->text : "failed");
    wait_for_world(world); /* after a failure the other groups go on with their trials */
    MPI_Allreduce(codes, worst, 2, MPI_INT, MPI_MAX, world);
    summary->interrupted = worst[1] != 0;
    if (status) return status;
    if (worst[0]) return ap_fail(error, (ap_status)worst[0], "another group of this world failed");
    int code = rank == 0 ? (int)count(s, summary, error) : 0;
    MPI_Bcast(&code, 1, MPI_INT, 0, world);
    if (summary->interrupted)
        return ap_fail(error, AP_INTERRUPTED, "stopped by a signal; run the same command again to go on");
    return code && rank ? ap_fail(error, (ap_status)code, "see rank 0") : (ap_status)code;
}

ap_status ap_sweep_run(MPI_Comm world, const ap_sweep_options *options, ap_sweep_summary *summary, bool *broken,
                       ap_error *error) {
    sweep s = {.job = options->job,
               .claimant = {.results = options->job->settings.results, .reclaim = options->reclaim, .asks = true}};
    MPI_Comm comm = MPI_COMM_NULL;
    bool interrupted = false;
    *summary = (ap_sweep_summary){0};
    *broken = false;
    AP_TRY(split(world, s.job, &comm, error)); /* fails alike on all ranks */
    name_world(&s, world);
    ap_status status = start(&s, comm, error);
    if (!status) status = run_trials(&s, &interrupted, error);
    *broken = s.group && ap_group_is_broken(s.group);
    if (!*broken) status = conclude(&s, world, status, interrupted, summary, error);
    ap_group_destroy(s.group);
    if (!*broken) MPI_Comm_free(&comm);
    free(s.trial);
    return status;
}
