#include "harness/sweep.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "harness/claim.h"
#include "harness/placement.h"
#include "harness/schedule_model.h"
#include "harness/tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct sweep {
    const ap_job *job;
    ap_claimant claimant;
    bool wait;
    char world[128]; /* names this world in its claims */
    ap_group *group;
    int number;    /* of this group in its world, or among the launcher's */
    bool launched; /* by a launcher, which has entered the tree and checked its index, and counts at the end */
    ap_trial_list list;
    unsigned char *finished, *claimed; /* [trials], by number in the tree: as of the last look */
    bool looked;                       /* there was a search before */
    int held;                          /* claims of other worlds that held in the last thorough search */
} sweep;

/* ---- claiming */

/* *has: the trial is finished. A result that cannot be read is an error: to run the trial again would destroy it. */
static ap_status has_verdict(const ap_trial_spec *t, ap_result_summary *summary, bool *has, ap_error *error) {
    ap_status status = ap_result_summarise(t->directory, summary, error);
    if (status == AP_DATA) { /* damage is no verdict: the trial runs again, from its checkpoint if it has one */
        ap_log(AP_RANK, AP_LOG_WARNING, "%s; the trial runs again", error ? error->text : t->directory);
        *has = false;
        return AP_OK;
    }
    *has = !status && summary->evaluations >= 0 && summary->verdict != AP_VERDICT_RUNNING;
    return status;
}

static ap_status end_unrun(const ap_trial_spec *t, ap_verdict verdict, const char *reason, ap_error *error) {
    ap_log(AP_RANK, verdict == AP_VERDICT_CRASHED ? AP_LOG_ERROR : AP_LOG_INFO, "%s: %s: %s", t->directory,
           ap_verdict_names[verdict], reason);
    return ap_trial_close(t, verdict, reason, error);
}

/* A claimed trial. *mine: it is unfinished and may be started; else its verdict is in the index afterwards. */
static ap_status look_again(const ap_trial_spec *t, const ap_claim *claim, bool *mine, ap_error *error) {
    const ap_job *job = t->job;
    ap_result_summary summary;
    bool finished; /* the index does not know, or another has ended it between the look and the claim */
    AP_TRY(has_verdict(t, &summary, &finished, error));
    if (!finished) {
        char reason[128] = "";
        ap_verdict verdict = AP_VERDICT_RUNNING;
        if (claim->attempts > job->settings.max_attempts) {
            verdict = AP_VERDICT_CRASHED;
            snprintf(reason, sizeof reason, "ended its world %lld times without progress",
                     (long long)claim->attempts - 1);
        } else if (ap_cancel_is_asked(job->settings.results, t->index)) {
            verdict = AP_VERDICT_CANCELLED;
            snprintf(reason, sizeof reason, "by `algoperf cancel`, while nobody ran it");
        }
        *mine = verdict == AP_VERDICT_RUNNING;
        AP_TRY(ap_make_directories(t->directory, error));
        if (*mine) return AP_OK;
        AP_TRY(end_unrun(t, verdict, reason, error));
        AP_TRY(ap_result_summarise(t->directory, &summary, error));
    }
    ap_trial_tidy(t->directory); /* its owner died, or had a full disk, right after the verdict */
    ap_verdict_remove_temps(job->settings.results, t->index);
    return ap_verdict_record(job->settings.results, t->index, t->directory, &summary, error);
}

/* Tries to get trial t. *mine: it is claimed and unfinished. */
static ap_status try_trial(sweep *s, const ap_trial_spec *t, bool *mine, ap_error *error) {
    ap_claim claim;
    *mine = false;
    AP_TRY(ap_claim_take(&s->claimant, t->index, ap_checkpoint_newest(t->directory), &claim, error));
    s->claimed[t->index] = 1;
    if (!claim.taken) {
        ap_log(AP_RANK, AP_LOG_DEBUG, "%s is run by %s", t->directory, claim.owner);
        return AP_OK;
    }
    ap_status status = look_again(t, &claim, mine, error);
    *mine = *mine && !status;
    if (!status && !*mine) s->finished[t->index] = 1;
    if (!*mine) ap_claim_release(s->job->settings.results, t->index);
    return status;
}

/* A claim seen in the list: may it be taken? Counts those that other worlds hold. */
static bool is_void(sweep *s, const ap_trial_spec *t) {
    ap_claim_info info;
    if (!ap_claim_look(&s->claimant, t->index, &info)) return true; /* given back, or no claim of this program */
    bool yes = info.owner == AP_OWNER_GONE || (info.owner == AP_OWNER_UNKNOWN && s->claimant.reclaim);
    s->held += !yes && strcmp(info.world, s->world) != 0;
    return yes;
}

