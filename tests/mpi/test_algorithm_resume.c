/* Every built-in algorithm, resumed after every single step: the trial is interrupted in each of them, the first steps
 * on one rank, the others on all ranks, and gives the parameters of a trial that ran straight through on one rank, bit
 * for bit, at every evaluation. On mnist mini with a small layer. */
#include "mpi_check.h"

#include "algorithms/algorithms.h"
#include "base/file.h"
#include "harness/interrupt.h"
#include "harness/trial.h"

#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEPS = 9, ALONE = 3 };
static char tree[64];

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static void write_text(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", tree, name);
    if (world_rank == 0) CHECK_INT(ap_write_file(path, text, strlen(text), NULL), AP_OK);
}

/* Shampoo and its like take roots every 100 or 20 steps; here every 3, in blocks of 16. */
static const char *point_of(const char *name) {
    static const struct {
        const char *name, *point;
    } own[] = {
        {"shampoo_submission",
         "[{\"learning_rate\": 0.01, \"one_minus_beta1\": 0.1, \"one_minus_beta2\": 0.01, \"weight_decay\": 0.01,"
         " \"one_minus_momentum\": 0.5, \"use_nadam\": true, \"epsilon\": 1e-8, \"precondition_frequency\": 3,"
         " \"max_preconditioner_dim\": 16}]"},
        {"shampoo", "[{\"learning_rate\": 0.01, \"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0.01,"
                    " \"warmup_factor\": 0.0, \"precondition_frequency\": 3, \"start_preconditioning_step\": 4,"
                    " \"max_preconditioner_dim\": 64}]"},
        {"caspr_adaptive",
         "[{\"learning_rate\": 0.01, \"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0.01,"
         " \"warmup_factor\": 0.0, \"precondition_frequency\": 3, \"start_preconditioning_step\": 4,"
         " \"max_preconditioner_dim\": 64}]"},
        {"soap", "[{\"learning_rate\": 0.01, \"one_minus_beta1\": 0.1, \"beta2\": 0.95, \"weight_decay\": 0.01,"
                 " \"warmup_factor\": 0.0, \"precondition_frequency\": 3, \"max_preconditioner_dim\": 64}]"},
        {"single_worker_diloco", "{\"learning_rate\": 0.01, \"beta1\": 0.9, \"beta2\": 0.99, \"weight_decay\": 0.1,"
                                 " \"sync_period\": 3, \"outer_lr\": 0.3, \"outer_momentum\": 0.77}"},
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(own[i].name, name)) return own[i].point;
    return NULL;
}

static ap_job *open_job(const ap_submission *a, const char *results) {
    char text[2048], path[128], space[64] = "";
    ap_error error = {0};
    ap_job *job = NULL;
    if (point_of(a->name)) {
        write_text("point.json", point_of(a->name));
        snprintf(space, sizeof space, "search_space = \"point.json\";");
    }
    snprintf(
        text, sizeof text,
        "results = \"%s/%s-%s\"; clock = \"steps\"; trials = 1; watchdog_s = 60.0; max_steps = %d; eval_every = 2;\n"
        "ruleset = \"%s\"; workloads = ( { name = \"mnist\"; options = { hidden = 8; }; } );\n"
        "submissions = ( { submission = \"%s\"; %s } );\n",
        tree, results, a->name, STEPS, a->search_space ? "external_tuning" : "self_tuning", a->name, space);
    write_text("job.cfg", text);
    MPI_Barrier(MPI_COMM_WORLD);
    snprintf(path, sizeof path, "%s/job.cfg", tree);
    if (ap_job_open(path, &job, &error)) printf("%s\n", error.text), MPI_Abort(MPI_COMM_WORLD, 1);
    return job;
}

