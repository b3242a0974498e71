#include "harness/launch.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "harness/claim.h"
#include "harness/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FRUITLESS = 3 };
static const double remind_s = 5; /* a world that was only just starting may not have heard the first signal */

typedef struct world {
    const ap_group_place *place;
    pid_t pid;                              /* 0: not running */
    int starts, fruitless, verdicts_before; /* when it was started */
    bool retired;
    char name[128];
    int last_code;
} world;

typedef struct launcher {
    const ap_launch_options *options;
    const ap_job *job;
    ap_starter starter;
    ap_allocation allocation;
    ap_plan plan;
    ap_trial_list list;
    unsigned char *finished, *claimed;
    int *place; /* [trials] number in the tree -> place in the list */
    char name[128];
    int worlds;
    world *world;
    char (*gone)[128]; /* names that were declared gone */
    int gone_count;
    int64_t told_ns; /* when the worlds were last told of a signal; 0: no signal */
} launcher;

/* ---- commands */

typedef struct words {
    int n;
    char *word[64];
} words;

static void add(words *w, const char *format, ...) AP_PRINTF(2, 3);
static void add(words *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (w->n < 63 && vasprintf(&w->word[w->n], format, args) >= 0) w->n++;
    va_end(args);
}

/* Hosts of a place as "n1,n2", each followed by `behind`. */
static void host_list(const ap_allocation *a, const ap_group_place *place, const char *behind, char *text,
                      size_t size) {
    size_t used = 0;
    *text = '\0';
    for (int h = 0; h < place->hosts && used < size; h++) {
        const char *name = a->slurm ? a->host[place->first_host + h].name : "localhost";
        used += (size_t)snprintf(text + used, size - used, "%s%s%s", h ? "," : "", name, behind);
    }
}

/* --exact: its own CPUs only, so that steps share a host. A job with memory by the host would give all of it to the
 * first step. */
static void srun_words(words *w, const ap_allocation *a, const ap_group_place *place, int threads) {
    static char hosts[1 << 16];
    const char *memory = getenv("SLURM_MEM_PER_NODE");
    int part = place->ranks / place->hosts, cpus = a->host[place->first_host].cpus;
    host_list(a, place, "", hosts, sizeof hosts);
    const char *const fixed[] = {"srun", "--exact", "--kill-on-bad-exit=1", "--mpi=pmix", "--export=ALL"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) add(w, "%s", fixed[i]);
    add(w, "--nodes=%d", place->hosts);
    add(w, "--ntasks=%d", place->ranks);
    add(w, "--ntasks-per-node=%d", part);
    add(w, "--cpus-per-task=%d", threads);
    add(w, "--nodelist=%s", hosts);
    if (memory && atoll(memory) > 0) add(w, "--mem=%lldM", atoll(memory) * part * threads / cpus);
}

/* The keepalives notice a host that was lost silently within seconds; without them mpirun hangs for ever. */
static void mpirun_words(words *w, const ap_allocation *a, const ap_group_place *place) {
    static char hosts[1 << 16];
    char slots[16];
    snprintf(slots, sizeof slots, ":%d", place->ranks / place->hosts);
    host_list(a, place, slots, hosts, sizeof hosts);
    const char *const fixed[] = {"mpirun", "-q",    "--bind-to",
                                 "none",   "--mca", "oob_tcp_keepalive_time",
                                 "3",      "--mca", "oob_tcp_keepalive_intvl",
                                 "1",      "--mca", "oob_tcp_keepalive_probes",
                                 "2",      "--host"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) add(w, "%s", fixed[i]);
    add(w, "%s", hosts);
    add(w, "-n");
    add(w, "%d", place->ranks);
}

char **ap_launch_command(const ap_launch_options *options, const ap_allocation *allocation, const ap_group_place *place,
                         ap_starter starter, const char *name, int group) {
    words w = {0};
    if (starter == AP_STARTER_SRUN) srun_words(&w, allocation, place, (int)options->job->settings.threads);
    if (starter == AP_STARTER_MPIRUN) mpirun_words(&w, allocation, place);
    add(&w, "%s", options->program);
    add(&w, "run");
    add(&w, "%s", options->job->path);
    add(&w, "--world=%s", name);
    add(&w, "--group=%d", group);
    char **command = malloc(sizeof w.word);
    if (command) memcpy(command, w.word, sizeof w.word);
    return command;
}

void ap_launch_free_command(char **command) {
    for (int i = 0; command && command[i]; i++) free(command[i]);
    free(command);
}

/* ---- starting */

/* In the child. Its own process group: the terminal's Ctrl-C is ours to send on. If the launcher dies, the worlds stop
 * with a checkpoint. */