/* The first trial to be had, in order; *found is its place in the list or -1. thorough: claims of others are looked at,
 * whether they are void, and no free trial is left out. skip: leave as many to the groups with lower numbers, which
 * look at the same time. */
static ap_status search(sweep *s, bool thorough, int skip, int *found, ap_error *error) {
    const char *results = s->job->settings.results;
    AP_TRY(ap_verdicts_list(results, s->list.n, s->finished, error));
    AP_TRY(ap_claims_list(results, s->list.n, s->claimed, error));
    s->held = 0;
    int lost = 0; /* claims that another group was faster to take */
    for (int i = 0; i < s->list.n && *found < 0 && !ap_interrupted(); i++) {
        const ap_trial_spec *t = &s->list.trial[i];
        bool mine;
        if (s->finished[t->index]) continue;
        if (s->claimed[t->index] && !(thorough && is_void(s, t))) continue;
        if (skip-- > 0) continue;
        AP_TRY(try_trial(s, t, &mine, error));
        if (mine) *found = i;
        if (!thorough)
            skip = ap_schedule_leap(s->number + (int)(ap_digest64(s->world, strlen(s->world)) >> 40), ++lost);
    }
    return AP_OK;
}

/* Void claims are looked for at the start (a restarted job has left them, and they are the longest trials) and when
 * nothing else is left; in between that would only cost. Slurm is asked by one group of the world, or at the end. */
static ap_status find(sweep *s, int *found, ap_error *error) {
    bool first = !s->looked;
    s->looked = true;
    *found = -1;
    s->claimant.asks = !first || s->number == 0;
    AP_TRY(search(s, first, first ? s->number : 0, found, error));
    s->claimant.asks = true;
    if (*found < 0 && !ap_interrupted()) AP_TRY(search(s, true, 0, found, error));
    return AP_OK;
}

/* Half a second, or less if a signal comes. */
static void doze(void) {
    for (int i = 0; i < 10 && !ap_interrupted(); i++) nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

/* The next trial for this group, or NULL. Rank 0 looks, all learn. With `wait`: while others hold trials, it looks
 * again and again, and lets its ranks know meanwhile that all is well. Collective over the group. */
static ap_status next_trial(sweep *s, const ap_trial_spec **next, ap_error *error) {
    enum { NOTHING = -1, LATER = -2, LONGEST_PAUSE = 60 }; /* half seconds */
    int found = LATER, pause = 0, grown = 2;
    while (found == LATER) {
        ap_status status = AP_OK;
        ap_group_set_activity(s->group, "the choice of the next trial");
        if (ap_group_rank(s->group) == 0) {
            if (pause-- > 0) {
                doze();
            } else {
                status = find(s, &found, error);
                grown = grown < LONGEST_PAUSE / 2 ? grown * 2 : LONGEST_PAUSE;
                pause = grown;
                if (found < 0 && s->wait && s->held && !status) found = LATER;
            }
            if (ap_interrupted() && found < 0) found = NOTHING;
        }
        AP_TRY(ap_group_agree(s->group, status, error));
        AP_TRY(ap_group_broadcast(s->group, &found, sizeof found, 0, error));
    }
    *next = found < 0 ? NULL : &s->list.trial[found];
    return AP_OK;
}

/* ---- running */

static void say(const ap_trial_spec *t, const ap_trial_outcome *o) {
    bool bad = o->status != AP_OK;
    ap_log(AP_RANK, bad ? AP_LOG_ERROR : AP_LOG_INFO, "%s: %s after %lld steps, %.2f s%s%s", t->directory,
           o->interrupted ? "interrupted" : ap_verdict_names[o->verdict], (long long)o->steps, o->submission_time_s,
           *o->reason ? ": " : "", o->reason);
}

/* The trial has ended here: its verdict goes into the index, then the claim is given back. Rank 0. */
static ap_status put_away(const ap_trial_spec *t, const ap_trial_outcome *o, ap_error *error) {
    ap_status status = AP_OK;
    say(t, o);
    if (!o->interrupted) {
        ap_result_summary summary = {.verdict = o->verdict,
                                     .steps = o->steps,
                                     .evaluations = o->evaluations,
                                     .target_reached = o->reached,
                                     .status = o->status};
        snprintf(summary.reason, sizeof summary.reason, "%s", o->reason);
        status = ap_verdict_record(t->job->settings.results, t->index, t->directory, &summary, error);
    }
    ap_claim_release(t->job->settings.results, t->index);
    return status;
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
            if (root && status != AP_ENVIRONMENT) ap_claim_release(s->job->settings.results, t->index);
            return status;
        }
        if (root) status = put_away(t, &outcome, error);
        AP_TRY(ap_group_agree(s->group, status, error));
        *interrupted |= outcome.interrupted;
        if (outcome.interrupted) break;
    }
    double flag = *interrupted || ap_interrupted();
    AP_TRY(ap_group_max_f64(s->group, &flag, 1, error));
    *interrupted = flag > 0;
    return AP_OK;
}