static ap_trial_spec spec_of(const ap_job *job) {
    ap_trial_spec spec = {.job = job};
    ap_error error;
    snprintf(spec.directory, sizeof spec.directory, "%s/trial", job->settings.results);
    if (world_rank == 0) CHECK_INT(ap_make_directories(spec.directory, &error), AP_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    return spec;
}

static void run(MPI_Comm comm, const ap_trial_spec *spec, ap_trial_outcome *outcome) {
    ap_group *group = NULL;
    ap_error error = {0};
    CHECK_INT(ap_group_create(comm, 8, 60, &group, &error), AP_OK);
    CHECK_INT(ap_trial_run(group, spec, outcome, &error), AP_OK);
    if (error.status || outcome->verdict == AP_VERDICT_FAILED) printf("%s %s\n", error.text, outcome->reason);
    ap_group_destroy(group);
}

/* "step digest" of every evaluation, in order. */
static char *digests_of(const ap_trial_spec *spec) {
    char path[AP_PATH + 16], *text = NULL, *out = calloc(1, 4096);
    size_t n;
    snprintf(path, sizeof path, "%s/events.jsonl", spec->directory);
    CHECK_INT(ap_read_file(path, 1 << 20, &text, &n, NULL), AP_OK);
    char *rest = text;
    for (char *line; text && (line = strsep(&rest, "\n"));) {
        char *step = strstr(line, "\"global_step\":"), *digest = strstr(line, "\"parameter_digest\":\"");
        if (!strstr(line, "\"event\":\"evaluation\"") || !step || !digest) continue;
        snprintf(out + strlen(out), 4096 - strlen(out), "%d %.32s\n", atoi(step + 14), digest + 20);
    }
    free(text);
    return out;
}

/* One rank, straight through: its digests (rank 0's; the caller frees). */
static char *straight(const ap_submission *a) {
    ap_job *job = open_job(a, "straight");
    ap_trial_spec spec = spec_of(job);
    ap_trial_outcome outcome = {0};
    char *digests = NULL;
    if (world_rank == 0) {
        run(MPI_COMM_SELF, &spec, &outcome);
        CHECK_INT(outcome.verdict, AP_VERDICT_STEP_CAP);
        digests = digests_of(&spec);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    ap_job_close(job);
    return digests;
}

/* The algorithm as it is, but that a signal comes in every step: the step is the last of its start, and an evaluation
 * that is due after it is left to the next start. */
static const ap_submission *inner;
static int signalled_update(ap_host *host) {
    raise(SIGTERM);
    return inner->update_params(host);
}

static void start(MPI_Comm comm, const ap_trial_spec *spec, ap_trial_outcome *outcome) {
    ap_interrupt_forget();
    run(comm, spec, outcome);
}

static void step_by_step(const ap_submission *a, const char *want) {
    ap_job *job = open_job(a, "broken");
    ap_submission signalled = *a;
    inner = a;
    signalled.update_params = signalled_update;
    job->submission[0].loaded->submission = &signalled;
    ap_trial_spec spec = spec_of(job);
    ap_trial_outcome outcome = {0};
    int starts = 0;
    for (; starts < ALONE; starts++)
        if (world_rank == 0) start(MPI_COMM_SELF, &spec, &outcome);
    MPI_Barrier(MPI_COMM_WORLD);
    do start(MPI_COMM_WORLD, &spec, &outcome);
    while (++starts < 3 * STEPS && outcome.interrupted);
    CHECK(starts >= STEPS && starts < 3 * STEPS);
    CHECK_INT(outcome.verdict, AP_VERDICT_STEP_CAP);
    if (world_rank == 0) {
        char *got = digests_of(&spec);
        if (!*want || strcmp(want, got) != 0) {
            printf("%s, straight:\n%sresumed after every step:\n%s", a->name, want, got);
            ap_check_failures++;
        }
        free(got);
    }
    ap_job_close(job);
}

static void test_every_algorithm_resumes_bit_for_bit(void) {
    char *digests[256] = {NULL};
    const ap_submission *const *a = ap_algorithms();
    strcpy(tree, "/tmp/ap_resume.XXXXXX");
    if (world_rank == 0 && !mkdtemp(tree)) perror("mkdtemp"), MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(tree, sizeof tree, MPI_CHAR, 0, MPI_COMM_WORLD);
    const char *only = getenv("AP_ALGORITHM"); /* for a look at one */
    for (int i = 0; a[i]; i++)
        if (!only || !strcmp(only, a[i]->name)) digests[i] = straight(a[i]);
    ap_interrupt_install();
    for (int i = 0; a[i]; i++) {
        if (only && strcmp(only, a[i]->name) != 0) continue;
        step_by_step(a[i], digests[i]);
        free(digests[i]);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (world_rank == 0) nftw(tree, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

AP_MPI_TEST_MAIN(test_every_algorithm_resumes_bit_for_bit)