static void become(char **command, bool crowded, pid_t launcher_pid) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (getppid() != launcher_pid) _exit(AP_INTERRUPTED);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) dup2(nothing, STDIN_FILENO);
    if (crowded) setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    if (getuid() == 0) { /* who started us as root has decided that already */
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
    }
    execvp(command[0], command);
    fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
    _exit(127);
}

static ap_status start_world(launcher *l, world *w, int verdicts, ap_error *error) {
    int number = (int)(w - l->world);
    snprintf(w->name, sizeof w->name, "%.90s-%d-%d", l->name, number, ++w->starts);
    char **command = ap_launch_command(l->options, &l->allocation, w->place, l->starter, w->name, number);
    if (!command) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a group");
    pid_t self = getpid();
    w->verdicts_before = verdicts;
    w->pid = fork();
    if (w->pid == 0) become(command, l->plan.crowded, self);
    ap_launch_free_command(command);
    if (w->pid > 0) return AP_OK;
    w->pid = 0;
    return ap_fail_errno(error, AP_ENVIRONMENT, "no process for a group");
}

/* ---- what is left to do */

typedef struct work {
    int unfinished, free, held_by_others;
    struct {
        int claims, trial; /* how many, and the number of one of them */
        int taken_over;    /* the number of a trial that it left and another world has now; -1: none */
    } held[];              /* [worlds] */
} work;

static void count_claim(const launcher *l, const ap_claimant *by, int trial, work *w) {
    ap_claim_info info;
    if (!ap_claim_look(by, trial, &info)) {
        w->free++;
        return;
    }
    for (int i = 0; i < l->worlds; i++)
        if (*info.after && !strcmp(info.after, l->world[i].name)) w->held[i].taken_over = trial;
    for (int i = 0; i < l->worlds; i++)
        if (!strcmp(info.world, l->world[i].name)) {
            w->held[i].claims++;
            w->held[i].trial = trial;
            if (!l->world[i].pid) w->free++;
            return;
        }
    if (info.owner == AP_OWNER_GONE)
        w->free++;
    else
        w->held_by_others++;
}

/* Free with free(). */
static ap_status look_for_work(launcher *l, work **result, ap_error *error) {
    const char *results = l->job->settings.results;
    const ap_claimant by = {.results = results, .world = l->name, .asks = true};
    work *w = calloc(1, sizeof *w + (size_t)l->worlds * sizeof w->held[0]);
    if (!w) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int i = 0; i < l->worlds; i++) w->held[i].taken_over = -1;
    ap_status status = ap_verdicts_list(results, l->list.n, l->finished, error);
    if (!status) status = ap_claims_list(results, l->list.n, l->claimed, error);
    for (int t = 0; !status && t < l->list.n; t++) {
        if (l->finished[t]) continue;
        w->unfinished++;
        if (l->claimed[t])
            count_claim(l, &by, t, w);
        else
            w->free++;
    }
    *result = w;
    if (status) free(w);
    return status;
}

/* Starts idle groups for the trials that nobody has. A running world without a claim is about to take one. */
static ap_status start_for(launcher *l, const work *w, ap_error *error) {
    int wanted = w->free;
    for (int i = 0; i < l->worlds; i++) wanted -= l->world[i].pid && !w->held[i].claims;
    for (int i = 0; i < l->worlds && wanted > 0; i++) {
        if (l->world[i].pid || l->world[i].retired) continue;
        AP_TRY(start_world(l, &l->world[i], l->list.n - w->unfinished, error));
        wanted--;
    }
    return AP_OK;
}

/* ---- endings */

static void tell_all(launcher *l) {
    for (int i = 0; i < l->worlds; i++)
        if (l->world[i].pid) kill(l->world[i].pid, SIGUSR1);
    l->told_ns = ap_clock_ns();
}

static void name_place(const launcher *l, const world *w, char text[320]) {
    snprintf(text, 320, "group %d (%s%s)", (int)(w - l->world), l->allocation.host[w->place->first_host].name,
             w->place->hosts > 1 ? " and more" : "");
}

/* It left claims behind: others may have the trials at once. */
static ap_status declare_gone(launcher *l, const world *w, ap_error *error) {
    char why[64];
    snprintf(why, sizeof why, "ended with code %d", w->last_code);
    AP_TRY(ap_world_declare_gone(l->job->settings.results, w->name, why, error));
    char(*more)[128] = realloc(l->gone, ((size_t)l->gone_count + 1) * sizeof *more);
    if (!more) return AP_OK; /* its file stays */
    l->gone = more;
    memcpy(l->gone[l->gone_count++], w->name, sizeof w->name);
    return AP_OK;
}