/* ---- the whole */

/* World ranks into groups, inside hosts where they fit. */
static ap_status split(MPI_Comm world, const ap_job *job, MPI_Comm *mine, int *number, ap_error *error) {
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
                       "%d ranks cannot be split into groups of ranks_per_trial = %d: start %d or %d (mpirun -n, or "
                       "srun -n)",
                       ranks, per, ranks / per * per, (ranks / per + 1) * per);
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    uint64_t host = ap_digest_of(name, strlen(name)).low;
    uint64_t *hosts = malloc((size_t)ranks * sizeof *hosts);
    int *groups = malloc((size_t)ranks * sizeof *groups);
    ap_status status = hosts && groups ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for %d ranks", ranks);
    if (!status) {
        MPI_Allgather(&host, 1, MPI_UINT64_T, hosts, 1, MPI_UINT64_T, world);
        status = ap_place_ranks(ranks, hosts, per, groups, error);
    }
    if (!status) {
        *number = groups[rank];
        MPI_Comm_split(world, *number, rank, mine);
    }
    free(hosts);
    free(groups);
    return status;
}

/* A text that all ranks of this world share and no other world has. */
static void name_world(sweep *s, MPI_Comm world, const char *given) {
    if (given)
        snprintf(s->world, sizeof s->world, "%s", given);
    else
        ap_world_name_make(s->world);
    MPI_Bcast(s->world, sizeof s->world, MPI_CHAR, 0, world);
    s->claimant.world = s->world;
}

/* Group, list of trials, result tree. */
static ap_status start(sweep *s, MPI_Comm comm, ap_error *error) {
    const ap_job_settings *settings = &s->job->settings;
    AP_TRY(ap_group_create(comm, (int)settings->shards, settings->watchdog_s, &s->group, error));
    ap_status status = ap_trial_list_make(s->job, &s->list, error);
    if (!status) {
        s->finished = calloc((size_t)s->list.n, 1), s->claimed = calloc((size_t)s->list.n, 1);
        if (!s->finished || !s->claimed) status = ap_fail(error, AP_ENVIRONMENT, "out of memory");
    }
    if (!status && ap_group_rank(s->group) == 0) {
        status = ap_sweep_enter(s->job, &s->list, error);
        if (!status && !s->launched && s->number == 0) status = ap_sweep_check_verdicts(s->job, &s->list, error);
    }
    return ap_group_agree(s->group, status, error);
}

/* Without MPI_Barrier's spinning: groups finish minutes apart. */
static void wait_for_world(MPI_Comm world) {
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(world, &request);
    for (;;) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done) return;
        ap_interrupted(); /* a signal that came to this rank alone goes on to those at work */
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
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
    int code = rank == 0 && !s->launched ? (int)ap_sweep_count(s->job, &s->list, s->world, summary, error) : 0;
    MPI_Bcast(&code, 1, MPI_INT, 0, world);
    if (summary->interrupted)
        return ap_fail(error, AP_INTERRUPTED, "stopped by a signal; run the same command again to go on");
    return code && rank ? ap_fail(error, (ap_status)code, "see rank 0") : (ap_status)code;
}

ap_status ap_sweep_run(MPI_Comm world, const ap_sweep_options *options, ap_sweep_summary *summary, bool *broken,
                       ap_error *error) {
    sweep s = {.job = options->job,
               .claimant = {.results = options->job->settings.results, .reclaim = options->reclaim},
               .wait = options->wait,
               .launched = options->world != NULL};
    MPI_Comm comm = MPI_COMM_NULL;
    bool interrupted = false;
    int rank_in_group;
    *summary = (ap_sweep_summary){0};
    *broken = false;
    AP_TRY(split(world, s.job, &comm, &s.number, error)); /* fails alike on all ranks */
    if (options->world) s.number = options->group;
    name_world(&s, world, options->world);
    MPI_Comm_rank(comm, &rank_in_group);
    AP_TRY(ap_interrupt_share(world, rank_in_group == 0, error));
    ap_status status = start(&s, comm, error);
    if (!status) status = run_trials(&s, &interrupted, error);
    *broken = s.group && ap_group_is_broken(s.group);
    if (!*broken) {
        status = conclude(&s, world, status, interrupted, summary, error);
        ap_interrupt_unshare();
    }
    ap_group_destroy(s.group);
    if (!*broken) MPI_Comm_free(&comm);
    ap_trial_list_free(&s.list);
    free(s.finished);
    free(s.claimed);
    return status;
}