static ap_status handle_end(launcher *l, world *w, ap_error *error) {
    work *left;
    int number = (int)(w - l->world);
    if (w->last_code == AP_INTERRUPTED && !l->told_ns) tell_all(l);
    AP_TRY(look_for_work(l, &left, error));
    ap_status status = AP_OK;
    char place[320];
    name_place(l, w, place);
    bool had_one = left->held[number].claims || left->held[number].taken_over >= 0;
    if (left->held[number].claims) status = declare_gone(l, w, error);
    if (had_one) { /* the trial's attempts are counted in its claim */
        int trial = left->held[number].claims ? left->held[number].trial : left->held[number].taken_over;
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "%s ended with code %d while it ran %s, which will be gone on with", place,
               w->last_code, l->list.trial[l->place[trial]].directory);
    }
    if (!had_one && w->last_code > AP_BUG && w->last_code != AP_INTERRUPTED) /* codes below have been explained by it */
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "%s ended with code %d", place, w->last_code);
    if (had_one || l->list.n - left->unfinished > w->verdicts_before)
        w->fruitless = 0;
    else if (left->free && !l->told_ns && ++w->fruitless == MOST_FRUITLESS) {
        w->retired = true;
        ap_log(AP_GLOBAL, AP_LOG_ERROR, "%s ended %d times (last with code %d) while trials were left: it is left out",
               place, MOST_FRUITLESS, w->last_code);
    }
    if (!status && !l->told_ns) status = start_for(l, left, error);
    free(left);
    return status;
}

/* True if a world ended. */
static bool collect(launcher *l, world **ended) {
    for (int i = 0; i < l->worlds; i++) {
        int status;
        world *w = &l->world[i];
        if (!w->pid || waitpid(w->pid, &status, WNOHANG) != w->pid) continue;
        w->pid = 0;
        w->last_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        *ended = w;
        return true;
    }
    return false;
}

static bool any_runs(const launcher *l) {
    for (int i = 0; i < l->worlds; i++)
        if (l->world[i].pid) return true;
    return false;
}

static void doze(void) {
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* Until all worlds have ended and none is to be started. On failure the worlds are told to stop, and waited for. */
static ap_status watch(launcher *l, ap_error *error) {
    ap_status status = AP_OK;
    while (any_runs(l)) {
        world *w;
        bool remind = l->told_ns && ap_clock_s(ap_clock_ns() - l->told_ns) >= remind_s;
        if ((ap_interrupted() && !l->told_ns) || remind) tell_all(l);
        if (!collect(l, &w)) {
            doze();
            continue;
        }
        if (!status) status = handle_end(l, w, error);
        if (status && !l->told_ns) tell_all(l);
    }
    return status;
}

/* ---- the whole */

static ap_status choose_starter(launcher *l, ap_error *error) {
    char output[4096];
    int code;
    l->starter = l->options->starter;
    if (l->starter == AP_STARTER_SRUN && !l->allocation.slurm)
        return ap_fail(error, AP_USAGE,
                       "--launcher srun: this is no Slurm allocation (SLURM_JOB_ID and "
                       "SLURM_JOB_NODELIST are not set)");
    if (l->starter != AP_STARTER_AUTO) return AP_OK;
    l->starter = AP_STARTER_MPIRUN;
    if (l->allocation.slurm && ap_child_exists("srun") &&
        !ap_child_output((const char *const[]){"srun", "--mpi=list", NULL}, 60, output, sizeof output, &code, NULL) &&
        code == 0 && strstr(output, "pmix"))
        l->starter = AP_STARTER_SRUN;
    if (l->starter == AP_STARTER_MPIRUN && !ap_child_exists("mpirun"))
        return ap_fail(error, AP_ENVIRONMENT, "isolation = \"step\" needs mpirun (or srun with pmix) in PATH");
    return AP_OK;
}

/* With --reclaim: what cannot be known to live is declared gone, once and for all worlds. */
static ap_status reclaim(launcher *l, ap_error *error) {
    const ap_claimant by = {.results = l->job->settings.results, .world = l->name, .asks = true};
    AP_TRY(ap_claims_list(by.results, l->list.n, l->claimed, error));
    for (int t = 0; t < l->list.n; t++) {
        ap_claim_info info;
        if (l->claimed[t] && ap_claim_look(&by, t, &info) && info.owner == AP_OWNER_UNKNOWN)
            AP_TRY(ap_world_declare_gone(by.results, info.world, "--reclaim", error));
    }
    return AP_OK;
}

static ap_status prepare(launcher *l, ap_error *error) {
    const ap_job *job = l->job;
    const ap_job_settings *s = &job->settings;
    ap_world_name_make(l->name);
    AP_TRY(ap_trial_list_make(job, &l->list, error));
    AP_TRY(ap_allocation_find(&l->allocation, error));
    AP_TRY(choose_starter(l, error));
    AP_TRY(ap_plan_make(&l->allocation, (int)s->ranks_per_trial, (int)s->shards, (int)s->threads, l->options->groups,
                        &l->plan, error));
    l->finished = calloc((size_t)l->list.n, 1), l->claimed = calloc((size_t)l->list.n, 1);
    l->world = calloc((size_t)l->plan.n, sizeof *l->world);
    l->place = calloc((size_t)l->list.n, sizeof *l->place);
    if (!l->finished || !l->claimed || !l->world || !l->place) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    l->worlds = l->plan.n;
    for (int i = 0; i < l->list.n; i++) l->place[l->list.trial[i].index] = i;
    for (int i = 0; i < l->worlds; i++) l->world[i].place = &l->plan.place[i];
    AP_TRY(ap_sweep_enter(job, &l->list, error));
    AP_TRY(ap_sweep_check_verdicts(job, &l->list, error));
    ap_log(AP_GLOBAL, AP_LOG_INFO, "%s: up to %d group%s of %d rank%s on %d host%s, each a world of its own, by %s",
           job->path, l->worlds, l->worlds == 1 ? "" : "s", l->plan.place[0].ranks,
           l->plan.place[0].ranks == 1 ? "" : "s", l->allocation.n, l->allocation.n == 1 ? "" : "s",
           l->starter == AP_STARTER_SRUN ? "srun" : "mpirun");
    if (l->plan.crowded) ap_log(AP_GLOBAL, AP_LOG_WARNING, "these are more ranks than this machine has CPUs for");
    return l->options->reclaim ? reclaim(l, error) : AP_OK;
}

/* Runs what is left; with `wait`, also what others leave later. */
static ap_status run_worlds(launcher *l, ap_error *error) {
    for (int pause = 0;; pause = pause < 30 ? pause + 5 : 30) {
        work *left;
        AP_TRY(look_for_work(l, &left, error));
        ap_status status = start_for(l, left, error);
        bool others = left->held_by_others > 0;
        free(left);
        ap_status watched = watch(l, status ? NULL : error); /* started ones are waited for in any case */
        AP_TRY(status ? status : watched);
        if (ap_interrupted() || l->told_ns || !l->options->wait || !others) return AP_OK;
        for (int i = 0; i < pause * 50 && !ap_interrupted(); i++) doze();
    }
}

/* Why nothing goes on though trials are left. */
static ap_status explain(launcher *l, ap_error *error) {
    work *left;
    AP_TRY(look_for_work(l, &left, error));
    int unfinished = left->free;
    free(left);
    for (int i = 0; unfinished && i < l->worlds; i++) {
        int code = l->world[i].last_code;
        if (!l->world[i].retired) continue;
        ap_status status = code > AP_TARGET_NOT_REACHED && code <= AP_BUG ? (ap_status)code : AP_ENVIRONMENT;
        return ap_fail(error, status,
                       "%d trial%s left and no group could go on: the last ended with code %d, see its message above "
                       "(if it could not be started at all, try --launcher %s)",
                       unfinished, unfinished == 1 ? " is" : "s are", code,
                       l->starter == AP_STARTER_SRUN ? "mpirun" : "srun");
    }
    return AP_OK;
}

/* A name that no claim has any more needs no file. */
static void forget_worlds(launcher *l) {
    const ap_claimant by = {.results = l->job->settings.results, .world = l->name};
    if (!l->gone_count || ap_claims_list(by.results, l->list.n, l->claimed, NULL)) return;
    for (int t = 0; t < l->list.n; t++) {
        ap_claim_info info;
        if (!l->claimed[t] || !ap_claim_look(&by, t, &info)) continue;
        for (int g = 0; g < l->gone_count; g++)
            if (!strcmp(l->gone[g], info.world)) *l->gone[g] = '\0';
    }
    for (int g = 0; g < l->gone_count; g++)
        if (*l->gone[g]) ap_world_forget(by.results, l->gone[g]);
}

static void destroy(launcher *l) {
    ap_allocation_free(&l->allocation);
    ap_trial_list_free(&l->list);
    free(l->plan.place);
    free(l->finished);
    free(l->claimed);
    free(l->world);
    free(l->place);
    free(l->gone);
}

ap_status ap_launch_run(const ap_launch_options *options, ap_sweep_summary *summary, ap_error *error) {
    launcher l = {.options = options, .job = options->job};
    *summary = (ap_sweep_summary){0};
    ap_status status = prepare(&l, error);
    if (!status) status = run_worlds(&l, error);
    summary->interrupted = ap_interrupted() || l.told_ns;
    if (!status && !summary->interrupted) status = explain(&l, error);
    if (!status) status = ap_sweep_count(l.job, &l.list, l.name, summary, error);
    if (summary->trials && summary->interrupted)
        status = ap_fail(error, AP_INTERRUPTED, "stopped by a signal; run the same command again to go on");
    if (l.world) forget_worlds(&l);
    destroy(&l);
    return status;
}
